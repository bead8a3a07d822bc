"""The DMA engines: how a transfer becomes bursts, when they are asked for, and which on-chip bank they reach.

The rules, in clock cycles; the LOAD and the STORE queue of each core have an engine each, which does one transfer at a
time:

* A transfer is split into runs of bytes that lie together in DRAM: pixels merge when they follow each other without a
  gap, then rows. A run is split into the aligned bursts that cover it; what they hold beyond the run travels too.
* The first burst is asked for `issue` cycles after the transfer starts, each further one a cycle after the one before,
  but never more than `outstanding` are under way: burst k waits for burst k - outstanding to have passed.
* A burst passes the engine's on-chip path once its data are over on the DRAM's bus (see `dram`), and at least
  `path = ceil(burst_bytes / bytes_per_cycle)` cycles after the engine's burst before. When the last one passes, the
  transfer is complete. A store works the same way in the other direction.
* A load that is all padding asks for no burst and is complete after `issue` cycles.
* When engines ask in the same cycle, those of the lower core are served first, and of one core LOAD before STORE.
* A burst that passes at cycle t takes one port of one bank of its buffer for `ceil(burst_bytes / width_bytes)` cycles.
  The bank is that of the byte `first + moved * length / total` of the buffer, where the transfer's on-chip range starts
  at `first` and is `length` bytes long, and `moved` of its `total` bytes lie before the burst: the place is exact for a
  transfer without gaps on chip, and in proportion for others.
* If MAC and VECTOR instructions hold every port of that bank (they started before t and end at t or later), the burst
  steals: the one of them that started last (VECTOR if both started together) ends that many cycles later.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from accelc.chip import Chip
from accelc.chip.model import MOST_CORES
from accelc.sim import dram
from accelc.sim.dram import State
from accelc.sim.jit import step
from accelc.sim.units import unit_count

NEVER = 1 << 62
LOAD, STORE, MAC, VECTOR = range(4)

# A unit is a queue, numbered as in `units`; an engine is 2 * core + LOAD or STORE.
MOST_UNITS = unit_count(MOST_CORES)
MOST_ENGINES = 2 * MOST_CORES
# Times of what comes next: the completion of each unit's instruction, the next request of each engine. NEVER: none.
EVENTS = dram.DRAM_END
DONE = EVENTS
REQUEST = DONE + MOST_UNITS
EVENTS_END = REQUEST + MOST_ENGINES
# Parameters and state shared by all queues.
NOW = EVENTS_END
ISSUE = NOW + 1
PATH = NOW + 2
OUTSTANDING = NOW + 3
RINGS = NOW + 4  # where the rings begin
CORES = NOW + 5  # how many there are
BUS_BOUND = NOW + 6  # whether the bus alone bounds a transfer under way
BANK_BYTES = NOW + 8  # per buffer: act or unified, wgt, acc
PORTS = NOW + 12
STEAL = NOW + 16
# Per unit.
RUNNING = NOW + 20  # the instruction under way, or -1
HEAD = RUNNING + MOST_UNITS  # its next instruction to start, or -1
LAST = HEAD + MOST_UNITS  # the instruction that finished last, or -1
BEGAN = LAST + MOST_UNITS  # when the running instruction started
STOLEN = BEGAN + MOST_UNITS  # cycles stolen from it
AWAITED_OF = STOLEN + MOST_UNITS  # whose instruction its next one is known to wait for
AWAITED = AWAITED_OF + MOST_UNITS  # and which, or -1
# Per core.
FULL = AWAITED + MOST_UNITS  # per buffer: bit mask of the banks whose every port a running instruction holds
FULL_WIDTH = 4
HOLD = FULL + FULL_WIDTH * MOST_CORES  # per buffer, for MAC, then (4 further) VECTOR: bit mask of the banks it holds
HOLD_WIDTH = 8
# Per engine: the transfer under way, where it stands, and its MOVE_FIELDS parameters.
ENGINES = HOLD + HOLD_WIDTH * MOST_CORES
ENGINE_WIDTH = 32
(
    ADDRESS, LEFT, RUN, X, Y, MOVED, ISSUED, PASSED, SLOT, LAST_PASS, EVEN, GAP, ACTIVATES, BANKS,
    ORIGIN, ROWS, ROW, COLS, COL, BYTES, FIRST, LENGTH, BUFFER, TOTAL,
) = range(24)  # fmt: skip
MOVE_FIELDS = TOTAL - ORIGIN + 1
RINGS_AT = ENGINES + MOST_ENGINES * ENGINE_WIDTH


@step
def unit_of(e: int) -> int:
    """Return the unit whose transfers an engine does."""
    return 2 * e - (e & 1)


@step
def begin(s: State, table: npt.NDArray[np.int64], i: int, column: int, e: int) -> None:
    """Start the transfer of instruction `i`, whose MOVE_FIELDS parameters begin at `column`, on engine `e`."""
    at = ENGINES + e * ENGINE_WIDTH
    for k in range(MOVE_FIELDS):
        s[at + ORIGIN + k] = table[i, column + k]
    for k in (X, Y, MOVED, ISSUED, PASSED, SLOT, EVEN, ACTIVATES):
        s[at + k] = 0
    ring = s[RINGS] + 2 * e * s[OUTSTANDING]
    for k in range(s[OUTSTANDING]):
        s[ring + k] = 0
    if s[at + TOTAL] == 0:
        s[DONE + unit_of(e)] = s[NOW] + s[ISSUE]
        return
    size = s[BANK_BYTES + s[at + BUFFER]]
    s[at + BANKS] = banks_of(s[at + FIRST], s[at + FIRST] + s[at + LENGTH], size)
    _begin_run(s, at)
    s[REQUEST + e] = s[NOW] + s[ISSUE]


@step
def banks_of(first: int, end: int, bank_bytes: int) -> int:
    """Return the bit mask of the banks that hold the bytes first to end - 1."""
    return (2 << ((end - 1) // bank_bytes)) - (1 << (first // bank_bytes))


@step
def _begin_run(s: State, at: int) -> None:
    shift = s[dram.BURST_SHIFT]
    address = s[at + ORIGIN] + s[at + Y] * s[at + ROW] + s[at + X] * s[at + COL]
    first = address >> shift
    s[at + RUN] = address
    s[at + ADDRESS] = first << shift
    s[at + LEFT] = ((address + s[at + BYTES] - 1) >> shift) - first + 1


@step
def _next_run(s: State, at: int) -> bool:
    """Go on to the next run of the transfer; say whether there is one."""
    s[at + MOVED] += s[at + BYTES]
    s[at + X] += 1
    if s[at + X] == s[at + COLS]:
        s[at + X] = 0
        s[at + Y] += 1
        if s[at + Y] == s[at + ROWS]:
            return False
    _begin_run(s, at)
    return True


@step
def serve(s: State, e: int, limit: int) -> None:
    """Serve engine `e`'s requests made before cycle `limit`, in which the other engines make none."""
    if s[BUS_BOUND]:
        _serve_bound(s, e, limit)
    else:
        _serve_any(s, e, limit)


