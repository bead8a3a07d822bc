"""The energy events of a program, layer by layer: those its instructions state, and those the DRAM saw."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from accelc.chip import Chip
from accelc.isa import Queue
from accelc.isa import events as ev
from accelc.program import Program
from accelc.sim import clauses
from accelc.sim.jit import entry
from accelc.sim.timing import Timeline

Ints = npt.NDArray[np.int64]

LOAD, STORE = int(Queue.LOAD), int(Queue.STORE)


def count_events(program: Program, chip: Chip, timeline: Timeline) -> Ints:
    """Return [layers, events.NAMES] counts: instructions, what the clauses state, DRAM bytes and activations."""
    counts = np.zeros((max(len(program.layers), 1), len(ev.NAMES)), np.int64)
    layers = program.layer_rows
    clauses.events(program.opcodes, program.rows, layers, chip.timing, counts)
    _add(layers, timeline.queue, timeline.activates, timeline.dram_bytes, counts)
    return counts


@entry
def _add(layers: Ints, queues: Ints, activates: Ints, traveled: Ints, counts: Ints) -> None:
    """Add the instructions themselves, and what the DRAM saw of loads and stores."""
    for i in range(len(layers)):
        counts[layers[i], ev.INSTRUCTION] += 1
        counts[layers[i], ev.DRAM_ACTIVATE] += activates[i]
        if queues[i] == LOAD:
            counts[layers[i], ev.DRAM_READ_BYTES] += traveled[i]
        elif queues[i] == STORE:
            counts[layers[i], ev.DRAM_WRITE_BYTES] += traveled[i]
