"""What was decided for a whole network, kept on disk: a network that was scheduled before is not searched again.

Held are plans, maps and weights that stay, pairs, and what all this is predicted to take. It follows from the graph,
its constants included, the chip, the options and the sources (see `store`). Views and places in DRAM are made anew.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from accelc.graph import Graph
from accelc.schedule.cost import Cost
from accelc.schedule.geometry import Geometry
from accelc.schedule.pinning import Pins
from accelc.schedule.prediction import Prediction
from accelc.schedule.residency import Residency
from accelc.schedule.search import StagePlan
from accelc.schedule.stages import Stage
from accelc.schedule.store import keep
from accelc.schedule.stripes import Part
from accelc.schedule.tiling import Tiling


@dataclass(frozen=True)
class Written:
    """A StagePlan, its stage told by the numbers of its layers in the graph; `head` is -1 without one."""

    kind: str
    head: int
    steps: tuple[int, ...]
    position: int
    source: str
    geometry: Geometry | None
    tiling: Tiling | None
    cost: Cost | None
    part: Part | None


@dataclass(frozen=True)
class Decision:
    """What a schedule has beside the graph and what follows from both."""

    plans: tuple[Written, ...]
    residency: Residency
    pins: Pins
    pairs: frozenset[int]
    expected: tuple[Prediction, ...]


@cache
def _adapter() -> TypeAdapter[Decision]:
    return TypeAdapter(Decision)


def recall(path: Path | None) -> Decision | None:
    """Return the decision in a file, None if there is none; what something else wrote is none."""
    try:
        return None if path is None else _adapter().validate_json(path.read_bytes())
    except (OSError, ValidationError):
        return None


def remember(path: Path | None, found: Decision) -> None:
    """Write a decision to its file."""
    if path is not None:
        keep(path, _adapter().dump_json(found))


def written(graph: Graph, plans: Sequence[StagePlan]) -> tuple[Written, ...]:
    """Return the plans of a graph as they are written."""
    number = {layer.name: k for k, layer in enumerate(graph.layers)}
    return tuple(
        Written(
            plan.stage.kind,
            -1 if plan.stage.head is None else number[plan.stage.head.name],
            tuple(number[step.name] for step in plan.stage.steps),
            plan.stage.position,
            plan.stage.source,
            plan.geometry,
            plan.tiling,
            plan.cost,
            plan.part,
        )
        for plan in plans
    )


def read(graph: Graph, plans: Sequence[Written]) -> tuple[StagePlan, ...]:
    """Return the plans that were written; the stripes of a stage share it."""
    stages: dict[int, Stage] = {}
    for each in plans:
        head, steps = None if each.head < 0 else graph.layers[each.head], tuple(graph.layers[k] for k in each.steps)
        stages.setdefault(each.position, Stage(each.kind, head, steps, each.position, each.source))
    return tuple(StagePlan(stages[p.position], p.geometry, p.tiling, p.cost, p.part) for p in plans)
