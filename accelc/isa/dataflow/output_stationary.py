"""Closed forms of the output-stationary systolic array: partial sums are held, activations and weights pass."""

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
    passes = (m + c.array_rows - 1) // c.array_rows * ((n + c.array_cols - 1) // c.array_cols) * groups
    return passes * taps_y * taps_x * depth, fill + (0 if c.overlapped_tiles else (passes - 1) * fill), 0


def conv_events(
    e: Array, c: Timing, rows: int, cols: int, taps_y: int, taps_x: int, depth: int, n: int, groups: int,
    accumulate: int, act_row: int, act_col: int, tap_row: int, tap_col: int,
) -> None:
    """Add the access counts of a tile of a convolution."""
    m = rows * cols
    taps = taps_y * taps_x
    macs = m * taps * depth * n * groups
    e[ev.MAC] += macs
    e[ev.PE_ACT_READ] += macs
    e[ev.PE_WGT_READ] += macs
    e[ev.PE_PSUM_READ] += macs
    e[ev.PE_PSUM_WRITE] += macs
    e[ev.ACT_READ_BYTES] += m * taps * depth * ((n + c.array_cols - 1) // c.array_cols) * groups
    e[ev.WGT_READ_BYTES] += taps * depth * n * groups * ((m + c.array_rows - 1) // c.array_rows)
    e[ev.ACC_WRITE_WORDS] += m * n * groups
    e[ev.ACC_READ_WORDS] += m * n * groups * accumulate
