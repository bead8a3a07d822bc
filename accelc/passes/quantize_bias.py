"""Give conv and fc biases in quantized models the integer form whose unit is input scale times weight scale."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from accelc.graph import WIDE, Graph, Layer, Quant, Tensor
from accelc.passes.rewrite import Sweep, real

_INT32 = np.iinfo(np.int32)
_REACH64 = 2.0**62  # of a 64-bit bias: the sum of products has the rest


def quantize_bias(graph: Graph) -> Graph:
    """Return the graph with int32 biases (int64 for 16-bit operands) wherever a conv or fc is quantized."""
    sweep = Sweep(graph)
    for layer in graph.layers:
        sweep.keep(_with_bias(sweep, layer) if layer.op in ("conv", "fc") and len(layer.inputs) == 3 else layer)
    return sweep.result()


def _with_bias(sweep: Sweep, layer: Layer) -> Layer:
    x, w, bias = (sweep.tensors[n] for n in layer.inputs)
    if x.quant is None or w.quant is None or bias.data is None:
        return layer
    scale = (x.quant.scale * w.quant.scale).astype(np.float32)
    quant = Quant(scale, np.zeros(scale.shape, np.int32), 0 if scale.ndim else None)
    if x.dtype == WIDE:
        return _with_wide_bias(sweep, layer, bias, quant)
    if bias.dtype == "int32" and bias.quant is not None and _close(bias.quant, quant):
        data = bias.data
    else:
        data = np.clip(np.rint(real(bias).astype(np.float64) / scale), _INT32.min, _INT32.max).astype(np.int32)
    if bias.dtype == "int32" and _equal(bias, quant):
        return layer
    name = sweep.constant(f"{bias.name}/int32", data, quant)
    return replace(layer, inputs=(*layer.inputs[:2], name))


def _with_wide_bias(sweep: Sweep, layer: Layer, bias: Tensor, quant: Quant) -> Layer:
    if bias.dtype == "int64":
        return layer
    data = np.clip(np.rint(real(bias).astype(np.float64) / quant.scale), -_REACH64, _REACH64).astype(np.int64)
    name = sweep.constant(f"{bias.name}/int64", data, quant)
    return replace(layer, inputs=(*layer.inputs[:2], name))


def _close(a: Quant, b: Quant) -> bool:
    # Scales that differ by rounding mean the same integers.
    return not np.any(a.zero_point) and bool(np.allclose(a.scale, b.scale, rtol=1e-5, atol=0))


def _equal(bias: Tensor, quant: Quant) -> bool:
    have = bias.quant
    return have is not None and not np.any(have.zero_point) and np.array_equal(have.scale, quant.scale)
