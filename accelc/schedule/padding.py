"""The padding of maps on chip: which bytes are written, once before a map's first pixel or as a stripe meets them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from accelc.schedule.frames import Frame
from accelc.schedule.stripes import Band


@dataclass(frozen=True)
class Fill:
    """Runs of `size` bytes of the activation buffer, from an address on, `step` apart."""

    at: int
    runs: int
    step: int
    size: int

    @property
    def end(self) -> int:
        """Return the address past the last byte."""
        return self.at + (self.runs - 1) * self.step + self.size


def _real(*fills: Fill) -> Iterator[Fill]:
    return (fill for fill in fills if fill.runs and fill.size)


def around(frame: Frame, at: int) -> Iterator[Fill]:
    """Yield the padding around a map that begins at an address."""
    images, height, _, _ = frame.owner.extents
    (top, left, bottom, right), pixel = frame.halo, frame.owner.pitch
    between = (left + right) * pixel  # the end of one row and the start of the next
    for start in range(at, at + images * frame.image, frame.image):
        yield from _real(
            Fill(start, 1, 0, top * frame.row + left * pixel),
            Fill(start + (top + 1) * frame.row - right * pixel, height - 1, frame.row, between),
            Fill(start + (top + height) * frame.row - right * pixel, 1, 0, right * pixel + bottom * frame.row),
        )


def beside(frame: Frame, at: int) -> Iterator[Fill]:
    """Yield the padding left and right of every row of a band."""
    (_, left, _, right), pixel, rows = frame.halo, frame.owner.pitch, frame.owner.extents[1]
    yield from _real(
        Fill(at, 1, 0, left * pixel),
        Fill(at + frame.row - right * pixel, rows - 1, frame.row, (left + right) * pixel),
        Fill(at + rows * frame.row - right * pixel, 1, 0, right * pixel),
    )


def beyond(frame: Frame, at: int, band: Band, height: int) -> Iterator[Fill]:
    """Yield the rows of padding above and below a map of so many rows that its band holds and held not before."""
    ranges = [(max(height, 0 if band.before is None else band.made), band.end)]
    if band.before is None:
        ranges.insert(0, (band.first, 0))
    for low, high in ranges:
        count = max(0, high - low)
        yield from _real(Fill(at + (low - band.first) * frame.row, min(count, 1), 0, count * frame.row))
