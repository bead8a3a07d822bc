"""The Inception family after GoogLeNet against the figures of its papers and of its authors' programs."""

from __future__ import annotations

import pytest

from accelc.models.count import Shape
from tests.models.outlines import attributes, maps, number_of, published, weight

# The sizes the authors' program (TF-Slim, inception_v3.py) writes beside its layers.
INCEPTION_V3 = {
    "stem1": (32, 149, 149),
    "stem2": (32, 147, 147),
    "stem3": (64, 147, 147),
    "stem_pool1": (64, 73, 73),
    "stem4": (80, 73, 73),
    "stem5": (192, 71, 71),
    "stem_pool2": (192, 35, 35),
    "mixed35_1/output": (256, 35, 35),
    "mixed35_2/output": (288, 35, 35),
    "mixed35_3/output": (288, 35, 35),
    "reduce35/output": (768, 17, 17),
    "mixed17_1/output": (768, 17, 17),
    "mixed17_2/output": (768, 17, 17),
    "mixed17_3/output": (768, 17, 17),
    "mixed17_4/output": (768, 17, 17),
    "reduce17/output": (1280, 8, 8),
    "mixed8_1/output": (2048, 8, 8),
    "mixed8_2/output": (2048, 8, 8),
}


@pytest.mark.parametrize(("node", "shape"), INCEPTION_V3.items())
def test_inception_v3_has_the_maps_of_its_authors_program(node: str, shape: Shape) -> None:
    assert maps("inception_v3", node) == [shape]


# Szegedy et al., CVPR 2016, table 1: what each row makes, the next row's input, and the kernels of its convolutions.
TABLE_1 = (
    ("stem1", (32, 149, 149), [3, 3]),
    ("stem2", (32, 147, 147), [3, 3]),
    ("stem3", (64, 147, 147), [3, 3]),
    ("stem_pool1", (64, 73, 73), [3, 3]),
    ("stem4", (80, 71, 71), [3, 3]),
    ("stem5", (192, 35, 35), [3, 3]),
    ("stem6", (288, 35, 35), [3, 3]),
)


@pytest.mark.parametrize(("node", "shape", "kernel"), TABLE_1)
def test_inception_v2_stem_is_that_of_table_1(node: str, shape: Shape, kernel: list[int]) -> None:
    """299 to 35x35x288 by six convolutions of 3x3, one of them padded, and a pooling."""
    assert maps("inception_v2", node) == [shape]
    assert attributes("inception_v2", node)["kernel_shape"] == kernel


def test_inception_v2_modules_are_those_of_table_1() -> None:
    """The same table and section 6: 3 modules of 288 at 35x35, 5 of 768 at 17x17, 2 at 8x8 of 1280 and then 2048."""
    for prefix, modules, shape in (("mixed35", 3, (288, 35, 35)), ("mixed17", 5, (768, 17, 17))):
        assert maps("inception_v2", *(f"{prefix}_{i}/output" for i in range(1, modules + 1))) == [shape] * modules
    assert number_of("inception_v2", "Concat") == 3 + 5 + 2 + 2  # one a module, one a reduction


@pytest.mark.parametrize("name", ["inception_v2", "inception_v3"])
def test_grids_of_table_1(name: str) -> None:
    """The same table: modules at 35x35x288, 17x17x768, 8x8x1280, and 8x8x2048 into the pooling."""
    assert maps(name, "mixed35_3/output", "mixed17_4/output", "reduce17/output", "mixed8_2/output", "pool") == [
        (288, 35, 35), (768, 17, 17), (1280, 8, 8), (2048, 8, 8), (2048, 1, 1),
    ]  # fmt: skip


def test_inception_v3_has_the_parameters_of_torchvision() -> None:
    """Torchvision's table prints 27161264 with the auxiliary head: 1x1 to 128, 5x5 to 768, 1000 classes."""
    auxiliary = 768 * 128 + 2 * 128 + 128 * 768 * 25 + 2 * 768 + (768 + 1) * 1000
    assert published("inception_v3").params == 27_161_264 - auxiliary


