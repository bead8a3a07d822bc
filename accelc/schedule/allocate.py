"""DRAM addresses of the activations: regions whose lives do not overlap share bytes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from accelc.graph import Graph
from accelc.schedule.stages import Stage
from accelc.schedule.views import View, round_up

ALIGN = 64


@dataclass(frozen=True)
class Life:
    """A region's size and the stages between which it is alive; stage -1 is before the program, `stages` after it."""

    name: str
    bytes: int
    first: int
    last: int


@dataclass(frozen=True)
class Placement:
    """Offsets of the regions among the activations, the bytes they span, and the least that any order could do."""

    offsets: Mapping[str, int]
    bytes: int
    peak_live_bytes: int


def lives(graph: Graph, views: Mapping[str, View], stages: Sequence[Stage]) -> list[Life]:
    """Return the life of each region that a stage, an input or an output touches."""
    first: dict[str, int] = {}
    last: dict[str, int] = {}
    size: dict[str, int] = {}

    def touch(name: str, when: int) -> None:
        view = views[name]
        first[view.region] = min(first.get(view.region, when), when)
        last[view.region] = max(last.get(view.region, when), when)
        size[view.region] = max(size.get(view.region, 0), view.offset + view.bytes)

    for name in graph.inputs:
        touch(name, -1)
    for k, stage in enumerate(stages):
        inner = {n for layer in stage.layers[:-1] for n in layer.outputs}
        for layer in stage.layers:
            for name in layer.inputs:
                if name in views and name not in inner:
                    touch(name, k)
        for name in stage.layers[-1].outputs:
            touch(name, k)
    for name in graph.outputs:
        touch(name, len(stages))
    return [Life(name, round_up(size[name], ALIGN), first[name], last[name]) for name in first]


def place(regions: Sequence[Life]) -> Placement:
    """Return offsets by the better of two greedy orders, first fit: the largest first, and the longest life first."""
    orders = (
        sorted(regions, key=lambda r: (-r.bytes, r.first, r.name)),
        sorted(regions, key=lambda r: (r.first - r.last, -r.bytes, r.name)),
    )
    best = min((_first_fit(order) for order in orders), key=_span)
    return Placement({life.name: offset for life, offset in best}, _span(best), peak_live(regions))


def _span(placed: Sequence[tuple[Life, int]]) -> int:
    return max((offset + life.bytes for life, offset in placed), default=0)


def _first_fit(order: Sequence[Life]) -> list[tuple[Life, int]]:
    placed: list[tuple[Life, int]] = []
    for life in order:
        busy = sorted(
            (at, at + other.bytes) for other, at in placed if other.first <= life.last and life.first <= other.last
        )
        offset = 0
        for low, high in busy:
            if offset + life.bytes <= low:
                break
            offset = max(offset, high)
        placed.append((life, offset))
    return placed


def peak_live(regions: Sequence[Life]) -> int:
    """Return the most bytes alive at once, below which no placement can go."""
    return max((sum(r.bytes for r in regions if r.first <= k <= r.last) for k in {r.first for r in regions}), default=0)
