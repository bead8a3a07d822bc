"""What is given of a program's instructions before time is played: a row of numbers for each, made in one go.

The ranges that an instruction touches are checked against the memories; from them come the banks it holds and, of a
transfer, the runs of bytes it moves. What it waits for are tokens, resolved to the instructions that fulfill them.
Cycles and events are those of the clauses. All of it follows from the words and the chip, and is kept with the program.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from accelc.chip import Chip
from accelc.errors import MachineError
from accelc.isa import TABLE, Queue, by_name
from accelc.isa import events as ev
from accelc.program import Program
from accelc.sim import clauses, dma, dram
from accelc.sim.bounds import check_cores, check_dataflows
from accelc.sim.dma import NEVER
from accelc.sim.jit import entry, step
from accelc.sim.transfers import ABSENT, ORIGIN, places_of, write_move
from accelc.sim.units import PER_CORE, SHARED, fence_of, units_of

Ints = npt.NDArray[np.int64]

QUEUES = len(Queue)
HOST = by_name("host").opcode
NOBODY = -1  # in a NEED column: no instruction to wait for
# Columns of the table of instructions; FENCE: it waits for every instruction before that index.
NEXT, DURATION, NEED, FENCE, HELD, MOVE = 0, 1, 2, 8, 9, 12
WIDTH = MOVE + dma.MOVE_FIELDS
assert NEED + QUEUES == FENCE


class Given(NamedTuple):
    """What is given before time is played.

    Of each instruction its unit, its compute, fill/drain and weight-load cycles (`parts`) and its row of the table; the
    state at cycle 0; of each layer the counts [events.NAMES] that the clauses state.
    """

    units: Ints
    parts: Ints
    table: Ints
    state: Ints
    counts: Ints


def given_of(program: Program, chip: Chip) -> Given:
    """Return what is given of a program's instructions, worked out once for each chip.

    Raise MachineError for an opcode, a dataflow, a core or an address that the chip does not have.
    """
    known = program.given
    if chip.fingerprint not in known:
        known[chip.fingerprint] = _given(program, chip)
    found: Given = known[chip.fingerprint]
    return found


def _given(program: Program, chip: Chip) -> Given:
    opcodes, rows = program.opcodes, program.rows
    if unknown := set(np.flatnonzero(np.bincount(opcodes)).tolist()) - set(clauses.KNOWN):
        raise MachineError(f"no clause times opcode {min(unknown):#04x}: run python -m accelc.sim.generate_clauses")
    check_dataflows(program, opcodes, rows, chip)
    check_cores(program, program.cores, chip)
    parts = np.zeros((len(opcodes), 3), np.int64)
    clauses.cycles(opcodes, rows, chip.timing, parts)
    units = units_of(program.queues, program.cores, chip.cores)
    counts = np.zeros((max(len(program.layers), 1), len(ev.NAMES)), np.int64)
    clauses.events(opcodes, rows, program.layer_rows, chip.timing, counts)
    table = tabulate(program, chip, parts, units)
    return Given(units, parts, table, opening(units, chip, table), counts)


def opening(units: Ints, chip: Chip, table: Ints) -> Ints:
    """Link the instructions of each unit in the table's NEXT column; return the state at cycle 0."""
    c = chip.timing
    state = np.zeros(dma.RINGS_AT + 4 * c.cores * c.dma_outstanding, np.int64)
    dram.set_up(state, c)
    dma.set_up(state, chip)
    _link(units, state, table)
    return state


@entry
def _link(units: Ints, state: Ints, table: Ints) -> None:
    for i in range(len(units) - 1, -1, -1):
        table[i, NEXT] = state[dma.HEAD + units[i]]
        state[dma.HEAD + units[i]] = i


def tabulate(program: Program, chip: Chip, parts: Ints, units: Ints) -> Ints:
    """Return [count, WIDTH] of what is given of each instruction but NEXT; `parts` are the cycles it takes.

    Raise MachineError for the first instruction that reaches outside a memory.
    """
    opcodes, rows = program.opcodes, program.rows
    table = np.empty((len(opcodes), WIDTH), np.int64)
    _find_needs(program.waits, units, program.cores, chip.cores, NEED, table)
    buffers = _buffers(program, chip)
    i, k = _tabulate(opcodes, rows, parts, _host_cycles(program, chip), places_of(opcodes), buffers, table)
    if i >= 0:
        raise MachineError(_outside(opcodes[i : i + 1], rows[i : i + 1], int(i), int(k), buffers))
    return table


