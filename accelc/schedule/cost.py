"""What a tiling costs by the instructions' own cycle clauses: cycles of each engine, DRAM bytes.

All of it may be asked of many tilings at once (see `many`).
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from itertools import product, zip_longest

import numpy as np

from accelc.chip import Chip, Timing
from accelc.isa import by_name
from accelc.isa.dataflow import CODES
from accelc.schedule.geometry import BLOCK, Geometry
from accelc.schedule.many import Count, cycles, either, is_many, least, most, truncated
from accelc.schedule.tiling import (
    Block,
    Footprint,
    Tiling,
    channel_blocks,
    footprint,
    kernel_cuts,
    mid_size,
    on_chip_bytes,
    source_channels,
    source_size,
    weight_bytes,
)
from accelc.schedule.transfer import Transfer, steal_rate, transfer
from accelc.schedule.views import round_up

_CONV = by_name("conv").clauses["cycles"]
_DEPTHWISE = by_name("depthwise").clauses["cycles"]
_REQUANTIZE = by_name("requantize").clauses["cycles"]


@dataclass(frozen=True)
class Cost:
    """Predicted cycles of each engine, the total with their overlap, and the bytes that cross the DRAM bus.

    `start` are the cycles of the first loads: they delay the stage only as far as the stage before leaves no time for
    them, so the choice weighs them and the prediction does not.
    """

    cycles: int
    mac: int
    vector: int
    dma: int
    dram_bytes: int
    start: int = 0

    @property
    def alone(self) -> int:
        """Return the cycles of the stage with nothing before it."""
        return self.cycles + self.start


def dataflow_code(chip: Chip, dataflow: str) -> int:
    """Return the instruction's code of a dataflow on the chip's array."""
    return CODES[chip.array.organization, dataflow]


def mac_cycles(g: Geometry, t: Tiling, chip: Chip, pixels: tuple[Count, Count], block: Block, depth: Count) -> Count:
    """Return the array cycles of one tile of one block over one cut of the depth."""
    heights = Counter(end - first for first, end in kernel_cuts(g, t))
    return sum(n * piece_cycles(g, t, chip, pixels, block, depth, height) for height, n in heights.items())


def piece_cycles(
    g: Geometry, t: Tiling, chip: Chip, pixels: tuple[Count, Count], block: Block, depth: Count, height: int
) -> Count:
    """Return the array cycles of one tile of one block over one cut of the depth and `height` rows of the kernel."""
    c, (rows, cols), kx = chip.timing, pixels, g.conv[1].kernel
    steps = g.conv[0].stride, g.conv[1].stride, g.conv[0].dilation, g.conv[1].dilation
    code = dataflow_code(chip, t.dataflow)
    if g.depthwise:
        return cycles(_DEPTHWISE, c, *steps[:2], rows, cols, height, kx, *steps[2:], block.count, code)
    n = round_up(block.count // block.groups, BLOCK)
    lanes = g.lanes(depth // block.groups)
    merged = merges_taps(g, block, depth)
    taps_x, deep = either(merged, 1, kx), either(merged, kx * g.lanes(depth), lanes)
    return g.parts * cycles(_CONV, c, *steps[:2], rows, cols, height, taps_x, deep, *steps[2:], n, code, block.groups)


def merges_taps(g: Geometry, block: Block, depth: Count) -> Count:
    """Return whether a kernel row of a tile is one run of bytes: taps adjoin, each reads every channel of its pixel.

    A loaded tile holds just the channels that are read; of a held map that is so where a pixel has no others.
    """
    adjoin = (not g.held.source) | ((g.held.whole_pixel and g.groups == 1) & (depth == g.group_in))
    return adjoin & (block.groups == 1) & (g.conv[1].dilation == 1 and not g.separate_taps)


@dataclass(frozen=True)
class Engines:
    """What the array and the vector unit take for a stage, and the vector unit for its last tile."""

    mac: int
    vector: int
    tail: int


def engines_of(g: Geometry, t: Tiling, chip: Chip) -> Engines:
    """Return the cycles of the array and the vector unit; what is held matters to them by the source and gaps alone."""
    c, mac, vector, blocks = chip.timing, 0, 0, block_counts(g, t.channels)
    for (count, groups, depth), times in blocks:
        block = Block(0, count, groups, 0, depth)
        for (rows, row_times), (cols, col_times) in product(_counts(g.out[0], t.rows), _counts(g.out[1], t.cols)):
            maps = times * row_times * col_times * g.batch
            mid = mid_size(g, rows, cols)
            vector += maps * tile_vector_cycles(g, c, mid, (rows, cols), count)
            if g.has_head:
                mac += maps * sum(n * mac_cycles(g, t, chip, mid, block, d) for d, n in _depth_counts(g, t, block))
    last = _last(blocks)[0]
    return Engines(mac, vector, tile_vector_cycles(g, c, mid_size(g, t.rows, t.cols), (t.rows, t.cols), last))


def cost_of(
    g: Geometry, t: Tiling, chip: Chip, engines: Engines | None = None, foot: Footprint | None = None
) -> Cost:
    """Return the predicted cost of a stage under a tiling; `engines` and `foot` save working them out again."""
    c, found = chip.timing, engines or engines_of(g, t, chip)
    blocks = block_counts(g, t.channels)
    count, groups, depth = _last(blocks)
    depths = sum(n for _, n in _depth_counts(g, t, Block(0, count, groups, 0, depth)))
    areas = -(-g.out[0] // t.rows) * -(-g.out[1] // t.cols)
    moves = _traffic(g, t, c, (sum(n for _, n in blocks), areas, depths), found.mac)
    tail = found.tail
    if not g.held.out:
        tail += g.sharers * transfer(c, t.rows, t.cols * t.channels * g.element_bytes).cycles
    if g.sharers > 1:
        tail += moves.first  # the other cores' results are what the first loads wait for: nothing hides them
    met = _meeting(g, chip, found, moves, foot or footprint(g, t, 0)) if c.act_ports == 1 else 0
    # With room for the sums of one image's tile, the array waits until they are drained.
    waits = (t.sums == 1) & (t.images == 1) & g.has_head
    drained = either(waits, _drain_cycles(g, t, c) * sum(n for _, n in blocks) * areas * g.batch, 0)
    together = most(most(found.mac + moves.late + met + drained, found.vector), moves.bus)
    overlapped = together if t.slots > 1 else found.mac + found.vector + moves.bus
    return Cost(overlapped + tail, found.mac, found.vector, moves.bus, moves.moved, moves.first)


def _drain_cycles(g: Geometry, t: Tiling, c: Timing) -> Count:
    """Return the vector unit's cycles to take the sums of one tile."""
    rows, cols = mid_size(g, t.rows, t.cols)
    return cycles(_REQUANTIZE, c, rows * cols, t.channels)


