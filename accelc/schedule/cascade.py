"""Cascades: runs of stages that go depth-first, stripe by stripe, so that the maps between them stay on chip in bands.

Residency holds a map whole or not at all. Where maps are too large for that, a run of stages may work on a stripe of
rows at a time: each stage makes what the next one's stripe needs, and of every map that only the run touches, a band of
rows is on chip. Of all ways to cut a network into runs, the least predicted cost is taken.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import pairwise

from accelc.errors import MappingError
from accelc.graph import ELEMENTWISE
from accelc.isa import by_name
from accelc.schedule.abreast import pairs_of
from accelc.schedule.cost import Cost, cost_of
from accelc.schedule.frames import Frame, other_names, same_map
from accelc.schedule.geometry import Geometry
from accelc.schedule.holding import Holding
from accelc.schedule.mapping import Pin
from accelc.schedule.objective import Boxed
from accelc.schedule.pieces import held_bytes
from accelc.schedule.pinning import Pins
from accelc.schedule.residency import Residency
from accelc.schedule.search import StagePlan, table_bytes
from accelc.schedule.stages import GLOBAL_OPS
from accelc.schedule.stripes import Band, Link, Part, Rows, bands_of, cut_rows, ends_of, reach
from accelc.schedule.tiling import SLACK, Tiling, weight_bytes
from accelc.schedule.transfer import transfer
from accelc.schedule.views import round_up

LONGEST = 10  # stages of a run
COUNTS = (2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64)  # stripes
TRIED = 2  # of these, those that are priced: the fewest that fit, and the next ones
LEAST_GAIN = 0.005  # of a run's cost, that its transfers must make up to be worth a try
ASKED = -1e30  # less than any cost, for a run or a pair that the user asks for


@dataclass(frozen=True)
class Cascade:
    """Stages `first` to `last` in stripes: plans in order, the bands' frames and places, pinned weights."""

    first: int
    last: int
    plans: tuple[StagePlan, ...]
    frames: Mapping[str, Frame]
    places: Mapping[str, int]
    floor: int
    pins: Mapping[int, tuple[int, int]]  # by stage: start and bytes of its weights, loaded once
    wgt_floor: int
    cost: float


class Cascades:
    """The choice of the runs of one network, given the maps held whole."""

    def __init__(self, holding: Holding, plans: Sequence[StagePlan], kept: Residency) -> None:
        self.holding, self.search, self.plans, self.kept = holding, holding.search, plans, kept
        self.views, self.chip = holding.views, holding.search.chip
        self.spans = {life.name: life for life in holding.lives}
        self.weigh = holding.weigh()
        self.whole = [_plain(plan) for plan in plans]
        self.pairs = pairs_of(self.search, plans, kept, Pins())
        self._rows: dict[tuple[int, Rows], tuple[Geometry, Part]] = {}

    def best(self) -> tuple[Cascade, ...]:
        """Return the runs, in order, that lower the cost most; those asked for come before any cost."""
        alone = [0.0 if plan.cost is None else self.weigh(plan.cost) for plan in self.plans]
        best: list[tuple[float, tuple[Cascade, ...]]] = [(0.0, ())]  # from the last stage back
        for k in range(len(self.plans) - 1, -1, -1):
            choices = [(alone[k] + best[-1][0], best[-1][1])]
            if k in self.pairs:
                asked = self.search.pinned.of(self.plans[k].stage).abreast
                pair = sum(self.weigh(plan.cost) for plan in self.pairs[k] if plan.cost is not None)
                cost = ASKED if asked else pair
                choices.append((cost + best[-2][0], best[-2][1]))
            for run in self._from(k):
                cost, after = best[len(self.plans) - 1 - run.last]
                choices.append((run.cost + cost, (run, *after)))
            best.append(min(choices, key=lambda choice: choice[0]))
        return best[-1][1]

    def cut(self, k: int, geometry: Geometry, rows: Rows) -> tuple[Geometry, Part]:
        """Return rows [first, end) of stage k's result: runs that overlap cut many of the same."""
        if (k, rows) not in self._rows:
            self._rows[k, rows] = cut_rows(geometry, rows)
        return self._rows[k, rows]

    def _from(self, k: int) -> Iterator[Cascade]:
        """Yield the cheapest run from stage k to each stage that it may end with."""
        asked = self.search.pinned.of(self.plans[k].stage) if self.whole[k] else None
        if asked is None or asked.stripes == 1:
            return
        for last in range(k + 1, min(k + LONGEST, len(self.plans))):
            if not self.whole[last]:
                return
            ends_here = asked.through == self.plans[last].stage.layers[-1].name
            if asked.through is None or ends_here:
                found = min(self._cut(k, last, asked.stripes), key=lambda run: run.cost, default=None)
                if found is not None:
                    yield replace(found, cost=ASKED) if ends_here else found

    def _cut(self, first: int, last: int, asked: int | None) -> Iterator[Cascade]:
        """Yield a run in the numbers of stripes that are tried."""
        if asked is None and not self._may_gain(first, last):
            return
        run = _Run(self, first, last)
        if not run.bands or not run.legal():
            return
        tried = 0
        for count in COUNTS if asked is None else (asked,):
            found = run.cut(count)
            if found is not None:
                yield found
                tried += 1
            if tried == TRIED:
                return

    def _may_gain(self, first: int, last: int) -> bool:
        """Return whether stages wait for the DRAM: stripes take nothing off the array's and the vector unit's work."""
        costs = [plan.cost for plan in self.plans[first : last + 1] if plan.cost is not None]
        least = sum(self.weigh(Cost(max(cost.mac, cost.vector), 0, 0, 0, 0)) for cost in costs)
        return least < (1 - LEAST_GAIN) * sum(self.weigh(cost) for cost in costs)


