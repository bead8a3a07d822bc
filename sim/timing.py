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

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from accelc.chip import Chip
from accelc.errors import MachineError
from accelc.isa import TABLE, Queue, by_name
from accelc.program import Program
from accelc.sim import clauses, dma, dram
from accelc.sim.bounds import check_cores, check_dataflows
from accelc.sim.deadlock import explain
from accelc.sim.dma import (
    AWAITED,
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
from accelc.sim.transfers import moves
from accelc.sim.units import PER_CORE, SHARED, fences, unit_count, units_of

Ints = npt.NDArray[np.int64]

QUEUES = len(Queue)
NOBODY = -1  # in a NEED column: no instruction to wait for
# Columns of the table of instructions: what is given (FENCE: it waits for every instruction before that index) ...
NEXT, DURATION, NEED, FENCE, HELD, MOVE = 0, 1, 2, 8, 9, 12
# ... and what comes out; END is -1 until the instruction is complete.
START, END, READY, BLOCKER, CYCLES_STOLEN, BURSTS, ROW_HITS, ACTIVATES = range(22, 30)
WIDTH = 30
assert NEED + QUEUES == FENCE
assert MOVE + dma.MOVE_FIELDS == START


@dataclass(frozen=True, eq=False)
class Timeline:
    """When each instruction ran and why not earlier; arrays have one entry per instruction, times are clock cycles.

    `ready` is when everything an instruction waited for was complete (it then waited for a bank's port until `start`),
    `blocker` the instruction whose completion came last of those, or -1. `parts` [count, 3] are the compute, fill/drain
    and weight-load cycles, `stolen` the cycles by which DMA bursts prolonged it. `dram_bytes` are those that traveled
    (whole bursts), `requested_bytes` those asked for.
    """

    cycles: int
    queue: Ints
    core: Ints
    start: Ints
    end: Ints
    ready: Ints
    blocker: Ints
    parts: Ints
    stolen: Ints
    requested_bytes: Ints
    dram_bytes: Ints
    bursts: Ints
    row_hits: Ints
    activates: Ints

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
    opcodes, rows, core = program.opcodes, program.rows, program.cores
    if unknown := set(np.flatnonzero(np.bincount(opcodes)).tolist()) - set(clauses.KNOWN):
        raise MachineError(f"no clause times opcode {min(unknown):#04x}: run python -m accelc.sim.generate_clauses")
    check_dataflows(program, opcodes, rows, chip)
    check_cores(program, core, chip)
    parts = np.zeros((len(opcodes), 3), np.int64)
    clauses.cycles(opcodes, rows, chip.timing, parts)
    if measured is not None:
        parts[:, 0] += np.where(measured < 0, 0, measured - parts.sum(axis=1))
    units = units_of(program.queues, core, chip.cores)
    touched = touched_ranges(opcodes, rows)
    check_ranges(opcodes, touched, program, chip)
    table = np.empty((len(opcodes), WIDTH), np.int64)
    found = needs(program.waits, units, core, chip.cores), fences(opcodes), _held(touched, chip)
    _tabulate(parts, _host_cycles(program, chip, opcodes, rows), *found, moves(opcodes, rows, touched, chip), table)
    now = play(table, units, chip)
    if (table[:, END] < 0).any():
        raise MachineError(explain(program.words, chip.cores, table[:, END] >= 0, now))
    return _timeline(table, (program.queues, core), parts, chip)


def play(table: Ints, units: Ints, chip: Chip) -> int:
    """Let a chip's units work off a table whose given columns are filled in; return the cycle at which nothing is left.

    START to BLOCKER are -1 before; they and the columns after them, 0 before, then say what came of each instruction.
    """
    state = _state(chip, table, units)
    _run(state, table)
    return int(state[NOW])


@entry
def _tabulate(parts: Ints, host: Ints, needed: Ints, fence: Ints, held: Ints, move: Ints, table: Ints) -> None:
    """Write everything given of the table's instructions, and that nothing has come out yet."""
    for i in range(len(table)):
        table[i, DURATION] = parts[i, 0] + parts[i, 1] + parts[i, 2] + host[i]
        for k in range(QUEUES):
            table[i, NEED + k] = needed[i, k]
        table[i, FENCE] = fence[i]
        for k in range(3):
            table[i, HELD + k] = held[i, k]
        for k in range(dma.MOVE_FIELDS):
            table[i, MOVE + k] = move[i, k]
        for k in range(4):
            table[i, START + k] = -1
        for k in range(START + 4, WIDTH):
            table[i, k] = 0


def _timeline(table: Ints, place: tuple[Ints, Ints], parts: Ints, chip: Chip) -> Timeline:
    columns = np.empty((len(_RESULTS) + 1, len(table)), np.int64)
    _split(table, columns)
    return Timeline(
        cycles=int(columns[END - START].max(initial=0)),
        queue=place[0],
        core=place[1],
        parts=parts,
        requested_bytes=columns[-1],
        dram_bytes=columns[BURSTS - START] * chip.timing.dram_burst_bytes,
        **dict(zip(_RESULTS, columns, strict=False)),
    )


# In the order of the table's columns from START on.
_RESULTS = ("start", "end", "ready", "blocker", "stolen", "bursts", "row_hits", "activates")


@entry
def _split(table: Ints, columns: Ints) -> None:
    """Write what came out of each instruction, and the bytes it asked for, into rows of their own."""
    for i in range(len(table)):
        for k in range(START, WIDTH):
            columns[k - START, i] = table[i, k]
        columns[WIDTH - START, i] = table[i, MOVE + dma.MOVE_FIELDS - 1]


def _host_cycles(program: Program, chip: Chip, opcodes: Ints, rows: Ints) -> Ints:
    cycles = np.zeros(len(opcodes), np.int64)
    for i in np.flatnonzero(opcodes == by_name("host").opcode):
        index = int(rows[i, 0])
        if index >= len(program.hosts):
            raise MachineError(f"instruction {i} calls host operator {index}; the program has {len(program.hosts)}")
        cycles[i] = math.ceil(program.hosts[index].seconds * chip.clock_mhz * 1e6 - 1e-6)
    return cycles


def needs(waits: Ints, units: Ints, core: Ints, cores: int) -> Ints:
    """Return, per instruction and queue, the instruction whose completion fulfills the wait (NOBODY, or NEVER)."""
    found = np.full(waits.shape, NOBODY, np.int64)
    _find_needs(waits, units, core, cores, found)
    return found


@entry
def _find_needs(waits: Ints, units: Ints, core: Ints, cores: int, found: Ints) -> None:
    firsts, members = np.zeros(PER_CORE * cores + SHARED + 1, np.int64), np.zeros(len(units), np.int64)
    for unit in units:
        firsts[unit + 1] += 1
    firsts = np.cumsum(firsts)
    at = firsts.copy()
    for i in range(len(units)):
        members[at[units[i]]] = i
        at[units[i]] += 1
    for i in range(len(waits)):
        for q in range(QUEUES):
            count = waits[i, q]
            if count > 0:
                unit = q + PER_CORE * (core[i] if q < PER_CORE else cores - 1)
                known = firsts[unit + 1] - firsts[unit]
                found[i, q] = members[firsts[unit] + count - 1] if count <= known else NEVER


def touched_ranges(opcodes: Ints, rows: Ints) -> Ints:
    """Return [count, MAX_TOUCHED, 4] ranges (space, first, end, is_write); of none only space is set, to -1."""
    touched = np.empty((len(opcodes), clauses.MAX_TOUCHED, 4), np.int64)
    touched[:, :, 0] = -1
    clauses.touches(opcodes, rows, touched)
    return touched


def check_ranges(opcodes: Ints, touched: Ints, program: Program, chip: Chip) -> None:
    """Raise MachineError for the first instruction that reaches outside a memory."""
    c = chip.timing
    sizes = np.array([program.dram_bytes, c.act_bytes, c.wgt_bytes, c.acc_bytes // 4], np.int64)
    i, k = _first_outside(touched, sizes)
    if i >= 0:
        space, first, end, _ = touched[i, k].tolist()
        name, unit = (("dram", "bytes"), ("act", "bytes"), ("wgt", "bytes"), ("acc", "words"))[space]
        raise MachineError(
            f"instruction {i} ({TABLE[int(opcodes[i])].name}) reaches {name}[{first}:{end}]; "
            f"{name} has {sizes[space]} {unit}"
        )


@entry
def _first_outside(touched: Ints, sizes: Ints) -> tuple[int, int]:
    """Return the instruction and the number of the first range that leaves its memory, or -1, -1."""
    for i in range(touched.shape[0]):
        for k in range(touched.shape[1]):
            space = touched[i, k, 0]
            if space >= 0 and (touched[i, k, 1] < 0 or touched[i, k, 2] > sizes[space]):
                return i, k
    return -1, -1


def _held(touched: Ints, chip: Chip) -> Ints:
    """Return [count, 3] bit masks of the banks an instruction touches: act or unified, wgt, acc."""
    c = chip.timing
    held = np.zeros((len(touched), 3), np.int64)
    banks = ((c.act_bytes, c.act_banks, 1), (c.wgt_bytes, c.wgt_banks, 1), (c.acc_bytes, c.acc_banks, 4))
    # Per space from act on: the buffer, a bank's bytes, the bytes of a unit.
    places = [(buffer_of(space, chip), bytes_ // n, unit) for space, (bytes_, n, unit) in enumerate(banks, start=1)]
    _hold(touched, np.array(places, np.int64), held)
    return held


@entry
def _hold(touched: Ints, places: Ints, held: Ints) -> None:
    for i in range(touched.shape[0]):
        for k in range(touched.shape[1]):
            space, first, end = touched[i, k, 0], touched[i, k, 1], touched[i, k, 2]
            if space > 0:
                buffer, size, unit = places[space - 1]
                held[i, buffer] |= dma.banks_of(first * unit, end * unit, size)


def buffer_of(space: int, chip: Chip) -> int:
    """Return which buffer holds a space: 0 act or unified, 1 wgt, 2 acc."""
    return 0 if space == 2 and chip.timing.unified else space - 1


def _state(chip: Chip, table: Ints, units: Ints) -> Ints:
    """Return the state at cycle 0, and link the instructions of each queue in the table's NEXT column."""
    c = chip.timing
    state = np.zeros(dma.RINGS_AT + 4 * c.cores * c.dma_outstanding, np.int64)
    dram.set_up(state, c)
    dma.set_up(state, chip)
    state[HEAD : HEAD + unit_count(c.cores)] = -1
    _link(units, state, table)
    return state


@entry
def _link(units: Ints, state: Ints, table: Ints) -> None:
    for i in range(len(units) - 1, -1, -1):
        table[i, NEXT] = state[HEAD + units[i]]
        state[HEAD + units[i]] = i


@entry
def _run(s: Ints, table: Ints) -> None:
    """Take completions in order of time until none is left; write the outcome into the table."""
    # One core is the common case: compiled with its number, the loops over queues and engines are unrolled.
    if s[CORES] == 1:
        _take_all(s, table, 1)
    else:
        _take_all(s, table, s[CORES])


@step
def _take_all(s: Ints, table: Ints, cores: int) -> None:
    _start_all(s, table, cores)
    while True:
        _serve_until_done(s, cores)
        u = _earliest(s, cores)
        if s[DONE + u] == NEVER:
            return
        s[NOW] = s[DONE + u]
        while s[DONE + u] == s[NOW]:
            _complete(s, table, u)
            u = _earliest(s, cores)
        _start_all(s, table, cores)


@step
def _serve_until_done(s: Ints, cores: int) -> None:
    """Serve the requests made before the next completion; let the bursts that pass until then steal their ports."""
    watched = 0
    for e in range(2 * cores):
        if dma.can_steal(s, e):
            watched |= 1 << e
    while True:
        first = _first_to_ask(s, cores)
        asked, until = s[REQUEST + first], s[DONE + _earliest(s, cores)]
        changed = False
        for e in range(2 * cores if watched else 0):
            if (watched >> e) & 1:
                changed |= dma.steal(s, e, min(until, asked))
        if changed:
            continue
        if asked >= until:
            return
        limit = asked + 1 if (watched >> first) & 1 else min(until, _others_ask(s, first, cores))
        dma.serve(s, first, limit)


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
def _earliest(s: Ints, cores: int) -> int:
    """Return the unit whose instruction completes first; of several in one cycle the first in order."""
    best = 0
    soonest = s[DONE]
    for u in range(1, PER_CORE * cores + SHARED):
        if s[DONE + u] < soonest:
            best, soonest = u, s[DONE + u]
    return best


@step
def _start_all(s: Ints, table: Ints, cores: int) -> None:
    for u in range(PER_CORE * cores + SHARED):
        if s[RUNNING + u] < 0 and s[HEAD + u] >= 0 and _is_ready(s, table, u, cores) and not _is_blocked(s, table, u):
            _start(s, table, u)


@step
def _is_ready(s: Ints, table: Ints, u: int, cores: int) -> bool:
    """Say whether all that unit u's next instruction waits for is complete, and note since when and by whom."""
    if s[AWAITED + u] >= 0 and table[s[AWAITED + u], END] < 0:
        return False
    i = s[HEAD + u]
    blocker = s[LAST + u]
    ready = table[blocker, END] if blocker >= 0 else 0
    for r in range(QUEUES):
        j = table[i, NEED + r]
        if j == NOBODY:
            continue
        if j == NEVER:
            return False
        if table[j, END] < 0:
            s[AWAITED + u] = j
            return False
        if table[j, END] >= ready:
            ready = table[j, END]
            blocker = j
    for r in range(PER_CORE * cores + SHARED if table[i, FENCE] > 0 else 0):
        if r == u:
            continue
        if 0 <= s[RUNNING + r] < table[i, FENCE] or 0 <= s[HEAD + r] < table[i, FENCE]:
            return False
        # The queue that completes last has not gone on yet; of one that ran ahead, the time does not matter.
        j = s[LAST + r]
        if 0 <= j < table[i, FENCE] and table[j, END] >= ready:
            ready = table[j, END]
            blocker = j
    table[i, READY] = ready
    table[i, BLOCKER] = blocker
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
def _start(s: Ints, table: Ints, u: int) -> None:
    i = s[HEAD + u]
    s[RUNNING + u] = i
    s[HEAD + u] = table[i, NEXT]
    s[BEGAN + u] = s[NOW]
    s[STOLEN + u] = 0
    s[AWAITED + u] = -1
    table[i, START] = s[NOW]
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
def _complete(s: Ints, table: Ints, u: int) -> None:
    i = s[RUNNING + u]
    table[i, END] = s[NOW]
    s[RUNNING + u] = -1
    s[LAST + u] = i
    s[DONE + u] = NEVER
    core, q = u >> 2, u & 3
    if u >= PER_CORE * s[CORES]:
        return
    if q < MAC:
        at = dma.ENGINES + (2 * core + q) * dma.ENGINE_WIDTH
        table[i, BURSTS] = s[at + dma.ISSUED]
        table[i, ROW_HITS] = s[at + dma.ISSUED] - s[at + dma.ACTIVATES]
        table[i, ACTIVATES] = s[at + dma.ACTIVATES]
        return
    table[i, CYCLES_STOLEN] = s[STOLEN + u]
    for b in range(3):
        s[HOLD + HOLD_WIDTH * core + 4 * (q - MAC) + b] = 0
    dma.update_full(s, core)