def _meeting(g: Geometry, chip: Chip, engines: Engines, moves: _Traffic, f: Footprint) -> Count:
    """Return the cycles that the array loses where banks have one port, to the vector unit and to passing data.

    Two neighboring slots have half a bank in common, on the mean, or lie in one if they are smaller than that.
    """
    c = chip.timing
    bank, wgt_bank = c.act_bytes // c.act_banks, c.wgt_bytes // c.wgt_banks
    lost = engines.vector * least(1.0, 2 * bank / most(1, on_chip_bytes(f, g, chip)))
    lost += moves.source_bus * steal_rate(chip) * least(1.0, bank / most(1, 2 * f.source))
    if c.wgt_ports == 1:
        lost += moves.weight_bus * steal_rate(chip, weights=True) * least(1.0, wgt_bank / most(1, 2 * f.weights))
    return truncated(lost)


Counts = list[tuple[Count, Count]]
"""Sizes of pieces, and how many there are of each; of many tilings, some may have none."""


def _counts(extent: Count, piece: Count) -> Counts:
    """Return the pieces of an extent."""
    whole, rest = divmod(extent, piece)
    if is_many(whole):
        return [(piece, whole), (either(rest > 0, rest, piece), rest > 0)][: 1 + rest.any()]
    return [(piece, whole)] * (whole > 0) + [(rest, 1)] * (rest > 0)


