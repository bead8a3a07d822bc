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
from accelc.sim.jit import kernel
from accelc.sim.units import unit_count

NEVER = 1 << 62
LOAD, STORE, MAC, VECTOR = range(4)

# A unit is a queue, numbered as in `units`; an engine is 2 * core + LOAD or STORE.
MOST_UNITS = unit_count(MOST_CORES)
MOST_ENGINES = 2 * MOST_CORES
# Times of the events to come, in the order in which events of one cycle are taken: bursts passing an on-chip port
# (one per engine), completions (one per unit), requests (one per engine). NEVER: none to come.
EVENTS = dram.DRAM_END
PASS = EVENTS
DONE = PASS + MOST_ENGINES
REQUEST = DONE + MOST_UNITS
EVENTS_END = REQUEST + MOST_ENGINES
# Parameters and state shared by all queues.
NOW = EVENTS_END
ISSUE = NOW + 1
PATH = NOW + 2
OUTSTANDING = NOW + 3
RINGS = NOW + 4  # where the rings begin
UNITS = NOW + 5  # how many there are
BANK_BYTES = NOW + 8  # per buffer: act or unified, wgt, acc
PORTS = NOW + 12
STEAL = NOW + 16
# Per unit.
RUNNING = NOW + 20  # the instruction under way, or -1
HEAD = RUNNING + MOST_UNITS  # its next instruction to start, or -1
LAST = HEAD + MOST_UNITS  # the instruction that finished last, or -1
BEGAN = LAST + MOST_UNITS  # when the running instruction started
STOLEN = BEGAN + MOST_UNITS  # cycles stolen from it
# Per core.
FULL = STOLEN + MOST_UNITS  # per buffer: bit mask of the banks whose every port a running instruction holds
FULL_WIDTH = 4
HOLD = FULL + FULL_WIDTH * MOST_CORES  # per buffer, for MAC, then (4 further) VECTOR: bit mask of the banks it holds
HOLD_WIDTH = 8
# Per engine.
ENGINES = HOLD + HOLD_WIDTH * MOST_CORES
ENGINE_WIDTH = 32
(
    ADDRESS, LEFT, RUN, X, Y, MOVED, ISSUED, PASSED, SLOT, LAST_PASS, HITS, ACTIVATES,
    ORIGIN, ROWS, ROW, COLS, COL, BYTES, FIRST, LENGTH, BUFFER, TOTAL,
) = range(22)  # fmt: skip
MOVE_FIELDS = TOTAL - ORIGIN + 1
RINGS_AT = ENGINES + MOST_ENGINES * ENGINE_WIDTH


@kernel
def unit_of(e: int) -> int:
    """Return the unit whose transfers an engine does."""
    return 2 * e - (e & 1)


@kernel
def begin(s: State, table: npt.NDArray[np.int64], i: int, column: int, e: int) -> None:
    """Start the transfer of instruction `i`, whose MOVE_FIELDS parameters begin at `column`, on engine `e`."""
    at = ENGINES + e * ENGINE_WIDTH
    for k in range(MOVE_FIELDS):
        s[at + ORIGIN + k] = table[i, column + k]
    for k in (X, Y, MOVED, ISSUED, PASSED, SLOT, HITS, ACTIVATES):
        s[at + k] = 0
    ring = s[RINGS] + 2 * e * s[OUTSTANDING]
    for k in range(s[OUTSTANDING]):
        s[ring + k] = 0
    if s[at + TOTAL] == 0:
        s[DONE + unit_of(e)] = s[NOW] + s[ISSUE]
        return
    _begin_run(s, at, s[at + ORIGIN])
    s[REQUEST + e] = s[NOW] + s[ISSUE]


@kernel
def _begin_run(s: State, at: int, address: int) -> None:
    shift = s[dram.BURST_SHIFT]
    first = address >> shift
    s[at + RUN] = address
    s[at + ADDRESS] = first << shift
    s[at + LEFT] = ((address + s[at + BYTES] - 1) >> shift) - first + 1


