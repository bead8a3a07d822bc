"""Vector instructions on tiles of 16-bit elements, one element at a time: sums, products, functions.

Elements are int16 at even byte addresses (see `wide`); addresses and steps count bytes, `n` elements.
"""

from __future__ import annotations

import numpy as np

from accelc.chip.timing import Timing
from accelc.isa import events as ev
from accelc.isa import vector
from accelc.isa.core import F32, S16, U16, U24, ActAddr, Array, Flag, Memory, Queue, WgtAddr, instruction
from accelc.isa.vector import fma32
from accelc.isa.wide import odd, read16, write16


@instruction(0x53, Queue.VECTOR)
def add16(
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
    low: S16,
    high: S16,
) -> None:
    """act[dst...] = clip(rint(fma(a, scale_a, f32(b * scale_b))), low, high).

    b_col = 0 uses one row of b for every pixel. The fma rounds once to float32.
    """
    for p in range(pixels):
        for j in range(n):
            va = read16(m.act, a + p * a_col + 2 * j)
            vb = read16(m.act, b + p * b_col + 2 * j)
            real = fma32(va, scale_a, float(np.float32(vb) * np.float32(scale_b)))
            write16(m.act, dst + p * dst_col + 2 * j, min(max(int(np.rint(real)), low), high))


@instruction(0x54, Queue.VECTOR)
def mul16(
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
    low: S16,
    high: S16,
) -> None:
    """act[dst...] = rint(clip(f64(a * b) * f64(scale), low, high)).

    b_col = 0 uses one row of b for every pixel. The integer product is exact.
    """
    s = float(np.float32(scale))
    for p in range(pixels):
        for j in range(n):
            va = read16(m.act, a + p * a_col + 2 * j)
            vb = read16(m.act, b + p * b_col + 2 * j)
            real = float(va * vb) * s
            write16(m.act, dst + p * dst_col + 2 * j, int(np.rint(min(max(real, float(low)), float(high)))))


@add16.touches
def _(
    t: Array, a: int, a_col: int, b: int, b_col: int, dst: int, dst_col: int, pixels: int, n: int
) -> int:
    t[0, 0] = 1
    t[0, 1] = a
    t[0, 2] = a + (pixels - 1) * a_col + 2 * n
    t[0, 3] = 0
    t[1, 0] = 1
    t[1, 1] = b
    t[1, 2] = b + (pixels - 1) * b_col + 2 * n
    t[1, 3] = 0
    t[2, 0] = 1
    t[2, 1] = dst
    t[2, 2] = dst + (pixels - 1) * dst_col + 2 * n
    t[2, 3] = 1
    return 3


@add16.events
def _(e: Array, c: Timing, pixels: int, n: int) -> None:
    e[ev.VECTOR_OP] += 4 * pixels * n
    e[ev.ACT_READ_BYTES] += 4 * pixels * n
    e[ev.ACT_WRITE_BYTES] += 2 * pixels * n


@add16.rule
def _(a: int, a_col: int, b: int, b_col: int, dst: int, dst_col: int, pixels: int, n: int) -> str:
    if not (pixels and n):
        return f"pixels={pixels} and n={n} must be at least 1"
    return odd(a=a, a_col=a_col, b=b, b_col=b_col, dst=dst, dst_col=dst_col)


for _kind in ("touches", "events", "rule"):
    mul16.clauses[_kind] = add16.clauses[_kind]


@instruction(0x55, Queue.VECTOR)
def lines16(
    m: Memory,
    src: ActAddr,
    src_col: U16,
    dst: ActAddr,
    dst_col: U16,
    pixels: U24,
    n: U16,
    params: WgtAddr,
    per_channel: Flag,
    low: S16,
    high: S16,
) -> None:
    """act[dst + p*dst_col + 2*j] = rint(clip(f32(f32(x * (above if x >= 0 else below)) + offset), low, high)), x the source element.

    params holds above, below and offset as float32, 12 bytes for all channels, or for each of them if per_channel.
    """
    held = m.wgt[params : params + 12 * (1 + (n - 1) * per_channel)].view(np.float32)
    for p in range(pixels):
        for j in range(n):
            x = read16(m.act, src + p * src_col + 2 * j)
            above, below, offset = held[3 * j * per_channel : 3 * j * per_channel + 3]
            real = np.float32(np.float32(x) * (above if x >= 0 else below)) + offset
            held_real = min(max(real, np.float32(low)), np.float32(high))
            write16(m.act, dst + p * dst_col + 2 * j, int(np.rint(held_real)))


