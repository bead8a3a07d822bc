"""The literal model of a MAC instruction: operands taken apart, handed to the model of its dataflow.

Each dataflow is an entry of its own, compiled when a program first uses it. The systolic arrays run in their fast form,
which moves the same registers in another order: a row at a time, through some cycles.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from accelc.chip.timing import Timing
from accelc.isa import TABLE, Memory, by_name
from accelc.isa.dataflow import NEIGHBOR, NO_LOCAL_REUSE, ROW_STATIONARY
from accelc.isa.wide import widen
from accelc.sim.array import (
    input_stationary_fast,
    neighbor,
    no_local_reuse,
    output_stationary_fast,
    row_stationary,
    weight_stationary_fast,
)
from accelc.sim.jit import entry, kernel

Ints = npt.NDArray[np.int64]

DEPTHWISE = by_name("depthwise").opcode
DEPTHWISES = (DEPTHWISE, by_name("depthwise16").opcode)
COLUMN = {name: [f.name for f in by_name(name).fields].index("dataflow") for name in ("conv", "depthwise")}
ws_conv, ws_depthwise = weight_stationary_fast.conv, weight_stationary_fast.depthwise
os_conv, os_depthwise = output_stationary_fast.conv, output_stationary_fast.depthwise
is_conv, is_depthwise = input_stationary_fast.conv, input_stationary_fast.depthwise
nlr_conv, nlr_depthwise = no_local_reuse.conv, no_local_reuse.depthwise
rs_conv, rs_depthwise = row_stationary.conv, row_stationary.depthwise
neighbor_conv, neighbor_depthwise = neighbor.conv, neighbor.depthwise


@kernel
def _conv(r: Ints) -> tuple[int, ...]:
    """Return the operands of a `conv` but its dataflow."""
    return (r[0], r[1], r[2], r[3], r[4], r[5], r[6], r[7], r[8], r[9], r[10], r[11], r[12], r[13], r[14], r[16], r[17])


@kernel
def _depthwise(r: Ints) -> tuple[int, ...]:
    """Return the operands of a `depthwise` but its dataflow."""
    return (r[0], r[1], r[2], r[3], r[4], r[5], r[6], r[7], r[8], r[9], r[10], r[11], r[12])


def _weight_stationary(opcode: int, row: Ints, m: Memory, c: Timing, e: Ints) -> int:
    if opcode == DEPTHWISE:
        return ws_depthwise(m, c, e, *_depthwise(row))
    return ws_conv(m, c, e, *_conv(row))


def _output_stationary(opcode: int, row: Ints, m: Memory, c: Timing, e: Ints) -> int:
    if opcode == DEPTHWISE:
        return os_depthwise(m, c, e, *_depthwise(row))
    return os_conv(m, c, e, *_conv(row))


def _input_stationary(opcode: int, row: Ints, m: Memory, c: Timing, e: Ints) -> int:
    if opcode == DEPTHWISE:
        return is_depthwise(m, c, e, *_depthwise(row))
    return is_conv(m, c, e, *_conv(row))


def _no_local_reuse(opcode: int, row: Ints, m: Memory, c: Timing, e: Ints) -> int:
    if opcode == DEPTHWISE:
        return nlr_depthwise(m, c, e, *_depthwise(row))
    return nlr_conv(m, c, e, *_conv(row))


def _row_stationary(opcode: int, row: Ints, m: Memory, c: Timing, e: Ints) -> int:
    if opcode == DEPTHWISE:
        return rs_depthwise(m, c, e, *_depthwise(row))
    return rs_conv(m, c, e, *_conv(row))


def _neighbor(opcode: int, row: Ints, m: Memory, c: Timing, e: Ints) -> int:
    if opcode == DEPTHWISE:
        return neighbor_depthwise(m, c, e, *_depthwise(row))
    return neighbor_conv(m, c, e, *_conv(row))


FORMS = tuple(
    map(entry, (_weight_stationary, _output_stationary, _input_stationary, _no_local_reuse, _row_stationary, _neighbor))
)
# With words of 16 bits and sums of 64 the same models are other code; the systolic arrays' fast forms have none.
WIDE_FORMS = {
    NO_LOCAL_REUSE: entry(_no_local_reuse),
    ROW_STATIONARY: entry(_row_stationary),
    NEIGHBOR: entry(_neighbor),
}
WIDE = {by_name(f"{name}16").opcode: by_name(name).opcode for name in ("conv", "depthwise")}
STEPS = ("act", "act_row", "act_col", "tap_row", "tap_col", "wgt", "acc", "acc_col", "act_group")
"""The operands that count bytes, or words of acc: twice as many as elements and sums of 16 and 64 bits."""


def execute(opcode: int, row: Ints, m: Memory, c: Timing, e: Ints) -> int:
    """Execute one MAC instruction given by its opcode and operands; add its events to `e`, return its cycles."""
    code = int(row[COLUMN["depthwise" if opcode in DEPTHWISES else "conv"]])
    if opcode not in WIDE:
        return int(FORMS[code](opcode, row, m, c, e))
    elements, columns = row.copy(), [f.name for f in TABLE[opcode].fields]
    for name in STEPS:
        if name in columns:
            elements[columns.index(name)] //= 2
    words: Any = (m.dram, m.act.view(np.int16), m.wgt.view(np.int16), m.acc.view(np.int64))
    before = e.copy()
    cycles = int(WIDE_FORMS[code](WIDE[opcode], elements, Memory(*words), c, e))
    widen(e, before)
    return cycles
