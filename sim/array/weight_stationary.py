"""The weight-stationary array: `stationary` with weights held and activations passing, a vector for each pixel.

Rows hold input channels of one kernel position (or, where a pass spans taps, successive rows of the unfolded kernel),
columns hold output channels. A depthwise convolution puts each channel's weight on the diagonal.
"""

from __future__ import annotations

import numpy as np

from accelc.chip.timing import Timing
from accelc.isa import Memory
from accelc.isa import events as ev
from accelc.sim.array.stationary import (
    ACC_READ,
    ACC_WRITE,
    COUNTS,
    HELD_ENTER,
    HELD_HOP,
    HELD_READ,
    HELD_WRITE,
    MAC,
    PASSING_ENTER,
    PASSING_HOP,
    PASSING_READ,
    PASSING_WRITE,
    PSUM_HOP,
    PSUM_READ,
    PSUM_WRITE,
    Ints,
    Passes,
    run,
)
from accelc.sim.array.tables import act_depths, empty_passes, folded, pixels, spaced, wgt_channels, wgt_depths
from accelc.sim.jit import kernel


@kernel
def conv(
    m: Memory, c: Timing, e: Ints, act: int, act_row: int, act_col: int, rows: int, cols: int, taps_y: int,
    taps_x: int, depth: int, tap_row: int, tap_col: int, wgt: int, acc: int, acc_col: int, n: int, accumulate: int,
    groups: int, act_group: int,
) -> int:
    """Execute `conv`; add its access counts to `e` and return its cycles."""
    p = conv_passes(
        c, act, act_row, act_col, rows, cols, taps_y, taps_x, depth, tap_row, tap_col, wgt, acc, acc_col, n,
        accumulate, groups, act_group,
    )
    count = np.zeros(COUNTS, np.int64)
    cycles = run(c, count, m.wgt, m.act, m.acc, p)
    add_counts(e, count)
    return cycles


@kernel
def conv_passes(
    c: Timing, act: int, act_row: int, act_col: int, rows: int, cols: int, taps_y: int, taps_x: int, depth: int,
    tap_row: int, tap_col: int, wgt: int, acc: int, acc_col: int, n: int, accumulate: int, groups: int,
    act_group: int,
) -> Passes:
    """Return the passes of a convolution: for each group, block of output channels and fold of the kernel."""
    taps = taps_y * taps_x
    fold = folded(taps, depth, c.array_rows, c.spans_taps)
    blocks = (n + c.array_cols - 1) // c.array_cols
    act_k = act_depths(taps_y, taps_x, depth, tap_row, tap_col)
    wgt_k, wgt_j = wgt_depths(taps, depth), wgt_channels(wgt, taps * depth, n * groups)
    p = empty_passes(c, len(fold) * blocks * groups, 0)
    for i in range(len(p.rows)):
        first, size = fold[i % len(fold), 0], fold[i % len(fold), 1]
        block, g = i // len(fold) % blocks, i // len(fold) // blocks
        channel = g * n + block * c.array_cols
        p.rows[i] = size
        p.cols[i] = min(c.array_cols, n - block * c.array_cols)
        p.fresh[i] = i % len(fold) == 0 and not accumulate
        for r in range(size):
            p.held_row[i, r] = wgt_k[first + r]
            p.passing_row[i, r] = act_k[first + r] + g * act_group
        for col in range(p.cols[i]):
            p.held_col[i, col] = wgt_j[channel + col]
            p.sum_col[i, col] = channel + col
    return Passes(
        p.rows, p.cols, p.fresh, p.held_row, p.held_col, p.passing_row,
        pixels(act, rows, cols, act_row, act_col), p.sum_col, spaced(acc, rows * cols, acc_col), 0,
    )


@kernel
def depthwise(
    m: Memory, c: Timing, e: Ints, act: int, act_row: int, act_col: int, rows: int, cols: int, taps_y: int,
    taps_x: int, tap_row: int, tap_col: int, wgt: int, acc: int, acc_col: int, n: int,
) -> int:
    """Execute `depthwise`; add its access counts to `e` and return its cycles."""
    p = depthwise_passes(
        c, act, act_row, act_col, rows, cols, taps_y, taps_x, tap_row, tap_col, wgt, acc, acc_col, n
    )
    count = np.zeros(COUNTS, np.int64)
    cycles = run(c, count, m.wgt, m.act, m.acc, p)
    add_counts(e, count)
    return cycles


@kernel
def depthwise_passes(
    c: Timing, act: int, act_row: int, act_col: int, rows: int, cols: int, taps_y: int, taps_x: int, tap_row: int,
    tap_col: int, wgt: int, acc: int, acc_col: int, n: int,
) -> Passes:
    """Return the passes of a depthwise convolution: for each block of channels and kernel position."""
    side, taps = min(c.array_rows, c.array_cols), taps_y * taps_x
    p = empty_passes(c, (n + side - 1) // side * taps, 1)
    for i in range(len(p.rows)):
        tap, first = i % taps, i // taps * side
        size = min(side, n - first)
        p.rows[i] = size
        p.cols[i] = size
        p.fresh[i] = tap == 0
        for r in range(size):
            p.held_row[i, r] = wgt + tap * n + first + r
            p.passing_row[i, r] = tap // taps_x * tap_row + tap % taps_x * tap_col + first + r
            p.sum_col[i, r] = first + r
    return Passes(
        p.rows, p.cols, p.fresh, p.held_row, p.held_col, p.passing_row,
        pixels(act, rows, cols, act_row, act_col), p.sum_col, spaced(acc, rows * cols, acc_col), 1,
    )


@kernel
def add_counts(e: Ints, count: Ints) -> None:
    """Add a run's counts to the events, the weights being held."""
    e[ev.MAC] += count[MAC]
    e[ev.PE_WGT_READ] += count[HELD_READ]
    e[ev.PE_WGT_WRITE] += count[HELD_WRITE]
    e[ev.HOP_WGT] += count[HELD_HOP]
    e[ev.WGT_READ_BYTES] += count[HELD_ENTER]
    e[ev.PE_ACT_READ] += count[PASSING_READ]
    e[ev.PE_ACT_WRITE] += count[PASSING_WRITE]
    e[ev.HOP_ACT] += count[PASSING_HOP]
    e[ev.ACT_READ_BYTES] += count[PASSING_ENTER]
    e[ev.PE_PSUM_READ] += count[PSUM_READ]
    e[ev.PE_PSUM_WRITE] += count[PSUM_WRITE]
    e[ev.HOP_PSUM] += count[PSUM_HOP]
    e[ev.ACC_READ_WORDS] += count[ACC_READ]
    e[ev.ACC_WRITE_WORDS] += count[ACC_WRITE]
