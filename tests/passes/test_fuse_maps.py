"""Chains of functions of elements."""

from __future__ import annotations

import numpy as np
import onnx
from onnx import helper

from accelc.frontend import import_onnx
from accelc.passes import simplify
from tests.frontend.real.agree import agree


def model(*nodes: tuple[str, str, str]) -> onnx.ModelProto:
    made = [helper.make_node(op, inputs.split(), [output]) for op, inputs, output in nodes]
    values = [helper.make_tensor_value_info(n, onnx.TensorProto.FLOAT, [2, 3]) for n in "ab"]
    result = helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, [2, 3])
    graph = helper.make_graph(made, "test", values, [result])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def test_a_chain_is_one_layer() -> None:
    """Maps that nothing else reads become steps, each operand once, and the result stays."""
    chain = model(("Mul", "a b", "m"), ("Exp", "m", "e"), ("Add", "e m", "s"), ("Sqrt", "b", "r"), ("Sub", "s r", "y"))
    graph = simplify(import_onnx(chain, precision="float32"))
    assert [layer.op for layer in graph.layers] == ["map"]
    rng = np.random.default_rng(0)
    agree(chain, {n: np.abs(rng.standard_normal((2, 3))).astype(np.float32) for n in "ab"})


def test_a_square_is_read_twice_by_one_layer() -> None:
    """A map that reads another as both operands takes it in."""
    square = model(("Exp", "a", "e"), ("Mul", "e e", "y"), ("Neg", "b", "unused"))
    graph = simplify(import_onnx(square, precision="float32"))
    assert [[step[0] for step in layer.attrs["steps"]] for layer in graph.layers] == [["exp", "mul"]]
    agree(square, {"a": np.ones((2, 3), np.float32), "b": np.ones((2, 3), np.float32)})
