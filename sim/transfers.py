"""The transfers of a program: for each LOAD and STORE instruction its runs of DRAM bytes and its on-chip range."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from accelc.chip import Chip
from accelc.errors import MachineError
from accelc.isa import TABLE, Instruction, Queue, Space
from accelc.sim import dma
from accelc.sim.jit import entry, kernel

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
            places[opcode] = _columns(TABLE[opcode])
    return places


def _columns(made: Instruction) -> list[int]:
    column = {f.name: j for j, f in enumerate(made.fields)}
    origins = [f.name for f in made.fields if f.operand.space is Space.DRAM]
    if len(origins) != 1 or "bytes" not in column:
        raise MachineError(f"no rule times '{made.name}': a transfer needs one DRAM address and bytes")
    side = origins[0]
    return [column.get(name, ABSENT) for name in (side, "rows", f"{side}_row", "cols", f"{side}_col", "bytes")]


@entry
def _write(opcodes: Ints, rows: Ints, touched: Ints, places: Ints, unified: bool, out: Ints) -> None:
    for i in range(len(opcodes)):
        place = places[opcodes[i]]
        if place[ORIGIN] == ABSENT:
            continue
        for k in range(6):
            if place[k] != ABSENT:
                out[i, k] = rows[i, place[k]]
            elif k in (ROWS, COLS):
                out[i, k] = 1
        _merge(out[i])
        _place_on_chip(touched[i], unified, out[i])


@kernel
def _merge(run: Ints) -> None:
    """Merge pixels that follow each other without a gap, then rows."""
    for count, stride in ((COLS, COL), (ROWS, ROW)):
        if run[count] != 1 and run[stride] != run[BYTES]:
            return
        run[BYTES] *= run[count]
        run[count] = 1


@kernel
def _place_on_chip(touched: Ints, unified: bool, out: Ints) -> None:
    """Write first byte, length and buffer of the one on-chip range of a transfer, and the bytes it moves."""
    k = 0
    while k + 1 < len(touched) and touched[k, 0] <= DRAM:
        k += 1
    space = touched[k, 0]
    out[6] = touched[k, 1]
    out[7] = touched[k, 2] - touched[k, 1]
    out[8] = 0 if unified and space == WGT else space - 1
    out[9] = out[ROWS] * out[COLS] * out[BYTES]
