"""The choice of the maps that stay on chip: as good as trying every set, and placed without overlap."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import combinations, pairwise

from hypothesis import given
from hypothesis import strategies as st

from accelc.chip import load_chip
from accelc.schedule import schedule
from accelc.schedule.cost import Cost
from accelc.schedule.frames import NO_HALO, Frame
from accelc.schedule.residency import Map, Residency, arrange, choose
from accelc.schedule.views import View
from tests.lower.graphs import Net

STAGES, ROOM = 6, 100
EDGE = load_chip("edge")


def weigh(cost: Cost) -> float:
    return float(cost.cycles)


@st.composite
def cases(draw: st.DrawFn) -> tuple[list[Map], Mapping[int, int]]:
    """Return maps with lives and sizes, and the least room each stage takes for itself."""
    maps = []
    for k in range(draw(st.integers(0, 5))):
        first = draw(st.integers(0, STAGES - 2))
        last = draw(st.integers(first + 1, STAGES - 1))
        maps.append(Map(f"m{k}", draw(st.integers(5, 70)), first, last))
    return maps, {k: draw(st.integers(0, 40)) for k in range(STAGES)}


def price(maps: list[Map], least: Mapping[int, int], k: int, names: frozenset[str], taken: int) -> Cost | None:
    """Return a cost that falls with each map held at its ends and rises as room gets short."""
    if ROOM - taken < least[k]:
        return None
    ends = [m for m in maps if k in (m.first, m.last)]
    moved = sum(10 + m.bytes for m in ends if m.name not in names)
    return Cost(moved + taken // 7 * (k + 1), 0, 0, 0, 0)


def total(maps: list[Map], least: Mapping[int, int], chosen: tuple[Map, ...]) -> float | None:
    found = 0.0
    for k in range(STAGES):
        alive = [m for m in chosen if m.first <= k <= m.last]
        taken = sum(m.bytes for m in alive)
        cost = price(maps, least, k, frozenset(m.name for m in alive), taken) if taken <= ROOM else None
        if cost is None:
            return None
        found += weigh(cost)
    return found


@given(cases())
def test_the_choice_is_as_good_as_every_set(case: tuple[list[Map], Mapping[int, int]]) -> None:
    maps, least = case
    held, exact = choose(maps, STAGES, ROOM, lambda k, names, taken: price(maps, least, k, names, taken), weigh)
    sets = [s for n in range(len(maps) + 1) for s in combinations(maps, n)]
    costs = [cost for s in sets if (cost := total(maps, least, s)) is not None]
    assert exact
    assert total(maps, least, tuple(held)) == min(costs)


def frame(size: int) -> Frame:
    return Frame(View("x", 0, (1, 1, 1, size), (size, size, size)), NO_HALO, 0, size)


@given(cases())
def test_maps_alive_together_lie_apart_and_above_the_floor(case: tuple[list[Map], Mapping[int, int]]) -> None:
    maps, _ = case
    made = arrange(maps, {m.name: frame(m.bytes) for m in maps}, STAGES, 10 * ROOM, exact=True, asked={})
    assert isinstance(made, Residency)
    for k in range(STAGES):
        spans = sorted((made.places[m.name], m.bytes) for m in maps if m.first <= k <= m.last)
        assert all(a + size <= b for (a, size), (b, _) in pairwise(spans))
        assert made.floors[k] == min((a for a, _ in spans), default=10 * ROOM)


def test_a_map_made_over_another_takes_its_place() -> None:
    """Three maps of 60 in 130: the third is made where the second lies, and all fit."""
    maps = [Map("a", 60, 0, 2), Map("b", 60, 1, 3), Map("c", 60, 3, 4, over="b")]
    held, _ = choose(maps, STAGES, 130, lambda k, names, taken: Cost(10 - len(names), 0, 0, 0, 0), weigh)
    made = arrange(held, {m.name: frame(m.bytes) for m in maps}, STAGES, 130, exact=True, asked={})
    assert isinstance(made, Residency)
    assert made.places["c"] == made.places["b"]


def test_what_cannot_be_placed_names_the_stage() -> None:
    maps = [Map("a", 60, 0, 2), Map("b", 60, 2, 4)]
    assert arrange(maps, {m.name: frame(m.bytes) for m in maps}, STAGES, 100, exact=True, asked={}) in (0, 2)


def test_a_chain_of_maps_stays_on_chip() -> None:
    """Only the input and the output of five convolutions touch DRAM; each map has the halo its reader pads with."""
    net = Net(0)
    y = net.input(1, 16, 24, 24)
    for _ in range(5):
        y = net.conv(y, 16, pads=(1, 1, 1, 1))
    plan = schedule(net.graph(y), EDGE)
    assert len(plan.residency.places) == 4
    assert {f.halo for f in plan.residency.frames.values()} == {(1, 1, 1, 1)}
    assert plan.placement.bytes == 16 * 24 * 24  # input and output in turn


def test_outputs_and_inputs_of_the_network_are_never_held() -> None:
    net = Net(0)
    x = net.input(1, 16, 8, 8)
    y = net.conv(x, 16, (1, 1))
    z = net.conv(y, 16, (1, 1))
    plan = schedule(net.graph(y, z), EDGE)
    assert not {x, y, z} & set(plan.residency.places)
