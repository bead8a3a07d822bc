"""Merge a reshape with the reshape before it, and a transpose with the transpose before it."""

from __future__ import annotations

from dataclasses import replace

from accelc.graph import Graph, Layer
from accelc.passes.rewrite import Sweep, same_quant, with_attrs


def merge_moves(graph: Graph) -> Graph:
    """Return the graph in which no reshape follows a reshape and no transpose a transpose."""
    sweep = Sweep(graph)
    for old in graph.layers:
        layer = sweep.resolved(old)
        before = sweep.producer(layer.inputs[0]) if layer.op in ("reshape", "transpose") else None
        if before is not None and before.op == layer.op and _alike(sweep, before):
            layer = _merged(before, layer)
        sweep.keep(layer)
    return sweep.result()


def _alike(sweep: Sweep, layer: Layer) -> bool:
    return same_quant(sweep.tensors[layer.inputs[0]], sweep.tensors[layer.outputs[0]])


def _merged(before: Layer, layer: Layer) -> Layer:
    merged = replace(layer, inputs=before.inputs, source=(*before.source, *layer.source))
    if layer.op == "reshape":
        return merged
    return with_attrs(merged, perm=tuple(before.attrs["perm"][axis] for axis in layer.attrs["perm"]))
