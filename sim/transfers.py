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
    _write(opcodes, rows, touched, _places(opcodes), chip.timing.unified == 1, out)
    return out


def _places(opcodes: Ints) -> Ints:
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
def _write(opcodes: Ints, rows: Ints, touched: Ints, places: Ints, unified: bool, out: Ints) -> None:
    for i in range(len(opcodes)):
        opcode = opcodes[i]
        if places[opcode, ORIGIN] == ABSENT:
            continue
        for k in range(6):
            if places[opcode, k] != ABSENT:
                out[i, k] = rows[i, places[opcode, k]]
            elif k in (ROWS, COLS):
                out[i, k] = 1
        _merge(out, i)
        _place_on_chip(touched, i, unified, out)


@step
def _merge(runs: Ints, i: int) -> None:
    """Merge pixels that follow each other without a gap, then rows."""
    for count, stride in ((COLS, COL), (ROWS, ROW)):
        if runs[i, count] != 1 and runs[i, stride] != runs[i, BYTES]:
            return
        runs[i, BYTES] *= runs[i, count]
        runs[i, count] = 1


@step
def _place_on_chip(touched: Ints, i: int, unified: bool, out: Ints) -> None:
    """Write first byte, length and buffer of the one on-chip range of a transfer, and the bytes it moves."""
    k = 0
    while k + 1 < touched.shape[1] and touched[i, k, 0] <= DRAM:
        k += 1
    space = touched[i, k, 0]
    out[i, 6] = touched[i, k, 1]
    out[i, 7] = touched[i, k, 2] - touched[i, k, 1]
    out[i, 8] = 0 if unified and space == WGT else space - 1
    out[i, 9] = out[i, ROWS] * out[i, COLS] * out[i, BYTES]
