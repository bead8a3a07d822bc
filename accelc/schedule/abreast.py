"""Pairs of neighboring stages that run abreast: their tiles take turns, so that one's transfers hide under the other.

Two stages in a row may run abreast if neither reads what the other writes, or if the second reads the first's result
alone, which is held on chip, a band of rows behind. Both sets of tiles then share the buffers, and the pair takes what
the engines take together, not stage by stage.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise, product

from accelc.errors import MappingError
from accelc.graph import Graph
from accelc.schedule.beside import host_of
from accelc.schedule.cost import Cost, block_counts
from accelc.schedule.frames import other_names
from accelc.schedule.mapping import Pin
from accelc.schedule.options import Tables
from accelc.schedule.pinning import Pins
from accelc.schedule.residency import Residency
from accelc.schedule.search import Search, StagePlan, table_bytes
from accelc.schedule.tiling import SLACK, footprint
from accelc.schedule.views import View, round_up

LEAST_GAIN = 0.08  # of the two stages' cycles; less is too unsure, as units of a pair also wait for each other
ASKED = 1 << 60  # cycles: more than any gain, for a pair that the user asks for
SHARES = (1, 2, 3)  # quarters of the room that the first stage gets
BANDS = (1, 2, 4)  # rows that both may take at a time


@dataclass(frozen=True)
class _Room:
    act: int
    wgt: int


def pair_up(
    search: Search, plans: Sequence[StagePlan], kept: Residency, pins: Pins
) -> tuple[tuple[StagePlan, ...], frozenset[int]]:
    """Return the plans with those of pairs chosen anew, and the index of the first stage of each pair.

    A stage is in one pair at most; the pairs chosen gain the most cycles together. Raises MappingError for a pair that
    is asked for and cannot be.
    """
    found = pairs_of(search, plans, kept, pins)
    gains = {k: _alone(plans[k : k + 2]) - _alone(pair) for k, pair in found.items()}
    gains |= {k: ASKED for k in gains if _asked(search, plans[k])}
    made, chosen = list(plans), _apart(gains, len(plans))
    for k, plan in enumerate(plans):
        if _asked(search, plan) and k not in chosen:
            raise _refused(search, plan)
    for k in chosen:
        made[k : k + 2] = found[k]
    return tuple(made), frozenset(chosen)


def pairs_of(
    search: Search, plans: Sequence[StagePlan], kept: Residency, pins: Pins
) -> dict[int, tuple[StagePlan, StagePlan]]:
    """Return by the index of the first stage the plans of each two that may run abreast, and had better."""
    found = {k: _pair(search, *pair, k, kept, pins) for k, pair in enumerate(pairwise(plans))}
    return {k: _shared(pair) for k, pair in found.items() if pair is not None}


def _shared(pair: tuple[StagePlan, StagePlan]) -> tuple[StagePlan, StagePlan]:
    """Return the plans of a pair with its predicted cycles shared out as those of the stages alone."""
    (a, b), total, alone = pair, _cycles(pair), _alone(pair)
    assert a.cost is not None
    assert b.cost is not None
    first = total * a.cost.cycles // alone
    return replace(a, cost=replace(a.cost, cycles=first)), replace(b, cost=replace(b.cost, cycles=total - first))


def _asked(search: Search, plan: StagePlan) -> bool | None:
    """Return whether a stage is to run beside the next, None if that is free."""
    return None if plan.tiling is None else search.pinned.of(plan.stage).abreast


def _refused(search: Search, plan: StagePlan) -> MappingError:
    message = "abreast = true: its tiles and the next stage's cannot take turns, or do not fit side by side"
    return search.pinned.mapping.error(plan.stage.layers[0].name, message)


def _apart(gains: Mapping[int, int], count: int) -> list[int]:
    """Return the indices, no two of them neighbors, whose gains add up to the most."""
    best: list[tuple[int, list[int]]] = [(0, []), (0, [])]  # from stage k on, and from k + 1 on
    for k in range(count - 1, -1, -1):
        without, after = best
        taken = (gains[k] + after[0], [k, *after[1]]) if k in gains else (0, list[int]())
        best = [max(taken, without, key=lambda entry: entry[0]), without]
    return best[0][1]


def _alone(plans: Sequence[StagePlan]) -> int:
    return sum(plan.cost.cycles for plan in plans if plan.cost is not None)


def _pair(
    search: Search, a: StagePlan, b: StagePlan, k: int, kept: Residency, pins: Pins
) -> tuple[StagePlan, StagePlan] | None:
    """Return two plans that run abreast, with gain if they are not asked for; None if there are none."""
    asked = _asked(search, a)
    if asked is False:
        return None
    return _gaining(search, a, b, k, kept, pins, math.inf if asked else _alone((a, b)) * (1 - LEAST_GAIN))


def _gaining(
    search: Search, a: StagePlan, b: StagePlan, k: int, kept: Residency, pins: Pins, least: float
) -> tuple[StagePlan, StagePlan] | None:
    """Return two plans that run abreast in at most `least` cycles, None if there are none."""
    if a.cost is None or b.cost is None or a.part or b.part or {k, k + 1} & set(pins.places) or _split(a) or _split(b):
        return None
    in_turn = follows(a, b)
    if _together(a.cost, b.cost) > least or not _may_run(search, a, b, kept, in_turn=in_turn):
        return None
    c = search.chip.timing
    wgt = min(pins.floors.get(n, c.wgt_bytes) for n in (k, k + 1))
    room = _Room(min(kept.floors[k], kept.floors[k + 1]), wgt)
    tried = _candidates(search, a, b, room, in_turn=in_turn)
    best = min((pair for pair in tried if _in_step(pair) and _fits(search, pair, room)), key=_cycles, default=None)
    return best if best is not None and _cycles(best) <= least else None


def _split(plan: StagePlan) -> bool:
    """Return whether several cores share a stage."""
    return plan.tiling is not None and plan.tiling.shares > 1


def follows(a: StagePlan, b: StagePlan) -> bool:
    """Return whether the second stage reads the first one's result."""
    return b.stage.source == a.stage.output


