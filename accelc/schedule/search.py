"""The best mapping of each stage by itself, and whether it is cheaper cut in two."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace

from accelc.arithmetic_wide import CURVE_OPS
from accelc.chip import Chip
from accelc.errors import ScheduleError
from accelc.graph import TABLE_OPS, WIDE, Graph, Layer
from accelc.schedule.cost import Cost
from accelc.schedule.geometry import Geometry, geometry_of
from accelc.schedule.mapping import FREE, Pin
from accelc.schedule.objective import Boxed, objective_of
from accelc.schedule.options import Choices, Tables, choices
from accelc.schedule.overflow import no_tile
from accelc.schedule.pinned import Pinned
from accelc.schedule.stages import Stage, cut_behind, cut_stage
from accelc.schedule.stripes import Part
from accelc.schedule.tiling import Tiling
from accelc.schedule.views import View, round_up


@dataclass(frozen=True)
class StagePlan:
    """A stage with the mapping chosen for it; copies and host work have none.

    A stage with a geometry and no tiling waits for one: its pinned tile fits only with maps held on chip.
    """

    stage: Stage
    geometry: Geometry | None
    tiling: Tiling | None
    cost: Cost | None
    part: Part | None = None  # the stripe of the stage that the geometry is of


@dataclass(frozen=True)
class Search:
    """The choice of plans for one network: whole stages, or stages cut in two where that is cheaper or alone fits."""

    graph: Graph
    views: Mapping[str, View]
    chip: Chip
    objective: str
    dataflows: tuple[str, ...]
    pinned: Pinned = field(default_factory=Pinned)

    def best(self, stage: Stage) -> list[StagePlan]:
        """Return the plans of a stage; raise ScheduleError if a single layer of it fits no tile."""
        if stage.kind != "tile":
            return [StagePlan(stage, None, None, None)]
        ends = self.pinned.cuts(stage)
        if ends is not None:
            return [self._plan(part) for part in cut_behind(self.graph, stage, ends)]
        whole, cut = self._plan(stage), cut_stage(self.graph, stage)
        geometry = whole.geometry
        assert geometry is not None
        if cut is None or (whole.tiling is not None and geometry.pool is None and not geometry.whole_channels):
            if whole.tiling is None:
                raise self.no_tile(whole)
            return [whole]
        parts = [plan for part in cut for plan in self.best(part)]
        return [whole] if whole.tiling is not None and self.rank([whole]) <= self.rank(parts) else parts

    def _plan(self, stage: Stage) -> StagePlan:
        """Return a stage's best plan with only its weights held, if they are to be; without a tiling if none fits."""
        geometry = geometry_of(self.graph, stage, self.views, self.chip)
        if self.pinned.of(stage).hold_weights is True:
            geometry = replace(geometry, held=replace(geometry.held, weights=True))
        found = self.choice(stage, geometry, self.chip.timing.act_bytes)
        return StagePlan(stage, geometry, *(found or (None, None)))

    def no_tile(self, plan: StagePlan) -> ScheduleError:
        """Return the error that no tile of a stage fits."""
        assert plan.geometry is not None
        pin = self.pinned.tile(plan.stage, plan.geometry, self.chip)
        tables = Tables(*table_bytes(self.graph, plan.stage))
        return ScheduleError(no_tile(self.graph, plan.stage, plan.geometry, pin, self.chip, tables))

    def choice(
        self, stage: Stage, geometry: Geometry, room: int, wgt_room: int | None = None
    ) -> tuple[Tiling, Cost] | None:
        """Return the best mapping of a stage in `room` bytes of the activation and `wgt_room` of the weight buffer."""
        return self.choices(stage, geometry, wgt_room).within(room)

    def choices(
        self, stage: Stage, geometry: Geometry, wgt_room: int | None = None, default: Pin = FREE
    ) -> Choices:
        """Return the best mappings of a stage by the room left in the act buffer; `default` pins what is free."""
        tables = Tables(*table_bytes(self.graph, stage))
        pin = self.pinned.tile(stage, geometry, self.chip).over(default)
        return choices(geometry, Boxed(self.chip), tables, self.objective, self.dataflows, wgt_room, pin)

    def rank(self, plans: Sequence[StagePlan]) -> tuple[float, ...]:
        """Return what plans are compared by, all of them together."""
        costs = [plan.cost for plan in plans if plan.cost is not None]
        total = Cost(*(sum(getattr(cost, f.name) for cost in costs) for f in fields(Cost)))
        return objective_of(self.objective, Boxed(self.chip)).rank(total)


def table_bytes(graph: Graph, stage: Stage) -> tuple[int, int]:
    """Return the bytes of a stage's tables: those shared by all channels, and those each channel adds.

    Each table begins at a multiple of 64 bytes.
    """
    every = [step_table_bytes(graph, step) for step in stage.steps]
    return sum(round_up(one, 64) + 64 * (each % 64 > 0) for one, each in every), sum(each for _, each in every)


def step_table_bytes(graph: Graph, step: Layer) -> tuple[int, int]:
    """Return the bytes of a step's table for a block of channels: those shared by all, and those of each channel."""
    wide = graph.tensors[step.outputs[0]].dtype == WIDE
    if step.op == "softmax":
        return 1024 * (not wide), 0
    if step.op not in TABLE_OPS:
        return 0, 0
    if wide and step.op in CURVE_OPS:
        return 4 * 257, 0
    size = 12 if wide else 256
    return (0, size) if any(graph.tensors[name].elements > 1 for name in step.inputs[1:]) else (size, 0)
