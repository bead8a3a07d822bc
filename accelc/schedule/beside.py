"""A stage of vector work beside one of array work: its tiles go between the pieces of the array's work."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from accelc.schedule.search import StagePlan

P = TypeVar("P")
T = TypeVar("T")


def host_of(a: StagePlan, b: StagePlan) -> StagePlan | None:
    """Return the one of two stages abreast that has array work, None if both have, or neither."""
    if (a.stage.head is None) == (b.stage.head is None):
        return None
    return a if b.stage.head is None else b


@dataclass
class Beside(Generic[P, T]):
    """The walk through both stages: the host's `pieces` of array work, and the `tiles` of the guest.

    What the array needs next is loaded before the guest's tiles of a turn, which then run while the array works.
    """

    pieces: Sequence[P]
    tiles: Sequence[T]
    load: Callable[[P], object]
    make: Callable[[T], None]
    done: int = 0
    made: int = 0

    def step(self) -> None:
        """Follow up a piece of the host with the load of its next one, and with the guest's tiles that are due."""
        self.done += 1
        if self.done < len(self.pieces):
            self.load(self.pieces[self.done])
        due = len(self.tiles) * self.done // len(self.pieces)
        for tile in self.tiles[self.made : due]:
            self.make(tile)
        self.made = due
