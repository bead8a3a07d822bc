"""Maxima over cells of regions of interest (MaxRoiPool), whatever the regions' sizes.

Fischer, Heun, "Theoretical and practical improvements on the RMQ problem", CPM 2006 (section 2: the sparse table).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from accelc.frontend.builder import Builder
from accelc.frontend.node import Lowering, Node
from accelc.frontend.real.steps import Steps


def max_roi_pool(b: Builder, node: Node) -> None:
    """Maxima over the cells of regions; empty cells give 0.

    The maximum of any stretch is that of the two stretches of a power of two that begin and end with it, so maxima of
    all rectangles of powers of two are made once for the map, and each cell reads four of them.
    """
    s = Steps(b, node)
    x, rois = node.input(0), node.input(1)
    high, wide = node.get("pooled_shape")
    scale = float(node.get("spatial_scale", 1.0))
    n, _, h, w = s.shape(x)
    count = s.shape(rois)[0]
    corners = [s.map("floor", s.map("add", s.map("mul", s.pick(rois, 1, k), scale), 0.5)) for k in range(1, 5)]
    down = _stretch(s, corners[1], corners[3], high, h, 1)
    across = _stretch(s, corners[0], corners[2], wide, w, 2)
    batch = s.reshape(s.map("to_int", s.pick(rois, 1, 0)), (count, 1, 1))
    table = _rectangles(s, s.transpose(x, (0, 2, 3, 1)))
    level = s.map("add", s.map("mul", s.map("add", s.map("mul", down.level, _levels(w)), across.level), n), batch)
    found: str | None = None
    for row in (down.first, down.second):
        for col in (across.first, across.second):
            place = s.map("add", s.map("mul", s.map("add", s.map("mul", level, h), row), w), col)
            part = s.gather(table, place)
            found = part if found is None else s.map("max", found, part)
    assert found is not None
    filled = s.reshape(s.map("and", down.filled, across.filled), (count, high, wide, 1))
    s.finish(s.transpose(s.map("where", filled, found, s.constant(0.0, x)), (0, 3, 1, 2)))


def _levels(extent: int) -> int:
    """Return how many powers of two are at most `extent`."""
    return extent.bit_length()


def _rectangles(s: Steps, x: str) -> str:
    """Return maxima over 2**i rows and 2**j columns from each pixel of (n, h, w, c), one below the other.

    Row ((i * levels of w + j) * n + image) * h * w + pixel. What would reach beyond the map repeats its last pixel.
    """
    n, h, w, c = s.shape(x)
    tables = []
    for i in range(_levels(h)):
        x = x if i == 0 else _widened(s, x, 1, 1 << (i - 1))
        row = x
        for j in range(_levels(w)):
            row = row if j == 0 else _widened(s, row, 2, 1 << (j - 1))
            tables.append(s.reshape(row, (n * h * w, c)))
    return s.concat(tables, 0)


def _widened(s: Steps, x: str, axis: int, step: int) -> str:
    """Return the maximum of each pixel and the one `step` further along an axis."""
    extent = s.shape(x)[axis]
    return s.map("max", x, s.take(x, {axis: [min(k + step, extent - 1) for k in range(extent)]}))


class _Stretch(NamedTuple):
    """Cells along one axis: the level of the stretches that cover each, where both begin, whether there are pixels."""

    level: str
    first: str
    second: str
    filled: str


def _stretch(s: Steps, low: str, high: str, cells: int, extent: int, axis: int) -> _Stretch:
    """Return the cells of regions along an axis, floor(k * size) to ceil((k + 1) * size) - 1 of them inside the map."""
    count = s.shape(low)[0]
    shape = [count, 1, 1]
    length = s.map("max", s.map("add", s.map("sub", high, low), 1.0), 1.0)
    size = s.reshape(s.map("div", length, float(cells)), shape)
    at = [1, 1, 1]
    at[axis] = cells
    number = np.arange(cells, dtype=np.float32).reshape(at)
    start = s.reshape(low, shape)
    first, end = (
        s.map("to_int", s.map("min", s.map("max", s.map("add", s.map(fn, s.map("mul", size, k)), start), 0.0), limit))
        for fn, k, limit in (("floor", number, float(extent)), ("ceil", number + 1, float(extent)))
    )
    pixels = s.map("max", s.map("sub", end, first), 1)
    level, reach = s.constant(np.zeros((1, 1, 1), np.int64)), s.constant(np.ones((1, 1, 1), np.int64))
    for j in range(1, _levels(extent)):
        long = s.map("greater_equal", pixels, 1 << j)
        level = s.map("add", level, long)
        reach = s.map("add", reach, s.map("mul", long, 1 << (j - 1)))
    begin = s.map("min", first, extent - 1)
    second = s.map("max", s.map("sub", end, reach), begin)
    return _Stretch(level, begin, second, s.map("less", first, end))


LOWERINGS = (Lowering("MaxRoiPool", max_roi_pool, ("map", "gather"), ("pooled_shape", "spatial_scale")),)
