"""The Inception family after GoogLeNet.

Ioffe, Szegedy, "Batch normalization: Accelerating deep network training by reducing internal covariate shift", ICML
2015 (BN-Inception); Szegedy et al., "Rethinking the Inception architecture for computer vision", CVPR 2016 (v2, v3);
Szegedy et al., "Inception-v4, Inception-ResNet and the impact of residual connections on learning", AAAI 2017.
"""

from __future__ import annotations

from collections.abc import Sequence

from accelc.models.builder import Extent, Net

Step = tuple[int, Extent]
"""Channels and kernel of one convolution of a branch."""


def _same(kernel: Extent) -> tuple[int, int]:
    high, wide = (kernel, kernel) if isinstance(kernel, int) else kernel
    return high // 2, wide // 2


def _branch(net: Net, x: str, name: str, steps: Sequence[Step], *, stride: int = 1) -> str:
    """Add convolutions one after another, each keeping the extent; the last may have a stride and then no padding."""
    for index, (channels, kernel) in enumerate(steps, 1):
        last = index == len(steps) and stride > 1
        x = net.conv_bn_relu(x, f"{name}_{index}", net.width(channels, 8), kernel, stride=stride if last else 1,
                             pad=0 if last else _same(kernel))  # fmt: skip
    return x


def _classifier(net: Net, x: str) -> None:
    x = net.dropout(net.global_avg_pool(x, "pool"), ratio=0.2)
    net.output(net.softmax(net.fc(x, "fc", net.size(1000, 10), gain=1.0), "prob"))


# BN-Inception: the columns of the paper's figure 5; 0 leaves a branch out, and such a module has stride 2.
_BN_MODULES = (
    ("3a", 64, 64, 64, 64, 96, "avg", 32), ("3b", 64, 64, 96, 64, 96, "avg", 64), ("3c", 0, 128, 160, 64, 96, "max", 0),
    ("4a", 224, 64, 96, 96, 128, "avg", 128), ("4b", 192, 96, 128, 96, 128, "avg", 128),
    ("4c", 160, 128, 160, 128, 160, "avg", 128), ("4d", 96, 128, 192, 160, 192, "avg", 128),
    ("4e", 0, 128, 192, 192, 256, "max", 0), ("5a", 352, 192, 320, 160, 224, "avg", 128),
    ("5b", 352, 192, 320, 192, 224, "max", 128),
)  # fmt: skip


def bn_inception(net: Net) -> None:
    """Build BN-Inception: 5x5 convolutions are two of 3x3, and every convolution is normalized."""
    size = net.size(224, 64)
    x = net.conv_bn_relu(net.input("input", (3, size, size)), "conv1", net.width(64), 7, stride=2, pad=3)
    x = net.max_pool(x, "pool1", 3, stride=2, ceil=True)
    x = net.conv_bn_relu(x, "conv2_reduce", net.width(64), 1)
    x = net.conv_bn_relu(x, "conv2", net.width(192), 3, pad=1)
    x = net.max_pool(x, "pool2", 3, stride=2, ceil=True)
    for module in _BN_MODULES:
        x = _bn_module(net, x, *module)
    _classifier(net, x)


def _bn_module(
    net: Net, x: str, name: str, one: int, reduce3: int, three: int, reduce5: int, five: int, pool: str, project: int
) -> str:
    stride = 1 if one else 2
    parts = [net.conv_bn_relu(x, f"{name}/1x1", net.width(one), 1)] if one else []
    y = net.conv_bn_relu(x, f"{name}/3x3_reduce", net.width(reduce3), 1)
    parts.append(net.conv_bn_relu(y, f"{name}/3x3", net.width(three), 3, stride=stride, pad=1))
    y = net.conv_bn_relu(x, f"{name}/double_reduce", net.width(reduce5), 1)
    y = net.conv_bn_relu(y, f"{name}/double_1", net.width(five), 3, pad=1)
    parts.append(net.conv_bn_relu(y, f"{name}/double_2", net.width(five), 3, stride=stride, pad=1))
    pooled = (net.avg_pool if pool == "avg" else net.max_pool)(x, f"{name}/pool", 3, stride=stride, pad=1)
    parts.append(net.conv_bn_relu(pooled, f"{name}/pool_proj", net.width(project), 1) if project else pooled)
    return net.concat(parts, f"{name}/output")


# Inception-v2 and v3


