"""Dynamically quantized models: sums of ConvInteger or MatMulInteger behind DynamicQuantizeLinear.

Their activations get a scale anew in each run, which a chip with fixed scales does not do. The pattern
DynamicQuantizeLinear -> integer operator -> Cast -> Mul by both scales is rewritten to the float operator it stands
for, with the weights still quantized as given; static calibration later takes the place of the dynamic range.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import onnx
from onnx import helper

_FLOAT = {"ConvInteger": "Conv", "MatMulInteger": "MatMul"}


@dataclass(frozen=True)
class _Uses:
    """Who writes and who reads each value of a model."""

    writer: dict[str, onnx.NodeProto]
    readers: dict[str, list[onnx.NodeProto]]

    def only(self, value: str, op: str) -> onnx.NodeProto | None:
        readers = self.readers.get(value, [])
        return readers[0] if len(readers) == 1 and readers[0].op_type == op else None

    def operand(self, node: onnx.NodeProto, beside: str) -> str:
        """Return the other operand of a product, "" if `beside` is none of its operands."""
        if len(node.input) != 2 or beside not in node.input:
            return ""
        return str(node.input[1] if node.input[0] == beside else node.input[0])


def _uses(graph: onnx.GraphProto) -> _Uses:
    writer = {name: node for node in graph.node for name in node.output}
    readers: dict[str, list[onnx.NodeProto]] = {}
    for node in graph.node:
        for name in node.input:
            readers.setdefault(name, []).append(node)
    return _Uses(writer, readers)


def rewrite_dynamic(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return the model with every dynamically quantized product as a float one with quantized weights."""
    if not any(node.op_type == "DynamicQuantizeLinear" for node in model.graph.node):
        return model
    uses = _uses(model.graph)
    replaced: dict[int, list[onnx.NodeProto]] = {}
    for node in model.graph.node:
        found = _scaled_product(node, uses)
        if found is not None:
            product, scale = found
            replaced[id(product)] = _as_float(node, uses.writer[node.input[0]].input[0], scale, product.output[0])
    nodes = [new for node in model.graph.node for new in replaced.get(id(node), [node])]
    result = onnx.ModelProto()
    result.CopyFrom(model)
    del result.graph.node[:]
    result.graph.node.extend(_alive(nodes, {o.name for o in model.graph.output}))
    return result


def _scaled_product(node: onnx.NodeProto, uses: _Uses) -> tuple[onnx.NodeProto, str] | None:
    """Return the Mul that ends the pattern begun by an integer operator, and the name of the weights' scale."""
    source = uses.writer.get(node.input[0]) if node.op_type in _FLOAT else None
    if source is None or source.op_type != "DynamicQuantizeLinear":
        return None
    cast = uses.only(node.output[0], "Cast")
    product = uses.only(cast.output[0], "Mul") if cast is not None else None
    if cast is None or product is None:
        return None
    scales = uses.writer.get(uses.operand(product, cast.output[0]))
    scale = uses.operand(scales, source.output[1]) if scales is not None and scales.op_type == "Mul" else ""
    return (product, scale) if scale else None


def _as_float(node: onnx.NodeProto, x: str, scale: str, output: str) -> list[onnx.NodeProto]:
    weights, zero = node.input[1], node.input[3] if len(node.input) > 3 else ""
    name = node.name or f"{node.op_type}_{node.output[0]}"
    real, axis = f"{output}/weights", 0 if node.op_type == "ConvInteger" else -1
    operands = [weights, scale, zero] if zero else [weights, scale]
    dequantize = helper.make_node("DequantizeLinear", operands, [real], name=f"{name}/weights", axis=axis)
    product = helper.make_node(_FLOAT[node.op_type], [x, real], [output], name=name)
    product.attribute.extend(node.attribute)
    return [dequantize, product]


def _alive(nodes: list[onnx.NodeProto], wanted: set[str]) -> Iterable[onnx.NodeProto]:
    """Return the nodes whose results reach the wanted values, in order."""
    kept = []
    for node in reversed(nodes):
        if wanted & set(node.output):
            wanted |= set(node.input)
            kept.append(node)
    return reversed(kept)
