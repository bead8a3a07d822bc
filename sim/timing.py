"""The cycles of a program: a pure function of the program and the chip, exact, one event at a time.

The rules; those of the DMA engines are in `dma`, those of the DRAM in `dram`:

* The queues LOAD, STORE, MAC, VECTOR and HOST each run one instruction at a time, in program order. An instruction
  starts as soon as the one before it in its queue is complete and, for each queue q, `wait[q]` instructions of q are.
* A MAC or VECTOR instruction takes the sum of its `cycles` clause: compute, fill/drain and weight load.
* A host call takes its stated seconds times the clock, rounded up. `halt` takes no time and waits for every instruction
  of the other queues.
* A buffer has `banks` equal contiguous ranges with `ports` ports each; in a unified scratchpad act and wgt share them.
  A MAC or VECTOR instruction holds a port of every bank its `touches` ranges reach, from start to end (once, however
  many of its operands lie there), and waits while another holds the last port: with one port, MAC and VECTOR
  instructions on a common bank exclude each other, with two or more they do not. When both could start, MAC goes first.
* Bursts of the DMA engines steal from those instructions where no port is left (see `dma`); they do not steal from each
  other.
* What happens in one cycle is taken in this order: bursts pass, instructions complete, instructions start, the DMA
  engines ask for bursts; within each, LOAD, STORE, MAC, VECTOR, HOST.

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
from accelc.isa.encoding import decode_queues, decode_waits
from accelc.program import Program
from accelc.sim import clauses, dma, dram
from accelc.sim.bounds import check_dataflows
from accelc.sim.deadlock import explain
from accelc.sim.dma import BEGAN, DONE, HEAD, HOLD, LAST, LOAD, MAC, NEVER, NOW, REQUEST, RUNNING, STOLEN, STORE, VECTOR
from accelc.sim.jit import entry, step
from accelc.sim.transfers import moves

Ints = npt.NDArray[np.int64]

QUEUES = len(Queue)
NOBODY = -1  # in a NEED column: no instruction to wait for
# Columns of the table of instructions: what is given ...
NEXT, DURATION, NEED, HELD, MOVE = 0, 1, 2, 7, 10
# ... and what comes out; END is -1 until the instruction is complete.
START, END, READY, BLOCKER, CYCLES_STOLEN, BURSTS, ROW_HITS, ACTIVATES = range(20, 28)
WIDTH = 28
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
    words = program.words
    queue = decode_queues(words)
    opcodes = (words[:, 0] & np.uint64(0xFF)).astype(np.int64)
    if unknown := set(np.flatnonzero(np.bincount(opcodes)).tolist()) - set(clauses.KNOWN):
        raise MachineError(f"no clause times opcode {min(unknown):#04x}: run python -m accelc.sim.generate_clauses")
    rows = program.rows
    check_dataflows(program, opcodes, rows, chip)
    parts = np.zeros((len(words), 3), np.int64)
    clauses.cycles(opcodes, rows, chip.timing, parts)
    if measured is not None:
        parts[:, 0] += np.where(measured < 0, 0, measured - parts.sum(axis=1))
    table = np.zeros((len(words), WIDTH), np.int64)
    table[:, DURATION] = parts.sum(axis=1) + _host_cycles(program, chip, opcodes, rows)
    table[:, NEED : NEED + QUEUES] = needs(decode_waits(words), queue, opcodes)
    touched = touched_ranges(opcodes, rows)
    check_ranges(opcodes, touched, program, chip)
    table[:, HELD : HELD + 3] = _held(touched, chip)
    table[:, MOVE : MOVE + dma.MOVE_FIELDS] = moves(opcodes, rows, touched, chip)
    table[:, [START, END, READY, BLOCKER]] = -1
    state = _state(chip, table, queue)
    _run(state, table)
    if (table[:, END] < 0).any():
        raise MachineError(explain(opcodes, queue, decode_waits(words), table[:, END], int(state[NOW])))
    return _timeline(table, queue, parts, chip)


def _timeline(table: Ints, queue: Ints, parts: Ints, chip: Chip) -> Timeline:
    column = {name: np.ascontiguousarray(table[:, k]) for name, k in _RESULTS.items()}
    return Timeline(
        cycles=int(table[:, END].max(initial=0)),
        queue=queue,
        parts=parts,
        requested_bytes=table[:, MOVE + dma.MOVE_FIELDS - 1].copy(),
        dram_bytes=table[:, BURSTS] * chip.timing.dram_burst_bytes,
        **column,
    )


_RESULTS = {
    "start": START,
    "end": END,
    "ready": READY,
    "blocker": BLOCKER,
    "stolen": CYCLES_STOLEN,
    "bursts": BURSTS,
    "row_hits": ROW_HITS,
    "activates": ACTIVATES,
}


def _host_cycles(program: Program, chip: Chip, opcodes: Ints, rows: Ints) -> Ints:
    cycles = np.zeros(len(opcodes), np.int64)
    for i in np.flatnonzero(opcodes == by_name("host").opcode):
        index = int(rows[i, 0])
        if index >= len(program.hosts):
            raise MachineError(f"instruction {i} calls host operator {index}; the program has {len(program.hosts)}")
        cycles[i] = math.ceil(program.hosts[index].seconds * chip.clock_mhz * 1e6 - 1e-6)
    return cycles


def needs(waits: Ints, queue: Ints, opcodes: Ints) -> Ints:
    """Return, per instruction and queue, the instruction whose completion fulfills the wait (NOBODY, or NEVER)."""
    found = np.full(waits.shape, NOBODY, np.int64)
    _find_needs(waits, queue, opcodes == by_name("halt").opcode, found)
    return found


@entry
def _find_needs(waits: Ints, queue: Ints, halts: npt.NDArray[np.bool_], found: Ints) -> None:
    members = np.zeros((QUEUES, len(queue)), np.int64)
    known = np.zeros(QUEUES, np.int64)
    for i in range(len(queue)):
        members[queue[i], known[queue[i]]] = i
        known[queue[i]] += 1
    for i in range(len(queue)):
        for q in range(QUEUES):
            count = known[q] if halts[i] and q != dma.HOST else waits[i, q]
            if count > 0:
                found[i, q] = members[q, count - 1] if count <= known[q] else NEVER


def touched_ranges(opcodes: Ints, rows: Ints) -> Ints:
    """Return [count, MAX_TOUCHED, 4] ranges (space, first, end, is_write); space is -1 where there is none."""
    touched = np.full((len(opcodes), clauses.MAX_TOUCHED, 4), -1, np.int64)
    clauses.touches(opcodes, rows, touched, np.zeros(len(opcodes), np.int64))
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


def _state(chip: Chip, table: Ints, queue: Ints) -> Ints:
    """Return the state at cycle 0, and link the instructions of each queue in the table's NEXT column."""
    c = chip.timing
    state = np.zeros(dma.RINGS_AT + 4 * c.dma_outstanding, np.int64)
    dram.set_up(state, c)
    dma.set_up(state, chip)
    table[:, NEXT] = -1
    for q in Queue:
        members = np.flatnonzero(queue == q)
        table[members[:-1], NEXT] = members[1:]
        state[HEAD + q] = members[0] if len(members) else -1
    return state


