"""The constants of quantized arithmetic, and the rule by which each is used.

The compiler puts these constants into a program and the reference executor reads the same ones; both evaluate the rules
by themselves. All rules speak of values (int8 -128..127, uint8 0..255), `f32()` is one rounding to float32 (half to
even), `rint` is half to even, nothing is contracted to a fused multiply-add except where `fma` is written.
`docs/arithmetic.md` has each rule with an example.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from accelc.errors import ModelError
from accelc.graph import RANGE, Activation, Array, Graph, Layer, Quant, Tensor

Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int32]

_ROWS_ELEMENTS = 1 << 20


# --- Quantize and dequantize


def quantize_array(x: Array, quant: Quant, dtype: str) -> Array:
    """Return q = rint(clip(f32(x / scale), qmin - zp, qmax - zp)) + zp, the ONNX QuantizeLinear of real values."""
    low, high = RANGE[dtype]
    scale, zero = _aligned(quant, np.ndim(x))

    def rounded(x: Array, scale: Floats, zero: Ints) -> Array:
        with np.errstate(over="ignore"):
            ratio = np.asarray(np.divide(np.asarray(x, np.float32), scale, dtype=np.float32))
        np.clip(ratio, (low - zero).astype(np.float32), (high - zero).astype(np.float32), out=ratio)
        whole = np.rint(ratio, out=ratio)
        return np.asarray((whole.astype(np.int32) + zero).astype(dtype) if zero.any() else whole.astype(dtype))

    return _by_rows(rounded, np.asarray(x), scale, zero, dtype)


def dequantize_array(q: Array, quant: Quant) -> Floats:
    """Return f32((q - zp) * scale), the ONNX DequantizeLinear, float32."""
    scale, zero = _aligned(quant, np.ndim(q))

    def real(q: Array, scale: Floats, zero: Ints) -> Array:
        centered = (q.astype(np.int64) - zero).astype(np.float32)
        return np.asarray(np.multiply(centered, scale, dtype=np.float32))

    return _by_rows(real, np.asarray(q), scale, zero, "float32")


def _by_rows(
    function: Callable[[Array, Floats, Ints], Array], x: Array, scale: Floats, zero: Ints, dtype: str
) -> Array:
    """Return a function of elements; of a large array it takes some rows at a time, whose intermediates are small."""
    if x.ndim == 0 or x.size <= _ROWS_ELEMENTS:
        return function(x, scale, zero)
    found = np.empty(x.shape, dtype)
    step = max(1, len(x) * _ROWS_ELEMENTS // x.size)
    for first in range(0, len(x), step):
        rows = slice(first, first + step)
        own_scale, own_zero = scale.ndim and len(scale) == len(x), zero.ndim and len(zero) == len(x)
        found[rows] = function(x[rows], scale[rows] if own_scale else scale, zero[rows] if own_zero else zero)
    return found


def _aligned(quant: Quant, rank: int) -> tuple[Floats, Ints]:
    scale, zero = np.asarray(quant.scale, np.float32), np.asarray(quant.zero_point, np.int32)
    if quant.axis is None or scale.ndim == 0:
        return scale, zero
    shape = [1] * rank
    shape[quant.axis] = -1
    return scale.reshape(shape), zero.reshape(shape) if zero.ndim else zero


def clamp_bounds(activation: Activation, quant: Quant, dtype: str) -> tuple[int, int]:
    """Return the least and the greatest value a layer may write: its type's range narrowed by its fused activation.

    relu: from quantize(0), which is the zero point; clip: from quantize(minimum) to quantize(maximum), saturating.
    The result is clamped after its rounding; clamping before it gives the same integers.
    """
    low, high = RANGE[dtype]
    if activation is None:
        return low, high
    if activation[0] == "relu":
        return min(max(low, int(quant.zero_point)), high), high
    if activation[0] != "clip":
        raise ModelError(f"activation {activation[0]!r} is unknown; relu and clip would work")
    bounds = quantize_array(np.asarray(activation[1:3], np.float32), quant, dtype)
    return int(bounds[0]), max(int(bounds[0]), int(bounds[1]))


# --- Convolution and matrix product


def requantize_scales(x: Quant, w: Quant, y: Quant, channels: int) -> Floats:
    """Return per output channel s = f32(f32(sx * sw) / sy), float32 of shape (channels,).

    Rule (mode "float32"): p = f32(f32(acc) * s); y = rint(clip(p, low - zy, high - zy)) + zy, where acc is the int32
    bias plus sum (x - zx) * (w - zw), wrapped to 32 bits, and low..high are the clamp bounds.
    """
    product = np.multiply(x.scale, w.scale, dtype=np.float32)
    return np.array(np.broadcast_to(np.divide(product, y.scale, dtype=np.float32), (channels,)))


def fixed_multiplier(scale: float) -> tuple[int, int]:
    """Return a real scale as (multiplier, right shift): scale = multiplier * 2**-31 * 2**-shift.

    The multiplier lies in 2**30..2**31-1. Rule (mode "fixed"): t = wrap32(acc << max(-shift, 0));
    h = the upper half of the doubled product t * multiplier, which is
    (t * multiplier + (2**30 if the product >= 0 else 1 - 2**30)) / 2**31 truncated toward zero;
    y = clamp(h >> shift rounded to nearest, halves away from zero, + zy). A scale below 2**-32 gives (0, 0).
    """
    if not (scale > 0 and math.isfinite(scale)):
        raise ModelError(f"a requantization scale of {scale} is not a positive number")
    mantissa, exponent = math.frexp(scale)
    multiplier = math.floor(mantissa * 2.0**31 + 0.5)
    if multiplier == 1 << 31:
        multiplier, exponent = 1 << 30, exponent + 1
    if exponent > 30:
        raise ModelError(f"a requantization scale of {scale} exceeds 2**30")
    return (0, 0) if exponent < -31 else (multiplier, -exponent)


def fixed_multipliers(x: Quant, w: Quant, y: Quant, channels: int) -> tuple[Ints, Ints]:
    """Return per output channel the multiplier and the right shift of the scale sx * sw / sy taken in float64."""
    scales = np.broadcast_to(x.scale.astype(np.float64) * w.scale.astype(np.float64) / float(y.scale), (channels,))
    pairs = np.array([fixed_multiplier(float(s)) for s in scales], np.int32)
    return pairs[:, 0].copy(), pairs[:, 1].copy()


def centered_weights(weights: Tensor) -> npt.NDArray[np.int16]:
    """Return w - zw per output channel (axis 0), int16 (int8 suffices if zw is 0, or 128 for uint8)."""
    if weights.data is None or weights.quant is None:
        raise ModelError(f"weights '{weights.name}' are not quantized constants")
    centered = weights.data.astype(np.int16)
    centered -= _aligned(weights.quant, weights.data.ndim)[1].astype(np.int16)
    return np.asarray(centered)


def folded_bias(weights: npt.NDArray[np.signedinteger[Any]], bias: Array | None, zero: int) -> Ints:
    """Return bias - zero * sum(w) per output channel, wrapped to int32: sum (x - zero) * w + bias = sum x * w + folded.

    `weights` are centered; `zero` is the zero point of x as the array sees it; padding must then contribute x = zero.
    """
    sums = weights.reshape(weights.shape[0], -1).sum(axis=1, dtype=np.int64)
    start = np.zeros_like(sums) if bias is None else bias.astype(np.int64)
    return np.asarray((start - zero * sums).astype(np.int32))


# --- Element by element


def add_constants(a: Quant, b: Quant, y: Quant, *, subtract: bool = False) -> tuple[np.float32, np.float32, np.float32]:
    """Return (ra, rb, F): ra = f32(sa/sy), rb = f32(sb/sy), F = f32(zy - fma(ra, za, f32(rb*zb))).

    Rule: y = clamp(rint(fma(a, ra, fma(b, rb, F)))); a and b are the values with their zero points in;
    each fma rounds once. A difference a - b is the same with rb negated before F is formed.
    """
    ra = np.float32(a.scale / y.scale)
    rb = np.float32(b.scale / y.scale)
    rb = np.float32(-rb) if subtract else rb
    zeros = np.float32(rb * np.float32(b.zero_point))
    # The inner fma is exact in float64 but for one rounding; two roundings could differ from one.
    inner = fma32(ra, np.float32(a.zero_point), zeros)
    return ra, rb, np.float32(np.float32(y.zero_point) - inner)


def mul_scale(a: Quant, b: Quant, y: Quant) -> np.float32:
    """Return s = f32(f32(sa * sb) / sy).

    Rule: y = clamp(rint(f32(f32((a - za) * (b - zb) * s) + zy))); the integer product is exact in float32; no fma.
    """
    return np.float32(np.float32(a.scale * b.scale) / y.scale)


def fma32(a: Any, b: Any, c: Any) -> Floats:
    """Return a * b + c of float32 arrays rounded once to float32.

    The product is exact in float64. The sum is rounded to odd there (its lost part sets the last bit), after which the
    second rounding cannot see a false tie.
    """
    product = np.asarray(a, np.float64) * np.asarray(b, np.float64)
    addend = np.asarray(c, np.float64)
    total = np.asarray(product + addend)
    part = total - product
    lost = (product - (total - part)) + (addend - part)
    bits = np.atleast_1d(total).view(np.int64).reshape(total.shape)
    even = (lost != 0) & (bits & 1 == 0)
    toward = np.where((lost > 0) == (total > 0), bits + 1, bits - 1)
    odd = np.where(even, toward, bits).astype(np.int64)
    return np.asarray(np.atleast_1d(odd).view(np.float64).reshape(total.shape).astype(np.float32))


# --- Pools


def global_average_scale(x: Quant, y: Quant, count: int) -> np.float32:
    """Return s = f32(sx / f32(sy * count)) of a mean over `count` positions.

    Rule: p = f32(f32(sum (x - zx)) * s); y = rint(clip(p, qmin - zy, qmax - zy)) + zy. In mode "fixed" the
    scale sx / (sy * count), taken in float64, is a fixed_multiplier.
    """
    return np.float32(x.scale / np.float32(y.scale * np.float32(count)))


# avg_pool needs no further constant. Rule: m = f32(sum / f32(count)); the sum runs in float32, from 0, over the
# window's positions inside the input in row-major order, of f32(f32(x - zx) * sx);
# y = clamp(rint(f32(f32(m / sy) + zy))): here the zero point is added before the rounding.
# count: positions inside the input, or, with count_include_pad, inside the padded input.


# --- Tables


def table(graph: Graph, layer: Layer) -> Array:
    """Return the 256 results of a one-element function, or (channels, 256) of them for prelu and affine by channel.

    Entry i is the result for the value qmin + i (uint8: i itself; int8: i - 128), in the output's type:
    quantize(f(dequantize(x))), held between the bounds of a fused activation. f is float32, operation by operation;
    sigmoid and tanh are float64 rounded to float32.
    """
    x, y = graph.tensors[layer.inputs[0]], graph.tensors[layer.outputs[0]]
    xq, yq = _quant(layer, x), _quant(layer, y)
    real = dequantize_array(np.arange(256, dtype=np.int32) + RANGE[x.dtype][0], xq)
    constants = [_column(graph.tensors[name]) for name in layer.inputs[1:]]
    entries = quantize_array(table_function(layer.op, layer.attrs, real, constants), yq, y.dtype)
    low, high = clamp_bounds(layer.attrs.get("activation"), yq, y.dtype)
    return np.asarray(np.clip(entries, low, high).astype(y.dtype))


def table_function(op: str, attrs: Mapping[str, Any], x: Floats, constants: list[Floats]) -> Floats:
    """Return f(x) of a table op for real values; constants are (channels, 1) or (1, 1) float32."""
    if op == "relu":
        return np.asarray(np.maximum(x, np.float32(0)))
    if op == "requantize":
        return x
    if op == "clip":
        return np.asarray(np.minimum(np.maximum(x, np.float32(attrs["min"])), np.float32(attrs["max"])))
    if op == "leaky_relu":
        return np.asarray(np.where(x >= 0, x, x * np.float32(attrs["alpha"])))
    if op == "hard_sigmoid":
        slope, shift = np.float32(attrs["alpha"]), np.float32(attrs["beta"])
        return np.asarray(np.maximum(np.float32(0), np.minimum(np.float32(1), x * slope + shift)))
    if op in ("sigmoid", "tanh"):
        wide = x.astype(np.float64)
        return np.asarray((np.tanh(wide) if op == "tanh" else _sigmoid(wide)).astype(np.float32))
    if op == "prelu":
        return _squeeze(np.where(x >= 0, x, x * constants[0]))
    if op == "affine":
        return _squeeze(x * constants[0] + constants[1])
    raise ModelError(f"op '{op}' is not a function of one element")


def _sigmoid(x: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    small = np.exp(-np.abs(x))
    return np.asarray(np.where(x >= 0, 1.0, small) / (1.0 + small))


def _squeeze(rows: Floats) -> Floats:
    return rows[0] if rows.ndim == 2 and rows.shape[0] == 1 else rows


def _column(tensor: Tensor) -> Floats:
    if tensor.data is None:
        raise ModelError(f"'{tensor.name}' must be constant to enter a table")
    data = tensor.data if tensor.quant is None else dequantize_array(tensor.data, tensor.quant)
    return np.asarray(data, np.float32).reshape(-1, 1)


# --- Softmax and local response normalization


def softmax_table(x: Quant, classes: int) -> Ints:
    """Return T[d] = rint(L * exp(-d * sx)), d = 0..255, int32 with L = min((2**32 - 1) / classes, 2**31 - 1).

    Rule, along the axis: q = max x; t = T[q - x]; S = sum t, exact, below 2**33;
    y = min(rint(t * m / S) + zy, qmax): in float64, one product, one division, rounded half to even, with
    m = softmax_factor(y).
    """
    largest = min((2.0**32 - 1) / classes, 2.0**31 - 1)
    entries: Ints = np.rint(largest * np.exp(-np.arange(256) * float(x.scale))).astype(np.int32)
    return entries


def softmax_factor(y: Quant) -> float:
    """Return m = 1 / sy in float64, the quantized value of probability 1 above the zero point."""
    return 1.0 / float(y.scale)


@dataclass(frozen=True)
class LrnConstants:
    """The constants of a local response normalization.

    Rule: S = sum (x - zx)**2 over channels c - before .. c + after that exist, exact int32;
    t = f32(f32(f32(S) * square_scale) + bias); p = f32(power(t, exponent));
    v = f32(f32(f32(x - zx) * scale_in) * p); y = rint(clip(f32(v / scale_out), qmin - zy, qmax - zy)) + zy.
    """

    before: int
    after: int
    square_scale: np.float32
    bias: np.float32
    exponent: float
    scale_in: np.float32
    scale_out: np.float32


def lrn_constants(layer: Layer, x: Quant, y: Quant) -> LrnConstants:
    """Return the constants of an lrn layer: square_scale = f32(alpha / size * sx**2 in float64), exponent = -beta."""
    size, alpha, bias = int(layer.attrs["size"]), float(layer.attrs["alpha"]), float(layer.attrs["bias"])
    if not (size >= 1 and alpha >= 0 and bias > 0):
        raise ModelError(
            f"layer '{layer.name}' (lrn): size={size}, alpha={alpha}, bias={bias}; "
            "size of 1 or more, alpha of 0 or more and bias above 0 would work"
        )
    square = np.float32(alpha / size * float(x.scale) ** 2)
    exponent = -float(layer.attrs["beta"])
    sx, sy = np.float32(x.scale), np.float32(y.scale)
    return LrnConstants((size - 1) // 2, size // 2, square, np.float32(bias), exponent, sx, sy)


SQRT_HALF = 0.7071067811865476
LN_2 = 0.6931471805599453
LOG2_E = 1.4426950408889634


def power(t: float, exponent: float) -> float:
    """Return t**exponent, t > 0, by float64 sums, products and one division only (relative error below 1e-14).

    t = m * 2**e with m in [sqrt(1/2), sqrt(2)); s = (m - 1) / (m + 1);
    ln m = s * (2 + z * (2/3 + z * (2/5 + ... + z * 2/19))), z = s * s; w = (ln m * log2(e) + e) * exponent;
    n = rint(w); g = (w - n) * ln 2; exp g = 1 + g * (1 + g/2 * (1 + g/3 * (... (1 + g/13)))), Horner with constants
    1/k!; result exp g * 2**n, n held to +-1000. Compiles unchanged under numba without fastmath.
    """
    m, e = math.frexp(t)
    if m < SQRT_HALF:
        m = m + m
        e = e - 1
    s = (m - 1.0) / (m + 1.0)
    z = s * s
    series = 2.0 / 19.0
    for k in (17.0, 15.0, 13.0, 11.0, 9.0, 7.0, 5.0, 3.0, 1.0):
        series = series * z + 2.0 / k
    w = (series * s * LOG2_E + e) * exponent
    n = min(max(math.floor(w + 0.5), -1000), 1000)
    g = (w - n) * LN_2
    result = 1.0
    for k in (13.0, 12.0, 11.0, 10.0, 9.0, 8.0, 7.0, 6.0, 5.0, 4.0, 3.0, 2.0, 1.0):
        result = result * g / k + 1.0
    return math.ldexp(result, n)


def _quant(layer: Layer, tensor: Tensor) -> Quant:
    if tensor.quant is None or tensor.dtype not in RANGE:
        raise ModelError(f"layer '{layer.name}' ({layer.op}): tensor '{tensor.name}' is {tensor.dtype}, not quantized")
    return tensor.quant
