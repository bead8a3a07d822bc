"""The networks' own counts against published ones."""

from __future__ import annotations

import pytest

from accelc import models
from accelc.models.count import Counts, Shape, count


def published(name: str, **options: bool) -> Counts:
    return count(models.outline(name, batch=1, **options))


def shapes(name: str) -> dict[str, Shape]:
    return {n.name: n.shape for n in published(name).nodes}


# The parameter counts printed in torchvision's model tables ("num_params" of its weights' metadata).
TORCHVISION_PARAMS = {
    "vgg11": 132_863_336,
    "vgg13": 133_047_848,
    "vgg16": 138_357_544,
    "vgg19": 143_667_240,
    "resnet18": 11_689_512,
    "resnet34": 21_797_672,
    "resnet50": 25_557_032,
    "resnet101": 44_549_160,
    "resnet152": 60_192_808,
    "resnext50_32x4d": 25_028_904,
    "wide_resnet50_2": 68_883_240,
}

# The same tables' "GFLOPS", which count a multiply-add once; torchvision strides in the 3x3 of a bottleneck.
TORCHVISION_GMACS = {
    "vgg11": 7.61,
    "vgg13": 11.31,
    "vgg16": 15.47,
    "vgg19": 19.63,
    "resnet18": 1.81,
    "resnet34": 3.66,
    "resnet50": 4.09,
    "resnet101": 7.80,
    "resnet152": 11.51,
    "resnext50_32x4d": 4.23,
    "wide_resnet50_2": 11.40,
}


@pytest.mark.parametrize(("name", "params"), TORCHVISION_PARAMS.items())
def test_parameters_are_those_of_torchvision(name: str, params: int) -> None:
    """Not one weight more or less than the implementation most exported graphs come from."""
    assert published(name).params == params


@pytest.mark.parametrize(("name", "gmacs"), TORCHVISION_GMACS.items())
def test_multiply_adds_are_those_of_torchvision(name: str, gmacs: float) -> None:
    """Multiply-adds agree to the two decimals printed."""
    bottleneck = models.catalog()[name].function == "resnet_bottleneck"
    counts = published(name, stride_in_3x3=True) if bottleneck else published(name)
    assert counts.macs / 1e9 == pytest.approx(gmacs, abs=0.005 + 1e-9)


# Multiply-adds of He et al. 2016, table 1 and figure 3, printed with two digits, some cut, some rounded.
HE_2016 = {"resnet18": 1.8, "plain34": 3.6, "resnet34": 3.6, "resnet50": 3.8, "resnet101": 7.6, "resnet152": 11.3}


@pytest.mark.parametrize(("name", "gmacs"), HE_2016.items())
def test_multiply_adds_are_those_of_the_residual_paper(name: str, gmacs: float) -> None:
    """The paper's form, striding in the first 1x1 convolution, within one unit of the last digit printed."""
    assert published(name).macs / 1e9 == pytest.approx(gmacs, abs=0.1)


# Millions of parameters: VGG, table 2; He et al., table 6; WRN, table 8 (WRN-50-2-bottleneck); ResNeXt, table 1.
MILLIONS = {
    "vgg11": (133, 0),
    "vgg11_lrn": (133, 0),
    "vgg13": (133, 0),
    "vgg16_c": (134, 0),
    "vgg16": (138, 0),
    "vgg19": (144, 0),
    "resnet_cifar20": (0.27, 2),
    "resnet_cifar56": (0.85, 2),
    "wide_resnet50_2": (68.9, 1),
    "resnext50_32x4d": (25.0, 1),
}


@pytest.mark.parametrize(("name", "printed"), MILLIONS.items())
def test_parameters_round_to_the_papers_figures(name: str, printed: tuple[float, int]) -> None:
    """Parameters in millions, rounded to the digits the paper prints."""
    millions, digits = printed
    assert round(published(name).params / 1e6, digits) == millions


def test_grouped_alexnet_is_the_two_gpu_network() -> None:
    """Sze et al., Proc. IEEE 2017, table II: 2.3M and 58.6M weights, 666M and 58.6M multiply-adds, in conv and FC."""
    nodes = published("alexnet_grouped").nodes
    conv, fc = (Counts(tuple(n for n in nodes if n.op == op)) for op in ("Conv", "Gemm"))
    assert round(conv.macs / 1e6) == 666
    assert round(fc.macs / 1e6, 1) == 58.6
    assert round(conv.params / 1e6, 1) == 2.3
    assert round(fc.params / 1e6, 1) == 58.6
    assert conv.params + fc.params == 60_965_224  # Caffe's reference model


def test_alexnet_layer_shapes() -> None:
    """The activation sizes of the lecture's walk through the network, 227x227x3 to 1000."""
    found = shapes("alexnet")
    assert [found[n][1:] for n in ("conv1", "pool1", "norm1", "conv2", "pool2", "norm2")] == [
        (96, 55, 55), (96, 27, 27), (96, 27, 27), (256, 27, 27), (256, 13, 13), (256, 13, 13),
    ]  # fmt: skip
    assert [found[n][1:] for n in ("conv3", "conv4", "conv5", "pool5", "fc6", "fc7", "fc8")] == [
        (384, 13, 13), (384, 13, 13), (256, 13, 13), (256, 6, 6), (4096,), (4096,), (1000,),
    ]  # fmt: skip


