"""Fast forms of the instructions that normalize across channels, which accelc.isa.normalize defines."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from accelc.isa.core import Memory
from accelc.isa.normalize import LN_2, LOG2_E, SQRT_HALF
from accelc.sim.jit import kernel
from accelc.sim.kernels.ir import rint

SIGN_AND_FRACTION = np.int64(-0x7FF0000000000001)  # every bit of a float64 but its exponent
HALF_EXPONENT = np.int64(1022) << 52


@kernel
def softmax(
    m: Memory, src: int, src_col: int, dst: int, dst_col: int, pixels: int, n: int, table: int, scale_dst: float,
    zero_dst: int,
) -> None:
    """Each pixel's share of each channel's exponential, from a table of exponentials."""
    held = m.wgt[table : table + 1024].view(np.int32)
    factor = np.float64(1.0) / np.float64(scale_dst)
    for p in range(pixels):
        values = m.act[src + p * src_col : src + p * src_col + n]
        out = m.act[dst + p * dst_col : dst + p * dst_col + n]
        top = np.int64(0)
        for j in range(n):
            top = np.int64(max(top, np.int64(values[j])))
        total = np.int64(0)
        for j in range(n):
            total += np.int64(held[top - np.int64(values[j])])
        over = np.float64(max(total, np.int64(1)))
        for j in range(n):
            real = np.float64(held[top - np.int64(values[j])]) * factor / over
            out[j] = np.uint8(min(np.rint(real) + np.float64(zero_dst), 255.0))


@kernel
def power_row(t: npt.NDArray[np.float64], exponent: float, result: npt.NDArray[np.float64]) -> None:
    """Do result[j] = power(t[j], exponent) as accelc.isa.normalize does, taking float64s apart by their bits."""
    bits, made = t.view(np.int64), result.view(np.int64)
    for j in range(len(t)):
        made[j] = (bits[j] & SIGN_AND_FRACTION) | HALF_EXPONENT
    for j in range(len(t)):
        f = result[j] if t[j] != 0.0 else 0.0
        e = np.float64(((bits[j] >> 52) & 2047) - 1022) if t[j] != 0.0 else 0.0
        small = f < SQRT_HALF
        f = f + f if small else f
        e = e - 1.0 if small else e
        s = (f - 1.0) / (f + 1.0)
        z = s * s
        series = 2.0 / 19.0
        for k in (17.0, 15.0, 13.0, 11.0, 9.0, 7.0, 5.0, 3.0, 1.0):
            series = series * z + 2.0 / k
        w = (series * s * LOG2_E + e) * exponent
        whole = min(max(math.floor(w + 0.5), -1000.0), 1000.0)
        g = (w - whole) * LN_2
        value = 1.0
        for k in (13.0, 12.0, 11.0, 10.0, 9.0, 8.0, 7.0, 6.0, 5.0, 4.0, 3.0, 2.0, 1.0):
            value = value * g / k + 1.0
        result[j] = value
        bits[j] = (np.int64(whole) + 1023) << 52
    for j in range(len(t)):
        result[j] *= t[j]


@kernel
def lrn(
    m: Memory, src: int, src_col: int, dst: int, dst_col: int, pixels: int, n: int, before: int, after: int,
    square_scale: float, bias: float, exponent: float, scale_src: float, scale_dst: float, zero_src: int,
    zero_dst: int,
) -> None:
    """Local response normalization: a sliding sum of squares, and one power for each element."""
    base, factor = np.empty(n, np.float64), np.empty(n, np.float64)
    least, most = np.float32(-zero_dst), np.float32(255 - zero_dst)
    zero = np.int32(zero_src)
    for p in range(pixels):
        values = m.act[src + p * src_col : src + p * src_col + n]
        out = m.act[dst + p * dst_col : dst + p * dst_col + n]
        total = np.int64(0)
        for k in range(min(after, n)):
            total += (np.int64(values[k]) - zero_src) ** 2
        for j in range(n):
            if j + after < n:
                total += (np.int64(values[j + after]) - zero_src) ** 2
            if j > before:
                total -= (np.int64(values[j - before - 1]) - zero_src) ** 2
            base[j] = np.float64(np.float32(total) * square_scale + bias)
        power_row(base, np.float64(exponent), factor)
        for j in range(n):
            v = np.float32(np.int32(np.int32(values[j]) - zero))
            real = v * scale_src * np.float32(factor[j]) / scale_dst
            out[j] = np.uint8(np.int32(rint(min(max(real, least), most))) + np.int32(zero_dst))
