"""One model on 32-bit numbers, run by the reference, held against ONNX's own evaluator."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import helper
from onnx.reference import ReferenceEvaluator

from accelc.frontend import import_onnx
from accelc.passes import simplify
from accelc.reference import run

Array = npt.NDArray[Any]


def results(model: onnx.ModelProto, inputs: Mapping[str, Array]) -> dict[str, Array]:
    """Return the model's outputs, computed layer after layer on 32-bit numbers, in the model's own types."""
    graph = simplify(import_onnx(model, precision="float32"))
    given = {n: np.asarray(inputs[n]).astype(graph.tensors[n].dtype) for n in graph.inputs}
    found = run(graph, given)
    return {n: found[n].astype(graph.io_types.get(n, found[n].dtype)) for n in graph.outputs}


def agree(model: onnx.ModelProto, inputs: Mapping[str, Array], tolerance: float = 1e-5) -> None:
    """Fail unless every output equals that of ONNX's evaluator, within a relative tolerance for floats."""
    expected = ReferenceEvaluator(model).run(None, dict(inputs))
    for (name, value), wanted in zip(results(model, inputs).items(), expected, strict=True):
        assert value.shape == wanted.shape, name
        assert value.dtype == wanted.dtype, name
        np.testing.assert_allclose(value, wanted, rtol=tolerance, atol=tolerance, err_msg=name)


def one_node(op: str, inputs: Mapping[str, Array], outputs: int = 1, opset: int = 19, **attrs: Any) -> onnx.ModelProto:
    """Return a model of one node whose operands are all graph inputs."""
    names = [f"y{k}" for k in range(outputs)]
    node = helper.make_node(op, list(inputs), names, name="node", **attrs)
    values = [
        helper.make_tensor_value_info(n, helper.np_dtype_to_tensor_dtype(x.dtype), x.shape) for n, x in inputs.items()
    ]
    made = [helper.make_empty_tensor_value_info(n) for n in names]
    graph = helper.make_graph([node], "test", values, made)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)])
    return onnx.shape_inference.infer_shapes(model)
