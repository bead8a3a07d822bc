"""What a run will take, told before it starts: seconds and memory, from counted work and stated rates."""

from __future__ import annotations

from dataclasses import dataclass

from accelc.graph import LAYOUT_OPS, REAL_OPS, Graph, Layer, macs
from accelc.quantize.execute import PIECE_BYTES
from accelc.quantize.groups import open_tensors
from accelc.quantize.samples import random_samples
from accelc.report.units import byte_text
from accelc.sim.kept import LARGE_BYTES

LONG_SECONDS = 5.0
"""Runs that take less are not announced."""

# Rates of one core of an AMD EPYC of 2024, fitted to the runs of 99 networks in benchmarks/zoo.json: of half of them
# the seconds are met within a third. Other machines differ by a factor that is the same for all networks.
_FLOAT_MACS = 25e9  # ONNX Runtime, float32
_VALUE_MACS = 150e9  # the simulator's kernels
_REFERENCE_MACS = 5e9  # the reference, its sums in float32 or float64
_REAL_ELEMENTS = 100e6  # layers on 32-bit numbers, in any of the three
_WEIGHTS = 33e6  # imported, quantized and packed
_LAYER_SECONDS = 0.003  # passes, schedule and program
_START_SECONDS = 1.2
_START_BYTES = 300e6
_IMPORT_BYTES = 10.3  # for each weight: the model, what its checker copies, the arrays
_HELD_BYTES = 5  # float32 and int8
_LOADED_BYTES = 2  # the program's constants and the machine's


@dataclass(frozen=True)
class Estimate:
    """Counted work and what it is expected to take on one core."""

    macs: int
    weights: int
    real_elements: int
    seconds: float
    memory_bytes: float

    def __str__(self) -> str:
        work = f"{self.macs / 1e9:.1f} G multiply-accumulates, {self.weights / 1e6:.1f} M weights"
        return f"about {_time(self.seconds)} and {byte_text(round(self.memory_bytes))} of memory ({work})"


def _time(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 100 else f"{seconds / 60:.0f} min"


def estimate(graph: Graph, *, values: bool = True, oracle: str = "reference") -> Estimate:
    """Return what it takes to compile a simplified graph and run it on random samples.

    Without `values` only time is simulated; without an `oracle` ("none") nothing is compared.
    """
    work = sum(macs(graph, layer) for layer in graph.layers)
    weights = sum(t.elements for t in graph.tensors.values() if t.data is not None)
    elements = sum(_elements(graph, layer) for layer in graph.layers if layer.op in (*REAL_OPS, *LAYOUT_OPS))
    checked = values and oracle != "none"
    floats = random_samples(graph) * bool(open_tensors(graph)) + checked
    seconds = _START_SECONDS + weights / _WEIGHTS + _LAYER_SECONDS * len(graph.layers)
    seconds += work * (floats / _FLOAT_MACS + values / _VALUE_MACS + checked / _REFERENCE_MACS)
    seconds += elements * (floats + values + checked) / _REAL_ELEMENTS
    return Estimate(work, weights, elements, seconds, _START_BYTES + _memory(graph, weights, values))


def _memory(graph: Graph, weights: int, values: bool) -> float:
    """Return the most that importing, calibrating and running hold at once."""
    made = [4 * graph.tensors[n].elements for layer in graph.layers for n in layer.outputs]
    live = _live_bytes(graph)
    calibrating = _HELD_BYTES * weights + live + min(sum(made), PIECE_BYTES)
    kept = sum(size // 4 for size in made if size // 4 < LARGE_BYTES)
    running = (_HELD_BYTES + _LOADED_BYTES) * weights + live + kept if values else 0
    return max(_IMPORT_BYTES * weights, calibrating, running)


def _live_bytes(graph: Graph) -> int:
    """Return the most that the activations between layers take at once as 32-bit numbers, the layers run in order."""
    last = {name: k for k, layer in enumerate(graph.layers) for name in layer.inputs}
    held = {name: 4 * graph.tensors[name].elements for name in graph.inputs}
    most = 0
    for k, layer in enumerate(graph.layers):
        held |= {name: 4 * graph.tensors[name].elements for name in layer.outputs}
        most = max(most, sum(held.values()))
        held = {name: size for name, size in held.items() if last.get(name, -1) > k}
    return most


def _elements(graph: Graph, layer: Layer) -> int:
    """Return the elements that a layer on 32-bit numbers works on, step by step."""
    made = sum(graph.tensors[n].elements for n in layer.outputs)
    return made * len(layer.attrs.get("steps", ())) if layer.op == "map" else made
