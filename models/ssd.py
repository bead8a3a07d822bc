"""SSD: Liu et al., "SSD: Single shot multibox detector", ECCV 2016."""

from __future__ import annotations

from accelc.models.boxes import as_rows, decode, default_boxes, one_image, suppress
from accelc.models.builder import Net
from accelc.models.vgg import KERNELS
from accelc.models.weights import Uniform

RATIOS = ((1.0, 2.0, 1 / 2), *((1.0, 2.0, 1 / 2, 3.0, 1 / 3),) * 3, *((1.0, 2.0, 1 / 2),) * 2)
"""Aspect ratios of the six maps; 3 and 1/3 are left out on the first and on the last two (section 3.1)."""

SIDES = (30, 60, 111, 162, 213, 264, 315)
"""Sides of the default boxes of the six maps and of a seventh that is not there, in pixels of 300.

The first is a scale of 0.1 (section 3.1), the others are 0.2 and on by 0.17: the authors' program divides equation 4's
range of 0.2 to 0.9 into four steps of whole percents, and ends at 0.88.
"""

STEPS = (8, 16, 32, 64, 100, 300)
"""Pixels of 300 between default boxes' centers, of the authors' program; the paper has 300 / extent."""

_EXTRA = (("8", 256, 512, 2), ("9", 128, 256, 2), ("10", 128, 256, 1), ("11", 128, 256, 1))
_CHANNELS = (64, 128, 256, 512, 512)


def ssd300(net: Net) -> None:
    """Build SSD300 for VOC (21 classes with background): six maps of 38, 19, 10, 5, 3 and 1, 8732 default boxes.

    The default boxes are those of the authors' program (ssd_pascal.py).
    """
    one_image(net)
    size, classes = net.size(300, 64), net.size(21, 4)
    maps = _maps(net, net.input("input", (3, size, size)))
    extents = [net.shape(m)[2] for m in maps]
    steps = [300 / n for n in extents] if net.tiny else STEPS
    boxes = default_boxes(extents, RATIOS, scales=[s / 300 for s in SIDES], steps=[s / 300 for s in steps])
    deltas, scores = [], []
    for k, (source, ratios) in enumerate(zip(maps, RATIOS, strict=True)):
        count = len(ratios) + 1
        place = net.conv(source, f"loc{k}", 4 * count, 3, pad=1, gain=0.5)
        share = net.conv(source, f"conf{k}", classes * count, 3, pad=1, gain=1.0)
        deltas.append(as_rows(net, place, f"loc{k}/rows", 4))
        scores.append(as_rows(net, share, f"conf{k}/rows", classes))
    found = decode(net, net.concat(deltas, "loc", axis=0), boxes, "decoded", size=(1, 1), gain=10.0)
    shares = net.softmax(net.concat(scores, "conf", axis=0), "prob", axis=1)
    total = len(boxes)
    places = net.reshape(found, "all_boxes", (1, total, 4))
    by_class = net.transpose(net.reshape(shares, "all_scores", (1, total, classes)), "class_scores", (0, 2, 1))
    objects = net.slice(by_class, "object_scores", (1,), (classes,), (1,), (1,))
    rows, count_ = suppress(net, places, objects, "nms", most=net.size(200, 10), iou=0.45, score=0.01,
                            total=net.size(200, 16))  # fmt: skip
    net.output(places, "boxes")
    net.output(objects, "scores")
    net.output(rows, "selected")
    net.output(count_, "count")


def _maps(net: Net, x: str) -> list[str]:
    """Add VGG-16 with fc6 of rate 6 and fc7 as convolutions, and the extra layers; return the six maps."""
    maps = []
    for block, kernels in enumerate(KERNELS["D"], 1):
        for index in range(1, len(kernels) + 1):
            x = net.conv_relu(x, f"conv{block}_{index}", net.width(_CHANNELS[block - 1]), 3, pad=1)
        if block == 4:
            maps.append(_normalized(net, x, "conv4_3_norm"))
        if block < 5:
            x = net.max_pool(x, f"pool{block}", 2, stride=2, ceil=True)
    x = net.max_pool(x, "pool5", 3, pad=1)
    x = net.relu(net.conv(x, "fc6", net.width(1024), 3, pad=6, dilation=6))
    x = net.conv_relu(x, "fc7", net.width(1024), 1)
    maps.append(x)
    for name, reduce, channels, stride in _EXTRA:
        x = net.conv_relu(x, f"conv{name}_1", net.width(reduce), 1)
        pad = 1 if stride == 2 or net.tiny else 0  # a tiny map is 1x1 already
        x = net.conv_relu(x, f"conv{name}_2", net.width(channels), 3, stride=stride, pad=pad)
        maps.append(x)
    return maps


def _normalized(net: Net, x: str, name: str) -> str:
    """Divide each pixel's channels by their 2-norm and scale them by learned factors of about 20 (ParseNet)."""
    scale = net.parameter(f"{name}/scale", [1, net.channels(x), 1, 1], Uniform(18.0, 22.0))
    return net.mul(net.op("LpNormalization", [x], f"{name}/unit", axis=1, p=2), scale, name)
