"""FCN: Long, Shelhamer, Darrell, "Fully convolutional networks for semantic segmentation", CVPR 2015."""

from __future__ import annotations

from accelc.models.builder import Net
from accelc.models.vgg import KERNELS

CLASSES = 21
_CHANNELS = (64, 128, 256, 512, 512)


def fcn(net: Net, *, stride: int) -> None:
    """Build FCN-32s, FCN-16s or FCN-8s on a 500x500 image (PASCAL VOC), as the authors' published networks.

    conv1_1 pads by 100 so that fc6, a 7x7 convolution, has a map to cover; every crop starts at the offset of those
    networks (19 for 32s, 27 for 16s, 31 for 8s, 5 and 9 for the skips). `stride` is 32, 16 or 8.
    """
    size = net.size(500, 32)
    image = net.input("input", (3, size, size))
    maps = _trunk(net, image)
    classes = net.size(CLASSES, 5)
    score = net.conv(_fc7(net, maps["pool5"]), "score_fr", classes, 1, gain=1.0)
    if stride == 32:
        up = _upsampled(net, score, "upscore", 32)
        net.output(_cropped(net, up, "score", 19, size))
        return
    score = _fused(net, _upsampled(net, score, "upscore2", 2), maps["pool4"], "pool4", 5)
    if stride == 16:
        net.output(_cropped(net, _upsampled(net, score, "upscore16", 16), "score", 27, size))
        return
    score = _fused(net, _upsampled(net, score, "upscore_pool4", 2), maps["pool3"], "pool3", 9)
    net.output(_cropped(net, _upsampled(net, score, "upscore8", 8), "score", 31, size))


def _trunk(net: Net, x: str) -> dict[str, str]:
    """Add VGG-16's convolutions, the first padded by 100; return its pooled maps."""
    maps = {}
    for block, kernels in enumerate(KERNELS["D"], 1):
        for index in range(1, len(kernels) + 1):
            pad = 100 if block == index == 1 else 1
            x = net.conv_relu(x, f"conv{block}_{index}", net.width(_CHANNELS[block - 1], 32), 3, pad=pad)
        x = maps[f"pool{block}"] = net.max_pool(x, f"pool{block}", 2, stride=2, ceil=True)
    return maps


def _fc7(net: Net, x: str) -> str:
    x = net.dropout(net.conv_relu(x, "fc6", net.size(4096, 32), 7))
    return net.dropout(net.conv_relu(x, "fc7", net.size(4096, 32), 1))


def _upsampled(net: Net, x: str, name: str, stride: int) -> str:
    """Add a transposed convolution of twice the stride's size, which bilinear interpolation initializes."""
    return net.conv_transpose(x, name, net.channels(x), 2 * stride, stride=stride, bias=False, gain=1.0)


def _fused(net: Net, up: str, skip: str, name: str, offset: int) -> str:
    """Add the scores of a pooled map, cropped to the upsampled ones."""
    scores = net.conv(skip, f"score_{name}", net.channels(up), 1, gain=1.0)
    _, _, height, width = net.shape(up)
    cut = _window(net, scores, f"score_{name}c", offset, (height, width))
    return net.add(up, cut, f"fuse_{name}")


def _cropped(net: Net, x: str, name: str, offset: int, size: int) -> str:
    return _window(net, x, name, offset, (size, size))


def _window(net: Net, x: str, name: str, offset: int, extent: tuple[int, int]) -> str:
    ends = (offset + extent[0], offset + extent[1])
    return net.slice(x, name, (offset, offset), ends, (2, 3), (1, 1))