def test_vgg16_layer_shapes() -> None:
    """224, 112, 56, 28, 14, 7 with 64, 128, 256, 512, 512 channels."""
    found = shapes("vgg16")
    assert [found[f"conv{b}_1"][1:] for b in range(1, 6)] == [
        (64, 224, 224), (128, 112, 112), (256, 56, 56), (512, 28, 28), (512, 14, 14),
    ]  # fmt: skip
    assert found["pool5"] == (1, 512, 7, 7)


def test_vgg16_c_differs_from_d_in_three_1x1_convolutions() -> None:
    """Configuration C has D's layers with 1x1 kernels at the ends of blocks 3 to 5: 8/9 of their weights are gone."""
    removed = 8 * (256 * 256 + 512 * 512 + 512 * 512)
    assert published("vgg16").params - published("vgg16_c").params == removed


def test_nin_has_the_size_of_its_caffe_model() -> None:
    """The authors' model file has 29 MiB of float32, and the last maps are one per class."""
    assert round(4 * published("nin").params / 2**20) == 29
    assert shapes("nin")["cccp8"][1] == 1000


def test_resnet_layer_shapes() -> None:
    """He et al. 2016, table 1: 112, 56, 28, 14, 7; a bottleneck stage ends in four times its channels."""
    found = shapes("resnet50")
    assert found["conv1"] == (1, 64, 112, 112)
    assert [found[f"conv{s}_1/relu"][1:] for s in range(2, 6)] == [
        (256, 56, 56), (512, 28, 28), (1024, 14, 14), (2048, 7, 7),
    ]  # fmt: skip


def test_option_a_shortcuts_have_no_parameters() -> None:
    """He et al. 2016, section 4.2: the CIFAR network of depth 6n + 2 has parameters in 6n + 2 layers only."""
    for name, n in (("resnet_cifar20", 3), ("resnet_cifar56", 9)):
        nodes = published(name).nodes
        assert sum(node.op in ("Conv", "Gemm") for node in nodes) == 6 * n + 2
        assert all(node.params == 0 for node in nodes if "shortcut" in node.name)


# Szegedy et al. 2015, table 1: thousands (of 1024) of weights and millions of multiply-adds of each part.
GOOGLENET = {
    "conv1": (2.7, 34),
    "conv2": (112, 360),
    "inception_3a": (159, 128),
    "inception_3b": (380, 304),
    "inception_4a": (364, 73),
    "inception_4b": (437, 88),
    "inception_4c": (463, 100),
    "inception_4d": (580, 119),
    "inception_4e": (840, 170),
    "inception_5a": (1072, 54),
    "inception_5b": (1388, 71),
    "linear": (1000, 1),
}

# Rows the table's own columns contradict. A 7x7 convolution of 3 to 64 channels has 7 * 7 * 3 * 64 = 9408 weights, and
# 112 * 112 times as many multiply-adds; 4c's widths give the multiply-adds printed and 497.5K weights; 5a has 4e's
# widths on 832 channels in 7x7 maps: 832 * (256 + 160 + 32 + 128) + 9 * 160 * 320 + 25 * 32 * 128 = 1042432 weights.
CONTRADICTED = {
    "conv1": (9408, 9408 * 112**2),
    "inception_4c": (509_440, 509_440 * 14**2),
    "inception_5a": (1_042_432, 1_042_432 * 7**2),
}


def weights_and_macs(counts: Counts, part: str) -> tuple[int, int]:
    """Return a part's weights, without biases as the table has them, and its multiply-adds."""
    nodes = [n for n in counts.under(part).nodes if n.op in ("Conv", "Gemm")]
    biases = sum(n.shape[1] for n in nodes)
    return sum(n.params for n in nodes) - biases, sum(n.macs for n in nodes)


@pytest.mark.parametrize("part", GOOGLENET)
def test_googlenet_parts_have_the_published_counts(part: str) -> None:
    """Multiply-adds to one unit printed (some are cut); weights, printed with less care, to 2.5 percent."""
    weights, macs = weights_and_macs(published("googlenet"), part)
    if part in CONTRADICTED:
        assert (weights, macs) == CONTRADICTED[part]
    else:
        assert macs / 1e6 == pytest.approx(GOOGLENET[part][1], abs=1)
        assert weights / 1024 == pytest.approx(GOOGLENET[part][0], rel=0.025)


# Branch widths of the same table: #1x1, #3x3 reduce, #3x3, #5x5 reduce, #5x5, pool proj; the map's extent.
BRANCHES = {
    "3a": (64, 96, 128, 16, 32, 32, 28),
    "3b": (128, 128, 192, 32, 96, 64, 28),
    "4a": (192, 96, 208, 16, 48, 64, 14),
    "4b": (160, 112, 224, 24, 64, 64, 14),
    "4c": (128, 128, 256, 24, 64, 64, 14),
    "4d": (112, 144, 288, 32, 64, 64, 14),
    "4e": (256, 160, 320, 32, 128, 128, 14),
    "5a": (256, 160, 320, 32, 128, 128, 7),
    "5b": (384, 192, 384, 48, 128, 128, 7),
}


@pytest.mark.parametrize("module", BRANCHES)
def test_inception_branch_widths(module: str) -> None:
    """Each branch of the built graph has the published width, and the module's output is their sum."""
    found, (*widths, extent) = shapes("googlenet"), BRANCHES[module]
    convs = ("1x1", "3x3_reduce", "3x3", "5x5_reduce", "5x5", "pool_proj")
    assert [found[f"inception_{module}/{c}"] for c in convs] == [(1, w, extent, extent) for w in widths]
    assert found[f"inception_{module}/output"] == (1, widths[0] + widths[2] + widths[4] + widths[5], extent, extent)