def _plain(plan: StagePlan) -> bool:
    """Return whether a stage's rows can be made one stripe after the other."""
    g = plan.geometry
    if g is None or plan.tiling is None or g.batch != 1 or g.folded or g.flattened or g.held.weights or g.raw_output:
        return False
    ops = {step.op for step in plan.stage.steps}
    return not ops & set(GLOBAL_OPS) and (g.pool is None or not ops & set(ELEMENTWISE)) and g.out[0] > 1


def check_asked(cascades: Cascades, found: Sequence[Cascade]) -> None:
    """Raise MappingError if a run that a mapping by hand asks for was not possible."""
    made = {run.first for run in found}
    for k, plan in enumerate(cascades.plans):
        pin = cascades.search.pinned.named(plan.stage)
        if pin.through is not None and k not in made:
            raise _refused(cascades, plan, pin.through)


def _refused(cascades: Cascades, plan: StagePlan, through: str) -> MappingError:
    message = (
        f"through = '{through}': that is no layer that ends one of the {LONGEST - 1} stages that follow, or no map "
        "between lies in bands of rows, or bands and tiles do not fit in act together (has "
        f"{cascades.chip.timing.act_bytes} bytes)"
    )
    return cascades.search.pinned.mapping.error(plan.stage.layers[0].name, message)


_Mapped = tuple[list[Tiling], dict[int, tuple[int, int]], int]
"""A tiling for all stripes of each stage, where weights that stay lie (start, bytes), and the bytes before them."""


