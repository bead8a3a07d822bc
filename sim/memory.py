"""The memories of a chip as arrays, as large as the program and the chip say."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from accelc.chip import Chip
from accelc.errors import ProgramError
from accelc.isa import Memory
from accelc.program import Program

LINE_BYTES = 64


def allocate(program: Program, chip: Chip) -> tuple[Memory, ...]:
    """Return each core's zeroed memories with the program's constants in place; the DRAM is the same for all.

    A unified scratchpad is act and wgt at once.
    """
    constants = program.constants
    if program.dram_bytes < constants.size:
        raise ProgramError(f"dram_bytes={program.dram_bytes} cannot hold {constants.size} bytes of constants")
    dram = _aligned(program.dram_bytes)
    dram[: constants.size] = constants
    return tuple(_of_core(dram, chip) for _ in range(chip.cores))


def _of_core(dram: npt.NDArray[np.uint8], chip: Chip) -> Memory:
    timing = chip.timing
    act = _aligned(timing.act_bytes)
    wgt = (act if timing.unified else _aligned(timing.wgt_bytes)).view(np.int8)
    return Memory(dram, act, wgt, _aligned(timing.acc_bytes).view(np.int32))


def clear(memories: Sequence[Memory], constant_bytes: int) -> None:
    """Zero all memories but the constants, so that every run starts from the same state."""
    memories[0].dram[constant_bytes:] = 0
    for memory in memories:
        memory.act[:] = 0
        memory.wgt[:] = 0
        memory.acc[:] = 0


def _aligned(count: int) -> npt.NDArray[np.uint8]:
    """Return zeroed bytes that start on a cache line of the machine that simulates."""
    raw = np.zeros(count + LINE_BYTES, np.uint8)
    first = -raw.ctypes.data % LINE_BYTES
    return raw[first : first + count]
