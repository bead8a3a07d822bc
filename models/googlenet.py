"""GoogLeNet: Szegedy et al., "Going deeper with convolutions", CVPR 2015."""

from __future__ import annotations

from typing import NamedTuple

from accelc.models.builder import Net


class Widths(NamedTuple):
    """The channels of an inception module's convolutions, in the columns of table 1."""

    c1x1: int
    c3x3_reduce: int
    c3x3: int
    c5x5_reduce: int
    c5x5: int
    pool_proj: int


MODULES = {
    "3a": Widths(64, 96, 128, 16, 32, 32),
    "3b": Widths(128, 128, 192, 32, 96, 64),
    "4a": Widths(192, 96, 208, 16, 48, 64),
    "4b": Widths(160, 112, 224, 24, 64, 64),
    "4c": Widths(128, 128, 256, 24, 64, 64),
    "4d": Widths(112, 144, 288, 32, 64, 64),
    "4e": Widths(256, 160, 320, 32, 128, 128),
    "5a": Widths(256, 160, 320, 32, 128, 128),
    "5b": Widths(384, 192, 384, 48, 128, 128),
}


def googlenet(net: Net, *, auxiliary: bool = False) -> None:
    """Build GoogLeNet; `auxiliary` adds the two classifiers that training hangs on 4a and 4d."""
    size = net.size(224, 64)
    maps = features(net, net.input("input", (3, size, size)))
    if auxiliary:
        _auxiliary_head(net, maps["4a"], "loss1")
        _auxiliary_head(net, maps["4d"], "loss2")
    x = net.dropout(net.global_avg_pool(maps["5b"], "pool5"), ratio=0.4)
    net.output(net.softmax(net.fc(x, "linear", net.size(1000, 10), gain=1.0), "prob"))


def features(net: Net, x: str) -> dict[str, str]:
    """Add the convolutions and the inception modules; return the modules' outputs by name."""
    x, maps = _stem(net, x), {}
    for module, widths in MODULES.items():
        x = maps[module] = inception(net, x, f"inception_{module}", widths)
        if module in ("3b", "4e"):
            x = net.max_pool(x, f"pool{module[0]}", 3, stride=2, ceil=True)
    return maps


def inception(net: Net, x: str, name: str, widths: Widths) -> str:
    """Add one inception module: four branches side by side, joined on channels."""
    w = Widths(*(net.width(c) for c in widths))
    one = net.conv_relu(x, f"{name}/1x1", w.c1x1, 1)
    three = net.conv_relu(x, f"{name}/3x3_reduce", w.c3x3_reduce, 1)
    three = net.conv_relu(three, f"{name}/3x3", w.c3x3, 3, pad=1)
    five = net.conv_relu(x, f"{name}/5x5_reduce", w.c5x5_reduce, 1)
    five = net.conv_relu(five, f"{name}/5x5", w.c5x5, 5, pad=2)
    pooled = net.max_pool(x, f"{name}/pool", 3, pad=1)
    pooled = net.conv_relu(pooled, f"{name}/pool_proj", w.pool_proj, 1)
    return net.concat([one, three, five, pooled], f"{name}/output")


def _stem(net: Net, x: str) -> str:
    x = net.conv_relu(x, "conv1/7x7", net.width(64), 7, stride=2, pad=3)
    x = net.lrn(net.max_pool(x, "pool1", 3, stride=2, ceil=True), "norm1", bias=1.0)
    x = net.conv_relu(x, "conv2/3x3_reduce", net.width(64), 1)
    x = net.conv_relu(x, "conv2/3x3", net.width(192), 3, pad=1)
    return net.max_pool(net.lrn(x, "norm2", bias=1.0), "pool2", 3, stride=2, ceil=True)


def _auxiliary_head(net: Net, x: str, name: str) -> None:
    x = net.avg_pool(x, f"{name}/pool", net.size(5, 2), stride=net.size(3, 2))
    x = net.conv_relu(x, f"{name}/conv", net.width(128), 1)
    x = net.dropout(net.relu(net.fc(x, f"{name}/fc", net.width(1024))), ratio=0.7)
    net.output(net.softmax(net.fc(x, f"{name}/classifier", net.size(1000, 10), gain=1.0), f"{name}/prob"))
