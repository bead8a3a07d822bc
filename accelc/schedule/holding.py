"""Which maps of a network stay on chip: the choice of `residency`, priced by the mappings of each stage."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import replace

from accelc.errors import ScheduleError
from accelc.graph import ELEMENTWISE
from accelc.schedule.allocate import Life, lives
from accelc.schedule.cost import Cost
from accelc.schedule.frames import Frame, frames_of, other_names
from accelc.schedule.geometry import Held
from accelc.schedule.objective import Boxed, Weigh, objective_of
from accelc.schedule.options import Choices
from accelc.schedule.order import beside
from accelc.schedule.residency import Map, NoChoiceError, Residency, arrange, choose, maps_of, nothing
from accelc.schedule.search import Search, StagePlan
from accelc.schedule.tiling import SLACK, Tiling
from accelc.schedule.views import round_up


def _widened(life: Life, beside: frozenset[int]) -> Life:
    """Return the life of a map that a stage and the next may not use in turn if they run together."""
    return replace(life, first=life.first - (life.first - 1 in beside), last=life.last + (life.last in beside))


class Holding:
    """The choice of the maps that stay on chip between the stages of one network."""

    def __init__(self, search: Search, plans: Sequence[StagePlan], bus_share: float = 0.0) -> None:
        self.bus_share = bus_share
        self.search, self.plans = search, plans
        self.graph, self.views, self.room = search.graph, search.views, search.chip.timing.act_bytes
        stages = [plan.stage for plan in plans]
        self.lives = lives(self.graph, self.views, stages)
        judged = frames_of(self.graph, self.views, stages, [plan.geometry for plan in plans], self.lives)
        self.frames = {name: frame for name, frame in judged.items() if isinstance(frame, Frame)}
        self.must, self.barred = self._asked(judged)
        self.asked_at = self._asked_at()
        self._known: dict[tuple[int, Held], Choices] = {}

    def choices(self) -> list[tuple[tuple[StagePlan, ...], Residency]]:
        """Return plans and residency of the best choice, and of the best with room for neighbors to run together."""
        found = [self._best(frozenset())]
        check_planned(self.search, found[0][0])
        for together in (beside(self.search, self.plans), self._beside(found[0][1])):
            with contextlib.suppress(ScheduleError):
                found += [self._best(together)] if together else []
        return found

    def _best(self, beside: frozenset[int]) -> tuple[tuple[StagePlan, ...], Residency]:
        """Return the best choice if each stage of `beside` may run together with the next."""
        maps = maps_of(self.frames, [_widened(life, beside) for life in self.lives], self._overwrites())
        maps = [m for m in maps if m.name not in self.barred]
        every = len(maps)
        while maps:
            held, exact = self._choose(maps)
            found = self._arranged(held, exact=exact and len(maps) == every)
            if not isinstance(found, int):
                return found
            # Gaps between places leave too little room at a stage: the largest map alive there goes to DRAM.
            alive = [m for m in held if m.first <= found <= m.last and m.name not in self.must]
            if not alive:
                raise ScheduleError(self._crowded(found, held))
            maps = [m for m in maps if m != max(alive, key=lambda m: (m.bytes, m.last - m.first, m.name))]
        return tuple(self.plans), nothing(len(self.plans), self.room)

    def _arranged(self, held: Sequence[Map], *, exact: bool) -> tuple[tuple[StagePlan, ...], Residency] | int:
        """Return the maps in their places with the plans in the room that is left, or a stage that finds too little."""
        kept = arrange(held, self.frames, len(self.plans), self.room, exact, self.asked_at)
        if isinstance(kept, int):
            return kept
        kept = replace(kept, floors=self._floors(kept))
        plans, crowded = self._plans(kept)
        return (plans, kept) if crowded is None else crowded

    def _beside(self, kept: Residency) -> frozenset[int]:
        """Return the stages that had better run together with the next: they hide its work, or pass a map in bands."""
        regions = [self.views[plan.stage.output].region for plan in self.plans]
        apart = {k for k, name in enumerate(regions) if name in self.frames and not kept.held(name)}
        return beside(self.search, self.plans) | apart

    def _floors(self, kept: Residency) -> tuple[int, ...]:
        """Return for each stage where the first map that is alive there lies, however much longer it was given."""
        alive = [life for life in self.lives if kept.held(life.name)]
        return tuple(
            min((kept.places[life.name] for life in alive if life.first <= k <= life.last), default=self.room)
            for k in range(len(self.plans))
        )

    def _choose(self, maps: Sequence[Map]) -> tuple[list[Map], bool]:
        """Return the maps to hold; raise ScheduleError naming the stage that then finds no mapping."""
        try:
            return choose(maps, len(self.plans), self.room, self._price, self.weigh(), self.must)
        except NoChoiceError as stuck:
            plan = self.plans[stuck.stage]
            if plan.tiling is None:
                raise self.search.no_tile(plan) from None
            raise ScheduleError(self._no_room(stuck.stage, stuck.maps)) from None

    def _asked(self, judged: Mapping[str, Frame | str]) -> tuple[frozenset[str], frozenset[str]]:
        """Return the regions that must be held and those that must not; raise MappingError for one that cannot be."""
        said: dict[str, tuple[bool, str]] = {}
        stages = [plan.stage for plan in self.plans if plan.geometry is not None]
        for stage in stages:
            region, hold = self.views[stage.output].region, self.search.pinned.named(stage).hold
            layer = stage.layers[-1].name
            if hold is None:
                continue
            if said.setdefault(region, (hold, layer))[0] != hold:
                other = said[region][1]
                raise self._error(layer, f"hold: '{other}' writes the same map and says otherwise")
            if hold and (why := self._why_not(judged[region])):
                raise self._error(layer, f"hold = true: map '{stage.output}' cannot be held: {why}")
        must = frozenset(name for name, (hold, _) in said.items() if hold)
        rest = [self.views[stage.output].region for stage in stages if self.search.pinned.of(stage).hold is False]
        return must, frozenset((*said, *rest)) - must

    def _asked_at(self) -> dict[str, int]:
        """Return the places that a mapping by hand gives to maps; raise MappingError where it gives one map two."""
        found: dict[str, int] = {}
        for plan in self.plans:
            region, at = self.views[plan.stage.output].region, self.search.pinned.named(plan.stage).at
            layer = plan.stage.layers[-1].name
            if at is not None and at % SLACK:
                raise self._error(layer, f"at = {at}: a multiple of {SLACK} would work")
            if at is not None and found.setdefault(region, at) != at:
                raise self._error(layer, f"at = {at}: the same map has at = {found[region]} elsewhere")
        return found

    def _error(self, layer: str, message: str) -> ScheduleError:
        return self.search.pinned.mapping.error(layer, message)

    def _why_not(self, frame: Frame | str) -> str:
        """Return why a map cannot be held, nothing if it can."""
        if isinstance(frame, str):
            return frame
        return "" if frame.bytes <= self.room else f"it needs {frame.bytes} bytes of act (has {self.room})"

    def _no_room(self, k: int, names: frozenset[str]) -> str:
        """Return the message that the maps held by hand leave a stage too little room."""
        stage, held = self.plans[k].stage, ", ".join(f"'{n}' ({self.frames[n].bytes} bytes)" for n in sorted(names))
        geometry = self.plans[k].geometry
        least = ""
        if geometry is not None:
            rooms = self.search.choices(stage, replace(geometry, held=self.held_of(k, names))).rooms
            least = f"; its smallest tile needs {rooms[0]} bytes of act beside them (has {self.room})" if rooms else ""
        return f"layer '{stage.layers[0].name}': no tile fits beside the maps held by hand: {held}{least}"

    def _crowded(self, k: int, held: Sequence[Map]) -> str:
        """Return the message that the maps held by hand leave gaps in the buffer that a stage's tiles do not fit in."""
        stage = self.plans[k].stage
        alive = ", ".join(f"'{m.name}' ({m.bytes} bytes)" for m in held if m.first <= k <= m.last)
        what = f"the maps held by hand leave gaps in act ({self.room} bytes) that no tile fits in: {alive}"
        return f"layer '{stage.layers[0].name}': {what}"

    def weigh(self) -> Weigh:
        """Return a cost as one number that adds up over stages."""
        costs = [plan.cost for plan in self.plans if plan.cost is not None]
        whole = Cost(sum(c.alone for c in costs), 0, 0, 0, sum(c.dram_bytes for c in costs))
        return objective_of(self.search.objective, Boxed(self.search.chip)).weigh(whole, self.bus_share)

    def _price(self, k: int, names: frozenset[str], taken: int) -> Cost | None:
        if self.plans[k].geometry is None:
            return Cost(0, 0, 0, 0, 0)
        found = self._mapping(k, self.held_of(k, names), self.room - taken)
        return None if found is None else found[1]

    def _mapping(self, k: int, held: Held, room: int) -> tuple[Tiling, Cost] | None:
        if (k, held) not in self._known:
            geometry = self.plans[k].geometry
            assert geometry is not None
            self._known[k, held] = self.search.choices(self.plans[k].stage, replace(geometry, held=held))
        return self._known[k, held].within(room)

    def held_of(self, k: int, names: frozenset[str] | Mapping[str, object]) -> Held:
        """Return which tensors of stage k are on chip if the regions `names` are."""
        stage, geometry = self.plans[k].stage, self.plans[k].geometry
        assert geometry is not None
        source, out = self.views[stage.source], self.views[stage.output]
        others = [n in self.views and self.views[n].region in names for n in other_names(stage)]
        near = [self.views[n] for n, held in zip(other_names(stage), others, strict=True) if held]
        near += [out] + [source] * (stage.head is None)
        return Held(
            source=source.region in names,
            whole_pixel=geometry.flattened or source.pitch == round_up(source.extents[3] * source.element_bytes, 4),
            out=out.region in names,
            others=tuple(others) if any(others) else (),
            gaps=any(v.region in names and sum(self.frames[v.region].halo[1::2]) > 0 for v in near),
            weights=geometry.held.weights,
        )

    def _overwrites(self) -> dict[str, str]:
        """Return for sums and products the operand in whose place they may be made: nobody reads it later."""
        span = {life.name: life for life in self.lives}
        found = {}
        for k, plan in enumerate(self.plans):
            if plan.stage.kind != "tile" or plan.stage.layers[-1].op not in ELEMENTWISE:
                continue
            name, other = plan.stage.output, other_names(plan.stage)[-1]
            apart = other in self.views and self.views[other].region != self.views[plan.stage.source].region
            whole = apart and self.views[name].region == name and self.views[other].region == other
            if whole and span[other].last == k and span[name].first == k:
                found[name] = other
        return found

    def _plans(self, kept: Residency) -> tuple[tuple[StagePlan, ...], int | None]:
        """Return the plan of each stage in the room that the arrangement leaves, and the first that fits nowhere."""
        made = []
        for k, plan in enumerate(self.plans):
            if plan.geometry is None:
                made.append(plan)
                continue
            held = self.held_of(k, kept.places)
            found = self._mapping(k, held, kept.floors[k])
            if found is None:
                return (), k
            made.append(StagePlan(plan.stage, replace(plan.geometry, held=held), *found))
        return tuple(made), None


def check_planned(search: Search, plans: Sequence[StagePlan]) -> None:
    """Raise ScheduleError if a stage still waits for a tile that fits."""
    for plan in plans:
        if plan.geometry is not None and plan.tiling is None:
            raise search.no_tile(plan)
