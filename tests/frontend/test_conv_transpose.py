"""Transposed convolutions, split into one convolution for each phase of their stride."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import helper, numpy_helper

from accelc.compiler import Options, compile_stages
from accelc.frontend.conv_transpose import phases
from accelc.quantize.execute import FloatRunner
from accelc.run import run_compiled

RNG = np.random.default_rng(5)


def deconvolution(shape: tuple[int, ...], units: int, kernel: tuple[int, ...], **attrs: Any) -> onnx.ModelProto:
    group, scale = attrs.get("group", 1), 1 / np.sqrt(shape[1] * np.prod(kernel))
    weights = RNG.standard_normal((shape[1], units // group, *kernel)).astype(np.float32) * np.float32(scale)
    bias = RNG.standard_normal(units).astype(np.float32)
    nodes = [helper.make_node("ConvTranspose", ["x", "w", "b"], ["c"], **attrs), helper.make_node("Relu", ["c"], ["y"])]
    graph = helper.make_graph(
        nodes, "test", [helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, None)],
        [numpy_helper.from_array(weights, "w"), numpy_helper.from_array(bias, "b")],
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    return onnx.shape_inference.infer_shapes(model)


CASES: list[tuple[tuple[int, ...], int, tuple[int, ...], dict[str, Any]]] = [
    ((1, 8, 5, 6), 8, (4, 4), {"strides": [2, 2], "pads": [1, 1, 1, 1]}),
    ((2, 3, 4, 4), 5, (3, 3), {"strides": [2, 2], "pads": [1, 1, 1, 1], "output_padding": [1, 1]}),
    ((1, 4, 4, 4), 4, (3, 3), {}),
    ((1, 6, 3, 5), 4, (5, 2), {"strides": [3, 1], "pads": [2, 0, 1, 1], "group": 2}),
    ((1, 4, 3, 3), 4, (1, 1), {"strides": [2, 3]}),
    ((1, 4, 5, 5), 8, (3, 3), {"dilations": [2, 2], "strides": [2, 1], "pads": [2, 2, 2, 2]}),
    ((1, 4, 7), 6, (4,), {"strides": [2], "pads": [1, 1]}),
    ((1, 4, 6, 6), 4, (3, 3), {"strides": [2, 2], "auto_pad": "SAME_UPPER"}),
    ((1, 4, 3, 3), 4, (3, 3), {"strides": [3, 2], "output_shape": [10, 8]}),
    ((1, 3, 16, 16), 3, (16, 16), {"strides": [8, 8], "pads": [4, 4, 4, 4]}),
]


@pytest.mark.parametrize("case", range(len(CASES)))
def test_phases_give_the_transposed_convolution(case: int) -> None:
    """In real numbers it equals ONNX Runtime's; quantized, the machine equals the reference in every integer."""
    shape, units, kernel, attrs = CASES[case]
    model = deconvolution(shape, units, kernel, **attrs)
    x = RNG.standard_normal(shape).astype(np.float32)
    compiled = compile_stages(model, "edge", Options(samples={"x": x}))
    assert compiled.graph is not None
    expected = ort.InferenceSession(model.SerializeToString()).run(None, {"x": x})[0]
    found = FloatRunner(compiled.graph, ["y"]).run({"x": x})["y"]
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)
    run = run_compiled(compiled, {"x": x})
    assert run.check.elements >= expected.size
    assert run.check.mismatches == 0
    assert 10 * np.log10(np.sum(expected**2) / np.sum((run.outputs["y"] - expected) ** 2)) > 25


def test_no_product_with_a_zero_is_computed() -> None:
    """A 4x4 kernel of stride 2 is four convolutions of 2x2: 16 products for 4 outputs, an input position each."""
    compiled = compile_stages(deconvolution((1, 8, 5, 6), 8, (4, 4), strides=[2, 2], pads=[1, 1, 1, 1]), "edge")
    assert sum(layer.macs for layer in compiled.finished.layers) == 10 * 12 * 8 * 8 * 4
    assert not [layer for layer in compiled.finished.layers if layer.op == "interleave" and layer.predicted_cycles]


def test_phases_of_an_axis_by_hand() -> None:
    """Input 2, kernel 3, stride 2, no padding: outputs 0 2 4 see taps 2 and 0, outputs 1 3 see tap 1."""
    even, odd = phases(2, 5, 3, 2, 1, 0)
    assert (even.start, even.count, even.taps, even.before, even.after) == (0, 3, (2, 0), 1, 1)
    assert (odd.start, odd.count, odd.taps, odd.before, odd.after) == (1, 2, (1,), 0, 0)
