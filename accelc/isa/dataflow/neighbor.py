"""Closed forms of the output-stationary array whose PEs pass activations to their neighbors (ShiDianNao, ISCA 2015).

array_rows x array_cols PEs (Py x Px) hold the sums of a block of one output channel. Each activation that a block needs
of an input channel is read from the buffer once. accelc.sim.array.neighbor says what moves in which cycle.
"""

from __future__ import annotations

import math

from accelc.chip.timing import Timing
from accelc.isa import events as ev
from accelc.isa.core import Array


def conv_cycles(
    c: Timing, rows: int, cols: int, taps_y: int, taps_x: int, depth: int, n: int, groups: int,
    act_row: int, act_col: int, tap_row: int, tap_col: int,
) -> tuple[int, int, int]:
    """Return the compute, fill/drain and weight-load cycles of a tile of a convolution."""
    blocks = (rows + c.array_rows - 1) // c.array_rows * ((cols + c.array_cols - 1) // c.array_cols)
    passes = blocks * n * groups
    cycles = taps_y * taps_x * depth
    if c.overlapped_tiles:
        drain = c.array_cols + (passes - 1) * max(0, c.array_cols - cycles)
    else:
        drain = passes * c.array_cols
    return passes * cycles, drain - c.last_index, 0


def conv_events(
    e: Array, c: Timing, rows: int, cols: int, taps_y: int, taps_x: int, depth: int, n: int, groups: int,
    accumulate: int, act_row: int, act_col: int, tap_row: int, tap_col: int,
) -> None:
    """Add the access counts of a tile of a convolution."""
    for y in range(0, rows, c.array_rows):
        for x in range(0, cols, c.array_cols):
            block_events(
                e, min(c.array_rows, rows - y), min(c.array_cols, cols - x), taps_y, taps_x, depth, n * groups,
                accumulate, act_row, act_col, tap_row, tap_col,
            )


def block_events(
    e: Array, rows: int, cols: int, taps_y: int, taps_x: int, depth: int, n: int, accumulate: int,
    act_row: int, act_col: int, tap_row: int, tap_col: int,
) -> None:
    """Add the access counts of a block that lies on the array at once, for n output channels."""
    far_y, ago_y = link(act_row, tap_row)
    far_x, ago_x = link(act_col, tap_col)
    passed_y = max(0, rows - far_y) * max(0, taps_y - ago_y)
    passed_x = max(0, cols - far_x) * max(0, taps_x - ago_x)
    sideways = passed_x * rows * taps_y
    upward = (cols * taps_x - passed_x) * passed_y
    outputs = rows * cols
    macs = outputs * taps_y * taps_x * depth
    e[ev.MAC] += n * macs
    e[ev.WGT_READ_BYTES] += n * taps_y * taps_x * depth
    e[ev.ACT_READ_BYTES] += n * depth * (macs // depth - sideways - upward)
    e[ev.PE_ACT_WRITE] += n * macs
    e[ev.PE_ACT_READ] += n * (macs + depth * (sideways + upward))
    e[ev.HOP_ACT] += n * depth * (far_x * sideways + far_y * upward)
    e[ev.PE_PSUM_WRITE] += n * (macs + outputs * accumulate)
    e[ev.PE_PSUM_READ] += n * (macs + outputs * accumulate)
    e[ev.ACC_READ_WORDS] += n * outputs * accumulate
    e[ev.ACC_WRITE_WORDS] += n * outputs


def link(stride: int, dilation: int) -> tuple[int, int]:
    """Return how many PEs away, and how many taps ago, another PE used what a PE needs now.

    PE p uses position p*stride + t*dilation at tap t: the same one as PE p + dilation/g at tap t - stride/g.
    """
    g = max(1, math.gcd(stride, dilation))
    return dilation // g, stride // g


def depthwise_cycles(
    c: Timing, rows: int, cols: int, taps_y: int, taps_x: int, n: int,
    act_row: int, act_col: int, tap_row: int, tap_col: int,
) -> tuple[int, int, int]:
    """Return the compute, fill/drain and weight-load cycles of a tile of a depthwise convolution."""
    return conv_cycles(c, rows, cols, taps_y, taps_x, 1, n, 1, act_row, act_col, tap_row, tap_col)


def depthwise_events(
    e: Array, c: Timing, rows: int, cols: int, taps_y: int, taps_x: int, n: int,
    act_row: int, act_col: int, tap_row: int, tap_col: int,
) -> None:
    """Add the access counts of a tile of a depthwise convolution."""
    conv_events(e, c, rows, cols, taps_y, taps_x, 1, n, 1, 0, act_row, act_col, tap_row, tap_col)
