"""Maximum and average pools."""

from __future__ import annotations

import numpy as np

from accelc.arithmetic import fixed_multiplier, global_average_scale
from accelc.graph import Array
from accelc.reference.call import Call, planes
from accelc.reference.requantize import requantize_fixed, requantize_float
from accelc.reference.windows import Windows


def max_pool(call: Call) -> Array:
    """The greatest integer of each window; padding never wins, an empty window gives the type's least value."""
    windows = Windows.of(call.layer, call.attr("kernel"), call.output)
    lowest = call.range[0]
    padded = windows.padded(planes(call.x), lowest)
    best = np.full((*padded.shape[:2], *windows.out), lowest, padded.dtype)
    for _, _, tap in windows.taps(padded):
        np.maximum(best, tap, out=best)
    return best.reshape(call.output.shape)


def avg_pool(call: Call) -> Array:
    """The mean of each window's dequantized elements, summed in float32 in row-major order."""
    x, y = call.quant(0), call.output_quant
    windows = Windows.of(call.layer, call.attr("kernel"), call.output)
    field = planes(call.x)
    real = (field.astype(np.int32) - call.zero(0)).astype(np.float32) * np.float32(x.scale)
    padded = windows.padded(real, 0.0)
    total = np.zeros((*padded.shape[:2], *windows.out), np.float32)
    for _, _, tap in windows.taps(padded):
        total += tap
    counts = windows.counts(field.shape[2:], include_pads=bool(call.attr("count_include_pad")))
    mean = total / np.maximum(counts, 1).astype(np.float32)
    result = np.rint(mean / np.float32(y.scale) + np.float32(y.zero_point))
    return np.clip(result, *call.range).astype(call.output.dtype).reshape(call.output.shape)


def global_avg_pool(call: Call) -> Array:
    """The integer sum over all positions, requantized."""
    x, y = call.quant(0), call.output_quant
    field = planes(call.x)
    count = field.shape[2] * field.shape[3]
    total = field.sum(axis=(2, 3), dtype=np.int64) - count * call.zero(0)
    acc, zero = total.astype(np.int32), int(y.zero_point)
    if call.fixed:
        pair = fixed_multiplier(float(x.scale) / (float(y.scale) * count))
        result: Array = requantize_fixed(acc, np.asarray(pair[0]), np.asarray(pair[1]), zero, call.range)
    else:
        result = requantize_float(acc, np.asarray(global_average_scale(x, y, count)), zero, call.range)
    return result.astype(call.output.dtype).reshape(call.output.shape)


def global_max_pool(call: Call) -> Array:
    """The greatest integer of each channel."""
    return np.asarray(planes(call.x).max(axis=(2, 3))).reshape(call.output.shape)
