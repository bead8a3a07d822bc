"""Softmax and local response normalization."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from accelc.arithmetic import LN_2, LOG2_E, SQRT_HALF, lrn_constants, quantize_array, softmax_factor, softmax_table
from accelc.graph import Array
from accelc.reference.call import Call


def softmax(call: Call) -> Array:
    """Table entries by distance below the maximum, over their exact integer sum."""
    axis, x = int(call.attr("axis")), call.x.astype(np.int64)
    entries = softmax_table(call.quant(0), x.shape[axis]).astype(np.int64)
    terms = entries[x.max(axis=axis, keepdims=True) - x]
    total = terms.sum(axis=axis, keepdims=True)
    share = terms.astype(np.float64) * softmax_factor(call.output_quant) / total.astype(np.float64)
    result = np.rint(share) + float(call.output_quant.zero_point)
    return np.asarray(np.clip(result, *call.range).astype(call.output.dtype))


def lrn(call: Call) -> Array:
    """x times (bias + alpha / size * sum of squares over neighboring channels) to the power of -beta."""
    return normalized(call, np.int32)


def normalized(call: Call, sums: npt.DTypeLike) -> Array:
    """Return the local response normalization with sums of squares in an integer type."""
    constants = lrn_constants(call.layer, call.quant(0), call.output_quant)
    centered = call.x.astype(sums) - call.zero(0)
    squares = _window_sums(centered * centered, constants.before, constants.after)
    t = squares.astype(np.float32) * constants.square_scale + constants.bias
    factor = _power(t.astype(np.float64), constants.exponent).astype(np.float32)
    real = (centered.astype(np.float32) * constants.scale_in) * factor
    return quantize_array(real, call.output_quant, call.output.dtype)


def _window_sums(squares: Array, before: int, after: int) -> Array:
    channels = squares.shape[1]
    total = np.zeros_like(squares)
    for shift in range(-before, after + 1):
        low, high = max(0, -shift), min(channels, channels - shift)
        if low < high:
            total[:, low:high] += squares[:, low + shift : high + shift]
    return total


def _power(t: npt.NDArray[np.float64], exponent: float) -> npt.NDArray[np.float64]:
    """Return t**exponent by the steps of accelc.arithmetic.power, on arrays."""
    m, e = np.frexp(t)
    small = m < SQRT_HALF
    m, e = np.where(small, m + m, m), np.where(small, e - 1, e)
    s = (m - 1.0) / (m + 1.0)
    z = s * s
    series = np.full_like(t, 2.0 / 19.0)
    for k in range(17, 0, -2):
        series = series * z + 2.0 / k
    w = (series * s * LOG2_E + e) * exponent
    n = np.clip(np.floor(w + 0.5), -1000, 1000)
    g = (w - n) * LN_2
    result = np.ones_like(t)
    for k in range(13, 0, -1):
        result = result * g / k + 1.0
    return np.asarray(np.ldexp(result, n.astype(np.int32)))
