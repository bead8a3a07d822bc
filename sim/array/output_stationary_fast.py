"""The literal array of `output_stationary`, a row of PEs at a time: the same registers move in the same cycles.

Rows are walked some cycles at a time (accelc.sim.array.walk): all activations move right, all weights move down, all
products are added, and a wave of PEs hands its complete sums over and begins new ones. What is not played PE by PE is
control: a pass's first cycle follows from the passes before, a mark's place from that cycle, counts from each pass's
size.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from accelc.chip.timing import Timing
from accelc.isa import Memory
from accelc.isa import events as ev
from accelc.sim import jit
from accelc.sim.array.edges import HISTORY, accumulate, get, get_byte, put, put_word, stagger, take_bytes, widen
from accelc.sim.array.output_stationary import Tile, blocks, conv_tile, depthwise_tile, place
from accelc.sim.array.stationary import Ints, Words
from accelc.sim.array.stationary_fast import up, width_of
from accelc.sim.array.walk import ROW, STEPS, WORD, walk_both, walk_ending
from accelc.sim.jit import kernel
from accelc.sim.kernels.ir import LANES, address, fill

FIELDS = 7  # of a pass: see `table`


class Places(NamedTuple):
    """Sizes, and addresses of registers, buffers and tables; arrays would cost a count at each call."""

    rows: int
    length: int  # kernel rows of a pass
    gap: int  # cycles from a pass's start to the next one's
    number: int  # of passes
    end: int  # cycles
    width: int  # bytes of one kind of registers of an array row
    words: int  # activations [columns/LANES, rows, LANES]
    sums: int  # [columns/LANES, rows, LANES]
    falling: int  # weights that enter the first row [columns/LANES, STEPS, LANES]
    left: int  # complete sums of some columns [rows, STEPS, LANES]
    arriving: int  # weights between the buffer and the first row [columns/LANES, HISTORY]
    entering: int  # activations that enter each row's first PE [rows, STEPS]
    ending: int  # mark of step 0, see `mark`
    act: int
    wgt: int
    acc: int
    acc_col: int
    keep: int  # -1 where the buffer's sums are added to, 0 where they are replaced
    pixel: int
    act_k: int
    act_run: int  # how many kernel rows' activations follow one another, from each on
    channel: int
    channel_run: int  # how many channels' weights lie 4 bytes apart, from each on
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
    passes, registers = table(c, tile), np.zeros(room(c), np.uint8)
    gap, end = times(c, len(tile.act_k), len(passes))
    marks = mark(c, len(tile.act_k), gap, len(passes))
    runs = run_lengths(tile.act_k, 1), run_lengths(tile.channel, 4)
    if len(m.wgt) % 4:
        runs[1][:] = 1
    a = places(m, c, registers, tile, passes, gap, end, marks, runs)
    play(a, (registers, marks, runs, tile, passes))
    for i in range(len(passes)):
        add_pass(e, c, len(tile.act_k), passes[i, 2], passes[i, 5], tile.accumulate)
    return end - c.last_index


@kernel
def times(c: Timing, length: int, passes: int) -> tuple[int, int]:
    """Return the cycles from a pass's start to the next one's, and all."""
    whole = length + c.array_rows + c.array_cols - 2
    gap = length if c.overlapped_tiles else whole
    return gap, (passes - 1) * gap + whole


@kernel
def room(c: Timing) -> int:
    """Return the bytes that registers take."""
    width = width_of(c)
    return ROW + (2 * c.array_rows + STEPS) * width + (ROW + WORD) * STEPS * c.array_rows + width // ROW * HISTORY


@kernel
def mark(c: Timing, length: int, gap: int, passes: int) -> Words:
    """Return the marks that enter column 0 in each step, the last step's first: -1 with a pass's last kernel row.

    A mark travels a column a step, so that what marks the columns in step s lies from step s's mark on.
    """
    end = (passes - 1) * gap + length - 1
    marks = np.zeros(end + 1 + ahead(c) + up(c.array_rows, STEPS) + up(c.array_cols, LANES), np.int32)
    for i in range(passes):
        marks[ahead(c) + end - i * gap - length + 1] = -1
    return marks


@kernel
def ahead(c: Timing) -> int:
    """Return how many steps beyond the last mark's there may be."""
    return c.array_rows + c.array_cols + STEPS


@kernel
def run_lengths(at: Ints, stride: int) -> Ints:
    """Return how many addresses lie `stride` apart, from each on."""
    run = np.ones(len(at), np.int64)
    for k in range(len(at) - 2, -1, -1):
        if at[k + 1] == at[k] + stride:
            run[k] = run[k + 1] + 1
    return run


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
def places(
    m: Memory, c: Timing, registers: Any, tile: Tile, passes: Ints, gap: int, end: int, marks: Words,
    runs: tuple[Ints, Ints],
) -> Places:
    """Lay the registers out; what an address is of, the caller holds, so that it stays."""
    width = width_of(c)
    words = up(address(registers), ROW)
    sums = words + c.array_rows * width
    falling = sums + c.array_rows * width
    left = falling + STEPS * width
    arriving = left + c.array_rows * STEPS * ROW
    last = (len(passes) - 1) * gap + len(tile.act_k) - 1
    return Places(
        c.array_rows, len(tile.act_k), gap, len(passes), end, width, words, sums, falling, left, arriving,
        arriving + width // ROW * HISTORY, address(marks) + WORD * (ahead(c) + last), address(m.act), address(m.wgt),
        address(m.acc), tile.acc_col, -tile.accumulate, address(tile.pixel), address(tile.act_k), address(runs[0]),
        address(tile.channel), address(runs[1]), address(tile.wgt_k), address(passes),
    )