def inception_v2(net: Net) -> None:
    """Build Inception-v2 as table 1 on 299x299: six convolutions, then 3, 5 and 2 modules of figures 5, 6 and 7.

    The paper prints no widths inside modules and reductions: they are those of v3's program, at 35x35 those that make
    288 channels, at 17x17 those of its first module, with which the network has less than 25 million parameters.
    """
    x = _v2_stem(net)
    for index in range(1, 4):
        x = _module35(net, x, f"mixed35_{index}", 64, 3)
    _from_35(net, x, (128,) * 5)


def inception_v3(net: Net) -> None:
    """Build Inception-v3 on 299x299 as the authors' published program (TF-Slim), without the auxiliary head.

    It differs from the paper's table 1: in front a 1x1 to 80 channels, a 3x3 to 192 and a pooling stand for three 3x3
    to 80, 192 and 288; the first module has 256 channels; modules at 35x35 have one 5x5 beside the two 3x3; there are
    4 modules at 17x17, not 5.
    """
    x = _v3_stem(net)
    for index, project in enumerate((32, 64, 64), 1):
        x = _module35(net, x, f"mixed35_{index}", project, 5)
    _from_35(net, x, (128, 160, 160, 192))


def _from_35(net: Net, x: str, widths: Sequence[int]) -> None:
    """Add what follows 35x35x288: the reductions of figure 10, the modules at 17x17 and 8x8, the classifier."""
    x = _reduced(net, x, "reduce35", ((384, 3),), ((64, 1), (96, 3), (96, 3)))
    for index, width in enumerate(widths, 1):
        x = _module17(net, x, f"mixed17_{index}", width)
    x = _reduced(net, x, "reduce17", ((192, 1), (320, 3)), ((192, 1), (192, (1, 7)), (192, (7, 1)), (192, 3)))
    for index in range(1, 3):
        x = _module8(net, x, f"mixed8_{index}")
    _classifier(net, x)


def _shared_stem(net: Net) -> str:
    """Add the rows of table 1 that both networks have: 299 to 149, 147, 147 and, pooled, 73x73x64."""
    size, w = net.size(299, 107), net.width
    x = net.conv_bn_relu(net.input("input", (3, size, size)), "stem1", w(32), 3, stride=2)
    x = net.conv_bn_relu(x, "stem2", w(32), 3)
    x = net.conv_bn_relu(x, "stem3", w(64), 3, pad=1)
    return net.max_pool(x, "stem_pool1", 3, stride=2)


def _v2_stem(net: Net) -> str:
    """Add the rows of table 1 in front of its modules: 71x71x80, 35x35x192, 35x35x288."""
    x = net.conv_bn_relu(_shared_stem(net), "stem4", net.width(80), 3)
    x = net.conv_bn_relu(x, "stem5", net.width(192), 3, stride=2)
    return net.conv_bn_relu(x, "stem6", net.width(288), 3, pad=1)


def _v3_stem(net: Net) -> str:
    """Add the front of the authors' program: 73x73x80, 71x71x192 and, pooled, 35x35x192."""
    x = net.conv_bn_relu(_shared_stem(net), "stem4", net.width(80), 1)
    x = net.conv_bn_relu(x, "stem5", net.width(192), 3)
    return net.max_pool(x, "stem_pool2", 3, stride=2)


def _pool_branch(net: Net, x: str, name: str, channels: int) -> str:
    pooled = net.avg_pool(x, f"{name}/pool", 3, pad=1)
    return net.conv_bn_relu(pooled, f"{name}/pool_proj", net.width(channels), 1)


def _module35(net: Net, x: str, name: str, project: int, kernel: int) -> str:
    """Add a module of figure 5: GoogLeNet's 5x5 as two 3x3, beside one convolution of `kernel` (3 in the figure)."""
    return net.concat([
        _branch(net, x, f"{name}/1x1", ((64, 1),)),
        _branch(net, x, f"{name}/{kernel}x{kernel}", ((48, 1), (64, kernel))),
        _branch(net, x, f"{name}/double", ((64, 1), (96, 3), (96, 3))),
        _pool_branch(net, x, name, project),
    ], f"{name}/output")  # fmt: skip


def _module17(net: Net, x: str, name: str, width: int) -> str:
    """Add a module of figure 6 with n = 7: nxn as 1xn and nx1."""
    across, down = (1, 7), (7, 1)
    return net.concat([
        _branch(net, x, f"{name}/1x1", ((192, 1),)),
        _branch(net, x, f"{name}/7x7", ((width, 1), (width, across), (192, down))),
        _branch(net, x, f"{name}/double", ((width, 1), (width, down), (width, across), (width, down), (192, across))),
        _pool_branch(net, x, name, 192),
    ], f"{name}/output")  # fmt: skip


