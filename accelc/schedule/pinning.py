"""Weights that several stages share stay on chip between them: those of a recurrent layer, across its time steps.

Weights are pinned in the order of how often they would be loaded again, as long as every stage that runs meanwhile
still has a mapping in the rest of the weight buffer. Of weights that do not fit, some tiles are pinned where that costs
less, and each stage loads the others. A unified scratchpad pins nothing.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from accelc.graph import Graph, Layer
from accelc.schedule.allocate import Life, place
from accelc.schedule.cost import Cost
from accelc.schedule.geometry import Geometry
from accelc.schedule.mapping import toml_value
from accelc.schedule.partly import parts, slots_bytes
from accelc.schedule.pieces import held_bytes, staying
from accelc.schedule.search import Search, StagePlan
from accelc.schedule.tiling import Tiling

Plans = tuple[StagePlan, ...]
COARSER = 2  # how often the channels of a tile are doubled


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
) -> Iterator[tuple[Plans, Pins]]:
    """Yield the plans with shared weights pinned; `floors` are the bytes of the activation buffer free per stage.

    While weights are pinned already, as `given`, no others are. Where a part of some weights is pinned, the same with
    larger tiles follows: what it costs that each tile's loads and stores meet, only a prediction can tell.
    """
    for coarser in range(COARSER + 1):
        work = _Pinning(search, tuple(plans), floors, given)
        if not search.chip.timing.unified:
            work.pin_wholes()
            work.pin_parts(coarser)
        check_pinned(search, work.made, work.pins)
        yield work.made, work.pins
        if not work.in_part:
            return


class _Pinning:
    """Pins one shared set of weights after the other; `made` and `pins` are what that has led to."""

    def __init__(self, search: Search, plans: Plans, floors: Sequence[int], given: Pins) -> None:
        self.search, self.plans, self.floors, self.given = search, plans, floors, given
        self.made, self.pins, self._chosen = plans, given, list[_Shared]()
        self.in_part = False
        self._free = [at for at in _alike(search.graph, plans) if not any(at[0] <= k <= at[-1] for k in given.floors)]

    def pin_wholes(self) -> None:
        """Pin weights that fit with all their tiles."""
        found = [self._whole(at) for at in self._free if self._asked(at) is None or self._asked(at) is True]
        for shared in sorted((s for s in found if s is not None), key=self._order):
            self._add(shared, must=True)

    def pin_parts(self, coarser: int) -> None:
        """Pin some tiles of weights that are not pinned, with `coarser` times doubled channels where possible."""
        free = [at for at in self._free if not isinstance(self._asked(at), bool)]
        left = [at for at in free if at[0] not in self.pins.places]
        for at in sorted(left, key=lambda at: (self._asked(at) is None, -len(at), at[0])):
            must = self._asked(at) is not None
            self.in_part |= any(self._add(shared, must=must) for shared in self._parts(at, coarser))

    def _asked(self, readers: Sequence[int]) -> bool | int | None:
        """Return what a mapping by hand says of weights: False by one of their readers is said for all."""
        said = [self.search.pinned.of(self.plans[k].stage).hold_weights for k in readers]
        return False if any(each is False for each in said) else next((each for each in said if each is not None), None)

    def _order(self, shared: _Shared) -> tuple[bool, int, int, int]:
        return self._asked(shared.readers) is None, -len(shared.readers), shared.life.bytes, shared.life.first

    def _whole(self, readers: tuple[int, ...]) -> _Shared | None:
        """Return the mapping that all readers of some weights can follow with the weights in place."""
        plan = self.plans[readers[0]]
        assert plan.geometry is not None
        geometry = replace(plan.geometry, held=replace(plan.geometry.held, weights=True))
        mapping = self.search.choice(plan.stage, geometry, min(self.floors[k] for k in readers))
        if mapping is None:
            return None
        size = held_bytes(plan.geometry, mapping[0])
        return _Shared(Life("", size, readers[0], readers[-1]), readers, geometry, mapping)

    def _parts(self, readers: tuple[int, ...], coarser: int) -> Iterator[_Shared]:
        """Yield the mappings that all readers of some weights can follow with a part of the weights in place."""
        plan, asked, most = self.made[readers[0]], self._asked(readers), self.search.chip.timing.wgt_bytes
        assert plan.geometry is not None
        room = min(self.pins.floors.get(k, most) for k in range(readers[0], readers[-1] + 1))
        found = parts(self.search, plan, min(self.floors[k] for k in readers), room, asked)
        # Those of large tiles first, each in the order of their costs.
        for part in sorted(found, key=lambda part: part.tiling.channels < found[0].tiling.channels << coarser):
            life = Life("", part.bytes, readers[0], readers[-1])
            yield _Shared(life, readers, plan.geometry, (part.tiling, part.cost))

    def _add(self, shared: _Shared, *, must: bool) -> bool:
        """Pin more weights if all stages then find a mapping and, unless they must be, cost less; say whether."""
        found = _arranged(self.search, self.plans, self.floors, [*self._chosen, shared])
        if found is None or (not must and self.search.rank(found[0]) >= self.search.rank(self.made)):
            return False
        self._chosen.append(shared)
        self.made, more = found
        self.pins = Pins({**self.given.places, **more.places}, {**self.given.floors, **more.floors})
        return True


def check_pinned(search: Search, plans: Sequence[StagePlan], pins: Pins) -> None:
    """Raise MappingError if weights that a mapping by hand holds are not held."""
    for k, plan in enumerate(plans):
        asked = search.pinned.of(plan.stage).hold_weights if plan.geometry is not None else None
        if not asked:
            continue
        if k not in pins.places or (asked is not True and asked != staying_tiles(pins, k, plan)):
            layer, message = plan.stage.layers[0].name, f"hold_weights = {toml_value(asked)}: {_why_not(search, plan)}"
            raise search.pinned.mapping.error(layer, message)


def staying_tiles(pins: Pins, k: int, plan: StagePlan) -> int:
    """Return how many weight tiles of stage k stay on chip."""
    if k not in pins.places or plan.geometry is None or plan.tiling is None:
        return 0
    return len(staying(plan.geometry, plan.tiling, pins.places[k][2]))


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


def _alike(graph: Graph, plans: Sequence[StagePlan]) -> list[tuple[int, ...]]:
    """Return for weights that several stages read in one way those stages."""
    readers: dict[Hashable, list[int]] = {}
    for k, plan in enumerate(plans):
        if plan.stage.head is not None and plan.part is None:
            readers.setdefault((_packed_alike(graph, plan.stage.head), plan.geometry), []).append(k)
    return [tuple(at) for at in readers.values() if len(at) > 1]


def _packed_alike(graph: Graph, head: Layer) -> Hashable:
    """Return what the bytes of a layer's packed weights and parameters follow from, beside its geometry."""
    scales = [graph.tensors[name].quant for name in (head.inputs[0], head.outputs[0])]
    numbers = tuple(b"" if q is None else q.scale.tobytes() + q.zero_point.tobytes() for q in scales)
    return head.inputs[1:], numbers, graph.tensors[head.outputs[0]].dtype


def _arranged(
    search: Search, plans: Sequence[StagePlan], floors: Sequence[int], chosen: Sequence[_Shared]
) -> tuple[Plans, Pins] | None:
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
        if found is None or slots_bytes(search, plan.stage, geometry, found[0]) > floor:
            return None
        free[k], made[k] = floor, StagePlan(plan.stage, geometry, *found)
    return tuple(made), Pins({k: (n, starts[n], spans[n].bytes) for k, n in pinned.items()}, free)
