"""Host layers: ONNX nodes kept whole for the host processor: those a real NPU leaves to it, and others on demand."""

from __future__ import annotations

from collections.abc import Callable
from math import prod

import numpy as np
import onnx
from onnx import helper, numpy_helper

from accelc.frontend.builder import Builder, one_line, real
from accelc.frontend.node import Lowering, Node, RefusedError
from accelc.graph import Array, Tensor

Shape = tuple[int, ...]


def lower_to_host(b: Builder, node: Node, refusal: RefusedError) -> None:
    """Append the node as a host layer; raise the refusal, with the reason, when the host cannot run it either."""
    try:
        described = b.infer(node)
    except RefusedError:
        described = []
    dynamic = _dynamic(b, node)
    outputs = tuple(n for n in node.outputs if n and n in b.needed)
    if not outputs:
        return  # nobody reads it
    known = {t.name: t for t in described}
    model = _model(b, node, dynamic, [known.get(n, Tensor(n, ())) for n in outputs])
    # One run with ones proves that the host can do it, and gives the shapes.
    for name, value in zip(outputs, _tried(model, b, dynamic, refusal), strict=True):
        b.tensors[name] = Tensor(name, tuple(value.shape), str(value.dtype))
    _append(b, node, dynamic, outputs, str(refusal))


def _append(b: Builder, node: Node, inputs: tuple[str, ...], outputs: tuple[str, ...], reason: str) -> None:
    model = _model(b, node, inputs, [b.tensor(n) for n in outputs])
    attrs = {"op_type": node.op, "model": model.SerializeToString(), "reason": reason}
    b.append(node, "host", inputs, outputs, attrs)


def _dynamic(b: Builder, node: Node) -> tuple[str, ...]:
    return tuple(dict.fromkeys(n for n in node.inputs if n and not b.is_constant(n)))


def _model(b: Builder, node: Node, inputs: tuple[str, ...], outputs: list[Tensor]) -> onnx.ModelProto:
    """Return the node as a model whose constant operands are inside."""
    constants = [
        numpy_helper.from_array(real(b.tensor(n)), n) for n in dict.fromkeys(node.inputs) if n and b.is_constant(n)
    ]
    graph = helper.make_graph(
        [node.proto],
        node.name,
        [helper.make_tensor_value_info(n, _kind(b.tensor(n)), b.shape(n)) for n in inputs],
        [helper.make_tensor_value_info(t.name, _kind(t), t.shape or None) for t in outputs],
        constants,
    )
    opsets = [helper.make_opsetid(node.domain, node.version)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=helper.find_min_ir_version_for(opsets, True))


def _kind(tensor: Tensor) -> int:
    dtype = "float32" if tensor.quant is not None else tensor.dtype
    return int(helper.np_dtype_to_tensor_dtype(np.dtype(dtype)))


def _tried(model: onnx.ModelProto, b: Builder, inputs: tuple[str, ...], refusal: RefusedError) -> list[Array]:
    ones = [np.ones(b.shape(n), np.float32) for n in inputs]
    feeds = dict(zip(inputs, ones, strict=True))
    try:
        from onnx.reference import ReferenceEvaluator

        kinds = {i.name: helper.tensor_dtype_to_np_dtype(i.type.tensor_type.elem_type) for i in model.graph.input}
        return list(ReferenceEvaluator(model).run(None, {n: x.astype(kinds[n]) for n, x in feeds.items()}))
    except Exception as error:  # whatever the operator's Python code raises means the same here
        raise refusal.extended(f"the host cannot run it either: {one_line(error)}") from None


# Operators that a real NPU leaves to its host processor


def _suppression_shapes(b: Builder, node: Node) -> list[Shape]:
    batch, groups, count = b.shape(node.input(1))
    most = int(b.require(node, 2, "number of boxes").reshape(-1)[0]) if node.input(2) else 0
    if most < 1:
        raise node.refuse(f"max_output_boxes_per_class={most}", "1 or more would work")
    return [(batch * groups * min(count, most), 3)]


def _top_k_shapes(b: Builder, node: Node) -> list[Shape]:
    shape = list(b.shape(node.input(0)))
    shape[node.get("axis", -1)] = int(b.require(node, 1, "k").reshape(-1)[0])
    return [tuple(shape)] * 2


def _non_zero_shapes(b: Builder, node: Node) -> list[Shape]:
    shape = b.shape(node.input(0))
    return [(max(len(shape), 1), prod(shape))]


def _host(shapes: Callable[[Builder, Node], list[Shape]], reason: str) -> Callable[[Builder, Node], None]:
    def lower(b: Builder, node: Node) -> None:
        found, kinds = shapes(b, node), _result_kinds(b, node)
        outputs = tuple(n for n in node.outputs if n)
        for name, shape, kind in zip(node.outputs, found, kinds, strict=False):
            if name:
                b.tensors[name] = Tensor(name, shape, kind)
        _append(b, node, _dynamic(b, node), outputs, reason)

    lower.__doc__ = _MEANINGS[shapes]
    return lower


def _result_kinds(b: Builder, node: Node) -> list[str]:
    source = b.tensor(node.input(0))
    own = "float32" if source.quant is not None else source.dtype
    return {"TopK": [own, "int64"]}.get(node.op, ["int64"])


_MEANINGS: dict[Callable[[Builder, Node], list[Shape]], str] = {
    _suppression_shapes: "The best boxes, without those that overlap a better one; rows of -1 fill up to the maximum.",
    _top_k_shapes: "The k largest or smallest elements along an axis, with their places.",
    _non_zero_shapes: "Places of elements other than 0; columns of -1 fill up to the number of elements.",
}

HOST_LOWERINGS = (
    Lowering(
        "NonMaxSuppression", _host(_suppression_shapes, "sorting and suppression are left to the host"), ("host",),
        ("center_point_box",), ("a number of boxes computed at run time, or 0",),
    ),
    Lowering("TopK", _host(_top_k_shapes, "sorting is left to the host"), ("host",), ("axis", "largest", "sorted"),
             ("k computed at run time",)),
    Lowering("NonZero", _host(_non_zero_shapes, "compaction is left to the host"), ("host",)),
)  # fmt: skip
