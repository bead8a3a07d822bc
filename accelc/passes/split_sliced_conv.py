"""Compute only what is read: a convolution of which slices of channels are all that is read becomes one for each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from accelc.graph import TABLE_OPS, Graph, Layer
from accelc.passes.rewrite import Sweep


def split_sliced_conv(graph: Graph) -> Graph:
    """Return the graph in which channels that an interleave spreads come from convolutions of their own.

    The interleave then moves nothing: each convolution writes its positions in place.
    """
    consumers = graph.consumers()
    sweep = Sweep(graph)
    split: set[str] = set()
    for old in graph.layers:
        layer = sweep.resolved(old)
        source = sweep.producer(layer.inputs[0]) if layer.op == "slice" else None
        if layer.op == "conv" and _spread(graph, consumers, layer):
            split.add(layer.outputs[0])
        if source is not None and layer.inputs[0] in split:
            sweep.keep(_part(sweep, source, layer))
        else:
            sweep.keep(layer)
    kept = [layer for layer in sweep.result().layers if layer.outputs[0] not in split]
    return graph.with_layers(kept, sweep.tensors)


def _spread(graph: Graph, consumers: Mapping[str, list[Layer]], conv: Layer) -> bool:
    """Return whether all that is read of a convolution are slices of channels that an interleave joins."""
    output = graph.tensors[conv.outputs[0]]
    readers = consumers[output.name]
    if not readers or conv.outputs[0] in graph.outputs or output.quant is not None or conv.attrs["group"] != 1:
        return False
    return all(_is_channels(graph, reader, output.shape) and _leads(consumers, reader) for reader in readers)


def _is_channels(graph: Graph, layer: Layer, shape: tuple[int, ...]) -> bool:
    if layer.op != "slice":
        return False
    whole = graph.tensors[layer.outputs[0]].shape
    return whole[:1] + whole[2:] == shape[:1] + shape[2:]


def _leads(consumers: Mapping[str, list[Layer]], layer: Layer) -> bool:
    """Return whether an interleave alone reads a layer, perhaps by way of functions of one element."""
    readers = consumers[layer.outputs[0]]
    if len(readers) != 1:
        return False
    return readers[0].op == "interleave" or (readers[0].op in TABLE_OPS and _leads(consumers, readers[0]))


def _part(sweep: Sweep, conv: Layer, cut: Layer) -> Layer:
    """Return the convolution that computes the channels of a slice."""
    count = sweep.tensors[cut.outputs[0]].shape[1]
    channels = cut.attrs["starts"][1] + cut.attrs["steps"][1] * np.arange(count)
    names = []
    for name in conv.inputs[1:]:
        held = sweep.tensors[name]
        assert held.data is not None
        quant = held.quant
        if quant is not None and quant.scale.ndim:
            zero = quant.zero_point[channels] if quant.zero_point.ndim else quant.zero_point
            quant = replace(quant, scale=quant.scale[channels], zero_point=zero)
        data = np.ascontiguousarray(held.data[channels])
        part = replace(held, name=f"{name}/{cut.name}", shape=data.shape, data=data, quant=quant)
        sweep.tensors[part.name] = part
        names.append(part.name)
    source = (*conv.source, *cut.source)
    return replace(conv, name=cut.name, inputs=(conv.inputs[0], *names), outputs=cut.outputs, source=source)
