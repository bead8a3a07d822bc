"""Weights that several stages share stay on chip between them: those of a recurrent layer, across its time steps.

Weights are pinned in the order of how often they would be loaded again, as long as every stage that runs meanwhile
still has a mapping in the rest of the weight buffer. A unified scratchpad pins nothing.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from accelc.graph import Graph, Layer
from accelc.schedule.allocate import Life, place
from accelc.schedule.cost import Cost
from accelc.schedule.geometry import Geometry
from accelc.schedule.search import Search, StagePlan
from accelc.schedule.tiling import Tiling, channel_blocks, kernel_cuts, weight_bytes
from accelc.schedule.views import round_up

ALIGN = 64


@dataclass(frozen=True)
class Pins:
    """Per stage where its pinned weights lie (their number, start, bytes), and the bytes before all that is pinned."""

    places: Mapping[int, tuple[int, int, int]] = field(default_factory=dict)
    floors: Mapping[int, int] = field(default_factory=dict)


@dataclass(frozen=True)
class _Shared:
    """Weights that the stages `readers` share, under one mapping for all of them."""

    life: Life
    readers: tuple[int, ...]
    geometry: Geometry
    mapping: tuple[Tiling, Cost]


def pin(
    search: Search, plans: Sequence[StagePlan], floors: Sequence[int], given: Pins
) -> tuple[tuple[StagePlan, ...], Pins]:
    """Return the plans with shared weights pinned; `floors` are the bytes of the activation buffer free per stage.

    While weights are pinned already, as `given`, no others are.
    """
    chosen: list[_Shared] = []
    best, pins = tuple(plans), given
    for shared in [] if search.chip.timing.unified else _candidates(search, plans, floors):
        if any(shared.life.first <= k <= shared.life.last for k in given.floors):
            continue
        found = _arranged(search, plans, floors, [*chosen, shared])
        if found is not None:
            chosen.append(shared)
            best, more = found
            pins = Pins({**given.places, **more.places}, {**given.floors, **more.floors})
    check_pinned(search, best, pins)
    return best, pins


def check_pinned(search: Search, plans: Sequence[StagePlan], pins: Pins) -> None:
    """Raise MappingError if weights that a mapping by hand holds are not held."""
    for k, plan in enumerate(plans):
        if plan.geometry is not None and search.pinned.of(plan.stage).hold_weights and k not in pins.places:
            layer, message = plan.stage.layers[0].name, f"hold_weights = true: {_why_not(search, plan)}"
            raise search.pinned.mapping.error(layer, message)


def _why_not(search: Search, plan: StagePlan) -> str:
    """Return why a stage's weights are not held."""
    g, t, room = plan.geometry, plan.tiling, search.chip.timing.wgt_bytes
    if search.chip.timing.unified:
        return f"chip '{search.chip.name}' holds weights in a buffer of their own only"
    if plan.stage.head is None or g is None or t is None:
        return "the stage has no weights"
    return (
        f"they take {held_bytes(g, t)} bytes of wgt (has {room}), and stages that share them must share the mapping; "
        "these do not fit, or no other stage does"
    )


def held_bytes(g: Geometry, t: Tiling) -> int:
    """Return the bytes of all weight tiles of a stage."""
    tiles = sum(-(-block.depth // min(t.depth, g.group_in)) for block in channel_blocks(g, t.channels))
    return tiles * len(kernel_cuts(g, t)) * round_up(weight_bytes(g, t), ALIGN)


def _candidates(search: Search, plans: Sequence[StagePlan], floors: Sequence[int]) -> list[_Shared]:
    """Return the weights that several stages read in one way, those read most often first."""
    readers: dict[Hashable, list[int]] = {}
    for k, plan in enumerate(plans):
        if plan.stage.head is not None and plan.part is None:
            readers.setdefault((_packed_alike(search.graph, plan.stage.head), plan.geometry), []).append(k)
    found = [_together(search, plans, floors, at) for at in readers.values() if len(at) > 1]
    wanted = {k: search.pinned.of(plan.stage).hold_weights for k, plan in enumerate(plans) if plan.geometry is not None}
    free = [s for s in found if s is not None and all(wanted[k] is not False for k in s.readers)]
    return sorted(
        free, key=lambda s: (not any(wanted[k] for k in s.readers), -len(s.readers), s.life.bytes, s.life.first)
    )


def _packed_alike(graph: Graph, head: Layer) -> Hashable:
    """Return what the bytes of a layer's packed weights and parameters follow from, beside its geometry."""
    scales = [graph.tensors[name].quant for name in (head.inputs[0], head.outputs[0])]
    numbers = tuple(b"" if q is None else q.scale.tobytes() + q.zero_point.tobytes() for q in scales)
    return head.inputs[1:], numbers, graph.tensors[head.outputs[0]].dtype


def _together(
    search: Search, plans: Sequence[StagePlan], floors: Sequence[int], readers: Sequence[int]
) -> _Shared | None:
    """Return the mapping that all readers of some weights can follow with the weights in place."""
    plan = plans[readers[0]]
    assert plan.geometry is not None
    geometry = replace(plan.geometry, held=replace(plan.geometry.held, weights=True))
    mapping = search.choice(plan.stage, geometry, min(floors[k] for k in readers))
    if mapping is None:
        return None
    size = held_bytes(plan.geometry, mapping[0])
    return _Shared(Life("", size, readers[0], readers[-1]), tuple(readers), geometry, mapping)


def _arranged(
    search: Search, plans: Sequence[StagePlan], floors: Sequence[int], chosen: Sequence[_Shared]
) -> tuple[tuple[StagePlan, ...], Pins] | None:
    """Return plans and places with all that is chosen pinned, None if some stage then finds no mapping."""
    room = search.chip.timing.wgt_bytes
    spans = [replace(shared.life, name=str(n)) for n, shared in enumerate(chosen)]
    placement = place(spans)
    if placement.bytes > room:
        return None
    starts = [room - placement.offsets[span.name] - span.bytes for span in spans]
    pinned = {k: n for n, shared in enumerate(chosen) for k in shared.readers}
    made, free = list(plans), {}
    for k, plan in enumerate(plans):
        floor = min((s for s, span in zip(starts, spans, strict=True) if span.first <= k <= span.last), default=room)
        if floor == room or plan.geometry is None:
            continue
        shared = chosen[pinned[k]] if k in pinned else None
        geometry = plan.geometry if shared is None else shared.geometry
        found = search.choice(plan.stage, geometry, floors[k], floor) if shared is None else shared.mapping
        if found is None:
            return None
        free[k], made[k] = floor, StagePlan(plan.stage, geometry, *found)
    return tuple(made), Pins({k: (n, starts[n], spans[n].bytes) for k, n in pinned.items()}, free)
