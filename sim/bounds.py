"""Checks, before anything runs, that no instruction of a program reaches outside its memories or writes the constants.

Operands are fixed when a program is made, so the ranges of all its instructions are known when it is loaded; each
touches clause is evaluated once on whole columns of operands.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from accelc.chip import Chip
from accelc.errors import MachineError
from accelc.isa import TABLE, Instruction, Memory, Space, decode
from accelc.isa.dataflow import CODES
from accelc.program import Program
from accelc.sim.clauses import dataflows
from accelc.sim.clauses_mac import DATAFLOW_COLUMNS

Ints = npt.NDArray[np.int64]


def check_bounds(program: Program, rows: Ints, memory: Memory) -> None:
    """Raise MachineError naming the instruction, its layer, the space, the range and the size."""
    opcodes = (program.words[:, 0] & np.uint64(0xFF)).astype(np.int64)
    constants = program.constants.size
    for opcode in np.unique(opcodes).tolist():
        at = np.flatnonzero(opcodes == opcode)
        for space, first, end, is_write in ranges(TABLE[opcode], rows[at]):
            size = memory[space].size
            least = constants if is_write and space == Space.DRAM else 0
            for k in np.flatnonzero((first < least) | (end > size))[:1]:
                raise MachineError(_message(program, int(at[k]), space, (int(first[k]), int(end[k])), is_write, size))


def check_dataflows(program: Program, opcodes: Ints, rows: Ints, chip: Chip) -> None:
    """Raise MachineError for the first MAC instruction whose dataflow the chip's array does not have."""
    array = chip.array
    offered = [CODES[array.organization, name] for name in array.dataflows]
    if set(dataflows(opcodes, rows)) <= set(offered):
        return
    for opcode, column in DATAFLOW_COLUMNS:
        at = np.flatnonzero(opcodes == opcode)
        known = np.bincount(offered, minlength=1 + rows[at, column].max(initial=0)) > 0
        for k in at[~known[rows[at, column]]][:1]:
            raise MachineError(
                f"{place(program, int(k))}: chip '{chip.name}' has dataflows {', '.join(array.dataflows)} on a "
                f"{array.organization} array, codes {', '.join(map(str, offered))}"
            )


def check_cores(program: Program, core: Ints, chip: Chip) -> None:
    """Raise MachineError for the first instruction of a core that the chip does not have."""
    for k in np.flatnonzero(core >= chip.cores)[:1].tolist():
        has = f"has {chip.cores} cores" if chip.cores > 1 else "has one core"
        raise MachineError(f"{place(program, k)} is for core {core[k]}, but chip '{chip.name}' {has}")


def ranges(made: Instruction, rows: Ints) -> list[tuple[Space, Ints, Ints, bool]]:
    """Return (space, first, end, is_write) of every range that decoded rows of one instruction touch."""
    names = [f.name for f in made.fields]
    columns = (rows[:, names.index(name)] for name in made.operand_names("touches"))
    held: dict[tuple[int, int], Any] = {}
    count = made.clauses["touches"](held, *columns)
    found = []
    for k in range(count):
        first, end = np.broadcast_arrays(held[k, 1], held[k, 2])
        found.append((Space(held[k, 0]), first, end, bool(held[k, 3])))
    return found


def _message(
    program: Program, at: int, space: Space, touched: tuple[int, int], is_write: bool, size: int
) -> str:
    verb, unit = ("writes" if is_write else "reads"), ("words" if space == Space.ACC else "bytes")
    text = f"{place(program, at)} {verb} {space.name.lower()} {touched[0]} to {touched[1]}"
    if touched[0] >= 0 and touched[1] <= size:
        return f"{text}, but the first {program.constants.size} bytes are constants"
    return f"{text}, which holds {size} {unit}"


def place(program: Program, at: int) -> str:
    """Return an instruction's index, layer, name and operands as text for a message."""
    word = decode(program.words[at : at + 1])[0]
    layer = int(program.layer_of[at]) if at < len(program.layer_of) else -1
    of = f" of layer '{program.layers[layer].name}'" if 0 <= layer < len(program.layers) else ""
    operands = " ".join(f"{name}={value}" for name, value in word.operands.items())
    return f"instruction {at}{of} ({word.instruction.name} {operands})"
