"""Stripes: a run of stages over bands of rows, each stage as far as the next one's stripe needs it.

Of a map that only stages of the run touch, no more than a band of rows is on chip at a time. What the next stripe still
reads of it moves to the start of the band; nothing is computed twice.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from accelc.schedule.geometry import Geometry, Window

Rows = tuple[int, int]


@dataclass(frozen=True)
class Band:
    """The rows of a map that are on chip in one stripe: from `first`, which may lie in the padding, to `end`.

    The stripe before began at `before` (None: there is none) and left the rows above `made` complete.
    """

    first: int
    end: int
    before: int | None
    made: int


@dataclass(frozen=True)
class Part:
    """A stripe of a stage: its first row of the source, the head's output and the result, and the bands on chip.

    It is number `stripe` of `stripes`; `through` is the last layer of the run.
    """

    source: int
    mid: int
    out: int
    stripe: int = 0
    stripes: int = 1
    through: str = ""
    bands: Mapping[str, Band] = field(default_factory=dict)


@dataclass(frozen=True)
class Reach:
    """The rows that a stripe of a stage reads, of the head's output and of the source; `low` to `high` with padding."""

    mid: Rows
    source: Rows
    low: int
    high: int


def reach(g: Geometry, rows: Rows) -> Reach | None:
    """Return what rows [first, end) of a result need, None if a window lies wholly in the padding."""
    mid = rows if g.pool is None else g.pool[0].needs(*rows, g.mid[0])[:2]
    start, stop, above, below = g.conv[0].needs(*mid, g.source[0])
    if mid[0] >= mid[1] or start >= stop:
        return None
    return Reach(mid, (start, stop), start - above, stop + below)


def cut_rows(g: Geometry, rows: Rows) -> tuple[Geometry, Part]:
    """Return the geometry of rows [first, end) of a result, counted from the rows that `Part` names."""
    read = reach(g, rows)
    assert read is not None
    (m0, m1), (s0, s1) = read.mid, read.source
    cut = replace(
        g,
        source=(s1 - s0, *g.source[1:]),
        mid=(m1 - m0, *g.mid[1:]),
        out=(rows[1] - rows[0], *g.out[1:]),
        conv=(_window(g.conv[0], m0, s0, last=s1 == g.source[0]), g.conv[1]),
        pool=None if g.pool is None else (_window(g.pool[0], rows[0], m0, last=m1 == g.mid[0]), g.pool[1]),
    )
    return cut, Part(s0, m0, rows[0])


def _window(window: Window, first: int, start: int, *, last: bool) -> Window:
    """Return the window as outputs from `first` on see it, of cells from `start` on."""
    before = start - (first * window.stride - window.before)
    return replace(window, before=before, after=window.after if last else 0)


@dataclass(frozen=True)
class Link:
    """A stage of a run as stripes see it: its geometry, and which stages of the run read its result."""

    geometry: Geometry
    readers: tuple[int, ...]


def ends_of(links: Sequence[Link], count: int) -> list[list[int]] | None:
    """Return for each stage up to which row its result is complete after each of `count` stripes, None if impossible.

    Stages whose result no other of the run reads take equal stripes, the last may be shorter.
    """
    ends: list[list[int]] = [[] for _ in links]
    for k in range(len(links) - 1, -1, -1):
        height = links[k].geometry.out[0]
        step = -(-height // count)
        for stripe in range(count):
            needed = 0 if links[k].readers else min(step * (stripe + 1), height)
            for reader in links[k].readers:
                found = _needed(links[reader].geometry, ends[reader], stripe)
                if found is None:
                    return None
                needed = max(needed, found)
            ends[k].append(height if stripe == count - 1 else needed)
    return ends


def _needed(g: Geometry, ends: Sequence[int], stripe: int) -> int | None:
    """Return up to which row a reader's stripe, and those before it, read."""
    if not ends[stripe]:
        return 0
    read = reach(g, (0, ends[stripe]))
    return None if read is None else read.source[1]


def bands_of(links: Sequence[Link], ends: Sequence[Sequence[int]], k: int) -> list[Band] | None:
    """Return the band of stage k's result in each stripe, None if a window lies wholly in the padding."""
    count, made, bands = len(ends[k]), [0, *ends[k]], list[Band]()
    for stripe in range(count):
        first, end = made[stripe], made[stripe + 1]
        for reader in links[k].readers:
            done = ends[reader][stripe - 1] if stripe else 0
            for rows in _unread(ends[reader], stripe, done):
                read = reach(links[reader].geometry, rows)
                if read is None:
                    return None
                first = min(first, read.low)
                end = max(end, read.high) if rows[1] == ends[reader][stripe] else end
        bands.append(Band(first, end, bands[-1].first if bands else None, made[stripe]))
    return bands


def _unread(ends: Sequence[int], stripe: int, done: int) -> list[Rows]:
    """Return the rows that a reader makes in a stripe, or else the next it makes later."""
    later = next((end for end in ends[stripe:] if end > done), None)
    return [] if later is None else [(done, later)]
