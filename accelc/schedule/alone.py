"""Layers that run alone: streams of 32-bit numbers, and host work; their cycles follow from shapes and types."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping

import numpy as np

from accelc.chip import Chip
from accelc.graph import JOIN_OPS, REAL_OPS, Graph, Layer, Tensor
from accelc.isa import by_name
from accelc.isa.stream import Demand, demand

HOST_FLOPS_PER_ELEMENT = 16  # a stated price: operations a host operator takes for each element it reads or writes

Sized = tuple[tuple[int, ...], int]  # a shape and the bytes of an element


def stream_demands(graph: Graph, layer: Layer, held_bytes: int) -> Iterator[Demand]:
    """Yield what each stream of a layer asks for: one, of a join one for each input."""
    inputs = [_sized(graph.tensors[n]) for n in layer.inputs if n]
    output = _sized(graph.tensors[layer.outputs[0]])
    if layer.op in REAL_OPS:
        yield demand(layer.op, layer.attrs, inputs, output, held_bytes)
    elif layer.op in JOIN_OPS:
        yield from (demand("move", {}, [part], (part[0], output[1]), held_bytes) for part in inputs)
    elif layer.op == "pad":
        yield demand("take", {}, inputs, output, held_bytes)
    else:
        yield demand("move", {}, [(output[0], inputs[0][1])], output, held_bytes)


def _sized(tensor: Tensor) -> Sized:
    """Return the shape and the bytes of an element; constants lie in DRAM as 32-bit numbers."""
    return tensor.shape, 4 if tensor.data is not None else np.dtype(tensor.dtype).itemsize


def stream_cycles(graph: Graph, layer: Layer, chip: Chip) -> int:
    """Return the cycles of a layer's streams."""
    clause = by_name("stream").clauses["cycles"]
    asked = stream_demands(graph, layer, chip.timing.act_bytes)
    return sum(int(sum(clause(chip.timing, d.work, d.read_bytes, d.write_bytes))) for d in asked)


def host_seconds(chip: Chip, shapes: Iterable[tuple[int, ...]]) -> float:
    """Return the stated price of a host operator: moving its tensors as float32, and a fixed work for each element."""
    elements = sum(math.prod(shape) for shape in shapes)
    host = chip.host
    return 4 * elements / host.bytes_per_second + HOST_FLOPS_PER_ELEMENT * elements / host.flops_per_second


def host_names(tensors: Mapping[str, Tensor], layer: Layer) -> tuple[list[str], list[str]]:
    """Return the tensors that a host layer reads at run time, and those it writes."""
    return [n for n in layer.inputs if n and tensors[n].data is None], list(layer.outputs)


def host_cycles(graph: Graph, layer: Layer, chip: Chip) -> int:
    """Return the cycles of a host layer."""
    read, written = host_names(graph.tensors, layer)
    seconds = host_seconds(chip, [graph.tensors[n].shape for n in (*read, *written)])
    return math.ceil(seconds * chip.clock_mhz * 1e6 - 1e-6)
