"""The row-stationary array: rows of the kernel and of the input stay in the PEs, partial sums climb through them.

Mapping. A set is `taps_y` PEs high and `e` output rows wide; PE (i, y) of a set multiplies kernel row i with the
input row that output row y needs for it. r x t sets lie side by side and above each other: r for different input
channels, whose PEs of one output row form a chain, and t for different filters. A set wider than the array is folded
into segments above each other. accelc.isa.dataflow.row_mapping chooses e, p, q, r, t; a kernel higher than the
array, or wider than a register file, is cut into chunks. A depthwise convolution has r = q = 1, and each of the p x
t filters has a channel of its own.

PE. Three register files: a window of q x taps_x inputs (p x taps_x in a depthwise convolution), the weights of p
filters, p partial sums. One multiply-accumulate a cycle; the first of a sum reads no register, the cycle after the
last reads the sum, adds what the PE below handed up in the cycle before, and hands it on (the lowest PE adds the
word from the buffer). Inputs that arrive early wait in a queue.

Buses. Each cycle the buffers put act_bus inputs, wgt_bus weights and psum_bus partial sums on three buses, and
psum_bus partial sums leave on a fourth. An input goes to every PE whose output row reads it in that kernel row, in
every set of its channel, at once; a weight to the PEs of its kernel row in its set. Where sums start from zero, the
buffer is not read, but their places on the bus pass all the same.

Pass. First the ramp, which ends when all weights, the first window and the first column's sums are there and the
last column's sums of the pass before have left. Then steps, one per output column. A token that starts a step goes
up each chain, one PE a cycle; a PE that gets it takes the new inputs from its queue into its window and starts. The
lowest PE's step ends when its p x q x taps_x multiply-accumulates are done, the inputs and sums of the next column
are there, and the controller has counted off the places that the sums of the column before take on the leaving bus.
The token reaches the leaving port one cycle after the top PE; then the port sends out those sums. The pass ends when
the last token has reached the port; the last column's sums leave in the next ramp, and after the last pass by
themselves. Where a pass has a single column, its sums are read one cycle after they were written, at the earliest.

Words count, empty places do not: a broadcast is one read of a buffer, and a write in each register file that takes
it.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from accelc.chip.timing import Timing
from accelc.isa import Memory
from accelc.isa import events as ev
from accelc.isa.dataflow.row_mapping import Mapping, Pass, Tile, choose, make_pass
from accelc.sim.array.tables import group
from accelc.sim.jit import kernel

Ints = npt.NDArray[np.int64]

IDLE = -1
FIRST: Any = np.int64(0)  # not a literal, for which everything would be compiled once more


class Place(NamedTuple):
    """Where a pass's operands lie: first addresses, and the strides that the tile does not hold."""

    act: int
    wgt: int
    acc: int
    acc_col: int
    taps_x: int  # of the whole kernel
    block: int  # weights of 16 filters
    filter: int  # first filter of the pass within its group
    channel: int
    tap_y: int
    tap_x: int
    fresh: int  # 1 where the sums start from zero


class State(NamedTuple):
    """Registers [array_rows * array_cols PEs, words] and the counters of buses and controller."""

    act: Ints
    wgt: Ints
    psum: Ints
    queue: Ints  # inputs that arrived early
    pe: Ints  # [PEs, columns below]
    entering: Ints  # [chains, words] sums from the buffer
    leaving: Ints  # [chains, words] sums on top
    ends: Ints  # [chains, 2] how many of each
    tag: Ints  # [kernel rows, output rows] which of the strip's input rows a PE row reads
    row: Ints  # [input rows] its address
    bus: Ints  # places passed on each bus, see below
    port: Ints  # what the leaving port does, see below


# Of `pe`: inputs in the queue; the sum handed up; the cycle within the step, or IDLE; 1 where the PE got a token in
# this cycle; the sum that the next cycle reads, or IDLE; steps started in this pass.
QUEUED, LINK, CLOCK, STARTED, READY, STEPS = range(6)
ENTERED, LEFT = range(2)  # of `ends`
# Of `bus`: words delivered in this step; OUT: places of leaving sums that the controller has counted off.
ACT, WGT, IN, OUT = range(4)
# Of `port`: words to send, sent, where to, step of the address per output row; extents of the pass; tokens that came.
GOAL, MOVED, TO, LINE, ROWS, FILTERS, CHAINS, P, ARRIVED = range(9)


