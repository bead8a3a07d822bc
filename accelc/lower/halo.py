"""The padding around a map on chip, written once before its first pixel by loads that are all padding."""

from __future__ import annotations

from accelc.lower.places import Places
from accelc.schedule.frames import NO_HALO


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
    images, height, _, _ = frame.owner.extents
    (top, left, bottom, right), pixel = frame.halo, frame.owner.pitch
    between = (left + right) * pixel  # the end of one row and the start of the next
    for image in range(images):
        start = at + image * frame.image
        fill(places, start, 1, 0, top * frame.row + left * pixel, frame.zero)
        fill(places, start + (top + 1) * frame.row - right * pixel, height - 1, frame.row, between, frame.zero)
        fill(
            places,
            start + (top + height) * frame.row - right * pixel,
            1,
            0,
            right * pixel + bottom * frame.row,
            frame.zero,
        )


def fill(places: Places, at: int, runs: int, step: int, size: int, value: int) -> None:
    """Write a value over `runs` runs of `size` bytes, `step` apart."""
    if not runs or not size:
        return
    where = {"src": 0, "src_row": 0, "src_col": 0, "dst": at, "dst_row": step, "dst_col": 0}
    padding = {"pad_top": runs, "pad_left": 1, "pad_bottom": 0, "pad_right": 0}
    places.emitter.emit("load", **where, rows=0, cols=0, bytes=size, pad_value=value, **padding)