@step
def _serve_any(s: State, e: int, limit: int) -> None:
    """Serve requests on any chip.

    The step from one row hit to the next is made of sums and maxima of times. So where it has moved all times that it
    depends on by `gap` cycles, every further one does, up to the run's last burst or what `_even_bursts` says.
    """
    at = ENGINES + e * ENGINE_WIDTH
    ring, outstanding, path = s[RINGS] + 2 * e * s[OUTSTANDING], s[OUTSTANDING], s[PATH]
    size = 1 << s[dram.BURST_SHIFT]
    t, bus, last, slot = s[REQUEST + e], s[dram.BUS_FREE], s[at + LAST_PASS], ring + s[at + SLOT]
    even, gap, served, activates = s[at + EVEN], s[at + GAP], s[at + ISSUED], s[at + ACTIVATES]
    address, left, moved, run = s[at + ADDRESS], s[at + LEFT], s[at + MOVED], s[at + RUN]
    while t < limit:
        over, opened = dram.access(s, address, t, bus)
        activates += opened
        passes = max(over, last + path)
        even = even + 1 if passes - last == gap else 1
        gap = passes - last
        s[slot] = passes
        s[slot + outstanding] = moved + max(0, address - run)
        slot = slot + 1 if slot + 1 < ring + outstanding else ring
        after = max(t + 1, s[slot])
        steady = not opened and even > outstanding and over - bus == gap and after - t == gap
        t, bus, last = after, over, passes
        served += 1
        address += size
        left -= 1
        if left == 0:
            if not _next_run(s, at):
                t = NEVER
                s[DONE + unit_of(e)] = last
            address, left, moved, run = s[at + ADDRESS], s[at + LEFT], s[at + MOVED], s[at + RUN]
        elif steady and left > 1:
            jump, opened = _even_bursts(s, address, left - 1, gap, t, bus, limit)
            slot = _note(s, ring, slot, jump, (last, gap), (moved + address - run, size))
            t, bus, last = t + jump * gap, bus + jump * gap, last + jump * gap
            address, left, served, activates = address + jump * size, left - jump, served + jump, activates + opened
    s[REQUEST + e], s[dram.BUS_FREE], s[at + LAST_PASS], s[at + SLOT] = t, bus, last, slot - ring
    s[at + EVEN], s[at + GAP], s[at + ISSUED], s[at + ACTIVATES] = even, gap, served, activates
    s[at + ADDRESS], s[at + LEFT] = address, left


