"""The literal array of `stationary`, a row of PEs at a time: the same registers move in the same cycles.

Every cycle all passing words move right and all sums move down (accelc.sim.array.lanes), held words move down while a
pass enters, and a wave of PEs takes over the words of its next pass. What is not played PE by PE is control: the
controller's cycles follow from the passes before, a mark's place from its pass's first cycle, and counts from each
pass's size. A PE's two registers for held words are the one in use and the one being filled: where the plain model
changes registers, this one copies.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from accelc.chip.timing import Timing
from accelc.sim.array.edges import HISTORY, accumulate_row, align, put_word, widen
from accelc.sim.array.lanes import accumulate, get, get_byte, put
from accelc.sim.array.stationary import (
    ACC_READ,
    ACC_WRITE,
    HELD_ENTER,
    HELD_HOP,
    HELD_READ,
    HELD_WRITE,
    MAC,
    PASSING_ENTER,
    PASSING_HOP,
    PASSING_READ,
    PASSING_WRITE,
    PSUM_HOP,
    PSUM_READ,
    PSUM_WRITE,
    Ints,
    Passes,
    Words,
)
from accelc.sim.array.walk import ROW, STEPS, WORD, walk, walk_loading
from accelc.sim.jit import kernel
from accelc.sim.kernels.ir import LANES, address, fill


class Places(NamedTuple):
    """Sizes, and addresses of registers, buffers and of the passes' tables; arrays would cost a count at each call."""

    rows: int
    cols: int
    vectors: int
    diagonal: int
    pitch: int  # bytes of a row of registers
    words: int  # passing [rows, pitch]
    used: int  # held words in use [rows, pitch]
    filling: int  # held words of the next pass [rows, pitch]
    entering: int  # words that enter each row's first PE [STEPS, rows up to a multiple of LANES]
    entering_step: int  # bytes of a step of those
    zero: int  # sums that enter the first row [STEPS, pitch]
    sums: int  # of the bottom row [STEPS, pitch]
    falling: int  # held words that enter the first row [turns, pitch], step s in turn s modulo turns
    turns: int  # a power of two
    changing: int  # mark of step 0, see `mark`
    remaining: int
    held: int
    held_bias: int
    passing: int
    passing_bias: int
    acc: int
    high: int
    wide: int
    fresh: int
    held_row: int
    held_col: int
    passing_row: int
    passing_at: int
    column: int  # 1 where a pass's passing words follow one another
    sum_col: int
    sum_of: int
    row: int  # 1 where a pass's sums of a vector follow one another
    history: int  # of each LANES columns, see `align`


@kernel
def run(c: Timing, count: Ints, held: Any, passing: Any, acc: Words, p: Passes) -> int:
    """Execute the passes with operands from two buffers; add to `count` and return the cycles."""
    times = schedule(c, len(p.rows), len(p.passing))
    registers = np.zeros(room(c), np.uint8)
    marks = mark(c, times)
    ordered = np.stack((in_order(p.passing_row, p.rows), in_order(p.sum_col, p.cols)))
    a = places(c, address(registers), address(marks), len(marks[0]), address(ordered), held, passing, acc, p)
    play(a, times)
    for i in range(len(p.rows)):
        add_pass(count, c, len(p.passing), p.rows[i], p.cols[i], p.fresh[i], p.diagonal)
    return int(times[2, -1]) - c.last_index


