"""The literal array of `stationary`, a row of PEs at a time: the same registers move in the same cycles.

Rows are walked some cycles at a time (accelc.sim.array.walk): all passing words move right and all sums move down, held
words move down while a pass enters, and a wave of PEs takes over the words of its next pass. What is not played PE by
PE is control: the controller's cycles follow from the passes before, a mark's place from its pass's first cycle, and
counts from each pass's size. A PE's two registers for held words are the one in use and the one being filled: where the
plain model changes registers, this one copies.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from accelc.chip.timing import Timing
from accelc.sim import jit
from accelc.sim.array.edges import (
    HISTORY,
    accumulate,
    accumulate_row,
    align,
    get,
    get_byte,
    put,
    put_word,
    stagger,
    take_bytes,
    widen,
)
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

PASSING_ROW, SUM_ROW, HELD_ROW = range(3)  # columns of the passes' patterns
PATTERNS = 3


class Places(NamedTuple):
    """Sizes, and addresses of registers, buffers and of the passes' tables; arrays would cost a count at each call."""

    rows: int
    cols: int
    vectors: int
    diagonal: int
    end: int  # cycles
    width: int  # bytes of one kind of registers of an array row
    words: int  # passing [columns/LANES, rows, LANES]
    used: int  # held words in use [columns/LANES, rows, LANES]
    filling: int  # held words of the next pass [columns/LANES, rows, LANES]
    zero: int  # sums that enter the first row [columns/LANES, STEPS, LANES]
    sums: int  # of the bottom row [columns/LANES, STEPS, LANES]
    falling: int  # held words that enter the first row [columns/LANES, STEPS, LANES]
    leaving: int  # sums between the bottom row and the buffer [columns/LANES, HISTORY]
    arriving: int  # held words between the buffer and the first row [columns/LANES, HISTORY]
    entering: int  # words that enter each row's first PE [STEPS, entering_step]
    entering_step: int  # bytes of a step of those
    changing: int  # mark of step 0, see `mark`
    remaining: int
    blocks: int  # of step 0, see `plan`
    loads: int
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
    sum_col: int
    sum_of: int
    patterns: int


@kernel
def run(c: Timing, count: Ints, held: Any, passing: Any, acc: Words, p: Passes) -> int:
    """Execute the passes with operands from two buffers; add to `count` and return the cycles."""
    times = schedule(c, len(p.rows), len(p.passing))
    registers, marks, blocks = np.zeros(room(c), np.uint8), mark(c, times), plan(c, times)
    patterns = find_patterns(p, len(held))
    a = places(c, registers, marks, blocks, times, patterns, held, passing, acc, p)
    play(a, times[1], (registers, marks, blocks, times, patterns))
    for i in range(len(p.rows)):
        add_pass(count, c, len(p.passing), p.rows[i], p.cols[i], p.fresh[i], p.diagonal)
    return a.end - c.last_index


@kernel
def play(a: Places, starts: Ints, _arrays: Any) -> None:
    """Play all cycles, STEPS at a time; takes the arrays of which addresses are used, so that the caller keeps them.

    Step s of row r is cycle s + r, so the first step is the one in which the bottom row has its cycle 0.
    """
    oldest, newest = 0, -1
    for step in range(-up(a.rows - 1, STEPS), a.end + LANES, STEPS):
        while oldest < len(starts) and starts[oldest] + a.vectors + a.cols + LANES - 2 <= step:
            oldest += 1
        while newest + 1 < len(starts) and starts[newest + 1] < step + STEPS:
            newest += 1
        fill(a.entering, 0, STEPS * a.entering_step)
        for i in range(oldest, newest + 1):
            feed(a, i, step - starts[i])
        advance(a, step)
        for i in range(oldest, newest + 1):
            leave(a, i, step - starts[i])


