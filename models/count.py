"""Parameters and multiply-adds of an ONNX model, counted from its graph and inferred shapes."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import onnx

from accelc.models.graph import PARAMETER

Shape = tuple[int, ...]


@dataclass(frozen=True)
class NodeCount:
    """One node's share: trained parameters not counted at an earlier node, multiply-adds, shape of its first result."""

    name: str
    op: str
    params: int
    macs: int
    shape: Shape


@dataclass(frozen=True)
class Counts:
    """What each node of a model holds and computes."""

    nodes: tuple[NodeCount, ...]

    @property
    def params(self) -> int:
        """The trained parameters; running statistics of batch normalization are none."""
        return sum(n.params for n in self.nodes)

    @property
    def macs(self) -> int:
        """The multiply-adds of convolutions, matrix products and recurrences; a Scan's body counts for every step."""
        return sum(n.macs for n in self.nodes)

    def under(self, prefix: str) -> Counts:
        """Return the nodes whose names begin with a prefix."""
        return Counts(tuple(n for n in self.nodes if n.name.startswith(prefix)))


def count(model: onnx.ModelProto) -> Counts:
    """Count a model; parameters are its float initializers and the inputs marked as parameters."""
    shapes, left = _shapes(model), _parameters(model)
    nodes = []
    for node, times in _executed(model.graph, shapes, 1):
        statistics = node.input[3:] if node.op_type == "BatchNormalization" else ()
        params = sum(left.pop(n) for n in dict.fromkeys(node.input) if n in left and n not in statistics)
        macs = times * _MACS[node.op_type](node, shapes) if node.op_type in _MACS else 0
        nodes.append(NodeCount(node.name, node.op_type, params, macs, shapes.get(node.output[0], ())))
    return Counts(tuple(nodes))


def _executed(graph: onnx.GraphProto, shapes: dict[str, Shape], times: int) -> Iterator[tuple[onnx.NodeProto, int]]:
    """Yield every node with the times it is executed; a Scan's body runs once for each row of its last input."""
    for node in graph.node:
        if node.op_type == "Scan":
            body = next(a.g for a in node.attribute if a.name == "body")
            shapes |= _graph_shapes(body)
            yield from _executed(body, shapes, times * shapes[node.input[-1]][0])
        yield node, times


def _parameters(model: onnx.ModelProto) -> dict[str, int]:
    """Return the number of elements of each parameter by name."""
    floats = (onnx.TensorProto.FLOAT, onnx.TensorProto.FLOAT16, onnx.TensorProto.DOUBLE)
    found = {t.name: math.prod(t.dims) for t in model.graph.initializer if t.data_type in floats}
    marked = [i for i in model.graph.input if i.doc_string == PARAMETER]
    return found | {i.name: math.prod(_extents(i.type)) for i in marked}


def _shapes(model: onnx.ModelProto) -> dict[str, Shape]:
    known = {v.name for v in (*model.graph.value_info, *model.graph.output)}
    if not all(n in known for node in model.graph.node for n in node.output if n):
        model = onnx.shape_inference.infer_shapes(model, strict_mode=True, data_prop=True)
    return _graph_shapes(model.graph)


def _graph_shapes(graph: onnx.GraphProto) -> dict[str, Shape]:
    found = {v.name: _extents(v.type) for v in (*graph.input, *graph.value_info, *graph.output)}
    return found | {t.name: tuple(t.dims) for t in graph.initializer}


def _extents(kind: onnx.TypeProto) -> Shape:
    return tuple(d.dim_value for d in kind.tensor_type.shape.dim)


def _conv(node: onnx.NodeProto, shapes: Mapping[str, Shape]) -> int:
    """Every output element sums over its group's input channels and the kernel."""
    return math.prod(shapes[node.output[0]]) * math.prod(shapes[node.input[1]][1:])


def _conv_transpose(node: onnx.NodeProto, shapes: Mapping[str, Shape]) -> int:
    """Every input element goes to its group's output channels over the kernel."""
    return math.prod(shapes[node.input[0]]) * math.prod(shapes[node.input[1]][1:])


def _gemm(node: onnx.NodeProto, shapes: Mapping[str, Shape]) -> int:
    transposed = any(a.name == "transA" and a.i for a in node.attribute)
    return math.prod(shapes[node.output[0]]) * shapes[node.input[0]][0 if transposed else 1]


def _matmul(node: onnx.NodeProto, shapes: Mapping[str, Shape]) -> int:
    return math.prod(shapes[node.output[0]]) * shapes[node.input[0]][-1]


def _recurrence(node: onnx.NodeProto, shapes: Mapping[str, Shape]) -> int:
    """Every step of every sequence multiplies by the input and the recurrent matrices of all gates and directions."""
    steps = math.prod(shapes[node.input[0]][:2])  # sequence x batch, in either layout
    return steps * (math.prod(shapes[node.input[1]]) + math.prod(shapes[node.input[2]]))


_MACS: Mapping[str, Callable[[onnx.NodeProto, Mapping[str, Shape]], int]] = {
    "Conv": _conv,
    "ConvTranspose": _conv_transpose,
    "Gemm": _gemm,
    "MatMul": _matmul,
    "RNN": _recurrence,
    "LSTM": _recurrence,
    "GRU": _recurrence,
}
