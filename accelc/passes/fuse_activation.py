"""Fuse relu and clip into the conv, fc, add, sub, mul or affine before them."""

from __future__ import annotations

from dataclasses import replace

from accelc.graph import ELEMENTWISE, FLOAT, Activation, Graph, Layer
from accelc.passes.rewrite import Sweep, absorb, product_before, with_attrs


def fuse_activation(graph: Graph) -> Graph:
    """Return the graph with relu and clip fused where the result before them is float and read by them alone.

    A result that is quantized before the activation is not fused: it saturates and rounds there, and that shows.
    """
    sweep = Sweep(graph)
    for old in graph.layers:
        layer = sweep.resolved(old)
        if not (layer.op in ("relu", "clip") and _fuse(sweep, layer)):
            sweep.keep(layer)
    return sweep.result()


def activation_of(layer: Layer) -> Activation:
    """Return a relu or clip layer as the value of an `activation` attribute."""
    return ("relu",) if layer.op == "relu" else ("clip", layer.attrs["min"], layer.attrs["max"])


def _fuse(sweep: Sweep, layer: Layer) -> bool:
    name = layer.inputs[0]
    found = product_before(sweep, name)
    before = sweep.producer(name)
    takes = before is not None and before.op in (*ELEMENTWISE, "affine") and before.attrs.get("activation") is None
    if found is None and takes and before is not None:
        tensor = sweep.tensors[name]
        if sweep.private(name) and tensor.quant is None and tensor.dtype == FLOAT:
            found = before, None
    if found is None:
        return False
    absorb(sweep, found, layer, with_attrs(replace(found[0]), activation=activation_of(layer)))
    return True
