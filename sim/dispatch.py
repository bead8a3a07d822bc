"""Executes decoded instructions in order; written by accelc.sim.generate from the instruction table."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from accelc.isa import Memory
from accelc.sim.jit import entry
from accelc.sim.kernels.dma import load, load_weights, store
from accelc.sim.kernels.mac import conv, depthwise
from accelc.sim.kernels.meet import meet
from accelc.sim.kernels.normalize import lrn, softmax
from accelc.sim.kernels.pool import avg_pool, max_pool, mean, mean_fixed
from accelc.sim.kernels.vector import add, drain, lookup, mul, requantize, requantize_fixed
from accelc.sim.kernels.wide import conv16, depthwise16, requantize16
from accelc.sim.kernels.wide_vector import add16, curve16, lines16, mul16
from accelc.sim.kernels.wide_window import avg_pool16, lrn16, max_pool16, mean16, softmax16

Ints = npt.NDArray[np.int64]

END, HALT, HOST, STREAM, OTHER = range(5)
MEET = 0xff  # no instruction: where threads of one run wait for each other (see accelc.sim.threads)
WIDE = (0x50, 0x51, 0x52, 0x53, 0x54, 0x55, 0x56, 0x57, 0x58, 0x59, 0x5a, 0x5b)


@entry
def _execute_narrow(  # noqa: C901
    opcodes: Ints,
    rows: Ints,
    reals: npt.NDArray[np.float32],
    m: Memory,
    first: int,
    last: int,
) -> tuple[int, int]:
    """Execute instructions of one width until another comes; see `execute`."""
    for i in range(first, last):
        opcode = opcodes[i]
        if opcode == 0x01:
            load(m, rows[i, 0], rows[i, 1], rows[i, 2], rows[i, 3], rows[i, 4], rows[i, 5], rows[i, 6], rows[i, 7], rows[i, 8], rows[i, 9], rows[i, 10], rows[i, 11], rows[i, 12], rows[i, 13])
        elif opcode == 0x02:
            load_weights(m, rows[i, 0], rows[i, 1], rows[i, 2])
        elif opcode == 0x03:
            store(m, rows[i, 0], rows[i, 1], rows[i, 2], rows[i, 3], rows[i, 4], rows[i, 5], rows[i, 6], rows[i, 7], rows[i, 8])
        elif opcode == 0x10:
            conv(m, rows[i, 0], rows[i, 1], rows[i, 2], rows[i, 3], rows[i, 4], rows[i, 5], rows[i, 6], rows[i, 7], rows[i, 8], rows[i, 9], rows[i, 10], rows[i, 11], rows[i, 12], rows[i, 13], rows[i, 14], rows[i, 15], rows[i, 16], rows[i, 17])
        elif opcode == 0x11:
            depthwise(m, rows[i, 0], rows[i, 1], rows[i, 2], rows[i, 3], rows[i, 4], rows[i, 5], rows[i, 6], rows[i, 7], rows[i, 8], rows[i, 9], rows[i, 10], rows[i, 11], rows[i, 12], rows[i, 13])
        elif opcode == 0x20:
            requantize(m, rows[i, 0], rows[i, 1], rows[i, 2], rows[i, 3], rows[i, 4], rows[i, 5], rows[i, 6], rows[i, 7], rows[i, 8], rows[i, 9])
        elif opcode == 0x21:
            requantize_fixed(m, rows[i, 0], rows[i, 1], rows[i, 2], rows[i, 3], rows[i, 4], rows[i, 5], rows[i, 6], rows[i, 7], rows[i, 8], rows[i, 9])
        elif opcode == 0x22:
            drain(m, rows[i, 0], rows[i, 1], rows[i, 2], rows[i, 3], rows[i, 4], rows[i, 5], rows[i, 6])
        elif opcode == 0x23:
            add(m, rows[i, 0], rows[i, 1], rows[i, 2], rows[i, 3], rows[i, 4], rows[i, 5], rows[i, 6], rows[i, 7], reals[i, 16], reals[i, 18], reals[i, 20], rows[i, 11], rows[i, 12], rows[i, 13], rows[i, 14], rows[i, 15])
        elif opcode == 0x24:
            mul(m, rows[i, 0], rows[i, 1], rows[i, 2], rows[i, 3], rows[i, 4], rows[i, 5], rows[i, 6], rows[i, 7], reals[i, 16], rows[i, 9], rows[i, 10], reals[i, 22], rows[i, 12], rows[i, 13], rows[i, 14])
        elif opcode == 0x25:
            lookup(m, rows[i, 0], rows[i, 1], rows[i, 2], rows[i, 3], rows[i, 4], rows[i, 5], rows[i, 6], rows[i, 7])
        elif opcode == 0x30:
            max_pool(m, rows[i, 0], rows[i, 1], rows[i, 2], rows[i, 3], rows[i, 4], rows[i, 5], rows[i, 6], rows[i, 7], rows[i, 8], rows[i, 9], rows[i, 10], rows[i, 11], rows[i, 12], rows[i, 13], rows[i, 14], rows[i, 15], rows[i, 16], rows[i, 17])
        elif opcode == 0x31:
            avg_pool(m, rows[i, 0], rows[i, 1], rows[i, 2], rows[i, 3], rows[i, 4], rows[i, 5], rows[i, 6], rows[i, 7], rows[i, 8], rows[i, 9], rows[i, 10], rows[i, 11], rows[i, 12], rows[i, 13], rows[i, 14], rows[i, 15], rows[i, 16], rows[i, 17], rows[i, 18], rows[i, 19], reals[i, 40], reals[i, 42], rows[i, 22], rows[i, 23], rows[i, 24])
        elif opcode == 0x32:
            mean(m, rows[i, 0], rows[i, 1], rows[i, 2], rows[i, 3], rows[i, 4], reals[i, 10], rows[i, 6], rows[i, 7])
        elif opcode == 0x33:
            softmax(m, rows[i, 0], rows[i, 1], rows[i, 2], rows[i, 3], rows[i, 4], rows[i, 5], rows[i, 6], reals[i, 14], rows[i, 8])
        elif opcode == 0x34:
            lrn(m, rows[i, 0], rows[i, 1], rows[i, 2], rows[i, 3], rows[i, 4], rows[i, 5], rows[i, 6], rows[i, 7], reals[i, 16], reals[i, 18], reals[i, 20], reals[i, 22], reals[i, 24], rows[i, 13], rows[i, 14])
        elif opcode == 0x35:
            mean_fixed(m, rows[i, 0], rows[i, 1], rows[i, 2], rows[i, 3], rows[i, 4], rows[i, 5], rows[i, 6], rows[i, 7], rows[i, 8])
        elif opcode == 0x40:
            return HOST, i
        elif opcode == 0x7e:
            continue
        elif opcode == 0x7f:
            return HALT, i
        elif opcode == 0x60:
            return STREAM, i
        elif opcode == MEET:
            meet(rows[i, 0], rows[i, 1], rows[i, 2])
        else:
            return OTHER, i
    return END, last


@entry
def _execute_wide(  # noqa: C901
    opcodes: Ints,
    rows: Ints,
    reals: npt.NDArray[np.float32],
    m: Memory,
    first: int,
    last: int,
) -> tuple[int, int]:
    """Execute instructions of one width until another comes; see `execute`."""
    for i in range(first, last):
        opcode = opcodes[i]
        if opcode == 0x01:
            load(m, rows[i, 0], rows[i, 1], rows[i, 2], rows[i, 3], rows[i, 4], rows[i, 5], rows[i, 6], rows[i, 7], rows[i, 8], rows[i, 9], rows[i, 10], rows[i, 11], rows[i, 12], rows[i, 13])
        elif opcode == 0x02:
            load_weights(m, rows[i, 0], rows[i, 1], rows[i, 2])
        elif opcode == 0x03:
            store(m, rows[i, 0], rows[i, 1], rows[i, 2], rows[i, 3], rows[i, 4], rows[i, 5], rows[i, 6], rows[i, 7], rows[i, 8])
        elif opcode == 0x50:
            conv16(m, rows[i, 0], rows[i, 1], rows[i, 2], rows[i, 3], rows[i, 4], rows[i, 5], rows[i, 6], rows[i, 7], rows[i, 8], rows[i, 9], rows[i, 10], rows[i, 11], rows[i, 12], rows[i, 13], rows[i, 14], rows[i, 15], rows[i, 16], rows[i, 17])
        elif opcode == 0x51:
            depthwise16(m, rows[i, 0], rows[i, 1], rows[i, 2], rows[i, 3], rows[i, 4], rows[i, 5], rows[i, 6], rows[i, 7], rows[i, 8], rows[i, 9], rows[i, 10], rows[i, 11], rows[i, 12], rows[i, 13])
        elif opcode == 0x52:
            requantize16(m, rows[i, 0], rows[i, 1], rows[i, 2], rows[i, 3], rows[i, 4], rows[i, 5], rows[i, 6], rows[i, 7], rows[i, 8])
        elif opcode == 0x53:
            add16(m, rows[i, 0], rows[i, 1], rows[i, 2], rows[i, 3], rows[i, 4], rows[i, 5], rows[i, 6], rows[i, 7], reals[i, 16], reals[i, 18], rows[i, 10], rows[i, 11])
        elif opcode == 0x54:
            mul16(m, rows[i, 0], rows[i, 1], rows[i, 2], rows[i, 3], rows[i, 4], rows[i, 5], rows[i, 6], rows[i, 7], reals[i, 16], rows[i, 9], rows[i, 10])
        elif opcode == 0x55:
            lines16(m, rows[i, 0], rows[i, 1], rows[i, 2], rows[i, 3], rows[i, 4], rows[i, 5], rows[i, 6], rows[i, 7], rows[i, 8], rows[i, 9])
        elif opcode == 0x56:
            curve16(m, rows[i, 0], rows[i, 1], rows[i, 2], rows[i, 3], rows[i, 4], rows[i, 5], rows[i, 6], rows[i, 7], rows[i, 8])
        elif opcode == 0x57:
            max_pool16(m, rows[i, 0], rows[i, 1], rows[i, 2], rows[i, 3], rows[i, 4], rows[i, 5], rows[i, 6], rows[i, 7], rows[i, 8], rows[i, 9], rows[i, 10], rows[i, 11], rows[i, 12], rows[i, 13], rows[i, 14], rows[i, 15], rows[i, 16], rows[i, 17])
        elif opcode == 0x58:
            avg_pool16(m, rows[i, 0], rows[i, 1], rows[i, 2], rows[i, 3], rows[i, 4], rows[i, 5], rows[i, 6], rows[i, 7], rows[i, 8], rows[i, 9], rows[i, 10], rows[i, 11], rows[i, 12], rows[i, 13], rows[i, 14], rows[i, 15], rows[i, 16], rows[i, 17], rows[i, 18], rows[i, 19], reals[i, 40], reals[i, 42])
        elif opcode == 0x59:
            mean16(m, rows[i, 0], rows[i, 1], rows[i, 2], rows[i, 3], rows[i, 4], reals[i, 10])
        elif opcode == 0x5a:
            softmax16(m, rows[i, 0], rows[i, 1], rows[i, 2], rows[i, 3], rows[i, 4], rows[i, 5], reals[i, 12], reals[i, 14])
        elif opcode == 0x5b:
            lrn16(m, rows[i, 0], rows[i, 1], rows[i, 2], rows[i, 3], rows[i, 4], rows[i, 5], rows[i, 6], rows[i, 7], reals[i, 16], reals[i, 18], reals[i, 20], reals[i, 22], reals[i, 24])
        elif opcode == 0x40:
            return HOST, i
        elif opcode == 0x7e:
            continue
        elif opcode == 0x7f:
            return HALT, i
        elif opcode == 0x60:
            return STREAM, i
        elif opcode == MEET:
            meet(rows[i, 0], rows[i, 1], rows[i, 2])
        else:
            return OTHER, i
    return END, last


def is_wide(opcodes: Ints) -> bool:
    """Return whether instructions work on 16-bit operands."""
    return bool(np.isin(opcodes, WIDE).any())


def execute(
    opcodes: Ints,
    rows: Ints,
    reals: npt.NDArray[np.float32],
    m: Memory,
    first: int,
    last: int,
    wide: bool | None = None,
) -> tuple[int, int]:
    """Execute instructions first to last - 1 until one ends or leaves the loop; return why, and its index.

    `wide`, the program's `is_wide`, saves finding it again. Operands and ranges are not checked here: see
    accelc.sim.bounds.
    """
    wide = is_wide(opcodes) if wide is None else wide
    while True:
        why, first = (_execute_wide if wide else _execute_narrow)(opcodes, rows, reals, m, first, last)
        if why != OTHER:
            return why, first
        wide = not wide
