"""The float form of a graph: what calibration sees is what the layers mean."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from onnx.reference import ReferenceEvaluator

from accelc.arithmetic import dequantize_array, quantize_array
from accelc.errors import InputError
from accelc.frontend import import_onnx
from accelc.graph import Graph, Layer, Quant, Tensor
from accelc.passes import simplify
from accelc.quantize import accuracy, quantize
from accelc.quantize.execute import FloatRunner
from tests.onnx_build import model, node
from tests.quant_build import branched, residual


@pytest.mark.parametrize("build", [residual, branched])
def test_equals_the_model(build: Any) -> None:
    built = build()
    graph = simplify(import_onnx(built))
    x = np.random.default_rng(0).normal(size=graph.tensors["x"].shape).astype(np.float32)
    ours = FloatRunner(graph, graph.outputs).run({"x": x})["y"]
    np.testing.assert_allclose(ours, ReferenceEvaluator(built).run(None, {"x": x})[0], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("size", [4, 5])
def test_normalization_of_odd_and_even_size(size: int) -> None:
    attrs = {"size": size, "alpha": 0.5, "beta": 0.75, "bias": 2.0}
    tensors = {n: Tensor(n, (1, 9, 3, 2)) for n in ("x", "y")}
    graph = Graph("g", tensors, (Layer("n", "lrn", ("x",), ("y",), attrs),), ("x",), ("y",))
    x = np.random.default_rng(1).normal(size=(1, 9, 3, 2)).astype(np.float32)
    total = np.zeros_like(x)
    for c in range(9):
        total[:, c] = (x[:, max(0, c - (size - 1) // 2) : c + size // 2 + 1] ** 2).sum(axis=1)
    expected = x / (2.0 + 0.5 / size * total) ** 0.75
    np.testing.assert_allclose(FloatRunner(graph, ("y",)).run({"x": x})["y"], expected, rtol=1e-5)
    assert accuracy(graph, quantize(graph, {"x": x}), {"x": x}).outputs["y"] > 35


def test_a_tensor_with_a_scale_is_rounded_to_it() -> None:
    given = Quant.per_tensor(0.25, 3)
    graph = simplify(import_onnx(residual()))
    tensors = {**graph.tensors, "r0": replace(graph.tensors["r0"], dtype="uint8", quant=given)}
    graph = graph.with_layers(graph.layers, tensors)
    x = np.random.default_rng(2).normal(size=graph.tensors["x"].shape).astype(np.float32)
    value = FloatRunner(graph, ("r0",)).run({"x": x})["r0"]
    assert (dequantize_array(quantize_array(value, given, "uint8"), given) == value).all()
    assert len(np.unique(value)) > 3


def test_host_layers_run_between_the_others() -> None:
    nodes = [node("Relu", "x", "r"), node("DFT", "r", "e", axis=1), node("Relu", "e", "y")]
    built = model(nodes, {"x": (1, 6, 1)}, opset=17, out_shape=[1, 6, 2])
    graph = simplify(import_onnx(built, allow_host=True))
    assert "host" in {layer.op for layer in graph.layers}
    x = np.random.default_rng(3).normal(size=(1, 6, 1)).astype(np.float32)
    np.testing.assert_allclose(
        FloatRunner(graph, ("y",)).run({"x": x})["y"], ReferenceEvaluator(built).run(None, {"x": x})[0], rtol=1e-5
    )
    assert accuracy(graph, quantize(graph)).outputs["y"] > 30


def test_a_range_that_overflows_is_an_error() -> None:
    tensors = {n: Tensor(n, (1, 2)) for n in ("x", "y")}
    graph = Graph("g", tensors, (Layer("m", "mul", ("x", "x"), ("y",), {"activation": None}),), ("x",), ("y",))
    with pytest.raises(InputError, match="'y' becomes NaN or infinite"):
        quantize(graph, {"x": np.full((1, 2), 1e30, np.float32)})
