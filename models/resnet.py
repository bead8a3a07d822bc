"""Residual networks, the plain network they are compared with, and their wide and grouped descendants.

He, Zhang, Ren, Sun, "Deep residual learning for image recognition", CVPR 2016;
Zagoruyko, Komodakis, "Wide residual networks", BMVC 2016;
Xie, Girshick, Dollar, Tu, He, "Aggregated residual transformations for deep neural networks", CVPR 2017.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from accelc.models.builder import Net


@dataclass(frozen=True)
class Block:
    """A block's place: its name (conv2_1 is the first of the first stage), its stage from 0, its stride.

    `gamma` is the scale of a residual branch's last normalization: 1 / sqrt(blocks), so that all blocks together grow
    the variance by less than (1 + 1/n)^n < e however deep the network is.
    """

    name: str
    stage: int
    stride: int
    gamma: float


@dataclass(frozen=True)
class Bottleneck:
    """The form of a bottleneck block: 1x1 to `factor` times the channels, 3x3 in `groups`, 1x1 to four times."""

    groups: int = 1
    factor: int = 1
    stride_in_3x3: bool = False


Shortcut = Callable[[Net, str, Block, int], str]
"""Makes a shortcut from the network, the block's input, the block and its output channels."""


def plain34(net: Net) -> None:
    """Build the 34-layer network without shortcuts."""
    x = _stem(net)
    for block in _blocks(net, (3, 4, 6, 3)):
        channels = net.width(64 << block.stage)
        x = net.conv_bn_relu(x, f"{block.name}/3x3_a", channels, 3, stride=block.stride, pad=1)
        x = net.conv_bn_relu(x, f"{block.name}/3x3_b", channels, 3, pad=1)
    _classifier(net, x, net.size(1000, 10))


def resnet_basic(net: Net, *, blocks: Sequence[int]) -> None:
    """Build ResNet-18 or 34: blocks of two 3x3 convolutions; a projection where the shape changes (option B)."""
    x = _stem(net)
    for block in _blocks(net, blocks):
        x = _basic_block(net, x, block, net.width(64 << block.stage), _projection)
    _classifier(net, x, net.size(1000, 10))


def resnet_bottleneck(
    net: Net, *, blocks: Sequence[int], groups: int = 1, width_factor: int = 1, stride_in_3x3: bool = False
) -> None:
    """Build ResNet-50, 101 or 152, or their wide or grouped forms.

    The paper strides in the first 1x1 convolution of a stage; `stride_in_3x3` moves it to the 3x3 ("v1.5").
    """
    form = Bottleneck(net.size(groups, min(groups, 4)), width_factor, stride_in_3x3)
    x = _stem(net)
    for block in _blocks(net, blocks):
        x = _bottleneck_block(net, x, block, net.width(64 << block.stage), form)
    _classifier(net, x, net.size(1000, 10))


def resnet_cifar(net: Net, *, n: int) -> None:
    """Build the CIFAR-10 network of 6n + 2 layers with shortcuts without parameters (option A)."""
    size = net.size(32, 16)
    x = net.conv_bn_relu(net.input("input", (3, size, size)), "conv1", net.width(16, 4), 3, pad=1)
    for block in _blocks(net, (n, n, n)):
        x = _basic_block(net, x, block, net.width(16 << block.stage, 4), _zero_padding)
    _classifier(net, x, 10)


def _blocks(net: Net, counts: Sequence[int]) -> list[Block]:
    """Return the blocks of all stages; a tiny network keeps in each the block that changes the shape and one more."""
    counts = [min(count, 2) for count in counts] if net.tiny else counts
    gamma = 1 / math.sqrt(sum(counts))
    return [
        Block(f"conv{stage + 2}_{index + 1}", stage, 2 if stage and not index else 1, gamma)
        for stage, count in enumerate(counts)
        for index in range(count)
    ]


def _stem(net: Net) -> str:
    size = net.size(224, 64)
    x = net.conv_bn_relu(net.input("input", (3, size, size)), "conv1", net.width(64), 7, stride=2, pad=3)
    return net.max_pool(x, "pool1", 3, stride=2, pad=1)


