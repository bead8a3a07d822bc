"""From a quantized graph to a Schedule: stages, the tiling of each, and where tensors lie in DRAM."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from accelc.chip import Chip
from accelc.errors import MappingError, ScheduleError
from accelc.graph import QUANTIZED, Graph, is_wide, nhwc, verify_quantized
from accelc.schedule.abreast import pair_up
from accelc.schedule.allocate import Placement, lives, place
from accelc.schedule.cascade import striped
from accelc.schedule.cost import Cost
from accelc.schedule.decision import Decision, read, recall, remember, written
from accelc.schedule.holding import Holding, check_planned
from accelc.schedule.mapping import Mapping as ByHand
from accelc.schedule.objective import OBJECTIVES, Boxed, objective_of
from accelc.schedule.order import reordered
from accelc.schedule.pinned import Pinned, check_names, check_residency
from accelc.schedule.pinning import Pins, pin
from accelc.schedule.prediction import Prediction, predict
from accelc.schedule.residency import Residency, nothing
from accelc.schedule.search import Search, StagePlan
from accelc.schedule.stages import Stage, prepare
from accelc.schedule.store import key_of, path_of, store_of
from accelc.schedule.views import View


@dataclass(frozen=True, eq=False)
class Schedule:
    """What lowering follows: the graph in machine form, tensor views, stage plans and DRAM placement."""

    graph: Graph
    chip: Chip
    dataflow: str
    views: Mapping[str, View]
    plans: tuple[StagePlan, ...]
    placement: Placement
    residency: Residency
    pins: Pins
    pairs: frozenset[int] = frozenset()  # of two stages that run abreast, the index of the first
    objective: str = "latency"
    known: tuple[Prediction, ...] | None = None  # what was predicted before

    @cached_property
    def expected(self) -> tuple[Prediction, ...]:
        """The prediction of each stage, in the order of the plans."""
        return predict(self) if self.known is None else self.known

    def __str__(self) -> str:
        return "\n".join(_lines(self))


def schedule(
    graph: Graph,
    chip: Chip,
    *,
    objective: str = "latency",
    dataflow: str = "auto",
    residency: bool = True,
    mapping: ByHand | None = None,
) -> Schedule:
    """Return the schedule of a quantized graph; raise ScheduleError for a layer of which no tile fits the chip.

    Without `residency` every map goes to DRAM and comes back, layer by layer. What `mapping` pins is not searched.
    """
    if objective not in OBJECTIVES:
        raise ScheduleError(f"objective '{objective}' is unknown; known: {', '.join(OBJECTIVES)}")
    if dataflow not in ("auto", *chip.array.dataflows):
        offered = ", ".join(chip.array.dataflows)
        raise ScheduleError(f"dataflow '{dataflow}' is not offered by chip '{chip.name}' (auto, {offered})")
    given, pinned = verify_quantized(graph), Pinned(mapping or ByHand())
    graph, views, stages = prepare(given)
    _check_width(graph, chip)
    check_names(pinned.mapping, given, stages)
    check_residency(pinned.mapping, residency)
    dataflows = tuple(chip.array.dataflows) if dataflow == "auto" else (dataflow,)
    search = Search(graph, views, chip, objective, dataflows, pinned)
    path = path_of(f"{chip.fingerprint}-{key_of(given.fingerprint, objective, dataflow, residency, pinned.mapping)}")
    if (known := recall(path)) is not None:
        arranged = read(graph, known.plans), known.residency, known.pins, known.pairs
        return replace(_placed(search, dataflow, arranged), known=known.expected)
    found = _searched(search, dataflow, stages, residency)
    remember(path, Decision(written(graph, found.plans), found.residency, found.pins, found.pairs, found.expected))
    store_of(chip.fingerprint).save()
    return found


def _searched(search: Search, dataflow: str, stages: Sequence[Stage], residency: bool) -> Schedule:
    """Return the schedule of stages that were not scheduled before."""
    plans = tuple(sorted((plan for s in stages for plan in search.best(s)), key=lambda plan: plan.stage.position))
    if residency:
        return _best(search, dataflow, reordered(search, plans))
    check_planned(search, plans)
    return _placed(search, dataflow, (plans, nothing(len(plans), search.chip.timing.act_bytes), Pins(), frozenset()))


_Arranged = tuple[tuple[StagePlan, ...], Residency, Pins, frozenset[int]]
BUS_SHARES = (0.0, 0.5)  # of the time of traffic, that is taken from neighbors


def _best(search: Search, dataflow: str, plans: tuple[StagePlan, ...]) -> Schedule:
    """Return the best of several schedules, each the best of its kind: with room for neighbors to run together or not.

    They are judged by what they are predicted to take. What a mapping by hand asks for need not be possible in all.
    """
    found, refused = list[Schedule](), list[MappingError]()
    for holding, (made, kept) in _held(search, plans):
        try:
            for each in _joined(holding, made, kept):
                found.append(_placed(search, dataflow, each))
        except MappingError as error:
            refused.append(error)
    if not found:
        raise refused[0]
    found = _distinct(found)
    return min(found, key=_judged) if len(found) > 1 else found[0]


def _held(
    search: Search, plans: tuple[StagePlan, ...]
) -> Iterator[tuple[Holding, tuple[tuple[StagePlan, ...], Residency]]]:
    """Yield the choices of maps to hold, each once, with what made it first."""
    seen = []
    for share in BUS_SHARES if search.objective == "latency" else BUS_SHARES[:1]:
        holding = Holding(search, plans, share)
        for choice in holding.choices():
            key = choice[0], tuple(choice[1].places.items())
            if key not in seen:
                seen.append(key)
                yield holding, choice


def _distinct(found: Sequence[Schedule]) -> list[Schedule]:
    """Return the schedules without those that equal one before."""
    keys = [(each.plans, tuple(each.residency.places.items()), each.pairs) for each in found]
    return [each for k, each in enumerate(found) if keys[k] not in keys[:k]]


def _judged(found: Schedule) -> tuple[float, float]:
    """Rank a schedule by a prediction of which little is written out."""
    cycles = sum(each.cycles for each in predict(found, 0))
    moved = sum(plan.cost.dram_bytes for plan in found.plans if plan.cost is not None)
    return objective_of(found.objective, Boxed(found.chip)).rank(Cost(cycles, 0, 0, 0, moved))


def _joined(holding: Holding, plans: tuple[StagePlan, ...], kept: Residency) -> Iterator[_Arranged]:
    """Yield the plans with stages in stripes, weights that stay, and stages abreast."""
    each = striped(holding, plans, kept)
    for made, pins in pin(holding.search, each.plans, each.kept.floors, each.pins):
        paired, pairs = pair_up(holding.search, made, each.kept, pins)
        yield paired, each.kept, pins, pairs


def _placed(search: Search, dataflow: str, arranged: _Arranged) -> Schedule:
    """Return the schedule, maps that are not held in their places in DRAM."""
    (plans, kept, pins, pairs), graph, views = arranged, search.graph, search.views
    spans = lives(graph, views, [plan.stage for plan in plans])
    # What the first stage of a pair reads is read until the second ends.
    spans = [replace(life, last=life.last + (life.last in pairs)) for life in spans]
    placement = place([life for life in spans if not kept.held(life.name)])
    return Schedule(graph, search.chip, dataflow, views, plans, placement, kept, pins, pairs, search.objective)


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


def _lines(plan: Schedule) -> Iterator[str]:
    room, held = plan.placement.bytes, len(plan.residency.places)
    yield f"schedule {plan.graph.name} on {plan.chip.name}, {plan.dataflow}, {room} bytes of activations, {held} held"
    for index, (entry, expected) in enumerate(zip(plan.plans, plan.expected, strict=True)):
        names = " + ".join(layer.name for layer in entry.stage.layers)
        names += ", abreast with the next" if index in plan.pairs else ""
        names += f", stripe {entry.part.stripe + 1} of {entry.part.stripes}" if entry.part is not None else ""
        if entry.tiling is None or entry.cost is None:
            yield f"  {entry.stage.kind} {names}; predicted {expected.cycles} cycles"
            continue
        t, cost = entry.tiling, entry.cost
        order = "weights outer" if t.weights_outer else "map outer"
        images = f" of {t.images} images" if t.images > 1 else ""
        yield (
            f"  {names}: {t.rows}x{t.cols} pixels{images} x {t.channels} channels from {t.depth}, {t.dataflow}, {order}"
            f"{f', {t.split} over {t.shares} cores' if t.shares > 1 else ''}; "
            f"predicted {expected.cycles} cycles, alone {cost.cycles} (mac {cost.mac}, vector {cost.vector}, "
            f"dma {cost.dma}), "
            f"{cost.dram_bytes} bytes"
        )


__all__ = ["Schedule", "StagePlan", "nhwc", "schedule"]
