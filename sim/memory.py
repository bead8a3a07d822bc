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

    A unified scratchpad is act and wgt at once. The cores' weight buffers lie before the DRAM, one after the other.
    """
    constants = program.constants
    if program.dram_bytes < constants.size:
        raise ProgramError(f"dram_bytes={program.dram_bytes} cannot hold {constants.size} bytes of constants")
    size = _buffer_bytes(chip)
    block = _aligned(chip.cores * size + program.dram_bytes)
    dram = block[chip.cores * size :]
    dram[: constants.size] = constants
    return tuple(_of_core(dram, block[core * size :], chip) for core in range(chip.cores))


def _buffer_bytes(chip: Chip) -> int:
    """Return the bytes from one core's weight buffer to the next one's: whole lines."""
    held = chip.timing.act_bytes if chip.timing.unified else chip.timing.wgt_bytes
    return -(-held // LINE_BYTES) * LINE_BYTES


def _of_core(dram: npt.NDArray[np.uint8], block: npt.NDArray[np.uint8], chip: Chip) -> Memory:
    timing = chip.timing
    act = block[: timing.act_bytes] if timing.unified else _aligned(timing.act_bytes)
    wgt = (act if timing.unified else block[: timing.wgt_bytes]).view(np.int8)
    return Memory(dram, act, wgt, _aligned(timing.acc_bytes).view(np.int32))


def reaching(memories: Sequence[Memory], chip: Chip) -> tuple[tuple[Memory, ...], npt.NDArray[np.int64]]:
    """Return the same memories with each weight buffer extended to the end of the DRAM, and where DRAM begins in it."""
    shift = _buffer_bytes(chip) * np.arange(chip.cores, 0, -1)
    wider = (_extended(m.wgt, int(first) + m.dram.size) for m, first in zip(memories, shift, strict=True))
    return tuple(m._replace(wgt=wgt) for m, wgt in zip(memories, wider, strict=True)), shift


def _extended(wgt: npt.NDArray[np.int8], count: int) -> npt.NDArray[np.int8]:
    """Return `count` bytes of the block that a weight buffer is part of, from the buffer's first on."""
    return np.lib.stride_tricks.as_strided(wgt, (count,), (1,))


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
