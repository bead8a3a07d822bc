"""Give tensors without a scale that of a neighbor, across layers that only move or select elements."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from accelc.graph import FLOAT, JOIN_OPS, QUANTIZED, RANGE, Graph, Layer, Tensor
from accelc.passes.rewrite import same_quant

# Quantizing commutes with these exactly: they move elements, or (max_pool) select one by order.
_SELECT = ("reshape", "transpose", "slice", "max_pool", "global_max_pool")


def spread_quantization(graph: Graph) -> Graph:
    """Return the graph with scales spread forwards and backwards across selecting layers, pad and concat."""
    tensors = dict(graph.tensors)
    uses = graph.consumers()
    before = -1
    while before != (before := sum(t.quant is not None for t in tensors.values())):
        for layer in graph.layers:
            _forwards(tensors, layer)
        for layer in reversed(graph.layers):
            for name in _backwards(tensors, layer):
                if len(uses[name]) == 1 and name not in graph.outputs:
                    _give(tensors, name, tensors[layer.outputs[0]])
    return graph.with_layers(graph.layers, tensors)


def _open(tensor: Tensor) -> bool:
    return tensor.quant is None and tensor.data is None and tensor.dtype in (FLOAT, *QUANTIZED)


def _give(tensors: dict[str, Tensor], name: str, like: Tensor) -> None:
    if tensors[name].dtype in (FLOAT, like.dtype):
        tensors[name] = replace(tensors[name], dtype=like.dtype, quant=like.quant)


def _forwards(tensors: dict[str, Tensor], layer: Layer) -> None:
    if not layer.inputs or not _open(tensors[layer.outputs[0]]):
        return
    first, *rest = (tensors[n] for n in layer.inputs)
    if first.quant is None or first.dtype not in QUANTIZED or first.data is not None:
        return
    alike = layer.op in JOIN_OPS and all(same_quant(first, other) for other in rest)
    if layer.op in _SELECT or alike or (layer.op == "pad" and represents(first, layer.attrs["value"])):
        _give(tensors, layer.outputs[0], first)


def _backwards(tensors: dict[str, Tensor], layer: Layer) -> list[str]:
    """Return the inputs that may take the output's scale."""
    if layer.op not in (*_SELECT, "pad", *JOIN_OPS) or tensors[layer.outputs[0]].quant is None:
        return []
    return [n for n in layer.inputs if _open(tensors[n])]


def represents(tensor: Tensor, value: float) -> bool:
    """Return whether a quantized tensor holds a real number exactly."""
    if tensor.quant is None:
        return True
    scale, zero = np.float32(tensor.quant.scale), int(tensor.quant.zero_point)
    low, high = RANGE[tensor.dtype]
    steps = np.rint(np.float32(value) / scale) if np.isfinite(value) else np.float32(value)
    return bool(low <= steps + zero <= high and np.float32(steps) * scale == np.float32(value))
