"""Operators that move elements: concat, slice, pad, reshape, transpose."""

from __future__ import annotations

import numpy as np

from accelc.arithmetic import dequantize_array, quantize_array
from accelc.graph import WIDE, Array, Layer, Quant
from accelc.isa.evaluate import interleaved
from accelc.reference.call import Call
from accelc.reference.wide import function


def concat(call: Call) -> Array:
    """Inputs side by side; one under another scale or zero point than the result's is requantized."""
    parts = [_like_output(call, index) for index in range(len(call.operands))]
    return np.concatenate(parts, axis=int(call.attr("axis")))


def interleave(call: Call) -> Array:
    """Input k at every `strides`-th row and column from its start."""
    result = np.zeros(call.output.shape, call.output.dtype)
    for index, (start, part) in enumerate(zip(call.attr("starts"), call.operands, strict=True)):
        result[interleaved(start, call.attr("strides"), part.shape)] = _like_output(call, index)
    return result


def _like_output(call: Call, index: int) -> Array:
    value, tensor = call.operands[index], call.tensor(index)
    if tensor.dtype == call.output.dtype and same_quant(tensor.quant, call.output.quant):
        return value
    if call.output.dtype == WIDE:
        change = Layer(call.layer.name, "requantize", (tensor.name,), (call.output.name,))
        return function(Call(call.graph, change, (value,)))
    return quantize_array(dequantize_array(value, call.quant(index)), call.output_quant, call.output.dtype)


def same_quant(a: Quant | None, b: Quant | None) -> bool:
    """Return whether two quantizations map every integer to the same real number."""
    if a is None or b is None:
        return a is b
    return a.axis == b.axis and np.array_equal(a.scale, b.scale) and np.array_equal(a.zero_point, b.zero_point)


def slice_(call: Call) -> Array:
    """x[starts : : steps], as many elements as the result has."""
    index = []
    for start, step, extent in zip(call.attr("starts"), call.attr("steps"), call.output.shape, strict=True):
        index.append(start + step * np.arange(extent))
    return np.asarray(call.x[np.ix_(*index)])


def pad(call: Call) -> Array:
    """x in a field of one value, quantized like the result."""
    fill = quantize_array(np.asarray(call.attr("value"), np.float32), call.output_quant, call.output.dtype)
    result = np.full(call.output.shape, fill, call.output.dtype)
    into, source = [], []
    for begin, extent, size in zip(call.attr("begin"), call.output.shape, call.x.shape, strict=True):
        into.append(slice(max(begin, 0), min(begin + size, extent)))
        source.append(slice(max(-begin, 0), min(size, extent - begin)))
    result[tuple(into)] = call.x[tuple(source)]
    return result


def reshape(call: Call) -> Array:
    """The same elements in row-major order."""
    return call.x.reshape(call.output.shape)


def transpose(call: Call) -> Array:
    """Axes permuted."""
    return np.ascontiguousarray(call.x.transpose(call.attr("perm")))
