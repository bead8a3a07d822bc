"""Operators that ONNX itself defines by simpler ones: their bodies in their place."""

from __future__ import annotations

from collections.abc import Mapping

import onnx
from onnx import defs

from accelc.frontend.builder import Builder, onnx_type
from accelc.frontend.node import Lowering, Node


def attention(b: Builder, node: Node) -> None:
    """Softmax of scaled products of queries and keys, masked as asked, times values; with those of the past."""
    from accelc.frontend.lowering import lower_nodes

    schema = defs.get_schema(node.op, node.version, node.domain)
    types = [onnx_type(b.tensor(n)).SerializeToString() if n else b"" for n in node.inputs]
    build = schema.get_context_dependent_function  # type: ignore[attr-defined]  # its stubs leave it out
    function = onnx.FunctionProto.FromString(build(node.proto.SerializeToString(), types))
    names = dict.fromkeys(function.input, "") | dict(zip(function.input, node.inputs, strict=False))
    names |= {n: o for n, o in zip(function.output, node.outputs, strict=False) if o}
    given = {a.name: a for a in node.proto.attribute}
    parts = [_part(part, node, names, given) for part in function.node]
    before, b.needed = b.needed, b.needed | {n for part in parts for n in part.input}
    lower_nodes(b, parts)
    b.needed = before


def _part(
    part: onnx.NodeProto, node: Node, names: dict[str, str], given: Mapping[str, onnx.AttributeProto]
) -> onnx.NodeProto:
    """Return a node of a body with the operands, results and attributes of the node it stands for."""
    made = onnx.NodeProto()
    made.CopyFrom(part)
    made.name = f"{node.name}/{part.name or part.op_type}"
    made.input[:] = [names.get(n, n) for n in part.input]
    made.output[:] = [names.setdefault(n, f"{node.name}/{n}") if n else "" for n in part.output]
    del made.attribute[:]
    for attribute in part.attribute:
        if attribute.ref_attr_name in given:
            made.attribute.add().CopyFrom(given[attribute.ref_attr_name])
            made.attribute[-1].name = attribute.name
        elif not attribute.ref_attr_name:
            made.attribute.add().CopyFrom(attribute)
    return made


LOWERINGS = (
    Lowering(
        "Attention", attention, ("contract", "map", "reduce"),
        ("is_causal", "kv_num_heads", "q_num_heads", "qk_matmul_output_mode", "scale", "softcap", "softmax_precision"),
    ),
)  # fmt: skip
