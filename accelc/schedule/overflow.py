"""Why a stage has no mapping: the buffer that overflows, the bytes its smallest tile needs and the bytes there are."""

from __future__ import annotations

from accelc.chip import Chip
from accelc.graph import Graph
from accelc.schedule.geometry import BLOCK, GRANULE, Geometry
from accelc.schedule.mapping import FREE, Pin, shown
from accelc.schedule.options import Tables
from accelc.schedule.pinned import cuts_depth
from accelc.schedule.stages import Stage
from accelc.schedule.tiling import SLACK, Footprint, Tiling, fields_fit, footprint, slot_counts
from accelc.schedule.views import round_up


def smallest(g: Geometry, pin: Pin) -> Tiling:
    """Return the tiling that takes least of every buffer among those with the pinned values."""
    channels = pin.channels or (g.mid[2] if g.whole_channels else min(BLOCK, g.group_out if g.has_head else g.mid[2]))
    if g.depthwise and not pin.channels:
        channels = min(BLOCK, g.mid[2])
    whole_groups = channels > g.group_out and cuts_depth(g)
    return Tiling(
        rows=pin.rows or 1,
        cols=pin.cols or 1,
        channels=channels,
        depth=pin.depth or (g.group_in if whole_groups else min(GRANULE, g.group_in)),
        weights_outer=True,
        kernel_rows=pin.kernel_rows or (1 if cuts_depth(g) else g.conv[0].kernel),
        slots=pin.slots or slot_counts(g)[-1],
        sums=pin.sums or 1,
        images=pin.images or 1,
    )


def no_tile(graph: Graph, stage: Stage, g: Geometry, pin: Pin, chip: Chip, tables: Tables) -> str:
    """Return the message that no tile of a stage fits, naming what is pinned, the buffers and the bytes."""
    first, t = stage.layers[0], smallest(g, pin)
    foot = footprint(g, t, tables.room(t.channels))
    head = f"layer '{first.name}' ({first.op}, output {list(graph.tensors[stage.output].shape)})"
    needs = needed(g, foot, chip)
    if pin == FREE:
        every = ", ".join(f"{need} bytes of {name} (has {has})" for name, need, has in needs)
        return f"{head}: no tile fits chip '{chip.name}': one output pixel needs {every}"
    over = " and ".join(f"{need} bytes of {name} (has {has})" for name, need, has in needs if need > has)
    what = f"it needs {over}" if over else _other(g, t)
    free = "" if _whole(pin, g) else ", all else as small as it can be"
    return f"{head}: the pinned {shown(pin)} does not fit chip '{chip.name}'{free}: {what}"


def needed(g: Geometry, f: Footprint, chip: Chip) -> list[tuple[str, int, int]]:
    """Return for each buffer its name, the bytes that a footprint takes and the bytes it has."""
    c, act, wgt = chip.timing, round_up(f.act_bytes(g), SLACK), round_up(f.wgt_bytes, SLACK)
    acc = ("acc", f.acc_bytes, c.acc_bytes)
    if c.unified:
        return [(f"act and wgt (one buffer: {act} + {wgt})", act + wgt, c.act_bytes), acc]
    return [("act", act, c.act_bytes), ("wgt", wgt, c.wgt_bytes), acc]


def _other(g: Geometry, t: Tiling) -> str:
    """Return what else than a buffer a tiling breaks."""
    if not fields_fit(g, t):
        return "an extent of the tile exceeds an instruction's 16 bits"
    return "no cut of what is free fits beside it"


def _whole(pin: Pin, g: Geometry) -> bool:
    """Return whether every extent that a stage may be cut in is pinned."""
    keys = ("rows", "cols", "channels", *(("depth", "kernel_rows") if cuts_depth(g) else ()))
    return all(getattr(pin, key) is not None for key in keys)