@kernel
def _advance(s: State, at: int) -> bool:
    """Go on to the next burst of the transfer; say whether there is one."""
    s[at + LEFT] -= 1
    if s[at + LEFT] > 0:
        s[at + ADDRESS] += 1 << s[dram.BURST_SHIFT]
        return True
    s[at + MOVED] += s[at + BYTES]
    s[at + X] += 1
    if s[at + X] == s[at + COLS]:
        s[at + X] = 0
        s[at + Y] += 1
        if s[at + Y] == s[at + ROWS]:
            return False
    _begin_run(s, at, s[at + ORIGIN] + s[at + Y] * s[at + ROW] + s[at + X] * s[at + COL])
    return True


@kernel
def request(s: State, e: int) -> None:
    """Serve engine `e`'s request made now, and note when it makes its next one or is complete."""
    at = ENGINES + e * ENGINE_WIDTH
    hits, activates = s[dram.ROW_HITS], s[dram.ACTIVATES]
    over = dram.access(s, s[at + ADDRESS], s[NOW])
    s[at + HITS] += s[dram.ROW_HITS] - hits
    s[at + ACTIVATES] += s[dram.ACTIVATES] - activates
    passes = max(over, s[at + LAST_PASS] + s[PATH])
    s[at + LAST_PASS] = passes
    slot = s[RINGS] + 2 * e * s[OUTSTANDING] + s[at + SLOT]
    s[slot] = passes
    s[slot + s[OUTSTANDING]] = s[at + MOVED] + max(0, s[at + ADDRESS] - s[at + RUN])
    s[at + ISSUED] += 1
    s[at + SLOT] += 1
    if s[at + SLOT] == s[OUTSTANDING]:
        s[at + SLOT] = 0
    if _advance(s, at):
        s[REQUEST + e] = max(s[NOW] + 1, s[s[RINGS] + 2 * e * s[OUTSTANDING] + s[at + SLOT]])
    else:
        s[REQUEST + e] = NEVER
        s[DONE + unit_of(e)] = passes
    if s[PASS + e] == NEVER and any_full(s, e >> 1):
        watch(s, e)


@kernel
def stream(s: State, e: int, until: int) -> None:
    """Serve engine `e`'s requests made before cycle `until` while they stay in one run and hit one open row.

    The same steps as `request` and `dram.access` take, with their state in registers. It stops before the run's last
    burst, a refresh, and (see `_run`) never starts while a burst could steal a port.
    """
    at = ENGINES + e * ENGINE_WIDTH
    ring = s[RINGS] + 2 * e * s[OUTSTANDING]
    address = s[at + ADDRESS]
    line = address >> s[dram.ROW_SHIFT]
    bank = dram.bank_of(s, line)
    t = s[REQUEST + e]
    if s[bank] != line >> s[dram.BANK_BITS] or t >= until:
        return
    size, burst, access, path = 1 << s[dram.BURST_SHIFT], s[dram.BURST], s[dram.ACCESS], s[PATH]
    outstanding, slot, last, bus = s[OUTSTANDING], s[at + SLOT], s[at + LAST_PASS], s[dram.BUS_FREE]
    before = s[at + MOVED] - s[at + RUN]
    ready, refresh = s[bank + 1], s[bank + 2]
    most = min(s[at + LEFT] - 1, (((line + 1) << s[dram.ROW_SHIFT]) - address) >> s[dram.BURST_SHIFT])
    served = 0
    while served < most and t < until and max(t, ready) < refresh:
        s[NOW] = t
        data = max(max(t, ready) + access, bus)
        bus = data + burst
        ready = bus - access
        last = max(bus, last + path)
        s[ring + slot] = last
        s[ring + outstanding + slot] = max(s[at + MOVED], before + address)
        address += size
        served += 1
        slot = slot + 1 if slot + 1 < outstanding else 0
        t = max(t + 1, s[ring + slot])
    s[at + ADDRESS], s[at + SLOT], s[at + LAST_PASS], s[dram.BUS_FREE] = address, slot, last, bus
    s[bank + 1] = ready
    s[REQUEST + e] = t
    s[at + LEFT] -= served
    s[at + ISSUED] += served
    s[at + HITS] += served
    s[dram.ROW_HITS] += served