def _cycles(pair: tuple[StagePlan, StagePlan]) -> int:
    a, b = (plan.cost for plan in pair)
    assert a is not None
    assert b is not None
    return _together(a, b)


def _together(a: Cost, b: Cost) -> int:
    """Return the cycles of two stages abreast: their engines' sums overlap, what follows the last tiles does not."""
    ends = sum(cost.cycles - max(cost.mac, cost.vector, cost.dma) for cost in (a, b))
    return max(a.mac + b.mac, a.vector + b.vector, a.dma + b.dma) + ends


def _may_run(search: Search, a: StagePlan, b: StagePlan, kept: Residency, *, in_turn: bool) -> bool:
    """Return whether no tile of one stage could disturb the other."""
    views = search.views
    reads_a, reads_b = (_regions(views, [plan.stage.source, *other_names(plan.stage)]) for plan in (a, b))
    out_a, out_b = (views[plan.stage.output].region for plan in (a, b))
    if in_turn:
        assert a.geometry is not None
        assert b.geometry is not None
        plain = not (a.geometry.folded or b.geometry.folded or b.geometry.flattened) and a.geometry.batch == 1
        others = _regions(views, other_names(b.stage))
        if not plain or not kept.held(out_a) or out_a in others or not _whole(views[a.stage.output], out_a):
            return False
    elif out_a in reads_b:
        return False
    return out_b not in reads_a and out_a != out_b and not _overlap(kept, out_b, reads_a)


def _whole(view: View, region: str) -> bool:
    return view.region == region and view.offset == 0


def _regions(views: Mapping[str, View], names: Sequence[str]) -> set[str]:
    return {views[name].region for name in names if name in views}


