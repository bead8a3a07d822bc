"""From an ONNX model to a Graph: inputs, constants, nodes in order, outputs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import onnx
from onnx import helper, numpy_helper

from accelc.errors import InputError, ModelError
from accelc.frontend.builder import Builder, real
from accelc.frontend.dynamic import rewrite_dynamic
from accelc.frontend.fold import checked
from accelc.frontend.load import input_shapes, load, opsets
from accelc.frontend.lowering import lower_nodes
from accelc.frontend.masks import bounded
from accelc.frontend.plain import as_plain
from accelc.frontend.sequences import rewrite_sequences
from accelc.graph import FLOAT, Array, Graph, Layer, Tensor, verify
from accelc.passes.absorb_quantization import absorb_quantization
from accelc.passes.quantize_bias import quantize_bias

PRECISIONS = ("int8", "float32")


def import_onnx(
    source: str | Path | onnx.ModelProto,
    *,
    dims: Mapping[str, int] | None = None,
    allow_host: bool = False,
    precision: str = "int8",
    parameters: Mapping[str, Array] | None = None,
) -> Graph:
    """Return the layers of an ONNX model; `dims` sets open dimensions, `allow_host` keeps what no layer expresses.

    `parameters` are values of graph inputs that are constants, as if they were initializers of the model.

    With precision "float32" every operator becomes work of the vector unit on 32-bit numbers; else what has an integer
    form takes that.
    """
    if precision not in PRECISIONS:
        raise InputError(f"precision '{precision}' is unknown; {' or '.join(PRECISIONS)} would work")
    model = rewrite_sequences(rewrite_dynamic(load(source)))
    if parameters is not None:
        model = _without_inputs(model, parameters, dims or {})
    b = Builder(opsets(model), needed=_needed(model.graph), allow_host=allow_host, real=precision == "float32")
    inputs = _add_inputs(b, model, dims or {})
    for initializer in model.graph.initializer:
        b.tensors[initializer.name] = checked(numpy_helper.to_array(initializer), initializer.name)
    b.tensors |= {name: checked(value, name) for name, value in (parameters or {}).items()}
    lower_nodes(b, model.graph.node)
    graph = _finish(b, model.graph, inputs)
    return verify(quantize_bias(verify(absorb_quantization(verify(graph)))))


def _without_inputs(
    model: onnx.ModelProto, parameters: Mapping[str, Array], dims: Mapping[str, int]
) -> onnx.ModelProto:
    """Return the model without the inputs that stand for parameters, each of which must have the parameter's shape."""
    declared = input_shapes(model, dims)
    for name, value in parameters.items():
        if name not in declared:
            raise ModelError(f"parameter '{name}' is no input of the model")
        if declared[name] != value.shape:
            given = f"shape {list(value.shape)}; the model's input has {list(declared[name])}"
            raise ModelError(f"parameter '{name}' has {given}")
    result = onnx.ModelProto()
    result.CopyFrom(model)
    del result.graph.input[:]
    result.graph.input.extend(i for i in model.graph.input if i.name not in parameters)
    return result


def _needed(graph: onnx.GraphProto) -> frozenset[str]:
    return frozenset({o.name for o in graph.output} | {name for node in graph.node for name in node.input})


def _add_inputs(b: Builder, model: onnx.ModelProto, dims: Mapping[str, int]) -> tuple[str, ...]:
    shapes = input_shapes(model, dims)
    for value in model.graph.input:
        if value.name in shapes:
            dtype = str(helper.tensor_dtype_to_np_dtype(value.type.tensor_type.elem_type))
            b.tensors[value.name] = Tensor(value.name, shapes[value.name], dtype)
    return tuple(shapes)


def _finish(b: Builder, graph: onnx.GraphProto, inputs: tuple[str, ...]) -> Graph:
    """Return what was built as a Graph, with integer inputs and outputs marked as such."""
    outputs = tuple(o.name for o in graph.output)
    if not b.real:
        b.tensors = {n: bounded(t) for n, t in b.tensors.items()}
    for name in outputs:
        if b.is_constant(name):
            _write_constant(b, name)
    integer = frozenset(n for n in (*inputs, *outputs) if b.tensor(n).dtype != FLOAT)
    name = graph.name or "model"
    built = Graph(name, dict(b.tensors), tuple(b.layers), inputs, outputs, integer_io=integer, spans=_spans(graph))
    return as_plain(replace(built.with_layers(built.layers), inputs=inputs))


def _spans(graph: onnx.GraphProto) -> dict[str, tuple[float, float]]:
    """Return the ranges that notes on inputs give for their samples: `span LOW HIGH`."""
    noted = {i.name: i.doc_string.split() for i in graph.input if i.doc_string.startswith("span ")}
    return {name: (float(words[1]), float(words[2])) for name, words in noted.items() if len(words) == 3}


def _write_constant(b: Builder, name: str) -> None:
    """Let a layer write a graph output that depends on no input."""
    value = b.tensors.pop(name)
    held = b.constant(f"{name}/value", real(value))
    b.tensors[name] = replace(value, data=None, quant=None, dtype=held.dtype)
    b.layers.append(Layer(f"{name}/write", "map", (held.name,), (name,), {"steps": (("identity", 0),)}))
