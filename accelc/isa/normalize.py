"""Vector instructions that normalize across the channels of a pixel: softmax and local response normalization.

Bytes are in excess-128 form (see `mac`); differences of bytes are differences of values.
"""

from __future__ import annotations

import math

import numpy as np

from accelc.chip.timing import Timing
from accelc.isa import events as ev
from accelc.isa.core import F32, U8, U16, U24, ActAddr, Array, Memory, Queue, WgtAddr, instruction

SQRT_HALF = 0.7071067811865476
LN_2 = 0.6931471805599453
LOG2_E = 1.4426950408889634


@instruction(0x33, Queue.VECTOR)
def softmax(
    m: Memory,
    src: ActAddr,
    src_col: U16,
    dst: ActAddr,
    dst_col: U16,
    pixels: U24,
    n: U16,
    table: WgtAddr,
    scale_dst: F32,
    zero_dst: U8,
) -> None:
    """act[dst + p*dst_col + j] = min(rint(t[j] * (1 / scale_dst) / sum t) + zero_dst, 255), t[j] = table[max_j x - x[j]].

    table holds 256 int32 in wgt; x[j] = act[src + p*src_col + j]; the sum is exact, the rest is float64, one operation at a time.
    """
    held = m.wgt[table : table + 1024].view(np.int32)
    factor = 1.0 / float(np.float32(scale_dst))
    for p in range(pixels):
        top = 0
        for j in range(n):
            top = max(top, int(m.act[src + p * src_col + j]))
        total = 0
        for j in range(n):
            total += int(held[top - int(m.act[src + p * src_col + j])])
        for j in range(n):
            real = float(held[top - int(m.act[src + p * src_col + j])]) * factor / float(max(total, 1))
            m.act[dst + p * dst_col + j] = int(min(np.rint(real) + zero_dst, 255.0))


@softmax.rule
def _(pixels: int, n: int, src: int, src_col: int, dst: int, dst_col: int, table: int) -> str:
    if not (pixels and n):
        return f"pixels={pixels} and n={n} must be at least 1"
    if table % 4:
        return f"table={table} must be a multiple of 4"
    return _apart(src, src_col, dst, dst_col, pixels, n)


@softmax.cycles
def _(c: Timing, pixels: int, n: int) -> tuple[int, int, int]:
    lines = (n + c.vector_lanes - 1) // c.vector_lanes
    return pixels * (lines * (2 + c.vector_function_cycles)), c.vector_latency, 0


@softmax.touches
def _(t: Array, src: int, src_col: int, dst: int, dst_col: int, pixels: int, n: int, table: int) -> int:
    t[0, 0] = 1
    t[0, 1] = src
    t[0, 2] = src + (pixels - 1) * src_col + n
    t[0, 3] = 0
    t[1, 0] = 2
    t[1, 1] = table
    t[1, 2] = table + 1024
    t[1, 3] = 0
    t[2, 0] = 1
    t[2, 1] = dst
    t[2, 2] = dst + (pixels - 1) * dst_col + n
    t[2, 3] = 1
    return 3


@softmax.events
def _(e: Array, c: Timing, pixels: int, n: int) -> None:
    e[ev.VECTOR_OP] += pixels * n * (4 + c.vector_function_cycles)
    e[ev.ACT_READ_BYTES] += 3 * pixels * n
    e[ev.WGT_READ_BYTES] += 8 * pixels * n
    e[ev.ACT_WRITE_BYTES] += pixels * n