@jit.step
def advance(a: Places, step: int) -> None:
    """Walk all rows that have cycles in these steps, LANES columns at a time.

    From right to left: what enters a column's first PEs is what those left of it held before.
    """
    first, last = max(0, -(step + STEPS - 1)), min(a.rows, a.end - step)
    for at in range(a.width - ROW, -1, -ROW):
        words, used, sums = a.words + a.rows * at, a.used + a.rows * at, a.sums + STEPS * at
        entering, row, each = words - a.rows * ROW + ROW - WORD, ROW, -WORD
        if at == 0:
            entering, row, each = a.entering, WORD, a.entering_step
        start, above, moving = first, a.zero, load(a, step, at, last)
        if moving > 0:
            walk_loading(
                entering, row, each, words, used, above, sums, moving, a.filling + a.rows * at,
                a.falling + STEPS * at, a.changing + at - WORD * step, a.remaining + at - WORD * step,
            )
            start, above = moving, sums
        if start < last:
            walk(
                entering + row * start, row, each, words + ROW * start, used + ROW * start, above, sums, last - start
            )
        align(sums, a.leaving + at // ROW * HISTORY)


@jit.step
def load(a: Places, step: int, at: int, last: int) -> int:
    """Return how many rows of LANES columns have moving held words; put those that enter above the columns."""
    step -= at // WORD
    block = a.blocks + (16 // STEPS) * step
    moving: int = min(get(block), last)
    if moving > 0:
        fetch(a, get(block + 8), step, at)
        stagger(a.falling + STEPS * at, a.arriving + at // ROW * HISTORY)
    return moving


@kernel
def up(value: int, multiple: int) -> int:
    """Return a value rounded up."""
    return (value + multiple - 1) // multiple * multiple


@kernel
def width_of(c: Timing) -> int:
    """Return the bytes of one kind of registers of an array row."""
    return WORD * up(c.array_cols, LANES)


@kernel
def room(c: Timing) -> int:
    """Return the bytes that registers take."""
    edges = STEPS * WORD * up(c.array_rows, LANES) + width_of(c) // ROW * 2 * HISTORY
    return ROW + 3 * (c.array_rows + STEPS) * width_of(c) + edges


@kernel
def places(
    c: Timing, registers: Any, marks: Any, blocks: Ints, times: Ints, patterns: Ints, held: Any, passing: Any,
    acc: Words, p: Passes,
) -> Places:
    """Lay the registers out; what an address is of, the caller holds."""
    width, length = width_of(c), marks.shape[1]
    words = up(address(registers), ROW)
    zero = words + 3 * c.array_rows * width
    leaving = zero + 3 * STEPS * width
    arriving = leaving + width // ROW * HISTORY
    step_0 = address(marks) + WORD * (length - up(c.array_cols, LANES) - up(c.array_rows, STEPS))
    return Places(
        c.array_rows, c.array_cols, len(p.passing), p.diagonal, times[2, -1], width, words,
        words + c.array_rows * width, words + 2 * c.array_rows * width, zero, zero + STEPS * width,
        zero + 2 * STEPS * width, leaving, arriving, arriving + width // ROW * HISTORY, WORD * up(c.array_rows, LANES),
        step_0, step_0 + WORD * length, address(blocks) + 16 * before(c), address(times), address(held), bias(held),
        address(passing), bias(passing), address(acc), address(p.rows), address(p.cols), address(p.fresh),
        address(p.held_row), address(p.held_col), address(p.passing_row), address(p.passing), address(p.sum_col),
        address(p.sum_of), address(patterns),
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
def before(c: Timing) -> int:
    """Return how many blocks of steps before step 0 there are: the bottom row's cycle 0 in the last columns."""
    return (up(c.array_rows, STEPS) + up(c.array_cols, LANES)) // STEPS


@kernel
def plan(c: Timing, times: Ints) -> Ints:
    """Return for each STEPS steps the rows of the first LANES columns that have moving held words, and whose last.

    Further columns do the same, a step later for each column.
    """
    blocks = np.zeros((before(c) + up(times[2, -1] + LANES, STEPS) // STEPS, 2), np.int64)
    loaded, started = -1, -1
    for b in range(before(c), len(blocks)):
        step = (b - before(c)) * STEPS
        while loaded + 1 < times.shape[1] and times[0, loaded + 1] < step + STEPS:
            loaded += 1
        while started + 1 < times.shape[1] and times[1, started + 1] < step + STEPS:
            started += 1
        moving = c.array_rows - max(0, step - times[0, loaded] - (LANES - 1))
        if started >= 0 and step - times[1, started] < LANES:
            moving = c.array_rows
        blocks[b, 0], blocks[b, 1] = moving, loaded
    return blocks


@kernel
def find_patterns(p: Passes, held: int) -> Ints:
    """Return for each pass whether words that are used together lie in order, for which there are vector instructions.

    Those are its passing words of a vector and its sums of a vector, one after the other, and its held words of a row,
    every fourth byte of each LANES words (`held` bytes in all).
    """
    patterns = np.ones((len(p.rows), PATTERNS), np.int64)
    for i in range(len(patterns)):
        for r in range(1, p.rows[i]):
            patterns[i, PASSING_ROW] &= p.passing_row[i, r] == p.passing_row[i, 0] + r
        for col in range(1, p.cols[i]):
            patterns[i, SUM_ROW] &= p.sum_col[i, col] == p.sum_col[i, 0] + col
        for col in range(p.cols[i]):
            patterns[i, HELD_ROW] &= p.held_col[i, col] == p.held_col[i, col // LANES * LANES] + col % LANES * 4
        patterns[i, HELD_ROW] &= held % 4 == 0
    return patterns


@jit.step
def fetch(a: Places, last: int, step: int, at: int) -> None:
    """Put the held words of LANES columns above them, all of a row in one step: the bottom row's when its load begins.

    `step` is that of the first of all columns, `last` the last pass whose load has begun.
    """
    for i in range(last, -1, -1):
        begun = get(a.loads + 8 * i)
        if begun + a.rows <= step:
            break
        for k in range(max(0, begun - step), min(STEPS, begun + a.rows - step)):
            fetch_row(a, i, begun + a.rows - 1 - (step + k), at // WORD, a.falling + STEPS * at + k * ROW)


@jit.step
def fetch_row(a: Places, i: int, r: int, first: int, to: int) -> None:
    """Put the words that pass i holds in row r of LANES columns; zero where it holds none."""
    high, count = get(a.high + 8 * i), min(LANES, get(a.wide + 8 * i) - first)
    table, offset = a.held_col + 8 * (i * a.cols + first), get(a.held_row + 8 * (i * a.rows + r))
    if count == LANES and r < high and not a.diagonal and get(a.patterns + 8 * (PATTERNS * i + HELD_ROW)):
        offset += get(table)
        take_bytes(to, a.held + (offset & ~3), offset & 3, a.held_bias)
        return
    fill(to, 0, ROW)
    if r < high:
        for lane in range(count):
            if not a.diagonal or first + lane == r:
                put(to + WORD * lane, get_byte(a.held + offset + get(table + 8 * lane), a.held_bias))


@jit.step
def feed(a: Places, i: int, age: int) -> None:
    """Put pass i's words in front of the rows, its vector 0 in the step in which its age is 0."""
    high = get(a.high + 8 * i)
    rows = a.passing_row + 8 * i * a.rows
    whole = high // LANES * LANES if get(a.patterns + 8 * (PATTERNS * i + PASSING_ROW)) else 0
    for k in range(max(0, -age), min(STEPS, a.vectors - age)):
        to, source = a.entering + k * a.entering_step, a.passing + get(a.passing_at + 8 * (age + k))
        for r in range(0, whole, LANES):
            widen(to + WORD * r, source + get(rows) + r, a.passing_bias)
        for r in range(whole, high):
            put_word(to + WORD * r, get_byte(source + get(rows + 8 * r), a.passing_bias))


@jit.step
def leave(a: Places, i: int, age: int) -> None:
    """Hand the bottom row's sums of pass i to the accumulator buffer, LANES columns together.

    Vector v's leave columns c to c + LANES - 1 when its age is v + c + LANES - 1.
    """
    table = a.sum_col + 8 * i * a.cols
    keep, wide = get(a.fresh + 8 * i) - 1, get(a.wide + 8 * i)
    row = get(a.patterns + 8 * (PATTERNS * i + SUM_ROW))
    for col in range(0, wide, LANES):
        first, count = age - col - (LANES - 1), min(LANES, wide - col)
        for k in range(max(0, -first), min(STEPS, a.vectors - first)):
            to, source = a.acc + WORD * get(a.sum_of + 8 * (first + k)), a.sums + k * ROW + WORD * STEPS * col
            if row and count == LANES:
                accumulate_row(to + WORD * get(table + 8 * col), source, keep)
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
