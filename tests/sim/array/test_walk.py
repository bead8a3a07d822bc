"""A walk moves registers as an array does whose rows all have a cycle before any has the next."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pytest

from accelc.sim.array.walk import STEPS, WORD, walk, walk_both, walk_ending, walk_loading
from accelc.sim.jit import entry
from accelc.sim.kernels.ir import LANES, address

Words = npt.NDArray[np.int32]

SUMS = np.array([0, 1, -1, (1 << 31) - 1, -(1 << 31)], np.int32)


class Columns(NamedTuple):
    """Registers of LANES columns and what enters them; marks that enter column 0, the last step's first."""

    entering: Words  # [STEPS, rows]
    words: Words  # [rows, LANES]
    used: Words  # [rows, LANES]
    filling: Words  # [rows, LANES]
    above: Words  # [STEPS, LANES]
    falling: Words  # [STEPS, LANES]
    changing: Words  # [STEPS + LANES - 1]
    remaining: Words  # [STEPS + LANES - 1]


@entry
def _walk(entering: Words, words: Words, used: Words, above: Words, below: Words) -> None:
    walk(
        address(entering), WORD, WORD * len(words), address(words), address(used), address(above), address(below),
        len(words),
    )


@entry
def _walk_loading(
    entering: Words, words: Words, used: Words, filling: Words, above: Words, below: Words, falling: Words,
    changing: Words, remaining: Words,
) -> None:
    walk_loading(
        address(entering), WORD, WORD * len(words), address(words), address(used), address(above), address(below),
        len(words), address(filling), address(falling), address(changing) + WORD * (STEPS - 1),
        address(remaining) + WORD * (STEPS - 1),
    )


@entry
def _walk_both(entering: Words, words: Words, falling: Words, sums: Words) -> None:
    walk_both(
        address(entering), WORD, WORD * len(words), address(words), address(falling), address(sums), len(words),
    )


@entry
def _walk_ending(
    entering: Words, words: Words, falling: Words, sums: Words, ending: Words, left: Words,
) -> None:
    walk_ending(
        address(entering), WORD, WORD * len(words), address(words), address(falling), address(sums), len(words),
        address(ending) + WORD * (STEPS - 1), address(left),
    )


def plain_both(a: Columns, sums: Words, ending: Words) -> Words:
    """Move the registers likewise where sums stay; return those of each row after each step, begun anew or not."""
    rows = len(a.words)
    falls, left = np.zeros((rows, LANES), np.int32), np.zeros((rows, STEPS, LANES), np.int32)
    for cycle in range(STEPS + rows - 1):
        for r in range(rows - 1, -1, -1):
            step = cycle - r
            if not 0 <= step < STEPS:
                continue
            marks = slice(STEPS - 1 - step, STEPS - 1 - step + LANES)
            a.words[r] = [a.entering[step, r], *a.words[r, :-1]]
            falls[r] = falls[r - 1] if r else a.falling[step]
            left[r, step] = sums[r] + a.words[r] * falls[r].astype(np.int16)
            sums[r] = np.where(ending[marks] < 0, 0, left[r, step])
    return left


def plain(a: Columns) -> Words:
    """Move the registers cycle by cycle, row r's from cycle r on for STEPS cycles; return the last row's sums."""
    rows = len(a.words)
    sums, below = np.zeros((rows, LANES), np.int32), np.zeros((STEPS, LANES), np.int32)
    for cycle in range(STEPS + rows - 1):
        for r in range(rows - 1, -1, -1):  # from below: what the row above has is still the cycle before's
            step = cycle - r
            if not 0 <= step < STEPS:
                continue
            marks = slice(STEPS - 1 - step, STEPS - 1 - step + LANES)
            a.words[r] = [a.entering[step, r], *a.words[r, :-1]]
            a.used[r] = np.where(a.changing[marks] < 0, a.filling[r], a.used[r])
            sums[r] = (sums[r - 1] if r else a.above[step]) + a.words[r] * a.used[r].astype(np.int16)
            fall = a.filling[r - 1] if r else a.falling[step]
            a.filling[r] = np.where(a.remaining[marks] > r, fall, a.filling[r])
        if cycle >= rows - 1:
            below[cycle - (rows - 1)] = sums[-1]
    return below


