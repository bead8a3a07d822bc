"""Weights read where they lie: loads of constants to the weight buffer that need not be executed.

Instructions execute in program order and nothing writes the constants, so what a load of constants left in the weight
buffer is known before anything runs: which bytes, until another instruction overwrites them. An instruction all of
whose weights come from one such load may read them from the DRAM, and a load that all its readers pass by need not be
executed: the machine leaves out what executes as nothing. Values stay those of the definitions; only the weight
buffer's bytes differ, and nothing reads them.

* Of every core the live pieces of loads are followed: where each lies in the buffer, and where in DRAM it comes from.
* A read that one piece does not cover (it reaches into two, or into bytes that nobody loaded) is not redirected, and
  the loads that it meets are kept. So are those that an instruction other than a load of weights overwrites: what it
  touches is a range, of which it may leave bytes as they were.
* In a unified scratchpad every range of act and wgt lies in the one buffer; an instruction that writes where it reads
  weights is not redirected.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from accelc.chip import Chip
from accelc.isa import TABLE, Instruction, Space, by_name
from accelc.program import Program
from accelc.sim.jit import entry, kernel
from accelc.sim.table import touched_ranges

Ints = npt.NDArray[np.int64]

LOAD_WEIGHTS = by_name("load_weights").opcode
SKIP = by_name("sync").opcode  # executes as nothing
SOURCE = [f.name for f in by_name("load_weights").fields].index("src")
ABSENT = -1
ACT, WGT = int(Space.ACT), int(Space.WGT)
FIRST, END, FROM, LOAD = range(4)  # of a piece: its range of the buffer, where its first byte comes from, its load
SPACE, TOUCHED_FIRST, TOUCHED_END, IS_WRITE = range(4)


def direct(program: Program, opcodes: Ints, cores: Ints, chip: Chip, shift: Ints) -> tuple[Ints, Ints]:
    """Return opcodes and decoded operands of the same program with weights read from DRAM where they may be.

    `shift` says for each core what added to an address in DRAM makes it one in the core's weight buffer as
    `memory.reaching` extends it. Loads that nobody reads are replaced by an instruction that does nothing.
    """
    made, rows = opcodes.copy(), program.rows.copy()
    touched, columns = touched_ranges(opcodes, rows), _weight_columns()
    writes = int(((touched[:, :, SPACE] != ABSENT) & (touched[:, :, IS_WRITE] == 1)).sum())
    pieces = np.zeros((2 * writes + 2, 4), np.int64)  # a write leaves up to two more
    kept = np.zeros(len(opcodes), np.bool_)
    for core in range(chip.cores):
        _follow(
            np.flatnonzero(cores == core), opcodes, touched, columns, chip.timing.unified == 1, _unwritten(program),
            int(shift[core]), pieces, rows, kept,
        )  # fmt: skip
    made[(opcodes == LOAD_WEIGHTS) & ~kept] = SKIP
    return made, rows


def _weight_columns() -> Ints:
    """Return per opcode the column of the one operand that addresses weights and is read, or ABSENT."""
    columns = np.full(256, ABSENT, np.int64)
    for opcode, made in TABLE.items():
        if opcode != LOAD_WEIGHTS:
            columns[opcode] = _weight_column(made)
    return columns


def _weight_column(made: Instruction) -> int:
    found = [j for j, f in enumerate(made.fields) if f.operand.space is Space.WGT]
    return found[0] if len(found) == 1 else ABSENT


def _unwritten(program: Program) -> int:
    """Return how many bytes of constants nothing writes; stores cannot, as `bounds` has checked."""
    written = [port.address for port in program.inputs]
    written += [call.output.address for call in program.streams]
    written += [port.address for call in program.hosts for port in call.outputs]
    return min([program.constants.size, *written])


@entry
def _follow(
    mine: Ints, opcodes: Ints, touched: Ints, columns: Ints, unified: bool, unwritten: int, shift: int, pieces: Ints,
    rows: Ints, kept: npt.NDArray[np.bool_],
) -> None:
    """Follow one core's instructions: redirect what may be redirected, and note the loads that must stay."""
    live = 0
    for i in mine:
        column = columns[opcodes[i]]
        if column != ABSENT:
            piece = _common_piece(touched[i], pieces, live)
            if piece >= 0 and not _overwrites_own(touched[i], unified):
                rows[i, column] += pieces[piece, FROM] - pieces[piece, FIRST] + shift
            else:
                column = ABSENT
        for k in range(len(touched[i])):
            redirected = touched[i, k, SPACE] == WGT and column != ABSENT
            if _is_held(touched[i, k], unified) and not touched[i, k, IS_WRITE] and not redirected:
                _keep(touched[i, k], pieces, live, kept)
        for k in range(len(touched[i])):
            if _is_held(touched[i, k], unified) and touched[i, k, IS_WRITE]:
                if opcodes[i] != LOAD_WEIGHTS:
                    _keep(touched[i, k], pieces, live, kept)
                live = _overwrite(touched[i, k], pieces, live)
        if opcodes[i] == LOAD_WEIGHTS:
            live = _append(i, rows[i, SOURCE], touched[i], unwritten, pieces, live, kept)


