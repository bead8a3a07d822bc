"""A small recurrent network: an LSTM of five steps of 96 numbers on 32 inputs."""

from __future__ import annotations

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

HIDDEN, STEPS, INPUTS = 96, 5, 32


def small_lstm(hidden: int = HIDDEN) -> onnx.ModelProto:
    """Return the network as a float model of random weights, of other hidden numbers if asked for."""
    rng, names = np.random.default_rng(0), ["w", "r"]
    shapes = [(1, 4 * hidden, INPUTS), (1, 4 * hidden, hidden)]
    constants = [
        numpy_helper.from_array(rng.normal(0, 0.1, shape).astype(np.float32), name)
        for name, shape in zip(names, shapes, strict=True)
    ]
    node = helper.make_node("LSTM", ["x", *names], ["y"], hidden_size=hidden, name="lstm")
    inputs = [helper.make_tensor_value_info("x", TensorProto.FLOAT, [STEPS, 1, INPUTS])]
    outputs = [helper.make_tensor_value_info("y", TensorProto.FLOAT, [STEPS, 1, 1, hidden])]
    graph = helper.make_graph([node], "steps", inputs, outputs, constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    return model
