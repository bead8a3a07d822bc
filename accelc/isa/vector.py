"""Vector instructions on whole tiles: requantization, element by element arithmetic, tables.

Bytes are in excess-128 form (see `mac`): zero points and clamp bounds are given as stored bytes, except where a rule
adds the zero point before it rounds; those take `excess` (0 or 128) to recover the value v = byte - excess.
"""

from __future__ import annotations

from fractions import Fraction

import numpy as np

from accelc.chip.timing import Timing
from accelc.isa import events as ev
from accelc.isa.core import F32, U8, U16, U24, AccAddr, ActAddr, Array, Flag, Memory, Queue, WgtAddr, instruction


def fma32(a: float, b: float, c: float) -> np.float32:
    """Return a * b + c of float32 values, rounded once to float32, half to even."""
    exact = Fraction(float(a)) * Fraction(float(b)) + Fraction(float(c))
    near = np.float32(float(exact))
    # float() rounded once already; step to a neighbor when the second rounding picked the farther one.
    best = min(
        (near, np.nextafter(near, np.float32(-np.inf)), np.nextafter(near, np.float32(np.inf))),
        key=lambda v: (abs(Fraction(float(v)) - exact), int(v.view(np.uint32)) & 1),
    )
    return np.float32(best)


@instruction(0x20, Queue.VECTOR)
def requantize(
    m: Memory,
    acc: AccAddr,
    acc_col: U16,
    dst: ActAddr,
    dst_col: U16,
    pixels: U24,
    n: U16,
    params: WgtAddr,
    zero_point: U8,
    low: U8,
    high: U8,
) -> None:
    """act[dst + p*dst_col + j] = rint(clip(f32(acc + bias[j]) * scale[j], low - zp, high - zp)) + zp.

    params holds n int32 biases, then n float32 scales; the sum wraps at 32 bits, one float32 product, half to even.
    """
    bias = m.wgt[params : params + 4 * n].view(np.int32)
    scale = m.wgt[params + 4 * n : params + 8 * n].view(np.float32)
    least = np.float32(low - zero_point)
    most = np.float32(high - zero_point)
    for p in range(pixels):
        for j in range(n):
            total = int(m.acc[acc + p * acc_col + j]) + int(bias[j])
            total = ((total + 0x80000000) & 0xFFFFFFFF) - 0x80000000
            real = np.float32(total) * scale[j]
            m.act[dst + p * dst_col + j] = int(np.rint(min(max(real, least), most))) + zero_point


@requantize.touches
def _(
    t: Array, acc: int, acc_col: int, dst: int, dst_col: int, pixels: int, n: int, params: int
) -> int:
    t[0, 0] = 3
    t[0, 1] = acc
    t[0, 2] = acc + (pixels - 1) * acc_col + n
    t[0, 3] = 0
    t[1, 0] = 2
    t[1, 1] = params
    t[1, 2] = params + 8 * n
    t[1, 3] = 0
    t[2, 0] = 1
    t[2, 1] = dst
    t[2, 2] = dst + (pixels - 1) * dst_col + n
    t[2, 3] = 1
    return 3


@requantize.events
def _(e: Array, c: Timing, pixels: int, n: int) -> None:
    e[ev.VECTOR_OP] += 4 * pixels * n
    e[ev.ACC_READ_WORDS] += pixels * n
    e[ev.WGT_READ_BYTES] += 8 * n
    e[ev.ACT_WRITE_BYTES] += pixels * n


@instruction(0x21, Queue.VECTOR)
def requantize_fixed(
    m: Memory,
    acc: AccAddr,
    acc_col: U16,
    dst: ActAddr,
    dst_col: U16,
    pixels: U24,
    n: U16,
    params: WgtAddr,
    zero_point: U8,
    low: U8,
    high: U8,
) -> None:
    """act[...] = clip(rounding_shift(high_mul(acc + bias[j], multiplier[j]), shift[j]) + zp, low, high).

    params holds n int32 biases, n int32 multipliers, n int32 right shifts (negative: left, before the product).
    high_mul is the saturating doubling 32x32 product's upper half, rounded half away from zero; the shift too.
    """
    bias = m.wgt[params : params + 4 * n].view(np.int32)
    multiplier = m.wgt[params + 4 * n : params + 8 * n].view(np.int32)
    shift = m.wgt[params + 8 * n : params + 12 * n].view(np.int32)
    for p in range(pixels):
        for j in range(n):
            total = int(m.acc[acc + p * acc_col + j]) + int(bias[j])
            total = ((total + 0x80000000) & 0xFFFFFFFF) - 0x80000000
            right = max(int(shift[j]), 0)
            left = max(-int(shift[j]), 0)
            total = (((total << left) + 0x80000000) & 0xFFFFFFFF) - 0x80000000
            product = total * int(multiplier[j])
            half = 1073741824 if product >= 0 else 1 - 1073741824
            upper = product + half
            doubled = upper >> 31 if upper >= 0 else -((-upper) >> 31)
            doubled = min(doubled, 2147483647)
            mask = (1 << right) - 1
            threshold = (mask >> 1) + (1 if doubled < 0 else 0)
            value = (doubled >> right) + (1 if (doubled & mask) > threshold else 0)
            m.act[dst + p * dst_col + j] = min(max(value + zero_point, low), high)


