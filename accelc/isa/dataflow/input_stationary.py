"""Closed forms of the input-stationary systolic array: a tile of activations is held, weights and partial sums pass.

The weight-stationary array with the operands' roles changed: a pass holds up to array_rows input channels of a kernel
position (or, where a pass spans taps, rows of the unfolded kernel) x array_cols pixels, and streams a vector of
weights for each output channel. A depthwise convolution is one group of one output channel for each channel.
"""

from __future__ import annotations

from accelc.chip.timing import Timing
from accelc.isa import events as ev
from accelc.isa.core import Array
from accelc.isa.dataflow.weight_stationary import folds as folds
from accelc.isa.dataflow.weight_stationary import held_hops as held_hops
from accelc.isa.dataflow.weight_stationary import pass_cycles as pass_cycles
from accelc.isa.dataflow.weight_stationary import passing_sums as passing_sums


def conv_cycles(
    c: Timing, rows: int, cols: int, taps_y: int, taps_x: int, depth: int, n: int, groups: int,
    act_row: int, act_col: int, tap_row: int, tap_col: int,
) -> tuple[int, int, int]:
    """Return the compute, fill/drain and load cycles of a tile of a convolution; the load is that of activations."""
    blocks = (rows * cols + c.array_cols - 1) // c.array_cols
    return pass_cycles(c, folds(c, taps_y * taps_x, depth) * blocks * groups, n)


def conv_events(
    e: Array, c: Timing, rows: int, cols: int, taps_y: int, taps_x: int, depth: int, n: int, groups: int,
    accumulate: int, act_row: int, act_col: int, tap_row: int, tap_col: int,
) -> None:
    """Add the access counts of a tile of a convolution."""
    m = rows * cols
    taps = taps_y * taps_x
    acts = m * taps * depth * groups
    entering = n * taps * depth * groups * ((m + c.array_cols - 1) // c.array_cols)
    hops = held_hops(c, taps, depth) * m * groups
    e[ev.MAC] += acts * n
    e[ev.PE_ACT_READ] += acts * n + hops
    e[ev.PE_ACT_WRITE] += acts + hops
    e[ev.HOP_ACT] += hops
    e[ev.ACT_READ_BYTES] += acts
    e[ev.PE_WGT_READ] += entering * c.array_cols
    e[ev.PE_WGT_WRITE] += entering * c.array_cols
    e[ev.HOP_WGT] += entering * (c.array_cols - 1)
    e[ev.WGT_READ_BYTES] += entering
    passing_sums(e, c, m * n * groups, folds(c, taps, depth), accumulate)


def depthwise_cycles(
    c: Timing, rows: int, cols: int, taps_y: int, taps_x: int, n: int,
    act_row: int, act_col: int, tap_row: int, tap_col: int,
) -> tuple[int, int, int]:
    """Return the compute, fill/drain and load cycles of a tile of a depthwise convolution."""
    return conv_cycles(c, rows, cols, taps_y, taps_x, 1, 1, n, act_row, act_col, tap_row, tap_col)


def depthwise_events(
    e: Array, c: Timing, rows: int, cols: int, taps_y: int, taps_x: int, n: int,
    act_row: int, act_col: int, tap_row: int, tap_col: int,
) -> None:
    """Add the access counts of a tile of a depthwise convolution."""
    conv_events(e, c, rows, cols, taps_y, taps_x, 1, 1, n, 0, act_row, act_col, tap_row, tap_col)
