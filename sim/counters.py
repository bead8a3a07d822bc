"""The energy events of a program, layer by layer: those its instructions state, and those the DRAM saw."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from accelc.chip import Chip
from accelc.isa import events as ev
from accelc.program import Program
from accelc.sim import clauses
from accelc.sim.timing import Timeline

Ints = npt.NDArray[np.int64]


def rows_of_layers(program: Program) -> Ints:
    """Return each instruction's layer; one without (-1) counts for the last layer before it, or layer 0."""
    layer = np.asarray(program.layer_of, np.int64)
    known = np.where(layer >= 0, np.arange(len(layer)), 0)
    return np.maximum(layer[np.maximum.accumulate(known)], 0) if len(layer) else layer


def count_events(program: Program, chip: Chip, timeline: Timeline) -> Ints:
    """Return [layers, events.NAMES] counts: instructions, what the clauses state, DRAM bytes and activations."""
    counts = np.zeros((max(len(program.layers), 1), len(ev.NAMES)), np.int64)
    opcodes = (program.words[:, 0] & np.uint64(0xFF)).astype(np.int64)
    layers = rows_of_layers(program)
    clauses.events(opcodes, program.rows, layers, chip.timing, counts)
    np.add.at(counts[:, ev.INSTRUCTION], layers, 1)
    np.add.at(counts[:, ev.DRAM_ACTIVATE], layers, timeline.activates)
    for event, queue in ((ev.DRAM_READ_BYTES, 0), (ev.DRAM_WRITE_BYTES, 1)):
        np.add.at(counts[:, event], layers, np.where(timeline.queue == queue, timeline.dram_bytes, 0))
    return counts
