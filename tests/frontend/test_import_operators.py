"""Each operator, imported and simplified, computes what ONNX Runtime computes, at old and new opsets."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from accelc.frontend.table import LOWERINGS
from accelc.graph import Graph
from tests.onnx_build import Array, check, model, node

NEWEST = 26  # the newest opset that ONNX Runtime 1.31 runs
OPSETS = (7, 13, NEWEST)


def const(*shape: int, seed: int = 1) -> Array:
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def ints(*values: int) -> Array:
    return np.array(values, np.int64)


def ops(graph: Graph) -> list[str]:
    return [layer.op for layer in graph.layers]


def one(
    op: str, shape: tuple[int, ...], opset: int = 13, consts: dict[str, Array] | None = None, **attrs: Any
) -> Graph:
    """Check a model of one node that reads x and the constants in order."""
    names = " ".join(["x", *(consts or {})])
    return check(model([node(op, names, **attrs)], {"x": shape}, constants=consts, opset=opset))


@pytest.mark.parametrize("opset", OPSETS)
@pytest.mark.parametrize(
    "attrs",
    [
        {},
        {"pads": [1, 0, 2, 1]},
        {"strides": [2, 3], "auto_pad": "SAME_UPPER"},
        {"strides": [2, 1], "auto_pad": "SAME_LOWER"},
        {"auto_pad": "VALID", "kernel_shape": [3, 2]},
        {"dilations": [2, 3], "pads": [2, 2, 2, 2]},
    ],
)
def test_conv_2d(opset: int, attrs: dict[str, Any]) -> None:
    graph = one("Conv", (1, 4, 9, 11), opset, {"w": const(6, 4, 3, 2), "b": const(6)}, **attrs)
    assert ops(graph) == ["conv"]


@pytest.mark.parametrize("group", [1, 2, 4])
def test_conv_1d_is_a_conv_of_height_one(group: int) -> None:
    consts = {"w": const(8, 4 // group, 3)}
    graph = one("Conv", (2, 4, 12), 13, consts, group=group, pads=[2, 1], strides=[2], dilations=[2])
    assert ops(graph) == ["conv"]
    assert len(graph.tensors[graph.layers[0].inputs[1]].shape) == 4
    assert graph.layers[0].attrs["pads"] == (0, 2, 0, 1)


@pytest.mark.parametrize("opset", [8, 13, NEWEST])
@pytest.mark.parametrize(
    "attrs",
    [
        {"kernel_shape": [3, 2]},
        {"kernel_shape": [3, 3], "strides": [2, 2], "pads": [1, 1, 1, 1]},
        {"kernel_shape": [2, 3], "strides": [2, 2], "auto_pad": "SAME_UPPER"},
        {"kernel_shape": [2, 3], "strides": [2, 2], "auto_pad": "SAME_LOWER"},
    ],
)
@pytest.mark.parametrize("op", ["MaxPool", "AveragePool"])
def test_pool_2d(op: str, opset: int, attrs: dict[str, Any]) -> None:
    one(op, (2, 3, 9, 10), opset, **attrs)


@pytest.mark.parametrize("opset", [10, 13, NEWEST])
@pytest.mark.parametrize("extent", [7, 8, 9, 10])
@pytest.mark.parametrize("pads", [[0, 0, 0, 0], [1, 1, 1, 1], [0, 1, 1, 0]])
@pytest.mark.parametrize("include", [None, 0, 1])
def test_pool_ceil_mode_counts_as_onnx_runtime_does(
    opset: int, extent: int, pads: list[int], include: int | None
) -> None:
    """Windows beyond the padded input exist, and an average over them counts only what lies inside it."""
    attrs = {} if include is None else {"count_include_pad": include}
    op = "MaxPool" if include is None else "AveragePool"
    attrs |= {"kernel_shape": [3, 3], "strides": [2, 3], "pads": pads, "ceil_mode": 1}
    # The written output shape is open: before opset 22 ONNX's own inference counts one window too many.
    names = ["n", "c", "h", "w"]
    check(model([node(op, "x", **attrs)], {"x": (1, 2, extent, extent)}, opset=opset, out_shape=names))


def test_pool_dilations_and_one_dimension() -> None:
    one("MaxPool", (1, 2, 12, 12), 13, kernel_shape=[3, 2], dilations=[2, 3], strides=[2, 1])
    one("AveragePool", (1, 2, 12, 12), NEWEST, kernel_shape=[3, 2], dilations=[2, 3], strides=[2, 1])
    one("MaxPool", (1, 2, 12), 13, kernel_shape=[3], pads=[1, 1], strides=[2])
    one("AveragePool", (1, 2, 12), 13, kernel_shape=[3], pads=[1, 1], strides=[2], count_include_pad=1)


def test_pools_over_all_positions() -> None:
    assert ops(one("GlobalAveragePool", (2, 3, 4, 5))) == ["global_avg_pool"]
    assert ops(one("GlobalMaxPool", (2, 3, 4))) == ["global_max_pool"]
    for keep in (0, 1):
        one("ReduceMean", (2, 3, 4, 5), 7, axes=[2, 3], keepdims=keep)
        one("ReduceMean", (2, 3, 4, 5), 18, {"axes": ints(-1, -2)}, keepdims=keep)
        one("ReduceMax", (2, 3, 4, 5), 20, {"axes": ints(2, 3)}, keepdims=keep)


@pytest.mark.parametrize("opset", OPSETS)
@pytest.mark.parametrize("trans_b", [0, 1])
@pytest.mark.parametrize("bias", [None, (), (1,), (6,), (1, 6), (4, 1), (4, 6)])
def test_gemm(opset: int, trans_b: int, bias: tuple[int, ...] | None) -> None:
    consts = {"w": const(*((6, 5) if trans_b else (5, 6)))}
    if bias is not None:
        consts["c"] = const(*bias)
    elif opset < 11:
        return  # C was not optional
    graph = one("Gemm", (4, 5), opset, consts, transB=trans_b, alpha=0.5, beta=2.0)
    assert ops(graph) == (["fc", "add"] if bias in ((4, 1), (4, 6)) else ["fc"])


@pytest.mark.parametrize("shape", [(5,), (4, 5), (2, 3, 5), (2, 2, 3, 5)])
@pytest.mark.parametrize("opset", OPSETS)
def test_matmul_and_its_bias_become_one_fc(shape: tuple[int, ...], opset: int) -> None:
    consts = {"w": const(5, 6), "c": const(6)}
    nodes = [node("MatMul", "x w", "m"), node("Add", "m c", "a"), node("Relu", "a")]
    graph = check(model(nodes, {"x": shape}, constants=consts, opset=opset))
    assert [op for op in ops(graph) if op != "reshape"] == ["fc"]
    assert next(layer for layer in graph.layers if layer.op == "fc").attrs["activation"] == ("relu",)


@pytest.mark.parametrize("opset", OPSETS)
@pytest.mark.parametrize("op", ["Relu", "Sigmoid", "Tanh", "LeakyRelu", "HardSigmoid"])
def test_functions_of_one_element(op: str, opset: int) -> None:
    one(op, (2, 3, 4), opset)
    if op in ("LeakyRelu", "HardSigmoid"):
        one(op, (2, 3, 4), opset, alpha=0.3)


def test_gated_functions() -> None:
    one("HardSwish", (2, 3, 4), 14)
    x = {"x": (2, 3, 4)}
    check(model([node("Sigmoid", "x", "s"), node("Mul", "x s")], x))


@pytest.mark.parametrize("opset", OPSETS)
@pytest.mark.parametrize("slope", [(1,), (3, 1, 1), (1, 3, 1, 1)])
def test_prelu(opset: int, slope: tuple[int, ...]) -> None:
    if len(slope) == 4 and opset == 7:
        return
    one("PRelu", (2, 3, 4, 5), opset, {"slope": const(*slope)})


def test_clip_as_attributes_and_as_operands() -> None:
    one("Clip", (4, 5), 7, min=-0.5, max=0.5)
    assert ops(one("Clip", (4, 5), 7, min=0.0)) == ["relu"]
    one("Clip", (4, 5), 13, {"low": np.float32(-0.5), "high": np.float32(0.25)})
    check(model([node("Clip", "x _ high")], {"x": (4, 5)}, constants={"high": np.float32(0.25)}))
    assert ops(check(model([node("Clip", "x")], {"x": (4, 5)}))) == ["reshape"]
    assert ops(one("Max", (4, 5), 13, {"zero": np.float32(0)})) == ["relu"]
    one("Min", (4, 5), 13, {"six": np.float32(0.5)})


@pytest.mark.parametrize("opset", OPSETS)
@pytest.mark.parametrize("axis", [None, 0, 1, 2])
def test_softmax_over_one_axis_or_from_it_on(opset: int, axis: int | None) -> None:
    one("Softmax", (2, 3, 4), opset, **({} if axis is None else {"axis": axis}))


@pytest.mark.parametrize("opset", [7, 9, 14, NEWEST])
def test_batch_norm_alone_is_affine(opset: int) -> None:
    consts = {"g": const(3), "b": const(3), "m": const(3), "v": np.abs(const(3))}
    assert ops(one("BatchNormalization", (2, 3, 4, 5), opset, consts, epsilon=1e-3)) == ["affine"]
    one("BatchNormalization", (2, 3), opset, consts)


@pytest.mark.parametrize("size", [1, 3, 5])
def test_lrn(size: int) -> None:
    one("LRN", (2, 7, 4, 5), size=size, alpha=0.3, beta=0.6, bias=1.5)


@pytest.mark.parametrize("opset", OPSETS)
@pytest.mark.parametrize("op", ["Add", "Sub", "Mul", "Div"])
@pytest.mark.parametrize("shape", [(), (4,), (3, 1), (2, 3, 4)])
def test_arithmetic_with_constants(op: str, shape: tuple[int, ...], opset: int) -> None:
    consts = {"c": const(*shape)}
    one(op, (2, 3, 4), opset, consts)
    if op != "Div":
        check(model([node(op, "c x")], {"x": (2, 3, 4)}, constants=consts, opset=opset))


@pytest.mark.parametrize("op", ["Add", "Sub", "Mul"])
def test_arithmetic_of_two_inputs(op: str) -> None:
    check(model([node(op, "a b")], {"a": (2, 3, 4), "b": (3, 1)}))


@pytest.mark.parametrize("opset", [8, 13, NEWEST])
@pytest.mark.parametrize("op", ["Sum", "Mean"])
@pytest.mark.parametrize("names", ["a", "a b", "b a c"])
def test_sums_of_any_number(op: str, names: str, opset: int) -> None:
    shapes = {n: s for n, s in (("a", (3, 4)), ("b", (1, 4)), ("c", (2, 1, 1))) if n in names.split()}
    check(model([node(op, names)], shapes, opset=opset))


def test_neg() -> None:
    one("Neg", (3, 4))


@pytest.mark.parametrize("opset", OPSETS)
def test_reshapes_of_every_kind(opset: int) -> None:
    shape = (2, 3, 1, 4)
    for goal in ((6, 4), (0, -1), (2, 1, 12, 1)):
        assert ops(one("Reshape", shape, opset, {"s": ints(*goal)})) == ["reshape"]
    for axis in (0, 1, 3):
        one("Flatten", shape, opset, axis=axis)
    if opset < 13:
        one("Squeeze", shape, opset, axes=[2])
        one("Unsqueeze", shape, opset, axes=[0, 4])
    else:
        one("Squeeze", shape, opset, {"axes": ints(-2)})
        one("Unsqueeze", shape, opset, {"axes": ints(0, 4)})
    one("Squeeze", shape, opset)


def test_reshape_allowzero_keeps_minus_one() -> None:
    one("Reshape", (2, 3, 4), 14, {"s": ints(4, -1)}, allowzero=1)


@pytest.mark.parametrize("opset", OPSETS)
@pytest.mark.parametrize("op", ["Identity", "Dropout"])
def test_what_does_nothing_vanishes_between_layers(op: str, opset: int) -> None:
    nodes = [node("Relu", "x", "a"), node(op, "a", "b"), node("Sigmoid", "b")]
    assert ops(check(model(nodes, {"x": (2, 3)}, opset=opset))) == ["relu", "sigmoid"]
    nodes = [node("Relu", "x", "a"), node(op, "a", "y")]
    assert ops(check(model(nodes, {"x": (2, 3)}, opset=opset))) == ["relu"]


def test_cast_to_float_vanishes() -> None:
    nodes = [node("Relu", "x", "a"), node("Cast", "a", to=1)]
    assert ops(check(model(nodes, {"x": (2, 3)}))) == ["relu"]


@pytest.mark.parametrize("perm", [None, [0, 2, 3, 1], [1, 0, 3, 2]])
def test_transpose(perm: list[int] | None) -> None:
    attrs = {} if perm is None else {"perm": perm}
    assert ops(one("Transpose", (2, 3, 4, 5), **attrs)) == ["transpose"]


def test_transpose_of_extents_of_one_is_a_reshape() -> None:
    assert ops(one("Transpose", (2, 1, 4, 1), perm=[3, 0, 1, 2])) == ["reshape"]


@pytest.mark.parametrize("opset", OPSETS)
@pytest.mark.parametrize("axis", [0, 1, 2])
def test_concat_and_split(axis: int, opset: int) -> None:
    x = {"x": (4, 6, 8), "z": (4, 6, 8)}
    check(model([node("Concat", "x z x", axis=axis)], x, opset=opset))
    sizes = [1, (4, 6, 8)[axis] - 1]
    if opset < 13:
        cut = node("Split", "x", "a b", axis=axis, split=sizes)
    else:
        cut = node("Split", "x sizes", "a b", axis=axis)
    check(model([cut], {"x": (4, 6, 8)}, ("a", "b"), {"sizes": ints(*sizes)}, opset))
    even = {"num_outputs": 2} if opset >= 18 else {}
    check(model([node("Split", "x", "a b", axis=axis, **even)], {"x": (4, 6, 8)}, ("a", "b"), opset=opset))


def test_slice_by_attributes() -> None:
    one("Slice", (5, 6, 7), 7, starts=[1, -3], ends=[4, 1000], axes=[0, 2])
    one("Slice", (5, 6, 7), 7, starts=[1, 2], ends=[4, -1])


@pytest.mark.parametrize("opset", [10, 13, NEWEST])
def test_slice_by_operands(opset: int) -> None:
    consts = {"starts": ints(-5, 1), "ends": ints(2**62, -1), "axes": ints(2, 0), "steps": ints(2, 3)}
    one("Slice", (5, 6, 7), opset, consts)
    one("Slice", (5, 6, 7), opset, {"starts": ints(1), "ends": ints(3)})
    one("Slice", (5, 6, 1), opset, {"s": ints(-1), "e": ints(-(2**62)), "a": ints(2), "t": ints(-1)})


@pytest.mark.parametrize("opset", OPSETS)
def test_gather_of_even_indices_is_a_slice(opset: int) -> None:
    assert ops(one("Gather", (5, 6), opset, {"i": np.int64(2)}, axis=1)) == ["slice", "reshape"]
    assert ops(one("Gather", (5, 6), opset, {"i": ints(0, 2, 4)}, axis=0)) == ["slice"]
    one("Gather", (5, 6), opset, {"i": ints(-1)}, axis=1)


@pytest.mark.parametrize("opset", OPSETS)
def test_pad(opset: int) -> None:
    if opset < 11:
        one("Pad", (2, 3, 4, 5), opset, pads=[0, 0, 1, 2, 0, 1, 0, 3], value=1.5)
        one("Pad", (2, 3, 4, 5), opset, pads=[0, 0, -1, 2, 0, 1, 0, -3], mode="constant")
        return
    one("Pad", (2, 3, 4, 5), opset, {"pads": ints(0, 0, 1, 2, 0, 1, 0, 3), "v": np.float32(1.5)})
    one("Pad", (2, 3, 4, 5), opset, {"pads": ints(0, 0, -1, 2, 0, 1, 0, -3)})
    if opset >= 18:
        one("Pad", (2, 3, 4, 5), opset, {"pads": ints(1, 2, 3, 4), "v": np.float32(0), "axes": ints(-1, 2)})


def test_blocks_between_channels_and_positions() -> None:
    for mode in ("DCR", "CRD"):
        one("DepthToSpace", (1, 12, 3, 4), 13, blocksize=2, mode=mode)
    one("DepthToSpace", (1, 12, 3, 4), 7, blocksize=2)
    one("SpaceToDepth", (1, 3, 4, 6), 13, blocksize=2)


def test_expand_and_tile() -> None:
    one("Expand", (2, 3), 13, {"s": ints(1, 3)})
    one("Tile", (2, 3), 13, {"r": ints(2, 3)})
    one("Tile", (2, 3), 13, {"r": ints(1, 1)})


def test_every_operator_is_described() -> None:
    """The page of supported operators needs a summary of each, that reads as a sentence."""
    for (domain, op), entry in LOWERINGS.items():
        assert (entry.domain, entry.op) == (domain, op)
        assert entry.summary.endswith("."), op
        assert entry.unit in ("array", "vector", "compiler")
