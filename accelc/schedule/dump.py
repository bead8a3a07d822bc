"""A chosen mapping as the TOML file that pins all of it: read again, it gives the same program."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace

from accelc.schedule import Schedule
from accelc.schedule.mapping import Pin, toml_value
from accelc.schedule.options import Tables
from accelc.schedule.overflow import needed
from accelc.schedule.pinned import cuts_depth
from accelc.schedule.pinning import staying_tiles
from accelc.schedule.search import StagePlan, table_bytes
from accelc.schedule.stages import plan_stages
from accelc.schedule.tiling import footprint

BARE = re.compile(r"[A-Za-z0-9_-]+")


def dump_mapping(schedule: Schedule) -> str:
    """Return the mapping of a schedule as TOML, each stage's prediction above what it follows from."""
    first = f"# The mapping of {schedule.graph.name} on chip {schedule.chip.name}, dataflow {schedule.dataflow}."
    tables = [first, "# Remove a line to leave its choice to the search."]
    ends = _ends(schedule)
    done, runs = set[str](), set[str]()
    for k, plan in enumerate(schedule.plans):
        if plan.tiling is not None and plan.stage.output not in done:
            done.add(plan.stage.output)
            tables += ["", *_table(schedule, k, plan, ends, starts_run=_through(plan) not in runs)]
            runs.add(_through(plan))
    return "\n".join(tables) + "\n"


def _ends(schedule: Schedule) -> dict[str, bool]:
    """Return for the layers that need it their `cut`: true where a planned stage was cut, false where it was not."""
    last = {plan.stage.layers[-1].name for plan in schedule.plans}
    found: dict[str, bool] = {}
    for stage in plan_stages(schedule.graph, schedule.views):
        inner = [layer.name for layer in stage.layers[:-1]]
        behind = [name for name in inner if name in last]
        found |= dict.fromkeys(behind, True)
        if inner and not behind:
            found[inner[0]] = False
    return found


def _through(plan: StagePlan) -> str:
    """Return the last layer of the run in stripes that a stage is of, nothing if it is of none."""
    return "" if plan.part is None else plan.part.through


def _table(
    schedule: Schedule, k: int, plan: StagePlan, ends: dict[str, bool], *, starts_run: bool
) -> Iterator[str]:
    """Yield the lines of one stage: comments, its pins, and in a table of its own the cut behind its last layer."""
    layers = plan.stage.layers
    pin = _pin(schedule, k, plan, ends.get(layers[0].name))
    if plan.part is not None:  # its rows and columns follow from the rest
        run = {"stripes": plan.part.stripes, "through": plan.part.through} if starts_run else {"stripes": None}
        pin = replace(pin, rows=None, cols=None, **run)
    yield f"# {' + '.join(layer.name for layer in layers)}"
    yield from (f"# {line}" for line in _prediction(schedule, plan))
    yield f"[layers.{_key(layers[0].name)}]"
    yield from (f"{key} = {toml_value(value)}" for key, value in pin.given().items())
    for layer in layers[1:]:
        if layer.name in ends:
            yield f"[layers.{_key(layer.name)}]"
            yield f"cut = {toml_value(ends[layer.name])}"


def _pin(schedule: Schedule, k: int, plan: StagePlan, cut: bool | None) -> Pin:
    """Return the pin of everything chosen for a stage."""
    g, t = plan.geometry, plan.tiling
    assert g is not None
    assert t is not None
    deep, region = cuts_depth(g), schedule.views[plan.stage.output].region
    whole = schedule.residency.held(region) and (plan.part is None or region not in plan.part.bands)
    return Pin(
        dataflow=t.dataflow if g.has_head else None,  # type: ignore[arg-type]
        rows=t.rows,
        cols=t.cols,
        channels=t.channels,
        depth=t.depth if deep else None,
        kernel_rows=min(t.kernel_rows, g.conv[0].kernel) if deep else None,
        order="weights" if t.weights_outer else "map",
        slots=t.slots,
        sums=t.sums if g.has_head else None,
        images=t.images if g.batch > 1 else None,
        split=t.split if schedule.chip.cores > 1 else None,  # type: ignore[arg-type]
        hold=whole,
        at=schedule.residency.places[region] if whole else None,
        hold_weights=_held_weights(schedule, k, plan) if _shared(schedule, plan) else None,
        abreast=k in schedule.pairs,
        stripes=1,
        cut=cut,
    )


def _held_weights(schedule: Schedule, k: int, plan: StagePlan) -> bool | int:
    """Return whether a stage's weights stay on chip, or how many tiles of them."""
    tiles = staying_tiles(schedule.pins, k, plan)
    assert plan.geometry is not None
    return plan.geometry.held.weights or tiles or False


def _shared(schedule: Schedule, plan: StagePlan) -> bool:
    """Return whether another stage reads the same weights."""
    readers = Counter(p.stage.head.inputs[1] for p in schedule.plans if p.stage.head is not None)
    return plan.stage.head is not None and plan.part is None and readers[plan.stage.head.inputs[1]] > 1


def _prediction(schedule: Schedule, plan: StagePlan) -> Iterator[str]:
    """Yield what the cost model says of a stage, and the bytes its tiles take."""
    g, t, cost = plan.geometry, plan.tiling, plan.cost
    assert g is not None
    assert t is not None
    assert cost is not None
    yield (
        f"alone {cost.cycles} cycles (mac {cost.mac}, vector {cost.vector}, dma {cost.dma}), "
        f"{cost.dram_bytes} bytes of DRAM"
    )
    tables = Tables(*table_bytes(schedule.graph, plan.stage)).room(t.channels)
    parts = needed(g, footprint(g, t, tables), schedule.chip)
    yield "on chip " + ", ".join(f"{name} {need} of {has} bytes" for name, need, has in parts)
    inputs = f", from {g.group_in} input channels" if cuts_depth(g) else ""
    groups = f" in each of {g.groups} groups" if inputs and g.groups > 1 else ""
    yield f"result {g.out[0]} rows x {g.out[1]} columns x {g.out[2]} channels{inputs}{groups}"


def _key(name: str) -> str:
    """Return a layer's name as a key of TOML."""
    if BARE.fullmatch(name):
        return name
    escaped = "".join(c if c >= " " and c not in '"\\\x7f' else f"\\u{ord(c):04x}" for c in name)
    return f'"{escaped}"'
