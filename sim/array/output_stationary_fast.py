"""The literal array of `output_stationary`, a row of PEs at a time: the same registers move in the same cycles.

Every cycle all activations move right, all weights move down and all products are added (accelc.sim.array.lanes); a
wave of PEs hands its complete sums over and begins new ones. What is not played PE by PE is control: a pass's first
cycle follows from the passes before, a mark's place from that cycle, and counts from each pass's size.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from accelc.chip.timing import Timing
from accelc.isa import Memory
from accelc.isa import events as ev
from accelc.sim.array.lanes import BEFORE, LANES, SUM, WORD, accumulate, advance_both, get, get_byte, put
from accelc.sim.array.output_stationary import Tile, blocks, conv_tile, depthwise_tile, place
from accelc.sim.array.stationary import Ints
from accelc.sim.jit import kernel
from accelc.sim.kernels.ir import address, fill

ALIGNMENT = 2 * LANES  # bytes; a vector that straddles cache lines costs two accesses
FIELDS = 7  # of a pass: see `table`


class Places(NamedTuple):
    """Sizes, and addresses of registers, buffers and tables; arrays would cost a count at each call."""

    rows: int
    cols: int
    chunks: int  # of LANES columns in a row
    length: int  # kernel rows of a pass
    words: int  # [rows] of the activation to enter and the row's; points to those to enter
    word_pitch: int
    falling: int  # [rows + 1, chunks*LANES], first the weights to enter
    sums: int  # [rows, chunks*LANES]
    act: int
    wgt: int
    acc: int
    acc_col: int
    keep: int  # -1 where the buffer's sums are added to, 0 where they are replaced
    pixel: int
    act_k: int
    channel: int
    wgt_k: int
    passes: int


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
def depthwise(
    m: Memory, c: Timing, e: Ints, act: int, act_row: int, act_col: int, rows: int, cols: int, taps_y: int,
    taps_x: int, tap_row: int, tap_col: int, wgt: int, acc: int, acc_col: int, n: int,
) -> int:
    """Execute `depthwise`; add its access counts to `e` and return its cycles."""
    return run(m, c, e, depthwise_tile(
        act, act_row, act_col, rows, cols, taps_y, taps_x, tap_row, tap_col, wgt, acc, acc_col, n
    ))


@kernel
def run(m: Memory, c: Timing, e: Ints, tile: Tile) -> int:
    """Execute a tile; add to `e` and return the cycles."""
    width = WORD * LANES * ((c.array_cols + LANES - 1) // LANES)
    registers = np.zeros(ALIGNMENT + c.array_rows * (BEFORE + 4 * width) + width, np.uint8)
    passes = table(c, tile)
    cycles = play(m, c, registers, tile, passes)
    for i in range(len(passes)):
        add_pass(e, c, len(tile.act_k), passes[i, 2], passes[i, 5], tile.accumulate)
    return cycles - c.last_index


@kernel
def table(c: Timing, tile: Tile) -> Ints:
    """Return each pass's part of activation addresses, first pixel and pixels, the same of weights, and first sum."""
    passes = np.empty((blocks(tile, c) * tile.groups, FIELDS), np.int64)
    for i in range(len(passes)):
        g, pixel, channel = place(tile, c, i)
        passes[i, 0], passes[i, 1] = g * tile.act_group, pixel
        passes[i, 2] = min(c.array_rows, len(tile.pixel) - pixel)
        passes[i, 3], passes[i, 4] = g * tile.wgt_group, channel
        passes[i, 5] = min(c.array_cols, len(tile.channel) - channel)
        passes[i, 6] = tile.acc + pixel * tile.acc_col + g * len(tile.channel) + channel
    return passes


