"""Vector instructions that reduce windows of a tile: maximum, average, and the mean of a whole map.

A window starts at (y*stride_y - top, x*stride_x - left) of the tile's in_rows x in_cols pixels; what lies outside is
not there: it neither wins a maximum nor enters a sum.
"""

from __future__ import annotations

import numpy as np

from accelc.chip.timing import Timing
from accelc.isa import events as ev
from accelc.isa.core import F32, S12, U8, U12, U16, U24, U32, ActAddr, Array, Memory, Queue, instruction


@instruction(0x30, Queue.VECTOR)
def max_pool(
    m: Memory,
    src: ActAddr,
    src_row: U24,
    src_col: U16,
    in_rows: U16,
    in_cols: U16,
    rows: U16,
    cols: U16,
    top: S12,
    left: S12,
    kernel_y: U12,
    kernel_x: U12,
    stride_y: U8,
    stride_x: U8,
    dilation_y: U8,
    dilation_x: U8,
    n: U16,
    dst: ActAddr,
    dst_col: U16,
) -> None:
    """act[dst + (y*cols+x)*dst_col + j] = max over the window of act[src + r*src_row + c*src_col + j]; an empty window gives 0."""
    for y in range(rows):
        for x in range(cols):
            for j in range(n):
                best = 0
                for ky in range(kernel_y):
                    for kx in range(kernel_x):
                        r = y * stride_y - top + ky * dilation_y
                        q = x * stride_x - left + kx * dilation_x
                        if 0 <= r < in_rows and 0 <= q < in_cols:
                            best = max(best, int(m.act[src + r * src_row + q * src_col + j]))
                m.act[dst + (y * cols + x) * dst_col + j] = best


@instruction(0x31, Queue.VECTOR)
def avg_pool(
    m: Memory,
    src: ActAddr,
    src_row: U24,
    src_col: U16,
    in_rows: U16,
    in_cols: U16,
    rows: U16,
    cols: U16,
    top: S12,
    left: S12,
    bottom: S12,
    right: S12,
    kernel_y: U8,
    kernel_x: U8,
    stride_y: U8,
    stride_x: U8,
    dilation_y: U8,
    dilation_x: U8,
    n: U16,
    dst: ActAddr,
    dst_col: U16,
    scale_src: F32,
    scale_dst: F32,
    zero_src: U8,
    zero_dst: U8,
    excess_dst: U8,
) -> None:
    """act[dst...] = clip(rint(f32(f32(mean / scale_dst) + zero_dst - excess_dst)) + excess_dst, 0, 255).

    mean is the float32 sum, row by row, of f32((act - zero_src) * scale_src), over the number of window positions inside
    the tile widened by top, left, bottom and right where those count (bottom >= 0), or inside the tile alone (bottom = -1).
    """
    sx = np.float32(scale_src)
    sy = np.float32(scale_dst)
    zy = np.float32(zero_dst - excess_dst)
    for y in range(rows):
        for x in range(cols):
            for j in range(n):
                total = np.float32(0)
                count = 0
                for ky in range(kernel_y):
                    for kx in range(kernel_x):
                        r = y * stride_y - top + ky * dilation_y
                        q = x * stride_x - left + kx * dilation_x
                        if 0 <= r < in_rows and 0 <= q < in_cols:
                            v = int(m.act[src + r * src_row + q * src_col + j]) - zero_src
                            total = np.float32(total + np.float32(v) * sx)
                            count += 1
                        elif bottom >= 0 and r < in_rows + bottom and q < in_cols + right:
                            count += 1
                mean = np.float32(total / np.float32(max(count, 1)))
                real = np.float32(np.float32(mean / sy) + zy)
                m.act[dst + (y * cols + x) * dst_col + j] = min(max(int(np.rint(real)) + excess_dst, 0), 255)