def _module8(net: Net, x: str, name: str) -> str:
    """Add a module of figure 7: the last 3x3 splits into 1x3 and 3x1 side by side."""
    y = _branch(net, x, f"{name}/split", ((384, 1),))
    z = _branch(net, x, f"{name}/double", ((448, 1), (384, 3)))
    return net.concat([
        _branch(net, x, f"{name}/1x1", ((320, 1),)),
        _branch(net, y, f"{name}/split_a", ((384, (1, 3)),)), _branch(net, y, f"{name}/split_b", ((384, (3, 1)),)),
        _branch(net, z, f"{name}/double_a", ((384, (1, 3)),)), _branch(net, z, f"{name}/double_b", ((384, (3, 1)),)),
        _pool_branch(net, x, name, 192),
    ], f"{name}/output")  # fmt: skip


def _reduced(net: Net, x: str, name: str, *branches: Sequence[Step]) -> str:
    """Halve the grid: branches of stride 2 beside a pooling of stride 2."""
    parts = [_branch(net, x, f"{name}/{k}", steps, stride=2) for k, steps in enumerate(branches, 1)]
    return net.concat([*parts, net.max_pool(x, f"{name}/pool", 3, stride=2)], f"{name}/output")


# Inception-v4 and Inception-ResNet


def inception_v4(net: Net) -> None:
    """Build Inception-v4 (figures 3 to 9): a stem with branches, 4 modules A, 7 B, 3 C."""
    x = _v4_stem(net)
    counts = (1, 1, 1) if net.tiny else (4, 7, 3)
    for index in range(1, counts[0] + 1):
        x = _v4_a(net, x, f"a{index}")
    x = _reduced(net, x, "reduce_a", ((384, 3),), ((192, 1), (224, 3), (256, 3)))
    for index in range(1, counts[1] + 1):
        x = _v4_b(net, x, f"b{index}")
    x = _reduced(net, x, "reduce_b", ((192, 1), (192, 3)), ((256, 1), (256, (1, 7)), (320, (7, 1)), (320, 3)))
    for index in range(1, counts[2] + 1):
        x = _v4_c(net, x, f"c{index}")
    _classifier(net, x)


def _v4_stem(net: Net) -> str:
    """Add figure 3: 299x299x3 to 35x35x384."""
    size, w = net.size(299, 107), net.width
    x = net.conv_bn_relu(net.input("input", (3, size, size)), "stem1", w(32), 3, stride=2)
    x = net.conv_bn_relu(x, "stem2", w(32), 3)
    x = net.conv_bn_relu(x, "stem3", w(64), 3, pad=1)
    x = net.concat([net.max_pool(x, "stem4/pool", 3, stride=2), net.conv_bn_relu(x, "stem4", w(96), 3, stride=2)],
                   "stem4/output")  # fmt: skip
    a = net.conv_bn_relu(net.conv_bn_relu(x, "stem5/a1", w(64), 1), "stem5/a2", w(96), 3)
    b = _branch(net, x, "stem5/b", ((64, 1), (64, (7, 1)), (64, (1, 7))))
    x = net.concat([a, net.conv_bn_relu(b, "stem5/b4", w(96), 3)], "stem5/output")
    return net.concat([net.conv_bn_relu(x, "stem6", w(192), 3, stride=2), net.max_pool(x, "stem6/pool", 3, stride=2)],
                      "stem6/output")  # fmt: skip


def _v4_a(net: Net, x: str, name: str) -> str:
    return net.concat([
        _pool_branch(net, x, name, 96),
        _branch(net, x, f"{name}/1x1", ((96, 1),)),
        _branch(net, x, f"{name}/3x3", ((64, 1), (96, 3))),
        _branch(net, x, f"{name}/double", ((64, 1), (96, 3), (96, 3))),
    ], f"{name}/output")  # fmt: skip


def _v4_b(net: Net, x: str, name: str) -> str:
    across, down = (1, 7), (7, 1)
    return net.concat([
        _pool_branch(net, x, name, 128),
        _branch(net, x, f"{name}/1x1", ((384, 1),)),
        _branch(net, x, f"{name}/7x7", ((192, 1), (224, across), (256, down))),
        _branch(net, x, f"{name}/double", ((192, 1), (192, across), (224, down), (224, across), (256, down))),
    ], f"{name}/output")  # fmt: skip