Blocks = list[tuple[tuple[Count, Count, Count], Count]]


def block_counts(g: Geometry, channels: Count) -> Blocks:
    """Return the blocks of output channels as (channels, groups, depth), and how many there are of each."""
    if g.grouped:
        if is_many(channels):
            sizes, at = np.unique(channels, return_inverse=True)
            return _side_by_side([block_counts(g, int(size)) for size in sizes], at)
        return list(Counter((b.count, b.groups, b.depth) for b in channel_blocks(g, channels)).items())
    return [((size, 1, size if g.own_channels else g.group_in), n) for size, n in _counts(g.mid[2], channels)]


def _side_by_side(each: list[Blocks], at: Count) -> Blocks:
    """Return the blocks of many tilings, `at` their places in the list: the first of each, the second, and so on."""
    columns = zip_longest(*each, fillvalue=((1, 1, 1), 0))
    rows = (np.array([(*block, n) for block, n in column])[at].T for column in columns)
    return [((count, groups, depth), n) for count, groups, depth, n in rows]


def _last(blocks: Blocks) -> tuple[Count, Count, Count]:
    """Return the last block that there is."""
    found = blocks[0][0]
    for block, n in blocks[1:]:
        found = tuple(either(n > 0, new, old) for new, old in zip(block, found, strict=True))
    return found


def _depth_counts(g: Geometry, t: Tiling, block: Block) -> Counts:
    """Return how the depth of a block is cut."""
    if not g.has_head or g.depthwise:
        return [(block.depth, 1)]
    return _counts(block.depth, either(block.groups > 1, block.depth, t.depth))