def _buffers(program: Program, chip: Chip) -> Ints:
    """Return for each space its size, the buffer that holds it, the bytes of a bank and those of a unit."""
    c = chip.timing
    found = [[program.dram_bytes, 0, 0, 1]]
    for space, (bytes_, banks, unit) in enumerate(
        ((c.act_bytes, c.act_banks, 1), (c.wgt_bytes, c.wgt_banks, 1), (c.acc_bytes, c.acc_banks, 4)), start=1
    ):
        found.append([bytes_ // unit, buffer_of(space, chip), bytes_ // banks, unit])
    return np.array(found, np.int64)


def buffer_of(space: int, chip: Chip) -> int:
    """Return which buffer holds a space: 0 act or unified, 1 wgt, 2 acc."""
    return 0 if space == 2 and chip.timing.unified else space - 1


@entry
def _tabulate(
    opcodes: Ints, rows: Ints, parts: Ints, host: Ints, places: Ints, buffers: Ints, table: Ints
) -> tuple[int, int]:
    """Write the table; return the instruction and the number of the first range that leaves its memory, or -1, -1."""
    touched = np.empty((clauses.MAX_TOUCHED, 4), np.int64)
    for i in range(len(opcodes)):
        table[i, DURATION] = parts[i, 0] + parts[i, 1] + parts[i, 2]
        if opcodes[i] == HOST:
            table[i, DURATION] += host[rows[i, 0]]
        table[i, FENCE] = fence_of(i, opcodes)
        clauses.touch(opcodes[i], rows, i, touched)
        outside = _hold(touched, buffers, i, table)
        if outside >= 0:
            return i, outside
        if places[opcodes[i], ORIGIN] != ABSENT:
            write_move(rows, i, places, opcodes[i], touched, buffers[2, 1], MOVE, table)
        else:
            for k in range(dma.MOVE_FIELDS):
                table[i, MOVE + k] = 0
    return -1, -1


@step
def _hold(touched: Ints, buffers: Ints, i: int, table: Ints) -> int:
    """Write the bit masks of the banks an instruction touches; return the first range outside its memory, or -1."""
    for b in range(3):
        table[i, HELD + b] = 0
    for k in range(touched.shape[0]):
        space, first, end = touched[k, 0], touched[k, 1], touched[k, 2]
        if space < 0:
            continue
        if first < 0 or end > buffers[space, 0]:
            return k
        if space > 0:
            unit = buffers[space, 3]
            table[i, HELD + buffers[space, 1]] |= dma.banks_of(first * unit, end * unit, buffers[space, 2])
    return -1


def _outside(opcode: Ints, row: Ints, i: int, k: int, buffers: Ints) -> str:
    space, first, end, _ = touched_ranges(opcode, row)[0, k].tolist()
    name, unit = (("dram", "bytes"), ("act", "bytes"), ("wgt", "bytes"), ("acc", "words"))[space]
    return (
        f"instruction {i} ({TABLE[int(opcode[0])].name}) reaches {name}[{first}:{end}]; "
        f"{name} has {buffers[space, 0]} {unit}"
    )


def _host_cycles(program: Program, chip: Chip) -> Ints:
    """Return the cycles of each call of the host; raise MachineError for an instruction that names none."""
    for i in np.flatnonzero(program.opcodes == HOST):
        index = int(program.rows[i, 0])
        if index >= len(program.hosts):
            raise MachineError(f"instruction {i} calls host operator {index}; the program has {len(program.hosts)}")
    return np.array([math.ceil(call.seconds * chip.clock_mhz * 1e6 - 1e-6) for call in program.hosts], np.int64)


def needs(waits: Ints, units: Ints, core: Ints, cores: int) -> Ints:
    """Return, per instruction and queue, the instruction whose completion fulfills the wait (NOBODY, or NEVER)."""
    found = np.empty(waits.shape, np.int64)
    _find_needs(waits, units, core, cores, 0, found)
    return found


@entry
def _find_needs(waits: Ints, units: Ints, core: Ints, cores: int, column: int, found: Ints) -> None:
    """Write the needs of each instruction into as many columns as there are queues."""
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
            count, need = waits[i, q], NOBODY
            if count > 0:
                unit = q + PER_CORE * (core[i] if q < PER_CORE else cores - 1)
                known = firsts[unit + 1] - firsts[unit]
                need = members[firsts[unit] + count - 1] if count <= known else NEVER
            found[i, column + q] = need


def touched_ranges(opcodes: Ints, rows: Ints) -> Ints:
    """Return [count, MAX_TOUCHED, 4] ranges (space, first, end, is_write); of none only space is set, to -1."""
    touched = np.empty((len(opcodes), clauses.MAX_TOUCHED, 4), np.int64)
    clauses.touches(opcodes, rows, touched)
    return touched
