"""The input-stationary array: `stationary` with activations held and weights passing, a vector for each output channel.

Rows hold input channels of one kernel position (or, where a pass spans taps, successive rows of the unfolded kernel),
columns hold pixels. A depthwise convolution is one group of one output channel for each channel, so that a pass holds
one channel and streams a single vector of weights.
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
    cycles = run(c, count, m.act, m.wgt, m.acc, p)
    add_counts(e, count)
    return cycles


@kernel
def conv_passes(
    c: Timing, act: int, act_row: int, act_col: int, rows: int, cols: int, taps_y: int, taps_x: int, depth: int,
    tap_row: int, tap_col: int, wgt: int, acc: int, acc_col: int, n: int, accumulate: int, groups: int,
    act_group: int,
) -> Passes:
    """Return the passes of a convolution."""
    taps = taps_y * taps_x
    return _passes(
        c, folded(taps, depth, c.array_rows, c.spans_taps), groups, accumulate,
        pixels(act, rows, cols, act_row, act_col), act_depths(taps_y, taps_x, depth, tap_row, tap_col), act_group,
        wgt_channels(wgt, taps * depth, n), wgt_depths(taps, depth), n * taps * depth, acc, acc_col,
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
    cycles = run(c, count, m.act, m.wgt, m.acc, p)
    add_counts(e, count)
    return cycles


@kernel
def depthwise_passes(
    c: Timing, act: int, act_row: int, act_col: int, rows: int, cols: int, taps_y: int, taps_x: int, tap_row: int,
    tap_col: int, wgt: int, acc: int, acc_col: int, n: int,
) -> Passes:
    """Return the passes of a depthwise convolution."""
    taps = taps_y * taps_x
    return _passes(
        c, folded(taps, 1, c.array_rows, c.spans_taps), n, 0,
        pixels(act, rows, cols, act_row, act_col), act_depths(taps_y, taps_x, 1, tap_row, tap_col), 1,
        spaced(wgt, 1, 1), spaced(0, taps, n), 1, acc, acc_col,
    )


@kernel
def _passes(
    c: Timing, fold: Ints, groups: int, accumulate: int, pixel: Ints, act_k: Ints, act_group: int, wgt_j: Ints,
    wgt_k: Ints, wgt_group: int, acc: int, acc_col: int,
) -> Passes:
    """Return the passes: for each group, block of pixels and fold of the kernel."""
    blocks = (len(pixel) + c.array_cols - 1) // c.array_cols
    p = empty_passes(c, len(fold) * blocks * groups, 0)
    for i in range(len(p.rows)):
        first, size = fold[i % len(fold), 0], fold[i % len(fold), 1]
        at, g = i // len(fold) % blocks * c.array_cols, i // len(fold) // blocks
        width = min(c.array_cols, len(pixel) - at)
        p.rows[i] = size
        p.cols[i] = width
        p.fresh[i] = i % len(fold) == 0 and not accumulate
        for r in range(size):
            p.held_row[i, r] = act_k[first + r] + g * act_group
            p.passing_row[i, r] = wgt_k[first + r] + g * wgt_group
        for col in range(width):
            p.held_col[i, col] = pixel[at + col]
            p.sum_col[i, col] = (at + col) * acc_col + g * len(wgt_j)
    return Passes(
        p.rows, p.cols, p.fresh, p.held_row, p.held_col, p.passing_row, wgt_j, p.sum_col,
        spaced(acc, len(wgt_j), 1), 0,
    )


@kernel
def add_counts(e: Ints, count: Ints) -> None:
    """Add a run's counts to the events, the activations being held."""
    e[ev.MAC] += count[MAC]
    e[ev.PE_ACT_READ] += count[HELD_READ]
    e[ev.PE_ACT_WRITE] += count[HELD_WRITE]
    e[ev.HOP_ACT] += count[HELD_HOP]
    e[ev.ACT_READ_BYTES] += count[HELD_ENTER]
    e[ev.PE_WGT_READ] += count[PASSING_READ]
    e[ev.PE_WGT_WRITE] += count[PASSING_WRITE]
    e[ev.HOP_WGT] += count[PASSING_HOP]
    e[ev.WGT_READ_BYTES] += count[PASSING_ENTER]
    e[ev.PE_PSUM_READ] += count[PSUM_READ]
    e[ev.PE_PSUM_WRITE] += count[PSUM_WRITE]
    e[ev.HOP_PSUM] += count[PSUM_HOP]
    e[ev.ACC_READ_WORDS] += count[ACC_READ]
    e[ev.ACC_WRITE_WORDS] += count[ACC_WRITE]