def _classifier(net: Net, x: str, classes: int) -> None:
    x = net.fc(net.global_avg_pool(x, "pool5"), "fc", classes, gain=1.0)
    net.output(net.softmax(x, "prob"))


def _basic_block(net: Net, x: str, block: Block, channels: int, shortcut: Shortcut) -> str:
    name = block.name
    y = net.conv_bn_relu(x, f"{name}/3x3_a", channels, 3, stride=block.stride, pad=1)
    y = net.conv_bn(y, f"{name}/3x3_b", channels, 3, pad=1, gamma=block.gamma)
    return net.relu(net.add(y, shortcut(net, x, block, channels), f"{name}/add"), f"{name}/relu")


def _bottleneck_block(net: Net, x: str, block: Block, channels: int, form: Bottleneck) -> str:
    name, width = block.name, channels * form.factor
    first, second = (1, block.stride) if form.stride_in_3x3 else (block.stride, 1)
    y = net.conv_bn_relu(x, f"{name}/1x1_reduce", width, 1, stride=first)
    y = net.conv_bn_relu(y, f"{name}/3x3", width, 3, stride=second, pad=1, groups=form.groups)
    y = net.conv_bn(y, f"{name}/1x1_expand", 4 * channels, 1, gamma=block.gamma)
    return net.relu(net.add(y, _projection(net, x, block, 4 * channels), f"{name}/add"), f"{name}/relu")


def _projection(net: Net, x: str, block: Block, channels: int) -> str:
    """Option B: the input itself, or a strided 1x1 convolution where the shape changes."""
    if block.stride == 1 and net.channels(x) == channels:
        return x
    return net.conv_bn(x, f"{block.name}/shortcut", channels, 1, stride=block.stride)


def _zero_padding(net: Net, x: str, block: Block, channels: int) -> str:
    """Option A: every second row and column of the input, with channels of zeros behind."""
    _, old, height, width = net.shape(x)
    if block.stride == 1 and old == channels:
        return x
    x = net.slice(x, f"{block.name}/shortcut_slice", (0, 0), (height, width), (2, 3), (block.stride, block.stride))
    return net.pad(x, f"{block.name}/shortcut_pad", (0, 0, 0, 0), (0, channels - old, 0, 0))


def wide_resnet_cifar(net: Net, *, depth: int, factor: int) -> None:
    """Build a wide residual network for 32x32 images: normalization and ReLU in front of each convolution.

    `depth` = 6n + 4 layers of 16, 32, 64 channels times `factor` (Zagoruyko, Komodakis, table 1).
    """
    size, n = net.size(32, 16), 1 if net.tiny else (depth - 4) // 6
    gamma = 1 / math.sqrt(3 * n)
    x = net.conv(net.input("input", (3, size, size)), "conv1", net.width(16, 4), 3, pad=1, bias=False)
    for stage in range(3):
        channels = net.width((16 << stage) * factor, 32)
        for index in range(n):
            x = _preactivated(net, x, f"group{stage + 1}_{index + 1}", channels, 2 if stage and not index else 1, gamma)
    x = net.relu(net.batch_norm(x, "last/bn"), "last/relu")
    net.output(net.softmax(net.fc(net.global_avg_pool(x, "pool"), "fc", 10, gain=1.0), "prob"))


def _preactivated(net: Net, x: str, name: str, channels: int, stride: int, gamma: float) -> str:
    y = net.relu(net.batch_norm(x, f"{name}/bn1"), f"{name}/relu1")
    shortcut = x
    if net.channels(x) != channels or stride > 1:
        shortcut = net.conv(y, f"{name}/shortcut", channels, 1, stride=stride, bias=False, gain=1.0)
    z = net.conv_bn_relu(y, f"{name}/3x3_a", channels, 3, stride=stride, pad=1)
    z = net.conv(net.dropout(z, ratio=0.3), f"{name}/3x3_b", channels, 3, pad=1, bias=False, gain=math.sqrt(2) * gamma)
    return net.add(z, shortcut, f"{name}/add")