@requantize_fixed.touches
def _(
    t: Array, acc: int, acc_col: int, dst: int, dst_col: int, pixels: int, n: int, params: int
) -> int:
    t[0, 0] = 3
    t[0, 1] = acc
    t[0, 2] = acc + (pixels - 1) * acc_col + n
    t[0, 3] = 0
    t[1, 0] = 2
    t[1, 1] = params
    t[1, 2] = params + 12 * n
    t[1, 3] = 0
    t[2, 0] = 1
    t[2, 1] = dst
    t[2, 2] = dst + (pixels - 1) * dst_col + n
    t[2, 3] = 1
    return 3


@requantize_fixed.events
def _(e: Array, c: Timing, pixels: int, n: int) -> None:
    e[ev.VECTOR_OP] += 5 * pixels * n
    e[ev.ACC_READ_WORDS] += pixels * n
    e[ev.WGT_READ_BYTES] += 12 * n
    e[ev.ACT_WRITE_BYTES] += pixels * n


@instruction(0x22, Queue.VECTOR)
def drain(
    m: Memory, acc: AccAddr, acc_col: U16, dst: ActAddr, dst_col: U24, pixels: U24, n: U16, params: WgtAddr
) -> None:
    """act[dst + p*dst_col + 4*j ...] = acc[acc + p*acc_col + j] + bias[j], as four little-endian bytes; params holds n int32."""
    bias = m.wgt[params : params + 4 * n].view(np.int32)
    for p in range(pixels):
        for j in range(n):
            total = (int(m.acc[acc + p * acc_col + j]) + int(bias[j])) & 0xFFFFFFFF
            for b in range(4):
                m.act[dst + p * dst_col + 4 * j + b] = (total >> (8 * b)) & 0xFF


@drain.touches
def _(
    t: Array, acc: int, acc_col: int, dst: int, dst_col: int, pixels: int, n: int, params: int
) -> int:
    t[0, 0] = 3
    t[0, 1] = acc
    t[0, 2] = acc + (pixels - 1) * acc_col + n
    t[0, 3] = 0
    t[1, 0] = 2
    t[1, 1] = params
    t[1, 2] = params + 4 * n
    t[1, 3] = 0
    t[2, 0] = 1
    t[2, 1] = dst
    t[2, 2] = dst + (pixels - 1) * dst_col + 4 * n
    t[2, 3] = 1
    return 3


@drain.events
def _(e: Array, c: Timing, pixels: int, n: int) -> None:
    e[ev.VECTOR_OP] += pixels * n
    e[ev.ACC_READ_WORDS] += pixels * n
    e[ev.WGT_READ_BYTES] += 4 * n
    e[ev.ACT_WRITE_BYTES] += 4 * pixels * n


@instruction(0x23, Queue.VECTOR)
def add(
    m: Memory,
    a: ActAddr,
    a_col: U16,
    b: ActAddr,
    b_col: U16,
    dst: ActAddr,
    dst_col: U16,
    pixels: U24,
    n: U16,
    scale_a: F32,
    scale_b: F32,
    offset: F32,
    excess_a: U8,
    excess_b: U8,
    excess_dst: U8,
    low: U8,
    high: U8,
) -> None:
    """act[dst...] = clip(rint(fma(a, scale_a, fma(b, scale_b, offset))) + excess_dst, low, high), a and b less their excess.

    b_col = 0 uses one row of b for every pixel. Each fma rounds once to float32; the zero point is inside `offset`.
    """
    for p in range(pixels):
        for j in range(n):
            va = int(m.act[a + p * a_col + j]) - excess_a
            vb = int(m.act[b + p * b_col + j]) - excess_b
            real = fma32(va, scale_a, float(fma32(vb, scale_b, offset)))
            m.act[dst + p * dst_col + j] = min(max(int(np.rint(real)) + excess_dst, low), high)