@kernel
def _is_held(t: Ints, unified: bool) -> bool:
    """Say whether a touched range lies in the buffer that holds weights."""
    return t[SPACE] == WGT or (unified and t[SPACE] == ACT)


@kernel
def _common_piece(ranges: Ints, pieces: Ints, live: int) -> int:
    """Return the piece that covers every range of weights an instruction reads, or -1."""
    for p in range(live):
        covered = True
        for k in range(len(ranges)):
            if ranges[k, SPACE] == WGT:
                covered &= ranges[k, IS_WRITE] == 0
                covered &= pieces[p, FIRST] <= ranges[k, TOUCHED_FIRST] and ranges[k, TOUCHED_END] <= pieces[p, END]
        if covered:
            return p
    return -1


@kernel
def _overwrites_own(ranges: Ints, unified: bool) -> bool:
    """Say whether an instruction writes where it reads weights: it may read what it has written."""
    for k in range(len(ranges)):
        for q in range(len(ranges)):
            first, end = ranges[k, TOUCHED_FIRST], ranges[k, TOUCHED_END]
            apart = ranges[q, TOUCHED_END] <= first or end <= ranges[q, TOUCHED_FIRST]
            if ranges[k, SPACE] == WGT and _is_held(ranges[q], unified) and ranges[q, IS_WRITE] and not apart:
                return True
    return False


@kernel
def _keep(t: Ints, pieces: Ints, live: int, kept: npt.NDArray[np.bool_]) -> None:
    """Keep the loads of all pieces that a range meets."""
    for p in range(live):
        if pieces[p, FIRST] < t[TOUCHED_END] and t[TOUCHED_FIRST] < pieces[p, END]:
            kept[pieces[p, LOAD]] = True


@kernel
def _overwrite(t: Ints, pieces: Ints, live: int) -> int:
    """Cut a range out of all pieces; return how many there are then."""
    p = 0
    while p < live:
        first, end = pieces[p, FIRST], pieces[p, END]
        if end <= t[TOUCHED_FIRST] or t[TOUCHED_END] <= first:
            p += 1
            continue
        if t[TOUCHED_END] < end:  # what is left behind the range is a piece of its own
            pieces[live, FIRST], pieces[live, END] = t[TOUCHED_END], end
            pieces[live, FROM], pieces[live, LOAD] = pieces[p, FROM] + t[TOUCHED_END] - first, pieces[p, LOAD]
            live += 1
        if first < t[TOUCHED_FIRST]:
            pieces[p, END] = t[TOUCHED_FIRST]
            p += 1
            continue
        live -= 1
        for k in range(4):
            pieces[p, k] = pieces[live, k]
    return live


@kernel
def _append(
    i: int, source: int, ranges: Ints, unwritten: int, pieces: Ints, live: int, kept: npt.NDArray[np.bool_]
) -> int:
    """Add what a load of weights left in the buffer, if it is constants; return how many pieces there are then."""
    for k in range(len(ranges)):
        if ranges[k, SPACE] == WGT:
            if source + ranges[k, TOUCHED_END] - ranges[k, TOUCHED_FIRST] > unwritten:
                kept[i] = True
                return live
            pieces[live, FIRST], pieces[live, END] = ranges[k, TOUCHED_FIRST], ranges[k, TOUCHED_END]
            pieces[live, FROM], pieces[live, LOAD] = source, i
            return live + 1
    kept[i] = True
    return live
