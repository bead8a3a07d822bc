"""The padding around a map on chip, written once before its first pixel by loads that are all padding."""

from __future__ import annotations

from accelc.lower.places import Places
from accelc.schedule.frames import NO_HALO
from accelc.schedule.padding import Fill, around


def fill_halo(places: Places, name: str) -> None:
    """Write the padding around the map that a tensor lies in, unless it is in DRAM, has none, or has it."""
    region, residency = places.views[name].region, places.residency
    if (
        places.band(region) is not None
        or not residency.held(region)
        or residency.frames[region].halo == NO_HALO
        or residency.turns[region] in places.filled
    ):
        return
    frame, at = residency.frames[region], residency.places[region]
    places.filled.add(residency.turns[region])
    for made in around(frame, at):
        fill(places, made, frame.zero)


def fill(places: Places, what: Fill, value: int) -> None:
    """Write a value over bytes on chip."""
    where = {"src": 0, "src_row": 0, "src_col": 0, "dst": what.at, "dst_row": what.step, "dst_col": 0}
    padding = {"pad_top": what.runs, "pad_left": 1, "pad_bottom": 0, "pad_right": 0}
    places.emitter.emit("load", **where, rows=0, cols=0, bytes=what.size, pad_value=value, **padding)
