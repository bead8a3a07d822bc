"""Move work from behind a joint to before it, on each part, where it rides along with what makes the part.

So go functions of one element behind an interleave, and windows behind a concatenation of channels: both work on each
channel of the parts as on the whole.
"""

from __future__ import annotations

from dataclasses import replace

from accelc.graph import TABLE_OPS, Graph, Layer
from accelc.passes.remove_dead import remove_dead
from accelc.passes.rewrite import Sweep, same_quant


def hoist_joints(graph: Graph) -> Graph:
    """Return the graph in which no function and no maximum of a window reads a joint that nothing else reads."""
    sweep = Sweep(graph)
    for old in graph.layers:
        layer = sweep.resolved(old)
        joint = sweep.producer(layer.inputs[0]) if layer.inputs else None
        if joint is not None and _passes(sweep, joint, layer):
            _hoist(sweep, joint, layer)
        else:
            sweep.keep(layer)
    return remove_dead(sweep.result())  # the joints that were passed


def _passes(sweep: Sweep, joint: Layer, layer: Layer) -> bool:
    """Return whether a layer may go before the joint it reads."""
    name = layer.inputs[0]
    if not sweep.private(name):
        return False
    if joint.op == "interleave":
        return layer.op in TABLE_OPS and sweep.tensors[name].quant is None
    return layer.op == "max_pool" and joint.op == "concat" and _is_of_channels(sweep, joint, layer)


def _is_of_channels(sweep: Sweep, joint: Layer, pool: Layer) -> bool:
    """Return whether a joint sets channels side by side that have its scale and that nothing else reads."""
    whole, made = sweep.tensors[joint.outputs[0]], sweep.tensors[pool.outputs[0]]
    parts = [sweep.tensors[name] for name in joint.inputs]
    alone = all(sweep.private(part.name) and sweep.producer(part.name) is not None for part in parts)
    return alone and joint.attrs["axis"] == 1 and all(same_quant(whole, each) for each in (*parts, made))


def _hoist(sweep: Sweep, joint: Layer, layer: Layer) -> None:
    output = sweep.tensors[layer.outputs[0]]
    parts = []
    for index, name in enumerate(joint.inputs):
        channels = sweep.tensors[name].shape[1]
        shape = (output.shape[0], channels, *output.shape[2:]) if joint.op == "concat" else sweep.tensors[name].shape
        part = replace(output, name=f"{output.name}/{index}", shape=shape)
        sweep.tensors[part.name] = part
        inputs = (name, *layer.inputs[1:])
        sweep.keep(replace(layer, name=f"{layer.name}/{index}", inputs=inputs, outputs=(part.name,)))
        parts.append(part.name)
    sweep.keep(replace(joint, inputs=tuple(parts), outputs=layer.outputs, source=(*joint.source, *layer.source)))
