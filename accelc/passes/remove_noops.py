"""Remove layers that hand their input on unchanged, and turn transposes that move no element into reshapes."""

from __future__ import annotations

from dataclasses import replace

from accelc.graph import JOIN_OPS, Graph, Layer
from accelc.passes.rewrite import Sweep, same_quant


def remove_noops(graph: Graph) -> Graph:
    """Return the graph without layers whose output equals their only input in value, shape and quantization."""
    sweep = Sweep(graph)
    for old in graph.layers:
        layer = _simplest(sweep, sweep.resolved(old))
        if _changes_nothing(sweep, layer):
            sweep.bypass(layer)
        else:
            sweep.keep(layer)
    return sweep.result()


def _simplest(sweep: Sweep, layer: Layer) -> Layer:
    if layer.op == "transpose":
        shape = sweep.tensors[layer.inputs[0]].shape
        moved = [axis for axis in layer.attrs["perm"] if shape[axis] != 1]
        if moved == sorted(moved):
            return replace(layer, op="reshape", attrs={})
    return layer


def _changes_nothing(sweep: Sweep, layer: Layer) -> bool:
    if layer.op not in ("reshape", "transpose", "slice", "pad", *JOIN_OPS, "requantize") or len(layer.inputs) != 1:
        return False
    source, output = sweep.tensors[layer.inputs[0]], sweep.tensors[layer.outputs[0]]
    if source.shape != output.shape or not same_quant(source, output):
        return False
    if layer.op == "requantize":
        return source.quant is not None
    return layer.op != "transpose" or list(layer.attrs["perm"]) == sorted(layer.attrs["perm"])
