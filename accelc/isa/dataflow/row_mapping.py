"""How a tile of a convolution is laid on a row-stationary array: PE sets, strips, chunks, and the choice among them.

A logical PE set is `taps_y` PEs high and `e` output rows wide: PE (i, y) multiplies kernel row i with the input row
that output row y needs for it. The array holds r x t sets: r for different input channels, whose partial sums add
up, and t for different filters. Each PE keeps q channels x taps_x weights of p filters. The letters are those of the
Eyeriss papers.
"""

from __future__ import annotations

import math
from typing import NamedTuple

from accelc.chip.timing import Timing


class Tile(NamedTuple):
    """A convolution: output rows and columns, images, kernel taps, input channels, filters, and steps of the input's addresses.

    `depthwise` is 1 where each filter reads its own channel; `depth` is 1 then.
    """

    rows: int
    cols: int
    images: int
    taps_y: int
    taps_x: int
    depth: int
    n: int
    act_row: int
    act_col: int
    tap_row: int
    tap_col: int
    depthwise: int


class Mapping(NamedTuple):
    """What one pass holds: e output rows, p filters and q channels a PE, r x t sets, and the kernel taps of one pass."""

    e: int
    p: int
    q: int
    r: int
    t: int
    taps_y: int
    taps_x: int


class Pass(NamedTuple):
    """One pass, ragged or full: its extents, and what the array holds in it; `cols` counts the columns of one image."""

    rows: int
    cols: int
    images: int
    taps_y: int
    taps_x: int
    channels: int
    filters: int
    p: int
    q: int
    r: int
    t: int
    macs: int
    window: int
    fresh: int
    weights: int
    psums: int
    chain: int


def ceil_div(a: int, b: int) -> int:
    """Return a / b rounded up."""
    return (a + b - 1) // b


def unique_rows(rows: int, taps: int, stride: int, dilation: int) -> int:
    """Return how many different input rows `rows` output rows read through `taps` kernel rows."""
    g = math.gcd(stride, dilation)
    if g == 0:
        return 1
    return rows * taps - max(0, rows - dilation // g) * max(0, taps - stride // g)


def fresh_columns(taps: int, stride: int, dilation: int) -> int:
    """Return how many columns of the next window are not in the present one."""
    if stride == 0:
        return 0
    if dilation == 0 or stride % dilation:
        return taps
    return min(taps, stride // dilation)


def sets_that_fit(c: Timing, e: int, taps_y: int) -> int:
    """Return how many sets of `taps_y` x `e` PEs the array holds; a set wider than the array is folded into segments."""
    high = c.array_rows // taps_y
    if e <= c.array_cols:
        return high * (c.array_cols // e)
    return high // ceil_div(e, c.array_cols)


def make_pass(tile: Tile, m: Mapping, rows: int, taps_y: int, taps_x: int, channels: int, filters: int) -> Pass:
    """Return the pass of the given extents: a ragged one spreads what it has evenly over the sets."""
    p = ceil_div(filters, m.t)
    q = ceil_div(channels, m.r)
    r = ceil_div(channels, q)
    t = ceil_div(filters, p)
    delivered = filters if tile.depthwise else channels
    lines = unique_rows(rows, taps_y, tile.act_row, tile.tap_row) * delivered
    fresh = fresh_columns(taps_x, tile.act_col, tile.tap_col)
    return Pass(
        rows, tile.cols, tile.images, taps_y, taps_x, channels, filters, p, q, r, t, p * q * taps_x,
        lines * taps_x, lines * fresh, taps_y * taps_x * channels * filters, rows * filters, taps_y * r,
    )  # fmt: skip


def _estimate(c: Timing, tile: Tile, m: Mapping) -> tuple[int, int]:
    """Return the cycles and the words moved by the buffers if no pass were ragged: what a mapping is chosen by."""
    w = make_pass(tile, m, min(m.e, tile.rows), m.taps_y, m.taps_x, min(m.q * m.r, tile.depth), min(m.p * m.t, tile.n))
    passes = ceil_div(tile.rows, m.e) * ceil_div(tile.n, m.p * m.t) * ceil_div(tile.depth, m.q * m.r)
    passes *= ceil_div(tile.taps_y, m.taps_y) * ceil_div(tile.taps_x, m.taps_x)
    psum = ceil_div(w.psums, c.psum_bus)
    ramp = max(ceil_div(w.weights, c.wgt_bus), ceil_div(w.window, c.act_bus), psum)
    step = max(w.macs, ceil_div(w.fresh, c.act_bus), psum)
    words = w.weights + w.window + (tile.cols - 1) * w.fresh + 2 * tile.cols * w.psums
    return passes * (ramp + tile.cols * step + w.chain), passes * words


def _fill(c: Timing, tile: Tile, e: int, q: int, r: int, taps_y: int, taps_x: int, more: int) -> Mapping:
    """Return the mapping with the filters spread evenly over the fewest passes that hold them, or `more` than that."""
    t = min(sets_that_fit(c, e, taps_y) // r, tile.n)
    p = min(c.psum_entries, c.wgt_entries // (q * taps_x))
    if tile.depthwise:
        p = min(p, c.act_entries // taps_x)
    p = ceil_div(tile.n, t * (ceil_div(tile.n, t * p) + more))
    return Mapping(e, p, q, r, t, taps_y, taps_x)


def _strip(c: Timing, tile: Tile, taps_y: int, k: int) -> int:
    """Return the k-th width of strips to try: an array's width, a half, a third, a quarter; then folded, up to all rows."""
    high = c.array_rows // taps_y
    widest = max(1, c.array_cols // (k + 1)) if k < 4 else c.array_cols * max(1, high // (k - 3))
    return ceil_div(tile.rows, ceil_div(tile.rows, widest))


def choose(c: Timing, tile: Tile) -> Mapping:
    """Return the mapping of least cycles, then of least buffer traffic, of those that it tries.

    Strips: see _strip. Sets for channels: 1, 2, 4, ... Channels a PE: as many as it holds, then halves. Filters: as many
    as then fit, or those of one pass more.
    """
    taps_y = ceil_div(tile.taps_y, ceil_div(tile.taps_y, c.array_rows))
    taps_x = ceil_div(tile.taps_x, ceil_div(tile.taps_x, min(c.act_entries, c.wgt_entries)))
    most = min(c.act_entries // taps_x, c.wgt_entries // taps_x, tile.depth)
    best = _fill(c, tile, 1, 1, 1, taps_y, taps_x, 0)
    cycles, words = _estimate(c, tile, best)
    before = 0
    for k in range(7):
        e = _strip(c, tile, taps_y, k)
        if e == before:
            continue
        before, r = e, 1
        while r <= min(sets_that_fit(c, e, taps_y), tile.depth):
            q = min(most, ceil_div(tile.depth, r))
            while q >= 1:
                for more in range(2):
                    made = _fill(c, tile, e, q, r, taps_y, taps_x, more)
                    needs, moves = _estimate(c, tile, made)
                    if needs < cycles or (needs == cycles and moves < words):
                        best, cycles, words = made, needs, moves
                q //= 2
            r *= 2
    return best