def _random(rng: np.random.Generator, rows: int, *, moving: bool) -> Columns:
    """Return registers with bytes, of which passing ones or held ones are signed, and often the most extreme ones."""
    unsigned, signed = [0, 255, 255, 254, 1], [0, -128, -128, 127, -1]
    passing, held = (unsigned, signed) if rng.integers(2) else (signed, unsigned)

    def draw(values: list[int], *shape: int) -> Any:
        chosen = rng.choice(values, shape)
        return np.where(rng.integers(2, size=shape), chosen, rng.integers(min(values), max(values) + 1, shape))

    def low(*shape: int) -> Words:
        return (draw(held, *shape) & 0xFFFF).astype(np.int32)

    marks = STEPS + LANES - 1
    return Columns(
        draw(passing, STEPS, rows).astype(np.int32), draw(passing, rows, LANES).astype(np.int32), low(rows, LANES),
        low(rows, LANES), rng.choice(SUMS, (STEPS, LANES)), low(STEPS, LANES),
        (-rng.integers(2, size=marks) * moving).astype(np.int32),
        (rng.integers(rows + 2, size=marks) * moving).astype(np.int32),
    )


@pytest.mark.parametrize("rows", [1, 2, 15, 33])
def test_walk(rows: int) -> None:
    """Registers and sums of a walk in which no held word moves, at the ends of the operands' ranges."""
    rng = np.random.default_rng(rows)
    for _ in range(20):
        a = _random(rng, rows, moving=False)
        b, below = Columns(*(v.copy() for v in a)), np.empty((STEPS, LANES), np.int32)
        _walk(b.entering, b.words, b.used, b.above, below)
        np.testing.assert_array_equal(below, plain(a))
        np.testing.assert_array_equal(b.words, a.words)


@pytest.mark.parametrize("rows", [1, 2, 15, 33])
def test_walk_loading(rows: int) -> None:
    """Registers and sums of a walk in which held words fall and columns change registers, in any order."""
    rng = np.random.default_rng(rows)
    for _ in range(20):
        a = _random(rng, rows, moving=True)
        b, below = Columns(*(v.copy() for v in a)), np.empty((STEPS, LANES), np.int32)
        _walk_loading(
            b.entering, b.words, b.used, b.filling, b.above, below, b.falling, b.changing, b.remaining,
        )
        np.testing.assert_array_equal(below, plain(a))
        for name in ("words", "used", "filling"):
            np.testing.assert_array_equal(getattr(b, name), getattr(a, name), name)
        assert (a.changing < 0).any()
        assert (a.remaining > 0).any()


@pytest.mark.parametrize("rows", [1, 2, 15, 33])
def test_walk_both(rows: int) -> None:
    """Registers of a walk in which sums stay, at the ends of the operands' ranges."""
    rng = np.random.default_rng(rows)
    for _ in range(20):
        a, sums = _random(rng, rows, moving=False), rng.choice(SUMS, (rows, LANES))
        words, found = a.words.copy(), sums.copy()
        _walk_both(a.entering, words, a.falling, found)
        plain_both(a, sums, a.changing)
        np.testing.assert_array_equal(found, sums)
        np.testing.assert_array_equal(words, a.words)


@pytest.mark.parametrize("rows", [1, 2, 15, 33])
def test_walk_ending(rows: int) -> None:
    """Registers and sums of a walk in which sums are completed in any columns and steps."""
    rng = np.random.default_rng(rows)
    for _ in range(20):
        a, sums = _random(rng, rows, moving=True), rng.choice(SUMS, (rows, LANES))
        words, found, left = a.words.copy(), sums.copy(), np.empty((rows, STEPS, LANES), np.int32)
        _walk_ending(a.entering, words, a.falling, found, a.changing, left)
        np.testing.assert_array_equal(left, plain_both(a, sums, a.changing))
        np.testing.assert_array_equal(found, sums)
        np.testing.assert_array_equal(words, a.words)
        assert (a.changing < 0).any()
