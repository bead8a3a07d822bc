"""Fold a batch normalization into the float weights and bias of the conv or fc before it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from accelc.graph import Graph, Layer
from accelc.passes.rewrite import Sweep, absorb, product_before


def fold_batch_norm(graph: Graph) -> Graph:
    """Return the graph with `affine` layers folded where the result before them is float and read by them alone."""
    sweep = Sweep(graph)
    for old in graph.layers:
        layer = sweep.resolved(old)
        found = product_before(sweep, layer.inputs[0]) if layer.op == "affine" else None
        folded = _folded(sweep, found[0], layer) if found is not None and found[1] is None else None
        if found is None or folded is None:
            sweep.keep(layer)
        else:
            absorb(sweep, found, layer, folded)
    return sweep.result()


def _folded(sweep: Sweep, product: Layer, affine: Layer) -> Layer | None:
    """Return the product with scaled weights and bias, computed in float64 and rounded once; None if quantized."""
    weights, *biases = (sweep.tensors[n] for n in product.inputs[1:])
    if weights.quant is not None or weights.data is None or any(b.quant is not None for b in biases):
        return None
    scale, shift = (sweep.tensors[n].data for n in affine.inputs[1:])
    assert scale is not None
    assert shift is not None
    wide = scale.astype(np.float64).reshape((-1,) + (1,) * (weights.data.ndim - 1))
    bias = np.zeros(scale.shape) if not biases else np.asarray(biases[0].data, np.float64)
    scaled = np.empty(weights.shape, np.float32)
    np.multiply(weights.data, wide, out=scaled, dtype=np.float64, casting="same_kind")
    names = (
        sweep.constant(f"{weights.name}/folded", scaled),
        sweep.constant(f"{affine.outputs[0]}/bias", (bias * scale + shift).astype(np.float32)),
    )
    return replace(product, inputs=(product.inputs[0], *names))
