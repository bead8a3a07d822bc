"""The output-stationary array: sums are held, activations pass from left to right and weights from top to bottom.

Each PE has a register for the passing activation, one for the passing weight and one for its sum. At the start of a
cycle every activation moves one PE to the right and every weight one PE down, and the buffers put the next ones into
column 0 and row 0; row r runs r cycles behind row 0 and column c runs c behind column 0, so PE (r, c) meets kernel row
k (an input channel at a kernel position) of pixel r and output channel c in cycle k + r + c of its pass. It adds the
product to its sum; a mark that travels with kernel row 0 makes it begin a new sum instead.

A sum that is complete goes down its column's result wires, past the PEs below (a hop each), to the accumulator buffer,
which adds it to what it has where the instruction accumulates. The PEs of a column complete their sums in successive
cycles, so one wire a column is enough where a pass is at least array_rows kernel rows long; shorter passes that
overlap are assumed to have as many wires as they need. Reading out therefore takes no cycles of its own.

The next pass's kernel row 0 enters right behind the last of the one before, or, where tiles do not overlap, when that
has left the last PE. The instruction ends when the last pass's has.

Words count, bubbles do not: an activation is written and read once in every PE of its row and a weight in every PE of
its column, in use or not; a sum is written for every product, and read for every product but the first, and to leave.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from accelc.chip.timing import Timing
from accelc.isa import Memory
from accelc.isa import events as ev
from accelc.sim.array.stationary import EMPTY, Ints, Words
from accelc.sim.array.tables import act_depths, pixels, spaced, wgt_channels, wgt_depths
from accelc.sim.jit import kernel


class Tile(NamedTuple):
    """One instruction: groups of M pixels x N output channels of K kernel rows, and where their words lie."""

    groups: int
    pixel: Ints  # [M], a pixel's first activation
    act_k: Ints  # [K], from there to each kernel row's
    act_group: int
    channel: Ints  # [N], an output channel's first weight
    wgt_k: Ints  # [K], from there to each kernel row's
    wgt_group: int
    acc: int
    acc_col: int
    accumulate: int


class State(NamedTuple):
    """The registers of the array [array_rows, array_cols], and what its edges count."""

    act: Words
    wgt: Words
    psum: Words
    busy: Words  # 1 where a kernel row is, of a PE in use or not
    first: Words  # 1 where it is a pass's first
    last: Words  # 1 where it is a pass's last
    act_feed: Ints  # [array_rows, 2], pass and next kernel row of each row's left edge
    wgt_feed: Ints  # [array_cols, 2], pass and next kernel row of each column's upper edge
    work: Ints  # [array_rows, array_cols], pass each PE works on


@kernel
def conv(
    m: Memory, c: Timing, e: Ints, act: int, act_row: int, act_col: int, rows: int, cols: int, taps_y: int,
    taps_x: int, depth: int, tap_row: int, tap_col: int, wgt: int, acc: int, acc_col: int, n: int, accumulate: int,
    groups: int, act_group: int,
) -> int:
    """Execute `conv`; add its access counts to `e` and return its cycles."""
    return run(m, c, e, conv_tile(
        act, act_row, act_col, rows, cols, taps_y, taps_x, depth, tap_row, tap_col, wgt, acc, acc_col, n, accumulate,
        groups, act_group,
    ))


@kernel
def conv_tile(
    act: int, act_row: int, act_col: int, rows: int, cols: int, taps_y: int, taps_x: int, depth: int, tap_row: int,
    tap_col: int, wgt: int, acc: int, acc_col: int, n: int, accumulate: int, groups: int, act_group: int,
) -> Tile:
    """Return where a convolution's words lie."""
    taps = taps_y * taps_x
    return Tile(
        groups, pixels(act, rows, cols, act_row, act_col), act_depths(taps_y, taps_x, depth, tap_row, tap_col),
        act_group, wgt_channels(wgt, taps * depth, n), wgt_depths(taps, depth), n * taps * depth, acc, acc_col,
        accumulate,
    )


@kernel
def depthwise(
    m: Memory, c: Timing, e: Ints, act: int, act_row: int, act_col: int, rows: int, cols: int, taps_y: int,
    taps_x: int, tap_row: int, tap_col: int, wgt: int, acc: int, acc_col: int, n: int,
) -> int:
    """Execute `depthwise`; add its access counts to `e` and return its cycles."""
    return run(m, c, e, depthwise_tile(
        act, act_row, act_col, rows, cols, taps_y, taps_x, tap_row, tap_col, wgt, acc, acc_col, n
    ))


@kernel
def depthwise_tile(
    act: int, act_row: int, act_col: int, rows: int, cols: int, taps_y: int, taps_x: int, tap_row: int, tap_col: int,
    wgt: int, acc: int, acc_col: int, n: int,
) -> Tile:
    """Return where a depthwise convolution's words lie: a group for each channel."""
    taps = taps_y * taps_x
    return Tile(
        n, pixels(act, rows, cols, act_row, act_col), act_depths(taps_y, taps_x, 1, tap_row, tap_col), 1,
        spaced(wgt, 1, 1), spaced(0, taps, n), 1, acc, acc_col, 0,
    )


@kernel
def run(m: Memory, c: Timing, e: Ints, tile: Tile) -> int:
    """Execute a tile; add to `e` and return the cycles."""
    s = _reset(c.array_rows, c.array_cols, len(tile.act_k))
    length = len(tile.act_k)
    passes = blocks(tile, c) * tile.groups
    starts, left, t = 0, 0, 0
    while left < passes * length:
        free = s.act_feed[0, 1] == length if c.overlapped_tiles else left == starts * length
        start = free and starts < passes
        starts += start
        _shift_acts(m, c, e, tile, s, start)
        _shift_weights(m, c, e, tile, s)
        for r in range(c.array_rows):
            for col in range(c.array_cols):
                if s.busy[r, col]:
                    _work(m, c, e, tile, s, r, col)
        left += s.busy[-1, -1]
        t += 1
    return t - c.last_index


