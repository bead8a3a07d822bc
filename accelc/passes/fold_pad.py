"""Fold a constant padding layer into the pads of the convolution or pool behind it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from accelc.graph import RANGE, Graph, Layer, Tensor
from accelc.passes.rewrite import Sweep, same_quant, with_attrs


def fold_pad(graph: Graph) -> Graph:
    """Return the graph with spatial padding folded where the layer behind it pads with the same value.

    That is 0 for conv, minus infinity (or anything no larger than every value) for max_pool, and 0 for avg_pool if it
    counts its own pads or has none.
    """
    sweep = Sweep(graph)
    for old in graph.layers:
        layer = sweep.resolved(old)
        pad = sweep.producer(layer.inputs[0]) if layer.op in ("conv", "max_pool", "avg_pool") else None
        if pad is None or pad.op != "pad" or not sweep.private(layer.inputs[0]):
            sweep.keep(layer)
            continue
        sweep.keep(_folded(sweep, pad, layer) or layer)
    return sweep.result()


def _folded(sweep: Sweep, pad: Layer, layer: Layer) -> Layer | None:
    source, padded = sweep.tensors[pad.inputs[0]], sweep.tensors[pad.outputs[0]]
    edges = _edges(pad, source, padded)
    if edges is None or not same_quant(source, padded) or not _legal(sweep, pad, layer, edges):
        return None
    pads = tuple(a + b for a, b in zip(layer.attrs["pads"], edges, strict=True))
    attrs = {"pads": pads} | ({"count_include_pad": True} if layer.op == "avg_pool" else {})
    inputs = (source.name, *layer.inputs[1:])
    return replace(with_attrs(layer, **attrs), inputs=inputs, source=(*pad.source, *layer.source))


def _edges(pad: Layer, source: Tensor, padded: Tensor) -> tuple[int, ...] | None:
    """Return the padding as (top, left, bottom, right), None if it also pads batch or channels."""
    begin: tuple[int, ...] = tuple(pad.attrs["begin"])
    end = tuple(p - b - s for p, b, s in zip(padded.shape, begin, source.shape, strict=True))
    if any(begin[:2] + end[:2]):
        return None
    height: tuple[int, ...] = (0,) * (4 - len(source.shape))
    return height + begin[2:] + height + end[2:]


def _legal(sweep: Sweep, pad: Layer, layer: Layer, edges: tuple[int, ...]) -> bool:
    value, pads = pad.attrs["value"], layer.attrs["pads"]
    if layer.op == "conv":
        return bool(value == 0)
    if layer.op == "avg_pool":
        return value == 0 and (layer.attrs["count_include_pad"] or not any(pads))
    before = [a + b for a, b in zip(pads[:2], edges[:2], strict=True)]
    return _covered(sweep, pad, layer, before) and value <= _lowest(sweep, sweep.tensors[pad.inputs[0]])


def _covered(sweep: Sweep, pad: Layer, layer: Layer, before: list[int]) -> bool:
    """Return whether each window of a pool keeps a real element: the first one's end, and the last one's begin."""
    if tuple(layer.attrs["dilations"]) != (1, 1):
        return False
    source, output = (_spatial(sweep.tensors[n].shape) for n in (pad.inputs[0], layer.outputs[0]))
    first = all(k > p for k, p in zip(layer.attrs["kernel"], before, strict=True))
    starts = [(n - 1) * s for n, s in zip(output, layer.attrs["strides"], strict=True)]
    return first and all(s < p + n for s, p, n in zip(starts, before, source, strict=True))


def _spatial(shape: tuple[int, ...]) -> tuple[int, int]:
    return (1, shape[2]) if len(shape) == 3 else (shape[2], shape[3])


def _lowest(sweep: Sweep, tensor: Tensor) -> float:
    """Return a number no value of a tensor falls below, as far as its type or its writer tells."""
    if tensor.quant is not None:
        lowest = RANGE[tensor.dtype][0] - int(tensor.quant.zero_point)
        return float(np.float32(lowest) * np.float32(tensor.quant.scale))
    writer = sweep.producer(tensor.name)
    if writer is None:
        return -np.inf
    if writer.op == "clip":
        return float(writer.attrs["min"])
    activation: tuple[Any, ...] = writer.attrs.get("activation") or (writer.op,)
    if activation[0] == "clip":
        return float(activation[1])
    return 0.0 if activation[0] in ("relu", "sigmoid") else -np.inf
