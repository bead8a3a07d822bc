"""Fast forms of the int16 instructions that reduce windows, maps and channels: see accelc.isa.wide_window."""

from __future__ import annotations

import numpy as np

from accelc.isa.core import Memory
from accelc.isa.normalize import power
from accelc.isa.wide_window import EXP_SCALE, LEAST, MOST, E
from accelc.sim.jit import kernel
from accelc.sim.kernels.ir import rint
from accelc.sim.kernels.normalize import power_row


@kernel
def max_pool16(
    m: Memory, src: int, src_row: int, src_col: int, in_rows: int, in_cols: int, rows: int, cols: int, top: int,
    left: int, kernel_y: int, kernel_x: int, stride_y: int, stride_x: int, dilation_y: int, dilation_x: int, n: int,
    dst: int, dst_col: int,
) -> None:
    """Maximum of each window, all channels of a pixel side by side."""
    row = np.empty(n, np.int16)
    for y in range(rows):
        for x in range(cols):
            for j in range(n):
                row[j] = LEAST
            for ky in range(kernel_y):
                r = y * stride_y - top + ky * dilation_y
                if 0 <= r < in_rows:
                    for kx in range(kernel_x):
                        q = x * stride_x - left + kx * dilation_x
                        if 0 <= q < in_cols:
                            at = src + r * src_row + q * src_col
                            values = m.act[at : at + 2 * n].view(np.int16)
                            for j in range(n):
                                row[j] = max(row[j], values[j])
            to = dst + (y * cols + x) * dst_col
            out = m.act[to : to + 2 * n].view(np.int16)
            for j in range(n):
                out[j] = row[j]


@kernel
def avg_pool16(
    m: Memory, src: int, src_row: int, src_col: int, in_rows: int, in_cols: int, rows: int, cols: int, top: int,
    left: int, bottom: int, right: int, kernel_y: int, kernel_x: int, stride_y: int, stride_x: int, dilation_y: int,
    dilation_x: int, n: int, dst: int, dst_col: int, scale_src: float, scale_dst: float,
) -> None:
    """Mean of each window in float32, in the order of the window, all channels of a pixel side by side."""
    sums = np.empty(n, np.float32)
    least, most = np.float32(LEAST), np.float32(MOST)
    for y in range(rows):
        for x in range(cols):
            for j in range(n):
                sums[j] = np.float32(0)
            count = 0
            for ky in range(kernel_y):
                r = y * stride_y - top + ky * dilation_y
                for kx in range(kernel_x):
                    q = x * stride_x - left + kx * dilation_x
                    if 0 <= r < in_rows and 0 <= q < in_cols:
                        at = src + r * src_row + q * src_col
                        values = m.act[at : at + 2 * n].view(np.int16)
                        for j in range(n):
                            sums[j] += np.float32(values[j]) * scale_src
                        count += 1
                    elif bottom >= 0 and r < in_rows + bottom and q < in_cols + right:
                        count += 1
            to = dst + (y * cols + x) * dst_col
            out = m.act[to : to + 2 * n].view(np.int16)
            over = np.float32(max(count, 1))
            for j in range(n):
                out[j] = np.int16(np.int32(rint(min(max(sums[j] / over / scale_dst, least), most))))


@kernel
def mean16(m: Memory, src: int, src_col: int, pixels: int, n: int, dst: int, scale: float) -> None:
    """Mean of each channel over all pixels, from an exact sum."""
    sums = np.zeros(n, np.int64)
    for p in range(pixels):
        values = m.act[src + p * src_col : src + p * src_col + 2 * n].view(np.int16)
        for j in range(n):
            sums[j] += np.int64(values[j])
    out = m.act[dst : dst + 2 * n].view(np.int16)
    for j in range(n):
        real = np.float64(sums[j]) * np.float64(scale)
        out[j] = np.int16(np.rint(min(max(real, np.float64(LEAST)), np.float64(MOST))))


@kernel
def softmax16(
    m: Memory, src: int, src_col: int, dst: int, dst_col: int, pixels: int, n: int, scale_src: float, scale_dst: float
) -> None:
    """Each pixel's share of each channel's exponential."""
    terms = np.empty(n, np.int64)
    step = -np.float64(scale_src)
    factor = np.float64(1.0) / np.float64(scale_dst)
    for p in range(pixels):
        values = m.act[src + p * src_col : src + p * src_col + 2 * n].view(np.int16)
        out = m.act[dst + p * dst_col : dst + p * dst_col + 2 * n].view(np.int16)
        top = np.int64(LEAST)
        for j in range(n):
            top = max(top, np.int64(values[j]))
        total = np.int64(0)
        for j in range(n):
            terms[j] = np.int64(np.rint(EXP_SCALE * power(E, np.float64(top - np.int64(values[j])) * step)))
            total += terms[j]
        for j in range(n):
            real = np.float64(terms[j]) * factor / np.float64(total)
            out[j] = np.int16(min(np.rint(real), np.float64(MOST)))


@kernel
def lrn16(
    m: Memory, src: int, src_col: int, dst: int, dst_col: int, pixels: int, n: int, before: int, after: int,
    square_scale: float, bias: float, exponent: float, scale_src: float, scale_dst: float,
) -> None:
    """Local response normalization: a sliding sum of squares, and one power for each element."""
    base, factor = np.empty(n, np.float64), np.empty(n, np.float64)
    least, most = np.float32(LEAST), np.float32(MOST)
    for p in range(pixels):
        values = m.act[src + p * src_col : src + p * src_col + 2 * n].view(np.int16)
        out = m.act[dst + p * dst_col : dst + p * dst_col + 2 * n].view(np.int16)
        total = np.int64(0)
        for k in range(min(after, n)):
            total += np.int64(values[k]) ** 2
        for j in range(n):
            if j + after < n:
                total += np.int64(values[j + after]) ** 2
            if j > before:
                total -= np.int64(values[j - before - 1]) ** 2
            base[j] = np.float64(np.float32(total) * square_scale + bias)
        power_row(base, np.float64(exponent), factor)
        for j in range(n):
            real = np.float32(values[j]) * scale_src * np.float32(factor[j]) / scale_dst
            out[j] = np.int16(np.int32(rint(min(max(real, least), most))))
