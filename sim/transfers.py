"""The transfers of a program: for each LOAD and STORE instruction its runs of DRAM bytes and its on-chip range."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from accelc.chip import Chip
from accelc.errors import MachineError
from accelc.isa import TABLE, Instruction, Queue, Space
from accelc.sim import dma

Ints = npt.NDArray[np.int64]


def moves(opcodes: Ints, rows: Ints, touched: Ints, chip: Chip) -> Ints:
    """Return [count, MOVE_FIELDS] in the order of `dma`: origin, rows, row, cols, col, bytes, then the on-chip side."""
    out = np.zeros((len(opcodes), dma.MOVE_FIELDS), np.int64)
    for opcode in np.unique(opcodes).tolist():
        if TABLE[opcode].queue in (Queue.LOAD, Queue.STORE):
            at = np.flatnonzero(opcodes == opcode)
            out[at, :6] = _merged(_runs(TABLE[opcode], rows[at]))
            out[at, 6:9] = _on_chip(touched[at], chip)
            out[at, 9] = out[at, 1] * out[at, 3] * out[at, 5]
    return out


def _runs(made: Instruction, rows: Ints) -> Ints:
    """Return origin, rows, row stride, cols, col stride and bytes as the instruction's operands give them."""
    column = {f.name: rows[:, j] for j, f in enumerate(made.fields)}
    origins = [f.name for f in made.fields if f.operand.space is Space.DRAM]
    if len(origins) != 1 or "bytes" not in column:
        raise MachineError(f"no rule times '{made.name}': a transfer needs one DRAM address and bytes")
    side = origins[0]
    one, zero = np.ones(len(rows), np.int64), np.zeros(len(rows), np.int64)
    return np.stack(
        [
            column[side],
            column.get("rows", one),
            column.get(f"{side}_row", zero),
            column.get("cols", one),
            column.get(f"{side}_col", zero),
            column["bytes"],
        ],
        axis=1,
    )


def _merged(runs: Ints) -> Ints:
    """Merge pixels that follow each other without a gap, then rows."""
    origin, rows, row, cols, col, size = runs.T
    gapless = (cols == 1) | (col == size)
    size = np.where(gapless, cols * size, size)
    cols = np.where(gapless, 1, cols)
    gapless &= (rows == 1) | (row == size)
    size = np.where(gapless, rows * size, size)
    rows = np.where(gapless, 1, rows)
    return np.stack([origin, rows, row, cols, col, size], axis=1)


def _on_chip(touched: Ints, chip: Chip) -> Ints:
    """Return first byte, length and buffer of the one on-chip range of each transfer."""
    k = np.argmax(touched[:, :, 0] > Space.DRAM, axis=1)
    space, first, end, _ = touched[np.arange(len(touched)), k].T
    buffer = np.where((space == Space.WGT) & (chip.timing.unified == 1), 0, space - 1)
    return np.stack([first, end - first, buffer], axis=1)
