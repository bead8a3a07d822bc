"""Sums, differences and products of two quantized operands: every pair of values is computed once, then looked up."""

from __future__ import annotations

import numpy as np

from accelc.arithmetic import add_constants, fma32, mul_scale
from accelc.graph import RANGE, Array
from accelc.reference.call import Call, offset


def add(call: Call) -> Array:
    """The sum, two fused multiply-adds with the zero point inside."""
    return _combine(call, _linear(call, subtract=False))


def sub(call: Call) -> Array:
    """The difference: the sum with the second scale negated."""
    return _combine(call, _linear(call, subtract=True))


def mul(call: Call) -> Array:
    """The product of the centered values, scaled, with the zero point added before the rounding."""
    a, b = _pairs(call)
    y = call.output_quant
    product = (a - np.float32(call.zero(0))) * (b - np.float32(call.zero(1)))
    real = product * mul_scale(call.quant(0), call.quant(1), y) + np.float32(y.zero_point)
    return _combine(call, np.rint(real))


def _linear(call: Call, *, subtract: bool) -> Array:
    a, b = _pairs(call)
    scale_a, scale_b, start = add_constants(call.quant(0), call.quant(1), call.output_quant, subtract=subtract)
    return np.asarray(np.rint(fma32(a, scale_a, fma32(b, scale_b, start))))


def _pairs(call: Call) -> tuple[Array, Array]:
    """Return all values of the operands' types, float32, as a column and a row."""
    a = np.arange(256, dtype=np.float32) + np.float32(RANGE[call.tensor(0).dtype][0])
    b = np.arange(256, dtype=np.float32) + np.float32(RANGE[call.tensor(1).dtype][0])
    return a[:, None], b[None, :]


def _combine(call: Call, rounded: Array) -> Array:
    results = np.clip(rounded, *call.bounds).astype(call.output.dtype).reshape(-1)
    a, b = (offset(x).astype(np.uint16) for x in call.operands)
    return np.asarray(results[(a << np.uint16(8)) | b])
