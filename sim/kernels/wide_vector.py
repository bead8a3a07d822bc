"""Fast forms of the element by element instructions on int16, which accelc.isa.wide_vector defines.

Results pass through a short row of their own as in `vector`: source and destination lie in one array.
"""

from __future__ import annotations

import numpy as np

from accelc.isa.core import Memory
from accelc.sim.jit import kernel
from accelc.sim.kernels.ir import fma, rint
from accelc.sim.kernels.vector import CHUNK


@kernel
def chunk_of(dst: int, a: int, b: int) -> int:
    """Return how many elements may be read before the first is written, with the same result."""
    return 1 if 0 < dst - a < 2 * CHUNK or 0 < dst - b < 2 * CHUNK else CHUNK


@kernel
def add16(
    m: Memory, a: int, a_col: int, b: int, b_col: int, dst: int, dst_col: int, pixels: int, n: int, scale_a: float,
    scale_b: float, low: int, high: int,
) -> None:
    """Weighted sum of two tiles, rounded once by the fma."""
    row = np.empty(CHUNK, np.int16)
    least, most = np.float32(low), np.float32(high)
    for p in range(pixels):
        pa, pb, pd = a + p * a_col, b + p * b_col, dst + p * dst_col
        chunk = chunk_of(pd, pa, pb)
        for j in range(0, n, chunk):
            some = min(chunk, n - j)
            va = m.act[pa + 2 * j : pa + 2 * (j + some)].view(np.int16)
            vb = m.act[pb + 2 * j : pb + 2 * (j + some)].view(np.int16)
            for k in range(some):
                real = fma(np.float32(va[k]), scale_a, np.float32(vb[k]) * scale_b)
                row[k] = np.int16(np.int32(min(max(rint(real), least), most)))
            out = m.act[pd + 2 * j : pd + 2 * (j + some)].view(np.int16)
            for k in range(some):
                out[k] = row[k]


@kernel
def mul16(
    m: Memory, a: int, a_col: int, b: int, b_col: int, dst: int, dst_col: int, pixels: int, n: int, scale: float,
    low: int, high: int,
) -> None:
    """Scaled product of two tiles."""
    row = np.empty(CHUNK, np.int16)
    least, most, factor = np.float64(low), np.float64(high), np.float64(scale)
    for p in range(pixels):
        pa, pb, pd = a + p * a_col, b + p * b_col, dst + p * dst_col
        chunk = chunk_of(pd, pa, pb)
        for j in range(0, n, chunk):
            some = min(chunk, n - j)
            va = m.act[pa + 2 * j : pa + 2 * (j + some)].view(np.int16)
            vb = m.act[pb + 2 * j : pb + 2 * (j + some)].view(np.int16)
            for k in range(some):
                real = np.float64(np.int32(np.int32(va[k]) * np.int32(vb[k]))) * factor
                row[k] = np.int16(np.rint(min(max(real, least), most)))
            out = m.act[pd + 2 * j : pd + 2 * (j + some)].view(np.int16)
            for k in range(some):
                out[k] = row[k]


@kernel
def lines16(
    m: Memory, src: int, src_col: int, dst: int, dst_col: int, pixels: int, n: int, params: int, per_channel: int,
    low: int, high: int,
) -> None:
    """Two straight lines that meet at 0, for all channels or for each."""
    held = m.wgt[params : params + 12 * (1 + (n - 1) * per_channel)].view(np.float32)
    row = np.empty(CHUNK, np.int16)
    least, most = np.float32(low), np.float32(high)
    for p in range(pixels):
        ps, pd = src + p * src_col, dst + p * dst_col
        chunk = chunk_of(pd, ps, ps)
        for j in range(0, n, chunk):
            some = min(chunk, n - j)
            values = m.act[ps + 2 * j : ps + 2 * (j + some)].view(np.int16)
            for k in range(some):
                of = 3 * (j + k) * per_channel
                slope = held[of] if values[k] >= 0 else held[of + 1]
                real = np.float32(values[k]) * slope + held[of + 2]
                row[k] = np.int16(np.int32(rint(min(max(real, least), most))))
            out = m.act[pd + 2 * j : pd + 2 * (j + some)].view(np.int16)
            for k in range(some):
                out[k] = row[k]


@kernel
def curve16(
    m: Memory, src: int, src_col: int, dst: int, dst_col: int, pixels: int, n: int, table: int, low: int, high: int
) -> None:
    """Interpolation between the 257 corners of a function."""
    held = m.wgt[table : table + 1028].view(np.int32)
    for p in range(pixels):
        values = m.act[src + p * src_col : src + p * src_col + 2 * n].view(np.int16)
        out = m.act[dst + p * dst_col : dst + p * dst_col + 2 * n].view(np.int16)
        for j in range(n):
            u = np.int64(values[j]) + 32768
            i, k = u >> 8, u & 255
            value = (np.int64(held[i]) * (256 - k) + np.int64(held[i + 1]) * k + 32768) >> 16
            out[j] = np.int16(min(max(value, np.int64(low)), np.int64(high)))