@entry
def _run(s: Ints, table: Ints) -> None:
    """Take completions in order of time until none is left; write the outcome into the table."""
    _start_all(s, table)
    while True:
        q = _earliest(s)
        _serve_until_done(s)
        q = _earliest(s)
        if s[DONE + q] == NEVER:
            return
        s[NOW] = s[DONE + q]
        while s[DONE + q] == s[NOW]:
            _complete(s, table, q)
            q = _earliest(s)
        _start_all(s, table)


@step
def _serve_until_done(s: Ints) -> None:
    """Serve the requests made before the next completion; let the bursts that pass until then steal their ports."""
    watched = dma.can_steal(s, LOAD), dma.can_steal(s, STORE)
    while True:
        load, store = s[REQUEST + LOAD], s[REQUEST + STORE]
        until = s[DONE + _earliest(s)]
        changed = False
        for e in (LOAD, STORE):
            if watched[e]:
                changed |= dma.steal(s, e, min(until, load, store))
        if changed:
            continue
        if min(load, store) >= until:
            return
        e = LOAD if load <= store else STORE
        other = store + 1 if e == LOAD else load
        limit = min(load, store) + 1 if watched[e] else min(until, other)
        dma.serve(s, e, limit)


@step
def _earliest(s: Ints) -> int:
    """Return the queue whose instruction completes first; of several in one cycle the first in order."""
    best = 0
    for q in range(1, QUEUES):
        if s[DONE + q] < s[DONE + best]:
            best = q
    return best


