"""Closed forms of the row-stationary array: rows of kernel and input stay in the PEs, partial sums climb through them.

A tile is a sequence of passes; accelc.sim.array.row_stationary states what moves in each cycle of one. A pass is a
ramp (weights, the first window of inputs and the first partial sums come in while the last ones of the pass before
leave), one step per output column, and the cycles that the last column takes to climb through the chain of PEs.
"""

from __future__ import annotations

from accelc.chip.timing import Timing
from accelc.isa import events as ev
from accelc.isa.core import Array
from accelc.isa.dataflow.row_mapping import Mapping, Pass, Tile, ceil_div, choose, make_pass


def pass_cycles(c: Timing, w: Pass, leaving: int, same: int) -> tuple[int, int, int]:
    """Return the compute, fill/drain and ramp cycles of a pass.

    `leaving`: partial sums of the pass before that still leave; `same`: they are the ones this pass starts from, so that a
    pass of one column can read each only after it has left.
    """
    columns = w.cols * w.images
    psum = ceil_div(w.psums, c.psum_bus)
    window = ceil_div(w.window, c.act_bus)
    ramp = max(ceil_div(w.weights, c.wgt_bus), window, ceil_div(leaving, c.psum_bus))
    ramp = max(ramp, psum + (1 if same and columns == 1 else 0))
    step = max(w.macs, psum if columns > 1 else 0)
    # every step but the last brings the next column's inputs, and the last one of an image a whole window
    steps = step + w.images * (w.cols - 1) * max(step, ceil_div(w.fresh, c.act_bus)) + (w.images - 1) * max(step, window)
    return columns * w.macs, steps - columns * w.macs + w.chain, ramp


def _sizes(total: int, part: int) -> tuple[int, int, int]:
    """Return the number of full parts, and the number (0 or 1) and size of the ragged last one."""
    return total // part, 1 if total % part else 0, total % part


def run_cycles(
    c: Timing, tile: Tile, m: Mapping, rows: int, filters: int, leaving: int
) -> tuple[int, int, int]:
    """Return the cycles of all passes that add to the same partial sums: over kernel chunks and blocks of channels."""
    compute = fill = ramp = 0
    first = 1
    for y in range(2):
        full_y, ragged_y, rest_y = _sizes(tile.taps_y, m.taps_y)
        for x in range(2):
            full_x, ragged_x, rest_x = _sizes(tile.taps_x, m.taps_x)
            for k in range(2):
                full_k, ragged_k, rest_k = _sizes(tile.depth, m.q * m.r)
                count = (ragged_y if y else full_y) * (ragged_x if x else full_x) * (ragged_k if k else full_k)
                if count == 0:
                    continue
                w = make_pass(
                    tile, m, rows, rest_y if y else m.taps_y, rest_x if x else m.taps_x,
                    rest_k if k else m.q * m.r, filters,
                )  # fmt: skip
                if first:
                    compute, fill, ramp = pass_cycles(c, w, leaving, 0)
                    first, count = 0, count - 1
                a, b, d = pass_cycles(c, w, w.psums, 1)
                compute, fill, ramp = compute + count * a, fill + count * b, ramp + count * d
    return compute, fill, ramp


def layer_cycles(c: Timing, tile: Tile, m: Mapping, groups: int) -> tuple[int, int, int]:
    """Return the compute, fill/drain and ramp cycles of `groups` equal tiles after each other, with a given mapping.

    Order of passes: groups, strips of rows, blocks of filters, then those of run_cycles.
    """
    full_s, ragged_s, rest_s = _sizes(tile.rows, m.e)
    full_f, ragged_f, rest_f = _sizes(tile.n, m.p * m.t)
    last_rows = rest_s if ragged_s else m.e
    last_filters = rest_f if ragged_f else m.p * m.t
    blocks = full_f + ragged_f
    compute = fill = ramp = 0
    # strips: the very first, the first of further groups, further full ones, the ragged last one
    for s in range(4):
        rows = rest_s if s == 3 or full_s == 0 else m.e
        strips = 1 if s == 0 else groups - 1
        before = 0 if s == 0 else last_rows * last_filters
        if s == 2:
            strips, before = groups * max(0, full_s - 1), m.e * last_filters
        elif s == 3:
            strips, before = groups * ragged_s * min(1, full_s), m.e * last_filters
        if strips == 0:
            continue
        # blocks of filters: the first one, further full ones, the ragged last one
        for b in range(3):
            filters = min(tile.n, m.p * m.t) if b == 0 else (m.p * m.t if b == 1 else rest_f)
            count = 1 if b == 0 else (full_f - 1 if b == 1 else ragged_f)
            if count < 1 or (b and blocks == 1):
                continue
            leaving = before if b == 0 else rows * m.p * m.t
            x, y, z = run_cycles(c, tile, m, rows, filters, leaving)
            compute, fill, ramp = compute + strips * count * x, fill + strips * count * y, ramp + strips * count * z
    return compute, fill + ceil_div(last_rows * last_filters, c.psum_bus), ramp


