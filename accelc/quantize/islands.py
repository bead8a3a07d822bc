"""Which float tensors stay 32-bit numbers: those that no integer layer touches, not even by way of a move."""

from __future__ import annotations

from accelc.graph import LAYOUT_OPS, REAL_OPS, Graph
from accelc.quantize.groups import Groups, open_tensors
from accelc.quantize.sums import PRODUCTS

_FREE = (*REAL_OPS, *LAYOUT_OPS, "host")


def stays_plain(graph: Graph, *, wide: bool = False) -> frozenset[str]:
    """Return the activations without scale that only layers on 32-bit numbers, moves and the host touch.

    Tensors that a move joins have one form; it is quantized where an integer layer reads or writes one of them. Only a
    product may write one that 32-bit layers alone read: its sums are exact (see `sums`), in 8-bit networks.
    """
    groups, consumers = Groups(graph.tensors), graph.consumers()
    touched = {n for n, t in graph.tensors.items() if t.quant is not None and t.data is None}
    for layer in graph.layers:
        names = [n for n in (*layer.inputs, *layer.outputs) if n]
        if layer.op in LAYOUT_OPS:
            for name in names[1:]:
                groups.join(names[0], name)
        elif layer.op in PRODUCTS and not wide and layer.attrs.get("activation") is None:
            touched |= {*layer.inputs, *(n for n in layer.outputs if n in graph.outputs or not consumers[n])}
        elif layer.op not in _FREE:
            touched |= set(names)
    for layer in graph.layers:  # what a product writes and the model returns is quantized, also behind a move
        if layer.op in PRODUCTS and any(groups.root(n) == groups.root(layer.outputs[0]) for n in graph.outputs):
            touched.add(layer.outputs[0])
    integer = {groups.root(n) for n in touched}
    return frozenset(n for n in open_tensors(graph) if groups.root(n) not in integer)
