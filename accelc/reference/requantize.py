"""From int32 sums to 8-bit values, in the two modes, and from int64 sums to 16-bit values."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from accelc.graph import Array


def requantize_float(acc: Array, scale: Array, zero: int, bounds: tuple[int, int]) -> npt.NDArray[np.float32]:
    """Return rint(clip(f32(f32(acc) * scale), low - zero, high - zero)) + zero as float32."""
    real: npt.NDArray[np.float32] = acc.astype(np.float32)
    np.multiply(real, scale, out=real)
    np.clip(real, np.float32(bounds[0] - zero), np.float32(bounds[1] - zero), out=real)
    np.rint(real, out=real)
    real += np.float32(zero)
    return real


def requantize_fixed(
    acc: Array, multiplier: Array, shift: Array, zero: int, bounds: tuple[int, int]
) -> npt.NDArray[np.int64]:
    """Return acc times multiplier * 2**-31 * 2**-shift plus zero, clamped: two roundings, halves away from zero."""
    left = np.maximum(-shift, 0).astype(np.int64)
    right = np.maximum(shift, 0).astype(np.int64)
    shifted = (acc.astype(np.int64) << left).astype(np.int32).astype(np.int64)
    product = shifted * multiplier.astype(np.int64)
    nudged = product + np.where(product >= 0, 1 << 30, 1 - (1 << 30))
    # The doubled product's upper half: a division by 2**31 that truncates toward zero.
    upper = np.where(nudged >= 0, nudged >> 31, -((-nudged) >> 31))
    half = np.where(right > 0, np.int64(1) << np.maximum(right - 1, 0), 0)
    rounded = np.sign(upper) * ((np.abs(upper) + half) >> right)
    return np.asarray(np.clip(rounded + zero, *bounds))


def requantize_wide(acc: Array, scale: Array, bounds: tuple[int, int]) -> npt.NDArray[np.int16]:
    """Return rint(clip(f64(acc) * f64(scale), low, high)) of int64 sums as int16."""
    real = acc.astype(np.float64) * scale.astype(np.float64)
    return np.asarray(np.rint(np.clip(real, *bounds)).astype(np.int16))
