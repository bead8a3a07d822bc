"""Lower bounds: cycles and DRAM bytes that no schedule of the mapping space can beat.

The derivation is in docs/bounds.md. A schedule of the space runs the layers with multiply-accumulates in the network's
order on the one array, its vector work on the one vector unit, and fetches each weight at least once.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from accelc.chip import Chip
from accelc.graph import Graph, Layer, macs, nhwc
from accelc.schedule.plain import is_plain
from accelc.schedule.stages import GLOBAL_OPS, WINDOW_OPS
from accelc.schedule.vector import vector_cycles
from accelc.schedule.views import View


@dataclass(frozen=True)
class Bound:
    """What a layer must take: cycles of the array, cycles of the vector unit, bytes of weights from DRAM."""

    array: int
    vector: int
    weight_bytes: int


@dataclass(frozen=True)
class NetworkBound:
    """What the network must take, and which of the resources it is that binds."""

    cycles: int
    dram_bytes: int
    binds: str


def layer_bound(graph: Graph, layer: Layer, chip: Chip) -> int:
    """Return array cycles no schedule can beat for a layer.

    At least its multiply-accumulates over the array's peak; for a layer of one group also the array's passes over the
    whole of inputs times kernel and outputs, each as long as the dataflow makes it, under the best dataflow offered.
    """
    work = macs(graph, layer)
    peak = math.ceil(work / chip.peak_macs_per_cycle)
    if not work or layer.attrs.get("group", 1) > 1:
        return peak
    weights = graph.tensors[layer.inputs[1]].shape
    n, depth = weights[0], math.prod(weights[1:])
    pixels = work // (n * depth)
    return max(peak, min(_pass_bound(chip, dataflow, pixels, depth, n) for dataflow in chip.array.dataflows))


def _pass_bound(chip: Chip, dataflow: str, pixels: int, depth: int, n: int) -> int:
    """Return the cycles of the fewest passes of a dataflow; a weight tile takes a cycle a row to load."""
    rows, blocks = chip.array.rows, -(-n // chip.array.cols)
    if dataflow == "ws":
        return (-(-depth // rows) * blocks - 1) * max(pixels, rows) + pixels
    if dataflow == "os":
        return -(-pixels // rows) * blocks * depth
    return 0


def vector_bound(graph: Graph, layer: Layer, chip: Chip) -> int:
    """Return the vector unit's cycles for a layer's whole result in one instruction, less the unit's latency."""
    result = graph.tensors[layer.outputs[0]]
    if is_plain(result) and layer.op not in ("conv", "fc"):
        return 0  # streams, which the caller knows
    n, h, w, c = nhwc(result.shape)
    window = layer.attrs["kernel"] if layer.op in WINDOW_OPS else (1, 1)
    if layer.op in GLOBAL_OPS:
        window = nhwc(graph.tensors[layer.inputs[0]].shape)[1:3]
    cycles, latency = vector_cycles(chip, layer, n * h * w, c, window, raw=result.dtype == "int32")
    return cycles - latency


def weight_bytes_of(graph: Graph, layer: Layer) -> int:
    """Return the bytes of a layer's weights as they are stored, without padding."""
    if layer.op not in ("conv", "fc"):
        return 0
    tensor = graph.tensors[layer.inputs[1]]
    return tensor.elements * (2 if tensor.dtype == "int16" else 1)


def bounds_of(graph: Graph, chip: Chip) -> dict[str, Bound]:
    """Return the bound of each layer; weights that several layers share count where they are read first."""
    found, seen = {}, set()
    for layer in graph.layers:
        fresh = layer.op in ("conv", "fc") and layer.inputs[1] not in seen
        seen |= set(layer.inputs[1:2])
        weights = weight_bytes_of(graph, layer) if fresh else 0
        found[layer.name] = Bound(layer_bound(graph, layer, chip), vector_bound(graph, layer, chip), weights)
    return found


def network_bound(
    graph: Graph, views: Mapping[str, View], chip: Chip, order: Sequence[Layer], streams: Mapping[str, int]
) -> NetworkBound:
    """Return the bound of the network whose layers run in some order; `streams` are the cycles of those that stream."""
    by_name, c = bounds_of(graph, chip), chip.timing
    layers = [by_name[layer.name] for layer in order]
    outside = sum(_payload(views[name]) for name in dict.fromkeys((*graph.inputs, *graph.outputs)))
    moved = sum(b.weight_bytes for b in layers) + outside
    cycles = {
        "array": sum(b.array for b in layers),
        "vector": sum(b.vector for b in layers) + sum(streams.values()),
        "dram": moved // c.dram_burst_bytes * c.dram_burst_cycles,
        "array and weights": _in_order(layers, chip),
        "streams in turn": _in_turn(views, order, by_name, streams),
    }
    binds = max(cycles, key=lambda name: cycles[name])
    return NetworkBound(cycles[binds], moved, binds)


def _in_order(layers: Sequence[Bound], chip: Chip) -> int:
    """Return the cycles of the array and of the weights' way to it, layer after layer.

    When a layer ends on the array, no more of the weights of later layers is on chip than fits. So from the end
    of layer i to the end of layer j pass the array's cycles of the layers between, and the transfer of their weights
    less that room.
    """
    c = chip.timing
    room = c.act_bytes if c.unified else c.wgt_bytes
    ends, array, weights = [0], [0], [0]
    for bound in (b for b in layers if b.array):
        array.append(array[-1] + bound.array)
        weights.append(weights[-1] + bound.weight_bytes)
        late = max(
            end + max(array[-1] - a, (weights[-1] - w - room) // c.dram_burst_bytes * c.dram_burst_cycles)
            for end, a, w in zip(ends, array, weights, strict=False)
        )
        ends.append(late)
    return ends[-1]


def _in_turn(
    views: Mapping[str, View], order: Sequence[Layer], bounds: Mapping[str, Bound], streams: Mapping[str, int]
) -> int:
    """Return the cycles of the streams and of what lies between them: a recurrence does one after the other.

    A stream begins when all before it has ended, and what follows from its result begins when it has ended.
    """
    ends = after = 0
    fresh: set[str] = set()  # regions that hold what follows from the last stream
    for layer in order:
        regions = {views[name].region for name in (*layer.inputs, *layer.outputs) if name in views}
        if layer.name in streams:
            ends, after = ends + after + streams[layer.name], 0
            fresh = {views[name].region for name in layer.outputs}
        elif fresh & regions:
            fresh |= {views[name].region for name in layer.outputs}
            after += max(bounds[layer.name].array, bounds[layer.name].vector)
    return ends + after


def _payload(view: View) -> int:
    n, h, w, c = view.extents
    return n * h * w * c * view.element_bytes
