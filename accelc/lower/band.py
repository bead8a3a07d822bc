"""Bands: what a stripe finds on chip of a map that is never there whole. Rows that stay move up, padding is written."""

from __future__ import annotations

from accelc.lower.halo import fill
from accelc.lower.places import Places
from accelc.schedule.cascade import moves_of
from accelc.schedule.frames import Frame
from accelc.schedule.stripes import Band


def prepare_band(places: Places, name: str) -> None:
    """Make the band that a tensor lies in ready for the stripe at hand, unless it is, or there is none."""
    region = places.views[name].region
    band, part = places.band(region), places.part
    if band is None or part is None or (region, part.stripe) in places.filled:
        return
    places.filled.add((region, part.stripe))
    frame, at = places.residency.frames[region], places.residency.places[region]
    if band.before is None:
        _fill_columns(places, frame, at)
    _move(places, frame, at, band)
    height = places.views[region].extents[1]
    first = 0 if band.before is None else band.made  # rows of padding from here on are not there yet
    _fill_rows(places, frame, at, (band.first if band.before is None else 0, 0), band.first)
    _fill_rows(places, frame, at, (max(height, first), band.end), band.first)


def _fill_columns(places: Places, frame: Frame, at: int) -> None:
    """Write the padding left and right of every row of a band."""
    (_, left, _, right), pixel, rows = frame.halo, frame.owner.pitch, frame.owner.extents[1]
    fill(places, at, 1, 0, left * pixel, frame.zero)
    fill(places, at + frame.row - right * pixel, rows - 1, frame.row, (left + right) * pixel, frame.zero)
    fill(places, at + rows * frame.row - right * pixel, 1, 0, right * pixel, frame.zero)


def _fill_rows(places: Places, frame: Frame, at: int, rows: tuple[int, int], first: int) -> None:
    """Write rows [from, to) of the padding above or below a map into the band that begins with row `first`."""
    count = max(0, rows[1] - rows[0])
    fill(places, at + (rows[0] - first) * frame.row, min(count, 1), 0, count * frame.row, frame.zero)


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
