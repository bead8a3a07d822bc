"""Every network of the zoo: valid, reproducible, in range, and light to list."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from accelc import models
from tests.models.probe import activations

NAMES = list(models.catalog())


def operators(model: onnx.ModelProto) -> set[str]:
    return {node.op_type for node in nodes(model.graph)}


def nodes(graph: onnx.GraphProto) -> Iterator[onnx.NodeProto]:
    """Yield the nodes of a graph and of the bodies in it."""
    for node in graph.node:
        yield node
        for body in (a.g for a in node.attribute if a.HasField("g")):
            yield from nodes(body)


# Distances between colors 0 to 255 in units of their deviation, and kernels that are their exponentials; boxes in
# pixels, and class scores that are products of probabilities; one number seen at every place.
UNSCALED = ("alike/", "bilateral", "spatial", "detect", "boxes", "decoded", "rois", "nms", "scores", "up_fc7", "rpn")


def in_range(model: onnx.ModelProto) -> None:
    """Fail on a tensor that is not finite, that vanished or exploded, and on one class taking all.

    Indices, counts and masks have no scale, and one number alone has no spread.
    """
    axes = {n.output[0]: n.attribute[0].i for n in model.graph.node if n.op_type == "Softmax"}
    for name, values in activations(model).items():
        if values.dtype != np.float32:
            continue
        assert np.isfinite(values).all(), name
        if name in axes:
            np.testing.assert_allclose(values.sum(axis=axes[name]), 1, rtol=1e-4)
            assert values.max(axis=axes[name]).mean() < 0.99, name
        elif values.size > 1 and not name.startswith(UNSCALED):
            assert 1e-2 < values.std() < 1e2, f"{name} has a standard deviation of {values.std()}"


@pytest.mark.parametrize("name", NAMES)
def test_the_published_network_is_valid_onnx(name: str) -> None:
    """The checker and strict shape inference accept every network."""
    model = models.outline(name)
    onnx.checker.check_model(model, full_check=True)
    onnx.shape_inference.infer_shapes(model, check_type=True, strict_mode=True, data_prop=True)


@pytest.mark.parametrize("name", NAMES)
def test_the_tiny_network_computes_in_range(name: str) -> None:
    """A tiny network is valid with its weights inside and computes numbers worth comparing at every layer."""
    model = models.build(name, tiny=True)
    onnx.checker.check_model(model, full_check=True)
    in_range(model)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["resnet152", "googlenet", "plain34"])
def test_the_deepest_networks_stay_in_range_at_full_size(name: str) -> None:
    """Depth neither explodes nor vanishes with the random weights of the zoo."""
    in_range(models.build(name))


@pytest.mark.parametrize("name", NAMES)
def test_tiny_keeps_the_operators(name: str) -> None:
    """What works on the tiny network has met every operator of the full one."""
    tiny, full = models.outline(name, tiny=True), models.outline(name)
    assert operators(tiny) == operators(full)
    small, large = (int(models.describe(name, tiny=t)["params"]) for t in (True, False))
    assert small < large / 10 or not large


@pytest.mark.parametrize("name", NAMES)
def test_outline_is_the_model_without_values(name: str) -> None:
    """Counting an outline counts the model: same nodes, and every parameter of the same shape."""
    model, outline = models.build(name, tiny=True), models.outline(name, tiny=True)
    assert list(model.graph.node) == list(outline.graph.node)
    shapes = {i.name: [d.dim_value for d in i.type.tensor_type.shape.dim] for i in outline.graph.input}
    for data in model.graph.input:
        del shapes[data.name]
    assert {t.name: list(t.dims) for t in model.graph.initializer} == shapes


@pytest.mark.parametrize("name", NAMES)
def test_a_seed_fixes_every_byte(name: str) -> None:
    """The same seed gives the same file, another seed other weights."""
    first = models.build(name, tiny=True, seed=3).SerializeToString(deterministic=True)
    assert first == models.build(name, tiny=True, seed=3).SerializeToString(deterministic=True)
    other = models.build(name, tiny=True, seed=4).SerializeToString(deterministic=True)
    assert (first != other) == bool(models.describe(name)["params"])


def test_batch_reaches_inputs_and_outputs() -> None:
    """The batch is the first extent of everything, and multiplies the work."""
    one, two = models.build("resnet18", tiny=True), models.build("resnet18", tiny=True, batch=2)
    assert [t.raw_data for t in one.graph.initializer] == [t.raw_data for t in two.graph.initializer]
    (result,) = two.graph.output
    assert [d.dim_value for d in result.type.tensor_type.shape.dim] == [2, 10]
    in_range(two)


def test_auxiliary_heads_are_an_option() -> None:
    """The training-time classifiers exist on request only, and do not change the network they hang on."""
    plain, heads = models.build("googlenet", tiny=True), models.build("googlenet", tiny=True, auxiliary=True)
    assert [o.name for o in plain.graph.output] == ["prob"]
    assert [o.name for o in heads.graph.output] == ["loss1/prob", "loss2/prob", "prob"]
    np.testing.assert_array_equal(activations(plain)["prob"], activations(heads)["prob"])


def test_full_size_auxiliary_heads_pool_to_4x4() -> None:
    """Szegedy et al. 2015, section 5: 5x5/3 pooling to 4x4x512 and 4x4x528, a 1x1 convolution of 128, 1024, 1000."""
    from accelc.models.count import count

    shapes = {n.name: n.shape for n in count(models.outline("googlenet", auxiliary=True)).nodes}
    assert shapes["loss1/pool"] == (1, 512, 4, 4)
    assert shapes["loss2/pool"] == (1, 528, 4, 4)
    assert shapes["loss1/conv"] == (1, 128, 4, 4)
    assert shapes["loss2/fc"] == (1, 1024)


def test_an_unknown_name_lists_close_ones() -> None:
    """A typing error is answered with what was meant."""
    with pytest.raises(LookupError, match="'resnet5O' is no network of the zoo; did you mean resnet50"):
        models.build("resnet5O")
    with pytest.raises(LookupError, match="the zoo has mlp, alexnet"):
        models.describe("xyzzy")


def test_describe_counts_and_cites() -> None:
    """The record of a network: 3072 x 100 + 100 and 100 x 10 + 10 parameters, 3072 x 100 + 100 x 10 multiply-adds."""
    record = models.describe("mlp")
    assert list(record) == ["name", "family", "params", "macs", "source"]
    assert (record["params"], record["macs"]) == (308_310, 308_200)


def test_listing_the_zoo_does_not_load_onnx() -> None:
    """Names are needed for help and completion, where loading ONNX would be felt."""
    code = "import sys, accelc.models; assert accelc.models.catalog(); print('onnx' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_parameters_beside_a_model_are_those_inside_it() -> None:
    """Inputs of the outline that stand for parameters get the values which `build` writes into the model."""
    whole = models.build("googlenet", tiny=True, seed=3)
    outline, values = models.parts("googlenet", tiny=True, seed=3)
    inside = {t.name: numpy_helper.to_array(t) for t in whole.graph.initializer}
    assert list(inside) == list(values)
    assert {i.name for i in outline.graph.input} == {*inside, *(i.name for i in whole.graph.input)}
    for name, value in values.items():
        np.testing.assert_array_equal(value, inside[name])
