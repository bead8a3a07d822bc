"""The mappings of one stage: every cut with its cost, by what is held on chip and by the room that is left."""

from __future__ import annotations

import contextlib
from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import astuple, dataclass, fields, replace
from functools import lru_cache

from accelc.chip import Chip
from accelc.schedule.cost import Cost, Engines, cost_of, engines_of
from accelc.schedule.geometry import Geometry, Held
from accelc.schedule.mapping import FREE, Pin
from accelc.schedule.objective import Boxed, objective_of
from accelc.schedule.split import shared, splits
from accelc.schedule.store import Row, key_of, store_of
from accelc.schedule.tiling import Tiling, on_chip_bytes, tilings

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
        return [(room, *astuple(tiling), *astuple(cost)) for room, (tiling, cost) in pairs]

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


def _searched(
    g: Geometry,
    box: Boxed,
    tables: Tables,
    objective: str,
    dataflows: tuple[str, ...],
    wgt_room: int | None,
    pin: Pin,
) -> Choices:
    priced: list[tuple[int, Tiling, Cost]] = []
    for split, count in splits(g, box.chip):
        share = shared(g, split, count)
        if not pin.allows(split, share.out[0], share.mid[2]):
            continue
        known = _known(_core(share), box)
        for t, foot in tilings(share, box.chip, tables.room, dataflows, wgt_room, pin):
            cost = cost_of(share, t, box.chip, known.engines(t), foot)
            made = t if count == 1 else replace(t, split=split, shares=count)
            priced.append((on_chip_bytes(foot, share, box.chip), made, cost))
    return _front(priced, objective_of(objective, box).rank)


def _core(g: Geometry) -> Geometry:
    """Return a geometry with only so much held as matters to the array and the vector unit."""
    held = Held(source=g.held.source, whole_pixel=g.held.whole_pixel or not g.held.source, gaps=g.held.gaps)
    return replace(g, held=held, sharers=1, pixel_channels=0)


class _Known:
    """The engines' cycles of one geometry by cut, each worked out once."""

    def __init__(self, core: Geometry, chip: Chip) -> None:
        self.core, self.chip = core, chip
        self._found: dict[tuple[int | str, ...], Engines] = {}

    def engines(self, t: Tiling) -> Engines:
        """Return the engines' cycles of a tiling; the loop order does not matter to them."""
        key = (t.rows, t.cols, t.channels, t.depth, t.kernel_rows, t.dataflow)
        if key not in self._found:
            self._found[key] = engines_of(self.core, t, self.chip)
        return self._found[key]


@lru_cache(maxsize=1024)
def _known(core: Geometry, box: Boxed) -> _Known:
    return _Known(core, box.chip)


def _front(priced: Sequence[tuple[int, Tiling, Cost]], rank: Rank) -> Choices:
    """Keep of the mappings those better than all that take less room."""
    rooms: list[int] = []
    found: list[tuple[Tiling, Cost]] = []
    for room, tiling, cost in sorted(priced, key=lambda p: (p[0], rank(p[2]))):
        if not found or rank(cost) < rank(found[-1][1]):
            rooms.append(room)
            found.append((tiling, cost))
    return Choices(tuple(rooms), tuple(found))
