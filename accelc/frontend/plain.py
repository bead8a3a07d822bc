"""After import: the types of tensors outside integer layers become the two that the vector unit computes in."""

from __future__ import annotations

from dataclasses import replace

from accelc.errors import UnsupportedError
from accelc.graph import BYTES, FLOAT, LAYOUT_OPS, PLAIN, REAL_OPS, Graph, Tensor

_FREE = (*REAL_OPS, *LAYOUT_OPS, "host")
_WIDTHS = {
    "float64": FLOAT, "float16": FLOAT, "bfloat16": FLOAT, "bool": "int32", "int64": "int32", "uint64": "int32",
    "uint32": "int32", "uint16": "int32", "int16": "int32", "int8": "int32", "uint8": "int32",
}  # fmt: skip


def as_plain(graph: Graph) -> Graph:
    """Return the graph in which what only the vector unit's 32-bit layers touch is float32 or int32.

    The model's own types of its inputs and outputs are kept in `Graph.io_types`.
    """
    touched = {n for layer in graph.layers if layer.op not in _FREE for n in (*layer.inputs, *layer.outputs)}
    integer = _joined(graph, touched)
    tensors = {n: t if n in integer or t.quant is not None else _plain(t) for n, t in graph.tensors.items()}
    _check(graph, tensors)
    io = {n: graph.tensors[n].dtype for n in (*graph.inputs, *graph.outputs) if tensors[n] is not graph.tensors[n]}
    return replace(graph, tensors=tensors, io_types=io)


def _joined(graph: Graph, names: set[str]) -> set[str]:
    """Return tensors and those of bytes that moves join with them or with a tensor that has a scale."""
    found = names | {n for n, t in graph.tensors.items() if t.quant is not None}
    before = -1
    while before != (before := len(found)):
        for layer in graph.layers:
            group = {*layer.inputs, *layer.outputs}
            if layer.op in LAYOUT_OPS and group & found:
                found |= {n for n in group if n and graph.tensors[n].dtype in BYTES}
    return found


def _plain(tensor: Tensor) -> Tensor:
    if tensor.dtype in PLAIN:
        return tensor
    kind = _WIDTHS.get(tensor.dtype)
    if kind is None:
        raise UnsupportedError(f"tensor '{tensor.name}' is {tensor.dtype}; {', '.join((*PLAIN, *_WIDTHS))} would work")
    if tensor.data is None:
        return replace(tensor, dtype=kind)
    held = tensor.data.clip(-(1 << 31), (1 << 31) - 1) if tensor.data.dtype.kind in "iu" else tensor.data
    return replace(tensor, dtype=kind, data=held.astype(kind))


def _check(graph: Graph, tensors: dict[str, Tensor]) -> None:
    for layer in graph.layers:
        for name in layer.outputs:
            kind = tensors[name].dtype
            if layer.op not in _FREE and kind not in (FLOAT, *BYTES) and name not in graph.outputs:
                raise UnsupportedError(f"layer '{layer.name}' ({layer.op}): the {kind} result '{name}' is not a graph"
                                       " output; a quantized or float result would work")  # fmt: skip
