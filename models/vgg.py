"""VGG: Simonyan, Zisserman, "Very deep convolutional networks for large-scale image recognition", ICLR 2015."""

from __future__ import annotations

from accelc.models.builder import Net

_CHANNELS = (64, 128, 256, 512, 512)

KERNELS = {
    "A": ((3,), (3,), (3, 3), (3, 3), (3, 3)),
    "B": ((3, 3), (3, 3), (3, 3), (3, 3), (3, 3)),
    "C": ((3, 3), (3, 3), (3, 3, 1), (3, 3, 1), (3, 3, 1)),
    "D": ((3, 3), (3, 3), (3, 3, 3), (3, 3, 3), (3, 3, 3)),
    "E": ((3, 3), (3, 3), (3, 3, 3, 3), (3, 3, 3, 3), (3, 3, 3, 3)),
}
"""The kernel sizes of the convolutions of each of the five blocks, by the letter of table 1."""


def vgg(net: Net, *, config: str, lrn: bool = False) -> None:
    """Build a configuration of table 1; `lrn` normalizes after conv1_1 (A-LRN)."""
    size = net.size(224, 64)
    x = features(net, net.input("input", (3, size, size)), config, lrn=lrn)
    x = fc7(net, x)
    net.output(net.softmax(net.fc(x, "fc8", net.size(1000, 10), gain=1.0), "prob"))


def fc7(net: Net, x: str) -> str:
    """Add the two fully connected layers in front of the classifier."""
    x = net.dropout(net.relu(net.fc(x, "fc6", net.size(4096, 32))))
    return net.dropout(net.relu(net.fc(x, "fc7", net.size(4096, 32))))


def features(net: Net, x: str, config: str, *, lrn: bool = False, pool5: bool = True) -> str:
    """Add the five blocks of convolutions, each followed by a 2x2 pooling, the last only with `pool5`."""
    for block, kernels in enumerate(KERNELS[config], 1):
        for index, kernel in enumerate(kernels, 1):
            channels = net.width(_CHANNELS[block - 1])
            x = net.conv_relu(x, f"conv{block}_{index}", channels, kernel, pad=kernel // 2)
            if lrn and block == index == 1:
                x = net.lrn(x, "norm1")
        if block < 5 or pool5:
            x = net.max_pool(x, f"pool{block}", 2, stride=2)
    return x
