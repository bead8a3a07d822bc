"""The constants of 16-bit arithmetic where they are not those of 8 bits; zero points are 0 throughout.

`docs/arithmetic.md` has each rule with an example. A scale of `accelc.arithmetic` (requantize_scales, mul_scale,
global_average_scale, add_constants, lrn_constants) serves 16 bits unchanged.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from accelc.arithmetic import Floats, Ints, clamp_bounds, dequantize_array, table_function
from accelc.errors import ModelError
from accelc.graph import WIDE, Graph, Layer, Quant, Tensor

LINEAR_OPS = ("relu", "leaky_relu", "prelu", "clip", "hard_sigmoid", "affine", "requantize")
CURVE_OPS = ("sigmoid", "tanh")

E = 2.718281828459045
EXP_SCALE = 2147483647.0  # the integer that stands for exp(0) in a softmax


@dataclass(frozen=True, eq=False)
class Lines:
    """A function of two straight lines that meet at 0, per channel or one for all: float32, (channels,) or (1,).

    Rule: y = rint(clip(f32(f32(x * (above if x >= 0 else below)) + offset), low, high)).
    """

    above: Floats
    below: Floats
    offset: Floats
    low: int
    high: int


def lines(graph: Graph, layer: Layer) -> Lines:
    """Return the lines of a table op other than sigmoid and tanh; slopes and offsets are float64 rounded once."""
    x, y = graph.tensors[layer.inputs[0]], graph.tensors[layer.outputs[0]]
    xq, yq = _quant(layer, x), _quant(layer, y)
    constants = [_column(graph.tensors[name]) for name in layer.inputs[1:]]
    slopes = _slopes(layer, constants)
    ratio = float(xq.scale) / float(yq.scale)
    low, high = _bounds(layer, yq)
    made = np.broadcast_arrays(slopes[0] * ratio, slopes[1] * ratio, slopes[2] / float(yq.scale))
    above, below, shift = (np.array(part, np.float32) for part in made)
    return Lines(above, below, shift, low, high)


def _slopes(layer: Layer, constants: list[npt.NDArray[np.float64]]) -> tuple[npt.NDArray[np.float64], ...]:
    """Return the real slopes above and below 0 and the shift, each of shape (channels,) or (1,)."""
    one, none = np.ones(1), np.zeros(1)
    if layer.op == "leaky_relu":
        return one, np.full(1, float(np.float32(layer.attrs["alpha"]))), none
    if layer.op == "prelu":
        return np.ones_like(constants[0]), constants[0], none
    if layer.op == "affine":
        return constants[0], constants[0], constants[1]
    if layer.op == "hard_sigmoid":
        slope = np.full(1, float(np.float32(layer.attrs["alpha"])))
        return slope, slope, np.full(1, float(np.float32(layer.attrs["beta"])))
    if layer.op in LINEAR_OPS:
        return one, one, none
    raise ModelError(f"layer '{layer.name}': op '{layer.op}' is not made of straight lines")


def _bounds(layer: Layer, quant: Quant) -> tuple[int, int]:
    """Return the least and the greatest result of a function of straight lines."""
    if layer.op == "relu":
        return clamp_bounds(("relu",), quant, WIDE)
    if layer.op == "clip":
        return clamp_bounds(("clip", layer.attrs["min"], layer.attrs["max"]), quant, WIDE)
    if layer.op == "hard_sigmoid":
        return clamp_bounds(("clip", 0.0, 1.0), quant, WIDE)
    return clamp_bounds(layer.attrs.get("activation"), quant, WIDE)


def curve_table(graph: Graph, layer: Layer) -> Ints:
    """Return the 257 corners of sigmoid or tanh, int32 with 8 bits of fraction.

    T[i] = rint(256 * f(sx * (256 * i - 32768)) / sy). Rule: u = x + 32768; i = u >> 8; k = u & 255;
    y = clip((T[i] * (256 - k) + T[i + 1] * k + 2**15) >> 16, qmin, qmax).
    """
    x, y = graph.tensors[layer.inputs[0]], graph.tensors[layer.outputs[0]]
    real = dequantize_array(np.arange(-32768, 32769, 256), _quant(layer, x))
    values = table_function(layer.op, layer.attrs, real, []).astype(np.float64) / float(_quant(layer, y).scale)
    return np.asarray(np.rint(np.clip(256 * values, -(2.0**30), 2.0**30)).astype(np.int32))


def _quant(layer: Layer, tensor: Tensor) -> Quant:
    if tensor.quant is None or tensor.dtype != WIDE:
        raise ModelError(f"layer '{layer.name}' ({layer.op}): tensor '{tensor.name}' is {tensor.dtype}, not {WIDE}")
    return tensor.quant


def _column(tensor: Tensor) -> npt.NDArray[np.float64]:
    if tensor.data is None:
        raise ModelError(f"'{tensor.name}' must be constant here")
    data = tensor.data if tensor.quant is None else dequantize_array(tensor.data, tensor.quant)
    return np.asarray(data, np.float64).reshape(-1)
