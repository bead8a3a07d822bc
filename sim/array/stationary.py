"""The systolic array that holds one operand: the other passes from left to right, partial sums pass downward.

Each PE has two registers for the held operand (one, where the chip does not double-buffer), one for the passing word
and one for the partial sum. At the start of a cycle every passing word moves one PE to the right and the buffer puts
the next word into column 0; row r runs r cycles behind row 0, so a vector crosses the array as a slanted wave. In the
cycle, each PE adds its product to the sum of the PE above (zero in row 0) and stores it; the bottom row's sums go to
the accumulator buffer, which adds them to the sums of earlier passes.

A pass is one held tile. Its words enter the columns from above, the bottom row's first, and move down the column's
idle registers, one PE a cycle, array_rows cycles in all; column c runs c cycles behind column 0, and row r joins r
cycles after row 0 and keeps what arrives last. A mark that travels with a pass's first vector makes each PE change
registers, and the next pass's words follow right behind it, into the registers just left. Where registers are single,
loading waits until the last vector has left the last PE. Where tiles do not overlap, so does the next pass's first
vector. The instruction ends when the last vector has left the last PE.

Words count, bubbles do not. A passing word is written and read once in every PE of its row, whether that PE's column
is in use or not; a held word is written in every PE that it enters, read when it moves on and for every product; a
sum is written and read once in every PE of its column (the buffer reads it from the bottom one), above and below the
rows in use alike.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from accelc.chip.timing import Timing
from accelc.sim.jit import kernel

Ints = npt.NDArray[np.int64]
Words = npt.NDArray[np.int32]

EMPTY = -(1 << 20)  # a register without a word; operands are bytes
# Columns of the counts that a run returns, named by the operand's part rather than by the operand.
MAC, HELD_READ, HELD_WRITE, HELD_HOP, HELD_ENTER, PASSING_READ, PASSING_WRITE, PASSING_HOP, PASSING_ENTER = range(9)
PSUM_READ, PSUM_WRITE, PSUM_HOP, ACC_READ, ACC_WRITE = range(9, 14)
COUNTS = 14


class Passes(NamedTuple):
    """The passes of one instruction: which words each holds and streams; P passes of V vectors.

    Pass p holds word held_row[p, r] + held_col[p, c] in row r < rows[p] of column c < cols[p] (where diagonal: r = c
    only), streams word passing_row[p, r] + passing[v], and sends its sums to sum_col[p, c] + sum_of[v].
    """

    rows: Ints
    cols: Ints
    fresh: Ints  # [P], 1 where the pass's sums replace what the accumulator buffer has
    held_row: Ints  # [P, array_rows]
    held_col: Ints  # [P, array_cols]
    passing_row: Ints  # [P, array_rows]
    passing: Ints  # [V]
    sum_col: Ints  # [P, array_cols]
    sum_of: Ints  # [V]
    diagonal: int


class State(NamedTuple):
    """The registers of the array [array_rows, array_cols], and what its edges count."""

    held: Words  # [2, array_rows, array_cols]
    chosen: Words  # which of the two is used
    remaining: Words  # words that are still to enter
    word: Words
    psum: Words
    summing: Words  # 1 where psum is a sum of use
    busy: Words  # 1 where a vector is, in use or not
    change: Words  # 1 where a pass's first vector is
    load: Words  # 1 where the first held word of a pass may enter
    feeding: Ints  # [array_rows, 2], pass and next vector of each row's left edge
    loading: Ints  # [array_cols], pass whose words enter the column
    seeding: Ints  # [array_cols], pass at the top of the column
    leaving: Ints  # [array_cols, 2], pass and next vector at the bottom of the column


@kernel
def run(c: Timing, count: Ints, held: Any, passing: Any, acc: Words, p: Passes) -> int:
    """Execute the passes with operands from two buffers; add to `count` and return the cycles."""
    s = _reset(c.array_rows, c.array_cols, len(p.passing))
    vectors, total = len(p.passing), len(p.passing) * len(p.rows)
    loads, starts, left, load_at, t = 0, 0, 0, 0, 0
    while left < total:
        entered = s.feeding[0, 1] == vectors if c.overlapped_tiles else left == starts * vectors
        start = loads > starts and t - load_at >= c.array_rows and entered
        starts += start
        load = loads == starts < len(p.rows) and (c.double_buffered_weights or left == starts * vectors)
        if load:
            loads += 1
            load_at = t
        _shift(count, passing, p, s, start, load)
        _compute(count, acc, p, s, c.double_buffered_weights)
        _enter(count, held, p, s, c.double_buffered_weights)
        left += s.busy[-1, -1]
        t += 1
    return t - c.last_index


@kernel
def _reset(rows: int, cols: int, vectors: int) -> State:
    """Return empty registers; the second register is chosen, so that the first pass enters the first."""
    plane = np.zeros((10, rows, cols), np.int32)
    plane[:3] = EMPTY
    plane[3] = 1
    feeding, leaving = np.full((rows, 2), -1, np.int64), np.full((cols, 2), -1, np.int64)
    feeding[:, 1] = vectors
    loading, seeding = np.full(cols, -1, np.int64), np.full(cols, -1, np.int64)
    return State(
        plane[:2], plane[3], plane[4], plane[2], plane[5], plane[6], plane[7], plane[8], plane[9],
        feeding, loading, seeding, leaving,
    )


@kernel
def _shift(count: Ints, source: Any, p: Passes, s: State, start: int, load: int) -> None:
    """Move the passing words and marks one PE to the right; the marks enter each row a cycle after the row above."""
    for r in range(s.word.shape[0] - 1, -1, -1):
        for col in range(s.word.shape[1] - 1, 0, -1):
            s.word[r, col] = s.word[r, col - 1]
            s.busy[r, col] = s.busy[r, col - 1]
            s.change[r, col] = s.change[r, col - 1]
            s.load[r, col] = s.load[r, col - 1]
            if s.word[r, col] != EMPTY:
                count[PASSING_HOP] += 1
                count[PASSING_WRITE] += 1
        s.change[r, 0] = s.change[r - 1, 0] if r else start
        s.load[r, 0] = s.load[r - 1, 0] if r else load
        _feed(count, source, p, s, r)


@kernel
def _feed(count: Ints, source: Any, p: Passes, s: State, r: int) -> None:
    """Put the next word of row r into its first PE."""
    feeding = s.feeding[r]
    if s.change[r, 0]:
        feeding[0] += 1
        feeding[1] = 0
    s.word[r, 0] = EMPTY
    s.busy[r, 0] = feeding[1] < len(p.passing)
    if s.busy[r, 0]:
        if r < p.rows[feeding[0]]:
            s.word[r, 0] = source[p.passing_row[feeding[0], r] + p.passing[feeding[1]]]
            count[PASSING_ENTER] += 1
            count[PASSING_WRITE] += 1
        feeding[1] += 1


@kernel
def _compute(count: Ints, acc: Words, p: Passes, s: State, double: int) -> None:
    """Change registers where a pass begins, and add each PE's product to the sum from above."""
    last = s.word.shape[0] - 1
    for r in range(last, -1, -1):  # from below, so that the sum above is still the cycle before's
        for col in range(s.word.shape[1]):
            if s.change[r, col]:
                s.chosen[r, col] = 1 - s.chosen[r, col] if double else 0
                if r == 0:
                    s.seeding[col] += 1
                if r == last:
                    s.leaving[col, 0] += 1
                    s.leaving[col, 1] = 0
            if s.busy[r, col]:
                _add(count, p, s, r, col)
                if r == last:
                    _leave(count, acc, p, s, col)


