"""Move functions of one element from behind an interleave to before it, where they join the convolutions."""

from __future__ import annotations

from dataclasses import replace

from accelc.graph import TABLE_OPS, Graph, Layer
from accelc.passes.remove_dead import remove_dead
from accelc.passes.rewrite import Sweep


def hoist_interleave(graph: Graph) -> Graph:
    """Return the graph in which no function of one element reads an interleave that nothing else reads."""
    sweep = Sweep(graph)
    for old in graph.layers:
        layer = sweep.resolved(old)
        before = sweep.producer(layer.inputs[0]) if layer.op in TABLE_OPS else None
        if before is not None and before.op == "interleave" and _is_open(sweep, layer.inputs[0]):
            _hoist(sweep, before, layer)
        else:
            sweep.keep(layer)
    return remove_dead(sweep.result())  # the joints that were passed


def _is_open(sweep: Sweep, name: str) -> bool:
    return sweep.private(name) and sweep.tensors[name].quant is None


def _hoist(sweep: Sweep, joint: Layer, layer: Layer) -> None:
    output = sweep.tensors[layer.outputs[0]]
    parts = []
    for index, name in enumerate(joint.inputs):
        part = replace(output, name=f"{output.name}/{index}", shape=sweep.tensors[name].shape)
        sweep.tensors[part.name] = part
        inputs = (name, *layer.inputs[1:])
        sweep.keep(replace(layer, name=f"{layer.name}/{index}", inputs=inputs, outputs=(part.name,)))
        parts.append(part.name)
    sweep.keep(replace(joint, inputs=tuple(parts), outputs=layer.outputs, source=(*joint.source, *layer.source)))