def test_inception_v3_has_the_multiply_adds_of_torchvision() -> None:
    """The same table's 5.713 GFLOPS, a multiply-add counted once."""
    assert round(published("inception_v3").macs / 1e9, 3) == 5.713


@pytest.mark.parametrize("name", ["inception_v2", "inception_v3"])
def test_fewer_than_25_million_parameters(name: str) -> None:
    """Szegedy et al., CVPR 2016, abstract: less than 25 million parameters."""
    assert published(name).params < 25e6


@pytest.mark.parametrize(("name", "modules"), [("inception_v2", 5), ("inception_v3", 4)])
def test_the_middle_modules_are_factorized(name: str, modules: int) -> None:
    """The same paper, figure 6 with n = 7: each module has three 1x7 and three 7x1 convolutions, and none of 7x7."""
    convs = [n.name for n in published(name).under("mixed17").nodes if n.op == "Conv"]
    kernels = [tuple(attributes(name, n)["kernel_shape"]) for n in convs]
    assert kernels.count((1, 7)) == kernels.count((7, 1)) == modules * 3
    assert set(kernels) == {(1, 1), (1, 7), (7, 1)}


def test_figure_5_replaces_5x5_by_two_3x3() -> None:
    """The same paper, section 3.1: 9 + 9 weights against 25 of a channel pair; v3's program keeps one 5x5 a module."""
    kernels = {
        name: [attributes(name, n.name)["kernel_shape"] for n in published(name).nodes if n.op == "Conv"]
        for name in ("inception_v2", "inception_v3")
    }
    assert [5, 5] not in kernels["inception_v2"]
    assert kernels["inception_v3"].count([5, 5]) == 3


def test_inception_v4_stem() -> None:
    """Szegedy et al., AAAI 2017, figure 3: the sizes beside the stem's layers, for v4 and Inception-ResNet-v2."""
    for name in ("inception_v4", "inception_resnet_v2"):
        parts = ("stem1", "stem2", "stem3", "stem4/output", "stem5/output", "stem6/output")
        assert maps(name, *parts) == [
            (32, 149, 149), (32, 147, 147), (64, 147, 147), (160, 73, 73), (192, 71, 71), (384, 35, 35),
        ]  # fmt: skip


def test_inception_v4_modules() -> None:
    """The same paper, figure 9: 4, 7 and 3 modules of 35x35x384, 17x17x1024, 8x8x1536 and the reductions between."""
    for letter, modules, shape in (("a", 4, (384, 35, 35)), ("b", 7, (1024, 17, 17)), ("c", 3, (1536, 8, 8))):
        assert maps("inception_v4", *(f"{letter}{i}/output" for i in range(1, modules + 1))) == [shape] * modules
    assert number_of("inception_v4", "Concat") == 3 + 4 + 7 + 3 + 2  # one a module, three in the stem
    assert maps("inception_v4", "reduce_a/output", "reduce_b/output") == [(1024, 17, 17), (1536, 8, 8)]


def test_inception_v4_has_the_published_parameters() -> None:
    """42.7 M (Keras and PyTorch ports of the authors' network both count 42679816)."""
    assert published("inception_v4").params == 42_679_816


# Szegedy et al., AAAI 2017, table 1: k, l, m, n of Reduction-A.
REDUCTION_A = {
    "inception_v4": (192, 224, 256, 384),
    "inception_resnet_v1": (192, 192, 256, 384),
    "inception_resnet_v2": (256, 256, 384, 384),
}