@step
def _start_all(s: Ints, table: Ints) -> None:
    for q in range(QUEUES):
        if s[RUNNING + q] < 0 and s[HEAD + q] >= 0 and _is_ready(s, table, q) and not _is_blocked(s, table, q):
            _start(s, table, q)


@step
def _is_ready(s: Ints, table: Ints, q: int) -> bool:
    """Say whether all that queue q's next instruction waits for is complete, and note since when and by whom."""
    i = s[HEAD + q]
    blocker = s[LAST + q]
    ready = table[blocker, END] if blocker >= 0 else 0
    for r in range(QUEUES):
        j = table[i, NEED + r]
        if j == NOBODY:
            continue
        if j == NEVER or table[j, END] < 0:
            return False
        if table[j, END] >= ready:
            ready = table[j, END]
            blocker = j
    table[i, READY] = ready
    table[i, BLOCKER] = blocker
    return True


@step
def _is_blocked(s: Ints, table: Ints, q: int) -> bool:
    """Say whether a MAC or VECTOR instruction finds a bank whose one port the other unit's instruction holds."""
    if q != MAC and q != VECTOR:
        return False
    other = HOLD + 4 * (VECTOR - q)
    common = 0
    for b in range(3):
        if s[dma.PORTS + b] == 1:
            common |= table[s[HEAD + q], HELD + b] & s[other + b]
    return common != 0


@step
def _start(s: Ints, table: Ints, q: int) -> None:
    i = s[HEAD + q]
    s[RUNNING + q] = i
    s[HEAD + q] = table[i, NEXT]
    s[BEGAN + q] = s[NOW]
    s[STOLEN + q] = 0
    table[i, START] = s[NOW]
    if q < MAC:
        dma.begin(s, table, i, MOVE, q)
        return
    s[DONE + q] = s[NOW] + table[i, DURATION]
    if q != dma.HOST:
        for b in range(3):
            s[HOLD + 4 * (q - MAC) + b] = table[i, HELD + b]
        dma.update_full(s)


@step
def _complete(s: Ints, table: Ints, q: int) -> None:
    i = s[RUNNING + q]
    table[i, END] = s[NOW]
    s[RUNNING + q] = -1
    s[LAST + q] = i
    s[DONE + q] = NEVER
    if q < MAC:
        at = dma.ENGINES + q * dma.ENGINE_WIDTH
        table[i, BURSTS] = s[at + dma.ISSUED]
        table[i, ROW_HITS] = s[at + dma.ISSUED] - s[at + dma.ACTIVATES]
        table[i, ACTIVATES] = s[at + dma.ACTIVATES]
    elif q != dma.HOST:
        table[i, CYCLES_STOLEN] = s[STOLEN + q]
        for b in range(3):
            s[HOLD + 4 * (q - MAC) + b] = 0
        dma.update_full(s)