@max_pool.cycles
def _(c: Timing, rows: int, cols: int, kernel_y: int, kernel_x: int, n: int) -> tuple[int, int, int]:
    return rows * cols * kernel_y * kernel_x * ((n + c.vector_lanes - 1) // c.vector_lanes), c.vector_latency, 0


@avg_pool.cycles
def _(c: Timing, rows: int, cols: int, kernel_y: int, kernel_x: int, n: int) -> tuple[int, int, int]:
    return rows * cols * (kernel_y * kernel_x + 2) * ((n + c.vector_lanes - 1) // c.vector_lanes), c.vector_latency, 0


def _touches_window(
    t: Array, src: int, src_row: int, src_col: int, in_rows: int, in_cols: int, rows: int, cols: int, n: int,
    dst: int, dst_col: int,
) -> int:
    t[0, 0] = 1
    t[0, 1] = src
    t[0, 2] = src + (in_rows - 1) * src_row + (in_cols - 1) * src_col + n
    t[0, 3] = 0
    t[1, 0] = 1
    t[1, 1] = dst
    t[1, 2] = dst + (rows * cols - 1) * dst_col + n
    t[1, 3] = 1
    return 2


def _events_window(e: Array, c: Timing, rows: int, cols: int, kernel_y: int, kernel_x: int, n: int) -> None:
    e[ev.VECTOR_OP] += rows * cols * kernel_y * kernel_x * n
    e[ev.ACT_READ_BYTES] += rows * cols * kernel_y * kernel_x * n
    e[ev.ACT_WRITE_BYTES] += rows * cols * n


def _rule_window(
    rows: int, cols: int, in_rows: int, in_cols: int, kernel_y: int, kernel_x: int, stride_y: int, stride_x: int,
    dilation_y: int, dilation_x: int, n: int, src: int, src_row: int, src_col: int, dst: int, dst_col: int,
) -> str:
    extents = (rows, cols, in_rows, in_cols, kernel_y, kernel_x, stride_y, stride_x, dilation_y, dilation_x, n)
    if not all(extents):
        return "every extent, stride and dilation must be at least 1"
    src_end = src + (in_rows - 1) * src_row + (in_cols - 1) * src_col + n
    dst_end = dst + (rows * cols - 1) * dst_col + n
    overlap = src < dst_end and dst < src_end  # a window would read what another has written
    return f"dst={dst} to {dst_end} overlaps src={src} to {src_end}" if overlap else ""


for _made in (max_pool, avg_pool):
    _made.touches(_touches_window)
    _made.events(_events_window)
    _made.rule(_rule_window)


@instruction(0x32, Queue.VECTOR)
def mean(
    m: Memory,
    src: ActAddr,
    src_col: U16,
    pixels: U24,
    n: U16,
    dst: ActAddr,
    scale: F32,
    zero_src: U8,
    zero_dst: U8,
) -> None:
    """act[dst + j] = rint(clip(f32(sum_p act[src + p*src_col + j] - zero_src) * scale, -zero_dst, 255 - zero_dst)) + zero_dst."""
    s = np.float32(scale)
    least = np.float32(-zero_dst)
    most = np.float32(255 - zero_dst)
    for j in range(n):
        total = 0
        for p in range(pixels):
            total += int(m.act[src + p * src_col + j]) - zero_src
        real = np.float32(total) * s
        m.act[dst + j] = int(np.rint(min(max(real, least), most))) + zero_dst


@mean.cycles
def _(c: Timing, pixels: int, n: int) -> tuple[int, int, int]:
    return (pixels + 1) * ((n + c.vector_lanes - 1) // c.vector_lanes), c.vector_latency, 0


@mean.touches
def _(t: Array, src: int, src_col: int, pixels: int, n: int, dst: int) -> int:
    t[0, 0] = 1
    t[0, 1] = src
    t[0, 2] = src + (pixels - 1) * src_col + n
    t[0, 3] = 0
    t[1, 0] = 1
    t[1, 1] = dst
    t[1, 2] = dst + n
    t[1, 3] = 1
    return 2


@mean.rule
def _(pixels: int, n: int) -> str:
    return "" if pixels and n else f"pixels={pixels} and n={n} must be at least 1"


@mean.events
def _(e: Array, c: Timing, pixels: int, n: int) -> None:
    e[ev.VECTOR_OP] += (pixels + 3) * n
    e[ev.ACT_READ_BYTES] += pixels * n
    e[ev.ACT_WRITE_BYTES] += n


@instruction(0x35, Queue.VECTOR)
def mean_fixed(
    m: Memory,
    src: ActAddr,
    src_col: U16,
    pixels: U24,
    n: U16,
    dst: ActAddr,
    multiplier: U32,
    shift: S12,
    zero_src: U8,
    zero_dst: U8,
) -> None:
    """act[dst + j] = clip(rounding_shift(high_mul(sum_p act[src + p*src_col + j] - zero_src, multiplier), shift) + zero_dst, 0, 255).

    `high_mul` and the shift are those of requantize_fixed: to the left, before the product, where it is negative.
    """
    for j in range(n):
        total = 0
        for p in range(pixels):
            total += int(m.act[src + p * src_col + j]) - zero_src
        right = max(shift, 0)
        left = max(-shift, 0)
        product = ((((total << left) + 0x80000000) & 0xFFFFFFFF) - 0x80000000) * multiplier
        upper = product + (1073741824 if product >= 0 else 1 - 1073741824)
        doubled = upper >> 31 if upper >= 0 else -((-upper) >> 31)
        mask = (1 << right) - 1
        threshold = (mask >> 1) + (1 if doubled < 0 else 0)
        value = (doubled >> right) + (1 if (doubled & mask) > threshold else 0)
        m.act[dst + j] = min(max(value + zero_dst, 0), 255)


@mean_fixed.rule
def _(pixels: int, n: int, multiplier: int, shift: int) -> str:
    if not (pixels and n):
        return f"pixels={pixels} and n={n} must be at least 1"
    if multiplier >= 1 << 31:
        return f"multiplier={multiplier} must be below 2^31"
    return "" if -31 <= shift <= 31 else f"shift={shift} must lie in -31 to 31"


mean_fixed.cycles(mean.clauses["cycles"])
mean_fixed.touches(mean.clauses["touches"])


@mean_fixed.events
def _(e: Array, c: Timing, pixels: int, n: int) -> None:
    e[ev.VECTOR_OP] += (pixels + 4) * n
    e[ev.ACT_READ_BYTES] += pixels * n
    e[ev.ACT_WRITE_BYTES] += n
