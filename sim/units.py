"""The queues of a chip, numbered: unit 4 * core + queue for those of a core, after them HOST and SYNC."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from accelc.isa import Queue, by_name
from accelc.sim.jit import step

Ints = npt.NDArray[np.int64]

PER_CORE = int(Queue.HOST)  # queues that each core has
SYNC, HALT = by_name("sync").opcode, by_name("halt").opcode
SHARED = len(Queue) - PER_CORE  # and those that are there once


def unit_count(cores: int) -> int:
    """Return how many queues a chip has."""
    return PER_CORE * cores + SHARED


def unit_numbers(queue: Queue, cores: int) -> range:
    """Return the units that are a queue: one for each core, or the one that all cores share."""
    if queue.of_core:
        return range(queue, PER_CORE * cores, PER_CORE)
    first = PER_CORE * (cores - 1) + queue
    return range(first, first + 1)


def units_of(queue: Ints, core: Ints, cores: int) -> Ints:
    """Return the unit of each instruction, given its queue and its core."""
    return np.where(queue < PER_CORE, PER_CORE * core + queue, PER_CORE * (cores - 1) + queue)


def unit_name(unit: int, cores: int) -> str:
    """Return a unit's queue, and its core if the chip has several."""
    if unit >= PER_CORE * cores:
        return Queue(unit - PER_CORE * (cores - 1)).name
    name = Queue(unit % PER_CORE).name
    return f"{name} of core {unit // PER_CORE}" if cores > 1 else name


@step
def fence_of(i: int, opcodes: Ints) -> int:
    """Return the index before which all must be complete for instruction `i`, 0 where it does not wait for all."""
    if opcodes[i] == SYNC:
        return i
    return len(opcodes) if opcodes[i] == HALT else 0


def fences(opcodes: Ints) -> Ints:
    """Return `fence_of` each instruction."""
    found = np.where(opcodes == SYNC, np.arange(len(opcodes)), 0)
    found[opcodes == HALT] = len(opcodes)
    return found
