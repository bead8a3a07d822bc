"""The input-stationary array, a row of PEs at a time: `stationary_fast` on the passes of `input_stationary`."""

from __future__ import annotations

import numpy as np

from accelc.chip.timing import Timing
from accelc.isa import Memory
from accelc.sim.array.input_stationary import add_counts, conv_passes, depthwise_passes
from accelc.sim.array.stationary import COUNTS, Ints
from accelc.sim.array.stationary_fast import run
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
