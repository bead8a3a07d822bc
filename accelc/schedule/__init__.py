"""From a quantized graph to a Schedule: stages, the tiling of each, and where tensors lie in DRAM."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, fields
from functools import lru_cache

from accelc.arithmetic_wide import CURVE_OPS
from accelc.chip import Chip
from accelc.errors import ScheduleError
from accelc.graph import QUANTIZED, TABLE_OPS, Graph, is_wide, nhwc, verify_quantized
from accelc.schedule.allocate import Placement, lives, place
from accelc.schedule.cost import Cost, cost_of
from accelc.schedule.geometry import Geometry, geometry_of
from accelc.schedule.stages import Stage, cut_stage, prepare
from accelc.schedule.tiling import Tiling, footprint, tilings
from accelc.schedule.views import View, round_up

OBJECTIVES: Mapping[str, Callable[[Cost], tuple[float, ...]]] = {
    "latency": lambda cost: (cost.cycles, cost.dram_bytes),
    "energy": lambda cost: (cost.dram_bytes, cost.cycles),
    "edp": lambda cost: (cost.cycles * cost.dram_bytes, cost.cycles),
}


@dataclass(frozen=True)
class StagePlan:
    """A stage with the mapping chosen for it; copies and host work have none."""

    stage: Stage
    geometry: Geometry | None
    tiling: Tiling | None
    cost: Cost | None


@dataclass(frozen=True, eq=False)
class Schedule:
    """What lowering follows: the graph in machine form, tensor views, stage plans and DRAM placement."""

    graph: Graph
    chip: Chip
    dataflow: str
    views: Mapping[str, View]
    plans: tuple[StagePlan, ...]
    placement: Placement

    def __str__(self) -> str:
        return "\n".join(_lines(self))


def schedule(graph: Graph, chip: Chip, *, objective: str = "latency", dataflow: str = "auto") -> Schedule:
    """Return the schedule of a quantized graph; raise ScheduleError for a layer of which no tile fits the chip."""
    if objective not in OBJECTIVES:
        raise ScheduleError(f"objective '{objective}' is unknown; known: {', '.join(OBJECTIVES)}")
    if dataflow not in ("auto", *chip.array.dataflows):
        offered = ", ".join(chip.array.dataflows)
        raise ScheduleError(f"dataflow '{dataflow}' is not offered by chip '{chip.name}' (auto, {offered})")
    graph, views, stages = prepare(verify_quantized(graph))
    _check_width(graph, chip)
    dataflows = tuple(chip.array.dataflows) if dataflow == "auto" else (dataflow,)
    search = _Search(graph, views, chip, objective, dataflows)
    plans = tuple(sorted((plan for s in stages for plan in search.best(s)), key=lambda plan: plan.stage.position))
    placement = place(lives(graph, views, [plan.stage for plan in plans]))
    return Schedule(graph, chip, dataflow, views, plans, placement)


def _check_width(graph: Graph, chip: Chip) -> None:
    """Raise ScheduleError unless the network is quantized to the chip's operands."""
    wide, bits = is_wide(graph), chip.array.operand_bits
    kinds = " and ".join(sorted({t.dtype for t in graph.tensors.values() if t.dtype in QUANTIZED}))
    if wide != (bits == 16):
        works = "a float model, which is quantized to int16 for it," if bits == 16 else "int8 or uint8"
        raise ScheduleError(
            f"network '{graph.name}' is {kinds}, but chip '{chip.name}' multiplies {bits}-bit operands; "
            f"{works} would work"
        )
    if wide and chip.requantization != "float32":
        raise ScheduleError(
            f"chip '{chip.name}': requantization='{chip.requantization}' has no 16-bit rule; 'float32' would work"
        )


@dataclass(frozen=True)
class _Search:
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
        if cut is None or (whole is not None and geometry.pool is None):
            if whole is None:
                raise ScheduleError(_no_tile(self.graph, stage, geometry, self.chip))
            return [whole]
        parts = [plan for part in cut for plan in self.best(part)]
        return [whole] if whole is not None and self._rank([whole]) <= self._rank(parts) else parts

    def _plan(self, stage: Stage, geometry: Geometry) -> StagePlan | None:
        shared, per_channel = table_bytes(self.graph, stage)
        found = _search(geometry, _Boxed(self.chip), shared, per_channel, self.objective, self.dataflows)
        return None if found is None else StagePlan(stage, geometry, *found)

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


class _Boxed:
    """A chip as a cache key: two chips of one fingerprint schedule alike."""

    def __init__(self, chip: Chip) -> None:
        self.chip = chip

    def __hash__(self) -> int:
        return hash(self.chip.fingerprint)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Boxed) and other.chip.fingerprint == self.chip.fingerprint


@lru_cache(maxsize=4096)
def _search(
    geometry: Geometry, box: _Boxed, shared: int, per_channel: int, objective: str, dataflows: tuple[str, ...]
) -> tuple[Tiling, Cost] | None:
    """Return the best tiling of those tried; equal geometries are searched once."""
    rank = OBJECTIVES[objective]
    cuts = tilings(geometry, box.chip, lambda channels: shared + per_channel * channels, dataflows)
    priced = ((cut, cost_of(geometry, cut, box.chip)) for cut in cuts)
    return min(priced, key=lambda pair: rank(pair[1]), default=None)


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


def _lines(plan: Schedule) -> Iterator[str]:
    room = plan.placement.bytes
    yield f"schedule {plan.graph.name} on {plan.chip.name}, {plan.dataflow}, {room} bytes of activations"
    for entry in plan.plans:
        names = " + ".join(layer.name for layer in entry.stage.layers)
        if entry.tiling is None or entry.cost is None:
            yield f"  {entry.stage.kind} {names}"
            continue
        t, cost = entry.tiling, entry.cost
        order = "weights outer" if t.weights_outer else "map outer"
        yield (
            f"  {names}: {t.rows}x{t.cols} pixels x {t.channels} channels from {t.depth}, {t.dataflow}, {order}; "
            f"predicted {cost.cycles} cycles (mac {cost.mac}, vector {cost.vector}, dma {cost.dma}), "
            f"{cost.dram_bytes} bytes"
        )


__all__ = ["Schedule", "StagePlan", "nhwc", "schedule"]