def _v4_c(net: Net, x: str, name: str) -> str:
    y = _branch(net, x, f"{name}/split", ((384, 1),))
    z = _branch(net, x, f"{name}/double", ((384, 1), (448, (1, 3)), (512, (3, 1))))
    return net.concat([
        _pool_branch(net, x, name, 256),
        _branch(net, x, f"{name}/1x1", ((256, 1),)),
        _branch(net, y, f"{name}/split_a", ((256, (1, 3)),)), _branch(net, y, f"{name}/split_b", ((256, (3, 1)),)),
        _branch(net, z, f"{name}/double_a", ((256, (3, 1)),)), _branch(net, z, f"{name}/double_b", ((256, (1, 3)),)),
    ], f"{name}/output")  # fmt: skip


def inception_resnet(net: Net, *, v2: bool) -> None:
    """Build Inception-ResNet-v1 or v2 on 299x299 by the paper's figures: 5 modules A, 10 B and 5 C (figure 15).

    A module's branches are joined by a linear 1x1 convolution as wide as the module's input, scaled and added. The
    paper has scales of 0.1 to 0.3 (section 3.3); 0.17, 0.10 and 0.20 for A, B and C are those of the authors' program.
    For v2 figures 17 and 19 print widths of 1154 and 2048, which cannot be added to the modules' inputs of 384 + 384 +
    384 = 1152 (figure 7, table 1) and 1152 + 384 + 288 + 320 = 2144 (figure 18): they are 1152 and 2144 here, and 2144
    channels are pooled. The v2 that the authors released is another network: 10, 20 and 10 modules of 320, 1088 and
    2080 channels, 55.8 M parameters.
    """
    x = _v4_stem(net) if v2 else _resnet_v1_stem(net)
    counts = (1, 1, 1) if net.tiny else (5, 10, 5)
    a_forms = (((32, 1),), ((32, 1), (32, 3)), ((32, 1), (48, 3), (64, 3)) if v2 else ((32, 1), (32, 3), (32, 3)))
    for index in range(1, counts[0] + 1):
        x = _residual(net, x, f"a{index}", a_forms, 0.17)
    wide = (256, 256, 384) if v2 else (192, 192, 256)
    x = _reduced(net, x, "reduce_a", ((384, 3),), tuple(zip(wide, (1, 3, 3), strict=True)))
    b_forms: Sequence[Sequence[Step]] = (
        (((192, 1),), ((128, 1), (160, (1, 7)), (192, (7, 1)))) if v2
        else (((128, 1),), ((128, 1), (128, (1, 7)), (128, (7, 1))))
    )  # fmt: skip
    for index in range(1, counts[1] + 1):
        x = _residual(net, x, f"b{index}", b_forms, 0.10)
    tails = ((384, 288, (288, 320)) if v2 else (384, 256, (256, 256)))
    x = _reduced(net, x, "reduce_b", ((256, 1), (tails[0], 3)), ((256, 1), (tails[1], 3)),
                 ((256, 1), (tails[2][0], 3), (tails[2][1], 3)))  # fmt: skip
    c_forms: Sequence[Sequence[Step]] = (
        (((192, 1),), ((192, 1), (224, (1, 3)), (256, (3, 1)))) if v2
        else (((192, 1),), ((192, 1), (192, (1, 3)), (192, (3, 1))))
    )  # fmt: skip
    for index in range(1, counts[2] + 1):
        x = _residual(net, x, f"c{index}", c_forms, 0.20)
    _classifier(net, x)


def _resnet_v1_stem(net: Net) -> str:
    """Add figure 14: 299x299x3 to 35x35x256."""
    size, w = net.size(299, 107), net.width
    x = net.conv_bn_relu(net.input("input", (3, size, size)), "stem1", w(32), 3, stride=2)
    x = net.conv_bn_relu(x, "stem2", w(32), 3)
    x = net.max_pool(net.conv_bn_relu(x, "stem3", w(64), 3, pad=1), "stem_pool", 3, stride=2)
    x = net.conv_bn_relu(x, "stem4", w(80), 1)
    x = net.conv_bn_relu(x, "stem5", w(192), 3)
    return net.conv_bn_relu(x, "stem6", w(256), 3, stride=2)


def _residual(net: Net, x: str, name: str, branches: Sequence[Sequence[Step]], scale: float) -> str:
    parts = [_branch(net, x, f"{name}/{k}", steps) for k, steps in enumerate(branches, 1)]
    y = net.conv(net.concat(parts, f"{name}/branches"), f"{name}/up", net.channels(x), 1, gain=1.0)
    scaled = net.mul(y, net.constant(f"{name}/scale", scale, "float32"), f"{name}/scaled")
    return net.relu(net.add(x, scaled, f"{name}/add"), f"{name}/relu")
