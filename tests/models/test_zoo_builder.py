"""The builder's layers and the counter, on sizes worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from accelc.models.builder import Net
from accelc.models.count import Counts, count
from tests.models.probe import activations


def net(seed: int | None = 0) -> Net:
    return Net("test", seed=seed)


def counts(built: Net, result: str) -> Counts:
    built.output(result)
    return count(built.model())


@pytest.mark.parametrize(
    ("size", "kernel", "stride", "pad", "result"),
    [(227, 11, 4, 0, 55), (7, 3, 2, 0, 3), (8, 3, 2, 1, 4), (5, 1, 2, 0, 3)],
)
def test_convolution_extent(size: int, kernel: int, stride: int, pad: int, result: int) -> None:
    """The extent of a convolution is floor((w + 2p - f) / s + 1)."""
    n = net(None)
    y = n.conv(n.input("x", (3, size, size)), "conv", 4, kernel, stride=stride, pad=pad)
    assert n.shape(y) == (1, 4, result, result)


def test_dilated_convolution_sees_further() -> None:
    """A 3x3 kernel at rates 6, 12, 18, 24 sees 13, 25, 37, 49."""
    for rate, seen in ((6, 13), (12, 25), (18, 37), (24, 49)):
        n = net(None)
        assert n.shape(n.conv(n.input("x", (1, seen, seen)), "conv", 1, 3, dilation=rate))[2:] == (1, 1)


@pytest.mark.parametrize(
    ("size", "kernel", "stride", "pad", "extra"), [(2, 3, 1, 0, 0), (5, 3, 2, 1, 1), (4, 4, 2, 1, 0)]
)
def test_transposed_convolution_extent(size: int, kernel: int, stride: int, pad: int, extra: int) -> None:
    """The extent of a transposed convolution is s(i - 1) + a + k - 2p."""
    n = net(None)
    x = n.input("x", (3, size, size))
    y = n.conv_transpose(x, "up", 2, kernel, stride=stride, pad=pad, output_pad=extra)
    assert n.shape(y)[2] == stride * (size - 1) + extra + kernel - 2 * pad


def test_inception_branches_of_the_lecture() -> None:
    """A 5x5 branch of 96 on 28x28x256: 4.8e8 and 6.1e5 weights naively, 6.7e7 and 8.5e4 behind 32 1x1 kernels."""
    n = net(None)
    naive = counts(n, n.conv(n.input("x", (256, 28, 28)), "5x5", 96, 5, pad=2, bias=False))
    assert (naive.params, naive.macs) == (614_400, 481_689_600)
    n = net(None)
    reduced = n.conv(n.input("x", (256, 28, 28)), "reduce", 32, 1, bias=False)
    bottleneck = counts(n, n.conv(reduced, "5x5", 96, 5, pad=2, bias=False))
    assert (bottleneck.params, bottleneck.macs) == (84_992, 66_633_728)


def test_groups_divide_weights_and_work() -> None:
    """In two groups each output channel sees half of the input: 8 x (6/2) x 9 + 8 weights, 5 x 5 of these products."""
    n = net()
    found = counts(n, n.conv(n.input("x", (6, 5, 5)), "conv", 8, 3, pad=1, groups=2))
    assert (found.params, found.macs) == (8 * 3 * 9 + 8, 25 * 8 * 3 * 9)


def test_transposed_convolution_counts_by_its_input() -> None:
    """Every one of 4 x 4 x 3 inputs meets 2 x 3 x 3 weights."""
    n = net()
    found = counts(n, n.conv_transpose(n.input("x", (3, 4, 4)), "up", 2, 3, stride=2))
    assert (found.params, found.macs) == (3 * 2 * 9 + 2, 16 * 3 * 2 * 9)


def test_batch_norm_statistics_are_no_parameters() -> None:
    """Of a normalization's four vectors scale and shift are trained."""
    n = net()
    found = counts(n, n.conv_bn(n.input("x", (3, 4, 4)), "conv", 5, 1))
    assert found.params == 5 * 3 + 2 * 5


def test_constants_are_no_parameters() -> None:
    """A shape or a ratio is part of the architecture."""
    n = net()
    found = counts(n, n.dropout(n.reshape(n.input("x", (4, 3)), "flat", (0, 12))))
    assert found.params == 0


