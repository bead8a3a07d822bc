"""Copies in boxes: every byte of the loops moves once to where it belongs, in few and whole bursts."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from accelc.chip import load_chip
from accelc.schedule.moves import Loop, Side, merge, moves

EDGE = load_chip("edge").timing
ROOM = 4096


def places(side: Side, start: int, chip: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the DRAM and on-chip addresses of every byte of one load or store."""
    grid = np.indices((side.rows, side.cols, side.bytes)).reshape(3, -1)
    dram = start + grid[0] * side.row + grid[1] * side.col + grid[2]
    return dram, chip + grid[0] * side.chip_row + grid[1] * side.chip_col + grid[2]


def moved(loops: list[Loop], source: np.ndarray, size: int, room: int = ROOM) -> tuple[np.ndarray, int]:
    """Return what the moves make of a source, -1 where nothing is written, and how many loads and stores there are."""
    target, count = np.full(size, -1), 0
    for move in moves(EDGE, loops, room):
        assert move.bytes <= room
        chip = np.full(move.bytes, -2)
        for dram, at in move.load.starts:
            where, on_chip = places(move.load, move.source + dram, at)
            chip[on_chip] = source[where]
        for dram, at in move.store.starts:
            where, on_chip = places(move.store, move.target + dram, at)
            target[where] = chip[on_chip]
        count += len(move.load.starts) + len(move.store.starts)
    return target, count


@st.composite
def copies(draw: st.DrawFn) -> tuple[list[Loop], int, int]:
    """Draw loops over an array whose axes lie in two orders, with gaps; return them with the sizes of both sides."""
    extents = draw(st.lists(st.integers(1, 40), min_size=1, max_size=4))
    steps, sizes = [], []
    for _ in range(2):
        order, step, found = draw(st.permutations(range(len(extents)))), 1, [0] * len(extents)
        for axis in order:
            found[axis] = step
            step *= extents[axis] + draw(st.integers(0, 3))
        steps.append(found)
        sizes.append(step)
    return [Loop(*each) for each in zip(extents, *steps, strict=True)], sizes[0], sizes[1]


@given(copies(), st.sampled_from([64, 1000, 4096]))
def test_every_byte_moves_once_to_its_place(drawn: tuple[list[Loop], int, int], room: int) -> None:
    loops, before, after = drawn
    source = np.arange(before)
    grid = np.indices([loop.extent for loop in loops]).reshape(len(loops), -1)
    expected = np.full(after, -1)
    expected[np.array([n.target for n in loops]) @ grid] = np.array([n.source for n in loops]) @ grid
    np.testing.assert_array_equal(moved(loops, source, after, room)[0], expected)


def test_a_pixels_padding_goes_with_its_channels() -> None:
    """Three planes become pixels of four bytes, of which the last means nothing, and go back."""
    planes, pixels = np.arange(3 * 100), 100
    loops = [Loop(3, 100, 1, 3, 4), Loop(pixels, 1, 4)]
    there, count = moved(loops, planes, 400)
    np.testing.assert_array_equal(there.reshape(-1, 4)[:, :3], planes.reshape(3, -1).T)
    assert count == 2
    back, count = moved([Loop(3, 1, 100, 4, 3), Loop(pixels, 4, 1)], there, 300)
    np.testing.assert_array_equal(back, planes)
    assert count == 2


def test_one_value_fills_a_map_by_one_byte_on_chip() -> None:
    filled, count = moved([Loop(50, 0, 64), Loop(60, 0, 1)], np.array([7]), 50 * 64)
    assert (filled.reshape(50, 64)[:, :60] == 7).all()
    assert count == 2
    assert (filled.reshape(50, 64)[:, 60:] == -1).all()


def test_loops_that_run_on_are_one() -> None:
    assert merge([Loop(2, 60, 60), Loop(3, 20, 20), Loop(1, 5, 9), Loop(20, 1, 1)]) == [Loop(120, 1, 1)]
    assert merge([Loop(5, 4, 4), Loop(3, 1, 1, 4, 4)]) == [Loop(20, 1, 1)]


@pytest.mark.parametrize("batch", [10, 2000])
def test_a_large_batch_stays_image_by_image_in_whole_bursts(batch: int) -> None:
    """Images of 64 x 64 planes of 3 become pixels: the extent of the batch does not make it a loop of a box."""
    size = 64 * 64
    loops = [Loop(batch, 3 * size, 4 * size), Loop(3, size, 1, 3, 4), Loop(size, 1, 4)]
    made = list(moves(EDGE, loops, 128 << 10))
    bursts = sum(len(side.starts) * side.transfer(EDGE).bursts for m in made for side in (m.load, m.store))
    assert bursts <= 1.05 * batch * 7 * size / EDGE.dram_burst_bytes
    assert math.ceil(batch / 10) <= len(made) <= batch
    assert max(m.load.runs().span for m in made) <= 10 * 3 * size
