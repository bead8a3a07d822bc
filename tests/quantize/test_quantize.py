"""Static quantization: which scale every tensor gets, what calibration reads, what it refuses."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from accelc import models
from accelc.errors import InputError, ModelError
from accelc.frontend import import_onnx
from accelc.graph import Graph, Layer, Quant, Tensor, verify_quantized
from accelc.passes import simplify
from accelc.passes.rewrite import same_quant
from accelc.quantize import accuracy, quantize, sqnr
from accelc.quantize.scales import MOVES, fixed_quant, range_quant
from tests.quant_build import branched, residual


def graph_of(name: str) -> Graph:
    return simplify(import_onnx(residual() if name == "residual" else branched()))


@pytest.mark.parametrize("dtype", ["uint8", "int8"])
@pytest.mark.parametrize("limits", [(-1.0, 3.0), (0.0, 6.0), (-5.0, -1.0), (2.0, 3.0), (0.0, 0.0), (0.0, 1e-45)])
def test_range_holds_zero_exactly_and_both_ends(limits: tuple[float, float], dtype: str) -> None:
    q = range_quant(limits, dtype)
    least, greatest = (0, 255) if dtype == "uint8" else (-128, 127)
    low, high = (float(q.scale) * (v - int(q.zero_point)) for v in (least, greatest))
    assert least <= int(q.zero_point) <= greatest
    slack = float(q.scale) * 0.5001
    assert low <= min(limits[0], 0.0) + slack
    assert high >= max(limits[1], 0.0) - slack


@pytest.mark.parametrize("activations", ["uint8", "int8"])
@pytest.mark.parametrize("name", ["residual", "branched"])
def test_everything_is_quantized_and_close(name: str, activations: str) -> None:
    graph = graph_of(name)
    result = verify_quantized(quantize(graph, activations=activations))
    assert {t.dtype for t in result.tensors.values() if t.data is None} == {activations}
    assert accuracy(graph, result).outputs["y"] > 25


@pytest.mark.parametrize("name", ["residual", "branched", "googlenet"])
def test_moves_keep_the_scale(name: str) -> None:
    graph = graph_of(name) if name != "googlenet" else simplify(import_onnx(models.build(name, tiny=True)))
    result = quantize(graph)
    for layer in result.layers:
        if layer.op in MOVES:
            output = result.tensors[layer.outputs[0]]
            assert all(same_quant(result.tensors[n], output) for n in layer.inputs), layer.name
    assert not [layer for layer in result.layers if layer.op == "requantize"], "concat must be free here"


def test_weights_are_symmetric_per_channel() -> None:
    result = quantize(graph_of("residual"))
    for layer in result.layers:
        if layer.op in ("conv", "fc"):
            w = result.tensors[layer.inputs[1]]
            assert w.quant is not None
            assert w.data is not None
            assert w.quant.axis == 0
            assert not w.quant.zero_point.any()
            assert (np.abs(w.data.reshape(w.shape[0], -1).astype(int)).max(axis=1) == 127).all()


def fc_graph(weight: float, bias: float) -> Graph:
    tensors = {
        "x": Tensor("x", (1, 2)),
        "w": Tensor("w", (1, 2), data=np.full((1, 2), weight, np.float32)),
        "b": Tensor("b", (1,), data=np.array([bias], np.float32)),
        "y": Tensor("y", (1, 1)),
    }
    return Graph("fc", tensors, (Layer("fc", "fc", ("x", "w", "b"), ("y",), {"activation": None}),), ("x",), ("y",))


@pytest.mark.parametrize("weight", [1e-9, 0.0])
def test_bias_far_above_the_weights_does_not_saturate(weight: float) -> None:
    graph = fc_graph(weight, 1000.0)
    result = quantize(graph)
    layer = result.layers[0]
    bias = result.tensors[layer.inputs[2]]
    assert bias.data is not None
    assert bias.quant is not None
    assert abs(int(bias.data[0])) < 2**31 - 1
    assert float(bias.data[0] * bias.quant.scale[0]) == pytest.approx(1000.0, rel=1e-6)
    assert accuracy(graph, result).outputs["y"] > 40


def test_existing_scales_are_kept() -> None:
    graph = graph_of("residual")
    given = Quant.per_tensor(0.125, 7)
    tensors = {**graph.tensors, "r0": Tensor("r0", graph.tensors["r0"].shape, "uint8", given)}
    result = quantize(graph.with_layers(graph.layers, tensors))
    assert result.tensors["r0"].quant is given


def test_softmax_sigmoid_and_tanh_have_fixed_scales() -> None:
    for op, dtype, scale, zero in (
        ("softmax", "uint8", 1 / 256, 0),
        ("softmax", "int8", 1 / 256, -128),
        ("sigmoid", "uint8", 1 / 256, 0),
        ("tanh", "uint8", 1 / 128, 128),
        ("tanh", "int8", 1 / 128, 0),
    ):
        q = fixed_quant(Layer("l", op, ("x",), ("y",)), dtype)
        assert q is not None
        assert (float(q.scale), int(q.zero_point)) == (scale, zero)


def test_products_by_the_same_weights_share_scales() -> None:
    """Steps of a recurrence then read the same bytes; a product by other weights, and a fixed scale, stay apart."""
    shapes = dict.fromkeys(("a", "b", "c", "t", "ya", "yb", "yc", "yt"), (1, 2))
    tensors = {name: Tensor(name, shape) for name, shape in shapes.items()}
    tensors |= {w: Tensor(w, (2, 2), data=np.eye(2, dtype=np.float32)) for w in ("w", "v")}
    fed = (("a", "w", "ya"), ("b", "w", "yb"), ("c", "v", "yc"), ("t", "w", "yt"))
    products = [Layer(y, "fc", (x, w), (y,), {"activation": None}) for x, w, y in fed]
    layers = (Layer("tanh", "tanh", ("c",), ("t",)), *products)
    graph = Graph("steps", tensors, layers, ("a", "b", "c"), ("ya", "yb", "yc", "yt"))
    samples = {name: np.full((1, 2), reach, np.float32) for name, reach in (("a", 1.0), ("b", 4.0), ("c", 2.0))}
    found = quantize(graph, samples).tensors
    assert same_quant(found["a"], found["b"])
    assert same_quant(found["ya"], found["yb"])
    assert found["a"].quant.scale == pytest.approx(4 / 255)  # type: ignore[union-attr]
    assert found["c"].quant.scale == pytest.approx(2 / 255)  # type: ignore[union-attr]
    assert found["t"].quant.scale == 1 / 128  # type: ignore[union-attr]


def test_concat_requantizes_an_input_of_fixed_scale() -> None:
    tensors = {n: Tensor(n, (1, c, 2, 2)) for n, c in (("x", 3), ("s", 3), ("y", 6))}
    layers = (Layer("sig", "sigmoid", ("x",), ("s",)), Layer("cat", "concat", ("s", "x"), ("y",), {"axis": 1}))
    result = quantize(Graph("g", tensors, layers, ("x",), ("y",)), {"x": np.full((1, 3, 2, 2), 9.0, np.float32)})
    assert [layer.op for layer in result.layers] == ["sigmoid", "requantize", "concat"]
    assert same_quant(result.tensors["x"], result.tensors["y"])


def test_same_seed_same_result() -> None:
    graph = graph_of("residual")
    one, two, other = (quantize(graph, seed=s) for s in (1, 1, 2))
    scales = [[float(g.tensors[n].quant.scale) for n in ("x", "r0", "y")] for g in (one, two, other)]  # type: ignore[union-attr]
    assert scales[0] == scales[1] != scales[2]


def test_samples_set_the_range() -> None:
    graph = graph_of("residual")
    rng = np.random.default_rng(0)
    many = rng.uniform(-3, 5, (6, 3, 16, 16)).astype(np.float32)
    many[0, 0, 0, 0], many[5, 0, 0, 0] = -3.0, 5.0
    as_one, as_list = quantize(graph, {"x": many}), quantize(graph, [{"x": s[None]} for s in many])
    for result in (as_one, as_list):
        q = result.tensors["x"].quant
        assert q is not None
        assert float(q.scale) == pytest.approx(8 / 255)


@pytest.mark.parametrize("method", ["percentile", "entropy"])
def test_rare_outliers_are_cut(method: str) -> None:
    graph = graph_of("residual")
    x = np.random.default_rng(0).normal(size=(200, 3, 16, 16)).astype(np.float32)
    x[0, 0, 0, 0] = 100.0
    cut, whole = (quantize(graph, {"x": x}, calibration=m).tensors["x"].quant for m in (method, "minmax"))
    assert cut is not None
    assert whole is not None
    assert float(cut.scale) < float(whole.scale) / 4


NAN = np.full((1, 3, 16, 16), np.nan, np.float32)
GOOD = np.zeros((1, 3, 16, 16), np.float32)


@pytest.mark.parametrize(
    ("samples", "message"),
    [
        ({"x": NAN}, "NaN"),
        ({"x": GOOD[..., 1:]}, "shape"),
        ({}, "lack the input 'x'"),
        ({"x": GOOD, "z": GOOD}, "name 'z'"),
        ({"x": GOOD.astype(np.int64)}, "int64"),
        ({"x": GOOD[:0]}, "at least one"),
        ([], "at least one"),
    ],
)
def test_bad_samples_are_refused(samples: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        quantize(graph_of("residual"), samples)


def test_bad_options_and_constants_are_refused() -> None:
    graph = graph_of("residual")
    with pytest.raises(InputError, match="uint8, int16 would work"):
        quantize(graph, activations="int4")
    with pytest.raises(InputError, match="minmax, percentile, entropy"):
        quantize(graph, calibration="guess")
    with pytest.raises((InputError, ModelError), match="NaN"):
        quantize(fc_graph(float("nan"), 0.0))


def test_sqnr_of_a_known_noise() -> None:
    signal = np.full(100, 10.0)
    assert sqnr(signal, signal + 1.0) == pytest.approx(20.0)
    assert sqnr(signal, signal) == float("inf")
