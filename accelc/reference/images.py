"""Layers on large batches, some images at a time: what treats each image alone, and the same layers on fewer images."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

from accelc.graph import ELEMENTWISE, POOL_OPS, TABLE_OPS, Graph, Layer, Tensor

LARGE_BYTES = 1 << 28
"""What a layer's activations take as float32 from which on its batch is worked off in parts."""

_ALONE = ("conv", "fc", *ELEMENTWISE, *TABLE_OPS, *POOL_OPS, "lrn", "softmax", "concat", "slice", "pad", "transpose")


def images(graph: Graph, layer: Layer) -> int:
    """Return the images of a large batch which the layer treats each alone; 1 if it is not large or joins images."""
    acts = _activations(graph, [layer])
    count = acts[-1].shape[0] if acts[-1].shape else 1
    large = 4 * sum(t.elements for t in acts) >= LARGE_BYTES
    alone = layer.op in _ALONE and all(len(t.shape) > 1 and t.shape[0] == count for t in acts)
    return count if large and alone and _keeps_images(graph, layer) else 1


def _keeps_images(graph: Graph, layer: Layer) -> bool:
    """Return whether each image of the result comes from the same image of the operands and no constant has images."""
    attrs, rank = layer.attrs, len(graph.tensors[layer.outputs[0]].shape)
    constants = [graph.tensors[n].shape for n in layer.inputs if n and graph.tensors[n].data is not None]
    if layer.op in ELEMENTWISE:
        return all(len(shape) < rank or shape[0] == 1 for shape in constants)
    if layer.op in ("softmax", "concat"):
        return int(attrs["axis"]) % rank != 0 and not constants
    if layer.op == "slice":
        return (attrs["starts"][0], attrs["steps"][0]) == (0, 1)
    if layer.op == "pad":
        return bool(attrs["begin"][0] == 0)
    return layer.op != "transpose" or bool(attrs["perm"][0] == 0)


def fewer(graph: Graph, layers: Iterable[Layer], count: int) -> Graph:
    """Return the graph with `count` images in every activation of the layers."""
    changed = {t.name: replace(t, shape=(count, *t.shape[1:])) for t in _activations(graph, layers)}
    return replace(graph, tensors={**graph.tensors, **changed})


def parts(graph: Graph, layers: Iterable[Layer], count: int) -> list[slice]:
    """Return equal ranges of `count` images, each as many as LARGE_BYTES of the layers' activations hold."""
    whole = 4 * sum(t.elements for t in _activations(graph, layers))
    most = min(max(1, count * LARGE_BYTES // whole), count)
    size = next(n for n in range(most, 0, -1) if count % n == 0)
    return [slice(first, first + size) for first in range(0, count, size)]


def _activations(graph: Graph, layers: Iterable[Layer]) -> list[Tensor]:
    """Return what layers read and write at run time, each tensor once, in the order of its first mention."""
    names = dict.fromkeys(n for n in _names(layers) if n and graph.tensors[n].data is None)
    return [graph.tensors[n] for n in names]


def _names(layers: Iterable[Layer]) -> Iterator[str]:
    for layer in layers:
        yield from (*layer.inputs, *layer.outputs)
