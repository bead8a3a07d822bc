"""Offsets of regions such that those alive together never overlap, in as few bytes as can be found.

No placement takes fewer bytes than are alive at once. First fit mostly takes no more; where it does, orders near its
best one are tried, and last a constraint solver is asked. Each has a fixed amount of work and draws from a fixed seed,
so that equal regions always get equal offsets.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import gcd
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ortools.sat.python import cp_model

CLIMB_TRIES = 1000  # orders near the best of first fit
CLIMB_WORK = 300_000  # neighbors looked at by all of them, some 0.1 s
SOLVER_WORK = 0.1  # the solver's own deterministic time, some 1 s
SOLVER_PAIRS = 20_000  # more pairs of regions alive together are not given to the solver

Span = tuple[int, int, int]
"""A region's bytes and the first and last moment of its life."""


@dataclass(frozen=True)
class Packed:
    """Offsets in the order of the regions, the bytes they span, and whether no placement can span fewer."""

    offsets: tuple[int, ...]
    bytes: int
    proved: bool


class Problem:
    """Regions; for each the others alive with it, and the most bytes alive at once during its life."""

    def __init__(self, spans: Sequence[Span]) -> None:
        self.spans = tuple(spans)
        self.near: list[list[int]] = [[] for _ in spans]
        self.crowds = [0] * len(spans)
        for i, alive in _births(spans):
            live = sum(spans[j][0] for j in alive) + spans[i][0]
            self.near[i] += alive
            for j in (*alive, i):
                self.crowds[j] = max(self.crowds[j], live)
            for j in alive:
                self.near[j].append(i)

    @cached_property
    def bound(self) -> int:
        """The most bytes alive at once, below which no placement can go."""
        return max(self.crowds, default=0)

    @cached_property
    def pairs(self) -> int:
        """How many pairs of regions are alive together."""
        return sum(map(len, self.near)) // 2

    def packed(self, offsets: Sequence[int], proved: bool = False) -> Packed:
        """Return a placement; it is proved to be the least by the solver, or by the bound."""
        taken = max(self.ends(offsets), default=0)
        return Packed(tuple(offsets), taken, proved or taken == self.bound)

    def ends(self, offsets: Sequence[int]) -> list[int]:
        """Return where placed regions end."""
        return [at + size for at, (size, _, _) in zip(offsets, self.spans, strict=True)]

    def fit(self, order: Sequence[int], limit: int) -> Packed | None:
        """Return the placement of first fit in an order, None once a region would end above the limit."""
        offsets = [-1] * len(self.spans)
        for i in order:
            size, offset = self.spans[i][0], 0
            for at, j in sorted((offsets[j], j) for j in self.near[i] if offsets[j] >= 0):
                if offset + size <= at:
                    break
                offset = max(offset, at + self.spans[j][0])
            if offset + size > limit:
                return None
            offsets[i] = offset
        return self.packed(offsets)


def _births(spans: Sequence[Span]) -> Iterator[tuple[int, list[int]]]:
    """Yield the regions in the order they are born, each with those alive then that were born before it."""
    alive: list[int] = []
    for i in sorted(range(len(spans)), key=lambda i: spans[i][1]):
        alive = [j for j in alive if spans[j][2] >= spans[i][1]]
        yield i, alive
        alive.append(i)


def pack(problem: Problem) -> Packed:
    """Return the offsets of first fit, of an order near its best, or of the solver: the first that take the least."""
    packed = first_fit(problem)
    for improve in (climb, solve):
        packed = packed if packed.proved else improve(problem, packed)
    return packed


def first_fit(problem: Problem) -> Packed:
    """Return the best of some greedy orders; once one takes the least there is, the others are not tried."""
    orders = _orders(problem)
    best = problem.fit(next(orders), sum(size for size, _, _ in problem.spans))
    assert best is not None
    for order in orders:
        best = best if best.proved else problem.fit(order, best.bytes - 1) or best
    return best


