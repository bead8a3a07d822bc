"""The transfers of a program: for each LOAD and STORE instruction its runs of DRAM bytes and its on-chip range."""

from __future__ import annotations

from functools import cache

import numpy as np
import numpy.typing as npt

from accelc.chip import Chip
from accelc.errors import MachineError
from accelc.isa import TABLE, Queue, Space
from accelc.sim import dma
from accelc.sim.jit import entry, step

Ints = npt.NDArray[np.int64]

ABSENT = -1
ORIGIN, ROWS, ROW, COLS, COL, BYTES = range(6)
DRAM, WGT = int(Space.DRAM), int(Space.WGT)


def moves(opcodes: Ints, rows: Ints, touched: Ints, chip: Chip) -> Ints:
    """Return [count, MOVE_FIELDS] in the order of `dma`: origin, rows, row, cols, col, bytes, then the on-chip side."""
    out = np.zeros((len(opcodes), dma.MOVE_FIELDS), np.int64)
    _write(opcodes, rows, touched, places_of(opcodes), 0 if chip.timing.unified else 1, out)
    return out


def places_of(opcodes: Ints) -> Ints:
    """Return the columns of origin, rows, row stride, cols, col stride and bytes of each opcode; ABSENT where none."""
    places = np.full((256, 6), ABSENT, np.int64)
    for opcode in np.flatnonzero(np.bincount(opcodes)).tolist():
        if TABLE[opcode].queue in (Queue.LOAD, Queue.STORE):
            places[opcode] = _columns(opcode)
    return places


@cache
def _columns(opcode: int) -> list[int]:
    made = TABLE[opcode]
    column = {f.name: j for j, f in enumerate(made.fields)}
    origins = [f.name for f in made.fields if f.operand.space is Space.DRAM]
    if len(origins) != 1 or "bytes" not in column:
        raise MachineError(f"no rule times '{made.name}': a transfer needs one DRAM address and bytes")
    side = origins[0]
    return [column.get(name, ABSENT) for name in (side, "rows", f"{side}_row", "cols", f"{side}_col", "bytes")]


@entry
def _write(opcodes: Ints, rows: Ints, touched: Ints, places: Ints, wgt_buffer: int, out: Ints) -> None:
    for i in range(len(opcodes)):
        if places[opcodes[i], ORIGIN] != ABSENT:
            write_move(rows, i, places, opcodes[i], touched[i], wgt_buffer, 0, out)


@step
def write_move(
    rows: Ints, i: int, places: Ints, opcode: int, touched: Ints, wgt_buffer: int, column: int, out: Ints
) -> None:
    """Write the MOVE_FIELDS of instruction `i`, which touches such ranges, from a column of its row of `out` on."""
    for k in range(6):
        if places[opcode, k] != ABSENT:
            out[i, column + k] = rows[i, places[opcode, k]]
        else:
            out[i, column + k] = 1 if k in (ROWS, COLS) else 0
    _merge(out, i, column)
    _place_on_chip(touched, i, wgt_buffer, column, out)


@step
def _merge(runs: Ints, i: int, column: int) -> None:
    """Merge pixels that follow each other without a gap, then rows."""
    for count, stride in ((COLS, COL), (ROWS, ROW)):
        if runs[i, column + count] != 1 and runs[i, column + stride] != runs[i, column + BYTES]:
            return
        runs[i, column + BYTES] *= runs[i, column + count]
        runs[i, column + count] = 1


@step
def _place_on_chip(touched: Ints, i: int, wgt_buffer: int, column: int, out: Ints) -> None:
    """Write first byte, length and buffer of the one on-chip range of a transfer, and the bytes it moves."""
    k = 0
    while k + 1 < touched.shape[0] and touched[k, 0] <= DRAM:
        k += 1
    space = touched[k, 0]
    out[i, column + 6] = touched[k, 1]
    out[i, column + 7] = touched[k, 2] - touched[k, 1]
    out[i, column + 8] = wgt_buffer if space == WGT else space - 1
    out[i, column + 9] = out[i, column + ROWS] * out[i, column + COLS] * out[i, column + BYTES]
