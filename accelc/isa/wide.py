"""Instructions on 16-bit operands: tiles of convolutions with 64-bit sums, and their way back to 16 bits.

Activations and weights are int16, little-endian, two's complement, at even addresses; their zero points are 0. Addresses
and steps count bytes, `depth` and `n` elements. A partial sum is 64 bits in two words of acc, the low one first.
"""

from __future__ import annotations

import numpy as np

from accelc.chip.timing import Timing
from accelc.isa import events as ev
from accelc.isa import mac, vector
from accelc.isa.core import S16, U3, U8, U16, U24, AccAddr, ActAddr, Array, Flag, Memory, Queue, WgtAddr, instruction
from accelc.isa.dataflow import NAMES

GROUP = 2  # input channels that lie together in a weight block


def read16(memory: Array, at: int) -> int:
    """Return the int16 at a byte address of act or wgt."""
    value = (int(memory[at]) & 0xFF) | (int(memory[at + 1]) & 0xFF) << 8
    return value - 65536 if value > 32767 else value


def write16(act: Array, at: int, value: int) -> None:
    """Put an int16 at a byte address of act."""
    act[at] = value & 0xFF
    act[at + 1] = (value >> 8) & 0xFF


def read64(acc: Array, at: int) -> int:
    """Return the int64 in two words of acc."""
    return (int(acc[at]) & 0xFFFFFFFF) | int(acc[at + 1]) << 32


def write64(acc: Array, at: int, value: int) -> None:
    """Put an integer, wrapped to 64 bits, into two words of acc."""
    for k in range(2):
        word = (value >> (32 * k)) & 0xFFFFFFFF
        acc[at + k] = word - (1 << 32) if word > 0x7FFFFFFF else word


def odd(**addresses: int) -> str:
    """Return a message about the first address or step that is odd, or empty text."""
    for name, value in addresses.items():
        if value % 2:
            return f"{name}={value} must be even"
    return ""


