"""Encoders and decoders of equal depth: SegNet, DeconvNet, U-Net.

Badrinarayanan, Kendall, Cipolla, "SegNet: A deep convolutional encoder-decoder architecture for image segmentation",
TPAMI 2017; Noh, Hong, Han, "Learning deconvolution network for semantic segmentation", ICCV 2015; Ronneberger,
Fischer, Brox, "U-Net: Convolutional networks for biomedical image segmentation", MICCAI 2015.
"""

from __future__ import annotations

from accelc.models.builder import Net
from accelc.models.vgg import KERNELS

_CHANNELS = (64, 128, 256, 512, 512)


def segnet(net: Net) -> None:
    """Build SegNet on a 360x480 road scene (CamVid, 11 classes): VGG-16's convolutions and their mirror image.

    A pooling hands the places of its maxima to the unpooling of the same depth. 360 is odd after three halvings: the
    poolings round up, and an unpooling restores the size it came from.
    """
    x = net.input("input", (3, net.size(360, 32), net.size(480, 32)))
    x, places = _encoder(net, x)
    classes = net.size(11, 5)
    for block in range(5, 0, -1):
        x = _unpooled(net, x, f"unpool{block}", *places[block])
        count = len(KERNELS["D"][block - 1])
        for index in range(count, 0, -1):
            last = index == 1
            channels = net.width(_CHANNELS[max(block - 2, 0)] if last else _CHANNELS[block - 1])
            if last and block == 1:
                x = net.conv(x, "conv1_1_D", classes, 3, pad=1, gain=1.0)
            else:
                x = net.conv_bn_relu(x, f"conv{block}_{index}_D", channels, 3, pad=1)
    net.output(net.softmax(x, "prob"))


Place = tuple[str, tuple[int, ...]]
"""The tensor of maxima's places, and the shape of the map they were found in."""


def _encoder(net: Net, x: str) -> tuple[str, dict[int, Place]]:
    """Add VGG-16's convolutions with normalization, and poolings that keep where the maxima were."""
    places = {}
    for block, kernels in enumerate(KERNELS["D"], 1):
        for index in range(1, len(kernels) + 1):
            x = net.conv_bn_relu(x, f"conv{block}_{index}", net.width(_CHANNELS[block - 1]), 3, pad=1)
        shape = net.shape(x)
        x = net.op("MaxPool", [x], f"pool{block}", outputs=2, kernel_shape=[2, 2], strides=[2, 2], ceil_mode=1)
        places[block] = (f"pool{block}:1", shape)
    return x, places


def _unpooled(net: Net, x: str, name: str, index: str, shape: tuple[int, ...]) -> str:
    """Add a max unpooling to the shape the maxima came from; places count in that shape."""
    goal = net.constant(f"{name}/shape", list(shape))
    made = net.op("MaxUnpool", [x, index, goal], name, kernel_shape=[2, 2], strides=[2, 2])
    return net.reshape(made, f"{name}/map", shape)


def deconvnet(net: Net) -> None:
    """Build the deconvolution network on a 224x224 proposal: VGG-16 to fc7, then unpooling and transposed convolutions.

    fc6 is a 7x7 convolution, and the decoder starts with its transpose.
    """
    size = net.size(224, 64)
    x, places = _encoder(net, net.input("input", (3, size, size)))
    kernel = net.shape(x)[2]
    x = net.conv_bn_relu(x, "fc6", net.size(4096, 32), kernel)
    x = net.conv_bn_relu(x, "fc7", net.size(4096, 32), 1)
    x = _deconv_bn_relu(net, x, "fc6-deconv", net.width(512), kernel, 0)
    for block in range(5, 0, -1):
        x = _unpooled(net, x, f"unpool{block}", *places[block])
        for index in range(1, len(KERNELS["D"][block - 1]) + 1):
            last = index == len(KERNELS["D"][block - 1])
            channels = net.width(_CHANNELS[max(block - 2, 0)] if last else _CHANNELS[block - 1])
            x = _deconv_bn_relu(net, x, f"deconv{block}_{index}", channels, 3, 1)
    net.output(net.conv(x, "seg-score", net.size(21, 5), 1, gain=1.0))


def _deconv_bn_relu(net: Net, x: str, name: str, channels: int, kernel: int, pad: int) -> str:
    return net.relu(net.batch_norm(net.conv_transpose(x, name, channels, kernel, pad=pad, bias=False)))


def unet(net: Net) -> None:
    """Build U-Net on a 572x572 tile (figure 1): convolutions without padding, so skips are cropped; 388x388x2 out."""
    size, depth = net.size(572, 188), 4
    x, skips = net.input("input", (1, size, size)), []
    for level in range(depth):
        x = _pair(net, x, f"down{level}", net.width(64 << level))
        skips.append(x)
        x = net.max_pool(x, f"pool{level}", 2, stride=2)
    x = net.dropout(_pair(net, x, "bottom", net.width(64 << depth)))
    for level in range(depth - 1, -1, -1):
        up = net.conv_transpose(x, f"up{level}", net.width(64 << level), 2, stride=2)
        _, _, height, width = net.shape(up)
        skip = _center(net, skips[level], f"crop{level}", height, width)
        x = _pair(net, net.concat([skip, up], f"merge{level}"), f"right{level}", net.width(64 << level))
    net.output(net.conv(x, "score", 2, 1, gain=1.0))


def _pair(net: Net, x: str, name: str, channels: int) -> str:
    return net.conv_relu(net.conv_relu(x, f"{name}/a", channels, 3), f"{name}/b", channels, 3)


def _center(net: Net, x: str, name: str, height: int, width: int) -> str:
    _, _, high, wide = net.shape(x)
    top, left = (high - height) // 2, (wide - width) // 2
    return net.slice(x, name, (top, left), (top + height, left + width), (2, 3), (1, 1))
