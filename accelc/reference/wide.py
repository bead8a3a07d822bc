"""Layers of 16-bit operands, by the rules that differ from those of 8 bits; zero points are 0."""

from __future__ import annotations

import numpy as np

from accelc.arithmetic import add_constants, fma32, global_average_scale, mul_scale, power
from accelc.arithmetic_wide import CURVE_OPS, EXP_SCALE, E, curve_table, lines
from accelc.graph import Array
from accelc.reference.call import Call, planes
from accelc.reference.normalize import normalized
from accelc.reference.requantize import requantize_wide


def add(call: Call) -> Array:
    """The sum: f32(b * rb), then one fused multiply-add."""
    return _linear(call, subtract=False)


def sub(call: Call) -> Array:
    """The difference: the sum with the second scale negated."""
    return _linear(call, subtract=True)


def _linear(call: Call, *, subtract: bool) -> Array:
    a, b = (x.astype(np.float32) for x in call.operands)
    ra, rb, _ = add_constants(call.quant(0), call.quant(1), call.output_quant, subtract=subtract)
    return _saturated(fma32(a, ra, b * rb), call)


def mul(call: Call) -> Array:
    """The exact product, scaled in float64."""
    a, b = (x.astype(np.int64) for x in call.operands)
    scale = mul_scale(call.quant(0), call.quant(1), call.output_quant)
    return requantize_wide(a * b, np.asarray(scale), call.bounds)


def function(call: Call) -> Array:
    """A function of one element: two straight lines, or interpolation between 257 corners."""
    return _curve(call) if call.layer.op in CURVE_OPS else _lines(call)


def _lines(call: Call) -> Array:
    made, x = lines(call.graph, call.layer), call.x.astype(np.float32)
    shape = (-1, *(1,) * (x.ndim - 2)) if len(made.above) > 1 else ()
    above, below, offset = (part.reshape(shape) for part in (made.above, made.below, made.offset))
    real = x * np.where(x >= 0, above, below) + offset
    return np.asarray(np.rint(np.clip(real, made.low, made.high)).astype(np.int16))


def _curve(call: Call) -> Array:
    corners = curve_table(call.graph, call.layer).astype(np.int64)
    index, part = np.divmod(call.x.astype(np.int64) + 32768, 256)
    total = corners[index] * (256 - part) + corners[index + 1] * part
    return np.asarray(np.clip((total + 32768) >> 16, *call.bounds).astype(np.int16))


def global_avg_pool(call: Call) -> Array:
    """The integer sum over all positions, scaled in float64."""
    field = planes(call.x)
    total = field.sum(axis=(2, 3), dtype=np.int64)
    scale = global_average_scale(call.quant(0), call.output_quant, field.shape[2] * field.shape[3])
    return requantize_wide(total, np.asarray(scale), call.range).reshape(call.output.shape)


def softmax(call: Call) -> Array:
    """Integer exponentials of the distance below the maximum, over their exact sum."""
    axis, x = int(call.attr("axis")), call.x.astype(np.int64)
    below, places = np.unique(x.max(axis=axis, keepdims=True) - x, return_inverse=True)
    exponent = below.astype(np.float64) * -float(call.quant(0).scale)
    exact = np.array([power(E, float(v)) for v in exponent])
    terms = np.rint(EXP_SCALE * exact).astype(np.int64)[places].reshape(x.shape)
    total = terms.sum(axis=axis, keepdims=True)
    share = terms.astype(np.float64) * (1.0 / float(call.output_quant.scale)) / total.astype(np.float64)
    return np.asarray(np.minimum(np.rint(share), call.range[1]).astype(np.int16))


def lrn(call: Call) -> Array:
    """As in 8 bits, the sum of squares in int64."""
    return normalized(call, np.int64)


def _saturated(real: Array, call: Call) -> Array:
    return np.asarray(np.clip(np.rint(real), *call.bounds).astype(np.int16))
