"""Fold the sum of a product and a constant per channel into the bias of the conv or fc."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from accelc.graph import Array, Graph, Layer, Tensor
from accelc.passes.rewrite import Sweep, absorb, product_before, real, with_attrs


def fold_bias(graph: Graph) -> Graph:
    """Return the graph with such `add` and `sub` layers folded where the product is float and read by them alone."""
    sweep = Sweep(graph)
    for old in graph.layers:
        layer = sweep.resolved(old)
        if not (layer.op in ("add", "sub") and _fold(sweep, layer)):
            sweep.keep(layer)
    return sweep.result()


def _fold(sweep: Sweep, layer: Layer) -> bool:
    operands = [sweep.tensors[n] for n in layer.inputs]
    dynamic = [t for t in operands if t.data is None]
    if len(dynamic) != 1 or (layer.op == "sub" and operands[0].data is not None):
        return False
    constant = operands[1] if dynamic[0] is operands[0] else operands[0]
    output = sweep.tensors[layer.outputs[0]]
    found = product_before(sweep, dynamic[0].name) if dynamic[0].shape == output.shape else None
    if found is None:
        return False
    bias = _total(sweep, found[0], _per_channel(found[0], constant, output), layer.op == "sub")
    if bias is None:
        return False
    inputs = (*found[0].inputs[:2], sweep.constant(f"{output.name}/bias", bias))
    absorb(sweep, found, layer, with_attrs(replace(found[0], inputs=inputs), activation=layer.attrs["activation"]))
    return True


def _per_channel(product: Layer, constant: Tensor, output: Tensor) -> Array | None:
    """Return a constant as one value per channel, None if it varies along another axis."""
    axis = 1 if product.op == "conv" else len(output.shape) - 1
    shape = (1,) * (len(output.shape) - len(constant.shape)) + constant.shape
    if any(extent != 1 for i, extent in enumerate(shape) if i != axis):
        return None
    return np.broadcast_to(real(constant).reshape(-1), (output.shape[axis],))


def _total(sweep: Sweep, product: Layer, more: Array | None, negative: bool) -> Array | None:
    if more is None:
        return None
    more = -more if negative else more
    if len(product.inputs) < 3:
        return more.astype(np.float32)
    bias = sweep.tensors[product.inputs[2]]
    if bias.data is None or bias.quant is not None:
        return None
    return (bias.data + more).astype(np.float32)
