"""Literal execution: MAC instructions run PE by PE, register by register, on the models of accelc.sim.array."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from accelc.chip import Chip
from accelc.errors import InputError
from accelc.isa import Memory, Queue
from accelc.isa import events as ev
from accelc.isa.encoding import decode_queues
from accelc.program import Program
from accelc.sim.array.mac import execute

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Literal:
    """What literal execution measured: cycles of each MAC instruction [instructions] and their events [events.NAMES].

    `cycles` is -1 for instructions of other queues and before an instruction has run.
    """

    chip: Chip
    cycles: Ints
    counts: Ints
    positions: Ints

    def execute(self, opcode: int, row: Ints, memory: Memory, at: int) -> None:
        """Execute the MAC instruction at a position on the memory; record its cycles and events."""
        self.cycles[at] = execute(opcode, row, memory, self.chip.timing, self.counts)


def literal(program: Program, chip: Chip) -> Literal:
    """Return an empty record for a program; raise InputError for an array that has no literal model."""
    if chip.array.operand_bits == 16 and chip.array.organization == "systolic":
        raise InputError(
            f"fidelity 'literal': chip '{chip.name}' is a systolic array of 16-bit operands, of which there is a fast "
            "model only; fidelity 'fast', or 8-bit operands, would work"
        )
    positions = np.flatnonzero(decode_queues(program.words) == Queue.MAC)
    return Literal(chip, np.full(len(program.words), -1, np.int64), np.zeros(len(ev.NAMES), np.int64), positions)


