"""Wide and grouped residual networks against the figures of their papers and of torchvision."""

from __future__ import annotations

from typing import Any

import pytest

from accelc import models
from accelc.models.count import Counts, count
from tests.models.outlines import maps, number_of, published, weight

# Zagoruyko, Komodakis, BMVC 2016, tables 4 and 5: depth, width, millions of parameters.
WIDE = ((40, 1, 0.6), (40, 2, 2.2), (40, 4, 8.9), (40, 8, 35.7), (28, 10, 36.5), (28, 12, 52.5), (22, 8, 17.2),
        (22, 10, 26.8), (16, 8, 11.0), (16, 10, 17.1))  # fmt: skip


def form(name: str, **options: Any) -> Counts:
    """Return the counts of another form of a network's builder."""
    return count(models.outline(name, **options))


@pytest.mark.parametrize(("depth", "factor", "millions"), WIDE)
def test_wide_networks_have_the_parameters_of_the_paper(depth: int, factor: int, millions: float) -> None:
    assert round(form("wrn_28_10", depth=depth, factor=factor).params / 1e6, 1) == millions


def test_wrn_28_10_has_the_parameters_of_its_ports() -> None:
    """PyTorch ports assert 36479194 for the ten classes of CIFAR-10."""
    assert published("wrn_28_10").params == 36_479_194


def test_wrn_28_10_groups() -> None:
    """Table 1: (28 - 4) / 6 = 4 blocks a group; 160 maps of 32x32, 320 of 16x16, 640 of 8x8."""
    for group, shape in ((1, (160, 32, 32)), (2, (320, 16, 16)), (3, (640, 8, 8))):
        assert maps("wrn_28_10", *(f"group{group}_{i}/add" for i in range(1, 5))) == [shape] * 4
    # 28 layers with weights, of which the last is fully connected, and a 1x1 shortcut for each group
    assert number_of("wrn_28_10", "Conv") == 1 + 2 * 4 * 3 + 3


# Torchvision's tables: parameters and GFLOPS, which count a multiply-add once. The zoo lists the first form alone.
GROUPED = {"groups": 64, "width_factor": 4}
TORCHVISION: tuple[tuple[str, dict[str, Any], int, float], ...] = (
    ("resnext101_32x8d", {}, 88_791_336, 16.414),
    ("resnext101_32x8d", GROUPED, 83_455_272, 15.46),
    ("wide_resnet50_2", {"blocks": (3, 4, 23, 3)}, 126_886_696, 22.753),
)


@pytest.mark.parametrize(("name", "options", "params", "gmacs"), TORCHVISION)
def test_counts_are_those_of_torchvision(name: str, options: dict[str, Any], params: int, gmacs: float) -> None:
    """ResNeXt-101 32x8d, ResNeXt-101 64x4d, and Wide ResNet-101-2."""
    counts = form(name, **options)
    assert counts.params == params
    assert counts.macs / 1e9 == pytest.approx(gmacs, abs=0.001)


def test_resnext101_has_32_paths_of_width_8() -> None:
    """Xie et al., CVPR 2017: a 32x8d block of the first stage is 1x1 to 256, 3x3 of 32 groups of 8 channels, 1x1."""
    assert weight("resnext101_32x8d", "conv2_1/3x3") == (256, 8, 3, 3)
    assert weight("resnext101_32x8d", "conv2_1/1x1_expand") == (256, 256, 1, 1)
    assert weight("resnext101_32x8d", "conv5_3/3x3") == (2048, 64, 3, 3)