@kernel
def _add(count: Ints, p: Passes, s: State, r: int, col: int) -> None:
    """Do one PE's work on the vector that is in it."""
    if r:
        summing, psum = s.summing[r - 1, col], s.psum[r - 1, col]
        count[PSUM_READ] += summing
        count[PSUM_HOP] += summing
    else:
        summing, psum = np.int32(col < p.cols[s.seeding[col]]), np.int32(0)
    x, w = s.word[r, col], s.held[s.chosen[r, col], r, col]
    count[PASSING_READ] += x != EMPTY
    if x != EMPTY and w != EMPTY:
        psum = np.int32(psum + x * w)
        count[HELD_READ] += 1
        count[MAC] += 1
    s.psum[r, col] = psum
    s.summing[r, col] = summing
    count[PSUM_WRITE] += summing


@kernel
def _leave(count: Ints, acc: Words, p: Passes, s: State, col: int) -> None:
    """Hand the sum of a column's bottom PE to the accumulator buffer."""
    index, vector = s.leaving[col, 0], s.leaving[col, 1]
    s.leaving[col, 1] += 1
    if s.summing[-1, col]:
        to = p.sum_col[index, col] + p.sum_of[vector]
        acc[to] = s.psum[-1, col] if p.fresh[index] else np.int32(acc[to] + s.psum[-1, col])
        count[PSUM_READ] += 1
        count[ACC_WRITE] += 1
        count[ACC_READ] += 1 - p.fresh[index]


@kernel
def _enter(count: Ints, source: Any, p: Passes, s: State, double: int) -> None:
    """Move the words that are to be held one PE down, in the registers not in use."""
    rows = s.word.shape[0]
    for r in range(rows - 1, -1, -1):
        for col in range(s.word.shape[1]):
            if s.load[r, col]:
                s.remaining[r, col] = rows - r
                s.loading[col] += r == 0
            if s.remaining[r, col] == 0:
                continue
            s.remaining[r, col] -= 1
            if r:
                w = s.held[1 - s.chosen[r - 1, col] if double else 0, r - 1, col]
            else:
                w = _fetch(source, p, s.loading[col], s.remaining[0, col], col)
            s.held[1 - s.chosen[r, col] if double else 0, r, col] = w
            if w != EMPTY:
                count[HELD_WRITE] += 1
                count[HELD_ENTER if r == 0 else HELD_HOP] += 1
                count[HELD_READ] += r > 0


@kernel
def _fetch(source: Any, p: Passes, index: int, r: int, col: int) -> int:
    """Return the word that pass `index` holds in a PE, or EMPTY."""
    if r >= p.rows[index] or col >= p.cols[index] or (p.diagonal and r != col):
        return EMPTY
    return int(source[p.held_row[index, r] + p.held_col[index, col]])