def tile_vector_cycles(
    g: Geometry, c: Timing, mid: tuple[Count, Count], out: tuple[Count, Count], channels: Count
) -> Count:
    """Return the vector unit's cycles for one tile; rows that do not adjoin take an instruction each."""
    lanes, mid_pixels, out_pixels = -(-channels // c.vector_lanes), mid[0] * mid[1], out[0] * out[1]
    total = cycles(_REQUANTIZE, c, mid_pixels, channels) if g.has_head else 0
    total += g.step_work * mid_pixels * lanes + (g.step_work > 0) * c.vector_latency
    total += g.late_work * out_pixels * lanes
    if g.pool is not None:
        total += out_pixels * g.pool[0].kernel * g.pool[1].kernel * lanes + c.vector_latency
    return total + g.held.gaps * (out[0] - 1) * c.vector_latency


@dataclass(frozen=True)
class _Traffic:
    """What a stage moves: bus cycles, bytes, cycles of the first loads, and those that find no place ahead of time.

    Of the bus cycles, `weight_bus` are those of weights, `source_bus` those of the source.
    """

    bus: int
    moved: int
    first: int
    late: int
    source_bus: int
    weight_bus: int


def _traffic(g: Geometry, t: Tiling, c: Timing, counts: tuple[Count, Count, Count], mac: Count) -> _Traffic:
    """Return the traffic of (blocks, areas of the map, depths); a tile already in a slot is not loaded again."""
    blocks, areas, depths = counts
    pieces, turns = depths * len(kernel_cuts(g, t)), -(-g.batch // t.images)
    maps = areas * turns
    source_loads, weight_loads = _loads(g, t, blocks, maps, (depths, pieces))
    source_loads = source_loads // turns * g.batch  # image by image
    weight_loads *= g.has_head and not g.held.weights
    source_loads *= not g.held.source
    source = _source_tile(g, t, c)
    weights = transfer(c, 1, 0 if g.held.weights else weight_bytes(g, t))
    stored, others = int(not g.held.out), sum(not g.held.other(k) for k in range(g.others))
    tiles, mid = areas * g.batch * blocks, mid_size(g, t.rows, t.cols)
    pixel, pitch = t.channels * g.element_bytes, (g.pixel_channels or g.out[2]) * g.element_bytes
    out = tile_transfer(c, (t.rows, t.cols), g.out[1], pixel, pitch)
    other = tile_transfer(c, mid, g.mid[1], pixel, pitch)
    every = ((source_loads, source), (weight_loads, weights), (tiles * stored, out), (tiles * others, other))
    # As many cores as share the stage ask the DRAM for the same at the same time.
    bus = g.sharers * sum(times * each.cycles for times, each in every)
    moved = g.sharers * sum(times * each.bursts for times, each in every) * c.dram_burst_bytes
    source_once, weights_once = (g.sharers * n for n in (source.cycles, weights.cycles * (weight_loads > 0)))
    # Where all slots hold what the next tiles still read, what follows is loaded while one piece is multiplied.
    each = mac // most(tiles * pieces, 1)
    kept = weight_loads * most(0, weights_once - t.images * each)
    passed = source_loads * most(0, source_once - each) * (blocks > 1)
    filled = (pieces == t.slots) & (t.slots > 1 and g.has_head)
    late = filled * either(t.weights_outer & (maps > 1), kept, passed)
    first = source_once * (source_loads > 0) + weights_once
    return _Traffic(bus, moved, first, late, source_loads * source_once, weight_loads * weights_once)


def _source_tile(g: Geometry, t: Tiling, c: Timing) -> Transfer:
    """Return the transfer of a tile of the source; padding moves nothing."""
    rows, cols = (least(size, extent) for size, extent in zip(source_size(g, t), g.source[:2], strict=True))
    pixel = source_pixel(g, source_channels(g, t))
    return tile_transfer(c, (rows, cols), g.source[1], pixel, g.pitch(g.source[2]))


def source_pixel(g: Geometry, channels: Count) -> Count:
    """Return the bytes of a pixel of which so many channels are loaded."""
    return either(channels == g.source[2], g.pitch(channels), channels * g.element_bytes)


def tile_transfer(c: Timing, size: tuple[Count, Count], width: int, pixel: Count, pitch: int) -> Transfer:
    """Return the transfer of a tile of a map `width` pixels wide: pixels adjoin only with every channel."""
    rows, cols = size
    part, whole = pixel < pitch, cols >= width
    runs = either(part, rows * cols, either(whole, 1, rows))
    run = either(part, 1, either(whole, rows, 1) * cols) * pixel
    step, grain = either(whole, 0, width * pitch), either(whole, 0, cols * pixel)
    return transfer(c, runs, run, either(part, pitch, step), grain=either(part, pixel, grain))


def _loads(g: Geometry, t: Tiling, blocks: Count, maps: Count, cuts: tuple[Count, Count]) -> tuple[Count, Count]:
    """Return how often a source tile and a weight tile are loaded under the loop order, with t.slots of each.

    `cuts` are the pieces of the depth, and those of the depth times the kernel's rows. Inside, they run fastest. What
    the inner loop leaves in the slots is not loaded again.
    """
    depths, pieces = cuts
    once = (maps == 1) | (blocks * pieces <= t.slots) | (t.weights_outer & (pieces <= t.slots))
    weights = blocks * pieces * either(once, 1, maps)
    if g.depthwise or not g.has_head or g.groups > 1:
        return maps * blocks * depths, weights
    inner = either(t.weights_outer, False, depths <= t.slots)
    held = inner | (maps * depths <= t.slots) | (blocks == 1)
    return maps * depths * either(held, 1, blocks), weights