@pytest.mark.parametrize(("name", "widths"), REDUCTION_A.items())
def test_reduction_a(name: str, widths: tuple[int, ...]) -> None:
    """1x1 to k, 3x3 to l, 3x3 of stride 2 to m beside a 3x3 of stride 2 to n."""
    layers = ("reduce_a/2_1", "reduce_a/2_2", "reduce_a/2_3", "reduce_a/1_1")
    assert tuple(weight(name, layer)[0] for layer in layers) == widths
    assert [weight(name, layer)[2] for layer in layers] == [1, 3, 3, 3]


def test_inception_resnet_v1_maps() -> None:
    """The same paper, figures 14 and 15: 35x35x256, 17x17x896, 8x8x1792 with 5, 10 and 5 modules."""
    for letter, modules, shape in (("a", 5, (256, 35, 35)), ("b", 10, (896, 17, 17)), ("c", 5, (1792, 8, 8))):
        assert maps("inception_resnet_v1", *(f"{letter}{i}/add" for i in range(1, modules + 1))) == [shape] * modules
    assert number_of("inception_resnet_v1", "Add") == 5 + 10 + 5
    assert maps("inception_resnet_v1", "stem4", "stem5", "stem6") == [(80, 73, 73), (192, 71, 71), (256, 35, 35)]


def test_inception_resnet_v2_maps() -> None:
    """The same paper, figures 15 to 19: 5, 10 and 5 modules as wide as their inputs: 384, 1152 and 2144.

    Figures 17 and 19 print 1154 and 2048, which cannot be added to inputs of 1152 and 1152 + 384 + 288 + 320.
    """
    shapes = (384, 35, 35), (1152, 17, 17), (1152 + 384 + 288 + 320, 8, 8)
    for letter, modules, shape in zip("abc", (5, 10, 5), shapes, strict=True):
        assert maps("inception_resnet_v2", *(f"{letter}{i}/add" for i in range(1, modules + 1))) == [shape] * modules
    assert number_of("inception_resnet_v2", "Add") == 5 + 10 + 5
    assert maps("inception_resnet_v2", "reduce_a/output", "reduce_b/output", "pool") == [*shapes[1:], (2144, 1, 1)]


def test_inception_resnet_v2_branches() -> None:
    """The same paper, figures 16, 17 and 19: the widths of the branches, from left to right."""
    widths = {
        "a1": {"1_1": 32, "2_1": 32, "2_2": 32, "3_1": 32, "3_2": 48, "3_3": 64},
        "b1": {"1_1": 192, "2_1": 128, "2_2": 160, "2_3": 192},
        "c1": {"1_1": 192, "2_1": 192, "2_2": 224, "2_3": 256},
    }
    for module, layers in widths.items():
        assert {n: weight("inception_resnet_v2", f"{module}/{n}")[0] for n in layers} == layers


# Ioffe, Szegedy, ICML 2015, figure 5: output sizes. 4c and 4d, printed as 576 wide, are left out: their own columns
# (160 + 160 + 160 + 128 and 96 + 192 + 192 + 128) sum to 608, and 4e passes those channels on.
BN_INCEPTION = {
    "conv1": (64, 112, 112),
    "pool1": (64, 56, 56),
    "conv2": (192, 56, 56),
    "pool2": (192, 28, 28),
    "3a/output": (256, 28, 28),
    "3b/output": (320, 28, 28),
    "3c/output": (576, 14, 14),
    "4a/output": (576, 14, 14),
    "4b/output": (576, 14, 14),
    "5a/output": (1024, 7, 7),
    "5b/output": (1024, 7, 7),
}


@pytest.mark.parametrize(("node", "shape"), BN_INCEPTION.items())
def test_bn_inception_maps(node: str, shape: Shape) -> None:
    assert maps("bn_inception", node) == [shape]


def test_bn_inception_has_the_parameters_of_its_caffe_model() -> None:
    """11.30 M in timm's table, ported from Caffe, where a convolution has a bias beside its normalization."""
    counts = published("bn_inception")
    biases = sum(n.shape[1] for n in counts.nodes if n.op == "Conv")
    assert round((counts.params + biases) / 1e6, 2) == 11.30
