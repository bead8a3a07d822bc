"""The cycles of a program: a pure function of the program and the chip, exact, one event at a time.

The rules; those of the DMA engines are in `dma`, those of the DRAM in `dram`:

* The queues LOAD, STORE, MAC and VECTOR of each core, HOST and SYNC each run one instruction at a time, in program
  order. An instruction starts as soon as the one before it in its queue is complete and, for each queue q of its core,
  HOST and SYNC, `wait[q]` instructions of q are.
* A MAC or VECTOR instruction takes the sum of its `cycles` clause: compute, fill/drain and weight load.
* A host call takes its stated seconds times the clock, rounded up. `halt` takes no time and waits for every instruction
  of the other queues, `sync` takes none and waits for every instruction before it in the program.
* A buffer has `banks` equal contiguous ranges with `ports` ports each; in a unified scratchpad act and wgt share them.
  A MAC or VECTOR instruction holds a port of every bank its `touches` ranges reach, from start to end (once, however
  many of its operands lie there), and waits while another holds the last port: with one port, MAC and VECTOR
  instructions on a common bank exclude each other, with two or more they do not. When both could start, MAC goes first.
* Bursts of the DMA engines steal from those instructions where no port is left (see `dma`); they do not steal from each
  other.
* What happens in one cycle is taken in this order: bursts pass, instructions complete, instructions start, the DMA
  engines ask for bursts; within each, core by core LOAD, STORE, MAC, VECTOR, then HOST, SYNC.

Example: a load of 64 aligned bytes on a chip with issue 16, activate 18, access 18 and burst 5 asks for its burst at
16; the bank has no open row, so the column command goes out at 34, the data start at 52, and the load ends at 57.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from accelc.chip import Chip
from accelc.errors import MachineError
from accelc.isa import Queue
from accelc.program import Program
from accelc.sim import dma
from accelc.sim.deadlock import explain
from accelc.sim.dma import (
    AWAITED,
    AWAITED_OF,
    BEGAN,
    CORES,
    DONE,
    HEAD,
    HOLD,
    HOLD_WIDTH,
    LAST,
    MAC,
    NEVER,
    NOW,
    REQUEST,
    RUNNING,
    STOLEN,
    VECTOR,
)
from accelc.sim.jit import entry, step
from accelc.sim.table import DURATION, FENCE, HELD, MOVE, NEED, NEXT, NOBODY, QUEUES, given_of, opening
from accelc.sim.units import PER_CORE, SHARED

Ints = npt.NDArray[np.int64]

# Columns of the table of outcomes.
START, END, READY, BLOCKER, CYCLES_STOLEN, BURSTS, ACTIVATES, REQUESTED = range(8)
OUTCOMES = 8


@dataclass(frozen=True, eq=False)
class Timeline:
    """When each instruction ran and why not earlier; arrays have one entry per instruction, times are clock cycles.

    `ready` is when everything an instruction waited for was complete (it then waited for a bank's port until `start`),
    `blocker` the instruction whose completion came last of those, or -1. `parts` [count, 3] are the compute, fill/drain
    and weight-load cycles, `stolen` the cycles by which DMA bursts prolonged it. `dram_bytes` are those that traveled
    (whole bursts of `burst_bytes`), `requested_bytes` those asked for. `outcomes` [count, OUTCOMES] holds the others.
    """

    cycles: int
    queue: Ints
    core: Ints
    parts: Ints
    outcomes: Ints
    burst_bytes: int

    @property
    def start(self) -> Ints:
        """Return when each instruction started."""
        return self.outcomes[:, START]

    @property
    def end(self) -> Ints:
        """Return when each instruction was complete."""
        return self.outcomes[:, END]

    @property
    def ready(self) -> Ints:
        """Return when everything each instruction waited for was complete."""
        return self.outcomes[:, READY]

    @property
    def blocker(self) -> Ints:
        """Return the instruction whose completion came last of those."""
        return self.outcomes[:, BLOCKER]

    @property
    def stolen(self) -> Ints:
        """Return the cycles by which DMA bursts prolonged each instruction."""
        return self.outcomes[:, CYCLES_STOLEN]

    @property
    def requested_bytes(self) -> Ints:
        """Return the bytes that each instruction asked of the DRAM."""
        return self.outcomes[:, REQUESTED]

    @property
    def bursts(self) -> Ints:
        """Return the bursts of each instruction."""
        return self.outcomes[:, BURSTS]

    @property
    def activates(self) -> Ints:
        """Return the DRAM rows that each instruction opened."""
        return self.outcomes[:, ACTIVATES]

    @property
    def row_hits(self) -> Ints:
        """Return the bursts of each instruction that opened no row."""
        return self.bursts - self.activates

    @property
    def dram_bytes(self) -> Ints:
        """Return the bytes that traveled for each instruction."""
        return self.bursts * self.burst_bytes

    @property
    def dram_read_bytes(self) -> int:
        """Return the bytes that traveled from DRAM."""
        return int(self.dram_bytes[self.queue == Queue.LOAD].sum())

    @property
    def dram_write_bytes(self) -> int:
        """Return the bytes that traveled to DRAM."""
        return int(self.dram_bytes[self.queue == Queue.STORE].sum())


def time_program(program: Program, chip: Chip, measured: Ints | None = None) -> Timeline:
    """Return when each instruction of a program runs on a chip; raise MachineError for a deadlock or a bad address.

    `measured` are cycles of MAC instructions from the literal array (-1 elsewhere) that replace the closed forms'.
    """
    given = given_of(program, chip)
    parts, table = given.parts, given.table
    if measured is not None:
        more = np.where(measured < 0, 0, measured - parts.sum(axis=1))
        parts, table = parts.copy(), table.copy()
        parts[:, 0] += more
        table[:, DURATION] += more
    outcomes, state = _play(table, given.units, given.state.copy())
    if _is_stuck(state):
        raise MachineError(explain(program.words, chip.cores, outcomes[:, END] >= 0, int(state[NOW])))
    return Timeline(int(state[NOW]), program.queues, program.cores, parts, outcomes, chip.timing.dram_burst_bytes)


def play(table: Ints, units: Ints, chip: Chip) -> tuple[Ints, int]:
    """Let a chip's units work off a table of what is given; return [count, OUTCOMES], and the cycle at the end.

    NEXT need not be filled in. What has not run then has no END.
    """
    outcomes, state = _play(table, units, opening(units, chip, table))
    return outcomes, int(state[NOW])


def _play(table: Ints, units: Ints, state: Ints) -> tuple[Ints, Ints]:
    """Return the outcomes and the state at the end of what begins in a state."""
    outcomes = np.empty((len(table), OUTCOMES), np.int64)
    _run(state, table, outcomes)
    if _is_stuck(state):
        outcomes[np.arange(len(units)) > state[LAST + units]] = -1
    return outcomes, state


def _is_stuck(state: Ints) -> bool:
    """Say whether a unit has instructions left."""
    return bool((state[HEAD:LAST] >= 0).any())


@entry
def _run(s: Ints, table: Ints, out: Ints) -> None:
    """Take completions in order of time until none is left; write the outcome into the table."""
    # One core is the common case: compiled with its number, the loops over queues and engines are unrolled.
    if s[CORES] == 1:
        _take_all(s, table, out, 1)
    else:
        _take_all(s, table, out, s[CORES])


@step
def _take_all(s: Ints, table: Ints, out: Ints, cores: int) -> None:
    _start_all(s, table, out, cores)
    while True:
        now = _serve_until_done(s, cores)
        if now == NEVER:
            return
        s[NOW] = now
        for u in range(PER_CORE * cores + SHARED):
            if s[DONE + u] == now:
                _complete(s, out, u)
        _start_all(s, table, out, cores)


@step
def _serve_until_done(s: Ints, cores: int) -> int:
    """Serve the requests made before the next completion; let the bursts that pass until then steal their ports.

    Return when that is.
    """
    watched = 0
    for e in range(2 * cores):
        if dma.can_steal(s, e):
            watched |= 1 << e
    until = _soonest(s, cores)
    while True:
        first = _first_to_ask(s, cores)
        asked = s[REQUEST + first]
        changed = False
        for e in range(2 * cores if watched else 0):
            if (watched >> e) & 1:
                changed |= dma.steal(s, e, min(until, asked))
        if changed:
            until = _soonest(s, cores)
            continue
        if asked >= until:
            return until
        limit = asked + 1 if (watched >> first) & 1 else min(until, _others_ask(s, first, cores))
        dma.serve(s, first, limit)
        until = min(until, s[DONE + dma.unit_of(first)])


@step
def _first_to_ask(s: Ints, cores: int) -> int:
    """Return the engine that asks for a burst first; of several in one cycle the first in order."""
    best = 0
    for e in range(1, 2 * cores):
        if s[REQUEST + e] < s[REQUEST + best]:
            best = e
    return best


@step
def _others_ask(s: Ints, first: int, cores: int) -> int:
    """Return the cycle before which engine `first` is served ahead of all others."""
    limit = NEVER
    for e in range(2 * cores):
        if e != first:
            limit = min(limit, s[REQUEST + e] + (e > first))
    return limit


@step
def _soonest(s: Ints, cores: int) -> int:
    """Return when the next instruction completes."""
    soonest = s[DONE]
    for u in range(1, PER_CORE * cores + SHARED):
        soonest = min(soonest, s[DONE + u])
    return soonest  # type: ignore[no-any-return]


@step
def _start_all(s: Ints, table: Ints, out: Ints, cores: int) -> None:
    for u in range(PER_CORE * cores + SHARED):
        waits = s[RUNNING + u] < 0 and s[HEAD + u] >= 0
        if waits and _is_ready(s, table, out, u, cores) and not _is_blocked(s, table, u):
            _start(s, table, out, u)


@step
def _is_ready(s: Ints, table: Ints, out: Ints, u: int, cores: int) -> bool:
    """Say whether all that unit u's next instruction waits for is complete, and note since when and by whom."""
    if s[AWAITED + u] > s[LAST + s[AWAITED_OF + u]]:
        return False
    i = s[HEAD + u]
    own = u & ~3 if u < PER_CORE * cores else 0
    blocker = s[LAST + u]
    ready = out[blocker, END] if blocker >= 0 else 0
    for r in range(QUEUES):
        j = table[i, NEED + r]
        if j == NOBODY:
            continue
        if j == NEVER:
            return False
        of = r + (own if r < PER_CORE else PER_CORE * (cores - 1))
        if j > s[LAST + of]:  # a unit's instructions complete in order
            s[AWAITED_OF + u], s[AWAITED + u] = of, j
            return False
        if out[j, END] >= ready:
            ready = out[j, END]
            blocker = j
    for r in range(PER_CORE * cores + SHARED if table[i, FENCE] > 0 else 0):
        if r == u:
            continue
        if 0 <= s[RUNNING + r] < table[i, FENCE] or 0 <= s[HEAD + r] < table[i, FENCE]:
            return False
        # The queue that completes last has not gone on yet; of one that ran ahead, the time does not matter.
        j = s[LAST + r]
        if 0 <= j < table[i, FENCE] and out[j, END] >= ready:
            ready = out[j, END]
            blocker = j
    out[i, READY] = ready
    out[i, BLOCKER] = blocker
    return True


@step
def _is_blocked(s: Ints, table: Ints, u: int) -> bool:
    """Say whether a MAC or VECTOR instruction finds a bank whose one port the other unit's instruction holds."""
    q = u & 3
    if q < MAC or u >= PER_CORE * s[CORES]:
        return False
    other = HOLD + HOLD_WIDTH * (u >> 2) + 4 * (VECTOR - q)
    common = 0
    for b in range(3):
        if s[dma.PORTS + b] == 1:
            common |= table[s[HEAD + u], HELD + b] & s[other + b]
    return common != 0


@step
def _start(s: Ints, table: Ints, out: Ints, u: int) -> None:
    i = s[HEAD + u]
    s[RUNNING + u] = i
    s[HEAD + u] = table[i, NEXT]
    s[BEGAN + u] = s[NOW]
    s[STOLEN + u] = 0
    s[AWAITED + u] = -1
    out[i, START] = s[NOW]
    core, q = u >> 2, u & 3
    if u >= PER_CORE * s[CORES]:
        s[DONE + u] = s[NOW] + table[i, DURATION]
    elif q < MAC:
        dma.begin(s, table, i, MOVE, 2 * core + q)
    else:
        s[DONE + u] = s[NOW] + table[i, DURATION]
        for b in range(3):
            s[HOLD + HOLD_WIDTH * core + 4 * (q - MAC) + b] = table[i, HELD + b]
        dma.update_full(s, core)


@step
def _complete(s: Ints, out: Ints, u: int) -> None:
    i = s[RUNNING + u]
    out[i, END] = s[NOW]
    s[RUNNING + u] = -1
    s[LAST + u] = i
    s[DONE + u] = NEVER
    out[i, CYCLES_STOLEN] = s[STOLEN + u]
    core, q = u >> 2, u & 3
    if q < MAC and u < PER_CORE * s[CORES]:
        at = dma.ENGINES + (2 * core + q) * dma.ENGINE_WIDTH
        for column, held in ((BURSTS, dma.ISSUED), (ACTIVATES, dma.ACTIVATES), (REQUESTED, dma.TOTAL)):
            out[i, column] = s[at + held]
        return
    for column in (BURSTS, ACTIVATES, REQUESTED):
        out[i, column] = 0
    if u >= PER_CORE * s[CORES]:
        return
    for b in range(3):
        s[HOLD + HOLD_WIDTH * core + 4 * (q - MAC) + b] = 0
    dma.update_full(s, core)