class _Run:
    """Stages `first` to `last` of a network, to be cut into stripes."""

    def __init__(self, cascades: Cascades, first: int, last: int) -> None:
        self.of, self.first, self.last = cascades, first, last
        self.plans = cascades.plans[first : last + 1]
        views = cascades.views
        self.out = [views[plan.stage.output].region for plan in self.plans]
        self.read = [
            {views[n].region for n in (plan.stage.source, *other_names(plan.stage)) if n in views}
            for plan in self.plans
        ]
        self.bands = [name for name in dict.fromkeys(self.out) if self._is_inner(name)]
        self.floor = min(cascades.kept.floors[first : last + 1])
        self.links = [
            Link(plan.geometry, tuple(r for r, read in enumerate(self.read) if self.out[k] in read))
            for k, plan in enumerate(self.plans)
            if plan.geometry is not None
        ]

    def _is_inner(self, name: str) -> bool:
        """Return whether a map is made and read within the run alone, and may lie in bands."""
        span, frame = self.of.spans[name], self.of.holding.frames.get(name)
        inside = self.first <= span.first and span.last <= self.last and any(name in read for read in self.read)
        if name in self.of.holding.barred and self.of.search.pinned.named(self.plans[0].stage).through is None:
            return False  # it is to lie in DRAM
        return inside and frame is not None and not self.of.kept.held(name) and frame.owner.extents[0] == 1

    def legal(self) -> bool:
        """Return whether a row of every map made and read here is one to all, and no two held maps share bytes."""
        views = self.of.views
        both = {name for name in self.out if any(name in read for read in self.read)}
        for plan in self.plans:
            for name in (plan.stage.source, plan.stage.output, *other_names(plan.stage)):
                if name in views and views[name].region in both:
                    owner = views[views[name].region]
                    if not same_map(views[name], owner):
                        return False
        return not self._share_bytes({*self.out, *(name for read in self.read for name in read)})

    def _share_bytes(self, names: set[str]) -> bool:
        kept = self.of.kept
        spans = sorted((kept.places[n], kept.places[n] + kept.frames[n].bytes) for n in names if kept.held(n))
        return any(start < end for (_, end), (start, _) in pairwise(spans))

    def cut(self, count: int) -> Cascade | None:
        """Return the run in `count` stripes, None if it is not possible."""
        if self._least_bytes(count) >= self.floor:
            return None
        links = self.links
        ends = ends_of(links, count) if count <= min(link.geometry.out[0] for link in links) else None
        if ends is None or not all(_reads_cells(link.geometry, each) for link, each in zip(links, ends, strict=True)):
            return None
        found = {name: bands_of(links, ends, self.out.index(name)) for name in self.bands}
        bands = {name: each for name, each in found.items() if each is not None}
        return self._planned(ends, bands) if len(bands) == len(found) else None

    def _least_bytes(self, count: int) -> int:
        """Return what all bands take at the least: some stripe makes an equal share of a map's rows, or more."""
        heights = {name: self.links[self.out.index(name)].geometry.out[0] for name in self.bands}
        return sum(-(-height // count) * self.of.holding.frames[name].row for name, height in heights.items())

    def _planned(self, ends: Sequence[Sequence[int]], bands: Mapping[str, list[Band]]) -> Cascade | None:
        frames = {name: _frame(self.of.holding.frames[name], each) for name, each in bands.items()}
        floor = self.floor - sum(frame.bytes for frame in frames.values())
        if floor <= 0:
            return None
        stripes = [self._stripes(k, each) for k, each in enumerate(ends)]
        chosen = self._mapped(stripes, floor)
        if chosen is None:
            return None
        mappings, pins, wgt_floor = chosen
        stripes = [_weights_held(each) if k in pins else each for k, each in enumerate(stripes)]
        at, places = floor, {}
        for name, frame in frames.items():
            places[name], at = at, at + frame.bytes
        loads = {k: size for k, (_, size) in pins.items()}
        parts = list(self._parts(stripes, mappings, {n: (frames[n], each) for n, each in bands.items()}, loads))
        cost = sum(self.of.weigh(plan.cost) for plan in parts if plan.cost is not None)
        return Cascade(self.first, self.last, tuple(parts), frames, places, floor, pins, wgt_floor, cost)

    def _stripes(self, k: int, ends: Sequence[int]) -> dict[int, tuple[Geometry, Part]]:
        """Return the geometry of each stripe of a stage that has rows, with the maps on chip held."""
        geometry = self.plans[k].geometry
        assert geometry is not None
        held = self.of.holding.held_of(self.first + k, frozenset((*self.of.kept.places, *self.bands)))
        through, found = self.plans[-1].stage.layers[-1].name, {}
        for stripe, rows in enumerate(pairwise((0, *ends))):
            if rows[0] < rows[1]:
                cut, part = self.of.cut(self.first + k, geometry, rows)
                part = replace(part, stripe=stripe, stripes=len(ends), through=through)
                found[stripe] = replace(cut, held=held), part
        return found

    def _mapped(self, stripes: Sequence[Mapping[int, tuple[Geometry, Part]]], room: int) -> _Mapped | None:
        """Return the mappings with as many weights on chip as may stay, or if these do not fit with none."""
        highest = [max((g for g, _ in each.values()), key=lambda g: (g.out[0], g.source[0])) for each in stripes]
        wgt = self.of.chip.timing.wgt_bytes
        heads = [] if self.of.chip.timing.unified else [k for k, g in enumerate(highest) if g.has_head]
        every = self._weights(heads)
        share = wgt if sum(every.values()) <= wgt * 3 // 4 else wgt // 2
        stay, left = set[int](), share
        for k in sorted(heads, key=lambda k: every[k]):
            if every[k] > left:
                break
            stay.add(k)
            left -= every[k]
        found = self._with(highest, room, stay, None if len(stay) == len(heads) or not stay else wgt - share)
        return found if found is not None or not stay else self._with(highest, room, set(), None)

    def _with(self, highest: Sequence[Geometry], room: int, stay: set[int], wgt_room: int | None) -> _Mapped | None:
        """Return the mappings if the weights of the stages `stay` do."""
        found, pins, start = [], dict[int, tuple[int, int]](), self.of.chip.timing.wgt_bytes
        for k, g in enumerate(highest):
            held = replace(g, held=replace(g.held, weights=True)) if k in stay else g
            tiling = self._tiling(k, held, room, wgt_room)
            if tiling is None:
                return None
            found.append(tiling)
            if k in stay:
                size = held_bytes(g, tiling)
                start -= size
                pins[k] = start, size
        return (found, pins, start) if start > 0 and self._fit(found, highest, stay, start) else None

    def _weights(self, heads: Sequence[int]) -> dict[int, int]:
        """Return the bytes that the weights of each head take in one tile."""
        found = {}
        for k in heads:
            g = self.plans[k].geometry
            assert g is not None
            found[k] = weight_bytes(g, Tiling(1, 1, g.mid[2], g.group_in, True, "", g.conv[0].kernel))
        return found

    def _tiling(self, k: int, g: Geometry, room: int, wgt_room: int | None) -> Tiling | None:
        stage = self.plans[k].stage
        if (self.of.search.pinned.of(stage).rows or 1) > g.out[0]:
            return None
        alone = self.plans[k].tiling
        assert alone is not None
        default = Pin(dataflow=alone.dataflow if g.has_head else None, slots=alone.slots)  # type: ignore[arg-type]
        found = self.of.search.choices(stage, g, wgt_room, default).within(room)
        return None if found is None else found[0]

    def _fit(self, tilings: Sequence[Tiling], geometries: Sequence[Geometry], stay: set[int], floor: int) -> bool:
        """Return whether weight tiles and tables of each stage fit beside the weights that stay."""
        for k, (t, g) in enumerate(zip(tilings, geometries, strict=True)):
            shared, each = table_bytes(self.of.search.graph, self.plans[k].stage)
            own = 0 if k in stay else t.slots * round_up(weight_bytes(g, t), SLACK)
            if own + round_up(shared + each * t.channels, SLACK) > floor:
                return False
        return True

    def _parts(
        self,
        stripes: Sequence[Mapping[int, tuple[Geometry, Part]]],
        tilings: Sequence[Tiling],
        bands: Mapping[str, tuple[Frame, list[Band]]],
        loads: Mapping[int, int],
    ) -> Iterator[StagePlan]:
        """Yield the stripes of the stages in the order in which they run; the first load weights that stay, `loads`."""
        known: dict[tuple[int, Geometry], Cost] = {}
        moves = Counter[str]()
        for stripe in range(max(max(each) for each in stripes) + 1):
            here = {name: each[stripe] for name, (_, each) in bands.items()}
            for k, each in enumerate(stripes):
                if stripe not in each:
                    continue
                g, part = each[stripe]
                if (k, g) not in known:
                    known[k, g] = _cost(g, tilings[k], Boxed(self.of.chip))
                cost = known[k, g]
                if k in loads and stripe == min(each):
                    cost = self._with_load(cost, loads[k])
                name = self.out[k]
                if name in here and moves[name] < stripe:
                    moves[name] = stripe
                    cost = self._with_move(cost, bands[name][0], here[name])
                mine = {n: band for n, band in here.items() if n == name or n in self.read[k]}
                yield StagePlan(self.plans[k].stage, g, tilings[k], cost, replace(part, bands=mine))

    def _with_load(self, cost: Cost, size: int) -> Cost:
        """Return a cost with the transfer of weights that stay; stages before hide its time."""
        cycles = transfer(self.of.chip.timing, 1, size).cycles
        return replace(cost, dma=cost.dma + cycles, dram_bytes=cost.dram_bytes + size)

    def _with_move(self, cost: Cost, frame: Frame, band: Band) -> Cost:
        """Return a cost with that of moving the rows that stay to the start of the band."""
        taken = sum(sum(move_cycles(self.of.chip.timing, frame, rows)) for rows in moves_of(band))
        return replace(cost, cycles=cost.cycles + taken, vector=cost.vector + taken)


@lru_cache(maxsize=8192)
def _cost(g: Geometry, t: Tiling, box: Boxed) -> Cost:
    """Return the cost of a stripe: runs that overlap ask for many of the same."""
    return cost_of(g, t, box.chip)


def _reads_cells(g: Geometry, ends: Sequence[int]) -> bool:
    """Return whether no stripe of a stage lies wholly in the padding."""
    return all(reach(g, rows) is not None for rows in pairwise((0, *ends)) if rows[0] < rows[1])


def _weights_held(stripes: Mapping[int, tuple[Geometry, Part]]) -> dict[int, tuple[Geometry, Part]]:
    return {n: (replace(g, held=replace(g.held, weights=True)), part) for n, (g, part) in stripes.items()}


def moves_of(band: Band) -> Iterator[Rows]:
    """Yield the rows [first, end) of the band, as it lay, to move `band.first - band.before` rows up, in order.

    What moves at once does not overlap where it goes to.
    """
    if band.before is None or band.first == band.before:
        return
    step = band.first - band.before
    for row in range(step, band.made - band.before, step):
        yield row, min(row + step, band.made - band.before)


def move_cycles(timing: object, frame: Frame, rows: Rows) -> tuple[int, int, int]:
    """Return the vector unit's cycles to move rows of a band."""
    cells, n = frame.row // frame.owner.pitch, frame.owner.pitch // frame.owner.element_bytes
    clause = by_name("max_pool16" if frame.owner.element_bytes == 2 else "max_pool").clauses["cycles"]
    found: tuple[int, int, int] = clause(timing, rows=rows[1] - rows[0], cols=cells, kernel_y=1, kernel_x=1, n=n)
    return found


def _frame(frame: Frame, bands: Sequence[Band]) -> Frame:
    """Return the frame of a map's band: rows of padding are rows of it."""
    n, _, w, c = frame.owner.extents
    height = max(band.end - band.first for band in bands)
    owner = replace(frame.owner, extents=(n, height, w, c))
    made = replace(frame, owner=owner, halo=(0, frame.halo[1], 0, frame.halo[3]))
    return replace(made, bytes=round_up(height * made.row + SLACK, SLACK))


@dataclass(frozen=True)
class Striped:
    """A network's plans with its cascades in place; `pins` are those of the cascades."""

    plans: tuple[StagePlan, ...]
    kept: Residency
    pins: Pins


def striped(holding: Holding, plans: Sequence[StagePlan], kept: Residency) -> Striped:
    """Return the plans with each cascade's stripes in the place of its stages."""
    cascades = Cascades(holding, plans, kept)
    found = cascades.best()
    check_asked(cascades, found)
    made, floors = list[StagePlan](), list[int]()
    places, free = dict[int, tuple[int, int, int]](), dict[int, int]()
    starts = {run.first: run for run in found}
    k = 0
    while k < len(plans):
        run = starts.get(k)
        if run is None:
            made.append(plans[k])
            floors.append(kept.floors[k])
            k += 1
            continue
        for plan in run.plans:
            stage = next(j for j in range(run.first, run.last + 1) if plans[j].stage is plan.stage) - run.first
            if stage in run.pins:
                places[len(made)] = (-1 - run.first - stage, *run.pins[stage])
            if run.pins:
                free[len(made)] = run.wgt_floor
            made.append(plan)
            floors.append(run.floor)
        k = run.last + 1
    kept = replace(
        kept,
        frames={**kept.frames, **{n: f for run in found for n, f in run.frames.items()}},
        places={**kept.places, **{n: at for run in found for n, at in run.places.items()}},
        turns={**kept.turns, **{n: n for run in found for n in run.places}},
        floors=tuple(floors),
    )
    return Striped(tuple(made), kept, Pins(places, free))


__all__ = ["Cascade", "Cascades", "Striped", "striped"]
