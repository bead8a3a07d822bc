"""The mappings of one stage: every cut with its cost, by what is held on chip and by the room that is left."""

from __future__ import annotations

import contextlib
from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from functools import lru_cache

import numpy as np

from accelc.chip import Chip
from accelc.schedule.cost import Cost, Engines, cost_of, engines_of
from accelc.schedule.geometry import Geometry, Held
from accelc.schedule.mapping import FREE, Pin
from accelc.schedule.objective import Boxed, objective_of
from accelc.schedule.split import shared, splits
from accelc.schedule.store import Row, key_of, store_of
from accelc.schedule.tiling import Many, Tiling, footprint, loop_orders, on_chip_bytes, one_of, only, tilings

Rank = Callable[[Cost], tuple[float, ...]]


@dataclass(frozen=True)
class Choices:
    """The best mapping for each amount of room: `rooms` ascend, `found` are the mappings, each better than the last."""

    rooms: tuple[int, ...]
    found: tuple[tuple[Tiling, Cost], ...]

    def within(self, room: int) -> tuple[Tiling, Cost] | None:
        """Return the best mapping that takes at most `room` bytes of the buffer, None if nothing fits."""
        at = bisect_right(self.rooms, room)
        return self.found[at - 1] if at else None

    def rows(self) -> list[Row]:
        """Return the choices as plain numbers and texts."""
        pairs = zip(self.rooms, self.found, strict=True)
        return [(room, *vars(tiling).values(), *vars(cost).values()) for room, (tiling, cost) in pairs]

    @staticmethod
    def of_rows(rows: Sequence[Row]) -> Choices:
        """Return the choices that gave the rows."""
        ends = 1 + len(fields(Tiling))
        pairs = tuple((Tiling(*row[1:ends]), Cost(*row[ends:])) for row in rows)  # type: ignore[arg-type]
        return Choices(tuple(int(row[0]) for row in rows), pairs)


@dataclass(frozen=True)
class Tables:
    """The bytes of a stage's lookup tables: shared by all channels, and added by each channel."""

    shared: int
    per_channel: int

    def room(self, channels: int) -> int:
        """Return the bytes for a block of so many channels."""
        return self.shared + self.per_channel * channels


@lru_cache(maxsize=16384)
def choices(
    g: Geometry,
    box: Boxed,
    tables: Tables,
    objective: str,
    dataflows: tuple[str, ...],
    wgt_room: int | None = None,
    pin: Pin = FREE,
) -> Choices:
    """Return the best mappings of a stage by room; equal geometries are searched once, and kept on disk."""
    store, key = store_of(box.chip.fingerprint), key_of(g, tables, objective, dataflows, wgt_room, pin)
    rows = store.get(key)
    if rows is not None:
        with contextlib.suppress(TypeError, ValueError):  # rows that something else wrote
            return Choices.of_rows(rows)
    found = _searched(g, box, tables, objective, dataflows, wgt_room, pin)
    store.put(key, found.rows())
    return found


_Mapped = tuple[int, Tiling, Cost]  # a mapping, and before it the room that it takes


def _searched(
    g: Geometry,
    box: Boxed,
    tables: Tables,
    objective: str,
    dataflows: tuple[str, ...],
    wgt_room: int | None,
    pin: Pin,
) -> Choices:
    rank, found = objective_of(objective, box).rank, list[_Mapped]()
    for split, count in splits(g, box.chip):
        share = shared(g, split, count)
        cuts = tilings(share, box.chip, tables.room, wgt_room, pin)
        if cuts is not None and pin.allows(split, share.out[0], share.mid[2]):
            every = replace(loop_orders(share, cuts, pin), split=split, shares=count)
            found += _priced(share, every, only(pin.dataflow, dataflows), box, tables, rank)
    best = _front([room for room, *_ in found], [rank(cost) for *_, cost in found])
    return Choices(tuple(found[n][0] for n in best), tuple(found[n][1:] for n in best))


def _priced(
    g: Geometry, many: Many, dataflows: Sequence[str], box: Boxed, tables: Tables, rank: Rank
) -> list[_Mapped]:
    """Return of many tilings, under each dataflow, those better than all that take less room."""
    foot, known, count = footprint(g, many, tables.room(many.channels)), _known(_core(g), box), len(dataflows)
    rooms = on_chip_bytes(foot, g, box.chip)
    made = [cost_of(g, t, box.chip, known.engines(t), foot) for d in dataflows for t in (replace(many, dataflow=d),)]
    rows = [np.broadcast_arrays(rooms, *(getattr(cost, f.name) for f in fields(Cost)))[1:] for cost in made]
    costs = np.stack(rows, axis=-1).reshape(len(rows[0]), -1)  # of one tiling under each dataflow, of the next, ...
    ranks = np.broadcast_arrays(*rank(Cost(*costs)))
    best = _front(np.repeat(rooms, count).tolist(), list(zip(*(each.tolist() for each in ranks), strict=True)))
    return [
        (int(rooms[n // count]), one_of(many, n // count, dataflows[n % count]), Cost(*costs[:, n].tolist()))
        for n in best
    ]


def _front(rooms: Sequence[int], ranks: Sequence[tuple[float, ...]]) -> list[int]:
    """Return the numbers of the mappings better than all that take less room; of equals, the first."""
    found: list[int] = []
    for n in sorted(range(len(rooms)), key=lambda n: (rooms[n], ranks[n])):
        if not found or ranks[n] < ranks[found[-1]]:
            found.append(n)
    return found


def _core(g: Geometry) -> Geometry:
    """Return a geometry with only so much held as matters to the array and the vector unit."""
    held = Held(source=g.held.source, whole_pixel=g.held.whole_pixel or not g.held.source, gaps=g.held.gaps)
    return replace(g, held=held, sharers=1, pixel_channels=0)


class _Known:
    """The engines' cycles of one geometry by cut, each worked out once."""

    def __init__(self, core: Geometry, chip: Chip) -> None:
        self.core, self.chip = core, chip
        self._found: dict[tuple[int | str, ...], list[int]] = {}

    def engines(self, t: Many) -> Engines:
        """Return the engines' cycles of many tilings; the loop order does not matter to them."""
        extents = np.array([t.rows, t.cols, t.channels, t.depth])
        keys = [(*each, t.kernel_rows, t.dataflow) for each in extents.T.tolist()]
        fresh = {key: n for n, key in enumerate(keys) if key not in self._found}
        if fresh:
            rows, cols, channels, depth = extents[:, list(fresh.values())]
            found = engines_of(self.core, replace(t, rows=rows, cols=cols, channels=channels, depth=depth), self.chip)
            values = np.array(np.broadcast_arrays(rows, found.mac, found.vector, found.tail)[1:])
            self._found.update(zip(fresh, values.T.tolist(), strict=True))
        return Engines(*np.array([self._found[key] for key in keys]).T)


@lru_cache(maxsize=1024)
def _known(core: Geometry, box: Boxed) -> _Known:
    return _Known(core, box.chip)
