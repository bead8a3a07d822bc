"""The order of stages: work for the vector unit alone runs beside work that keeps the array busy and it idle.

Stages follow the order of the graph's layers. A stage without array work, as a pool that is a branch of its own, may
stand anywhere between what it reads and who reads it; beside a long convolution it costs next to nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from itertools import pairwise

from accelc.schedule.abreast import LEAST_GAIN
from accelc.schedule.cost import Engines, engines_of
from accelc.schedule.frames import other_names
from accelc.schedule.geometry import Geometry
from accelc.schedule.objective import Boxed
from accelc.schedule.search import Search, StagePlan
from accelc.schedule.tiling import Tiling


def reordered(search: Search, plans: Sequence[StagePlan]) -> tuple[StagePlan, ...]:
    """Return the plans with each stage of vector work behind the stage of array work that hides most of it."""
    made = list(plans)
    for plan in plans:
        if plan.geometry is not None and plan.stage.head is None:
            at = made.index(plan)
            first, last = _freedom(search, made, at)
            hosts = [host for host in made[first:last] if hidden(search, host, plan) > 0]
            if hosts:
                made.remove(plan)
                made.insert(made.index(max(hosts, key=lambda host: hidden(search, host, plan))) + 1, plan)
    return tuple(made)


def _freedom(search: Search, plans: Sequence[StagePlan], at: int) -> tuple[int, int]:
    """Return the first and end index of the stages that a stage may trade places with."""
    mine, made = _reads(search, plans[at]), _made(search, plans[at])
    first, last = at, at + 1
    while first > 0 and plans[first - 1].geometry is not None and _made(search, plans[first - 1]) not in mine:
        first -= 1
    while last < len(plans) and plans[last].geometry is not None and made not in _reads(search, plans[last]):
        last += 1
    return first, last


def _made(search: Search, plan: StagePlan) -> str:
    return search.views[plan.stage.output].region


def _reads(search: Search, plan: StagePlan) -> set[str]:
    names = (plan.stage.source, *other_names(plan.stage))
    return {search.views[n].region for n in names if n in search.views}


@lru_cache(maxsize=4096)
def _work(g: Geometry, dataflow: str, box: Boxed) -> Engines:
    """Return what a stage takes of the array and the vector unit in one tile, whatever tiling it will have."""
    return engines_of(g, Tiling(*g.out[:2], g.mid[2], g.group_in, True, dataflow, g.conv[0].kernel), box.chip)


def hidden(search: Search, a: StagePlan, b: StagePlan) -> int:
    """Return the cycles that two stages save side by side, 0 unless one has array work, the other none, and it pays."""
    if (a.stage.head is None) == (b.stage.head is None) or a.geometry is None or b.geometry is None:
        return 0
    array, other = (a, b) if b.stage.head is None else (b, a)
    host, guest = (_work(p.geometry, search.dataflows[0], Boxed(search.chip)) for p in (array, other) if p.geometry)
    # Transfers are left out: most maps stay on chip once residency is chosen.
    alone = host.mac + guest.vector
    saved = alone - max(host.mac, host.vector + guest.vector)
    return saved if saved >= alone * LEAST_GAIN else 0


def beside(search: Search, plans: Sequence[StagePlan]) -> frozenset[int]:
    """Return the first of two neighbors of which one hides the other."""
    return frozenset(k for k, (a, b) in enumerate(pairwise(plans)) if hidden(search, a, b))
