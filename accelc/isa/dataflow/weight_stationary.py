"""Closed forms of the weight-stationary systolic array: a tile of weights is held, activations and partial sums pass."""

from __future__ import annotations

from accelc.chip.timing import Timing
from accelc.isa import events as ev
from accelc.isa.core import Array


def conv_cycles(
    c: Timing, rows: int, cols: int, taps_y: int, taps_x: int, depth: int, n: int, groups: int,
    act_row: int, act_col: int, tap_row: int, tap_col: int,
) -> tuple[int, int, int]:
    """Return the compute, fill/drain and weight-load cycles of a tile of a convolution."""
    m = rows * cols
    fill = c.array_rows + c.array_cols - 2
    blocks = (n + c.array_cols - 1) // c.array_cols * groups
    passes = (depth + c.array_rows - 1) // c.array_rows * taps_y * taps_x * blocks
    if c.double_buffered_weights:
        return passes * m, fill, c.array_rows + (passes - 1) * max(0, c.array_rows - m)
    return passes * m, passes * fill, passes * c.array_rows


def conv_events(
    e: Array, c: Timing, rows: int, cols: int, taps_y: int, taps_x: int, depth: int, n: int, groups: int,
    accumulate: int, act_row: int, act_col: int, tap_row: int, tap_col: int,
) -> None:
    """Add the access counts of a tile of a convolution."""
    m = rows * cols
    taps = taps_y * taps_x
    macs = m * taps * depth * n * groups
    passes = taps * ((depth + c.array_rows - 1) // c.array_rows)
    e[ev.MAC] += macs
    e[ev.PE_ACT_READ] += macs
    e[ev.PE_WGT_READ] += macs
    e[ev.PE_PSUM_READ] += macs
    e[ev.PE_PSUM_WRITE] += macs
    e[ev.ACT_READ_BYTES] += m * taps * depth * ((n + c.array_cols - 1) // c.array_cols) * groups
    e[ev.WGT_READ_BYTES] += taps * depth * n * groups
    e[ev.ACC_WRITE_WORDS] += m * n * groups * passes
    e[ev.ACC_READ_WORDS] += m * n * groups * (passes - 1 + accumulate)


def depthwise_cycles(
    c: Timing, rows: int, cols: int, taps_y: int, taps_x: int, n: int,
    act_row: int, act_col: int, tap_row: int, tap_col: int,
) -> tuple[int, int, int]:
    """Return the compute, fill/drain and weight-load cycles of a tile of a depthwise convolution."""
    m = rows * cols
    side = min(c.array_rows, c.array_cols)
    fill = c.array_rows + c.array_cols - 2
    passes = (n + side - 1) // side * taps_y * taps_x
    if c.double_buffered_weights:
        return passes * m, fill, c.array_rows + (passes - 1) * max(0, c.array_rows - m)
    return passes * m, passes * fill, passes * c.array_rows


def depthwise_events(
    e: Array, c: Timing, rows: int, cols: int, taps_y: int, taps_x: int, n: int,
    act_row: int, act_col: int, tap_row: int, tap_col: int,
) -> None:
    """Add the access counts of a tile of a depthwise convolution."""
    macs = rows * cols * taps_y * taps_x * n
    e[ev.MAC] += macs
    e[ev.PE_ACT_READ] += macs
    e[ev.PE_WGT_READ] += macs
    e[ev.PE_PSUM_READ] += macs
    e[ev.PE_PSUM_WRITE] += macs
    e[ev.ACT_READ_BYTES] += macs
    e[ev.WGT_READ_BYTES] += taps_y * taps_x * n
    e[ev.ACC_WRITE_WORDS] += macs
    e[ev.ACC_READ_WORDS] += macs - rows * cols * n