@instruction(0x50, Queue.MAC)
def conv16(
    m: Memory,
    act: ActAddr,
    act_row: U24,
    act_col: U16,
    rows: U16,
    cols: U16,
    taps_y: U8,
    taps_x: U8,
    depth: U16,
    tap_row: U24,
    tap_col: U16,
    wgt: WgtAddr,
    acc: AccAddr,
    acc_col: U16,
    n: U16,
    accumulate: Flag,
    dataflow: U3,
    groups: U16,
    act_group: U16,
) -> None:
    """acc[acc + (y*cols+x)*acc_col + 2*(g*n+j)] (+)= sum_{ty,tx,k} act[act + y*act_row + x*act_col + ty*tap_row + tx*tap_col + g*act_group + 2*k] * w[g,j,ty,tx,k].

    Sums are exact and wrap at 64 bits. Weights lie as [group][n/16][taps_y*taps_x][depth/2][16][2] int16; depth is a
    multiple of 2, n of 16.
    """
    taps = taps_y * taps_x
    for g in range(groups):
        for y in range(rows):
            for x in range(cols):
                at = act + y * act_row + x * act_col + g * act_group
                for j in range(n):
                    to = acc + (y * cols + x) * acc_col + 2 * (g * n + j)
                    total = read64(m.acc, to) if accumulate else 0
                    block = wgt + 2 * (g * n * taps * depth + (j // 16) * taps * depth * 16 + (j % 16) * 2)
                    for tap in range(taps):
                        row = at + (tap // taps_x) * tap_row + (tap % taps_x) * tap_col
                        for k in range(depth):
                            w = read16(m.wgt, block + 2 * (tap * depth * 16 + (k // 2) * 32 + k % 2))
                            total += read16(m.act, row + 2 * k) * w
                    write64(m.acc, to, total)


@conv16.rule
def _(
    act: int, act_row: int, act_col: int, rows: int, cols: int, taps_y: int, taps_x: int, depth: int, tap_row: int,
    tap_col: int, wgt: int, acc: int, acc_col: int, n: int, groups: int, act_group: int, dataflow: int,
) -> str:
    if not (rows and cols and taps_y and taps_x and depth and n and groups):
        return "rows, cols, taps_y, taps_x, depth, n and groups must be at least 1"
    if depth % GROUP:
        return f"depth={depth} must be a multiple of {GROUP}"
    if n % mac.BLOCK:
        return f"n={n} must be a multiple of {mac.BLOCK}"
    if rows * cols > 1 and acc_col < 2 * groups * n:
        return f"acc_col={acc_col} must be at least 2*groups*n={2 * groups * n}, or pixels overlap"
    steps = odd(act=act, act_row=act_row, act_col=act_col, tap_row=tap_row, tap_col=tap_col, act_group=act_group)
    return steps or odd(wgt=wgt, acc=acc, acc_col=acc_col) or _unknown(dataflow)


def _unknown(dataflow: int) -> str:
    """Return what is wrong with a dataflow's code, or empty text."""
    known = ", ".join(f"{code} ({name})" for code, name in enumerate(NAMES))
    return "" if dataflow < len(NAMES) else f"dataflow={dataflow} is not one of {known}"


@conv16.touches
def _(
    t: Array, act: int, act_row: int, act_col: int, rows: int, cols: int, taps_y: int, taps_x: int, depth: int,
    tap_row: int, tap_col: int, wgt: int, acc: int, acc_col: int, n: int, groups: int, act_group: int,
) -> int:
    t[0, 0] = 1
    t[0, 1] = act
    t[0, 2] = (
        act + (rows - 1) * act_row + (cols - 1) * act_col + (taps_y - 1) * tap_row + (taps_x - 1) * tap_col
        + (groups - 1) * act_group + 2 * depth
    )
    t[0, 3] = 0
    t[1, 0] = 2
    t[1, 1] = wgt
    t[1, 2] = wgt + 2 * groups * n * taps_y * taps_x * depth
    t[1, 3] = 0
    t[2, 0] = 3
    t[2, 1] = acc
    t[2, 2] = acc + (rows * cols - 1) * acc_col + 2 * groups * n
    t[2, 3] = 1
    return 3


@instruction(0x51, Queue.MAC)
def depthwise16(
    m: Memory,
    act: ActAddr,
    act_row: U24,
    act_col: U16,
    rows: U16,
    cols: U16,
    taps_y: U8,
    taps_x: U8,
    tap_row: U24,
    tap_col: U16,
    wgt: WgtAddr,
    acc: AccAddr,
    acc_col: U16,
    n: U16,
    dataflow: U3,
) -> None:
    """acc[acc + (y*cols+x)*acc_col + 2*j] = sum_{ty,tx} act[act + y*act_row + x*act_col + ty*tap_row + tx*tap_col + 2*j] * w[ty,tx,j].

    Weights lie as [taps][n] int16; sums are exact and wrap at 64 bits.
    """
    for y in range(rows):
        for x in range(cols):
            for j in range(n):
                total = 0
                for ty in range(taps_y):
                    for tx in range(taps_x):
                        at = act + y * act_row + x * act_col + ty * tap_row + tx * tap_col + 2 * j
                        total += read16(m.act, at) * read16(m.wgt, wgt + 2 * ((ty * taps_x + tx) * n + j))
                write64(m.acc, acc + (y * cols + x) * acc_col + 2 * j, total)


@depthwise16.rule
def _(
    act: int, act_row: int, act_col: int, rows: int, cols: int, taps_y: int, taps_x: int, tap_row: int, tap_col: int,
    wgt: int, acc: int, acc_col: int, n: int, dataflow: int,
) -> str:
    if not (rows and cols and taps_y and taps_x and n):
        return "rows, cols, taps_y, taps_x and n must be at least 1"
    if rows * cols > 1 and acc_col < 2 * n:
        return f"acc_col={acc_col} must be at least 2*n={2 * n}, or pixels overlap"
    steps = odd(act=act, act_row=act_row, act_col=act_col, tap_row=tap_row, tap_col=tap_col)
    return steps or odd(wgt=wgt, acc=acc, acc_col=acc_col) or _unknown(dataflow)


@depthwise16.touches
def _(
    t: Array, act: int, act_row: int, act_col: int, rows: int, cols: int, taps_y: int, taps_x: int,
    tap_row: int, tap_col: int, wgt: int, acc: int, acc_col: int, n: int,
) -> int:
    t[0, 0] = 1
    t[0, 1] = act
    t[0, 2] = act + (rows - 1) * act_row + (cols - 1) * act_col + (taps_y - 1) * tap_row + (taps_x - 1) * tap_col + 2 * n
    t[0, 3] = 0
    t[1, 0] = 2
    t[1, 1] = wgt
    t[1, 2] = wgt + 2 * taps_y * taps_x * n
    t[1, 3] = 0
    t[2, 0] = 3
    t[2, 1] = acc
    t[2, 2] = acc + (rows * cols - 1) * acc_col + 2 * n
    t[2, 3] = 1
    return 3


WIDENED = (ev.ACT_READ_BYTES, ev.WGT_READ_BYTES, ev.ACC_READ_WORDS, ev.ACC_WRITE_WORDS)


def widen(e: Array, before: Array) -> None:
    """Double what closed forms, which take an operand for a byte and a sum for a word, added to the counts since `before`."""
    for event in WIDENED:
        e[event] += e[event] - before[event]


conv_events, depthwise_events = mac.conv.clauses["events"], mac.depthwise.clauses["events"]
conv16.cycles(mac.conv.clauses["cycles"])
depthwise16.cycles(mac.depthwise.clauses["cycles"])


@conv16.events
def _(
    e: Array, c: Timing, act_row: int, act_col: int, rows: int, cols: int, taps_y: int, taps_x: int, depth: int,
    tap_row: int, tap_col: int, n: int, accumulate: int, dataflow: int, groups: int,
) -> None:
    before = e.copy()
    conv_events(
        e, c, act_row, act_col, rows, cols, taps_y, taps_x, depth, tap_row, tap_col, n, accumulate, dataflow, groups
    )
    widen(e, before)


@depthwise16.events
def _(
    e: Array, c: Timing, act_row: int, act_col: int, rows: int, cols: int, taps_y: int, taps_x: int, tap_row: int,
    tap_col: int, n: int, dataflow: int,
) -> None:
    before = e.copy()
    depthwise_events(e, c, act_row, act_col, rows, cols, taps_y, taps_x, tap_row, tap_col, n, dataflow)
    widen(e, before)


@instruction(0x52, Queue.VECTOR)
def requantize16(
    m: Memory,
    acc: AccAddr,
    acc_col: U16,
    dst: ActAddr,
    dst_col: U16,
    pixels: U24,
    n: U16,
    params: WgtAddr,
    low: S16,
    high: S16,
) -> None:
    """act[dst + p*dst_col + 2*j] = rint(clip(f64(acc[acc + p*acc_col + 2*j] + bias[j]) * f64(scale[j]), low, high)).

    params holds n int64 biases, then n float32 scales; the sum wraps at 64 bits; f64 rounds it, then one product rounds.
    """
    bias = m.wgt[params : params + 8 * n].view(np.int64)
    scale = m.wgt[params + 8 * n : params + 12 * n].view(np.float32)
    for p in range(pixels):
        for j in range(n):
            total = read64(m.acc, acc + p * acc_col + 2 * j) + int(bias[j])
            total = ((total + (1 << 63)) & ((1 << 64) - 1)) - (1 << 63)
            real = float(total) * float(scale[j])
            write16(m.act, dst + p * dst_col + 2 * j, int(np.rint(min(max(real, float(low)), float(high)))))


requantize16.cycles(vector.requantize.clauses["cycles"])


@requantize16.rule
def _(acc: int, acc_col: int, dst: int, dst_col: int, pixels: int, n: int, params: int) -> str:
    if not (pixels and n):
        return f"pixels={pixels} and n={n} must be at least 1"
    if params % 8:
        return f"params={params} must be a multiple of 8"
    return odd(acc=acc, acc_col=acc_col, dst=dst, dst_col=dst_col)


@requantize16.touches
def _(
    t: Array, acc: int, acc_col: int, dst: int, dst_col: int, pixels: int, n: int, params: int
) -> int:
    t[0, 0] = 3
    t[0, 1] = acc
    t[0, 2] = acc + (pixels - 1) * acc_col + 2 * n
    t[0, 3] = 0
    t[1, 0] = 2
    t[1, 1] = params
    t[1, 2] = params + 12 * n
    t[1, 3] = 0
    t[2, 0] = 1
    t[2, 1] = dst
    t[2, 2] = dst + (pixels - 1) * dst_col + 2 * n
    t[2, 3] = 1
    return 3


@requantize16.events
def _(e: Array, c: Timing, pixels: int, n: int) -> None:
    e[ev.VECTOR_OP] += 4 * pixels * n
    e[ev.ACC_READ_WORDS] += 2 * pixels * n
    e[ev.WGT_READ_BYTES] += 12 * n
    e[ev.ACT_WRITE_BYTES] += 2 * pixels * n
