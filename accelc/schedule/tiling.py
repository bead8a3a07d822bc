"""Tilings of a stage: how its outputs and input channels are cut, what that takes on chip, and which cuts are tried."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import reduce
from itertools import product
from typing import Any, TypeVar

import numpy as np

from accelc.chip import Chip
from accelc.schedule.geometry import BLOCK, GRANULE, Geometry
from accelc.schedule.many import Count, either, least, most
from accelc.schedule.mapping import FREE, Pin
from accelc.schedule.views import round_up

SLACK = 64  # bytes after a tile that a read of four channels may touch
WHOLE_KERNEL = 255  # more rows than a kernel has
WIDE_MAP = 64  # columns
STORE_BYTES = 2048  # of sums that are stored together
PARAM_BYTES = 12  # bias, and scale or multiplier and shift, of one output channel


@dataclass(frozen=True)
class Tiling:
    """One cut: `rows` x `cols` x `channels` outputs at a time from `depth` input channels at a time.

    `weights_outer` keeps a block of weights while the map passes; otherwise a tile of the map stays while weights
    pass. `dataflow` is the operand that stays in the PEs, `kernel_rows` the kernel's rows that a weight tile holds.
    `slots` tiles are on chip at a time, and the sums of so many, but of `sums` at most, in the accumulators. A tile is
    that of `images` images, one beside the other, which a weight tile meets in turn. `split` says how the result is
    shared out over `shares` cores (see `split`); the tiles are those of each.
    """

    rows: int
    cols: int
    channels: int
    depth: int
    weights_outer: bool
    dataflow: str = "ws"
    kernel_rows: int = WHOLE_KERNEL
    slots: int = 2
    sums: int = 2
    images: int = 1
    split: str = "none"
    shares: int = 1


Many = Any
"""A Tiling of many cuts at once: its loop order and all of ARRAYS are arrays."""
ARRAYS = ("rows", "cols", "channels", "depth", "sums", "images")


@dataclass(frozen=True)
class Block:
    """A block of output channels [first, first + count): `groups` groups that read input channels from `source`."""

    first: int
    count: int
    groups: int
    source: int
    depth: int


def channel_blocks(g: Geometry, channels: int) -> list[Block]:
    """Return the blocks of output channels of a stage under a cut of `channels`."""
    total = g.mid[2]
    if not g.has_head or g.depthwise:
        return [Block(k, min(channels, total - k), 1, k, min(channels, total - k)) for k in range(0, total, channels)]
    if channels >= g.group_out and g.groups > 1:
        step = channels // g.group_out
        return [
            Block(k * g.group_out, n * g.group_out, n, k * g.group_in, n * g.group_in)
            for k in range(0, g.groups, step)
            for n in (min(step, g.groups - k),)
        ]
    return [
        Block(k * g.group_out + j, min(channels, g.group_out - j), 1, k * g.group_in, g.group_in)
        for k in range(g.groups)
        for j in range(0, g.group_out, channels)
    ]


def mid_size(g: Geometry, rows: Count, cols: Count) -> tuple[Count, Count]:
    """Return the rows and columns of the head's output that a tile of the result needs."""
    if g.pool is None:
        return rows, cols
    return least(g.pool[0].span(rows), g.mid[0]), least(g.pool[1].span(cols), g.mid[1])


def source_size(g: Geometry, t: Tiling) -> tuple[Count, Count]:
    """Return the rows and columns of input, padding included, that a tile needs."""
    rows, cols = mid_size(g, t.rows, t.cols)
    return (g.conv[0].span(rows), g.conv[1].span(cols)) if g.has_head else (rows, cols)