def _orders(problem: Problem) -> Iterator[Sequence[int]]:
    """Yield orders: by size, by life, by both multiplied, and those alive in the fullest moments first, as born."""
    spans, each = problem.spans, range(len(problem.spans))
    yield sorted(each, key=lambda i: (-spans[i][0], spans[i][1]))
    yield sorted(each, key=lambda i: (spans[i][1] - spans[i][2], -spans[i][0]))
    yield sorted(each, key=lambda i: (-spans[i][0] * (spans[i][2] - spans[i][1] + 1), spans[i][1]))
    yield sorted(each, key=lambda i: (-problem.crowds[i], spans[i][1], -spans[i][0]))


def climb(problem: Problem, packed: Packed) -> Packed:
    """Return a placement no worse: whatever bears on the highest region is moved to other turns of first fit."""
    draw = random.Random(0)
    order = sorted(range(len(problem.spans)), key=lambda i: packed.offsets[i])
    for _ in range(min(CLIMB_TRIES, CLIMB_WORK // (len(order) + 2 * problem.pairs))):
        moved = _moved(order, _bearing(problem, packed.offsets), draw)
        found = problem.fit(moved, packed.bytes)
        if found is not None:
            packed, order = found, moved
        if packed.proved:
            break
    return packed


def _moved(order: Sequence[int], among: Sequence[int], draw: random.Random) -> list[int]:
    """Return the order with one of some regions put in the turn of another."""
    one, other = draw.choice(among), draw.choice(among)
    moved = [i for i in order if i != one]
    moved.insert(order.index(other), one)
    return moved


def _bearing(problem: Problem, offsets: Sequence[int]) -> list[int]:
    """Return the highest region, those alive with it, and those that any of these rests on."""
    ends = problem.ends(offsets)
    top = ends.index(max(ends))
    found = dict.fromkeys((top, *problem.near[top]))
    todo = list(found)
    while todo:
        i = todo.pop()
        below = [j for j in problem.near[i] if ends[j] == offsets[i] and j not in found]
        found.update(dict.fromkeys(below))
        todo += below
    return list(found)


def solve(problem: Problem, packed: Packed) -> Packed:
    """Return the solver's placement where it finds one, and whether it proves that there is none better."""
    if problem.pairs > SOLVER_PAIRS:
        return packed
    from ortools.sat.python import cp_model

    unit = gcd(*(size for size, _, _ in problem.spans))
    model, starts = _model(problem, packed, unit)
    solver = cp_model.CpSolver()
    solver.parameters.num_workers, solver.parameters.random_seed = 1, 0
    solver.parameters.max_deterministic_time = SOLVER_WORK
    status = solver.solve(model)
    if status not in (cp_model.OPTIMAL, cp_model.FEASIBLE):
        return packed
    return problem.packed([unit * solver.value(start) for start in starts], status == cp_model.OPTIMAL)


def _model(problem: Problem, packed: Packed, unit: int) -> tuple[cp_model.CpModel, list[cp_model.IntVar]]:
    """Return the solver's view: rectangles of life by bytes, not to overlap, under the lowest top; and their starts."""
    from ortools.sat.python import cp_model

    most, model = packed.bytes // unit, cp_model.CpModel()
    top = model.new_int_var(problem.bound // unit, most, "top")
    lives, places, starts = [], [], []
    for (size, first, last), offset in zip(problem.spans, packed.offsets, strict=True):
        start = model.new_int_var(0, most - size // unit, "start")
        model.add(start + size // unit <= top)
        model.add_hint(start, offset // unit)
        lives.append(model.new_fixed_size_interval_var(first, last - first + 1, "life"))
        places.append(model.new_fixed_size_interval_var(start, size // unit, "place"))
        starts.append(start)
    model.add_no_overlap_2d(lives, places)
    model.minimize(top)
    return model, starts