def layer_words(tile: Tile, m: Mapping, groups: int) -> tuple[int, int, int, int, int, int]:
    """Return the words of `groups` tiles: inputs, weights and partial sums between buffers and array, words written to the
    register files of inputs and of weights, and hops of partial sums.

    Partial sums count once for every pass that writes them.
    """
    acts = weights = psums = act_writes = weight_writes = hops = 0
    full_s, ragged_s, rest_s = _sizes(tile.rows, m.e)
    full_f, ragged_f, rest_f = _sizes(tile.n, m.p * m.t)
    full_k, ragged_k, rest_k = _sizes(tile.depth, m.q * m.r)
    full_y, ragged_y, rest_y = _sizes(tile.taps_y, m.taps_y)
    full_x, ragged_x, rest_x = _sizes(tile.taps_x, m.taps_x)
    for kind in range(32):
        s, f, k, y, x = kind & 1, kind >> 1 & 1, kind >> 2 & 1, kind >> 3 & 1, kind >> 4 & 1
        count = (ragged_s if s else full_s) * (ragged_f if f else full_f) * (ragged_k if k else full_k)
        count *= (ragged_y if y else full_y) * (ragged_x if x else full_x) * groups
        if count == 0:
            continue
        w = make_pass(
            tile, m, rest_s if s else m.e, rest_y if y else m.taps_y, rest_x if x else m.taps_x,
            rest_k if k else m.q * m.r, rest_f if f else m.p * m.t,
        )  # fmt: skip
        columns = w.images * w.cols
        receivers = w.filters if tile.depthwise else w.channels * w.t
        held = w.taps_x + (w.cols - 1) * (w.fresh * w.taps_x // w.window)
        acts += count * w.images * (w.window + (w.cols - 1) * w.fresh)
        weights += count * w.weights
        psums += count * columns * w.psums
        act_writes += count * w.images * held * w.taps_y * w.rows * receivers
        weight_writes += count * w.weights * w.rows
        hops += count * columns * w.psums * (w.chain - 1)
    return acts, weights, psums, act_writes, weight_writes, hops


def _add_events(e: Array, c: Timing, tile: Tile, groups: int, accumulate: int) -> None:
    m = choose(c, tile)
    acts, weights, psums, act_writes, weight_writes, hops = layer_words(tile, m, groups)
    outputs = tile.rows * tile.cols * tile.n * groups
    macs = outputs * tile.taps_y * tile.taps_x * tile.depth
    e[ev.MAC] += macs
    e[ev.PE_ACT_READ] += macs
    e[ev.PE_ACT_WRITE] += act_writes
    e[ev.PE_WGT_READ] += macs
    e[ev.PE_WGT_WRITE] += weight_writes
    e[ev.PE_PSUM_READ] += macs
    e[ev.PE_PSUM_WRITE] += macs
    e[ev.HOP_PSUM] += hops
    e[ev.ACT_READ_BYTES] += acts
    e[ev.WGT_READ_BYTES] += weights
    e[ev.ACC_WRITE_WORDS] += psums
    e[ev.ACC_READ_WORDS] += psums - outputs * (1 - accumulate)


def conv_cycles(
    c: Timing, rows: int, cols: int, taps_y: int, taps_x: int, depth: int, n: int, groups: int,
    act_row: int, act_col: int, tap_row: int, tap_col: int,
) -> tuple[int, int, int]:
    """Return the compute, fill/drain and ramp cycles of a tile of a convolution."""
    tile = Tile(rows, cols, 1, taps_y, taps_x, depth, n, act_row, act_col, tap_row, tap_col, 0)
    compute, fill, ramp = layer_cycles(c, tile, choose(c, tile), groups)
    return compute, fill - c.last_index, ramp


def conv_events(
    e: Array, c: Timing, rows: int, cols: int, taps_y: int, taps_x: int, depth: int, n: int, groups: int,
    accumulate: int, act_row: int, act_col: int, tap_row: int, tap_col: int,
) -> None:
    """Add the access counts of a tile of a convolution."""
    tile = Tile(rows, cols, 1, taps_y, taps_x, depth, n, act_row, act_col, tap_row, tap_col, 0)
    _add_events(e, c, tile, groups, accumulate)


def depthwise_cycles(
    c: Timing, rows: int, cols: int, taps_y: int, taps_x: int, n: int,
    act_row: int, act_col: int, tap_row: int, tap_col: int,
) -> tuple[int, int, int]:
    """Return the compute, fill/drain and ramp cycles of a tile of a depthwise convolution."""
    tile = Tile(rows, cols, 1, taps_y, taps_x, 1, n, act_row, act_col, tap_row, tap_col, 1)
    compute, fill, ramp = layer_cycles(c, tile, choose(c, tile), 1)
    return compute, fill - c.last_index, ramp


def depthwise_events(
    e: Array, c: Timing, rows: int, cols: int, taps_y: int, taps_x: int, n: int,
    act_row: int, act_col: int, tap_row: int, tap_col: int,
) -> None:
    """Add the access counts of a tile of a depthwise convolution."""
    tile = Tile(rows, cols, 1, taps_y, taps_x, 1, n, act_row, act_col, tap_row, tap_col, 1)
    _add_events(e, c, tile, 1, 0)
