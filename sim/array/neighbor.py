"""The output-stationary array with neighbor propagation: PE (y, x) keeps the sum of one output pixel of one channel.

Each cycle one weight is broadcast and every PE multiplies it by an activation of its own, kernel position after
kernel position, input channel after input channel. Where the PE `far` places to the right used the activation `ago`
positions earlier in the same kernel row, it hands it over (FIFO-H); where the PE `far` places below used it `ago`
kernel rows earlier, that one does (FIFO-V); else the buffer gives it. For stride and dilation 1 that is the next PE,
one position or one row ago. A word that is handed over makes a hop for each place.

A block of array_rows x array_cols pixels of one output channel is a pass: taps x depth cycles. Then a column of sums
leaves each cycle, array_cols cycles in all whether columns are in use or not. Where tiles overlap, sums move to a
second register first and leave during the next pass, which waits at its end until they have; else the next pass waits
to begin. Sums that accumulate enter from the buffer with the pass's first cycle: one write, and one read more of the
register. The register is otherwise written in every cycle and read in every cycle but a sum's first, and once when it
leaves.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from accelc.chip.timing import Timing
from accelc.isa import Memory
from accelc.isa import events as ev
from accelc.isa.dataflow.neighbor import link
from accelc.sim.array.tables import group
from accelc.sim.jit import kernel

Ints = npt.NDArray[np.int64]

_link = kernel(link)


class Block(NamedTuple):
    """A block of one output channel: its first activation and sum, extents, and how weights lie."""

    act: int
    act_row: int
    act_col: int
    rows: int
    cols: int
    taps_y: int
    taps_x: int
    tap_row: int
    tap_col: int
    acc: int
    acc_row: int
    acc_col: int


class Pes(NamedTuple):
    """Registers: what each PE used [rows, cols, kernel rows kept, taps_x], and its sum [rows, cols]."""

    used: Ints
    sums: Ints


@kernel
def _pes(c: Timing, act_row: int, tap_row: int, taps_x: int) -> Pes:
    ago = _link(act_row, tap_row)[1]
    return Pes(
        np.zeros((c.array_rows, c.array_cols, ago + 1, taps_x), np.int64),
        np.zeros((c.array_rows, c.array_cols), np.int64),
    )


@kernel
def _enter(m: Memory, e: Ints, b: Block, p: Pes, accumulate: int) -> None:
    """Set the sums to zero or to what the buffer has."""
    for y in range(b.rows):
        for x in range(b.cols):
            p.sums[y, x] = m.acc[b.acc + y * b.acc_row + x * b.acc_col] if accumulate else 0
    e[ev.ACC_READ_WORDS] += b.rows * b.cols * accumulate
    e[ev.PE_PSUM_WRITE] += b.rows * b.cols * accumulate


@kernel
def _cycle(m: Memory, e: Ints, b: Block, p: Pes, channel: int, ty: int, tx: int, weight: int, fresh: bool) -> int:
    """Let one cycle pass: every PE takes its activation, multiplies it by the weight and adds."""
    for y in range(b.rows):
        for x in range(b.cols):
            value = _take(m, e, b, p, y, x, channel, ty, tx)
            p.used[y, x, ty % p.used.shape[2], tx] = value
            p.sums[y, x] += value * weight
            e[ev.MAC] += 1
            e[ev.PE_ACT_WRITE] += 1
            e[ev.PE_ACT_READ] += 1
            e[ev.PE_PSUM_WRITE] += 1
            e[ev.PE_PSUM_READ] += not fresh
    e[ev.WGT_READ_BYTES] += 1
    return 1


@kernel
def _take(m: Memory, e: Ints, b: Block, p: Pes, y: int, x: int, channel: int, ty: int, tx: int) -> int:
    """Return the activation that PE (y, x) needs: from the PE that used it before, else from the buffer."""
    far, ago = _link(b.act_col, b.tap_col)
    if tx >= ago and x + far < b.cols:
        e[ev.HOP_ACT] += far
        e[ev.PE_ACT_READ] += 1
        return int(p.used[y, x + far, ty % p.used.shape[2], tx - ago])
    far, ago = _link(b.act_row, b.tap_row)
    if ty >= ago and y + far < b.rows:
        e[ev.HOP_ACT] += far
        e[ev.PE_ACT_READ] += 1
        return int(p.used[y + far, x, (ty - ago) % p.used.shape[2], tx])
    e[ev.ACT_READ_BYTES] += 1
    return int(m.act[b.act + y * b.act_row + x * b.act_col + ty * b.tap_row + tx * b.tap_col + channel])


@kernel
def _leave(m: Memory, c: Timing, e: Ints, b: Block, p: Pes) -> int:
    """Let the sums leave, a column each cycle; return the cycles."""
    cycles = 0
    for x in range(c.array_cols):
        for y in range(b.rows if x < b.cols else 0):
            m.acc[b.acc + y * b.acc_row + x * b.acc_col] = p.sums[y, x]  # wraps to the width of a sum
            e[ev.PE_PSUM_READ] += 1
            e[ev.ACC_WRITE_WORDS] += 1
        cycles += 1
    return cycles


@kernel
def _next(c: Timing, clock: int, computed: int, drain: int, leaving: int) -> tuple[int, int]:
    """Return the time when the next pass may begin and when this pass's sums have left.

    `clock` is when this pass began, `drain` how long its sums take to leave, `leaving` when those before have left.
    """
    end = clock + computed
    if not c.overlapped_tiles:
        return end + drain, end + drain
    end = max(end, leaving)
    return end, end + drain


@kernel
def conv(
    m: Memory, c: Timing, e: Ints, act: int, act_row: int, act_col: int, rows: int, cols: int, taps_y: int,
    taps_x: int, depth: int, tap_row: int, tap_col: int, wgt: int, acc: int, acc_col: int, n: int, accumulate: int,
    groups: int, act_group: int,
) -> int:
    """Execute `conv`; add its access counts to `e` and return its cycles."""
    p = _pes(c, act_row, tap_row, taps_x)
    taps, quad = taps_y * taps_x, group(m)
    clock = left = 0
    for g in range(groups):
        for y in range(0, rows, c.array_rows):
            for x in range(0, cols, c.array_cols):
                for j in range(n):
                    b = Block(
                        act + y * act_row + x * act_col + g * act_group, act_row, act_col,
                        min(c.array_rows, rows - y), min(c.array_cols, cols - x), taps_y, taps_x, tap_row, tap_col,
                        acc + (y * cols + x) * acc_col + g * n + j, cols * acc_col, acc_col,
                    )
                    block = wgt + g * n * taps * depth + j // 16 * taps * depth * 16 + j % 16 * quad
                    _enter(m, e, b, p, accumulate)
                    computed = 0
                    for k in range(depth):
                        for tap in range(taps):
                            weight = int(m.wgt[block + tap * depth * 16 + k // quad * 16 * quad + k % quad])
                            fresh = accumulate == 0 and k == 0 and tap == 0
                            computed += _cycle(m, e, b, p, k, tap // taps_x, tap % taps_x, weight, fresh)
                    clock, left = _next(c, clock, computed, _leave(m, c, e, b, p), left)
    return left - c.last_index


@kernel
def depthwise(
    m: Memory, c: Timing, e: Ints, act: int, act_row: int, act_col: int, rows: int, cols: int, taps_y: int,
    taps_x: int, tap_row: int, tap_col: int, wgt: int, acc: int, acc_col: int, n: int,
) -> int:
    """Execute `depthwise`; add its access counts to `e` and return its cycles."""
    p = _pes(c, act_row, tap_row, taps_x)
    clock = left = 0
    for y in range(0, rows, c.array_rows):
        for x in range(0, cols, c.array_cols):
            for j in range(n):
                b = Block(
                    act + y * act_row + x * act_col, act_row, act_col,
                    min(c.array_rows, rows - y), min(c.array_cols, cols - x), taps_y, taps_x, tap_row, tap_col,
                    acc + (y * cols + x) * acc_col + j, cols * acc_col, acc_col,
                )
                _enter(m, e, b, p, 0)
                computed = 0
                for tap in range(taps_y * taps_x):
                    weight = int(m.wgt[wgt + tap * n + j])
                    computed += _cycle(m, e, b, p, j, tap // taps_x, tap % taps_x, weight, tap == 0)
                clock, left = _next(c, clock, computed, _leave(m, c, e, b, p), left)
    return left - c.last_index
