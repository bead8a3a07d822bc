"""Models with large weights are checked without a copy of them, and no less strictly for it."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import TensorProto, checker, helper, numpy_helper

from accelc import models
from accelc.errors import ModelError
from accelc.frontend import import_onnx
from accelc.frontend.load import load
from tests.onnx_build import model as onnx_model
from tests.onnx_build import node

ROWS = 1 << 10


def large(op: str = "MatMul", *, declared: bool = False) -> onnx.ModelProto:
    """Return a product with a matrix of 4 MiB, listed among the inputs too if `declared`, as old models have it."""
    weights = np.random.default_rng(0).standard_normal((ROWS, ROWS)).astype(np.float32)
    shapes = {"x": [1, ROWS], "y": [1, ROWS], "w": [ROWS, ROWS]}
    x, y, w = (helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in shapes.items())
    nodes = [helper.make_node(op, ["x", "w"], ["y"], name="product")]
    graph = helper.make_graph(nodes, "g", [x, w] if declared else [x], [y], [numpy_helper.from_array(weights, "w")])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


@pytest.mark.parametrize("declared", [False, True])
def test_the_checker_sees_no_large_weight_and_the_graph_has_it(monkeypatch: pytest.MonkeyPatch, declared: bool) -> None:
    model, seen = large(declared=declared), []
    true = checker.check_model
    monkeypatch.setattr(checker, "check_model", lambda given: (seen.append(given.ByteSize()), true(given)))
    graph = import_onnx(model)
    assert seen
    assert max(seen) < 1000
    (weights,) = (t for t in graph.tensors.values() if t.data is not None)
    assert weights.data is not None
    np.testing.assert_array_equal(weights.data.T, numpy_helper.to_array(model.graph.initializer[0]))
    assert len(model.graph.initializer) == 1, "the caller's model is as it was"


def test_a_large_weight_of_another_size_than_its_shape_is_refused() -> None:
    model = large()
    model.graph.initializer[0].raw_data = model.graph.initializer[0].raw_data[:-4]
    with pytest.raises(ModelError, match=r"initializer 'w' has 4194300 bytes, 4194304 by its shape \[1024, 1024\]"):
        load(model)


def test_what_the_checker_finds_is_still_found() -> None:
    with pytest.raises(ModelError, match=r"is not a valid ONNX model: .*No Op registered for MatMull"):
        load(large("MatMull"))


def test_parameters_given_beside_the_model_are_its_constants() -> None:
    """The same graph as from the model that holds them, in the same order."""
    outline, values = models.parts("googlenet", tiny=True)
    beside, inside = import_onnx(outline, parameters=values), import_onnx(models.build("googlenet", tiny=True))
    assert values
    assert beside.inputs == inside.inputs
    assert str(beside.layers) == str(inside.layers)
    assert list(beside.tensors) == list(inside.tensors)
    assert set(values) <= {i.name for i in outline.graph.input}, "the caller's model is as it was"


@pytest.mark.parametrize(
    ("name", "shape", "message"),
    [
        ("w", (3, 2), r"parameter 'w' has shape \[3, 2\]; the model's input has \[2, 3\]"),
        ("v", (2, 3), "parameter 'v' is no input of the model"),
    ],
)
def test_a_parameter_of_no_input_or_another_shape_is_refused(name: str, shape: tuple[int, int], message: str) -> None:
    model = onnx_model([node("MatMul", "x w")], {"x": (1, 2), "w": (2, 3)})
    with pytest.raises(ModelError, match=message):
        import_onnx(model, parameters={name: np.zeros(shape, np.float32)})
