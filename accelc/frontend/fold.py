"""Evaluation at compile time of nodes whose operands are all known, which makes shape arithmetic vanish."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

import numpy as np
import onnx
from onnx import helper, numpy_helper

from accelc.errors import ModelError
from accelc.frontend.builder import Builder, one_line, real
from accelc.frontend.node import Node
from accelc.graph import Array, Quant, Tensor

_RANDOM = ("RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike", "Bernoulli", "Multinomial")


def fold(b: Builder, node: Node) -> bool:
    """Compute the node now if its result does not depend on the graph's inputs; return whether it did."""
    if node.op == "Constant" and not node.domain:
        b.tensors[node.outputs[0]] = checked(_constant(node), node.outputs[0])
        return True
    if node.op in ("Shape", "Size") and not node.domain:
        b.tensors[node.outputs[0]] = _as_tensor(node.outputs[0], _extent(b, node))
        return True
    if node.op in ("QuantizeLinear", "DequantizeLinear", *_RANDOM) or node.domain:
        return False
    present = [n for n in node.inputs if n]
    if not all(b.is_constant(n) for n in present) or any(a.type == a.GRAPH for a in node.proto.attribute):
        return False
    if not _keep_quantized(b, node):
        _evaluate(b, node, present)
    return True


def checked(data: Array, name: str) -> Tensor:
    """Return a constant tensor; raise ModelError when it holds NaN, or infinity beside other values."""
    # One infinite number alone may be a bound that is meant to hold nothing back; -inf beside others is a mask.
    most = data.max(initial=0) if data.dtype.kind == "f" else 0
    if np.isnan(most) or (data.size > 1 and most == np.inf):
        raise ModelError(f"constant '{name}' holds NaN or infinite values")
    return _as_tensor(name, data)


def _as_tensor(name: str, data: Array) -> Tensor:
    return Tensor(name, tuple(data.shape), str(data.dtype), None, data)


_VALUES: Mapping[str, Callable[[object], Array]] = MappingProxyType(
    {
        "value": lambda v: numpy_helper.to_array(v),  # type: ignore[arg-type]
        "value_float": lambda v: np.asarray(v, np.float32),
        "value_floats": lambda v: np.asarray(v, np.float32),
        "value_int": lambda v: np.asarray(v, np.int64),
        "value_ints": lambda v: np.asarray(v, np.int64),
        "value_string": lambda v: np.asarray(v),
        "value_strings": lambda v: np.asarray(v),
    }
)


def _constant(node: Node) -> Array:
    for key, value in node.attrs.items():
        if key in _VALUES:
            return _VALUES[key](value)
    raise node.refuse(f"the attribute {', '.join(node.attrs)}", "value, value_float(s) or value_int(s) would work")


def _extent(b: Builder, node: Node) -> Array:
    shape = b.shape(node.input(0))
    if node.op == "Size":
        return np.asarray(np.prod(shape, dtype=np.int64))
    return np.asarray(shape[slice(node.get("start"), node.get("end"))], np.int64)


def _keep_quantized(b: Builder, node: Node) -> bool:
    """Move the elements of a quantized constant without dequantizing it; return whether that was possible."""
    source = b.tensor(node.input(0)) if node.input(0) else None
    if source is None or source.quant is None or source.data is None:
        return False
    axis = source.quant.axis if source.quant.scale.ndim else None
    if node.op == "Transpose":
        perm = tuple(node.get("perm", tuple(reversed(range(len(source.shape))))))
        quant = source.quant if axis is None else Quant(source.quant.scale, source.quant.zero_point, perm.index(axis))
        data = source.data.transpose(perm)
    elif node.op in ("Reshape", "Flatten", "Squeeze", "Unsqueeze", "Identity") and axis is None:
        quant, data = source.quant, source.data.reshape(b.result(node).shape)
    else:
        return False
    data = np.ascontiguousarray(data)
    b.tensors[node.outputs[0]] = Tensor(node.outputs[0], tuple(data.shape), source.dtype, quant, data)
    return True


def _evaluate(b: Builder, node: Node, present: list[str]) -> None:
    from onnx.reference import ReferenceEvaluator  # a large import, which few models need

    feeds = {n: real(b.tensor(n)) for n in present}
    undefined = onnx.TensorProto.UNDEFINED
    graph = helper.make_graph(
        [node.proto],
        "fold",
        [helper.make_tensor_value_info(n, undefined, None) for n in feeds],
        [helper.make_tensor_value_info(n, undefined, None) for n in node.outputs if n],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", node.version)])
    try:
        results = ReferenceEvaluator(model).run(None, feeds)
    except Exception as error:  # whatever the operator's Python code raises means the same here
        raise ModelError(f"node '{node.name}' ({node.op}) cannot be evaluated: {one_line(error)}") from None
    for name, value in zip((n for n in node.outputs if n), results, strict=True):
        b.tensors[name] = _as_tensor(name, np.asarray(value))
