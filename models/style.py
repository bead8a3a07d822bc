"""Style by optimization.

Gatys, Ecker, Bethge, "Image style transfer using convolutional neural networks", CVPR 2016.
"""

from __future__ import annotations

import math

from accelc.models.builder import Net
from accelc.models.vgg import KERNELS

STYLE = ("conv1_1", "conv2_1", "conv3_1", "conv4_1", "conv5_1")
CONTENT = "conv4_2"


def style_gatys(net: Net) -> None:
    """Build the losses of one step: VGG19 features of the image, the content and the style, stacked on the batch axis.

    Pooling is by average (section 2) and nothing follows conv5_1. The extent, which the paper leaves
    open, is VGG's 224.
    """
    if net.batch != 1:
        raise ValueError(f"style_gatys compares one image with one content and one style; batch is {net.batch}, not 1")
    size = net.size(224, 32)
    inputs = [net.input(name, (3, size, size)) for name in ("image", "content", "style")]
    maps = _features(net, net.concat(inputs, "images", axis=0))
    net.output(_squared_error(net, maps[CONTENT], 0, 1, "content_loss", 0.5))
    losses = [_style_loss(net, maps[layer], layer) for layer in STYLE]
    net.output(net.op("Sum", losses, "style_sum"), "style_loss")


def _features(net: Net, x: str) -> dict[str, str]:
    """Add VGG19 up to conv5_1 and return the rectified maps by layer."""
    maps = {}
    for block, kernels in enumerate(KERNELS["E"], 1):
        for index, kernel in enumerate(kernels, 1):
            # averaging takes variance away, and the paper scales its weights to a mean activation of one
            gain, channels = 2.0 if index == 1 else math.sqrt(2), net.width(min(512, 32 << block))
            x = net.relu(net.conv(x, f"conv{block}_{index}", channels, kernel, pad=1, gain=gain))
            maps[f"conv{block}_{index}"] = x
            if f"conv{block}_{index}" == STYLE[-1]:
                return maps
        x = net.avg_pool(x, f"pool{block}", 2, stride=2)
    raise AssertionError("VGG19 has a layer conv5_1")


def _style_loss(net: Net, x: str, layer: str) -> str:
    """Add the squared difference of two Gram matrices, divided by 4 channels^2 positions^2 (equation 4), a fifth each.

    Maps are divided by the square root of their positions first, which keeps the products in range.
    """
    _, channels, height, width = net.shape(x)
    scale = net.constant(f"{layer}/scale", 1 / math.sqrt(height * width), "float32")
    flat = net.mul(net.reshape(x, f"{layer}/flat", (0, 0, -1)), scale, f"{layer}/scaled")
    turned = net.transpose(flat, f"{layer}/turned", (0, 2, 1))
    gram = net.output(net.op("MatMul", [flat, turned], f"{layer}/gram"))
    return _squared_error(net, gram, 0, 2, f"{layer}/loss", 0.2 / (4 * channels**2))


def _squared_error(net: Net, x: str, a: int, b: int, name: str, weight: float) -> str:
    """Add the weighted sum of squares of the difference of two samples."""
    first, second = (net.slice(x, f"{name}/{i}", (i,), (i + 1,), (0,), (1,)) for i in (a, b))
    difference = net.op("Sub", [first, second], f"{name}/difference")
    axes = list(range(1, len(net.shape(x))))
    total = net.op("ReduceSumSquare", [difference], f"{name}/sum", axes=axes, keepdims=0)
    return net.mul(total, net.constant(f"{name}/weight", weight, "float32"), name)
