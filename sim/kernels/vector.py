"""Fast forms of the vector unit's element by element instructions; their plain definitions stand in accelc.isa.vector.

Results pass through a short row of their own, so that the compiler may use vector instructions although source and
destination lie in one array; where they overlap by less than that row, one element goes at a time, as defined.
"""

from __future__ import annotations

import numpy as np

from accelc.isa.core import Memory
from accelc.sim.jit import kernel
from accelc.sim.kernels.ir import add_words, address, fma, rint

CHUNK = 64  # elements that pass through the row at a time
FAR = np.float32(1048576)  # beyond every clamp; keeps conversions to int32 defined


@kernel
def chunk_of(dst: int, a: int, b: int) -> int:
    """Return how many elements may be read before the first is written, with the same result."""
    return 1 if 0 < dst - a < CHUNK or 0 < dst - b < CHUNK else CHUNK


@kernel
def requantize(
    m: Memory, acc: int, acc_col: int, dst: int, dst_col: int, pixels: int, n: int, params: int, zero_point: int,
    low: int, high: int,
) -> None:
    """Partial sums to bytes by one float32 product."""
    bias = m.wgt[params : params + 4 * n].view(np.int32)
    scale = m.wgt[params + 4 * n : params + 8 * n].view(np.float32)
    least = np.float32(low - zero_point)
    most = np.float32(high - zero_point)
    zero = np.int32(zero_point)
    for p in range(pixels):
        total = m.acc[acc + p * acc_col : acc + p * acc_col + n]
        out = m.act[dst + p * dst_col : dst + p * dst_col + n]
        for j in range(n):
            real = np.float32(np.int32(total[j] + bias[j])) * scale[j]
            out[j] = np.uint8(np.int32(rint(min(max(real, least), most))) + zero)


@kernel
def fixed(total: int, multiplier: int, shift: int) -> int:
    """Return the int32 total times multiplier / 2^31, shifted: see requantize_fixed."""
    right = min(max(shift, 0), 40)
    left = min(max(-shift, 0), 32)
    total = int(np.int32(total << left))
    product = total * multiplier
    upper = product + (1073741824 if product >= 0 else 1 - 1073741824)
    doubled = min(upper >> 31 if upper >= 0 else -((-upper) >> 31), 2147483647)
    mask = (1 << right) - 1
    threshold = (mask >> 1) + (1 if doubled < 0 else 0)
    return (doubled >> right) + (1 if (doubled & mask) > threshold else 0)


@kernel
def requantize_fixed(
    m: Memory, acc: int, acc_col: int, dst: int, dst_col: int, pixels: int, n: int, params: int, zero_point: int,
    low: int, high: int,
) -> None:
    """Partial sums to bytes by a 31-bit multiplier and a shift."""
    bias = m.wgt[params : params + 4 * n].view(np.int32)
    multiplier = m.wgt[params + 4 * n : params + 8 * n].view(np.int32)
    shift = m.wgt[params + 8 * n : params + 12 * n].view(np.int32)
    for p in range(pixels):
        sums = m.acc[acc + p * acc_col : acc + p * acc_col + n]
        out = m.act[dst + p * dst_col : dst + p * dst_col + n]
        for j in range(n):
            total = int(np.int32(sums[j] + bias[j]))
            value = fixed(total, int(multiplier[j]), int(shift[j])) + zero_point
            out[j] = np.uint8(min(max(value, low), high))


@kernel
def drain(
    m: Memory, acc: int, acc_col: int, dst: int, dst_col: int, pixels: int, n: int, params: int
) -> None:
    """Partial sums with bias to four bytes each."""
    bias = address(m.wgt) + params
    for p in range(pixels):
        add_words(address(m.act) + dst + p * dst_col, address(m.acc) + 4 * (acc + p * acc_col), bias, n)


@kernel
def add(
    m: Memory, a: int, a_col: int, b: int, b_col: int, dst: int, dst_col: int, pixels: int, n: int, scale_a: float,
    scale_b: float, offset: float, excess_a: int, excess_b: int, excess_dst: int, low: int, high: int,
) -> None:
    """Weighted sum of two tiles, rounded once per fma."""
    row = np.empty(CHUNK, np.uint8)
    xa, xb, xd = np.int32(excess_a), np.int32(excess_b), np.int32(excess_dst)
    least, most = np.int32(low), np.int32(high)
    for p in range(pixels):
        pa, pb, pd = a + p * a_col, b + p * b_col, dst + p * dst_col
        chunk = chunk_of(pd, pa, pb)
        for j in range(0, n, chunk):
            some = min(chunk, n - j)
            va, vb = m.act[pa + j : pa + j + some], m.act[pb + j : pb + j + some]
            for k in range(some):
                fa, fb = np.float32(np.int32(np.int32(va[k]) - xa)), np.float32(np.int32(np.int32(vb[k]) - xb))
                real = min(max(rint(fma(fa, scale_a, fma(fb, scale_b, offset))), -FAR), FAR)
                row[k] = np.uint8(min(max(np.int32(np.int32(real) + xd), least), most))
            out = m.act[pd + j : pd + j + some]
            for k in range(some):
                out[k] = row[k]


@kernel
def mul(
    m: Memory, a: int, a_col: int, b: int, b_col: int, dst: int, dst_col: int, pixels: int, n: int, scale: float,
    zero_a: int, zero_b: int, zero_point: float, excess_dst: int, low: int, high: int,
) -> None:
    """Scaled product of two tiles."""
    row = np.empty(CHUNK, np.uint8)
    za, zb, xd = np.int32(zero_a), np.int32(zero_b), np.int32(excess_dst)
    least, most = np.int32(low), np.int32(high)
    for p in range(pixels):
        pa, pb, pd = a + p * a_col, b + p * b_col, dst + p * dst_col
        chunk = chunk_of(pd, pa, pb)
        for j in range(0, n, chunk):
            some = min(chunk, n - j)
            va, vb = m.act[pa + j : pa + j + some], m.act[pb + j : pb + j + some]
            for k in range(some):
                product = np.int32(np.int32(np.int32(va[k]) - za) * np.int32(np.int32(vb[k]) - zb))
                real = min(max(np.float32(product) * scale + zero_point, -FAR), FAR)
                row[k] = np.uint8(min(max(np.int32(np.int32(rint(real)) + xd), least), most))
            out = m.act[pd + j : pd + j + some]
            for k in range(some):
                out[k] = row[k]


@kernel
def lookup(
    m: Memory, src: int, src_col: int, dst: int, dst_col: int, pixels: int, n: int, table: int, per_channel: int
) -> None:
    """Bytes through one table, or one table for each channel."""
    for p in range(pixels):
        values = m.act[src + p * src_col : src + p * src_col + n]
        out = m.act[dst + p * dst_col : dst + p * dst_col + n]
        for j in range(n):
            out[j] = np.uint8(m.wgt[table + 256 * j * per_channel + np.int64(values[j])])