@kernel
def play(a: Places, _arrays: Any) -> None:
    """Play all cycles, STEPS at a time; takes the arrays of which addresses are used, so that the caller keeps them.

    Step s of row r is cycle s + r, so the first step is the one in which the bottom row has its cycle 0.
    """
    for step in range(-up(a.rows - 1, STEPS), a.end, STEPS):
        play_steps(a, step)


@jit.step
def play_steps(a: Places, step: int) -> None:
    """Play STEPS steps.

    From right to left: what enters a column's first PEs is what those left of it held before.
    """
    fill(a.entering, 0, a.rows * STEPS * WORD)
    for i in range(max(0, (step - a.length) // a.gap + 1), min(a.number, (step + STEPS - 1) // a.gap + 1)):
        feed(a, a.passes + 8 * FIELDS * i, step - i * a.gap)
    first, last = max(0, -(step + STEPS - 1)), min(a.rows, a.end - step)
    for at in range(a.width - ROW, -1, -ROW):
        load(a, step - at // WORD, at)
        advance(a, step, at, first, last)


@jit.step
def advance(a: Places, step: int, at: int, first: int, last: int) -> None:
    """Walk rows `first` to `last` - 1 of LANES columns, and hand over what sums are complete."""
    above, down = a.rows * at + first * ROW, last - first
    entering, row, each = a.words + above - a.rows * ROW + ROW - WORD, ROW, -WORD
    if at == 0:
        entering, row, each = a.entering + first * STEPS * WORD, STEPS * WORD, WORD
    early = step - at // WORD - (a.length - 1)  # of a pass's last kernel row, in the first of these columns
    begin, end = max(0, -((LANES - 1 - early) // a.gap)), min(a.number, (early + STEPS - 1) // a.gap + 1)
    if begin >= end:
        walk_both(entering, row, each, a.words + above, a.falling + STEPS * at, a.sums + above, down)
        return
    walk_ending(
        entering, row, each, a.words + above, a.falling + STEPS * at, a.sums + above, down,
        a.ending + at - WORD * step, a.left + first * STEPS * ROW,
    )
    for i in range(begin, end):
        leave(a, a.passes + 8 * FIELDS * i, at // WORD, early - i * a.gap, first, last)


@jit.step
def feed(a: Places, one: int, age: int) -> None:
    """Put a pass's activations in front of the rows, its kernel row 0's in the step in which its age is 0."""
    pixel, first, last = a.pixel + 8 * get(one + 8), max(0, -age), min(STEPS, a.length - age)
    whole = last - first == STEPS and get(a.act_run + 8 * age) >= STEPS
    for r in range(get(one + 16)):
        to, source = a.entering + r * STEPS * WORD, a.act + get(one) + get(pixel + 8 * r)
        if whole:
            widen(to, source + get(a.act_k + 8 * age), 0)
        else:
            for k in range(first, last):
                put_word(to + WORD * k, get_byte(source + get(a.act_k + 8 * (age + k)), 0))


@jit.step
def load(a: Places, step: int, at: int) -> None:
    """Put the weights that enter LANES columns above them; `step` is that of the first of all columns."""
    falling = a.falling + STEPS * at
    fill(falling, 0, STEPS * ROW)
    for i in range(max(0, (step - a.length) // a.gap + 1), min(a.number, (step + STEPS - 1) // a.gap + 1)):
        one, age = a.passes + 8 * FIELDS * i, step - i * a.gap
        for k in range(max(0, -age), min(STEPS, a.length - age)):
            fetch(a, one, age + k, at // WORD, falling + k * ROW)
    stagger(falling, a.arriving + at // ROW * HISTORY)


@jit.step
def fetch(a: Places, one: int, k: int, first: int, to: int) -> None:
    """Put the weights of a pass's kernel row for LANES columns."""
    count, channel = min(LANES, get(one + 40) - first), 8 * (get(one + 32) + first)
    offset = get(one + 24) + get(a.wgt_k + 8 * k)
    if count == LANES and get(a.channel_run + channel) >= LANES:
        offset += get(a.channel + channel)
        take_bytes(to, a.wgt + (offset & ~3), offset & 3, 128)
    else:
        for lane in range(count):
            put(to + WORD * lane, get_byte(a.wgt + offset + get(a.channel + channel + 8 * lane), 128))


@jit.step
def leave(a: Places, one: int, column: int, age: int, first: int, last: int) -> None:
    """Hand over the sums that the wave of a pass's last kernel row has completed in LANES columns.

    That row reaches the first of the columns in the step in which its age is 0, each further one a step later.
    """
    high, wide, sums = min(get(one + 16), last), get(one + 40) - column, get(one + 48) + column
    for r in range(first, high):
        to, source = a.acc + WORD * (sums + r * a.acc_col), a.left + r * STEPS * ROW
        for lane in range(max(0, age), min(LANES, wide, age + STEPS)):
            accumulate(to + WORD * lane, source + (lane - age) * ROW + WORD * lane, a.keep)


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
