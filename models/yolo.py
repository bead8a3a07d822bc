"""YOLO: one network from the image to boxes.

Redmon, Divvala, Girshick, Farhadi, "You only look once: Unified, real-time object detection", CVPR 2016 (v1);
Redmon, Farhadi, "YOLO9000: Better, faster, stronger", CVPR 2017 (v2);
Redmon, Farhadi, "YOLOv3: An incremental improvement", arXiv 2018.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from accelc.models.boxes import one_image, suppress
from accelc.models.builder import Net

# v1, figure 3: (channels, kernel, stride); "M" is a 2x2 pooling of stride 2.
_V1: tuple[tuple[int, int, int] | str, ...] = (
    (64, 7, 2), "M", (192, 3, 1), "M", (128, 1, 1), (256, 3, 1), (256, 1, 1), (512, 3, 1), "M",
    *((256, 1, 1), (512, 3, 1)) * 4, (512, 1, 1), (1024, 3, 1), "M", *((512, 1, 1), (1024, 3, 1)) * 2,
    (1024, 3, 1), (1024, 3, 2), (1024, 3, 1), (1024, 3, 1),
)  # fmt: skip
# Fast YOLO has 9 convolutions in place of 24 (section 2.1); widths are those of the authors' tiny configuration.
_FAST: tuple[tuple[int, int, int] | str, ...] = (
    (16, 3, 1), "M", (32, 3, 1), "M", (64, 3, 1), "M", (128, 3, 1), "M", (256, 3, 1), "M", (512, 3, 1), "M",
    (1024, 3, 1), (1024, 3, 1), (1024, 3, 1),
)  # fmt: skip


def yolo_v1(net: Net, *, fast: bool = False) -> None:
    """Build YOLO v1 on 448x448: S=7, B=2, C=20, so 7x7x30 numbers and 98 boxes an image."""
    one_image(net)
    size = net.size(448, 64)
    x = net.input("input", (3, size, size))
    index = 0
    for part in _FAST if fast else _V1:
        if isinstance(part, str):
            x = net.max_pool(x, f"pool{index}", 2, stride=2)
            continue
        index += 1
        channels, kernel, stride = part
        x = net.conv(x, f"conv{index}", net.width(channels, 32), kernel, stride=stride, pad=kernel // 2)
        x = net.leaky_relu(x)
    cells, boxes, classes = net.size(7, 2), 2, net.size(20, 4)
    # The fully connected layers have 4096 units; Fast YOLO has one less.
    if not fast:
        x = net.dropout(net.leaky_relu(net.fc(x, "fc1", net.size(4096, 32))))
    x = net.fc(x, "fc2", cells * cells * (5 * boxes + classes), gain=0.5)
    output = net.reshape(x, "output", (1, cells, cells, 5 * boxes + classes))
    net.output(output)
    _detect_v1(net, output, cells, boxes, classes, size)


def _detect_v1(net: Net, output: str, cells: int, boxes: int, classes: int, size: int) -> None:
    """Add boxes and class scores: P(class | object) times confidence, suppressed class by class.

    A cell holds C class probabilities, B confidences, and B boxes: x, y in the cell, the roots of width and height in
    the image (as in the authors' code).
    """
    flat = net.reshape(output, "detect/cells", (cells * cells, 5 * boxes + classes))
    shares, trust, places = _columns(net, flat, "detect", (classes, boxes, 4 * boxes))
    places = net.reshape(places, "detect/places", (cells * cells * boxes, 4))
    at = np.stack(np.meshgrid(np.arange(cells), np.arange(cells), indexing="xy"), -1).reshape(-1, 1, 2)
    corner = net.constant("detect/corner", np.broadcast_to(at, (cells * cells, boxes, 2)).reshape(-1, 2), "float32")
    center, root = _columns(net, places, "detect/box", (2, 2))
    middle = net.mul(net.add(center, corner, "detect/in_grid"), _number(net, "detect/stride", size / cells),
                     "detect/middle")  # fmt: skip
    extent = net.mul(net.mul(root, root, "detect/square"), _number(net, "detect/half", size / 2), "detect/reach")
    _suppressed(net, _corners(net, middle, extent, "detect"), _scores_v1(net, shares, trust, cells, boxes, classes))


def _scores_v1(net: Net, shares: str, trust: str, cells: int, boxes: int, classes: int) -> str:
    """Return class scores (1, C, boxes) as products of class shares and confidences."""
    wide = net.reshape(shares, "detect/shares", (cells * cells, 1, classes))
    own = net.reshape(trust, "detect/trust", (cells * cells, boxes, 1))
    product = net.reshape(net.mul(wide, own, "detect/products"), "detect/rows", (1, cells * cells * boxes, classes))
    return net.transpose(product, "detect/scores", (0, 2, 1))


def _columns(net: Net, x: str, name: str, widths: Sequence[int]) -> list[str]:
    """Split the last axis of a table."""
    net.op("Split", [x, net.constant(f"{name}/widths", list(widths))], f"{name}/part", outputs=len(widths), axis=1)
    return [f"{name}/part", *(f"{name}/part:{k}" for k in range(1, len(widths)))]


def _number(net: Net, name: str, value: float) -> str:
    return net.constant(name, value, "float32")


def _corners(net: Net, middle: str, reach: str, name: str) -> str:
    low = net.op("Sub", [middle, reach], f"{name}/low")
    box = net.concat([low, net.add(middle, reach, f"{name}/high")], f"{name}/boxes")
    return net.reshape(box, f"{name}/all", (1, *net.shape(box)))


def _suppressed(net: Net, boxes: str, scores: str, *, score: float = 0.2) -> None:
    """Add non-maximum suppression; outputs are all boxes and the rows chosen, with their count."""
    rows, count = suppress(net, boxes, scores, "detect/nms", most=net.size(10, 4), iou=0.5, score=score)
    net.output(boxes, "boxes")
    net.output(rows, "selected")
    net.output(count, "count")


_DARKNET19: tuple[tuple[int, int] | str, ...] = (
    (32, 3), "M", (64, 3), "M", (128, 3), (64, 1), (128, 3), "M", (256, 3), (128, 1), (256, 3), "M",
    (512, 3), (256, 1), (512, 3), (256, 1), (512, 3), "P", "M",
    (1024, 3), (512, 1), (1024, 3), (512, 1), (1024, 3),
)  # fmt: skip
_ANCHORS_V2 = ((1.3221, 1.73145), (3.19275, 4.00944), (5.05587, 8.09892), (9.47112, 4.84053), (11.2364, 10.0071))
"""The five priors of VOC in cells of 32 pixels (the authors' yolo-voc configuration)."""


def yolo_v2(net: Net) -> None:
    """Build YOLO v2 on 416x416 for VOC: Darknet-19, a passthrough of the 26x26 map, five anchors; 13x13x125 numbers."""
    one_image(net)
    size = net.size(416, 64)
    x, skip, index = net.input("input", (3, size, size)), "", 0
    for part in _DARKNET19:
        if part == "P":
            skip = x
        elif part == "M":
            x = net.max_pool(x, f"pool{index}", 2, stride=2)
        else:
            index += 1
            x = _dark(net, x, f"conv{index}", part[0], part[1])  # type: ignore[arg-type]
    x = _dark(net, _dark(net, x, "conv19", 1024, 3), "conv20", 1024, 3)
    passed = net.op("SpaceToDepth", [_dark(net, skip, "conv21", 64, 1)], "reorg", blocksize=2)
    x = _dark(net, net.concat([passed, x], "passthrough"), "conv22", 1024, 3)
    classes = net.size(20, 4)
    x = net.output(net.conv(x, "conv23", len(_ANCHORS_V2) * (5 + classes), 1, gain=0.1), "output")
    boxes, scores = _anchored(net, x, "detect", _ANCHORS_V2, classes, stride=32, unit=32.0, exclusive=True)
    _suppressed(net, boxes, scores, score=0.1)


def _dark(net: Net, x: str, name: str, channels: int, kernel: int, stride: int = 1) -> str:
    """Add a convolution, its normalization and a leaky ReLU."""
    y = net.conv_bn(x, name, net.width(channels), kernel, stride=stride, pad=kernel // 2)
    return net.leaky_relu(y, f"{name}/leaky")


def _anchored(
    net: Net, x: str, name: str, anchors: Sequence[tuple[float, float]], classes: int, *,
    stride: int, unit: float, exclusive: bool,
) -> tuple[str, str]:  # fmt: skip
    """Return boxes (1,N,4) and scores (1,C,N) of a map of k anchors: sigmoid of place, exponential of size.

    Class scores exclude each other (softmax, v2) or not (sigmoid, v3); `unit` is the anchors' unit in pixels.
    """
    _, _, height, width = net.shape(x)
    k, count = len(anchors), height * width * len(anchors)
    grid = net.reshape(net.transpose(net.reshape(x, f"{name}/split", (k, 5 + classes, height, width)), f"{name}/cells",
                                     (2, 3, 0, 1)), f"{name}/rows", (count, 5 + classes))  # fmt: skip
    place, size, trust, shares = _columns(net, grid, name, (2, 2, 1, classes))
    at = np.stack(np.meshgrid(np.arange(width), np.arange(height), indexing="xy"), -1).reshape(-1, 1, 2)
    corner = net.constant(f"{name}/corner", np.broadcast_to(at, (height * width, k, 2)).reshape(-1, 2), "float32")
    prior = np.broadcast_to(np.array(anchors) * unit / 2, (height * width, k, 2)).reshape(-1, 2)
    inside = net.add(net.sigmoid(place, f"{name}/inside"), corner, f"{name}/in_grid")
    middle = net.mul(inside, _number(net, f"{name}/stride", stride), f"{name}/middle")
    reach = net.mul(net.op("Exp", [size], f"{name}/growth"), net.constant(f"{name}/prior", prior, "float32"),
                    f"{name}/reach")  # fmt: skip
    share = net.softmax(shares, f"{name}/share", axis=1) if exclusive else net.sigmoid(shares, f"{name}/share")
    scores = net.mul(share, net.sigmoid(trust, f"{name}/object"), f"{name}/products")
    wide = net.transpose(net.reshape(scores, f"{name}/scored", (1, count, classes)), f"{name}/scores", (0, 2, 1))
    return _corners(net, middle, reach, name), wide


_ANCHORS_V3 = (
    ((116, 90), (156, 198), (373, 326)),
    ((30, 61), (62, 45), (59, 119)),
    ((10, 13), (16, 30), (33, 23)),
)
"""Nine priors of COCO in pixels, three for each scale, the coarsest first (section 2.3)."""


def yolo_v3(net: Net) -> None:
    """Build YOLO v3 on 416x416 for COCO: Darknet-53, boxes at 13x13, 26x26 and 52x52, 80 classes."""
    one_image(net)
    size, classes = net.size(416, 64), net.size(80, 4)
    maps = _darknet53(net, net.input("input", (3, size, size)))
    x, found = maps[-1], []
    for scale, (anchors, stride) in enumerate(zip(_ANCHORS_V3, (32, 16, 8), strict=True)):
        width = 512 >> scale
        if scale:
            x = _dark(net, x, f"scale{scale}/lateral", width, 1)
            x = net.concat([_upsampled(net, x, f"scale{scale}/up"), maps[-1 - scale]], f"scale{scale}/route")
        for step in range(3):
            x = _dark(net, x, f"scale{scale}/reduce{step}", width, 1)
            branch = x if step == 2 else ""
            x = _dark(net, x, f"scale{scale}/expand{step}", 2 * width, 3)
        output = net.conv(x, f"scale{scale}/output", 3 * (5 + classes), 1, gain=0.1)
        net.output(output)
        found.append(_anchored(net, output, f"detect{scale}", anchors, classes, stride=stride, unit=1.0,
                               exclusive=False))  # fmt: skip
        x = branch
    boxes = net.concat([b for b, _ in found], "detect/boxes")
    _suppressed(net, boxes, net.concat([s for _, s in found], "detect/scores", axis=2), score=0.3)


def _upsampled(net: Net, x: str, name: str) -> str:
    scales = net.constant(f"{name}/scales", [1.0, 1.0, 2.0, 2.0], "float32")
    return net.op("Resize", [x, "", scales], name, mode="nearest", coordinate_transformation_mode="asymmetric",
                  nearest_mode="floor")  # fmt: skip


def _darknet53(net: Net, x: str) -> list[str]:
    """Add the 52 convolutions of table 1; return the maps at strides 8, 16 and 32."""
    x, maps = _dark(net, x, "conv1", 32, 3), []
    for stage, count in enumerate((1, 2, 8, 8, 4)):
        width = 64 << stage
        x = _dark(net, x, f"stage{stage + 1}/down", width, 3, stride=2)
        for block in range(min(count, 2) if net.tiny else count):
            y = _dark(net, x, f"stage{stage + 1}/{block}/reduce", width // 2, 1)
            gamma = 1 / np.sqrt(count)
            y = net.conv_bn(y, f"stage{stage + 1}/{block}/expand", net.width(width), 3, pad=1, gamma=gamma)
            y = net.leaky_relu(y, f"stage{stage + 1}/{block}/leaky")
            x = net.add(x, y, f"stage{stage + 1}/{block}/add")
        if stage >= 2:
            maps.append(x)
    return maps
