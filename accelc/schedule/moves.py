"""How a layer that only moves bytes goes through the chip: nested loops of bytes in boxes, each loaded and stored.

A box takes some turns of each loop. It lies compact on chip in the order of its source. A load or a store has two loops
around a run of bytes, so a box takes one or several of each; both go through the DRAM in the order of their own
addresses, so that bytes next to each other pass in one burst. Boxes are grown from the loops that gain most by it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import product

from accelc.chip import Timing
from accelc.schedule.transfer import Runs, Transfer, plane

FIELD = 65535  # turns of a loop that an instruction can state
LINE = 32  # bytes that vector work takes as one pixel where a box is treated as plain bytes
TABLE = 256  # bytes of a lookup's table
BOXES = 4  # at once on chip: loads run ahead of stores


@dataclass(frozen=True)
class Loop:
    """One loop of a copy: how often, and the byte steps in source and destination.

    A load may take `load` turns, a store `store`, of which those past `extent` move bytes that mean nothing: the
    padding of a pixel's channels. A step of 0 in the source says that all turns take the same bytes.
    """

    extent: int
    source: int
    target: int
    load: int = 0
    store: int = 0

    def __post_init__(self) -> None:
        object.__setattr__(self, "load", max(self.load, self.extent))
        object.__setattr__(self, "store", max(self.store, self.extent))

    @property
    def plain(self) -> bool:
        """Return whether no side takes padding with it."""
        return self.load == self.store == self.extent

    @property
    def held(self) -> int:
        """Return the turns that lie apart on chip."""
        return 1 if self.source == 0 else max(self.load, self.store)

    def part(self, size: int) -> Loop:
        """Return `size` turns of the loop: padding goes with all of them only."""
        return self if size == self.extent else Loop(size, self.source, self.target)


@dataclass(frozen=True)
class Side:
    """The loads or the stores of a box: their loops in DRAM, the same on chip, and where each begins in both."""

    rows: int
    row: int
    cols: int
    col: int
    bytes: int
    chip_row: int
    chip_col: int
    starts: tuple[tuple[int, int], ...]

    def runs(self, start: int = 0) -> Runs:
        """Return the runs of one of them, from an address on."""
        return Runs(start, self.bytes, self.cols, self.col, self.rows, self.row)

    @property
    def room(self) -> int:
        """Return the bytes on chip from the first to the last of one of them."""
        return (self.rows - 1) * self.chip_row + (self.cols - 1) * self.chip_col + self.bytes

    def transfer(self, c: Timing) -> Transfer:
        """Return what one of them takes by itself."""
        return plane(c, self.runs())


@dataclass(frozen=True)
class Move:
    """A box on its way through the chip: byte offsets in source and destination, both sides, its bytes on chip."""

    source: int
    target: int
    load: Side
    store: Side
    bytes: int


def merge(loops: Sequence[Loop]) -> list[Loop]:
    """Return the loops without those of one turn, neighbors joined where one runs on from the other.

    Padding that both sides would take is moved like other bytes.
    """
    merged: list[Loop] = []
    for loop in (_whole(entry) for entry in loops if max(entry.load, entry.store) > 1):
        if loop.plain and merged and _runs_on(merged[-1], loop):
            before = merged[-1]
            padded = (before.load * loop.extent, before.store * loop.extent)
            merged[-1] = Loop(before.extent * loop.extent, loop.source, loop.target, *padded)
        else:
            merged.append(loop)
    return merged


def _runs_on(outer: Loop, inner: Loop) -> bool:
    return (outer.source, outer.target) == (inner.extent * inner.source, inner.extent * inner.target)


def _whole(loop: Loop) -> Loop:
    both = min(loop.load, loop.store)
    return loop if both == loop.extent else replace(loop, extent=both)


def room_of(floor: int) -> int:
    """Return the bytes that a box may take of an activation buffer of which `floor` are free."""
    return floor // BOXES - LINE


def moves(c: Timing, loops: Sequence[Loop], room: int) -> Iterator[Move]:
    """Yield the moves that take a byte for each turn of the loops, each of no more than `room` bytes on chip."""
    ordered = sorted(merge(loops), key=lambda loop: -loop.source)
    sizes = _sizes(c, tuple(ordered), room)
    for at in product(*(range(0, loop.extent, size) for loop, size in zip(ordered, sizes, strict=True))):
        box = [loop.part(min(n, loop.extent - k)) for k, loop, n in zip(at, ordered, sizes, strict=True)]
        source = sum(k * loop.source for k, loop in zip(at, ordered, strict=True))
        target = sum(k * loop.target for k, loop in zip(at, ordered, strict=True))
        yield replace(_box(tuple(box)), source=source, target=target)


@lru_cache(maxsize=4096)
def _sizes(c: Timing, loops: tuple[Loop, ...], room: int) -> tuple[int, ...]:
    """Return how many turns of each loop a box takes: grown step by step, as long as all boxes together gain by it."""
    sizes = [1] * len(loops)
    taken = _cycles(c, loops, sizes)
    while True:
        grown = [made for k in range(len(loops)) for made in _grown(loops, sizes, k, room)]
        found = [(_cycles(c, loops, made), made) for made in grown]
        if not found or min(found)[0] > taken:
            return tuple(-(-n.extent // -(-n.extent // size)) for n, size in zip(loops, sizes, strict=True))
        taken, sizes = min(found)


def _grown(loops: Sequence[Loop], sizes: Sequence[int], k: int, room: int) -> Iterator[list[int]]:
    """Yield the box with twice the turns of a loop, with all of them, and with as many as fit."""
    rest = math.prod(loop.part(n).held for j, (loop, n) in enumerate(zip(loops, sizes, strict=True)) if j != k)
    most, loop = room // rest, loops[k]
    if loop.held > most:
        most = min(most, loop.extent - 1)
    else:
        most = loop.extent
    if (loop.source, loop.target) != (1, 1):
        most = min(most, FIELD)
    for size in {min(2 * sizes[k], most), most}:
        if size > sizes[k]:
            yield [*sizes[:k], size, *sizes[k + 1 :]]


def _cycles(c: Timing, loops: Sequence[Loop], sizes: Sequence[int]) -> float:
    """Return the cycles of all boxes: the loads of one run beside the stores of the box before, on one bus."""
    box = _box(tuple(loop.part(n) for loop, n in zip(loops, sizes, strict=True)))
    load, store = box.load.transfer(c), box.store.transfer(c)
    loads, stores = len(box.load.starts) * load.cycles, len(box.store.starts) * store.cycles
    bus = len(box.load.starts) * load.bus + len(box.store.starts) * store.bus
    count = math.prod(loop.extent / n for loop, n in zip(loops, sizes, strict=True))
    return max(loads, stores, bus) * count + min(loads, stores)


@lru_cache(maxsize=4096)
def _box(loops: tuple[Loop, ...]) -> Move:
    """Return the move of a box at the start of source and destination; loops come in the order of the source."""
    step, steps = 1, dict[Loop, int]()
    for loop in reversed(loops):
        steps[loop] = step * (loop.source != 0)
        step *= loop.held
    load = [(loop.load if loop.source else 1, loop.source, steps[loop]) for loop in loops]
    store = [(loop.store, loop.target, steps[loop]) for loop in loops]
    return Move(0, 0, _side(load), _side(store), step)


def _side(loops: Sequence[tuple[int, int, int]]) -> Side:
    """Return the loads or stores of loops of (turns, step in DRAM, step on chip), the smallest step innermost."""
    rest = sorted((loop for loop in loops if loop[0] > 1), key=lambda loop: -loop[1])
    run = rest.pop()[0] if rest and rest[-1][1:] == (1, 1) else 1
    cols, rows = ((rest.pop() if rest else (1, 0, 0)) for _ in range(2))
    starts = product(*([(k * dram, k * chip) for k in range(turns)] for turns, dram, chip in rest))
    begins = tuple((sum(a for a, _ in at), sum(b for _, b in at)) for at in starts)
    return Side(rows[0], rows[1], cols[0], cols[1], run, rows[2], cols[2], begins)