def test_counting_a_foreign_graph() -> None:
    """A graph without shapes of its own is inferred; products, recurrences and shared weights are counted."""
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["a"], name="first"),
        helper.make_node("MatMul", ["a", "w"], ["b"], name="second"),
        helper.make_node("LSTM", ["b", "wx", "wh"], ["", "", "c"], name="lstm", hidden_size=2),
    ]
    shapes = {"w": (3, 3), "wx": (1, 8, 3), "wh": (1, 8, 2)}
    values = [numpy_helper.from_array(np.zeros(s, np.float32), n) for n, s in shapes.items()]
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, (5, 1, 3))
    y = helper.make_tensor_value_info("c", TensorProto.FLOAT, (1, 1, 2))
    model = helper.make_model(helper.make_graph(nodes, "foreign", [x], [y], values))
    found = count(model)
    assert [n.params for n in found.nodes] == [9, 0, 8 * 3 + 8 * 2]  # w counts once
    assert [n.macs for n in found.nodes] == [5 * 9, 5 * 9, 5 * (8 * 3 + 8 * 2)]


def test_names_follow_the_layer() -> None:
    """A layer that hangs on another is named after it, so that a graph reads like its paper."""
    n = net()
    y = n.dropout(n.conv_bn_relu(n.input("x", (3, 4, 4)), "conv2_1", 5, 1))
    n.output(y, "y")
    built = n.model().graph
    assert [node.name for node in built.node if node.op_type != "Constant"] == [
        "conv2_1", "conv2_1/bn", "conv2_1/relu", "conv2_1/dropout",
    ]  # fmt: skip
    assert built.node[-1].output[0] == built.output[0].name == "y"
    assert built.initializer[0].name == "conv2_1/weight"


def test_a_name_is_used_once() -> None:
    """Two tensors of one name would make an invalid graph far from the mistake."""
    n = net()
    x = n.input("x", (3, 4, 4))
    n.conv(x, "conv", 5, 1)
    with pytest.raises(ValueError, match="'test' has a tensor 'conv/weight' already"):
        n.conv(x, "conv", 5, 1)
    with pytest.raises(ValueError, match="'test' has a tensor 'x' already"):
        n.input("x", (1,))


def test_local_response_normalization_has_the_papers_form() -> None:
    """x / (2 + 1e-4 * sum of squares of five channels) ^ 0.75: alpha is not divided by the window, as ONNX does."""
    n = net()
    n.output(n.lrn(n.input("x", (5, 1, 1)), "norm"))
    x = np.random.default_rng(0).standard_normal((1, 5, 1, 1), np.float32)
    expected = x[0, 2] / (2 + 1e-4 * (x**2).sum()) ** 0.75
    np.testing.assert_allclose(activations(n.model())["norm"][0, 2], expected, rtol=1e-6)


def test_a_layers_weights_do_not_depend_on_others() -> None:
    """A layer added before leaves the weights of a layer as they were."""
    weights = []
    for first in (False, True):
        n = net()
        x = n.input("x", (3, 4, 4))
        x = n.conv(x, "first", 3, 1) if first else x
        n.output(n.conv(x, "second", 3, 1))
        weights.append({t.name: t.raw_data for t in n.model().graph.initializer}["second/weight"])
    assert weights[0] == weights[1]


def test_convolutions_have_he_scale() -> None:
    """He et al., ICCV 2015: sqrt(2 / fan-in), here of 64 x 9 inputs."""
    n = net()
    n.output(n.conv(n.input("x", (64, 4, 4)), "conv", 64, 3))
    weight = numpy_helper.to_array(n.model().graph.initializer[0])
    assert weight.std() == pytest.approx((2 / (64 * 9)) ** 0.5, rel=0.02)


def test_an_invalid_graph_is_refused() -> None:
    """Shapes that do not fit are an error at the layer, not in the file."""
    n = net()
    a, b = n.input("a", (3, 4, 4)), n.input("b", (3, 5, 5))
    with pytest.raises(ValueError, match="Add 'sum' in 'test': "):
        n.add(a, b, "sum")