@kernel
def _reset(rows: int, cols: int, length: int) -> State:
    """Return empty registers."""
    plane = np.zeros((6, rows, cols), np.int32)
    act_feed, wgt_feed = np.full((rows, 2), -1, np.int64), np.full((cols, 2), -1, np.int64)
    act_feed[:, 1] = length
    wgt_feed[:, 1] = length
    return State(
        plane[0], plane[1], plane[2], plane[3], plane[4], plane[5], act_feed, wgt_feed,
        np.full((rows, cols), -1, np.int64),
    )


@kernel
def blocks(tile: Tile, c: Timing) -> int:
    """Return the passes of one group."""
    across = (len(tile.channel) + c.array_cols - 1) // c.array_cols
    return (len(tile.pixel) + c.array_rows - 1) // c.array_rows * across


@kernel
def place(tile: Tile, c: Timing, index: int) -> tuple[int, int, int]:
    """Return a pass's group, first pixel and first output channel."""
    across = (len(tile.channel) + c.array_cols - 1) // c.array_cols
    g, block = index // blocks(tile, c), index % blocks(tile, c)
    return g, block // across * c.array_rows, block % across * c.array_cols


@kernel
def _shift_acts(m: Memory, c: Timing, e: Ints, tile: Tile, s: State, start: int) -> None:
    """Move activations and marks one PE to the right; the marks enter each row a cycle after the row above."""
    for r in range(c.array_rows - 1, -1, -1):
        for col in range(c.array_cols - 1, 0, -1):
            s.act[r, col] = s.act[r, col - 1]
            s.busy[r, col] = s.busy[r, col - 1]
            s.first[r, col] = s.first[r, col - 1]
            s.last[r, col] = s.last[r, col - 1]
            if s.busy[r, col] and s.act[r, col] != EMPTY:
                e[ev.HOP_ACT] += 1
                e[ev.PE_ACT_WRITE] += 1
        s.first[r, 0] = s.first[r - 1, 0] if r else start
        _feed_act(m, c, e, tile, s, r)


@kernel
def _feed_act(m: Memory, c: Timing, e: Ints, tile: Tile, s: State, r: int) -> None:
    """Put the next activation of row r into its first PE."""
    feed = s.act_feed[r]
    if s.first[r, 0]:
        feed[0] += 1
        feed[1] = 0
    k = feed[1]
    s.busy[r, 0] = k < len(tile.act_k)
    s.last[r, 0] = k == len(tile.act_k) - 1
    if s.busy[r, 0]:
        g, pixel, _ = place(tile, c, feed[0])
        s.act[r, 0] = EMPTY
        if pixel + r < len(tile.pixel):
            s.act[r, 0] = m.act[tile.pixel[pixel + r] + tile.act_k[k] + g * tile.act_group]
            e[ev.ACT_READ_BYTES] += 1
            e[ev.PE_ACT_WRITE] += 1
        feed[1] += 1


@kernel
def _shift_weights(m: Memory, c: Timing, e: Ints, tile: Tile, s: State) -> None:
    """Move weights one PE down and put the next into row 0 wherever a kernel row has arrived there."""
    for col in range(c.array_cols):
        for r in range(c.array_rows - 1, 0, -1):
            s.wgt[r, col] = s.wgt[r - 1, col]
            if s.busy[r, col] and s.wgt[r, col] != EMPTY:
                e[ev.HOP_WGT] += 1
                e[ev.PE_WGT_WRITE] += 1
        _feed_weight(m, c, e, tile, s, col)


@kernel
def _feed_weight(m: Memory, c: Timing, e: Ints, tile: Tile, s: State, col: int) -> None:
    """Put the next weight of a column into its first PE."""
    feed = s.wgt_feed[col]
    if s.first[0, col]:
        feed[0] += 1
        feed[1] = 0
    if s.busy[0, col]:
        g, _, channel = place(tile, c, feed[0])
        s.wgt[0, col] = EMPTY
        if channel + col < len(tile.channel):
            s.wgt[0, col] = m.wgt[tile.channel[channel + col] + tile.wgt_k[feed[1]] + g * tile.wgt_group]
            e[ev.WGT_READ_BYTES] += 1
            e[ev.PE_WGT_WRITE] += 1
        feed[1] += 1


@kernel
def _work(m: Memory, c: Timing, e: Ints, tile: Tile, s: State, r: int, col: int) -> None:
    """Add one PE's product to its sum, which then leaves if it is complete."""
    x, w, first = s.act[r, col], s.wgt[r, col], s.first[r, col]
    s.work[r, col] += first
    e[ev.PE_ACT_READ] += x != EMPTY
    e[ev.PE_WGT_READ] += w != EMPTY
    if x == EMPTY or w == EMPTY:
        return
    s.psum[r, col] = np.int32((0 if first else s.psum[r, col]) + x * w)
    e[ev.MAC] += 1
    e[ev.PE_PSUM_READ] += 1 - first + s.last[r, col]
    e[ev.PE_PSUM_WRITE] += 1
    if s.last[r, col]:
        g, pixel, channel = place(tile, c, s.work[r, col])
        to = tile.acc + (pixel + r) * tile.acc_col + g * len(tile.channel) + channel + col
        m.acc[to] = np.int32(m.acc[to] + s.psum[r, col]) if tile.accumulate else s.psum[r, col]
        e[ev.HOP_PSUM] += c.array_rows - 1 - r
        e[ev.ACC_WRITE_WORDS] += 1
        e[ev.ACC_READ_WORDS] += tile.accumulate
