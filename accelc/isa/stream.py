"""The instruction that streams tensors of 32-bit numbers from DRAM through the vector unit and back.

A stream takes one entry of the program's list of streams: an operation of `isa.real` with the place, type and byte
strides of each operand. It runs alone: it waits for all that came before, and what uses its result waits for it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import Annotated, Any

from accelc.chip.timing import Timing
from accelc.isa import events as ev
from accelc.isa.core import U24, Array, Memory, Operand, Queue, instruction
from accelc.isa.real import FUNCTIONS

U40 = Annotated[int, Operand(40)]

Shape = Sequence[int]


@instruction(0x60, Queue.VECTOR)
def stream(m: Memory, index: U24, work: U40, read_bytes: U40, write_bytes: U40) -> None:
    """Run entry `index` of the program's list of streams on tensors in DRAM (see the program's header).

    `work` lane operations, `read_bytes` from and `write_bytes` to DRAM follow from the entry; they are stated so that
    time and energy need nothing but the word.
    """


@stream.cycles
def _(c: Timing, work: int, read_bytes: int, write_bytes: int) -> tuple[int, int, int]:
    # The DRAM at its full rate, and the lanes, side by side; the first bytes come after an access to a closed row.
    bursts = -(-read_bytes // c.dram_burst_bytes) - (-write_bytes // c.dram_burst_bytes)
    moving = bursts * c.dram_burst_cycles
    lanes = -(-work // c.vector_lanes)
    first = c.dma_issue_cycles + c.dram_activate_cycles + c.dram_access_cycles + c.vector_latency
    return first + max(moving, lanes), 0, 0


@stream.touches
def _(t: Array) -> int:
    return 0


@stream.events
def _(e: Array, c: Timing, work: int, read_bytes: int, write_bytes: int) -> None:
    e[ev.VECTOR_OP] += work
    e[ev.DRAM_READ_BYTES] += -(-read_bytes // c.dram_burst_bytes) * c.dram_burst_bytes
    e[ev.DRAM_WRITE_BYTES] += -(-write_bytes // c.dram_burst_bytes) * c.dram_burst_bytes
    e[ev.DRAM_ACTIVATE] += -(-read_bytes // c.dram_row_bytes) - (-write_bytes // c.dram_row_bytes)


@dataclass(frozen=True)
class Demand:
    """What a stream asks for: lane operations, bytes read and bytes written."""

    work: int
    read_bytes: int
    write_bytes: int


def demand(
    op: str, attrs: Mapping[str, Any], inputs: Sequence[tuple[Shape, int]], output: tuple[Shape, int], held_bytes: int
) -> Demand:
    """Return the demand of an operation on operands of (shape, element bytes); `held_bytes` is the act buffer's size.

    * map: the steps' costs for each element of the result; operands are read once.
    * reduce: one operation for each element read. take, gather, move: one for each element written; no more is read.
    * contract: a product and a sum for each term. Where neither operand fits half of the act buffer, the larger one is
      taken in pieces that do, and the smaller one is read again for each piece.
    * scatter: one operation for each element that is copied and each that is joined.
    """
    sizes = [prod(shape) * width for shape, width in inputs]
    count, written = prod(output[0]), prod(output[0]) * output[1]
    if op == "map":
        cost = sum(FUNCTIONS[name].cost for name, *_ in attrs["steps"])
        return Demand(count * cost, sum(sizes), written)
    if op == "reduce":
        return Demand(prod(inputs[0][0]), sizes[0], written)
    if op == "contract":
        return Demand(2 * _terms(attrs["equation"], inputs), _blocked(sizes, held_bytes // 2), written)
    if op == "scatter":
        return Demand(count + prod(inputs[2][0]), sum(sizes), written)
    # take, gather, move: what is selected, and the index
    return Demand(count, min(sizes[0], count * inputs[0][1]) + sum(sizes[1:]), written)


def _terms(equation: str, inputs: Sequence[tuple[Shape, int]]) -> int:
    """Return the products of a contraction: one for each combination of its letters."""
    left, right = equation.split("->")[0].split(",")
    extents = dict(zip(left + right, (*inputs[0][0], *inputs[1][0]), strict=True))
    return prod(extents.values())


def _blocked(sizes: Sequence[int], held: int) -> int:
    small, large = sorted(sizes)
    return large + small * (1 if small <= held else max(1, -(-large // max(held, 1))))
