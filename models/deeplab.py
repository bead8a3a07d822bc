"""DeepLab: atrous convolutions on VGG-16 and ResNet-101.

Chen et al., "Semantic image segmentation with deep convolutional nets and fully connected CRFs", ICLR 2015 (LargeFOV);
Chen et al., "DeepLab: Semantic image segmentation with deep convolutional nets, atrous convolution, and fully
connected CRFs", TPAMI 2018 (v2: atrous spatial pyramid pooling).
"""

from __future__ import annotations

import math

from accelc.models.builder import Net
from accelc.models.vgg import KERNELS

CLASSES = 21
RATES = (6, 12, 18, 24)
"""The four rates of atrous spatial pyramid pooling (DeepLab-ASPP-L)."""

_CHANNELS = (64, 128, 256, 512, 512)


def deeplab_largefov(net: Net) -> None:
    """Build DeepLab-LargeFOV on a 321x321 crop: pool4 and pool5 keep the resolution, fc6 has rate 12."""
    size = net.size(321, 33)
    x = _vgg(net, net.input("input", (3, size, size)))
    x = net.avg_pool(x, "pool5a", 3, pad=1)
    x = _atrous(net, x, "fc6", net.size(1024, 16), 12)
    x = net.dropout(net.conv_relu(x, "fc7", net.size(1024, 16), 1))
    _scores(net, net.conv(x, "fc8", net.size(CLASSES, 5), 1, gain=1.0), size)


def deeplab_v2_vgg16(net: Net) -> None:
    """Build DeepLab v2 on VGG-16 at 321x321: four branches of fc6 to fc8 at rates 6, 12, 18 and 24, summed."""
    size = net.size(321, 33)
    x = _vgg(net, net.input("input", (3, size, size)))
    total = ""
    for branch, rate in enumerate(RATES, 1):
        y = _atrous(net, x, f"fc6_{branch}", net.size(1024, 16), rate)
        y = net.dropout(net.conv_relu(y, f"fc7_{branch}", net.size(1024, 16), 1))
        y = net.conv(y, f"fc8_{branch}", net.size(CLASSES, 5), 1, gain=0.5)
        total = y if not total else net.add(total, y, f"fc8_sum{branch}")
    _scores(net, total, size)


def deeplab_v2_resnet101(net: Net) -> None:
    """Build DeepLab v2 on ResNet-101 at 321x321: output stride 8, the scores of four atrous convolutions summed."""
    size = net.size(321, 33)
    x = _resnet101(net, net.input("input", (3, size, size)))
    total = ""
    for branch, rate in enumerate(RATES):
        y = net.conv(x, f"fc1_c{branch}", net.size(CLASSES, 5), 3, pad=rate, dilation=rate, gain=0.5)
        total = y if not total else net.add(total, y, f"fc1_sum{branch}")
    _scores(net, total, size)


def _vgg(net: Net, x: str) -> str:
    """Add VGG-16's convolutions at output stride 8: pool4 and pool5 have stride 1, conv5 has rate 2."""
    for block, kernels in enumerate(KERNELS["D"], 1):
        rate = 2 if block == 5 else 1
        for index in range(1, len(kernels) + 1):
            channels = net.width(_CHANNELS[block - 1])
            x = net.relu(net.conv(x, f"conv{block}_{index}", channels, 3, pad=rate, dilation=rate))
        x = net.max_pool(x, f"pool{block}", 3, stride=2 if block < 4 else 1, pad=1)
    return x


def _atrous(net: Net, x: str, name: str, channels: int, rate: int) -> str:
    return net.dropout(net.relu(net.conv(x, name, channels, 3, pad=rate, dilation=rate)))


def _resnet101(net: Net, x: str) -> str:
    """Add ResNet-101 whose last two stages have rate 2 and 4 in place of stride 2."""
    x = net.conv_bn_relu(x, "conv1", net.width(64), 7, stride=2, pad=3)
    x = net.max_pool(x, "pool1", 3, stride=2, pad=1, ceil=True)
    counts = (2, 2, 2, 2) if net.tiny else (3, 4, 23, 3)
    gamma = 1 / math.sqrt(sum(counts))
    for stage, (count, stride, rate) in enumerate(zip(counts, (1, 2, 1, 1), (1, 1, 2, 4), strict=True)):
        for index in range(count):
            name = f"res{stage + 2}_{index + 1}"
            x = _block(net, x, name, net.width(64 << stage), stride if not index else 1, rate, gamma)
    return x


def _block(net: Net, x: str, name: str, width: int, stride: int, rate: int, gamma: float) -> str:
    y = net.conv_bn_relu(x, f"{name}/1x1_reduce", width, 1, stride=stride)
    y = net.conv(y, f"{name}/3x3", width, 3, pad=rate, dilation=rate, bias=False)
    y = net.relu(net.batch_norm(y))
    y = net.conv_bn(y, f"{name}/1x1_expand", 4 * width, 1, gamma=gamma)
    if net.channels(x) != 4 * width or stride > 1:
        x = net.conv_bn(x, f"{name}/shortcut", 4 * width, 1, stride=stride)
    return net.relu(net.add(y, x, f"{name}/add"), f"{name}/relu")


def _scores(net: Net, x: str, size: int) -> None:
    """Bring scores to the image's size by bilinear interpolation, corners on corners, as the authors' layer does."""
    sizes = net.constant("upsample/sizes", [net.batch, net.channels(x), size, size])
    net.output(net.op("Resize", [x, "", "", sizes], "upsample", mode="linear",
                      coordinate_transformation_mode="align_corners"))  # fmt: skip
