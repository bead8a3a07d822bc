"""Closed forms of the output-stationary systolic array: partial sums are held, activations and weights pass.

A pass makes the sums of up to array_rows pixels x array_cols output channels, one kernel row (an input channel at a
kernel position) a cycle. accelc.sim.array.output_stationary says what moves in which cycle. A depthwise convolution is
one group of one output channel for each channel.
"""

from __future__ import annotations

from accelc.chip.timing import Timing
from accelc.isa import events as ev
from accelc.isa.core import Array
from accelc.isa.dataflow.weight_stationary import counted as counted


def conv_cycles(
    c: Timing, rows: int, cols: int, taps_y: int, taps_x: int, depth: int, n: int, groups: int,
    act_row: int, act_col: int, tap_row: int, tap_col: int,
) -> tuple[int, int, int]:
    """Return the compute, fill/drain and weight-load cycles of a tile of a convolution."""
    fill = c.array_rows + c.array_cols - 2
    blocks = (rows * cols + c.array_rows - 1) // c.array_rows * ((n + c.array_cols - 1) // c.array_cols)
    passes = blocks * groups
    return counted(c, passes * taps_y * taps_x * depth, fill if c.overlapped_tiles else passes * fill, 0)


def conv_events(
    e: Array, c: Timing, rows: int, cols: int, taps_y: int, taps_x: int, depth: int, n: int, groups: int,
    accumulate: int, act_row: int, act_col: int, tap_row: int, tap_col: int,
) -> None:
    """Add the access counts of a tile of a convolution."""
    m = rows * cols
    length = taps_y * taps_x * depth * groups
    acts = m * length * ((n + c.array_cols - 1) // c.array_cols)
    weights = n * length * ((m + c.array_rows - 1) // c.array_rows)
    e[ev.MAC] += m * n * length
    e[ev.PE_ACT_READ] += acts * c.array_cols
    e[ev.PE_ACT_WRITE] += acts * c.array_cols
    e[ev.HOP_ACT] += acts * (c.array_cols - 1)
    e[ev.ACT_READ_BYTES] += acts
    e[ev.PE_WGT_READ] += weights * c.array_rows
    e[ev.PE_WGT_WRITE] += weights * c.array_rows
    e[ev.HOP_WGT] += weights * (c.array_rows - 1)
    e[ev.WGT_READ_BYTES] += weights
    e[ev.PE_PSUM_READ] += m * n * length
    e[ev.PE_PSUM_WRITE] += m * n * length
    e[ev.HOP_PSUM] += leaving_hops(c.array_rows, m) * n * groups
    e[ev.ACC_WRITE_WORDS] += m * n * groups
    e[ev.ACC_READ_WORDS] += m * n * groups * accumulate


def leaving_hops(array_rows: int, m: int) -> int:
    """Return the hops of one output channel's sums down to the buffer: row r's sum makes array_rows - 1 - r."""
    rest = m % array_rows
    full = m // array_rows * (array_rows * (array_rows - 1) // 2)
    return full + rest * (array_rows - 1) - rest * (rest - 1) // 2


def depthwise_cycles(
    c: Timing, rows: int, cols: int, taps_y: int, taps_x: int, n: int,
    act_row: int, act_col: int, tap_row: int, tap_col: int,
) -> tuple[int, int, int]:
    """Return the compute, fill/drain and weight-load cycles of a tile of a depthwise convolution."""
    return conv_cycles(c, rows, cols, taps_y, taps_x, 1, 1, n, act_row, act_col, tap_row, tap_col)


def depthwise_events(
    e: Array, c: Timing, rows: int, cols: int, taps_y: int, taps_x: int, n: int,
    act_row: int, act_col: int, tap_row: int, tap_col: int,
) -> None:
    """Add the access counts of a tile of a depthwise convolution."""
    conv_events(e, c, rows, cols, taps_y, taps_x, 1, 1, n, 0, act_row, act_col, tap_row, tap_col)