@kernel
def _pass(m: Memory, c: Timing, e: Ints, s: State, tile: Tile, w: Pass, at: Place) -> int:
    """Run one pass and return its cycles, all but the leaving of the last column's sums."""
    _tags(s, tile, w)
    same = w.cols == 1 and s.port[GOAL] > 0 and s.port[TO] == at.acc
    s.bus[:] = 0
    t = 0
    while s.bus[WGT] < w.weights or s.bus[ACT] < w.window or s.bus[IN] < w.psums or s.port[MOVED] < s.port[GOAL]:
        _load(m, c, e, s, tile, w, at)
        _deliver(m, c, e, s, tile, w, at, FIRST, w.window)
        _bring(m, c, e, s, w, at, FIRST, s.port[MOVED] if same else w.psums)
        _send(m, c, e, s)
        t += 1
    s.port[GOAL] = s.port[MOVED] = 0
    s.port[LINE] = w.cols * at.acc_col
    s.port[ROWS] = w.rows
    s.port[FILTERS] = w.filters
    s.port[CHAINS] = w.rows * w.t
    s.port[P] = w.p
    s.port[ARRIVED] = 0
    s.pe[:, STEPS] = 0
    for x in range(w.cols):
        t += _step(m, c, e, s, tile, w, at, x)
    for cycle in range(w.chain):  # the token's way to the port, and what happens behind it
        t += 1
        _cycle(m, c, e, s, tile, w, at, w.cols, cycle)
    s.port[GOAL] = w.psums
    s.port[MOVED] = 0
    s.port[TO] = at.acc + (w.cols - 1) * at.acc_col
    return t


@kernel
def _step(m: Memory, c: Timing, e: Ints, s: State, tile: Tile, w: Pass, at: Place, x: int) -> int:
    """Run the cycles of the lowest PEs' step for output column x; return how many."""
    s.bus[:] = 0
    following = x + 1 < w.cols
    acts, ins, outs = (w.fresh if following else 0), (w.psums if following else 0), (w.psums if x else 0)
    t: int = FIRST
    while t < w.macs or s.bus[ACT] < acts or s.bus[IN] < ins or s.bus[OUT] < outs:
        _deliver(m, c, e, s, tile, w, at, x + 1, acts)
        _bring(m, c, e, s, w, at, x + 1, ins)
        s.bus[OUT] += min(c.psum_bus, outs - s.bus[OUT])
        _cycle(m, c, e, s, tile, w, at, x, t)
        t += 1
    return t


@kernel
def _tags(s: State, tile: Tile, w: Pass) -> None:
    """Number the different input rows that the strip reads, and note which one each PE row reads."""
    found = 0
    for y in range(w.rows):
        for i in range(w.taps_y):
            row = y * tile.act_row + i * tile.tap_row
            tag = 0
            while tag < found and s.row[tag] != row:
                tag += 1
            s.row[tag] = row
            s.tag[i, y] = tag
            found = max(found, tag + 1)


