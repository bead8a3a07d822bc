"""Vector instructions on tiles of 16-bit elements that reduce windows, maps and channels.

Elements are int16 at even byte addresses (see `wide`); addresses and steps count bytes, `n` elements. Windows are those
of `pool`; softmax and local response normalization follow `normalize`, with exponentials where it has a table.
"""

from __future__ import annotations

import numpy as np

from accelc.chip.timing import Timing
from accelc.isa import events as ev
from accelc.isa import normalize, pool
from accelc.isa.core import F32, S12, U8, U12, U16, U24, ActAddr, Array, Memory, Queue, instruction
from accelc.isa.normalize import power
from accelc.isa.wide import odd, read16, write16

E = 2.718281828459045
EXP_SCALE = 2147483647.0  # the integer that stands for exp(0)
LEAST, MOST = -32768, 32767


@instruction(0x57, Queue.VECTOR)
def max_pool16(
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
    """act[dst + (y*cols+x)*dst_col + 2*j] = max over the window of act[src + r*src_row + c*src_col + 2*j]; an empty window gives -32768."""
    for y in range(rows):
        for x in range(cols):
            for j in range(n):
                best = LEAST
                for ky in range(kernel_y):
                    for kx in range(kernel_x):
                        r = y * stride_y - top + ky * dilation_y
                        q = x * stride_x - left + kx * dilation_x
                        if 0 <= r < in_rows and 0 <= q < in_cols:
                            best = max(best, read16(m.act, src + r * src_row + q * src_col + 2 * j))
                write16(m.act, dst + (y * cols + x) * dst_col + 2 * j, best)


@instruction(0x58, Queue.VECTOR)
def avg_pool16(
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
) -> None:
    """act[dst...] = clip(rint(f32(mean / scale_dst)), -32768, 32767).

    mean is the float32 sum, row by row, of f32(act * scale_src), over the number of window positions inside the tile
    widened by top, left, bottom and right where those count (bottom >= 0), or inside the tile alone (bottom = -1).
    """
    sx = np.float32(scale_src)
    sy = np.float32(scale_dst)
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
                            v = read16(m.act, src + r * src_row + q * src_col + 2 * j)
                            total = np.float32(total + np.float32(v) * sx)
                            count += 1
                        elif bottom >= 0 and r < in_rows + bottom and q < in_cols + right:
                            count += 1
                real = np.float32(np.float32(total / np.float32(max(count, 1))) / sy)
                value = int(np.rint(min(max(real, np.float32(LEAST)), np.float32(MOST))))
                write16(m.act, dst + (y * cols + x) * dst_col + 2 * j, value)


max_pool16.cycles(pool.max_pool.clauses["cycles"])
avg_pool16.cycles(pool.avg_pool.clauses["cycles"])


@max_pool16.touches
def _(
    t: Array, src: int, src_row: int, src_col: int, in_rows: int, in_cols: int, rows: int, cols: int, n: int,
    dst: int, dst_col: int,
) -> int:
    t[0, 0] = 1
    t[0, 1] = src
    t[0, 2] = src + (in_rows - 1) * src_row + (in_cols - 1) * src_col + 2 * n
    t[0, 3] = 0
    t[1, 0] = 1
    t[1, 1] = dst
    t[1, 2] = dst + (rows * cols - 1) * dst_col + 2 * n
    t[1, 3] = 1
    return 2


@max_pool16.events
def _(e: Array, c: Timing, rows: int, cols: int, kernel_y: int, kernel_x: int, n: int) -> None:
    e[ev.VECTOR_OP] += rows * cols * kernel_y * kernel_x * n
    e[ev.ACT_READ_BYTES] += 2 * rows * cols * kernel_y * kernel_x * n
    e[ev.ACT_WRITE_BYTES] += 2 * rows * cols * n


@max_pool16.rule
def _(
    rows: int, cols: int, in_rows: int, in_cols: int, kernel_y: int, kernel_x: int, stride_y: int, stride_x: int,
    dilation_y: int, dilation_x: int, n: int, src: int, src_row: int, src_col: int, dst: int, dst_col: int,
) -> str:
    extents = (rows, cols, in_rows, in_cols, kernel_y, kernel_x, stride_y, stride_x, dilation_y, dilation_x, n)
    if not all(extents):
        return "every extent, stride and dilation must be at least 1"
    src_end = src + (in_rows - 1) * src_row + (in_cols - 1) * src_col + 2 * n
    dst_end = dst + (rows * cols - 1) * dst_col + 2 * n
    steps = odd(src=src, src_row=src_row, src_col=src_col, dst=dst, dst_col=dst_col)
    return steps or _overlap(src, src_end, dst, dst_end)


def _overlap(src: int, src_end: int, dst: int, dst_end: int) -> str:
    """Return a message if the results would overwrite what is read more than once."""
    overlap = src < dst_end and dst < src_end
    return f"dst={dst} to {dst_end} overlaps src={src} to {src_end}" if overlap else ""


for _kind in ("touches", "events", "rule"):
    avg_pool16.clauses[_kind] = max_pool16.clauses[_kind]


@instruction(0x59, Queue.VECTOR)
def mean16(
    m: Memory,
    src: ActAddr,
    src_col: U16,
    pixels: U24,
    n: U16,
    dst: ActAddr,
    scale: F32,
) -> None:
    """act[dst + 2*j] = rint(clip(f64(sum_p act[src + p*src_col + 2*j]) * f64(scale), -32768, 32767))."""
    s = float(np.float32(scale))
    for j in range(n):
        total = 0
        for p in range(pixels):
            total += read16(m.act, src + p * src_col + 2 * j)
        write16(m.act, dst + 2 * j, int(np.rint(min(max(float(total) * s, float(LEAST)), float(MOST)))))


mean16.cycles(pool.mean.clauses["cycles"])


@mean16.touches
def _(t: Array, src: int, src_col: int, pixels: int, n: int, dst: int) -> int:
    t[0, 0] = 1
    t[0, 1] = src
    t[0, 2] = src + (pixels - 1) * src_col + 2 * n
    t[0, 3] = 0
    t[1, 0] = 1
    t[1, 1] = dst
    t[1, 2] = dst + 2 * n
    t[1, 3] = 1
    return 2


@mean16.rule
def _(src: int, src_col: int, dst: int, pixels: int, n: int) -> str:
    if not (pixels and n):
        return f"pixels={pixels} and n={n} must be at least 1"
    return odd(src=src, src_col=src_col, dst=dst)


@mean16.events
def _(e: Array, c: Timing, pixels: int, n: int) -> None:
    e[ev.VECTOR_OP] += (pixels + 3) * n
    e[ev.ACT_READ_BYTES] += 2 * pixels * n
    e[ev.ACT_WRITE_BYTES] += 2 * n


@instruction(0x5A, Queue.VECTOR)
def softmax16(
    m: Memory,
    src: ActAddr,
    src_col: U16,
    dst: ActAddr,
    dst_col: U16,
    pixels: U24,
    n: U16,
    scale_src: F32,
    scale_dst: F32,
) -> None:
    """act[dst + p*dst_col + 2*j] = min(rint(t[j] * (1 / scale_dst) / sum t), 32767), t[j] = rint(2147483647 * exp(-d[j] * scale_src)).

    d[j] = max_j x - x[j], x[j] = act[src + p*src_col + 2*j]; exp(v) is power(e, v) of `normalize`; the sum is exact, the
    rest is float64, one operation at a time.
    """
    step = -float(np.float32(scale_src))
    factor = 1.0 / float(np.float32(scale_dst))
    for p in range(pixels):
        values = [read16(m.act, src + p * src_col + 2 * j) for j in range(n)]
        top = max(values)
        terms = [int(np.rint(EXP_SCALE * power(E, float(top - v) * step))) for v in values]
        total = float(sum(terms))
        for j in range(n):
            real = float(terms[j]) * factor / total
            write16(m.act, dst + p * dst_col + 2 * j, int(min(np.rint(real), float(MOST))))


@softmax16.cycles
def _(c: Timing, pixels: int, n: int) -> tuple[int, int, int]:
    lines = (n + c.vector_lanes - 1) // c.vector_lanes
    return pixels * (lines * (2 + 2 * c.vector_function_cycles)), c.vector_latency, 0


@softmax16.rule
def _(pixels: int, n: int, src: int, src_col: int, dst: int, dst_col: int) -> str:
    if not (pixels and n):
        return f"pixels={pixels} and n={n} must be at least 1"
    ends = src + (pixels - 1) * src_col + 2 * n, dst + (pixels - 1) * dst_col + 2 * n
    return odd(src=src, src_col=src_col, dst=dst, dst_col=dst_col) or _overlap(src, ends[0], dst, ends[1])


@softmax16.touches
def _(t: Array, src: int, src_col: int, dst: int, dst_col: int, pixels: int, n: int) -> int:
    t[0, 0] = 1
    t[0, 1] = src
    t[0, 2] = src + (pixels - 1) * src_col + 2 * n
    t[0, 3] = 0
    t[1, 0] = 1
    t[1, 1] = dst
    t[1, 2] = dst + (pixels - 1) * dst_col + 2 * n
    t[1, 3] = 1
    return 2


@softmax16.events
def _(e: Array, c: Timing, pixels: int, n: int) -> None:
    e[ev.VECTOR_OP] += pixels * n * (4 + 2 * c.vector_function_cycles)
    e[ev.ACT_READ_BYTES] += 6 * pixels * n
    e[ev.ACT_WRITE_BYTES] += 2 * pixels * n


@instruction(0x5B, Queue.VECTOR)
def lrn16(
    m: Memory,
    src: ActAddr,
    src_col: U16,
    dst: ActAddr,
    dst_col: U16,
    pixels: U24,
    n: U16,
    before: U8,
    after: U8,
    square_scale: F32,
    bias: F32,
    exponent: F32,
    scale_src: F32,
    scale_dst: F32,
) -> None:
    """act[dst + p*dst_col + 2*j] = rint(clip(f32(x * scale_src * power(S * square_scale + bias, exponent) / scale_dst), ...)).

    x = act[src + p*src_col + 2*j]; S is the exact sum of x**2 over channels j - before to j + after that exist.
    Every float32 operation rounds; power is float64, then rounded to float32; the clip is to -32768 .. 32767.
    """
    for p in range(pixels):
        for j in range(n):
            total = 0
            for k in range(max(j - before, 0), min(j + after + 1, n)):
                total += read16(m.act, src + p * src_col + 2 * k) ** 2
            base = np.float32(np.float32(total) * np.float32(square_scale)) + np.float32(bias)
            factor = np.float32(power(float(base), float(exponent)))
            x = read16(m.act, src + p * src_col + 2 * j)
            real = np.float32(np.float32(np.float32(x) * np.float32(scale_src)) * factor) / np.float32(scale_dst)
            value = int(np.rint(min(max(real, np.float32(LEAST)), np.float32(MOST))))
            write16(m.act, dst + p * dst_col + 2 * j, value)


lrn16.cycles(normalize.lrn.clauses["cycles"])
lrn16.rule(softmax16.clauses["rule"])
lrn16.touches(softmax16.clauses["touches"])


@lrn16.events
def _(e: Array, c: Timing, pixels: int, n: int, before: int, after: int) -> None:
    e[ev.VECTOR_OP] += pixels * n * (before + 1 + after + 3 + 2 * c.vector_function_cycles)
    e[ev.ACT_READ_BYTES] += 2 * pixels * n * (before + 1 + after)
    e[ev.ACT_WRITE_BYTES] += 2 * pixels * n
