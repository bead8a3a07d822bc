"""Weights of which a part stays on chip: some tiles do, the others are loaded by every stage that reads them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from accelc.schedule.cost import Cost
from accelc.schedule.geometry import Geometry
from accelc.schedule.mapping import Pin
from accelc.schedule.objective import Boxed, objective_of
from accelc.schedule.options import Tables
from accelc.schedule.pieces import ALIGN, every_piece, tile_bytes
from accelc.schedule.search import Search, StagePlan, table_bytes
from accelc.schedule.stages import Stage
from accelc.schedule.tiling import Tiling, channel_cuts, footprint
from accelc.schedule.transfer import Transfer, transfer
from accelc.schedule.views import round_up


@dataclass(frozen=True)
class Part:
    """A mapping under which so many bytes of a stage's weights stay on chip; the cost is that without their loads."""

    bytes: int
    tiling: Tiling
    cost: Cost


def parts(search: Search, plan: StagePlan, act_room: int, wgt_room: int, tiles: int | None) -> list[Part]:
    """Return the ways in which a part of a stage's weights may stay in `wgt_room` bytes, the best first.

    Each cut of the output channels is tried: small tiles leave more room for those that stay, of large ones there are
    fewer. So many `tiles` stay if given, else as many as find room beside the slots of the others.
    """
    rank = objective_of(search.objective, Boxed(search.chip)).rank
    return sorted(_every(search, plan, act_room, wgt_room, tiles), key=lambda part: rank(part.cost))


def slots_bytes(search: Search, stage: Stage, g: Geometry, t: Tiling) -> int:
    """Return the bytes of the weight buffer that a stage claims for tiles that it loads, and for its tables."""
    tables = Tables(*table_bytes(search.graph, stage)).room(t.channels)
    return round_up(int(footprint(g, t, tables).wgt_bytes), ALIGN)


def _every(search: Search, plan: StagePlan, act_room: int, wgt_room: int, tiles: int | None) -> Iterator[Part]:
    g, c = plan.geometry, search.chip.timing
    assert g is not None
    for channels in channel_cuts(g, search.chip):
        found = search.choices(plan.stage, g, wgt_room, Pin(split="none", channels=channels)).within(act_room)
        if found is None:
            continue
        t, cost = found
        each = tile_bytes(g, t)
        most = min((wgt_room - slots_bytes(search, plan.stage, g, t)) // each, sum(1 for _ in every_piece(g, t)))
        count = most if tiles is None else tiles
        if 0 < count <= most:
            moved = transfer(c, 1, each)
            yield Part(count * each, t, _without(cost, count, moved, c.dram_burst_bytes))


def _without(cost: Cost, loads: int, each: Transfer, burst_bytes: int) -> Cost:
    """Return a stage's cost without so many of its loads; its first load of weights goes ahead of its source."""
    dma = cost.dma - loads * each.cycles
    longest = max(cost.mac, cost.vector, cost.dma)
    return replace(
        cost,
        cycles=cost.cycles - longest + max(cost.mac, cost.vector, dma),
        dma=dma,
        dram_bytes=cost.dram_bytes - loads * each.bursts * burst_bytes,
        start=max(0, cost.start - each.cycles),
    )
