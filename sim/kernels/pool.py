"""Fast forms of the instructions that reduce windows; their plain definitions stand in accelc.isa.pool."""

from __future__ import annotations

import numpy as np

from accelc.isa.core import Memory
from accelc.sim.jit import kernel
from accelc.sim.kernels.ir import address, rint
from accelc.sim.kernels.vector import FAR, fixed
from accelc.sim.kernels.window import WIDE, maximum_of_window

CHUNK = 64  # channels whose sums are kept at a time


@kernel
def _whole_maximum(
    m: Memory, src: int, src_row: int, src_col: int, in_rows: int, in_cols: int, top: int, left: int, kernel_y: int,
    kernel_x: int, n: int, to: int,
) -> bool:
    """Write the maximum of a window of neighbors, cut to the map; say whether it is one that lies apart from them."""
    first_y, first_x = max(top, 0), max(left, 0)
    taps_y, taps_x = min(top + kernel_y, in_rows) - first_y, min(left + kernel_x, in_cols) - first_x
    source = src + first_y * src_row + first_x * src_col
    end = source + (taps_y - 1) * src_row + (taps_x - 1) * src_col + n
    if taps_y < 1 or taps_x < 1 or (to < end and source < to + n):
        return False
    base = address(m.act)
    maximum_of_window(base + to, base + source, taps_y, taps_x, src_row, src_col, n // WIDE)
    return True


@kernel
def max_pool(
    m: Memory, src: int, src_row: int, src_col: int, in_rows: int, in_cols: int, rows: int, cols: int, top: int,
    left: int, kernel_y: int, kernel_x: int, stride_y: int, stride_x: int, dilation_y: int, dilation_x: int, n: int,
    dst: int, dst_col: int,
) -> None:
    """Maximum of each window, all channels of a pixel side by side."""
    row = np.empty(n, np.uint8)
    plain = dilation_y == 1 and dilation_x == 1 and n % WIDE == 0
    for y in range(rows):
        for x in range(cols):
            if plain and _whole_maximum(
                m, src, src_row, src_col, in_rows, in_cols, y * stride_y - top, x * stride_x - left, kernel_y, kernel_x,
                n, dst + (y * cols + x) * dst_col,
            ):
                continue
            for j in range(n):
                row[j] = 0
            for ky in range(kernel_y):
                r = y * stride_y - top + ky * dilation_y
                if 0 <= r < in_rows:
                    for kx in range(kernel_x):
                        q = x * stride_x - left + kx * dilation_x
                        if 0 <= q < in_cols:
                            at = src + r * src_row + q * src_col
                            values = m.act[at : at + n]
                            for j in range(n):
                                row[j] = max(row[j], values[j])
            to = dst + (y * cols + x) * dst_col
            out = m.act[to : to + n]
            for j in range(n):
                out[j] = row[j]


@kernel
def avg_pool(
    m: Memory, src: int, src_row: int, src_col: int, in_rows: int, in_cols: int, rows: int, cols: int, top: int,
    left: int, bottom: int, right: int, kernel_y: int, kernel_x: int, stride_y: int, stride_x: int, dilation_y: int,
    dilation_x: int, n: int, dst: int, dst_col: int, scale_src: float, scale_dst: float, zero_src: int, zero_dst: int,
    excess_dst: int,
) -> None:
    """Mean of each window in float32, in the order of the window, all channels of a pixel side by side."""
    sums = np.empty(n, np.float32)
    zero, excess = np.int32(zero_src), np.int32(excess_dst)
    shift = np.float32(zero_dst - excess_dst)
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
                        values = m.act[at : at + n]
                        for j in range(n):
                            sums[j] += np.float32(np.int32(np.int32(values[j]) - zero)) * scale_src
                        count += 1
                    elif bottom >= 0 and r < in_rows + bottom and q < in_cols + right:
                        count += 1
            to = dst + (y * cols + x) * dst_col
            out = m.act[to : to + n]
            over = np.float32(max(count, 1))
            for j in range(n):
                real = min(max(sums[j] / over / scale_dst + shift, -FAR), FAR)
                out[j] = np.uint8(min(max(np.int32(np.int32(rint(real)) + excess), np.int32(0)), np.int32(255)))


@kernel
def mean(
    m: Memory, src: int, src_col: int, pixels: int, n: int, dst: int, scale: float, zero_src: int, zero_dst: int
) -> None:
    """Mean of each channel over all pixels, from an exact sum."""
    sums = np.zeros(n, np.int64)
    for p in range(pixels):
        values = m.act[src + p * src_col : src + p * src_col + n]
        for j in range(n):
            sums[j] += np.int64(values[j])
    least = np.float32(-zero_dst)
    most = np.float32(255 - zero_dst)
    for j in range(n):
        real = np.float32(sums[j] - pixels * zero_src) * scale
        m.act[dst + j] = np.uint8(np.int32(rint(min(max(real, least), most))) + np.int32(zero_dst))


@kernel
def mean_fixed(
    m: Memory, src: int, src_col: int, pixels: int, n: int, dst: int, multiplier: int, shift: int, zero_src: int,
    zero_dst: int,
) -> None:
    """Mean of each channel over all pixels by a multiplier and a shift."""
    sums = np.zeros(n, np.int64)
    for p in range(pixels):
        values = m.act[src + p * src_col : src + p * src_col + n]
        for j in range(n):
            sums[j] += np.int64(values[j])
    for j in range(n):
        value = fixed(sums[j] - pixels * zero_src, multiplier, shift) + zero_dst
        m.act[dst + j] = np.uint8(min(max(value, 0), 255))