@kernel
def play(a: Places, times: Ints) -> None:
    """Play all cycles, STEPS at a time; the caller holds the arrays, so that they stay while their addresses are used.

    Step s of row r is cycle s + r, so the first step is the one in which the bottom row has its cycle 0.
    """
    loads, starts, end = times[0], times[1], times[2, -1]
    oldest, newest, loading = 0, -1, 0
    for step in range(-up(a.rows - 1, STEPS), end + LANES, STEPS):
        while oldest < len(starts) and starts[oldest] + a.vectors + a.cols + LANES - 2 <= step:
            oldest += 1
        while newest + 1 < len(starts) and starts[newest + 1] < step + STEPS:
            newest += 1
        while loading < len(loads) and loads[loading] < step + STEPS:
            fetch(a, loading, loads[loading])
            loading += 1
        fill(a.entering, 0, STEPS * a.entering_step)
        for i in range(oldest, newest + 1):
            feed(a, i, step - starts[i])
        moving = a.rows if newest >= 0 and step - starts[newest] < a.cols else 0
        if loading:
            moving = max(moving, a.rows - max(0, step - loads[loading - 1] - (a.cols - 1)))
        advance(a, step, max(0, -(step + STEPS - 1)), min(a.rows, end - step), moving)
        for at in range(0, a.pitch, ROW):
            align(a.sums + at, a.pitch, a.history + at // ROW * HISTORY)
        for i in range(oldest, newest + 1):
            leave(a, i, step - starts[i])


@kernel
def advance(a: Places, step: int, first: int, last: int, moving: int) -> None:
    """Walk rows `first` to `last` - 1, where held words move in none but the first `moving` rows of the array.

    From right to left: what enters a column's first PEs is what those left of it held before.
    """
    moving = min(moving, last)
    falling = a.falling + (step & (a.turns - 1)) * a.pitch
    for at in range(a.pitch - ROW, -1, -ROW):
        entering, row, each = a.words + at - WORD, a.pitch, -WORD
        if at == 0:
            entering, row, each = a.entering, WORD, a.entering_step
        above = a.zero
        if moving > 0:
            walk_loading(
                entering, row, each, a.words + at, a.used + at, above + at, a.sums + at, a.pitch, moving,
                a.filling + at, falling + at, a.changing + at - WORD * step, a.remaining + at - WORD * step,
            )
            above, first = a.sums, moving
        if first < last:
            entering += row * first
            walk(
                entering, row, each, a.words + first * a.pitch + at, a.used + first * a.pitch + at, above + at,
                a.sums + at, a.pitch, last - first,
            )


@kernel
def up(value: int, multiple: int) -> int:
    """Return a value rounded up."""
    return (value + multiple - 1) // multiple * multiple


@kernel
def turns(c: Timing) -> int:
    """Return for how many steps held words that are to enter the array are kept."""
    turns = STEPS
    while turns < c.array_rows + c.array_cols + STEPS:
        turns *= 2
    return turns


@kernel
def room(c: Timing) -> int:
    """Return the bytes that registers take."""
    chunks, planes = up(c.array_cols, LANES) // LANES, 3 * c.array_rows + 2 * STEPS + turns(c)
    return ROW + planes * pitch_of(c) + STEPS * WORD * up(c.array_rows, LANES) + chunks * HISTORY


@kernel
def pitch_of(c: Timing) -> int:
    """Return the bytes from one row's registers to the next row's."""
    return WORD * up(c.array_cols, LANES)


@kernel
def places(
    c: Timing, registers: int, marks: int, length: int, ordered: int, held: Any, passing: Any, acc: Words,
    p: Passes,
) -> Places:
    """Lay the registers out from an address on."""
    pitch, each = pitch_of(c), WORD * up(c.array_rows, LANES)
    words = up(registers, ROW)
    entering = words + 3 * c.array_rows * pitch
    zero = entering + STEPS * each
    history = zero + (2 * STEPS + turns(c)) * pitch
    step_0 = marks + WORD * (length - up(c.array_cols, LANES) - up(c.array_rows, STEPS))
    return Places(
        c.array_rows, c.array_cols, len(p.passing), p.diagonal, pitch, words, words + c.array_rows * pitch,
        words + 2 * c.array_rows * pitch, entering, each, zero, zero + STEPS * pitch, zero + 2 * STEPS * pitch,
        turns(c), step_0, step_0 + WORD * length, address(held), bias(held), address(passing), bias(passing),
        address(acc), address(p.rows), address(p.cols), address(p.fresh), address(p.held_row), address(p.held_col),
        address(p.passing_row), address(p.passing), ordered, address(p.sum_col), address(p.sum_of),
        ordered + 8 * len(p.rows), history,
    )


@kernel
def bias(buffer: Any) -> int:
    """Return 128 for a buffer of signed bytes, 0 for unsigned ones."""
    return 0 if buffer.dtype.type(1) - buffer.dtype.type(2) > 0 else 128


@kernel
def schedule(c: Timing, passes: int, vectors: int) -> Ints:
    """Return the cycles in which each pass's first held word and first vector enter, and the last vector has left."""
    at = np.empty((3, passes), np.int64)
    whole = vectors + c.array_rows + c.array_cols - 2
    for i in range(passes):
        if i == 0:
            at[0, i] = 0
        else:
            at[0, i] = at[1, i - 1] if c.double_buffered_weights else at[2, i - 1]
        at[1, i] = at[0, i] + c.array_rows
        if i:
            at[1, i] = max(at[1, i], at[1, i - 1] + vectors if c.overlapped_tiles else at[2, i - 1])
        at[2, i] = at[1, i] + whole
    return at


@kernel
def mark(c: Timing, times: Ints) -> Words:
    """Return the marks that enter column 0 in each step, the last step's first, and after them those of earlier steps.

    A mark travels a column a step, so that what marks the columns in step s lies from step s's mark on. The first kind
    is -1 where a pass's first vector enters, the second counts down the held words that are still to enter.
    """
    end = times[2, -1] + STEPS
    marks = np.zeros((2, end + up(c.array_rows, STEPS) + up(c.array_cols, LANES)), np.int32)
    for i in range(len(times[0])):
        marks[0, end - times[1, i]] = -1
        for r in range(c.array_rows):
            marks[1, end - times[0, i] - r] = c.array_rows - r
    return marks


@kernel
def in_order(at: Ints, size: Ints) -> Ints:
    """Return for each pass whether the addresses of its first words, as many as its size, follow one another."""
    order = np.ones(len(size), np.int64)
    for i in range(len(size)):
        for k in range(1, size[i]):
            order[i] &= at[i, k] == at[i, 0] + k
    return order


@kernel
def fetch(a: Places, i: int, load: int) -> None:
    """Put pass i's held words above the columns: in column c from step `load` + c on, the bottom row's first."""
    high, wide = get(a.high + 8 * i), get(a.wide + 8 * i)
    table = a.held_col + 8 * i * a.cols
    for r in range(a.rows):
        source = a.held + get(a.held_row + 8 * (i * a.rows + r))
        step = load + a.rows - 1 - r
        for col in range(a.cols):
            word = 0
            if r < high and col < wide and (not a.diagonal or r == col):
                word = get_byte(source + get(table + 8 * col), a.held_bias)
            put(a.falling + ((step + col) & (a.turns - 1)) * a.pitch + WORD * col, word)


@kernel
def feed(a: Places, i: int, age: int) -> None:
    """Put pass i's words in front of the rows, its vector 0 in the step in which its age is 0."""
    high = get(a.high + 8 * i)
    rows = a.passing_row + 8 * i * a.rows
    whole = high // LANES * LANES if get(a.column + 8 * i) else 0
    for k in range(max(0, -age), min(STEPS, a.vectors - age)):
        to, source = a.entering + k * a.entering_step, a.passing + get(a.passing_at + 8 * (age + k))
        for r in range(0, whole, LANES):
            widen(to + WORD * r, source + get(rows) + r, a.passing_bias)
        for r in range(whole, high):
            put_word(to + WORD * r, get_byte(source + get(rows + 8 * r), a.passing_bias))


@kernel
def leave(a: Places, i: int, age: int) -> None:
    """Hand the bottom row's sums of pass i to the accumulator buffer, LANES columns together.

    Vector v's leave columns c to c + LANES - 1 when its age is v + c + LANES - 1.
    """
    table = a.sum_col + 8 * i * a.cols
    keep, wide, row = get(a.fresh + 8 * i) - 1, get(a.wide + 8 * i), get(a.row + 8 * i)
    for col in range(0, wide, LANES):
        first, count = age - col - (LANES - 1), min(LANES, wide - col)
        for k in range(max(0, -first), min(STEPS, a.vectors - first)):
            to, source = a.acc + WORD * get(a.sum_of + 8 * (first + k)), a.sums + k * a.pitch + WORD * col
            if row:
                accumulate_row(to + WORD * get(table + 8 * col), source, keep, count)
            else:
                for lane in range(count):
                    accumulate(to + WORD * get(table + 8 * (col + lane)), source + WORD * lane, keep)


@kernel
def add_pass(count: Ints, c: Timing, vectors: int, high: int, wide: int, fresh: int, diagonal: int) -> None:
    """Add the counts of a pass that uses high x wide PEs, or those on their diagonal."""
    rows, cols = c.array_rows, c.array_cols
    each = 1 if diagonal else wide
    hops = high * (high - 1) // 2 * each
    count[MAC] += vectors * high * each
    count[HELD_ENTER] += high * each
    count[HELD_HOP] += hops
    count[HELD_WRITE] += high * each + hops
    count[HELD_READ] += hops + vectors * high * each
    count[PASSING_ENTER] += vectors * high
    count[PASSING_HOP] += vectors * high * (cols - 1)
    count[PASSING_READ] += vectors * high * cols
    count[PASSING_WRITE] += vectors * high * cols
    count[PSUM_READ] += vectors * wide * rows
    count[PSUM_WRITE] += vectors * wide * rows
    count[PSUM_HOP] += vectors * wide * (rows - 1)
    count[ACC_WRITE] += vectors * wide
    count[ACC_READ] += vectors * wide * (1 - fresh)
