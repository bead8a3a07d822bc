"""Streams as rows of numbers, which the compiled loop over instructions runs without leaving it.

Their plain form is `accelc.sim.stream`; `accelc.sim.packing` says which streams are packed, and how.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from accelc.sim.jit import kernel
from accelc.sim.kernels.chain import (
    ADDRESS,
    AXES,
    BLOCK,
    BYTES,
    KIND,
    STRIDES,
    Bytes,
    Floats,
    Ints,
    map_lines,
    place_of,
    read_line,
    write_line,
)
from accelc.sim.kernels.fold import fold_lines
from accelc.sim.kernels.ir import address, bytes_at, words_at

PLAIN, MAP, FOLD, GATHER = range(4)  # what runs a stream; PLAIN: nothing here does
# Of a stream: what runs it, its extents, its first tensor and step, how many of each, and the rows it gathers from.
RUNS, EXTENTS, TENSOR, TENSORS, STEP, STEPS, GATHERED = 0, 1, 4, 5, 6, 7, 8
HEAD_WIDTH = 9


class Packed(NamedTuple):
    """A program's streams: a row of `heads` and of `limits` each, and runs of the other tables' rows.

    `places` and `scales` have a row for each tensor, operands first, `steps` a function and its operands for each step,
    `limits` the least and the most that a result may be above its zero point.
    """

    heads: Ints
    places: Ints
    scales: Floats
    steps: Ints
    limits: Floats


@kernel
def run_packed(dram: Bytes, packed: Packed, index: int) -> bool:
    """Run a stream if it is packed; say whether it is."""
    if index >= len(packed.heads) or packed.heads[index, RUNS] == PLAIN:
        return False
    head = packed.heads[index]
    tensors = slice(head[TENSOR], head[TENSOR] + head[TENSORS])
    places, scales, limits = packed.places[tensors], packed.scales[tensors], packed.limits[index]
    steps, extents = packed.steps[head[STEP] : head[STEP] + head[STEPS]], head[EXTENTS : EXTENTS + AXES]
    if head[RUNS] == MAP:
        map_lines(dram, extents, places, scales, steps, limits)
    elif head[RUNS] == FOLD:
        _fold(dram, extents, places, steps[0, 0])
    else:
        _gather(dram, extents, places, scales, limits, head[GATHERED])
    return True


@kernel
def _fold(dram: Bytes, extents: Ints, places: Ints, code: int) -> None:
    """Reduce each of extents[1] lines of extents[2] numbers that follow each other to one."""
    lines, count, at, to = extents[1], extents[2], places[0, ADDRESS], places[1, ADDRESS]
    numbers = dram[at : at + 4 * lines * count].view(np.float32).reshape((lines, count))
    fold_lines(numbers, code, dram[to : to + 4 * lines].view(np.float32))


@kernel
def _gather(dram: Bytes, extents: Ints, places: Ints, scales: Floats, limits: Floats, rows: int) -> None:
    """Copy the row of the first tensor that each integer of the second names, quantized as the third is."""
    work, made, memory = np.empty(BLOCK, np.float32), np.empty(BLOCK, np.uint8), address(dram)
    spread = places[2, KIND] == BYTES and places[2, STRIDES + 2] != 1
    named = words_at(memory + places[1, ADDRESS], extents[1])
    for j in range(extents[1]):
        index: int = np.int64(named[j])  # type: ignore[assignment]
        row = min(max(index + rows if index < 0 else index, 0), rows - 1)
        for first in range(0, extents[2], BLOCK):
            count = min(BLOCK, extents[2] - first)
            to = memory + place_of(places, 2, 0, j, first)
            read_line(memory + place_of(places, 0, 0, row, first), places, 0, scales[0], address(work), count)
            write_line(address(made) if spread else to, places, 2, scales[2], limits, address(work), count)
            if spread:
                _spread(made, bytes_at(to, (count - 1) * places[2, STRIDES + 2] + 1), places[2, STRIDES + 2], count)


@kernel
def _spread(made: Bytes, to: Bytes, stride: int, count: int) -> None:
    """Copy bytes to places that do not follow each other."""
    for k in range(count):
        to[k * stride] = made[k]
