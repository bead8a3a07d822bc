"""Quantized models of both kinds become the same layers, which compute what ONNX Runtime computes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto

from accelc.errors import UnsupportedError
from accelc.frontend import import_onnx
from accelc.graph import Graph, Tensor
from accelc.passes import simplify
from tests.ir_float import execute, run_ort
from tests.onnx_build import Array, check, feeds, model, node
from tests.quant_build import branched, const, dynamic, quantized, residual

NETWORKS = [residual, branched]


def parameters(tensor: Tensor) -> tuple[Any, ...]:
    quant = tensor.quant
    if quant is None:
        return (tensor.shape, tensor.dtype)
    return (tensor.shape, tensor.dtype, quant.scale.tolist(), quant.zero_point.tolist(), tensor.data is None)


def signature(graph: Graph) -> list[Any]:
    """Return ops, attributes, and the shape, type and quantization of every operand, without names."""
    tensors = graph.tensors
    return [
        (layer.op, dict(layer.attrs), [parameters(tensors[n]) for n in (*layer.inputs, *layer.outputs)])
        for layer in graph.layers
    ]


@pytest.mark.parametrize("per_channel", [False, True])
@pytest.mark.parametrize("activations", ["uint8", "int8"])
@pytest.mark.parametrize("build", NETWORKS)
def test_qoperator_and_qdq_twins_become_the_same_layers(
    build: Callable[[], onnx.ModelProto], activations: str, per_channel: bool, tmp_path: Path
) -> None:
    twins = [quantized(build(), tmp_path, operators, activations, per_channel) for operators in (True, False)]
    first, second = (signature(simplify(import_onnx(twin))) for twin in twins)
    if build is branched:  # the quantizer itself gives softmax 1/256 in one form and 1/255 in the other
        assert first.pop()[0] == second.pop()[0] == "softmax"
    assert first == second


@pytest.mark.parametrize("activations", ["uint8", "int8"])
@pytest.mark.parametrize("build", NETWORKS)
def test_qoperator_network_computes_what_onnx_runtime_does(
    build: Callable[[], onnx.ModelProto], activations: str, tmp_path: Path
) -> None:
    """Up to 2 steps: the float executor of the tests rounds ties of the integer operators another way."""
    built = quantized(build(), tmp_path, True, activations)
    graph = import_onnx(built)
    inputs = feeds(built, graph)
    want = run_ort(built, inputs)["y"]
    quant = graph.tensors["y"].quant
    assert quant is not None
    for variant in (graph, simplify(graph)):
        steps = np.abs(execute(variant, inputs)["y"] - want) / quant.scale
        assert steps.max() <= 2.01
        assert (steps > 0.5).mean() < 0.2


def test_quantized_network_has_int8_weights_int32_biases_and_float_io(tmp_path: Path) -> None:
    graph = simplify(import_onnx(quantized(residual(), tmp_path, False, "int8")))
    conv = graph.layers[0]
    x, w, bias = (graph.tensors[n] for n in conv.inputs)
    assert (x.name, x.dtype, w.dtype, bias.dtype) == ("x", "int8", "int8", "int32")
    assert x.quant is not None
    assert w.quant is not None
    assert bias.quant is not None
    assert w.quant.axis == 0
    np.testing.assert_array_equal(bias.quant.scale, x.quant.scale * w.quant.scale)
    assert graph.integer_io == frozenset()
    assert graph.tensors["y"].dtype == "int8"


def test_quantized_tensors_keep_the_names_of_the_models_integer_tensors(tmp_path: Path) -> None:
    """Comparing a layer's integers with ONNX Runtime's needs the same name on both sides."""
    for operators in (True, False):
        built = quantized(residual(), tmp_path, operators)
        names = {name for n in built.graph.node for name in n.output} | {"x"}
        graph = simplify(import_onnx(built))
        assert {n for layer in graph.layers for n in layer.outputs} <= names


def qdq(nodes: list[onnx.NodeProto], constants: dict[str, Array] | None = None, **options: Any) -> onnx.ModelProto:
    base = {"s": np.float32(0.1), "z": np.uint8(100), "s2": np.float32(0.05), "z2": np.uint8(128)}
    return model(nodes, {"x": (1, 2, 4, 4)}, constants=base | (constants or {}), **options)


def pair(source: str, target: str, params: str = "s z") -> list[onnx.NodeProto]:
    quantize = node("QuantizeLinear", f"{source} {params}", f"{target}_q")
    return [quantize, node("DequantizeLinear", f"{target}_q {params}", target)]


def test_pair_that_changes_the_scale_is_a_requantize() -> None:
    graph = check(qdq([*pair("x", "a"), *pair("a", "y", "s2 z2")]), atol=1e-4)
    assert [layer.op for layer in graph.layers] == ["requantize"]
    assert graph.tensors["x"].dtype == graph.tensors["y"].dtype == "uint8"


def test_two_readers_that_quantize_differently_get_a_requantize() -> None:
    nodes = [node("Relu", "x", "r"), *pair("r", "a"), *pair("r", "b", "s2 z2"), node("Relu", "a", "y"),
             node("Sigmoid", "b", "w")]  # fmt: skip
    graph = simplify(import_onnx(qdq(nodes, outputs=("y", "w"))))
    assert sorted(layer.op for layer in graph.layers) == ["relu", "relu", "requantize", "sigmoid"]


def test_tensor_without_quantize_stays_float() -> None:
    graph = import_onnx(qdq([*pair("x", "a"), node("Sigmoid", "a")]))
    assert (graph.tensors["y"].dtype, graph.tensors["y"].quant) == ("float32", None)


def test_relu_behind_a_quantized_result_is_not_fused() -> None:
    weights = {"w": const(1, 2, 2, 1, 1)}
    nodes = [node("Conv", "x w", "c"), *pair("c", "d"), node("Relu", "d", "r"), *pair("r", "y", "s2 z2")]
    graph = simplify(import_onnx(qdq(nodes, weights)))
    assert [layer.op for layer in graph.layers] == ["conv", "relu"]
    nodes = [*pair("x", "a"), node("Conv", "a w", "c"), node("Relu", "c", "r"), *pair("r", "y")]
    graph = simplify(import_onnx(qdq(nodes, weights)))
    assert [layer.op for layer in graph.layers] == ["conv"]
    assert graph.layers[0].attrs["activation"] == ("relu",)


def test_float_weights_with_a_pair_become_int8() -> None:
    constants = {"w": const(1, 3, 2, 1, 1), "ws": np.full(3, 0.01, np.float32), "wz": np.zeros(3, np.int8)}
    nodes = [
        *pair("x", "a"),
        node("QuantizeLinear", "w ws wz", "wq", axis=0),
        node("DequantizeLinear", "wq ws wz", "wd", axis=0),
        node("Conv", "a wd", "c"),
        *pair("c", "y", "s2 z2"),
    ]
    graph = check(qdq(nodes, constants), atol=0.051)
    weights = graph.tensors[graph.layers[0].inputs[1]]
    assert weights.dtype == "int8"
    expected = np.clip(np.rint(constants["w"] / np.float32(0.01)), -128, 127)
    np.testing.assert_array_equal(weights.data, expected)


def test_dequantized_weights_behind_a_transpose_stay_integers() -> None:
    constants = {"w": np.arange(12, dtype=np.int8).reshape(3, 4), "ws": np.float32([0.1, 0.2, 0.3]),
                 "shape": np.array([8, 4], np.int64)}  # fmt: skip
    nodes = [
        *pair("x", "a"),
        node("DequantizeLinear", "w ws", "wd", axis=0),
        node("Transpose", "wd", "wt"),
        node("Reshape", "a shape", "m"),
        node("MatMul", "m wt"),
    ]
    graph = check(qdq(nodes, constants), atol=1e-4)
    weights = graph.tensors[graph.layers[-1].inputs[1]]
    assert weights.quant is not None
    assert (weights.dtype, weights.quant.axis, weights.shape) == ("int8", 0, (3, 4))


def test_integer_inputs_and_outputs_are_marked() -> None:
    nodes = [node("DequantizeLinear", "x s z", "a"), node("Sigmoid", "a", "b"), node("QuantizeLinear", "b s2 z2")]
    built = qdq(nodes, kind=TensorProto.UINT8, out_kind=TensorProto.UINT8)
    graph = simplify(import_onnx(built))
    assert graph.integer_io == {"x", "y"}
    assert [layer.op for layer in graph.layers] == ["sigmoid"]
    assert graph.tensors["x"].dtype == graph.tensors["y"].dtype == "uint8"


def test_integer_input_behind_a_reshape_gets_its_scale() -> None:
    nodes = [node("Flatten", "x", "f"), node("DequantizeLinear", "f s z", "a"), node("Sigmoid", "a")]
    graph = import_onnx(qdq(nodes, kind=TensorProto.UINT8))
    assert graph.tensors["x"].quant is not None


def test_conv_integer_gives_int32_sums() -> None:
    constants = {"w": np.arange(-8, 8, dtype=np.int8).reshape(4, 2, 2, 1), "xz": np.uint8(3), "wz": np.int8(1)}
    nodes = [node("ConvInteger", "x w xz wz", "y", pads=[1, 0, 0, 0])]
    built = qdq(nodes, constants, kind=TensorProto.UINT8, out_kind=TensorProto.INT32)
    graph = simplify(import_onnx(built))
    assert (graph.tensors["y"].dtype, graph.tensors["y"].quant) == ("int32", None)
    x = np.random.default_rng(0).integers(0, 255, (1, 2, 4, 4), dtype=np.uint8)
    found = execute(graph, {"x": x.astype(np.float32) - 3})["y"]
    np.testing.assert_array_equal(found, run_ort(built, {"x": x})["y"])


def test_matmul_integer_gives_int32_sums() -> None:
    constants = {"w": np.arange(-8, 8, dtype=np.int8).reshape(4, 4), "wz": np.arange(4).astype(np.int8)}
    nodes = [node("MatMulInteger", "x w _ wz")]
    kinds = {"kind": TensorProto.UINT8, "out_kind": TensorProto.INT32}
    built = model(nodes, {"x": (3, 4)}, constants=constants, **kinds)
    graph = simplify(import_onnx(built))
    assert [layer.op for layer in graph.layers] == ["fc"]
    x = np.random.default_rng(0).integers(0, 255, (3, 4), dtype=np.uint8)
    np.testing.assert_array_equal(execute(graph, {"x": x.astype(np.float32)})["y"], run_ort(built, {"x": x})["y"])


@pytest.mark.parametrize("per_channel", [False, True])
def test_dynamically_quantized_network_keeps_int8_weights(per_channel: bool, tmp_path: Path) -> None:
    graph = simplify(import_onnx(dynamic(residual(), tmp_path, per_channel=per_channel)))
    plain = simplify(import_onnx(residual()))
    assert [layer.op for layer in graph.layers] == [layer.op for layer in plain.layers]
    products = [layer for layer in graph.layers if layer.op in ("conv", "fc")]
    assert all(graph.tensors[p.inputs[1]].dtype in ("int8", "uint8") for p in products)
    x = {"x": np.random.default_rng(1).normal(size=(1, 3, 16, 16)).astype(np.float32)}
    np.testing.assert_allclose(execute(graph, x)["y"], execute(plain, x)["y"], atol=0.2)


@pytest.mark.parametrize(
    ("quantizer", "constants", "opset", "kind"),
    [
        (node("QuantizeLinear", "x s3", axis=1), {"s3": np.float32([0.1, 0.2])}, 13, TensorProto.UINT8),
        (node("QuantizeLinear", "x s z16"), {"z16": np.int16(0)}, 21, TensorProto.INT16),
    ],
)
def test_quantization_that_no_integer_layer_takes_is_arithmetic(
    quantizer: onnx.NodeProto, constants: dict[str, Array], opset: int, kind: int
) -> None:
    """Activations with a scale for each channel, or of 16 bits, are computed on 32-bit numbers."""
    built = qdq([quantizer], constants, out_kind=kind, opset=opset)
    assert [layer.op for layer in simplify(import_onnx(built)).layers] == ["map"]


def test_qoperator_refusal_names_node_and_remedy() -> None:
    pool = node("QLinearAveragePool", "x s z s z", domain="com.microsoft", kernel_shape=[2, 2], channels_last=1)
    built = qdq([pool], kind=TensorProto.UINT8, out_kind=TensorProto.UINT8, out_shape=["a", "b", "c", "d"])
    with pytest.raises(UnsupportedError, match=r"qlinearaveragepool_y.*channels_last=1.*channels_last=0 would work"):
        import_onnx(built)
