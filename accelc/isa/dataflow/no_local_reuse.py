"""Closed forms of the adder-tree array without local reuse: every operand of every product comes from its buffer.

array_cols trees (Tn outputs) take array_rows inputs (Ti) a cycle, as DianNao's NFU (ASPLOS 2014, section 5) and NVDLA's
CMAC. accelc.sim.array.no_local_reuse says what moves in which cycle.
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
    blocks = (n + c.array_cols - 1) // c.array_cols * groups
    chunks = (depth + c.array_rows - 1) // c.array_rows
    return block_cycles(c, blocks, rows * cols * taps_y * taps_x * chunks)


def block_cycles(c: Timing, blocks: int, cycles: int) -> tuple[int, int, int]:
    """Return the cycles of blocks of outputs that issue for `cycles` each, and of the trees' pipeline behind them."""
    fill = c.pipeline_stages * (1 if c.overlapped_tiles else blocks)
    if fill > 0:
        return blocks * cycles, fill - c.last_index, 0
    return blocks * cycles - c.last_index, 0, 0


def conv_events(
    e: Array, c: Timing, rows: int, cols: int, taps_y: int, taps_x: int, depth: int, n: int, groups: int,
    accumulate: int, act_row: int, act_col: int, tap_row: int, tap_col: int,
) -> None:
    """Add the access counts of a tile of a convolution."""
    m = rows * cols
    taps = taps_y * taps_x
    outputs = m * n * groups
    chunks = (depth + c.array_rows - 1) // c.array_rows
    e[ev.MAC] += outputs * taps * depth
    e[ev.ACT_READ_BYTES] += m * groups * taps * depth * ((n + c.array_cols - 1) // c.array_cols)
    e[ev.WGT_READ_BYTES] += outputs * taps * depth
    e[ev.PE_PSUM_READ] += outputs * taps * chunks
    e[ev.PE_PSUM_WRITE] += outputs * (taps * chunks + accumulate)
    e[ev.ACC_READ_WORDS] += outputs * accumulate
    e[ev.ACC_WRITE_WORDS] += outputs


def depthwise_cycles(
    c: Timing, rows: int, cols: int, taps_y: int, taps_x: int, n: int,
    act_row: int, act_col: int, tap_row: int, tap_col: int,
) -> tuple[int, int, int]:
    """Return the compute, fill/drain and weight-load cycles of a tile of a depthwise convolution."""
    return block_cycles(c, (n + c.array_cols - 1) // c.array_cols, rows * cols * taps_y * taps_x)


def depthwise_events(
    e: Array, c: Timing, rows: int, cols: int, taps_y: int, taps_x: int, n: int,
    act_row: int, act_col: int, tap_row: int, tap_col: int,
) -> None:
    """Add the access counts of a tile of a depthwise convolution: one product a tree and cycle, nothing is shared."""
    outputs = rows * cols * n
    macs = outputs * taps_y * taps_x
    e[ev.MAC] += macs
    e[ev.ACT_READ_BYTES] += macs
    e[ev.WGT_READ_BYTES] += macs
    e[ev.PE_PSUM_READ] += macs
    e[ev.PE_PSUM_WRITE] += macs
    e[ev.ACC_WRITE_WORDS] += outputs
