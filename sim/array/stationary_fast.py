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
import numpy.typing as npt

from accelc.chip.timing import Timing
from accelc.sim.array.lanes import (
    BEFORE,
    LANES,
    SUM,
    WORD,
    accumulate,
    advance,
    descend,
    get,
    get_byte,
    move,
    put,
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
from accelc.sim.jit import kernel
from accelc.sim.kernels.ir import address

ALIGNMENT = 2 * LANES  # bytes; a vector that straddles cache lines costs two accesses


class Places(NamedTuple):
    """Sizes, and addresses of registers, buffers and of the passes' tables; arrays would cost a count at each call."""

    rows: int
    cols: int
    chunks: int  # of LANES columns in a row
    vectors: int
    diagonal: int
    words: int  # [rows] of the word to enter and the row's words; points to the words to enter
    word_pitch: int
    used: int  # held words in use [rows, chunks*LANES]
    filling: int  # held words of the next pass
    sums: int  # [rows + 1, chunks*LANES], the first row zero
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


@kernel
def run(c: Timing, count: Ints, held: Any, passing: Any, acc: Words, p: Passes) -> int:
    """Execute the passes with operands from two buffers; add to `count` and return the cycles."""
    chunks = (c.array_cols + LANES - 1) // LANES
    width = WORD * LANES * chunks
    registers = np.zeros(ALIGNMENT + c.array_rows * (BEFORE + 5 * width) + SUM // WORD * width, np.uint8)
    cycles = play(c, registers, held, passing, acc, p)
    for i in range(len(p.rows)):
        add_pass(count, c, len(p.passing), p.rows[i], p.cols[i], p.fresh[i], p.diagonal)
    return cycles - c.last_index


@kernel
def play(c: Timing, registers: npt.NDArray[np.uint8], held: Any, passing: Any, acc: Words, p: Passes) -> int:
    """Play all cycles; the caller holds the arrays, so that they stay while only their addresses are used."""
    a = places(c, address(registers), held, passing, acc, p)
    loads, starts, ends = schedule(c, len(p.rows), a.vectors)
    oldest, newest = 0, -1
    for t in range(ends[-1]):
        while ends[oldest] < t:  # a bubble follows the last word even where that leaves at once
            oldest += 1
        while newest + 1 < len(loads) and loads[newest + 1] <= t:
            newest += 1
        for i in range(oldest, newest + 1):
            feed(a, i, t - starts[i])
            change(a, t - starts[i])
        advance(a.words - (BEFORE - WORD), a.used, a.sums, a.rows, a.chunks)
        for i in range(oldest, newest + 1):
            leave(a, i, t - starts[i] - (a.rows - 1))
            if t - loads[i] < a.rows + a.cols - 1:
                enter(a, i, t - loads[i])
    return int(ends[-1])


@kernel
def places(c: Timing, registers: int, held: Any, passing: Any, acc: Words, p: Passes) -> Places:
    """Lay the registers out from an address on."""
    rows, chunks = c.array_rows, (c.array_cols + LANES - 1) // LANES
    width = WORD * LANES * chunks
    words = (registers + ALIGNMENT - 1) // ALIGNMENT * ALIGNMENT
    used = words + rows * (BEFORE + width)
    return Places(
        rows, c.array_cols, chunks, len(p.passing), p.diagonal, words + BEFORE - WORD, BEFORE + width, used,
        used + rows * width, used + 2 * rows * width, address(held), bias(held), address(passing), bias(passing),
        address(acc), address(p.rows), address(p.cols), address(p.fresh), address(p.held_row), address(p.held_col),
        address(p.passing_row), address(p.passing), address(p.sum_col), address(p.sum_of),
    )


@kernel
def bias(buffer: Any) -> int:
    """Return 128 for a buffer of signed bytes, 0 for unsigned ones."""
    return 0 if buffer.dtype.type(1) - buffer.dtype.type(2) > 0 else 128


@kernel
def schedule(c: Timing, passes: int, vectors: int) -> tuple[Ints, Ints, Ints]:
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
    return at[0], at[1], at[2]


@kernel
def feed(a: Places, i: int, age: int) -> None:
    """Put pass i's words in front of the rows, row r's vector r cycles behind row 0's; a bubble follows the last."""
    ended = age - a.vectors
    if 0 <= ended < a.rows:
        put(a.words + ended * a.word_pitch, 0)
    table = a.passing_row + 8 * i * a.rows
    for r in range(max(0, ended + 1), min(age + 1, get(a.high + 8 * i))):
        at = a.passing + get(table + 8 * r) + get(a.passing_at + 8 * (age - r))
        put(a.words + r * a.word_pitch, get_byte(at, a.passing_bias))


@kernel
def change(a: Places, age: int) -> None:
    """Take over the next pass's held words in the PEs that its first vector has reached."""
    for r in range(max(0, age - a.cols + 1), min(a.rows, age + 1)):
        at = WORD * (r * LANES * a.chunks + age - r)
        move(a.used + at, a.filling + at)


@kernel
def leave(a: Places, i: int, age: int) -> None:
    """Hand the bottom row's sums of pass i to the accumulator buffer."""
    first, last = max(0, age - a.vectors + 1), min(age + 1, get(a.wide + 8 * i))
    bottom = a.sums + SUM * a.rows * LANES * a.chunks
    table = a.sum_col + 8 * i * a.cols
    keep = get(a.fresh + 8 * i) - 1
    for col in range(first, last):
        at = get(table + 8 * col) + get(a.sum_of + 8 * (age - col))
        accumulate(a.acc + SUM * at, bottom + SUM * col, keep)


@kernel
def enter(a: Places, i: int, age: int) -> None:
    """Move the held words of pass i that have entered one PE down, and put the next of each column into its first PE.

    In column c words enter in cycles c to c + rows - 1, the bottom row's first; row r gets its first r cycles later.
    """
    first = max(0, age - a.rows + 1)
    count = min(a.rows - 1, age)
    if count:
        descend(a.filling, count, a.chunks, first, age - 1)
    high, wide = get(a.high + 8 * i), get(a.wide + 8 * i)
    for col in range(first, min(a.cols, age + 1)):
        r = a.rows - 1 - (age - col)
        word = 0
        if r < high and col < wide and (not a.diagonal or r == col):
            at = get(a.held_row + 8 * (i * a.rows + r)) + get(a.held_col + 8 * (i * a.cols + col))
            word = get_byte(a.held + at, a.held_bias)
        put(a.filling + WORD * col, word)


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
