"""The best mapping of each stage by itself, and whether it is cheaper cut in two."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields

from accelc.arithmetic_wide import CURVE_OPS
from accelc.chip import Chip
from accelc.errors import ScheduleError
from accelc.graph import TABLE_OPS, Graph, is_wide
from accelc.schedule.cost import Cost
from accelc.schedule.geometry import Geometry, geometry_of
from accelc.schedule.options import OBJECTIVES, Boxed, Choices, Tables, choices
from accelc.schedule.stages import Stage, cut_stage
from accelc.schedule.tiling import Tiling, footprint
from accelc.schedule.views import View, round_up


@dataclass(frozen=True)
class StagePlan:
    """A stage with the mapping chosen for it; copies and host work have none."""

    stage: Stage
    geometry: Geometry | None
    tiling: Tiling | None
    cost: Cost | None


@dataclass(frozen=True)
class Search:
    """The choice of plans for one network: whole stages, or stages cut in two where that is cheaper or alone fits."""

    graph: Graph
    views: Mapping[str, View]
    chip: Chip
    objective: str
    dataflows: tuple[str, ...]

    def best(self, stage: Stage) -> list[StagePlan]:
        """Return the plans of a stage; raise ScheduleError if a single layer of it fits no tile."""
        if stage.kind != "tile":
            return [StagePlan(stage, None, None, None)]
        geometry = geometry_of(self.graph, stage, self.views, self.chip)
        whole = self._plan(stage, geometry)
        cut = cut_stage(self.graph, stage)
        if cut is None or (whole is not None and geometry.pool is None and not geometry.whole_channels):
            if whole is None:
                raise ScheduleError(_no_tile(self.graph, stage, geometry, self.chip))
            return [whole]
        parts = [plan for part in cut for plan in self.best(part)]
        return [whole] if whole is not None and self._rank([whole]) <= self._rank(parts) else parts

    def _plan(self, stage: Stage, geometry: Geometry) -> StagePlan | None:
        found = self.choice(stage, geometry, self.chip.timing.act_bytes)
        return None if found is None else StagePlan(stage, geometry, *found)

    def choice(
        self, stage: Stage, geometry: Geometry, room: int, wgt_room: int | None = None
    ) -> tuple[Tiling, Cost] | None:
        """Return the best mapping of a stage in `room` bytes of the activation and `wgt_room` of the weight buffer."""
        return self.choices(stage, geometry, wgt_room).within(room)

    def choices(self, stage: Stage, geometry: Geometry, wgt_room: int | None = None) -> Choices:
        """Return the best mappings of a stage by the room left in the activation buffer."""
        tables = Tables(*table_bytes(self.graph, stage))
        return choices(geometry, Boxed(self.chip), tables, self.objective, self.dataflows, wgt_room)

    def _rank(self, plans: list[StagePlan]) -> tuple[float, ...]:
        costs = [plan.cost for plan in plans if plan.cost is not None]
        total = Cost(*(sum(getattr(cost, f.name) for cost in costs) for f in fields(Cost)))
        return OBJECTIVES[self.objective](total)


def table_bytes(graph: Graph, stage: Stage) -> tuple[int, int]:
    """Return the bytes of a stage's tables: those shared by all channels, and those each channel adds."""
    if is_wide(graph):
        return _wide_table_bytes(graph, stage)
    shared = per_channel = 0
    for step in stage.steps:
        if step.op in TABLE_OPS:
            by_channel = any(graph.tensors[name].elements > 1 for name in step.inputs[1:])
            shared, per_channel = shared + 256 * (not by_channel), per_channel + 512 * by_channel
        elif step.op == "softmax":
            shared += 1024
    return shared, per_channel


def _wide_table_bytes(graph: Graph, stage: Stage) -> tuple[int, int]:
    """Return the same for 16-bit operands: 257 corners of a curve, or three numbers for each line."""
    shared = per_channel = 0
    for step in stage.steps:
        if step.op in CURVE_OPS:
            shared += round_up(4 * 257, 64)
        elif step.op in TABLE_OPS:
            by_channel = any(graph.tensors[name].elements > 1 for name in step.inputs[1:])
            shared, per_channel = shared + 64, per_channel + 12 * by_channel
    return shared, per_channel


def _no_tile(graph: Graph, stage: Stage, geometry: Geometry, chip: Chip) -> str:
    first = stage.layers[0]
    smallest = Tiling(1, 1, min(16, geometry.mid[2]), min(4, geometry.group_in), True)
    need = footprint(geometry, smallest, sum(table_bytes(graph, stage)))
    c = chip.timing
    return (
        f"layer '{first.name}' ({first.op}, output {list(graph.tensors[stage.output].shape)}): no tile fits chip "
        f"'{chip.name}': one output pixel needs {need.act_bytes(geometry)} bytes of act (has {c.act_bytes}), "
        f"{need.wgt_bytes} of wgt (has {c.wgt_bytes}) and {8 * need.acc_words} of acc (has {c.acc_bytes})"
    )