def _overlap(kept: Residency, made: str, read: set[str]) -> bool:
    """Return whether a map's place on chip overlaps that of one that the first stage still reads."""
    if not kept.held(made):
        return False
    first, end = _span(kept, made)
    return any(kept.held(name) and first < _span(kept, name)[1] and _span(kept, name)[0] < end for name in read)


def _span(kept: Residency, name: str) -> tuple[int, int]:
    return kept.places[name], kept.places[name] + kept.frames[name].bytes


def _candidates(
    search: Search, a: StagePlan, b: StagePlan, room: _Room, *, in_turn: bool
) -> Iterator[tuple[StagePlan, StagePlan]]:
    """Yield pairs of mappings: those of the stages alone, and others that share the room; in turn, band by band."""
    if not in_turn or (_by_bands(a) and _by_bands(b)):
        yield a, b
    order = Pin(order="map" if in_turn else None, split="none")
    for quarters, rows in product(SHARES, (None, *BANDS)):
        first = _mapped(search, a, _banded(a, order, rows), _Room(room.act * quarters // 4, room.wgt // 2))
        second = _mapped(search, b, _banded(b, order, rows), _Room(room.act * (4 - quarters) // 4, room.wgt // 2))
        if first is not None and second is not None:
            yield first, second


def _banded(plan: StagePlan, order: Pin, rows: int | None) -> Pin:
    """Return the pin with so many rows at a time, as far as the stage has them."""
    assert plan.geometry is not None
    return order if rows is None else replace(order, rows=min(rows, plan.geometry.out[0]))


def _in_step(pair: tuple[StagePlan, StagePlan]) -> bool:
    """Return whether tiles can take turns: slots let no more than two tiles' loads run ahead."""
    if host_of(*pair) is not None and not follows(*pair):
        return True  # the guest's go between the pieces of the host's work
    a, b = (_tiles(plan) for plan in pair)
    return a <= 2 * b and b <= 2 * a


def _tiles(plan: StagePlan) -> int:
    g, t = plan.geometry, plan.tiling
    assert g is not None
    assert t is not None
    blocks: int = sum(n for _, n in block_counts(g, t.channels))
    return -(-g.out[0] // t.rows) * -(-g.out[1] // t.cols) * -(-g.batch // t.images) * blocks


def _by_bands(plan: StagePlan) -> bool:
    """Return whether a plan finishes a tile of the map with all channels before the next."""
    assert plan.tiling is not None
    assert plan.geometry is not None
    return not plan.tiling.weights_outer or plan.tiling.channels >= plan.geometry.mid[2]


def _mapped(search: Search, plan: StagePlan, order: Pin, room: _Room) -> StagePlan | None:
    assert plan.geometry is not None
    found = search.choices(plan.stage, plan.geometry, room.wgt, order).within(room.act)
    return None if found is None else replace(plan, tiling=found[0], cost=found[1])


def _fits(search: Search, pair: tuple[StagePlan, StagePlan], room: _Room) -> bool:
    """Return whether the tiles of both lie side by side in what is free of the buffers."""
    act, wgt = room_of_pair(search.graph, pair)
    if search.chip.timing.unified:
        return act + wgt <= room.act
    return act <= room.act and wgt <= room.wgt


def room_of_pair(graph: Graph, pair: Sequence[StagePlan]) -> tuple[int, int]:
    """Return the bytes of the activation and of the weight buffer that stages claim together."""
    act = wgt = 0
    for plan in pair:
        assert plan.geometry is not None
        assert plan.tiling is not None
        tables = Tables(*table_bytes(graph, plan.stage)).room(plan.tiling.channels)
        foot = footprint(plan.geometry, plan.tiling, tables)
        act += round_up(foot.act_bytes(plan.geometry), SLACK)
        wgt += round_up(foot.wgt_bytes, SLACK)
    return act, wgt
