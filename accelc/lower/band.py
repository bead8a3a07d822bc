"""Bands: what a stripe finds on chip of a map that is never there whole. Rows that stay move up, padding is written."""

from __future__ import annotations

from accelc.lower.halo import fill
from accelc.lower.places import Places
from accelc.schedule.cascade import moves_of
from accelc.schedule.frames import Frame
from accelc.schedule.padding import beside, beyond
from accelc.schedule.stripes import Band


def prepare_band(places: Places, name: str) -> None:
    """Make the band that a tensor lies in ready for the stripe at hand, unless it is, or there is none."""
    region = places.views[name].region
    band, part = places.band(region), places.part
    if band is None or part is None or (region, part.stripe) in places.filled:
        return
    places.filled.add((region, part.stripe))
    frame, at = places.residency.frames[region], places.residency.places[region]
    for made in beside(frame, at) if band.before is None else ():
        fill(places, made, frame.zero)
    _move(places, frame, at, band)
    for made in beyond(frame, at, band, places.views[region].extents[1]):
        fill(places, made, frame.zero)


def _move(places: Places, frame: Frame, at: int, band: Band) -> None:
    """Move the rows that stay to the start of the band."""
    before = 0 if band.before is None else band.before
    pitch, wide = frame.owner.pitch, frame.owner.element_bytes == 2
    for row, end in moves_of(band):
        shape = {"in_rows": end - row, "in_cols": frame.row // pitch, "rows": end - row, "cols": frame.row // pitch}
        single = dict.fromkeys(("kernel_y", "kernel_x", "stride_y", "stride_x", "dilation_y", "dilation_x"), 1)
        places.emitter.emit(
            "max_pool16" if wide else "max_pool",
            src=at + row * frame.row,
            src_row=frame.row,
            src_col=pitch,
            dst=at + (row - (band.first - before)) * frame.row,
            dst_col=pitch,
            top=0,
            left=0,
            n=pitch // frame.owner.element_bytes,
            **shape,
            **single,
        )
