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
from accelc.sim.array.lanes import LANES, advance, descend
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

Halves = npt.NDArray[np.int16]


class State(NamedTuple):
    """The registers; a row is padded to chunks of LANES."""

    words: Halves  # [array_rows, LANES + padded columns]; the word to enter lies in LANES - 1
    used: Halves  # [array_rows, padded columns], held words in use
    filling: Halves  # held words of the next pass
    sums: Words  # [array_rows + 1, padded columns], row 0 zero


@kernel
def run(c: Timing, count: Ints, held: Any, passing: Any, acc: Words, p: Passes) -> int:
    """Execute the passes with operands from two buffers; add to `count` and return the cycles."""
    rows, cols, vectors = c.array_rows, c.array_cols, len(p.passing)
    chunks = (cols + LANES - 1) // LANES
    s = State(
        np.zeros((rows, LANES * (chunks + 1)), np.int16), np.zeros((rows, LANES * chunks), np.int16),
        np.zeros((rows, LANES * chunks), np.int16), np.zeros((rows + 1, LANES * chunks), np.int32),
    )
    words, used, filling, sums = address(s.words), address(s.used), address(s.filling), address(s.sums)
    loads, starts, ends = schedule(c, len(p.rows), vectors)
    oldest, newest = 0, -1
    for t in range(ends[-1]):
        while ends[oldest] <= t:
            oldest += 1
        while newest + 1 < len(loads) and loads[newest + 1] <= t:
            newest += 1
        for i in range(oldest, newest + 1):
            feed(passing, p, s.words, i, t - starts[i])
            change(s.used, s.filling, rows, cols, t - starts[i])
        advance(words, used, sums, rows, chunks)
        for i in range(oldest, newest + 1):
            leave(acc, p, s.sums, i, t - starts[i] - (rows - 1))
            if t - loads[i] < rows + cols - 1:
                descend(filling, rows, chunks, t - loads[i])
                enter(held, p, s.filling, rows, cols, i, t - loads[i])
    for i in range(len(p.rows)):
        add_pass(count, rows, cols, vectors, p.rows[i], p.cols[i], p.fresh[i], p.diagonal)
    return ends[-1] - c.last_index  # type: ignore[no-any-return]


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
def feed(source: Any, p: Passes, words: Halves, i: int, age: int) -> None:
    """Put pass i's words in front of the rows, row r's vector r behind row 0's; a bubble follows the last."""
    ended = age - len(p.passing)
    if 0 <= ended < len(words):
        words[ended, LANES - 1] = 0
    for r in range(max(0, ended + 1), min(age + 1, p.rows[i])):
        words[r, LANES - 1] = source[p.passing_row[i, r] + p.passing[age - r]]


@kernel
def change(used: Halves, filling: Halves, rows: int, cols: int, age: int) -> None:
    """Take over the next pass's held words in the PEs that its first vector has reached."""
    for r in range(max(0, age - cols + 1), min(rows, age + 1)):
        used[r, age - r] = filling[r, age - r]


@kernel
def leave(acc: Words, p: Passes, sums: Words, i: int, age: int) -> None:
    """Hand the bottom row's sums of pass i to the accumulator buffer."""
    for col in range(max(0, age - len(p.passing) + 1), min(age + 1, p.cols[i])):
        to = p.sum_col[i, col] + p.sum_of[age - col]
        if p.fresh[i]:
            acc[to] = sums[-1, col]
        else:
            acc[to] += sums[-1, col]


@kernel
def enter(source: Any, p: Passes, filling: Halves, rows: int, cols: int, i: int, age: int) -> None:
    """Put the next held word of each column into its first PE, the bottom row's first."""
    for col in range(max(0, age - rows + 1), min(cols, age + 1)):
        r = rows - 1 - (age - col)
        filled = r < p.rows[i] and col < p.cols[i] and (not p.diagonal or r == col)
        filling[0, col] = source[p.held_row[i, r] + p.held_col[i, col]] if filled else 0


@kernel
def add_pass(
    count: Ints, rows: int, cols: int, vectors: int, high: int, wide: int, fresh: int, diagonal: int
) -> None:
    """Add the counts of a pass that uses high x wide PEs, or those on their diagonal."""
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
