"""Lower bounds: cycles, DRAM bytes and energy that no schedule of the mapping space can beat.

The derivation is in docs/bounds.md. A schedule of the space runs the layers with multiply-accumulates in the network's
order on the one array, its vector work on the one vector unit, and fetches each weight at least once. Of several cores
each has an array and a vector unit, and a layer's work is shared out by rows, channels or images.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from accelc.chip import Chip
from accelc.graph import Graph, Layer, nhwc
from accelc.schedule.compulsory import Moved, compulsory, needed_pixels
from accelc.schedule.energy_bound import EnergyBound
from accelc.schedule.plain import is_plain
from accelc.schedule.search import StagePlan
from accelc.schedule.stages import GLOBAL_OPS, MAC_OPS, WINDOW_OPS
from accelc.schedule.vector import vector_cycles
from accelc.schedule.views import View


@dataclass(frozen=True)
class Fixed:
    """What has one mapping only: the cycles, DRAM bytes and events [events.NAMES] of a layer's streams."""

    cycles: int
    dram_bytes: int
    events: npt.NDArray[np.int64]


@dataclass(frozen=True)
class Bound:
    """What a layer must take: cycles of the array, of the vector unit and of streams, DRAM bytes, energy.

    `weight_bytes` are those of the DRAM bytes that are weights. The energy counts no time but that of the array.
    """

    array: int
    vector: int
    stream: int
    weight_bytes: int
    dram_bytes: int
    energy_pj: float


@dataclass(frozen=True)
class NetworkBound:
    """What the network must take, and which of the resources it is that binds its cycles."""

    cycles: int
    dram_bytes: int
    energy_j: float
    binds: str


def layer_bound(graph: Graph, layer: Layer, chip: Chip) -> int:
    """Return array cycles no schedule can beat for a layer.

    At least its multiply-accumulates over the array's peak; for a layer of one group also the array's passes over the
    whole of inputs times kernel and outputs, each as long as the dataflow makes it, under the best dataflow offered.
    Several cores do no less together, and are taken to share it evenly.
    """
    if layer.op not in MAC_OPS:
        return 0
    weights, pixels = graph.tensors[layer.inputs[1]].shape, needed_pixels(graph, layer)
    n, depth = weights[0], math.prod(weights[1:])
    peak = math.ceil(pixels * n * depth / (chip.array.rows * chip.array.cols))
    if layer.attrs.get("group", 1) > 1:
        return peak // chip.cores
    runs = _runs(graph, layer, chip)
    passes = min(_pass_bound(chip, dataflow, pixels, (runs, depth // runs), n) for dataflow in chip.array.dataflows)
    return max(peak, passes) // chip.cores


def _runs(graph: Graph, layer: Layer, chip: Chip) -> int:
    """Return into how many runs the inputs of one output fall, of which no pass of the array takes more than one."""
    weights, source = (graph.tensors[name].shape for name in (layer.inputs[1], layer.inputs[0]))
    whole = len(weights) == 2 or weights[2:] == source[2:]  # the map may be read as one vector
    return 1 if whole or chip.array.spans_taps else weights[2]


def _pass_bound(chip: Chip, dataflow: str, pixels: int, inputs: tuple[int, int], n: int) -> int:
    """Return the cycles of the fewest passes of a dataflow over so many runs of so many inputs.

    A weight tile takes a cycle a row to load.
    """
    (runs, each), rows, blocks = inputs, chip.array.rows, -(-n // chip.array.cols)
    depth = runs * each
    if dataflow == "ws":
        return (runs * -(-each // rows) * blocks - 1) * max(pixels, rows) + pixels
    if dataflow == "os":
        return -(-pixels // rows) * blocks * depth
    return 0


def vector_bound(graph: Graph, layer: Layer, chip: Chip) -> int:
    """Return the vector unit's cycles for a layer's whole result in one instruction, less the unit's latency.

    Several cores are taken to share them evenly.
    """
    return _vector_work(graph, layer, chip) // chip.cores


def _vector_work(graph: Graph, layer: Layer, chip: Chip) -> int:
    result = graph.tensors[layer.outputs[0]]
    if is_plain(result) and layer.op not in MAC_OPS:
        return 0  # a stream
    channels = nhwc(result.shape)[3]
    window = layer.attrs["kernel"] if layer.op in WINDOW_OPS else (1, 1)
    if layer.op in GLOBAL_OPS:
        window = nhwc(graph.tensors[layer.inputs[0]].shape)[1:3]
    raw = result.dtype == "int32"
    cycles, latency = vector_cycles(chip, layer, needed_pixels(graph, layer), channels, window, raw=raw)
    return cycles - latency


def bounds_of(
    graph: Graph, views: Mapping[str, View], chip: Chip, plans: Sequence[StagePlan], fixed: Mapping[str, Fixed]
) -> dict[str, Bound]:
    """Return the bound of each layer of a network; `fixed` are the layers that stream."""
    moved, energy = compulsory(graph, views, chip, plans), EnergyBound(chip)
    return {
        layer.name: _bound(graph, layer, chip, moved[layer.name], fixed.get(layer.name), energy)
        for layer in graph.layers
    }


def _bound(
    graph: Graph, layer: Layer, chip: Chip, moved: Moved, fixed: Fixed | None, energy: EnergyBound
) -> Bound:
    array, vector = layer_bound(graph, layer, chip), vector_bound(graph, layer, chip)
    least = energy.layer(graph, layer, moved) + energy.passing(array)
    if fixed is None:
        return Bound(array, vector, 0, moved.weights, moved.bytes, least)
    spent = energy.events(fixed.events.astype(np.float64))
    return Bound(array, vector, fixed.cycles, moved.weights, moved.bytes + fixed.dram_bytes, least + spent)


def network_bound(
    views: Mapping[str, View], chip: Chip, order: Sequence[Layer], bounds: Mapping[str, Bound]
) -> NetworkBound:
    """Return the bound of the network whose layers, of these bounds, run in some order."""
    c, energy = chip.timing, EnergyBound(chip)
    layers = [bounds[layer.name] for layer in order]
    moved = sum(b.dram_bytes for b in layers)
    cycles = {
        "array": sum(b.array for b in layers),
        "vector": sum(b.vector + b.stream for b in layers),
        "dram": moved // c.dram_burst_bytes * c.dram_burst_cycles,
        "array and weights": _in_order(layers, chip) if chip.cores == 1 else 0,
        "streams in turn": _in_turn(views, order, bounds),
    }
    binds = max(cycles, key=lambda name: cycles[name])
    # The layers' energy counts the time of the array; the whole network takes longer.
    rest = energy.passing(cycles[binds] - cycles["array"])
    return NetworkBound(cycles[binds], moved, (sum(b.energy_pj for b in layers) + rest) * 1e-12, binds)


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
    views: Mapping[str, View], order: Sequence[Layer], bounds: Mapping[str, Bound]
) -> int:
    """Return the cycles of the streams and of what lies between them: a recurrence does one after the other.

    A stream begins when all before it has ended, and what follows from its result begins when it has ended.
    """
    ends = after = 0
    fresh: set[str] = set()  # regions that hold what follows from the last stream
    for layer in order:
        regions = {views[name].region for name in (*layer.inputs, *layer.outputs) if name in views}
        bound = bounds[layer.name]
        if bound.stream:
            ends, after = ends + after + bound.stream, 0
            fresh = {views[name].region for name in layer.outputs}
        elif fresh & regions:
            fresh |= {views[name].region for name in layer.outputs}
            after += max(bound.array, bound.vector)
    return ends + after