def source_channels(g: Geometry, t: Tiling) -> Count:
    """Return the input channels of one loaded tile."""
    if not g.has_head or g.depthwise:
        return least(t.channels, g.mid[2])
    cut = least(t.depth, g.group_in)
    return cut if g.groups == 1 else either(t.channels >= g.group_out, t.channels // g.group_out * g.group_in, cut)


def weight_bytes(g: Geometry, t: Tiling) -> Count:
    """Return the bytes of a weight tile with its parameters."""
    params = PARAM_BYTES * round_up(t.channels, BLOCK)
    if not g.has_head:
        return 0
    if g.depthwise:
        return round_up(g.taps * t.channels * g.element_bytes, 4 * g.element_bytes) + params
    depth = g.pitch(least(t.depth, g.group_in))
    taps = min(t.kernel_rows, g.conv[0].kernel) * g.conv[1].kernel
    return g.parts * taps * depth * round_up(t.channels, BLOCK) + params


def kernel_cuts(g: Geometry, t: Tiling) -> list[tuple[int, int]]:
    """Return the kernel rows [first, end) of each weight tile."""
    kernel = g.conv[0].kernel
    step = kernel if g.depthwise else min(t.kernel_rows, kernel)
    return [(k, min(k + step, kernel)) for k in range(0, kernel, step)]


def blocks_a_store(g: Geometry, t: Tiling) -> Count:
    """Return how many blocks of output channels are stored together: several where they are int32 sums of one pixel.

    Those of consecutive blocks lie side by side, on chip as in DRAM; while weights are loaded, a store of each would
    open a row for a few bursts. Where they stay on chip, none is kept waiting.
    """
    if not g.raw_output or g.grouped or g.held.weights or g.batch * g.out[0] * g.out[1] != 1:
        return 1
    return most(1, least(STORE_BYTES // (4 * t.channels), -(-g.mid[2] // t.channels)))


def stored_with(g: Geometry, t: Tiling, channels: tuple[int, int], block: Block) -> tuple[int, bool]:
    """Return the first channel that is stored together with a block of a share of the channels.

    Also return whether the block is the last of those.
    """
    count = int(blocks_a_store(g, t))
    if count == 1:
        return block.first, True
    first = block.first - (block.first - channels[0]) % (count * t.channels)
    return first, block.first + block.count in (first + count * t.channels, channels[1])


@dataclass(frozen=True)
class Footprint:
    """What a tiling takes on chip: bytes of one slot of each kind, and the totals per buffer.

    Of the source and the sums, each of a tile's images has a slot of its own.
    """

    source: int
    mid: int
    other: int
    out: int
    weights: int
    tables: int
    acc_words: int
    slots: int
    sums: int
    images: int

    def act_bytes(self, g: Geometry) -> Count:
        """Return the bytes of the activation buffer: the slots of each kind, one intermediate."""
        others = sum(not g.held.other(k) for k in range(g.others))
        return self.mid + self.slots * (self.images * self.source + others * self.other + self.out)

    @property
    def acc_bytes(self) -> Count:
        """Return the bytes of the accumulators."""
        return self.sums * self.images * self.acc_words * 4

    @property
    def wgt_bytes(self) -> Count:
        """Return the bytes of the weight buffer, its weight tiles and the tables."""
        return self.slots * self.weights + self.tables


def footprint(g: Geometry, t: Tiling, tables: Count) -> Footprint:
    """Return what a tiling takes; `tables` is the bytes of lookup tables per channel block."""
    mid_rows, mid_cols = mid_size(g, t.rows, t.cols)
    src_rows, src_cols = source_size(g, t)
    pitch = g.pitch(t.channels)
    slack = SLACK if t.slots > 1 or g.has_head else 0
    mid = mid_rows * mid_cols * pitch + slack
    out = t.rows * t.cols * (pitch if not g.raw_output else 4 * t.channels * blocks_a_store(g, t)) + slack
    return Footprint(
        source=0 if g.held.source else src_rows * src_cols * g.pitch(source_channels(g, t)) + slack,
        mid=mid if g.pool is not None else 0,
        other=mid,
        out=0 if g.held.out and not g.private_out else out,
        weights=0 if g.held.weights else round_up(weight_bytes(g, t), SLACK),
        tables=tables,
        acc_words=mid_rows * mid_cols * round_up(t.channels, BLOCK) * g.element_bytes if g.has_head else 0,
        slots=t.slots,
        sums=least(t.sums, t.slots),
        images=t.images,
    )


def on_chip_bytes(f: Footprint, g: Geometry, chip: Chip) -> Count:
    """Return what a footprint takes of the activation buffer; a unified one holds its weights too."""
    act, wgt = round_up(f.act_bytes(g), SLACK), round_up(f.wgt_bytes, SLACK)
    return act + wgt if chip.timing.unified else act


def fits(g: Geometry, t: Tiling, f: Footprint, chip: Chip, wgt_room: int | None = None) -> Count:
    """Return whether a footprint fits the chip (or `wgt_room` bytes for weights) and every operand its field."""
    c = chip.timing
    weights = bool(c.unified) or round_up(f.wgt_bytes, SLACK) <= (c.wgt_bytes if wgt_room is None else wgt_room)
    room = weights & (on_chip_bytes(f, g, chip) <= c.act_bytes)
    return room & (f.acc_bytes <= c.acc_bytes) & fields_fit(g, t)


def fields_fit(g: Geometry, t: Tiling) -> Count:
    """Return whether extents stay within the 16-bit fields of the instructions."""
    rows, cols = source_size(g, t)
    source = source_channels(g, t)
    merged = g.conv[1].kernel * g.lanes(source)
    loaded = 0 if g.held.source else g.pitch(source)
    pixels = g.conv[1].stride * loaded, g.pitch(t.channels), round_up(t.channels, BLOCK) * g.element_bytes
    return reduce(most, (rows, cols, t.channels, source, merged, *pixels)) < 1 << 16


def _pieces(extent: int) -> list[int]:
    """Return the distinct sizes of cutting `extent` into 1, 2, 3, 4, 6, 8, 12, 16, ... nearly equal pieces."""
    counts = [k * (1 << j) for j in range(13) for k in (1, 3) if k * (1 << j) <= extent]
    return sorted({-(-extent // k) for k in counts} | {1}, reverse=True)


def channel_cuts(g: Geometry, chip: Chip) -> list[int]:
    """Return the cuts of output channels that are tried."""
    total = g.mid[2]
    if g.whole_channels:
        return [total]
    step = chip.array.cols
    if g.groups > 1 and not g.depthwise:
        inner = {s for k in _pieces(g.group_out) for s in (round_up(k, step), BLOCK) if s < g.group_out}
        return sorted({*(g.group_out * k for k in _pieces(g.groups)), *inner}, reverse=True)
    sizes = {round_up(s, step) for s in _pieces(total)} | {round_up(min(total, step), BLOCK), BLOCK}
    return sorted({min(s, total) for s in sizes}, reverse=True)


def depth_cuts(g: Geometry, chip: Chip) -> list[int]:
    """Return the cuts of input channels that are tried."""
    if not g.has_head or g.depthwise:
        return [1]
    step = chip.array.rows
    sizes = {round_up(s, step) for s in _pieces(g.group_in)} | {step // 2, step // 4, GRANULE}
    return sorted({min(max(round_up(s, GRANULE), GRANULE), g.group_in) for s in sizes}, reverse=True)


Value = TypeVar("Value")


def only(pinned: Value | None, free: Sequence[Value]) -> Sequence[Value]:
    """Return what is tried: a pinned value alone, whether or not it is among the free ones."""
    return free if pinned is None else (pinned,)


def slot_counts(g: Geometry) -> tuple[int, ...]:
    """Return how many tiles may be on chip at a time, the best first."""
    return (2, 1) if g.one_output else (2,)


def image_cuts(g: Geometry) -> list[int]:
    """Return of how many images a tile may be: of several where they share weights that are loaded tile by tile."""
    several = g.has_head and not g.depthwise and not g.held.weights
    return _pieces(g.batch)[::-1] if several else [1]


def kernel_row_cuts(g: Geometry) -> list[int]:
    """Return the cuts of the kernel's rows that are tried."""
    kernel = g.conv[0].kernel
    return _pieces(kernel) if g.has_head and not g.depthwise else [kernel]


def tilings(
    g: Geometry, chip: Chip, tables: Callable[[Count], Count], wgt_room: int | None = None, pin: Pin = FREE
) -> Many | None:
    """Return the cuts that fit, the largest first, None if none does; their dataflow and loop order are left open.

    Columns are cut only when one row of full width does not fit, kernels only where no tile with a whole one fits; a
    tile of several images holds their whole maps. Tiles come one at a time only where no two fit. `tables` gives the
    bytes of lookup tables that a block of channels needs, `wgt_room` what is free of the weight buffer. What is pinned
    takes its pinned value only.
    """
    pairs = product(only(pin.channels, channel_cuts(g, chip)), only(pin.depth, depth_cuts(g, chip)))
    # Several whole groups are never cut in depth.
    tried = np.array([(n, d) for n, d in pairs if n <= g.group_out or d >= g.group_in], int).reshape(-1, 2)
    for slots, kernel_rows in product(only(pin.slots, slot_counts(g)), only(pin.kernel_rows, kernel_row_cuts(g))):
        many: Many = Tiling(1, 1, 1, 1, True, "", kernel_rows, slots, pin.sums or 1)
        many = replace(many, channels=tried[:, 0], depth=tried[:, 1])
        found = _map_cuts(g, chip, many, tables, wgt_room, pin)
        if len(found.rows):
            return found
    return None


def loop_orders(g: Geometry, many: Many, pin: Pin) -> Many:
    """Return many cuts under the loop orders that are tried.

    The orders do not differ with one tile of the map or one block of channels; a held source is never loaded again.
    """
    if pin.order is not None:
        return replace(many, weights_outer=np.full(len(many.rows), pin.order == "weights"))
    one_tile = (many.images >= g.batch) & (many.rows >= g.out[0]) & (many.cols >= g.out[1])
    both = ~one_tile & (many.channels < g.mid[2]) & (not g.held.source)
    at = np.repeat(np.arange(len(many.rows)), 1 + both)
    return replace(_those(many, at), weights_outer=np.diff(at, prepend=-1) > 0)


def one_of(many: Many, n: int, dataflow: str) -> Tiling:
    """Return number `n` of many tilings, under a dataflow."""
    one: Tiling = replace(many, weights_outer=bool(many.weights_outer[n]), dataflow=dataflow)
    extents: dict[str, Any] = {key: int(getattr(many, key)[n]) for key in ARRAYS}
    return replace(one, **extents)


def _those(many: Many, at: Count) -> Many:
    """Return the cuts at some places among many."""
    return replace(many, **{key: getattr(many, key)[at] for key in ARRAYS})


def _map_cuts(
    g: Geometry, chip: Chip, cut: Many, tables: Callable[[Count], Count], wgt_room: int | None, pin: Pin
) -> Many:
    """Return cuts of channels and depth, each with the rows and columns of the map that then fit.

    The sums of two tiles are in the accumulators wherever these fit.
    """

    def cuts(rows: Count, cols: Count, many: Count, n: Count) -> Many:
        return replace(cut, rows=rows, cols=cols, images=many, channels=cut.channels[n], depth=cut.depth[n])

    def legal(many: Many) -> Count:
        return fits(g, many, footprint(g, many, tables(many.channels)), chip, wgt_room)

    heights = np.array(only(pin.rows, _pieces(g.out[0])))
    widths = np.array(only(pin.cols, _pieces(g.out[1])))
    images = np.array(only(pin.images, image_cuts(g)))
    n, i, w, h = np.ix_(*(np.arange(len(each)) for each in (cut.depth, images, widths, heights)))
    tried = fit = legal(cuts(heights[-1], widths[w], images[i], n))
    # Narrower tiles are tried where they may win: under a pool, whose tiles overlap, and on wide maps with little room.
    if g.pool is None or not g.has_head:
        widest = fit & (np.cumsum(fit, axis=2) == 1)
        tried = widest | (fit & (h == len(heights) - 1)) if g.out[1] > WIDE_MAP else widest
    whole = (heights[h] == g.out[0]) & (widths[w] == g.out[1])
    n, i, w, h = np.nonzero(tried & (whole | (images[i] == 1) | (pin.images is not None)))
    found = replace(cuts(heights[h], widths[w], images[i], n), sums=np.full(len(n), cut.sums))
    found = _those(found, legal(found))
    return found if pin.sums else replace(found, sums=1 + legal(replace(found, sums=2)))