@kernel
def any_full(s: State, core: int) -> bool:
    """Say whether some bank of a core has no free port, so that a burst could steal one."""
    at = FULL + FULL_WIDTH * core
    return (s[at] | s[at + 1]) != 0  # type: ignore[no-any-return]


@kernel
def watch(s: State, e: int) -> None:
    """Note when engine `e`'s next burst passes; bursts matter only while some bank has no free port."""
    at = ENGINES + e * ENGINE_WIDTH
    s[PASS + e] = NEVER
    if s[RUNNING + unit_of(e)] < 0 or not any_full(s, e >> 1):
        return
    ring = s[RINGS] + 2 * e * s[OUTSTANDING]
    s[at + PASSED] = max(s[at + PASSED], s[at + ISSUED] - s[OUTSTANDING])
    while s[at + PASSED] < s[at + ISSUED]:
        passes = s[ring + s[at + PASSED] % s[OUTSTANDING]]
        if passes > s[NOW]:
            s[PASS + e] = passes
            return
        s[at + PASSED] += 1


@kernel
def pass_port(s: State, e: int) -> None:
    """Let the burst of engine `e` that passes now steal its port if its bank has none free."""
    at = ENGINES + e * ENGINE_WIDTH
    slot = s[RINGS] + 2 * e * s[OUTSTANDING] + s[at + PASSED] % s[OUTSTANDING]
    place = s[at + FIRST] + s[slot + s[OUTSTANDING]] * s[at + LENGTH] // s[at + TOTAL]
    buffer, core = s[at + BUFFER], e >> 1
    bank = place // s[BANK_BYTES + buffer]
    if (s[FULL + FULL_WIDTH * core + buffer] >> bank) & 1:
        hold = HOLD + HOLD_WIDTH * core + buffer
        mac = (s[hold] >> bank) & 1
        vector = (s[hold + 4] >> bank) & 1
        first = 4 * core
        victim = first + VECTOR
        if mac and (not vector or s[BEGAN + first + MAC] > s[BEGAN + first + VECTOR]):
            victim = first + MAC
        s[DONE + victim] += s[STEAL + buffer]
        s[STOLEN + victim] += s[STEAL + buffer]
    watch(s, e)


@kernel
def update_full(s: State, core: int) -> None:
    """Note which banks of a core have no free port now that a MAC or VECTOR instruction started or completed."""
    hold, full = HOLD + HOLD_WIDTH * core, FULL + FULL_WIDTH * core
    for b in range(3):
        mac, vector = s[hold + b], s[hold + 4 + b]
        if s[PORTS + b] == 1:
            s[full + b] = mac | vector
        elif s[PORTS + b] == 2:
            s[full + b] = mac & vector
    watch(s, 2 * core + LOAD)
    watch(s, 2 * core + STORE)


def set_up(state: State, chip: Chip) -> None:
    """Write the parameters and the state at cycle 0 of everything but the DRAM."""
    c = chip.timing
    state[EVENTS:EVENTS_END] = NEVER
    state[ISSUE] = c.dma_issue_cycles
    state[PATH] = -(-c.dram_burst_bytes // c.dma_bytes_per_cycle)
    state[OUTSTANDING] = c.dma_outstanding
    state[RINGS] = RINGS_AT
    state[UNITS] = unit_count(c.cores)
    buffers = chip.buffers
    for k, buffer in enumerate((buffers.act or buffers.unified, buffers.wgt or buffers.unified, buffers.acc)):
        assert buffer is not None
        state[BANK_BYTES + k] = buffer.bytes // buffer.banks
        state[PORTS + k] = buffer.ports
        state[STEAL + k] = -(-c.dram_burst_bytes // buffer.width_bytes)
    state[RUNNING:BEGAN] = -1
    for e in range(2 * c.cores):
        state[ENGINES + e * ENGINE_WIDTH + LAST_PASS] = -state[PATH]
