"""The mappings of one stage: every cut with its cost, by what is held on chip and by the room that is left."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from accelc.chip import Chip
from accelc.schedule.cost import Cost, cost_of
from accelc.schedule.geometry import Geometry
from accelc.schedule.tiling import Tiling, footprint, on_chip_bytes, tilings

Rank = Callable[[Cost], tuple[float, ...]]

OBJECTIVES: Mapping[str, Rank] = {
    "latency": lambda cost: (cost.cycles, cost.dram_bytes),
    "energy": lambda cost: (cost.dram_bytes, cost.cycles),
    "edp": lambda cost: (cost.cycles * cost.dram_bytes, cost.cycles),
}


@dataclass(frozen=True)
class Choices:
    """The best mapping for each amount of room: `rooms` ascend, `found` are the mappings, each better than the last."""

    rooms: tuple[int, ...]
    found: tuple[tuple[Tiling, Cost], ...]

    def within(self, room: int) -> tuple[Tiling, Cost] | None:
        """Return the best mapping that takes at most `room` bytes of the buffer, None if nothing fits."""
        at = bisect_right(self.rooms, room)
        return self.found[at - 1] if at else None


class Boxed:
    """A chip as a cache key: two chips of one fingerprint schedule alike."""

    def __init__(self, chip: Chip) -> None:
        self.chip = chip

    def __hash__(self) -> int:
        return hash(self.chip.fingerprint)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Boxed) and other.chip.fingerprint == self.chip.fingerprint


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
    g: Geometry, box: Boxed, tables: Tables, objective: str, dataflows: tuple[str, ...], wgt_room: int | None = None
) -> Choices:
    """Return the best mappings of a stage by room; equal geometries are searched once."""
    chip, rank = box.chip, OBJECTIVES[objective]
    priced = []
    for t in tilings(g, chip, tables.room, dataflows, wgt_room):
        room = on_chip_bytes(footprint(g, t, tables.room(t.channels)), g, chip)
        priced.append((room, t, cost_of(g, t, chip)))
    return _front(priced, rank)


def _front(priced: Sequence[tuple[int, Tiling, Cost]], rank: Rank) -> Choices:
    """Keep of the mappings those better than all that take less room."""
    rooms: list[int] = []
    found: list[tuple[Tiling, Cost]] = []
    for room, tiling, cost in sorted(priced, key=lambda p: (p[0], rank(p[2]))):
        if not found or rank(cost) < rank(found[-1][1]):
            rooms.append(room)
            found.append((tiling, cost))
    return Choices(tuple(rooms), tuple(found))
