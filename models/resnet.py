"""Residual networks, the plain network they are compared with, and their wide and grouped descendants.

He, Zhang, Ren, Sun, "Deep residual learning for image recognition", CVPR 2016;
Zagoruyko, Komodakis, "Wide residual networks", BMVC 2016;
Xie, Girshick, Dollar, Tu, He, "Aggregated residual transformations for deep neural networks", CVPR 2017.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from accelc.models.builder import Net

_BRANCH_GAMMA = 0.25
"""The scale of a residual branch's last normalization: 50 blocks grow the variance by (1 + 0.25^2)^50, about 20."""

Shortcut = Callable[[Net, str, str, int, int], str]
"""Makes a block's shortcut from the network, the block's input, its name, its channels and its stride."""


@dataclass(frozen=True)
class Bottleneck:
    """The shape of a bottleneck block: 1x1 to `width`, 3x3 in `groups`, 1x1 to four times the stage's channels."""

    groups: int = 1
    width_factor: int = 1
    stride_in_3x3: bool = False


def plain34(net: Net) -> None:
    """Build the 34-layer network without shortcuts."""
    x = _stem(net)
    for stage, count in enumerate(_depth(net, (3, 4, 6, 3))):
        for block in range(count):
            name, channels = f"conv{stage + 2}_{block + 1}", net.width(64 << stage, 8)
            stride = 2 if stage and not block else 1
            x = net.conv_bn_relu(x, f"{name}/3x3_a", channels, 3, stride=stride, pad=1)
            x = net.conv_bn_relu(x, f"{name}/3x3_b", channels, 3, pad=1)
    _classifier(net, x, net.size(1000, 10))


def resnet_basic(net: Net, *, blocks: Sequence[int]) -> None:
    """Build ResNet-18 or 34: blocks of two 3x3 convolutions; a projection where the shape changes (option B)."""
    x = _stem(net)
    for stage, count in enumerate(_depth(net, blocks)):
        for block in range(count):
            stride = 2 if stage and not block else 1
            x = _basic_block(net, x, f"conv{stage + 2}_{block + 1}", net.width(64 << stage, 8), stride, _project)
    _classifier(net, x, net.size(1000, 10))


def resnet_bottleneck(
    net: Net, *, blocks: Sequence[int], groups: int = 1, width_factor: int = 1, stride_in_3x3: bool = False
) -> None:
    """Build ResNet-50, 101 or 152, or their wide or grouped forms.

    The paper strides in the first 1x1 convolution of a stage; `stride_in_3x3` moves it to the 3x3 ("v1.5").
    """
    shape = Bottleneck(net.size(groups, min(groups, 4)), width_factor, stride_in_3x3)
    x = _stem(net)
    for stage, count in enumerate(_depth(net, blocks)):
        for block in range(count):
            stride = 2 if stage and not block else 1
            x = _bottleneck_block(net, x, f"conv{stage + 2}_{block + 1}", net.width(64 << stage, 16), stride, shape)
    _classifier(net, x, net.size(1000, 10))


def resnet_cifar(net: Net, *, n: int) -> None:
    """Build the CIFAR-10 network of 6n + 2 layers with shortcuts without parameters (option A)."""
    size = net.size(32, 16)
    x = net.conv_bn_relu(net.input("input", (3, size, size)), "conv1", net.width(16, 4), 3, pad=1)
    for stage in range(3):
        for block in range(net.size(n, 2)):
            stride = 2 if stage and not block else 1
            x = _basic_block(net, x, f"conv{stage + 2}_{block + 1}", net.width(16 << stage, 4), stride, _zero_padded)
    _classifier(net, x, 10)


def _depth(net: Net, blocks: Sequence[int]) -> list[int]:
    """Return each stage's number of blocks; a tiny network keeps one with a projection and one without."""
    return [min(count, 2) if net.tiny else count for count in blocks]


def _stem(net: Net) -> str:
    size = net.size(224, 64)
    x = net.conv_bn_relu(net.input("input", (3, size, size)), "conv1", net.width(64, 8), 7, stride=2, pad=3)
    return net.max_pool(x, "pool1", 3, stride=2, pad=1)


def _classifier(net: Net, x: str, classes: int) -> None:
    x = net.fc(net.global_avg_pool(x, "pool5"), "fc", classes)
    net.output(net.softmax(x, "prob"))


def _basic_block(net: Net, x: str, name: str, channels: int, stride: int, shortcut: Shortcut) -> str:
    y = net.conv_bn_relu(x, f"{name}/3x3_a", channels, 3, stride=stride, pad=1)
    y = net.conv_bn(y, f"{name}/3x3_b", channels, 3, pad=1, gamma=_BRANCH_GAMMA)
    return net.relu(net.add(y, shortcut(net, x, name, channels, stride), f"{name}/add"), f"{name}/relu")


def _bottleneck_block(net: Net, x: str, name: str, channels: int, stride: int, shape: Bottleneck) -> str:
    width = channels * shape.width_factor
    first, second = (1, stride) if shape.stride_in_3x3 else (stride, 1)
    y = net.conv_bn_relu(x, f"{name}/1x1_reduce", width, 1, stride=first)
    y = net.conv_bn_relu(y, f"{name}/3x3", width, 3, stride=second, pad=1, groups=shape.groups)
    y = net.conv_bn(y, f"{name}/1x1_expand", 4 * channels, 1, gamma=_BRANCH_GAMMA)
    return net.relu(net.add(y, _project(net, x, name, 4 * channels, stride), f"{name}/add"), f"{name}/relu")


def _project(net: Net, x: str, name: str, channels: int, stride: int) -> str:
    """Option B: the input itself, or a strided 1x1 convolution where the shape changes."""
    if stride == 1 and net.channels(x) == channels:
        return x
    return net.conv_bn(x, f"{name}/shortcut", channels, 1, stride=stride)


def _zero_padded(net: Net, x: str, name: str, channels: int, stride: int) -> str:
    """Option A: every second row and column of the input, with channels of zeros behind."""
    if stride == 1 and net.channels(x) == channels:
        return x
    _, old, height, width = net.shape(x)
    x = net.slice(x, f"{name}/shortcut_slice", (0, 0), (height, width), (2, 3), (stride, stride))
    return net.pad(x, f"{name}/shortcut_pad", (0, 0, 0, 0), (0, channels - old, 0, 0))
