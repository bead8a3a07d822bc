"""Placements: nothing alive together overlaps, never worse than first fit, the least there is where it is known."""

from __future__ import annotations

import sys
from itertools import permutations, product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from accelc.schedule import packing
from accelc.schedule.allocate import Life, peak_live, place
from accelc.schedule.packing import Packed, Problem, Span, climb, first_fit, pack, solve

# No order that first fit or the climb tries reaches the bound of 5, though a placement does.
HARD: tuple[Span, ...] = (
    (2, 5, 6), (3, 6, 6), (2, 4, 5), (3, 0, 1), (2, 2, 2), (3, 3, 3), (1, 2, 4), (2, 1, 2), (1, 3, 5), (1, 0, 0),
    (1, 4, 4),
)  # fmt: skip
# At most 5 are alive at once, but no placement spans less than 6.
ABOVE_THE_BOUND: tuple[Span, ...] = (
    (3, 4, 7), (1, 2, 4), (2, 1, 3), (1, 2, 2), (1, 1, 4), (2, 5, 7), (2, 0, 1), (3, 0, 0),
)  # fmt: skip

span = st.tuples(st.integers(1, 9), st.integers(0, 9), st.integers(0, 5)).map(lambda t: (t[0], t[1], t[1] + t[2]))


def regions(spans: list[Span] | tuple[Span, ...]) -> list[Life]:
    return [Life(str(k), *one) for k, one in enumerate(spans)]


def overlaps(spans: tuple[Span, ...], packed: Packed) -> list[tuple[int, int]]:
    """Return the pairs of regions alive together that share bytes, found pair by pair."""
    found = []
    for (i, (a, born, dies)), (j, (b, first, last)) in product(enumerate(spans), repeat=2):
        at, bt = packed.offsets[i], packed.offsets[j]
        if i < j and born <= last and first <= dies and at < bt + b and bt < at + a:
            found.append((i, j))
    return found


def least(spans: list[Span]) -> int:
    """Return the bytes of the best first fit over all orders, which is the least of all placements."""
    problem = Problem(spans)
    fits = (problem.fit(order, 10**6) for order in permutations(range(len(spans))))
    return min(packed.bytes for packed in fits if packed is not None)


@given(st.lists(span, max_size=20))
@settings(max_examples=200, deadline=None)
def test_no_step_overlaps_or_does_worse_than_the_one_before(spans: list[Span]) -> None:
    problem = Problem(spans)
    greedy = first_fit(problem)
    climbed = greedy if greedy.proved else climb(problem, greedy)
    best = pack(problem)
    assert problem.bound <= best.bytes <= climbed.bytes <= greedy.bytes
    for packed in (greedy, climbed, best):
        assert not overlaps(problem.spans, packed)
        assert all(offset >= 0 for offset in packed.offsets)
        assert packed.bytes == max((at + s for at, (s, _, _) in zip(packed.offsets, spans, strict=True)), default=0)


@given(st.lists(span, min_size=1, max_size=12))
@settings(max_examples=60, deadline=None)
def test_the_solver_never_overlaps_and_never_does_worse(spans: list[Span]) -> None:
    """It starts here from a placement that shares nothing."""
    problem = Problem(spans)
    apart = problem.packed([sum(size for size, _, _ in spans[:k]) for k in range(len(spans))])
    solved = solve(problem, apart)
    assert not overlaps(problem.spans, solved)
    assert problem.bound <= solved.bytes <= apart.bytes
    assert solved.bytes <= first_fit(problem).bytes


@given(st.lists(span, min_size=1, max_size=5))
@settings(max_examples=60, deadline=None)
def test_few_regions_are_placed_as_well_as_by_any_order(spans: list[Span]) -> None:
    placement = place(regions(spans))
    assert placement.bytes == least(spans)
    assert placement.proved


@given(st.lists(span, max_size=20))
@settings(deadline=None)
def test_the_bound_is_the_most_alive_at_any_moment(spans: list[Span]) -> None:
    live = [sum(size for size, first, last in spans if first <= k <= last) for k in range(20)]
    assert peak_live(regions(spans)) == max(live)
    crowds = [max(live[first : last + 1]) for _, first, last in spans]
    assert Problem(spans).crowds == crowds


def test_no_regions_take_no_bytes() -> None:
    placement = place([])
    assert (placement.bytes, placement.peak_live_bytes, placement.proved) == (0, 0, True)


def test_the_solver_reaches_a_bound_that_first_fit_and_the_climb_miss() -> None:
    problem = Problem(HARD)
    greedy = first_fit(problem)
    assert greedy.bytes == climb(problem, greedy).bytes == 6
    assert pack(problem).bytes == problem.bound == 5


def test_a_placement_above_the_bound_may_be_proved_the_least() -> None:
    packed = pack(Problem(ABOVE_THE_BOUND))
    assert (Problem(ABOVE_THE_BOUND).bound, packed.bytes, packed.proved) == (5, 6, True)


def test_without_work_for_the_solver_nothing_is_proved(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packing, "SOLVER_PAIRS", 0)
    packed = pack(Problem(ABOVE_THE_BOUND))
    assert (packed.bytes, packed.proved) == (6, False)


def test_the_solver_is_not_loaded_where_the_bound_is_reached(monkeypatch: pytest.MonkeyPatch) -> None:
    """An import of None fails: whoever asked for the solver would notice."""
    monkeypatch.setitem(sys.modules, "ortools.sat.python", None)
    assert place(regions([(64, k, k + 1) for k in range(50)])).proved


@pytest.mark.parametrize("spans", [HARD, ABOVE_THE_BOUND])
def test_equal_regions_get_equal_offsets_in_whatever_order_they_come(spans: tuple[Span, ...]) -> None:
    found = regions(spans)
    assert place(found) == place(found) == place(found[::-1])


def test_bytes_keep_the_unit_that_all_sizes_share() -> None:
    """The solver's offsets are lines of 64 bytes as well."""
    placement = place(regions([(64 * size, first, last) for size, first, last in HARD]))
    assert placement.bytes == 5 * 64
    assert not [offset for offset in placement.offsets.values() if offset % 64]
