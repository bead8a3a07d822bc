"""Static quantization of a graph to 8 or 16 bits."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from accelc.arithmetic import quantize_array
from accelc.errors import InputError, ModelError
from accelc.graph import (
    ELEMENTWISE,
    FLOAT,
    QUANTIZED,
    RANGE,
    WIDE,
    Array,
    Graph,
    Layer,
    Quant,
    Tensor,
    verify_quantized,
)
from accelc.passes import align_quantization, fuse_maps, quantize_bias
from accelc.quantize.calibrate import ranges
from accelc.quantize.groups import open_tensors
from accelc.quantize.islands import stays_plain
from accelc.quantize.samples import Samples, prepare
from accelc.quantize.scales import choose, constant_quant
from accelc.quantize.sums import keep_sums

Calibration = Literal["minmax", "percentile", "entropy"]
Activations = Literal["uint8", "int8", "int16"]

# Half of the int32 range: the bias leaves the other half to the sum of products.
_BIAS_LIMIT = 2.0**30


def quantize(
    graph: Graph,
    samples: Samples | None = None,
    *,
    seed: int = 0,
    activations: str = "uint8",
    calibration: str = "minmax",
    progress: Callable[[str], None] = lambda _: None,
) -> Graph:
    """Return a simplified graph with every tensor quantized; scales that the model brings are kept.

    `progress` is told each calibration sample as it is run.

    Weights: int8, symmetric, per output channel. Activations: one scale and zero point each, by the samples' ranges
    (without samples: standard normal inputs drawn by `seed`). Biases: int32 in units of input times weight scale.
    With int16 activations all zero points are 0, weights are int16 and biases int64.
    """
    if activations not in QUANTIZED:
        raise InputError(f"activations='{activations}' is unknown; {', '.join(QUANTIZED)} would work")
    plain = stays_plain(graph, wide=activations == WIDE)
    free = [n for n in open_tensors(graph) if n not in plain]
    runs = prepare(graph, samples, seed) if free or samples is not None else []
    limits = ranges(graph, _Told(runs, progress), free, calibration) if free else {}
    chosen = choose(graph, limits, activations, free)
    tensors = dict(graph.tensors)
    tensors |= {n: replace(tensors[n], dtype=activations, quant=q) for n, q in chosen.items()}
    described = graph.with_layers(graph.layers, tensors)
    aligned = quantize_bias(align_quantization(_with_constants(described, activations)))
    return verify_quantized(fuse_maps(keep_sums(aligned)))


@dataclass(frozen=True, eq=False)
class _Told:
    """Samples, each told as it is taken."""

    runs: Iterable[Mapping[str, Array]]
    progress: Callable[[str], None]

    def __iter__(self) -> Iterator[Mapping[str, Array]]:
        for number, run in enumerate(self.runs, 1):
            self.progress(f"quantize: calibration sample {number}")
            yield run


def _with_constants(graph: Graph, dtype: str) -> Graph:
    """Return the graph with weights and constant operands quantized; a constant used twice becomes two if need be."""
    tensors, layers = dict(graph.tensors), []
    for layer in graph.layers:
        made = _constants(tensors, layer, dtype)
        tensors |= {t.name: t for t in made.values()}
        layers.append(replace(layer, inputs=tuple(made[n].name if n in made else n for n in layer.inputs)))
    return graph.with_layers(layers, tensors)


def _constants(tensors: Mapping[str, Tensor], layer: Layer, dtype: str) -> dict[str, Tensor]:
    """Return, by the old name, the quantized form of a layer's float constants."""
    if layer.op in ("conv", "fc"):
        weights = tensors[layer.inputs[1]]
        return {weights.name: _weights(tensors, layer, weights)} if weights.quant is None else {}
    if layer.op not in (*ELEMENTWISE, "concat") or (layer.op == "concat" and tensors[layer.outputs[0]].quant is None):
        return {}
    names = [n for n in layer.inputs if tensors[n].data is not None and tensors[n].dtype == FLOAT]
    like = tensors[layer.outputs[0]] if layer.op == "concat" else None
    return {n: _operand(tensors[n], dtype, like, layer) for n in names}


def _operand(tensor: Tensor, dtype: str, like: Tensor | None, layer: Layer) -> Tensor:
    data = _finite(tensor)
    kind, quant = (dtype, constant_quant(data, dtype)) if like is None else (like.dtype, like.quant)
    assert quant is not None
    name = f"{tensor.name}/{kind}" if like is None else f"{tensor.name}/{layer.name}"
    return Tensor(name, tensor.shape, kind, quant, quantize_array(data, quant, kind))


def _weights(tensors: Mapping[str, Tensor], layer: Layer, weights: Tensor) -> Tensor:
    """Return a layer's weights quantized; layers that share them, as the steps of a recurrence do, go on to."""
    dtype = WIDE if tensors[layer.inputs[0]].dtype == WIDE else "int8"
    name, least = f"{weights.name}/{dtype}", _least_scale(tensors, layer, dtype)
    shared = tensors.get(name)
    if shared is not None and shared.quant is not None and (shared.quant.scale >= least).all():
        return shared
    data = _finite(weights)
    rows = data.reshape(data.shape[0], -1)
    flat = np.maximum(rows.max(axis=1), -rows.min(axis=1)).astype(np.float64)
    reach = RANGE[dtype][1]
    own = np.where(flat > 0, flat / reach, 1.0)
    if shared is not None or (least > own).any():
        name = f"{name}.{layer.name}"
    narrow = np.maximum(np.maximum(own, least), np.finfo(np.float32).tiny).astype(np.float32)
    quant = Quant(narrow, np.zeros(narrow.shape, np.int32), 0)
    integers = quantize_array(data, quant, dtype)
    return Tensor(name, weights.shape, dtype, quant, np.maximum(integers, integers.dtype.type(-reach), out=integers))


def _least_scale(tensors: Mapping[str, Tensor], layer: Layer, dtype: str) -> Array:
    """Return the least weight scales: a bias far above the weights would overflow int32 in their unit."""
    bias = tensors[layer.inputs[2]] if len(layer.inputs) > 2 else None
    x = tensors[layer.inputs[0]].quant
    if bias is None or bias.quant is not None or x is None or dtype == WIDE:
        return np.zeros(1)
    return np.abs(_finite(bias)).astype(np.float64) / (float(x.scale) * _BIAS_LIMIT)


def _finite(tensor: Tensor) -> Array:
    assert tensor.data is not None
    if not np.isfinite(tensor.data).all():
        raise ModelError(f"constant '{tensor.name}' holds NaN or infinity")
    return tensor.data