@lines16.rule
def _(src: int, src_col: int, dst: int, dst_col: int, pixels: int, n: int, params: int) -> str:
    if not (pixels and n):
        return f"pixels={pixels} and n={n} must be at least 1"
    if params % 4:
        return f"params={params} must be a multiple of 4"
    return odd(src=src, src_col=src_col, dst=dst, dst_col=dst_col)


@lines16.touches
def _(
    t: Array, src: int, src_col: int, dst: int, dst_col: int, pixels: int, n: int, params: int, per_channel: int
) -> int:
    t[0, 0] = 1
    t[0, 1] = src
    t[0, 2] = src + (pixels - 1) * src_col + 2 * n
    t[0, 3] = 0
    t[1, 0] = 2
    t[1, 1] = params
    t[1, 2] = params + 12 * (1 + (n - 1) * per_channel)
    t[1, 3] = 0
    t[2, 0] = 1
    t[2, 1] = dst
    t[2, 2] = dst + (pixels - 1) * dst_col + 2 * n
    t[2, 3] = 1
    return 3


@lines16.events
def _(e: Array, c: Timing, pixels: int, n: int, per_channel: int) -> None:
    e[ev.VECTOR_OP] += 4 * pixels * n
    e[ev.ACT_READ_BYTES] += 2 * pixels * n
    e[ev.WGT_READ_BYTES] += 12 * (1 + (n - 1) * per_channel)
    e[ev.ACT_WRITE_BYTES] += 2 * pixels * n


@instruction(0x56, Queue.VECTOR)
def curve16(
    m: Memory,
    src: ActAddr,
    src_col: U16,
    dst: ActAddr,
    dst_col: U16,
    pixels: U24,
    n: U16,
    table: WgtAddr,
    low: S16,
    high: S16,
) -> None:
    """act[dst + p*dst_col + 2*j] = clip((T[i] * (256 - k) + T[i+1] * k + 32768) >> 16, low, high), 256*i + k = x + 32768.

    x = act[src + p*src_col + 2*j]; T, 257 int32 in wgt at `table`, holds a function's corners times 256.
    """
    held = m.wgt[table : table + 1028].view(np.int32)
    for p in range(pixels):
        for j in range(n):
            u = read16(m.act, src + p * src_col + 2 * j) + 32768
            i, k = u >> 8, u & 255
            value = (int(held[i]) * (256 - k) + int(held[i + 1]) * k + 32768) >> 16
            write16(m.act, dst + p * dst_col + 2 * j, min(max(value, low), high))


@curve16.rule
def _(src: int, src_col: int, dst: int, dst_col: int, pixels: int, n: int, table: int) -> str:
    if not (pixels and n):
        return f"pixels={pixels} and n={n} must be at least 1"
    if table % 4:
        return f"table={table} must be a multiple of 4"
    return odd(src=src, src_col=src_col, dst=dst, dst_col=dst_col)


@curve16.touches
def _(t: Array, src: int, src_col: int, dst: int, dst_col: int, pixels: int, n: int, table: int) -> int:
    t[0, 0] = 1
    t[0, 1] = src
    t[0, 2] = src + (pixels - 1) * src_col + 2 * n
    t[0, 3] = 0
    t[1, 0] = 2
    t[1, 1] = table
    t[1, 2] = table + 1028
    t[1, 3] = 0
    t[2, 0] = 1
    t[2, 1] = dst
    t[2, 2] = dst + (pixels - 1) * dst_col + 2 * n
    t[2, 3] = 1
    return 3


@curve16.events
def _(e: Array, c: Timing, pixels: int, n: int) -> None:
    e[ev.VECTOR_OP] += 4 * pixels * n
    e[ev.ACT_READ_BYTES] += 2 * pixels * n
    e[ev.WGT_READ_BYTES] += 8 * pixels * n
    e[ev.ACT_WRITE_BYTES] += 2 * pixels * n


for _made in (add16, mul16, lines16, curve16):
    _made.cycles(vector.add.clauses["cycles"])
