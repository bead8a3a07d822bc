"""From an ONNX model to a Graph: each node in order is evaluated, expanded, lowered, or kept for the host."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import onnx
from onnx import helper, numpy_helper

from accelc.errors import ModelError, UnsupportedError
from accelc.frontend.builder import Builder
from accelc.frontend.dynamic import rewrite_dynamic
from accelc.frontend.fold import checked, fold
from accelc.frontend.host import lower_to_host
from accelc.frontend.load import input_shapes, load, opsets
from accelc.frontend.node import Node, RefusedError
from accelc.frontend.table import EXPANSIONS, LOWERINGS
from accelc.graph import FLOAT, QUANTIZED, Graph, Tensor, verify
from accelc.passes.absorb_quantization import absorb_quantization
from accelc.passes.quantize_bias import quantize_bias

_HINT = "or pass --allow-host to run it on the host"


def import_onnx(
    source: str | Path | onnx.ModelProto, *, dims: Mapping[str, int] | None = None, allow_host: bool = False
) -> Graph:
    """Return the layers of an ONNX model; `dims` sets open dimensions, `allow_host` keeps what no layer expresses."""
    model = rewrite_dynamic(load(source))
    b = Builder(opsets(model), needed=_needed(model.graph))
    inputs = _add_inputs(b, model, dims or {})
    for initializer in model.graph.initializer:
        b.tensors[initializer.name] = checked(numpy_helper.to_array(initializer), initializer.name)
    for proto in model.graph.node:
        version = b.opsets.get("" if proto.domain == "ai.onnx" else proto.domain, 1)
        _lower_node(b, Node.of(proto, version), allow_host)
    graph = _finish(b, model.graph, inputs)
    return verify(quantize_bias(verify(absorb_quantization(verify(graph)))))


def _needed(graph: onnx.GraphProto) -> frozenset[str]:
    return frozenset({o.name for o in graph.output} | {name for node in graph.node for name in node.input})


def _add_inputs(b: Builder, model: onnx.ModelProto, dims: Mapping[str, int]) -> tuple[str, ...]:
    shapes = input_shapes(model, dims)
    for value in model.graph.input:
        if value.name in shapes:
            dtype = str(helper.tensor_dtype_to_np_dtype(value.type.tensor_type.elem_type))
            b.tensors[value.name] = Tensor(value.name, shapes[value.name], dtype)
    return tuple(shapes)


def _lower_node(b: Builder, node: Node, allow_host: bool) -> None:
    """Lower one node of the model; a refused one goes to the host or ends the import."""
    layers, tensors = len(b.layers), set(b.tensors)
    try:
        parts = list(_expanded(b, node))
    except RefusedError as refusal:
        raise UnsupportedError(str(refusal)) from None
    for part in parts:
        try:
            if not fold(b, part):
                _lower(b, part)
        except RefusedError as refusal:
            if not allow_host:
                raise UnsupportedError(f"{refusal}, {_HINT}") from None
            if part is node:
                del b.layers[layers:]
                b.tensors = {n: t for n, t in b.tensors.items() if n in tensors}
            lower_to_host(b, part, refusal)


def _expanded(b: Builder, node: Node) -> Iterator[Node]:
    expansion = EXPANSIONS.get((node.domain, node.op))
    return iter([node] if expansion is None else expansion.expand(b, node))


def _lower(b: Builder, node: Node) -> None:
    entry = LOWERINGS.get((node.domain, node.op))
    if entry is None:
        domain = f" of domain '{node.domain}'" if node.domain else ""
        raise node.refuse(f"operator {node.op}{domain}", "rewrite the model with supported operators")
    allowed = (FLOAT, *QUANTIZED) if entry.integer else (FLOAT,)
    for name in node.inputs:
        if name and not b.is_constant(name) and b.tensor(name).dtype not in allowed:
            works = f"{' or '.join(allowed)} would work"
            raise node.refuse(f"an input '{name}' of {b.tensor(name).dtype}", works)
    entry.lower(b, node)


def _finish(b: Builder, graph: onnx.GraphProto, inputs: tuple[str, ...]) -> Graph:
    """Return what was built as a Graph, with integer inputs and outputs marked as such."""
    outputs = tuple(o.name for o in graph.output)
    for name in outputs:
        if b.is_constant(name):
            raise ModelError(f"graph output '{name}' does not depend on any input; nothing is left to run")
    integer = frozenset(n for n in (*inputs, *outputs) if b.tensor(n).dtype != FLOAT)
    built = Graph(graph.name or "model", dict(b.tensors), tuple(b.layers), inputs, outputs, integer_io=integer)
    for layer in built.layers:
        for name in layer.outputs:
            tensor = built.tensors[name]
            if tensor.dtype not in (FLOAT, *QUANTIZED) and name not in outputs:
                raise UnsupportedError(f"layer '{layer.name}' ({layer.op}): the {tensor.dtype} result '{name}' is not"
                                       " a graph output; a quantized or float result would work")  # fmt: skip
    return replace(built.with_layers(built.layers), inputs=inputs)