@kernel
def play(m: Memory, c: Timing, registers: npt.NDArray[np.uint8], tile: Tile, passes: Ints) -> int:
    """Play all cycles; the caller holds the arrays, so that they stay while only their addresses are used."""
    a = places(m, c, address(registers), tile, address(passes))
    whole = a.length + a.rows + a.cols - 2
    step = a.length if c.overlapped_tiles else whole
    end = (len(passes) - 1) * step + whole
    for t in range(end):
        oldest = max(0, (t - whole - 1) // step + 1)  # a bubble follows the last word even where that leaves at once
        newest = min(len(passes) - 1, t // step)
        for i in range(oldest, newest + 1):
            feed_acts(a, a.passes + 8 * FIELDS * i, t - i * step)
            feed_weights(a, a.passes + 8 * FIELDS * i, t - i * step)
        advance_both(a.words - (BEFORE - WORD), a.falling, a.sums, a.rows, a.chunks)
        for i in range(oldest, newest + 1):
            leave(a, a.passes + 8 * FIELDS * i, t - i * step - (a.length - 1))
    return int(end)


@kernel
def places(m: Memory, c: Timing, registers: int, tile: Tile, passes: int) -> Places:
    """Lay the registers out from an address on."""
    rows, chunks = c.array_rows, (c.array_cols + LANES - 1) // LANES
    width = WORD * LANES * chunks
    words = (registers + ALIGNMENT - 1) // ALIGNMENT * ALIGNMENT
    falling = words + rows * (BEFORE + width)
    return Places(
        rows, c.array_cols, chunks, len(tile.act_k), words + BEFORE - WORD, BEFORE + width, falling,
        falling + (rows + 1) * width, address(m.act), address(m.wgt), address(m.acc), tile.acc_col, -tile.accumulate,
        address(tile.pixel), address(tile.act_k), address(tile.channel), address(tile.wgt_k), passes,
    )


@kernel
def feed_acts(a: Places, one: int, age: int) -> None:
    """Put a pass's activations in front of the rows, row r's r cycles behind row 0's; a bubble follows the last."""
    ended = age - a.length
    if 0 <= ended < a.rows:
        put(a.words + ended * a.word_pitch, 0)
    base, pixel = a.act + get(one), a.pixel + 8 * get(one + 8)
    for r in range(max(0, ended + 1), min(age + 1, get(one + 16))):
        at = base + get(pixel + 8 * r) + get(a.act_k + 8 * (age - r))
        put(a.words + r * a.word_pitch, get_byte(at, 0))


@kernel
def feed_weights(a: Places, one: int, age: int) -> None:
    """Put a pass's weights above the columns, column c's c cycles behind column 0's; a bubble follows the last."""
    ended = age - a.length
    if 0 <= ended < a.cols:
        put(a.falling + WORD * ended, 0)
    base, channel = a.wgt + get(one + 24), a.channel + 8 * get(one + 32)
    for col in range(max(0, ended + 1), min(age + 1, get(one + 40))):
        at = base + get(channel + 8 * col) + get(a.wgt_k + 8 * (age - col))
        put(a.falling + WORD * col, get_byte(at, 128))


@kernel
def leave(a: Places, one: int, age: int) -> None:
    """Hand over the sums that the wave of a pass's last kernel row has completed, and begin new ones in their place."""
    high, wide, sums = get(one + 16), get(one + 40), get(one + 48)
    for r in range(max(0, age - wide + 1), min(high, age + 1)):
        source = a.sums + SUM * (r * LANES * a.chunks + age - r)
        accumulate(a.acc + SUM * (sums + r * a.acc_col + age - r), source, a.keep)
        fill(source, 0, SUM)


@kernel
def add_pass(e: Ints, c: Timing, length: int, high: int, wide: int, accumulates: int) -> None:
    """Add the counts of a pass that uses high x wide PEs."""
    macs = length * high * wide
    e[ev.MAC] += macs
    e[ev.ACT_READ_BYTES] += length * high
    e[ev.PE_ACT_READ] += length * high * c.array_cols
    e[ev.PE_ACT_WRITE] += length * high * c.array_cols
    e[ev.HOP_ACT] += length * high * (c.array_cols - 1)
    e[ev.WGT_READ_BYTES] += length * wide
    e[ev.PE_WGT_READ] += length * wide * c.array_rows
    e[ev.PE_WGT_WRITE] += length * wide * c.array_rows
    e[ev.HOP_WGT] += length * wide * (c.array_rows - 1)
    e[ev.PE_PSUM_READ] += macs
    e[ev.PE_PSUM_WRITE] += macs
    for r in range(high):
        e[ev.HOP_PSUM] += wide * (c.array_rows - 1 - r)
    e[ev.ACC_WRITE_WORDS] += high * wide
    e[ev.ACC_READ_WORDS] += high * wide * accumulates