def power(t: float, exponent: float) -> float:
    """Return t**exponent, t > 0, by float64 sums, products and one division of 1 at a time, so that every machine agrees.

    t = f * 2**e with f in [sqrt(1/2), sqrt(2)); ln f by the odd series of s = (f - 1) / (f + 1) up to s**19;
    w = (ln f * log2(e) + e) * exponent = k + r, k = floor(w + 1/2) held to +-1000; exp(r ln 2) by its series up to 1/13!.
    """
    f, e = math.frexp(t)
    if f < SQRT_HALF:
        f = f + f
        e = e - 1
    s = (f - 1.0) / (f + 1.0)
    z = s * s
    series = 2.0 / 19.0
    for k in (17.0, 15.0, 13.0, 11.0, 9.0, 7.0, 5.0, 3.0, 1.0):
        series = series * z + 2.0 / k
    w = (series * s * LOG2_E + e) * exponent
    whole = min(max(math.floor(w + 0.5), -1000), 1000)
    g = (w - whole) * LN_2
    result = 1.0
    for k in (13.0, 12.0, 11.0, 10.0, 9.0, 8.0, 7.0, 6.0, 5.0, 4.0, 3.0, 2.0, 1.0):
        result = result * g / k + 1.0
    return math.ldexp(result, int(whole))


@instruction(0x34, Queue.VECTOR)
def lrn(
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
    zero_src: U8,
    zero_dst: U8,
) -> None:
    """act[dst + p*dst_col + j] = rint(clip(f32(v * scale_src * power(S * square_scale + bias, exponent) / scale_dst), ...)) + zero_dst.

    v = act[src + p*src_col + j] - zero_src; S is the exact sum of v**2 over channels j - before to j + after that exist.
    Every float32 operation rounds; power is float64, then rounded to float32; the clip is to -zero_dst .. 255 - zero_dst.
    """
    least = np.float32(-zero_dst)
    most = np.float32(255 - zero_dst)
    for p in range(pixels):
        for j in range(n):
            total = 0
            for k in range(max(j - before, 0), min(j + after + 1, n)):
                v = int(m.act[src + p * src_col + k]) - zero_src
                total += v * v
            base = np.float32(np.float32(total) * np.float32(square_scale)) + np.float32(bias)
            factor = np.float32(power(float(base), float(exponent)))
            v = int(m.act[src + p * src_col + j]) - zero_src
            real = np.float32(np.float32(np.float32(v) * np.float32(scale_src)) * factor) / np.float32(scale_dst)
            m.act[dst + p * dst_col + j] = int(np.rint(min(max(real, least), most))) + zero_dst


def _apart(src: int, src_col: int, dst: int, dst_col: int, pixels: int, n: int) -> str:
    """Return a message if dst overlaps src, which is read more than once."""
    src_end, dst_end = src + (pixels - 1) * src_col + n, dst + (pixels - 1) * dst_col + n
    overlap = src < dst_end and dst < src_end
    return f"dst={dst} to {dst_end} overlaps src={src} to {src_end}" if overlap else ""


@lrn.rule
def _(pixels: int, n: int, src: int, src_col: int, dst: int, dst_col: int) -> str:
    if not (pixels and n):
        return f"pixels={pixels} and n={n} must be at least 1"
    return _apart(src, src_col, dst, dst_col, pixels, n)


@lrn.cycles
def _(c: Timing, pixels: int, n: int, before: int, after: int) -> tuple[int, int, int]:
    lines = (n + c.vector_lanes - 1) // c.vector_lanes
    return pixels * lines * (before + 1 + after + 3 + 2 * c.vector_function_cycles), c.vector_latency, 0


@lrn.touches
def _(t: Array, src: int, src_col: int, dst: int, dst_col: int, pixels: int, n: int) -> int:
    t[0, 0] = 1
    t[0, 1] = src
    t[0, 2] = src + (pixels - 1) * src_col + n
    t[0, 3] = 0
    t[1, 0] = 1
    t[1, 1] = dst
    t[1, 2] = dst + (pixels - 1) * dst_col + n
    t[1, 3] = 1
    return 2


@lrn.events
def _(e: Array, c: Timing, pixels: int, n: int, before: int, after: int) -> None:
    e[ev.VECTOR_OP] += pixels * n * (before + 1 + after + 3 + 2 * c.vector_function_cycles)
    e[ev.ACT_READ_BYTES] += pixels * n * (before + 1 + after)
    e[ev.ACT_WRITE_BYTES] += pixels * n
