"""Each pass leaves the values as they are, and does what it is for, no less and no more."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from accelc.frontend import import_onnx
from accelc.graph import Graph, verify
from accelc.passes import PASSES, simplify
from accelc.passes.lower_rank import steps
from tests.ir_float import execute
from tests.onnx_build import Array, check, feeds, model, node


def const(*shape: int, seed: int = 1) -> Array:
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def ops(graph: Graph) -> list[str]:
    return [layer.op for layer in graph.layers]


NORM = {"g": const(6, seed=2), "s": const(6, seed=3), "m": const(6, seed=4), "v": np.abs(const(6, seed=5))}


def run(nodes: list[onnx.NodeProto], *outputs: str, shape: tuple[int, ...] = (1, 4, 6, 6), **constants: Array) -> Graph:
    return check(model(nodes, {"x": shape}, outputs or ("y",), constants))


@pytest.mark.parametrize("bias", ["", " b"])
def test_batch_norm_folds_into_conv_and_fc(bias: str) -> None:
    nodes = [node("Conv", f"x w{bias}", "c"), node("BatchNormalization", "c g s m v")]
    assert ops(run(nodes, w=const(6, 4, 3, 3), b=const(6), **NORM)) == ["conv"]
    nodes = [node("Gemm", f"x w{bias}", "c", transB=1), node("BatchNormalization", "c g s m v")]
    assert ops(run(nodes, shape=(2, 4), w=const(6, 4), b=const(6), **NORM)) == ["fc"]


def test_batch_norm_stays_where_its_input_is_read_elsewhere() -> None:
    nodes = [node("Conv", "x w", "c"), node("BatchNormalization", "c g s m v", "n"), node("Add", "c n")]
    assert ops(run(nodes, w=const(6, 4, 3, 3), **NORM)) == ["conv", "affine", "add"]
    nodes = [node("Conv", "x w", "c"), node("BatchNormalization", "c g s m v")]
    assert ops(run(nodes, "y", "c", w=const(6, 4, 3, 3), **NORM)) == ["conv", "affine"]


def test_activation_fuses_into_a_batch_norm_left_alone() -> None:
    """Between a quantized convolution and the next, both become one table, with no rounding between them."""
    nodes = [node("MaxPool", "x", "p", kernel_shape=[1, 1]), node("BatchNormalization", "p g s m v", "n")]
    graph = run([*nodes, node("Relu", "n")], shape=(1, 6, 5, 5), **NORM)
    assert ops(graph)[-1] == "affine"
    assert graph.layers[-1].attrs["activation"] == ("relu",)


def test_shared_weights_are_folded_for_one_reader_only() -> None:
    nodes = [node("Conv", "x w", "c"), node("BatchNormalization", "c g s m v"), node("Conv", "x w", "z")]
    graph = run(nodes, "y", "z", w=const(6, 4, 3, 3), **NORM)
    assert ops(graph) == ["conv", "conv"]


@pytest.mark.parametrize(("op", "shape"), [("Add", (6, 1, 1)), ("Sub", (1, 6, 1, 1)), ("Add", ())])
def test_constant_per_channel_folds_into_the_bias(op: str, shape: tuple[int, ...]) -> None:
    nodes = [node("Conv", "x w", "a"), node(op, "a c", "b"), node("Relu", "b")]
    graph = run(nodes, w=const(6, 4, 3, 3), c=const(*shape))
    assert ops(graph) == ["conv"]
    assert graph.layers[0].source == ("conv_a", f"{op.lower()}_b", "relu_y")


def test_constant_per_position_does_not_fold() -> None:
    nodes = [node("Conv", "x w", "a"), node("Add", "a c")]
    assert ops(run(nodes, w=const(6, 4, 3, 3), c=const(4, 1))) == ["conv", "add"]
    nodes = [node("Conv", "x w", "a"), node("Sub", "c a")]
    assert ops(run(nodes, w=const(6, 4, 3, 3), c=const(6, 1, 1))) == ["conv", "sub"]


def padded(then: onnx.NodeProto, value: float = 0.0, first: str = "Identity") -> Graph:
    nodes = [node(first, "x", "r"), node("Pad", "r pads value", "p"), then]
    pads = np.array([0, 0, 1, 0, 0, 0, 2, 1])
    return run(nodes, pads=pads, value=np.float32(value), w=const(6, 4, 3, 3))


def test_padding_folds_into_conv_only_with_zeros() -> None:
    graph = padded(node("Conv", "p w", pads=[1, 1, 0, 0]))
    assert ops(graph) == ["conv"]
    assert graph.layers[0].attrs["pads"] == (2, 1, 2, 1)
    assert ops(padded(node("Conv", "p w"), value=1.0)) == ["pad", "conv"]


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("ceil", [0, 1])
def test_padding_folds_into_avg_pool_that_counts_it(stride: int, ceil: int) -> None:
    window: dict[str, Any] = {"kernel_shape": [3, 3], "strides": [stride] * 2, "ceil_mode": ceil}
    assert ops(padded(node("AveragePool", "p", **window))) == ["avg_pool"]
    own = {"pads": [1] * 4}
    assert ops(padded(node("AveragePool", "p", **window, **own))) == ["pad", "avg_pool"]
    assert ops(padded(node("AveragePool", "p", **window, **own, count_include_pad=1))) == ["avg_pool"]


def test_padding_folds_into_max_pool_only_below_every_value() -> None:
    pool = node("MaxPool", "p", kernel_shape=[3, 3])
    assert ops(padded(pool)) == ["pad", "max_pool"]
    assert ops(padded(pool, first="Relu")) == ["relu", "max_pool"]
    assert ops(padded(pool, value=0.5, first="Relu")) == ["relu", "pad", "max_pool"]
    assert ops(padded(pool, value=-np.inf)) == ["max_pool"]


def test_padding_wider_than_a_window_stays_before_max_pool() -> None:
    pool = node("MaxPool", "p", kernel_shape=[2, 2])
    assert ops(padded(pool, first="Relu")) == ["relu", "pad", "max_pool"]


@pytest.mark.parametrize("op", ["Add", "Sub", "Mul"])
def test_clip_fuses_into_elementwise(op: str) -> None:
    nodes = [node(op, "x x", "a"), node("Clip", "a low high")]
    graph = run(nodes, low=np.float32(-0.5), high=np.float32(1))
    assert ops(graph) == [op.lower()]
    assert graph.layers[0].attrs["activation"] == ("clip", -0.5, 1.0)


def test_activation_stays_where_its_input_is_read_elsewhere() -> None:
    nodes = [node("Add", "x x", "a"), node("Relu", "a", "r"), node("Add", "a r")]
    assert ops(run(nodes)) == ["add", "relu", "add"]
    assert ops(run([node("Add", "x x", "a"), node("Relu", "a")], "y", "a")) == ["add", "relu"]
    nodes = [node("Add", "x x", "a"), node("Relu", "a", "r"), node("Clip", "r _ high")]
    assert ops(run(nodes, high=np.float32(0.5))) == ["add", "clip"]


def test_moves_merge() -> None:
    nodes = [
        node("Transpose", "x", "a", perm=[0, 2, 3, 1]),
        node("Transpose", "a", "b", perm=[0, 3, 1, 2]),
        node("Flatten", "b", "c"),
        node("Reshape", "c goal", "y"),
    ]
    assert ops(run(nodes, goal=np.array([2, -1]))) == ["reshape"]


def test_outputs_keep_their_names() -> None:
    """Also when several outputs, or an input, turn out to be one tensor."""
    nodes = [node("Identity", "x", "a"), node("Relu", "x", "r"), node("Identity", "r", "b"), node("Dropout", "r", "c")]
    graph = run(nodes, "a", "r", "b", "c")
    assert graph.outputs == ("a", "r", "b", "c")


def test_unread_layers_vanish() -> None:
    assert ops(run([node("Relu", "x"), node("Sigmoid", "x", "unused")])) == ["relu"]


def test_channel_shuffle_takes_four_axes() -> None:
    nodes = [node("Reshape", "x s1", "a"), node("Transpose", "a", "b", perm=[0, 2, 1, 3, 4]), node("Reshape", "b s2")]
    graph = run(nodes, shape=(2, 6, 3, 4), s1=np.array([2, 2, 3, 3, 4]), s2=np.array([2, 6, 3, 4]))
    assert ops(graph) == ["reshape", "transpose", "reshape"]
    assert all(len(t.shape) <= 4 for t in graph.tensors.values())


def test_blocks_to_positions_take_four_axes() -> None:
    graph = run([node("DepthToSpace", "x", blocksize=2)], shape=(2, 12, 3, 4))
    assert all(len(t.shape) <= 4 for t in graph.tensors.values())


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_any_transpose_equals_its_steps(data: st.DataObject) -> None:
    shape = tuple(data.draw(st.lists(st.integers(1, 3), min_size=1, max_size=7)))
    perm = tuple(data.draw(st.permutations(range(len(shape)))))
    x = np.arange(np.prod(shape)).reshape(shape)
    y = x
    for view, order in steps(shape, perm):
        assert len(view) <= 4
        y = y.reshape(view).transpose(order)
    np.testing.assert_array_equal(y.reshape(-1), x.transpose(perm).reshape(-1))


@pytest.mark.parametrize("mode", ["DCR", "CRD"])
def test_channels_that_become_positions_are_computed_in_place(mode: str) -> None:
    """A convolution before a pixel shuffle becomes one for each place in a block; what follows joins them."""
    nodes = [
        node("Conv", "x w b", "c"), node("DepthToSpace", "c", "d", blocksize=2, mode=mode), node("Relu", "d", "y")
    ]  # fmt: skip
    assert ops(run(nodes, w=const(12, 4, 3, 3), b=const(12))) == ["conv"] * 4 + ["interleave"]


def test_simplifying_twice_changes_nothing() -> None:
    nodes = [
        node("Conv", "x w", "c"),
        node("BatchNormalization", "c g s m v", "n"),
        node("Relu", "n", "r"),
        node("Flatten", "r", "f"),
        node("Identity", "f"),
    ]
    graph = run(nodes, w=const(6, 4, 3, 3), **NORM)
    assert str(simplify(graph)) == str(graph)


@pytest.mark.parametrize("step", PASSES, ids=lambda step: step.__name__)
def test_each_pass_alone_keeps_the_values(step: Any) -> None:
    nodes = [
        node("Pad", "x pads", "p"),
        node("Conv", "p w b", "c"),
        node("BatchNormalization", "c g s m v", "n"),
        node("Relu", "n", "r"),
        node("Transpose", "r", "t", perm=[0, 2, 3, 1]),
        node("Transpose", "t", "u", perm=[0, 3, 1, 2]),
        node("MaxPool", "u", "q", kernel_shape=[2, 2]),
        node("Add", "q q", "a"),
        node("Clip", "a low", "k"),
        node("Sigmoid", "k", "dead"),
        node("Flatten", "k", "f"),
        node("Identity", "f"),
    ]
    constants = {"w": const(6, 4, 3, 3), "b": const(6), "low": np.float32(0)}
    constants["pads"] = np.array([0, 0, 1, 1, 0, 0, 1, 1])
    built = model(nodes, {"x": (1, 4, 6, 6)}, constants=constants | NORM)
    graph = import_onnx(built)
    inputs = feeds(built, graph)
    found = execute(verify(step(graph)), inputs)["y"]
    np.testing.assert_allclose(found, execute(graph, inputs)["y"], rtol=1e-4, atol=1e-5)
