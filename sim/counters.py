"""The energy events of a program, layer by layer: those its instructions state, and those the DRAM saw."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from accelc.chip import Chip
from accelc.isa import Queue
from accelc.isa import events as ev
from accelc.program import Program
from accelc.sim.jit import entry
from accelc.sim.table import given_of
from accelc.sim.timing import ACTIVATES, BURSTS, Timeline

Ints = npt.NDArray[np.int64]

LOAD, STORE, MAC = int(Queue.LOAD), int(Queue.STORE), int(Queue.MAC)


def count_events(program: Program, chip: Chip, timeline: Timeline) -> Ints:
    """Return [layers, events.NAMES] counts: instructions, what the clauses state, DRAM bytes and activations."""
    counts = given_of(program, chip).counts.copy()
    _add(program.layer_rows, timeline.queue, timeline.outcomes, timeline.burst_bytes, counts)
    return counts


@entry
def _add(layers: Ints, queues: Ints, outcomes: Ints, burst_bytes: int, counts: Ints) -> None:
    """Add the instructions themselves, and what the DRAM saw of loads and stores."""
    for i in range(len(layers)):
        counts[layers[i], ev.INSTRUCTION] += 1
        counts[layers[i], ev.DRAM_ACTIVATE] += outcomes[i, ACTIVATES]
        if queues[i] == LOAD:
            counts[layers[i], ev.DRAM_READ_BYTES] += outcomes[i, BURSTS] * burst_bytes
        elif queues[i] == STORE:
            counts[layers[i], ev.DRAM_WRITE_BYTES] += outcomes[i, BURSTS] * burst_bytes


def array_cycles_of_cores(timeline: Timeline, cores: int) -> list[int]:
    """Return the cycles that the MAC instructions of each core took, without those that DMA bursts stole."""
    found = np.zeros(cores, np.int64)
    _add_array_cycles(timeline.queue, timeline.core, timeline.parts, found)
    return found.tolist()


@entry
def _add_array_cycles(queues: Ints, cores: Ints, parts: Ints, found: Ints) -> None:
    for i in range(len(queues)):
        if queues[i] == MAC:
            found[cores[i]] += parts[i, 0] + parts[i, 1] + parts[i, 2]
