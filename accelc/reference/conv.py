"""Convolution and matrix product: exact sums by floating-point BLAS, then bias, wrap and requantization."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from accelc.arithmetic import centered_weights, fixed_multipliers, requantize_scales
from accelc.graph import WIDE, Array
from accelc.reference.call import Call, planes
from accelc.reference.requantize import requantize_fixed, requantize_float, requantize_wide
from accelc.reference.windows import Windows

# Columns unrolled at once, in elements; a few megabytes stay in the cache.
_CHUNK = 1 << 20

Finish = Callable[[Array], Array]


def conv(call: Call) -> Array:
    """Convolution of any stride, dilation, padding and group; padding contributes the zero point."""
    weights = centered_weights(call.tensor(1))
    dtype = _exact_type(weights, _span(call))
    x = _centered(planes(call.x), call.zero(0), dtype)
    windows = Windows.of(call.layer, (weights.shape[2], weights.shape[3]), call.output)
    padded = windows.padded(x, 0)
    group = int(call.attr("group"))
    finish = finisher(call, weights.shape[0])
    if weights.shape[1] == 1 and group > 1:
        result = _depthwise(padded, weights.astype(dtype), windows, finish)
    else:
        result = _unrolled(padded, weights.astype(dtype), windows, group, finish)
    return result.reshape(call.output.shape)


def fc(call: Call) -> Array:
    """Rows of x (M,K) times weights (N,K)."""
    weights = centered_weights(call.tensor(1))
    dtype, exact = (np.float64, 1 << 53) if call.tensor(0).dtype == WIDE else (np.float32, 1 << 24)
    x = _centered(call.x, call.zero(0), dtype).T
    sums = np.zeros((weights.shape[0], x.shape[1]), np.int64)
    # So few products at once that their sum stays exact: below 2**24 in float32, 2**53 in float64.
    step = max(1, (exact - 1) // (_span(call) * max(1, int(weights.max(initial=0)), -int(weights.min(initial=0)))))
    for start in range(0, weights.shape[1], step):
        part = slice(start, start + step)
        sums += (weights[:, part].astype(dtype) @ x[part]).astype(np.int64)
    return np.ascontiguousarray(finisher(call, weights.shape[0])(sums).T)


def _centered(x: Array, zero: int, dtype: npt.DTypeLike) -> Array:
    result: Array = x.astype(dtype)
    result -= zero
    return result


def _span(call: Call) -> int:
    """Return the greatest magnitude of an input less its zero point."""
    return 32768 if call.tensor(0).dtype == WIDE else 255


def _exact_type(weights: Array, span: int) -> npt.DTypeLike:
    # No partial sum of |x| * |w| may round: all stay below 2**24 in float32, 2**53 in float64; int64 may wrap.
    sums = np.abs(weights.astype(np.int64)).reshape(weights.shape[0], -1).sum(axis=1)
    reach = span * int(sums.max(initial=0))
    if reach >= 1 << 53:
        return np.int64
    return np.float32 if reach < 1 << 24 else np.float64


def _unrolled(padded: Array, weights: Array, windows: Windows, group: int, finish: Finish) -> Array:
    n, channels = padded.shape[:2]
    k, depth = weights.shape[0], int(np.prod(weights.shape[1:]))
    flat = weights.reshape(group, k // group, depth)
    rows, columns = windows.out
    view = windows.unrolled(padded)
    step = max(1, _CHUNK // (channels * windows.kernel[0] * windows.kernel[1] * columns))
    parts = []
    for image in range(n):
        for row in range(0, rows, step):
            piece = view[image, :, :, :, row : row + step, :]
            sums = np.matmul(flat, piece.reshape(group, depth, -1))
            parts.append(finish(sums.reshape(k, -1)).reshape(k, -1, columns))
    per_image = len(parts) // n
    images = [np.concatenate(parts[i : i + per_image], axis=1) for i in range(0, len(parts), per_image)]
    return np.stack(images)


def _depthwise(padded: Array, weights: Array, windows: Windows, finish: Finish) -> Array:
    n, channels = padded.shape[:2]
    k = weights.shape[0]
    per = weights.reshape(channels, k // channels, *weights.shape[2:])
    sums = np.zeros((n, channels, k // channels, *windows.out), padded.dtype)
    for ky, kx, tap in windows.taps(padded):
        sums += tap[:, :, None] * per[:, :, ky, kx, None, None]
    return np.stack([finish(image.reshape(k, -1)).reshape(k, *windows.out) for image in sums])


def finisher(call: Call, channels: int) -> Finish:
    """Return the function from exact sums (channels, positions) to results: bias, wrap to int32, requantization.

    Sums of 16-bit products wrap at 64 bits instead.
    """
    bias = np.zeros(channels, np.int64)
    if len(call.operands) > 2:
        bias = call.operands[2].astype(np.int64)
    narrow = _narrower(call, channels)
    wrap = np.int64 if call.tensor(0).dtype == WIDE else np.int32

    def finish(sums: Array) -> Array:
        return narrow((sums.astype(np.int64) + bias[:, None]).astype(wrap))

    return finish


def _narrower(call: Call, channels: int) -> Callable[[Array], Array]:
    output = call.output
    if output.quant is None and output.dtype == "int32":
        return lambda acc: acc
    x, w, y = call.quant(0), call.quant(1), call.output_quant
    zero, bounds = int(y.zero_point), call.bounds
    if output.dtype == WIDE:
        wide = requantize_scales(x, w, y, channels)[:, None]
        return lambda acc: requantize_wide(acc, wide, bounds)
    if call.fixed:
        multiplier, shift = (v[:, None] for v in fixed_multipliers(x, w, y, channels))
        return lambda acc: requantize_fixed(acc, multiplier, shift, zero, bounds).astype(output.dtype)
    scale = requantize_scales(x, w, y, channels)[:, None]
    return lambda acc: requantize_float(acc, scale, zero, bounds).astype(output.dtype)
