"""Closed forms of the weight-stationary systolic array: a tile of weights is held, activations and partial sums pass.

A pass holds up to array_rows input channels of a kernel position (or, where a pass spans taps, consecutive rows of
the unfolded kernel) x array_cols output channels. accelc.sim.array.weight_stationary says what moves in which cycle.
"""

from __future__ import annotations

from accelc.chip.timing import Timing
from accelc.isa import events as ev
from accelc.isa.core import Array


def conv_cycles(
    c: Timing, rows: int, cols: int, taps_y: int, taps_x: int, depth: int, n: int, groups: int,
    act_row: int, act_col: int, tap_row: int, tap_col: int,
) -> tuple[int, int, int]:
    """Return the compute, fill/drain and weight-load cycles of a tile of a convolution."""
    blocks = (n + c.array_cols - 1) // c.array_cols
    return pass_cycles(c, folds(c, taps_y * taps_x, depth) * blocks * groups, rows * cols)


def folds(c: Timing, taps: int, depth: int) -> int:
    """Return how many passes `taps` kernel positions of `depth` channels take along the array's rows."""
    if c.spans_taps:
        return (taps * depth + c.array_rows - 1) // c.array_rows
    return (depth + c.array_rows - 1) // c.array_rows * taps


def pass_cycles(c: Timing, passes: int, vectors: int) -> tuple[int, int, int]:
    """Return the compute, fill/drain and load cycles of passes that load array_rows rows, then stream `vectors`."""
    fill = c.array_rows + c.array_cols - 2
    load = c.array_rows
    if not c.double_buffered_weights:
        fill *= passes
        load *= passes
    elif c.overlapped_tiles:
        load += (passes - 1) * max(0, c.array_rows - vectors)
    else:  # a pass lasts vectors + fill >= array_rows cycles: all loads but the first are hidden
        fill *= passes
    return counted(c, passes * vectors, fill, load)


def counted(c: Timing, compute: int, fill: int, load: int) -> tuple[int, int, int]:
    """Return the three parts, less one cycle where the chip counts the index of the last cycle."""
    if fill > 0:
        return compute, fill - c.last_index, load
    return compute - c.last_index, fill, load


def held_hops(c: Timing, taps: int, depth: int) -> int:
    """Return the hops that one column's words make down to their rows: row r's word makes r."""
    if c.spans_taps:
        depth *= taps
        taps = 1
    full = depth // c.array_rows
    rest = depth % c.array_rows
    return taps * (full * (c.array_rows * (c.array_rows - 1) // 2) + rest * (rest - 1) // 2)


def conv_events(
    e: Array, c: Timing, rows: int, cols: int, taps_y: int, taps_x: int, depth: int, n: int, groups: int,
    accumulate: int, act_row: int, act_col: int, tap_row: int, tap_col: int,
) -> None:
    """Add the access counts of a tile of a convolution."""
    m = rows * cols
    taps = taps_y * taps_x
    weights = taps * depth * n * groups
    entering = m * taps * depth * groups * ((n + c.array_cols - 1) // c.array_cols)
    hops = held_hops(c, taps, depth) * n * groups
    e[ev.MAC] += m * weights
    e[ev.PE_ACT_READ] += entering * c.array_cols
    e[ev.PE_ACT_WRITE] += entering * c.array_cols
    e[ev.HOP_ACT] += entering * (c.array_cols - 1)
    e[ev.ACT_READ_BYTES] += entering
    e[ev.PE_WGT_READ] += m * weights + hops
    e[ev.PE_WGT_WRITE] += weights + hops
    e[ev.HOP_WGT] += hops
    e[ev.WGT_READ_BYTES] += weights
    passing_sums(e, c, m * n * groups, folds(c, taps, depth), accumulate)


def passing_sums(e: Array, c: Timing, outputs: int, passes: int, accumulate: int) -> None:
    """Add the accesses of sums that, in each of `passes` passes, go down a column to the accumulator buffer."""
    e[ev.PE_PSUM_READ] += outputs * passes * c.array_rows
    e[ev.PE_PSUM_WRITE] += outputs * passes * c.array_rows
    e[ev.HOP_PSUM] += outputs * passes * (c.array_rows - 1)
    e[ev.ACC_WRITE_WORDS] += outputs * passes
    e[ev.ACC_READ_WORDS] += outputs * (passes - 1 + accumulate)


def depthwise_cycles(
    c: Timing, rows: int, cols: int, taps_y: int, taps_x: int, n: int,
    act_row: int, act_col: int, tap_row: int, tap_col: int,
) -> tuple[int, int, int]:
    """Return the compute, fill/drain and weight-load cycles of a tile of a depthwise convolution."""
    side = min(c.array_rows, c.array_cols)
    return pass_cycles(c, (n + side - 1) // side * taps_y * taps_x, rows * cols)


def depthwise_events(
    e: Array, c: Timing, rows: int, cols: int, taps_y: int, taps_x: int, n: int,
    act_row: int, act_col: int, tap_row: int, tap_col: int,
) -> None:
    """Add the access counts of a tile of a depthwise convolution, whose channels lie on the diagonal."""
    taps = taps_y * taps_x
    macs = rows * cols * taps * n
    side = min(c.array_rows, c.array_cols)
    rest = n % side
    hops = taps * (n // side * (side * (side - 1) // 2) + rest * (rest - 1) // 2)
    e[ev.MAC] += macs
    e[ev.PE_ACT_READ] += macs * c.array_cols
    e[ev.PE_ACT_WRITE] += macs * c.array_cols
    e[ev.HOP_ACT] += macs * (c.array_cols - 1)
    e[ev.ACT_READ_BYTES] += macs
    e[ev.PE_WGT_READ] += macs + hops
    e[ev.PE_WGT_WRITE] += taps * n + hops
    e[ev.HOP_WGT] += hops
    e[ev.WGT_READ_BYTES] += taps * n
    passing_sums(e, c, rows * cols * n, taps, 0)