@kernel
def _pe(c: Timing, w: Pass, e: int, part: int, i: int, y: int) -> int:
    """Return the PE of kernel row i and output row y in set `part`; sets are laid from left to right and upward."""
    if e <= c.array_cols:
        beside = c.array_cols // e
        return ((part // beside) * w.taps_y + i) * c.array_cols + part % beside * e + y
    segments = (e + c.array_cols - 1) // c.array_cols
    return ((part * segments + y // c.array_cols) * w.taps_y + i) * c.array_cols + y % c.array_cols


@kernel
def _filters(w: Pass, k: int) -> int:
    """Return how many filters the sets k of filters hold."""
    return min(w.p, w.filters - k * w.p)


@kernel
def _channels(w: Pass, part: int) -> int:
    """Return how many channels the sets `part` of channels hold."""
    return min(w.q, w.channels - part * w.q)


@kernel
def _load(m: Memory, c: Timing, e: Ints, s: State, tile: Tile, w: Pass, at: Place) -> None:
    """Put the cycle's weights on their bus, and into the PEs."""
    for _ in range(c.wgt_bus):
        index = s.bus[WGT]
        if index == w.weights:
            return
        s.bus[WGT] += 1
        e[ev.WGT_READ_BYTES] += 1
        x, i = index % w.taps_x, index // w.taps_x % w.taps_y
        ch, f = index // w.taps_x // w.taps_y % w.channels, index // w.taps_x // w.taps_y // w.channels
        tap, j, depth = (at.tap_y + i) * at.taps_x + at.tap_x + x, at.filter + f, at.channel + ch
        if tile.depthwise:
            value = m.wgt[at.wgt + tap * tile.n + j]
        else:
            quad = group(m)
            block = at.wgt + j // 16 * at.block + tap * tile.depth * 16
            value = m.wgt[block + depth // quad * 16 * quad + j % 16 * quad + depth % quad]
        for y in range(w.rows):
            pe = _pe(c, w, w.rows, f // w.p * w.r + ch // w.q, i, y)
            s.wgt[pe, (f % w.p * w.q + ch % w.q) * w.taps_x + x] = value
            e[ev.PE_WGT_WRITE] += 1


@kernel
def _deliver(m: Memory, c: Timing, e: Ints, s: State, tile: Tile, w: Pass, at: Place, column: int, goal: int) -> None:
    """Put the cycle's inputs of an output column on their bus, and into the queues of all PEs that read them."""
    lines = w.window // w.taps_x
    for _ in range(c.act_bus):
        index = s.bus[ACT]
        if index >= goal:
            return
        s.bus[ACT] += 1
        e[ev.ACT_READ_BYTES] += 1
        fresh = goal // lines
        delivered = w.filters if tile.depthwise else w.channels
        tags = lines // delivered
        x, tag, ch = w.taps_x - fresh + index % fresh, index // fresh % tags, index // fresh // tags
        value = m.act[at.act + s.row[tag] + column * tile.act_col + x * tile.tap_col + ch]
        for i in range(w.taps_y):
            for y in range(w.rows):
                if s.tag[i, y] == tag:
                    _receive(c, s, tile, w, i, y, ch, value)


@kernel
def _receive(c: Timing, s: State, tile: Tile, w: Pass, i: int, y: int, ch: int, value: int) -> None:
    """Let the PEs of a kernel row and output row that hold channel ch take an input from the bus."""
    for k in range(w.t):
        if not tile.depthwise or ch // w.p == k:
            pe = _pe(c, w, w.rows, k * w.r + (0 if tile.depthwise else ch // w.q), i, y)
            s.queue[pe, s.pe[pe, QUEUED]] = value
            s.pe[pe, QUEUED] += 1


@kernel
def _bring(m: Memory, c: Timing, e: Ints, s: State, w: Pass, at: Place, column: int, goal: int) -> None:
    """Put the cycle's partial sums of an output column on their bus, and into the queues of the lowest PEs."""
    for _ in range(min(c.psum_bus, goal - s.bus[IN])):
        chains = w.rows * w.t
        j, chain = _word(w.rows, w.filters, w.p, chains, s.bus[IN])
        s.bus[IN] += 1
        value = 0
        if not at.fresh:
            y, f = chain % w.rows, chain // w.rows * w.p + j
            value = m.acc[at.acc + (y * w.cols + column) * at.acc_col + f]
            e[ev.ACC_READ_WORDS] += 1
        s.entering[chain, s.ends[chain, ENTERED]] = value
        s.ends[chain, ENTERED] += 1


@kernel
def _word(rows: int, filters: int, p: int, chains: int, index: int) -> tuple[int, int]:
    """Return which sum of which chain is the index-th on a bus: the first filter of every set, then the second ones."""
    whole = filters - (chains // rows - 1) * p  # filters of the last sets
    if index < whole * chains:
        return index // chains, index % chains
    index -= whole * chains
    return whole + index // (chains - rows), index % (chains - rows)


@kernel
def _send(m: Memory, c: Timing, e: Ints, s: State) -> None:
    """Let the cycle's partial sums leave: from the top of their chains, over the bus, to the accumulator buffer."""
    p = s.port
    for _ in range(min(c.psum_bus, p[GOAL] - p[MOVED])):
        j, chain = _word(p[ROWS], p[FILTERS], p[P], p[CHAINS], p[MOVED])
        p[MOVED] += 1
        y, f = chain % p[ROWS], chain // p[ROWS] * p[P] + j
        value = s.leaving[chain, 0]
        s.ends[chain, LEFT] -= 1
        for i in range(s.ends[chain, LEFT]):
            s.leaving[chain, i] = s.leaving[chain, i + 1]
        m.acc[p[TO] + y * p[LINE] + f] = value  # wraps to the width of a sum
        e[ev.ACC_WRITE_WORDS] += 1


@kernel
def _cycle(m: Memory, c: Timing, e: Ints, s: State, tile: Tile, w: Pass, at: Place, x: int, t: int) -> None:
    """Do one cycle of all PEs and of the leaving port; in cycle 0 the controller hands out the token of step x."""
    top = 0
    for k in range(w.t):
        for y in range(w.rows):
            for position in range(w.chain - 1, -1, -1):  # from the top, so that below is still the cycle before's
                pe = _pe(c, w, w.rows, k * w.r + position // w.taps_y, position % w.taps_y, y)
                below = IDLE
                if position:
                    below = _pe(c, w, w.rows, k * w.r + (position - 1) // w.taps_y, (position - 1) % w.taps_y, y)
                if position == w.chain - 1:
                    top = s.pe[pe, STARTED]
                _climb(e, s, w, k * w.rows + y, position, pe, below)
                token = s.pe[below, STARTED] if position else (t == 0 and x < w.cols)
                _work(e, s, tile, w, k, position // w.taps_y, pe, token)
    if top:
        s.port[ARRIVED] += 1
        s.port[MOVED] = 0
        s.port[GOAL] = w.psums if s.port[ARRIVED] > 1 else 0
        s.port[TO] = at.acc + (s.port[ARRIVED] - 2) * at.acc_col
    _send(m, c, e, s)


@kernel
def _climb(e: Ints, s: State, w: Pass, chain: int, position: int, pe: int, below: int) -> None:
    """Add the PE's finished sum, if there is one, to what comes from below, and hand it up."""
    j = s.pe[pe, READY]
    if j == IDLE:
        return
    s.pe[pe, READY] = IDLE
    value = s.psum[pe, j]
    e[ev.PE_PSUM_READ] += 1
    if position:
        value += s.pe[below, LINK]
        e[ev.HOP_PSUM] += 1
    else:
        value += s.entering[chain, 0]
        s.ends[chain, ENTERED] -= 1
        for i in range(s.ends[chain, ENTERED]):
            s.entering[chain, i] = s.entering[chain, i + 1]
    if position == w.chain - 1:
        s.leaving[chain, s.ends[chain, LEFT]] = value
        s.ends[chain, LEFT] += 1
    else:
        s.pe[pe, LINK] = value


@kernel
def _work(e: Ints, s: State, tile: Tile, w: Pass, k: int, part: int, pe: int, token: int) -> None:
    """Start a step if the token came, and do the PE's multiply-accumulate of this cycle, if it has one."""
    s.pe[pe, STARTED] = token
    if token:
        fresh = (w.fresh * w.taps_x // w.window) if s.pe[pe, STEPS] else w.taps_x
        _take(e, s, w, pe, fresh, _filters(w, k) if tile.depthwise else _channels(w, part))
        s.pe[pe, STEPS] += 1
        s.pe[pe, CLOCK] = 0
    elif s.pe[pe, CLOCK] != IDLE:
        s.pe[pe, CLOCK] += 1
    if s.pe[pe, CLOCK] == w.macs:
        s.pe[pe, CLOCK] = IDLE
    each = w.q * w.taps_x
    j, at = s.pe[pe, CLOCK] // each, s.pe[pe, CLOCK] % each
    if s.pe[pe, CLOCK] == IDLE or j >= _filters(w, k):
        return
    if at // w.taps_x < _channels(w, part):
        held = (j if tile.depthwise else at // w.taps_x) * w.taps_x + at % w.taps_x
        product = s.act[pe, held] * s.wgt[pe, j * each + at]
        e[ev.PE_PSUM_READ] += at > 0
        s.psum[pe, j] = s.psum[pe, j] + product if at else product
        e[ev.MAC] += 1
        e[ev.PE_ACT_READ] += 1
        e[ev.PE_WGT_READ] += 1
        e[ev.PE_PSUM_WRITE] += 1
    if at == each - 1:
        s.pe[pe, READY] = j


@kernel
def _take(e: Ints, s: State, w: Pass, pe: int, fresh: int, channels: int) -> None:
    """Move the window of each channel on by the inputs that wait in the queue."""
    kept = w.taps_x - fresh
    for ch in range(channels):
        line = s.act[pe, ch * w.taps_x : (ch + 1) * w.taps_x]
        for x in range(kept):
            line[x] = line[x + fresh]
        for x in range(fresh):
            line[kept + x] = s.queue[pe, ch * fresh + x]
    taken = fresh * channels
    e[ev.PE_ACT_WRITE] += taken
    s.pe[pe, QUEUED] -= taken
    for i in range(s.pe[pe, QUEUED]):
        s.queue[pe, i] = s.queue[pe, i + taken]


@kernel
def _drain(m: Memory, c: Timing, e: Ints, s: State) -> int:
    """Let the very last sums leave; return the cycles."""
    t = 0
    while s.port[MOVED] < s.port[GOAL]:
        _send(m, c, e, s)
        t += 1
    return t


@kernel
def _reset(c: Timing, tile: Tile) -> State:
    """Return empty registers, with queues as deep as a chain's delay can need."""
    pes = c.array_rows * c.array_cols
    deep, ends = c.act_entries * (pes + 3), 3 * c.psum_entries
    s = State(
        np.zeros((pes, c.act_entries), np.int64), np.zeros((pes, c.wgt_entries), np.int64),
        np.zeros((pes, c.psum_entries), np.int64), np.zeros((pes, deep), np.int64), np.zeros((pes, 6), np.int64),
        np.zeros((pes, ends), np.int64), np.zeros((pes, ends), np.int64), np.zeros((pes, 2), np.int64),
        np.zeros((tile.taps_y, tile.rows), np.int64), np.zeros(tile.taps_y * tile.rows, np.int64),
        np.zeros(4, np.int64), np.zeros(9, np.int64),
    )  # fmt: skip
    s.pe[:, CLOCK] = IDLE
    s.pe[:, READY] = IDLE
    return s


@kernel
def _tile(m: Memory, c: Timing, e: Ints, s: State, tile: Tile, k: Mapping, place: Place) -> int:
    """Run the passes of one group and return their cycles."""
    cycles = 0
    for y in range(0, tile.rows, k.e):
        for f in range(0, tile.n, k.p * k.t):
            fresh = place.fresh
            for i in range(0, tile.taps_y, k.taps_y):
                for x in range(0, tile.taps_x, k.taps_x):
                    for ch in range(0, tile.depth, k.q * k.r):
                        w = make_pass(
                            tile, k, min(k.e, tile.rows - y), min(k.taps_y, tile.taps_y - i),
                            min(k.taps_x, tile.taps_x - x), min(k.q * k.r, tile.depth - ch),
                            min(k.p * k.t, tile.n - f),
                        )
                        at = Place(
                            place.act + y * tile.act_row + i * tile.tap_row + x * tile.tap_col
                            + (f if tile.depthwise else ch),
                            place.wgt, place.acc + y * tile.cols * place.acc_col + f, place.acc_col, place.taps_x,
                            place.block, f, ch, i, x, fresh,
                        )
                        cycles += _pass(m, c, e, s, tile, w, at)
                        fresh = 0
    return cycles


@kernel
def conv(
    m: Memory, c: Timing, e: Ints, act: int, act_row: int, act_col: int, rows: int, cols: int, taps_y: int,
    taps_x: int, depth: int, tap_row: int, tap_col: int, wgt: int, acc: int, acc_col: int, n: int, accumulate: int,
    groups: int, act_group: int,
) -> int:
    """Execute `conv`; add its access counts to `e` and return its cycles."""
    tile = Tile(rows, cols, 1, taps_y, taps_x, depth, n, act_row, act_col, tap_row, tap_col, 0)
    block = taps_y * taps_x * depth * 16
    s = _reset(c, tile)
    cycles = 0
    for g in range(groups):
        place = Place(
            act + g * act_group, wgt + g * n // 16 * block, acc + g * n, acc_col, taps_x, block, 0, 0, 0, 0,
            1 - accumulate,
        )
        cycles += _tile(m, c, e, s, tile, choose(c, tile), place)
    return cycles + _drain(m, c, e, s) - c.last_index


@kernel
def depthwise(
    m: Memory, c: Timing, e: Ints, act: int, act_row: int, act_col: int, rows: int, cols: int, taps_y: int,
    taps_x: int, tap_row: int, tap_col: int, wgt: int, acc: int, acc_col: int, n: int,
) -> int:
    """Execute `depthwise`; add its access counts to `e` and return its cycles."""
    tile = Tile(rows, cols, 1, taps_y, taps_x, 1, n, act_row, act_col, tap_row, tap_col, 1)
    s = _reset(c, tile)
    place = Place(act, wgt, acc, acc_col, taps_x, 0, 0, 0, 0, 0, 1)
    return _tile(m, c, e, s, tile, choose(c, tile), place) + _drain(m, c, e, s) - c.last_index
