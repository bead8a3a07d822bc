"""DRAM addresses of the activations: regions whose lives do not overlap share bytes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from accelc.graph import Graph
from accelc.schedule.packing import Problem, pack
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
    """Offsets of the regions, the bytes they span, and the most alive at once, below which no placement can go.

    `proved` tells whether no placement spans fewer bytes: it reaches that bound, or a solver has excluded the rest.
    """

    offsets: Mapping[str, int]
    bytes: int
    peak_live_bytes: int
    proved: bool


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
    """Return offsets that take the least bytes, as far as a bounded search finds and proves them (see `packing`)."""
    regions = sorted(regions, key=lambda r: r.name)
    problem = Problem([(r.bytes, r.first, r.last) for r in regions])
    packed = pack(problem)
    offsets = {r.name: offset for r, offset in zip(regions, packed.offsets, strict=True)}
    return Placement(offsets, packed.bytes, problem.bound, packed.proved)


def peak_live(regions: Sequence[Life]) -> int:
    """Return the most bytes alive at once, below which no placement can go."""
    return Problem([(r.bytes, r.first, r.last) for r in regions]).bound