@instruction(0x24, Queue.VECTOR)
def mul(
    m: Memory,
    a: ActAddr,
    a_col: U16,
    b: ActAddr,
    b_col: U16,
    dst: ActAddr,
    dst_col: U16,
    pixels: U24,
    n: U16,
    scale: F32,
    zero_a: U8,
    zero_b: U8,
    zero_point: F32,
    excess_dst: U8,
    low: U8,
    high: U8,
) -> None:
    """act[dst...] = clip(rint(f32(f32((a - zero_a) * (b - zero_b)) * scale) + zero_point) + excess_dst, low, high).

    b_col = 0 uses one row of b for every pixel. No fma: the product and the sum each round to float32.
    """
    s = np.float32(scale)
    z = np.float32(zero_point)
    for p in range(pixels):
        for j in range(n):
            va = int(m.act[a + p * a_col + j]) - zero_a
            vb = int(m.act[b + p * b_col + j]) - zero_b
            real = np.float32(np.float32(va * vb) * s) + z
            m.act[dst + p * dst_col + j] = min(max(int(np.rint(real)) + excess_dst, low), high)


def _touches_two(
    t: Array, a: int, a_col: int, b: int, b_col: int, dst: int, dst_col: int, pixels: int, n: int
) -> int:
    t[0, 0] = 1
    t[0, 1] = a
    t[0, 2] = a + (pixels - 1) * a_col + n
    t[0, 3] = 0
    t[1, 0] = 1
    t[1, 1] = b
    t[1, 2] = b + (pixels - 1) * b_col + n
    t[1, 3] = 0
    t[2, 0] = 1
    t[2, 1] = dst
    t[2, 2] = dst + (pixels - 1) * dst_col + n
    t[2, 3] = 1
    return 3


def _events_two(e: Array, c: Timing, pixels: int, n: int) -> None:
    e[ev.VECTOR_OP] += 4 * pixels * n
    e[ev.ACT_READ_BYTES] += 2 * pixels * n
    e[ev.ACT_WRITE_BYTES] += pixels * n


for _made in (add, mul):
    _made.touches(_touches_two)
    _made.events(_events_two)


@instruction(0x25, Queue.VECTOR)
def lookup(
    m: Memory,
    src: ActAddr,
    src_col: U16,
    dst: ActAddr,
    dst_col: U16,
    pixels: U24,
    n: U16,
    table: WgtAddr,
    per_channel: Flag,
) -> None:
    """act[dst + p*dst_col + j] = table[act[src + p*src_col + j]], 256 bytes in wgt at `table` (+ 256*j if per_channel)."""
    for p in range(pixels):
        for j in range(n):
            v = int(m.wgt[table + 256 * j * per_channel + int(m.act[src + p * src_col + j])])
            m.act[dst + p * dst_col + j] = v & 0xFF


@lookup.touches
def _(
    t: Array, src: int, src_col: int, dst: int, dst_col: int, pixels: int, n: int, table: int, per_channel: int
) -> int:
    t[0, 0] = 1
    t[0, 1] = src
    t[0, 2] = src + (pixels - 1) * src_col + n
    t[0, 3] = 0
    t[1, 0] = 2
    t[1, 1] = table
    t[1, 2] = table + 256 * (1 + (n - 1) * per_channel)
    t[1, 3] = 0
    t[2, 0] = 1
    t[2, 1] = dst
    t[2, 2] = dst + (pixels - 1) * dst_col + n
    t[2, 3] = 1
    return 3


@lookup.events
def _(e: Array, c: Timing, pixels: int, n: int) -> None:
    e[ev.VECTOR_OP] += pixels * n
    e[ev.ACT_READ_BYTES] += pixels * n
    e[ev.WGT_READ_BYTES] += pixels * n
    e[ev.ACT_WRITE_BYTES] += pixels * n


def _cycles_tile(c: Timing, pixels: int, n: int) -> tuple[int, int, int]:
    return pixels * ((n + c.vector_lanes - 1) // c.vector_lanes), c.vector_latency, 0


def _rule_tile(pixels: int, n: int) -> str:
    return "" if pixels and n else f"pixels={pixels} and n={n} must be at least 1"


def _rule_params(pixels: int, n: int, params: int) -> str:
    if not (pixels and n):
        return f"pixels={pixels} and n={n} must be at least 1"
    return "" if params % 4 == 0 else f"params={params} must be a multiple of 4"


for _made in (requantize, requantize_fixed, drain, add, mul, lookup):
    _made.cycles(_cycles_tile)
for _made in (add, mul, lookup):
    _made.rule(_rule_tile)
for _made in (requantize, requantize_fixed, drain):
    _made.rule(_rule_params)