@step
def _even_bursts(s: State, address: int, left: int, gap: int, t: int, bus: int, limit: int) -> tuple[int, int]:
    """Serve up to `left` bursts from `address` on that follow evenly, each `gap` cycles after the one before.

    They are hits up to a refresh or the row's end; the first burst of a row is even where its bank is ready in time.
    Return how many are served and how many rows they open; bus and engine are left to the caller.
    """
    served, opens, burst, access = 0, 0, s[dram.BURST], s[dram.ACCESS]
    while served < left:
        line = address >> s[dram.ROW_SHIFT]
        bank, row = dram.bank_of(s, line), line >> s[dram.BANK_BITS]
        place = (address >> s[dram.BURST_SHIFT]) & (s[dram.ROW_BURSTS] - 1)
        first = max(t, bus - access)
        if place == 0:
            first = max(t, s[bank + 1])
            column = first
            if s[bank] != row:
                column += s[dram.ACTIVATE] + (s[dram.PRECHARGE] if s[bank] >= 0 else 0)
            if max(column + access, bus) + burst != bus + gap:
                break
        most = min(left - served, s[dram.ROW_BURSTS] - place)
        until = min(limit - t, s[bank + 2] - max(first, bus - access))
        count = most if (most - 1) * gap < until else -(-until // gap)
        if count <= 0:
            break
        opens += s[bank] != row
        s[bank] = row
        served, address = served + count, address + (count << s[dram.BURST_SHIFT])
        t, bus = t + count * gap, bus + count * gap
        s[bank + 1] = bus - access
        if count < most:
            break
    return served, opens


@step
def _serve_bound(s: State, e: int, limit: int) -> None:
    """Serve requests where the bus is what bounds an engine, once its first burst is under way.

    A burst passes as its data are over, since the path is no slower than the bus. With the bus busy until `bus`, a row
    hit asked for by `bus - access` is over at `bus + burst`: its bank became ready at `bus - access`. The requests
    after it come as early: they follow passes `outstanding` bursts before, and so many bursts less one take `access`.
    """
    at = ENGINES + e * ENGINE_WIDTH
    ring, outstanding = s[RINGS] + 2 * e * s[OUTSTANDING], s[OUTSTANDING]
    size, burst, access = 1 << s[dram.BURST_SHIFT], s[dram.BURST], s[dram.ACCESS]
    t, bus, slot = s[REQUEST + e], s[dram.BUS_FREE], ring + s[at + SLOT]
    served, activates = s[at + ISSUED], s[at + ACTIVATES]
    address, left, moved, run = s[at + ADDRESS], s[at + LEFT], s[at + MOVED], s[at + RUN]
    while t < limit:
        bus, opened = dram.access(s, address, t, bus)
        activates += opened
        s[slot] = bus
        s[slot + outstanding] = moved + max(0, address - run)
        slot = slot + 1 if slot + 1 < ring + outstanding else ring
        t = max(t + 1, s[slot])
        served, address, left = served + 1, address + size, left - 1
        if left > 1 and limit - t > 4 * burst and t <= bus - access:
            count, opened = _bound_bursts(s, address, left - 1, ring, slot, t, bus, limit)
            t = _request(s, ring, slot, t, bus + burst, count)
            slot = _note(s, ring, slot, count, (bus, burst), (moved + address - run, size))
            bus, served, activates = bus + count * burst, served + count, activates + opened
            address, left = address + count * size, left - count
        elif left == 0:
            if not _next_run(s, at):
                t = NEVER
                s[DONE + unit_of(e)] = bus
            address, left, moved, run = s[at + ADDRESS], s[at + LEFT], s[at + MOVED], s[at + RUN]
    s[REQUEST + e], s[dram.BUS_FREE], s[at + SLOT], s[at + LAST_PASS] = t, bus, slot - ring, bus
    s[at + ISSUED], s[at + ACTIVATES], s[at + ADDRESS], s[at + LEFT] = served, activates, address, left


@step
def _note(s: State, ring: int, slot: int, count: int, passes: tuple[int, int], moved: tuple[int, int]) -> int:
    """Note the last of `count` bursts that follow evenly; return the slot after them.

    `passes` are when the burst before them passes and the cycles between two, `moved` the bytes before the first of
    them and those of each.
    """
    outstanding = s[OUTSTANDING]
    if count < outstanding:
        for k in range(count):
            s[slot] = passes[0] + (k + 1) * passes[1]
            s[slot + outstanding] = moved[0] + k * moved[1]
            slot = slot + 1 if slot + 1 < ring + outstanding else ring
        return slot
    # They fill the ring, which may begin anywhere then.
    last, before = passes[0] + (count - outstanding + 1) * passes[1], moved[0] + (count - outstanding) * moved[1]
    for k in range(outstanding):
        s[ring + k] = last + k * passes[1]
    for k in range(outstanding):
        s[ring + outstanding + k] = before + k * moved[1]
    return ring


@step
def _request(s: State, ring: int, slot: int, t: int, first: int, k: int) -> int:
    """Return when the burst `k` after one asked for at `t` is asked for, if they pass a burst apart from `first` on."""
    outstanding = s[OUTSTANDING]
    if k >= outstanding:
        return max(t + k, first + (k - outstanding) * s[dram.BURST])  # type: ignore[no-any-return]
    slot += k
    return max(t + k, s[slot if slot < ring + outstanding else slot - outstanding])  # type: ignore[no-any-return]


@step
def _asked_before(s: State, ring: int, slot: int, t: int, first: int, limit: int, most: int) -> int:
    """Return how many bursts, the one asked for at `t` and those after it, are asked for before cycle `limit`.

    Of more than `most`, it may be that number.
    """
    burst = s[dram.BURST]
    if limit > first - burst:  # by then all earlier ones have passed
        if limit - t >= most and limit - first >= (most - s[OUTSTANDING]) * burst:
            return most
        return min(limit - t, s[OUTSTANDING] + (limit - first + burst - 1) // burst)  # type: ignore[no-any-return]
    k = 0
    while _request(s, ring, slot, t, first, k) < limit:
        k += 1
    return k


@step
def _bound_bursts(
    s: State, address: int, left: int, ring: int, slot: int, t: int, bus: int, limit: int
) -> tuple[int, int]:
    """Serve up to `left` bursts from `address` on that keep the bus busy; see `_serve_bound`.

    A row opens in the shadow of the bursts before it where that is asked for in time, whether or not a refresh closed
    it; a refresh within a row ends the bursts. Return how many are served and how many rows they open; bus and engine
    are left to the caller.
    """
    served, opens, burst, access = 0, 0, s[dram.BURST], s[dram.ACCESS]
    left = min(left, _asked_before(s, ring, slot, t, bus + burst, limit, left))
    while served < left:
        line = address >> s[dram.ROW_SHIFT]
        bank, row = dram.bank_of(s, line), line >> s[dram.BANK_BITS]
        column = bus + served * burst - access
        asked = _request(s, ring, slot, t, bus + burst, served)
        earliest, opened, refresh = dram.command(s, bank, row, asked)
        if earliest > column:
            break
        s[bank], s[bank + 2], opens = row, refresh, opens + opened
        place = (address >> s[dram.BURST_SHIFT]) & (s[dram.ROW_BURSTS] - 1)
        count = min(left - served, s[dram.ROW_BURSTS] - place)
        if refresh < column + (count - 1) * burst + 1:
            count = max(1, (refresh - column + burst - 1) // burst)
        served, address = served + count, address + (count << s[dram.BURST_SHIFT])
        s[bank + 1] = column + count * burst
    return served, opens


@step
def can_steal(s: State, e: int) -> bool:
    """Say whether bursts of engine `e`'s transfer may reach a bank with no free port."""
    at = ENGINES + e * ENGINE_WIDTH
    full = s[FULL + FULL_WIDTH * (e >> 1) + s[at + BUFFER]]
    return s[RUNNING + unit_of(e)] >= 0 and (s[at + BANKS] & full) != 0  # type: ignore[no-any-return]


@step
def steal(s: State, e: int, last: int) -> bool:
    """Let the bursts of engine `e` that pass after now, up to cycle `last`, steal ports; say whether any did."""
    at = ENGINES + e * ENGINE_WIDTH
    ring, outstanding = s[RINGS] + 2 * e * s[OUTSTANDING], s[OUTSTANDING]
    changed = False
    s[at + PASSED] = max(s[at + PASSED], s[at + ISSUED] - outstanding)
    while s[at + PASSED] < s[at + ISSUED]:
        slot = s[at + SLOT] - (s[at + ISSUED] - s[at + PASSED])
        slot = ring + (slot if slot >= 0 else slot + outstanding)
        if s[slot] > last:
            break
        if s[slot] > s[NOW]:
            changed |= _pass_port(s, e, s[slot + outstanding])
        s[at + PASSED] += 1
    return changed


@step
def _pass_port(s: State, e: int, moved: int) -> bool:
    """Let a burst of engine `e` steal its port if its bank has none free; say whether it did."""
    at, core = ENGINES + e * ENGINE_WIDTH, e >> 1
    buffer, first = s[at + BUFFER], 4 * core
    bank = (s[at + FIRST] + moved * s[at + LENGTH] // s[at + TOTAL]) // s[BANK_BYTES + buffer]
    if not (s[FULL + FULL_WIDTH * core + buffer] >> bank) & 1:
        return False
    hold = HOLD + HOLD_WIDTH * core + buffer
    mac = (s[hold] >> bank) & 1
    vector = (s[hold + 4] >> bank) & 1
    victim = first + VECTOR
    if mac and (not vector or s[BEGAN + first + MAC] > s[BEGAN + first + VECTOR]):
        victim = first + MAC
    s[DONE + victim] += s[STEAL + buffer]
    s[STOLEN + victim] += s[STEAL + buffer]
    return True


@step
def update_full(s: State, core: int) -> None:
    """Note which banks of a core have no free port now that a MAC or VECTOR instruction started or completed."""
    hold, full = HOLD + HOLD_WIDTH * core, FULL + FULL_WIDTH * core
    for b in range(3):
        mac, vector = s[hold + b], s[hold + 4 + b]
        if s[PORTS + b] == 1:
            s[full + b] = mac | vector
        elif s[PORTS + b] == 2:
            s[full + b] = mac & vector


def set_up(state: State, chip: Chip) -> None:
    """Write the parameters and the state at cycle 0 of everything but the DRAM."""
    c = chip.timing
    state[EVENTS:EVENTS_END] = NEVER
    state[ISSUE] = c.dma_issue_cycles
    state[PATH] = -(-c.dram_burst_bytes // c.dma_bytes_per_cycle)
    state[OUTSTANDING] = c.dma_outstanding
    state[RINGS] = RINGS_AT
    state[CORES] = c.cores
    keeps_up = (c.dma_outstanding - 1) * c.dram_burst_cycles >= c.dram_access_cycles
    state[BUS_BOUND] = keeps_up and c.dram_burst_cycles >= state[PATH]
    buffers = chip.buffers
    for k, buffer in enumerate((buffers.act or buffers.unified, buffers.wgt or buffers.unified, buffers.acc)):
        assert buffer is not None
        state[BANK_BYTES + k] = buffer.bytes // buffer.banks
        state[PORTS + k] = buffer.ports
        state[STEAL + k] = -(-c.dram_burst_bytes // buffer.width_bytes)
    state[RUNNING:BEGAN] = state[AWAITED:FULL] = -1
    for e in range(2 * c.cores):
        state[ENGINES + e * ENGINE_WIDTH + LAST_PASS] = -state[PATH]
