"""Mask R-CNN: He, Gkioxari, Dollar, Girshick, "Mask R-CNN", ICCV 2017, on ResNet-50 with a feature pyramid.

Lin et al., "Feature pyramid networks for object detection", CVPR 2017.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from accelc.models import boxes as bx
from accelc.models.builder import Net
from accelc.models.rcnn import Head, detections
from accelc.models.weights import Normal

_COUNTS = (3, 4, 6, 3)
_STRIDES = (4, 8, 16, 32)


def mask_rcnn(net: Net, *, keypoints: bool = False) -> None:
    """Build Mask R-CNN on an 800x1024 image for COCO (81 classes); `keypoints` has 17 keypoint maps for masks.

    300 proposals are pooled from all levels; each level pools every region, and the level that the region's size names
    is selected (equation 1 of the pyramid's paper). Boxes are of each class, the background's unused as in the authors'
    program (Detectron); masks are of the 80 objects alone, as in figure 4 (the program has 81). Masks and keypoints are
    made for 100 detections.
    """
    bx.one_image(net)
    size = (net.size(800, 64), net.size(1024, 64))
    levels = _pyramid(net, _resnet50(net, net.input("input", (3, *size))))
    rois = _proposals(net, levels, size)
    pooled = _pooled(net, levels, rois, "box_pool", 7)
    x = net.relu(net.fc(pooled, "box_fc1", net.size(1024, 16)))
    x = net.relu(net.fc(x, "box_fc2", net.size(1024, 16)))
    classes = 2 if keypoints else net.size(81, 4)
    scores = net.softmax(net.fc(x, "cls_score", classes, gain=1.0), "cls_prob")
    head = Head(scores, net.fc(x, "bbox_pred", 4 * classes, gain=0.3))
    chosen = _chosen(net, *detections(net, head, rois, classes, size, iou=0.5))
    if keypoints:
        _keypoints(net, _pooled(net, levels, chosen, "keypoint_pool", 14))
    else:
        _masks(net, _pooled(net, levels, chosen, "mask_pool", 14), classes - 1)


def _resnet50(net: Net, x: str) -> list[str]:
    """Add ResNet-50; return the maps of its four stages."""
    x = net.conv_bn_relu(x, "conv1", net.width(64), 7, stride=2, pad=3)
    x, maps = net.max_pool(x, "pool1", 3, stride=2, pad=1), []
    counts = (1, 1, 1, 1) if net.tiny else _COUNTS
    gamma = 1 / math.sqrt(sum(counts))
    for stage, count in enumerate(counts):
        for index in range(count):
            x = _block(net, x, f"res{stage + 2}_{index + 1}", net.width(64 << stage), 2 if stage and not index else 1,
                       gamma)  # fmt: skip
        maps.append(x)
    return maps


def _block(net: Net, x: str, name: str, width: int, stride: int, gamma: float) -> str:
    y = net.conv_bn_relu(x, f"{name}/1x1_reduce", width, 1, stride=stride)
    y = net.conv_bn_relu(y, f"{name}/3x3", width, 3, pad=1)
    y = net.conv_bn(y, f"{name}/1x1_expand", 4 * width, 1, gamma=gamma)
    if net.channels(x) != 4 * width or stride > 1:
        x = net.conv_bn(x, f"{name}/shortcut", 4 * width, 1, stride=stride)
    return net.relu(net.add(y, x, f"{name}/add"), f"{name}/relu")


def _pyramid(net: Net, maps: Sequence[str]) -> list[str]:
    """Add the top-down path: 256 channels at strides 4, 8, 16, 32, and 64 for proposals alone."""
    width = net.width(256)
    x = net.conv(maps[-1], "fpn_inner5", width, 1, gain=1.0)
    levels = [net.conv(x, "fpn5", width, 3, pad=1, gain=1.0)]
    for stage in (4, 3, 2):
        scales = net.constant(f"fpn_up{stage}/scales", [1.0, 1.0, 2.0, 2.0], "float32")
        up = net.op("Resize", [x, "", scales], f"fpn_up{stage}", mode="nearest",
                    coordinate_transformation_mode="asymmetric", nearest_mode="floor")  # fmt: skip
        x = net.add(net.conv(maps[stage - 2], f"fpn_inner{stage}", width, 1, gain=1.0), up, f"fpn_sum{stage}")
        levels.insert(0, net.conv(x, f"fpn{stage}", width, 3, pad=1, gain=0.7))
    levels.append(net.max_pool(levels[-1], "fpn6", 1, stride=2))
    return levels


def _proposals(net: Net, levels: Sequence[str], size: tuple[int, int]) -> str:
    """Add the proposal head, its weights shared by all levels: one area for each level, three ratios; 300 boxes."""
    width, k = net.width(256), 3
    forms = (("rpn_conv", width, 3, 1.4), ("rpn_cls", k, 1, 1.0), ("rpn_box", 4 * k, 1, 0.3))
    shared = {
        name: _conv_parameters(net, name, [channels, width, kernel, kernel], gain)
        for name, channels, kernel, gain in forms
    }
    boxes, scores = [], []
    for level, x in enumerate(levels, 2):
        y = net.relu(net.op("Conv", [x, *shared["rpn_conv"]], f"rpn{level}/conv", pads=[1] * 4), f"rpn{level}/relu")
        share = net.sigmoid(net.op("Conv", [y, *shared["rpn_cls"]], f"rpn{level}/cls"), f"rpn{level}/prob")
        deltas = net.op("Conv", [y, *shared["rpn_box"]], f"rpn{level}/box")
        _, _, height, wide = net.shape(x)
        side = (8 << level) / (1 if not net.tiny else 4)
        anchors = bx.anchors(height, wide, 1 << level, [side], (0.5, 1.0, 2.0))
        rows = bx.as_rows(net, deltas, f"rpn{level}/deltas", 4)
        found = bx.decode(net, rows, anchors, f"boxes/rpn{level}", size=size)
        count = min(net.size(1000, 12), net.shape(found)[0])
        flat = net.reshape(bx.as_rows(net, share, f"rpn{level}/scores", 1), f"rpn{level}/flat", (-1,))
        top = net.op("TopK", [flat, net.constant(f"rpn{level}/k", [count])], f"rpn{level}/top", outputs=2, axis=0)
        boxes.append(net.op("Gather", [found, f"{top}:1"], f"boxes/rpn{level}/top", axis=0))
        scores.append(top)
    every, score = net.concat(boxes, "boxes/rpn", axis=0), net.concat(scores, "scores/rpn", axis=0)
    total, after = net.shape(every)[0], net.size(300, 6)
    rows, count_ = bx.suppress(net, net.reshape(every, "boxes/rpn_all", (1, total, 4)),
                               net.reshape(score, "scores/rpn_all", (1, 1, total)), "rpn_nms", most=after, iou=0.7,
                               total=after)  # fmt: skip
    net.output(count_, "proposals")
    index = bx.held_rows(net, bx.column(net, rows, "rpn_nms/index", 2), "rpn_nms/held")
    return net.op("Gather", [every, index], "rois", axis=0)


def _conv_parameters(net: Net, name: str, shape: Sequence[int], gain: float) -> tuple[str, str]:
    """Make the weights and the bias of a convolution that several levels share."""
    weight = net.parameter(f"{name}/weight", shape, Normal(gain / math.sqrt(math.prod(shape[1:]))))
    return weight, net.parameter(f"{name}/bias", [shape[0]], Normal(0.05))


def _pooled(net: Net, levels: Sequence[str], rois: str, name: str, extent: int) -> str:
    """Pool each region from the level its area names: 4 + log2(sqrt(area) / 224), held to 2..5."""
    count = net.shape(rois)[0]
    chosen = _levels(net, rois, f"rois/{name}", count)
    total = ""
    for level, stride in enumerate(_STRIDES, 2):
        image = net.constant(f"{name}/image{level}", np.zeros(count))
        part = net.op("RoiAlign", [levels[level - 2], rois, image], f"{name}/{level}", output_height=extent,
                      output_width=extent, sampling_ratio=2, spatial_scale=1 / stride, mode="avg",
                      coordinate_transformation_mode="half_pixel")  # fmt: skip
        here = net.op("Equal", [chosen, net.constant(f"rois/{name}/level{level}", level)], f"rois/{name}/here{level}")
        total = part if not total else net.op("Where", [here, part, total], f"{name}/upto{level}")
    return total


def _levels(net: Net, rois: str, name: str, count: int) -> str:
    """Return the level (R,1,1,1) of each region."""
    low = net.slice(rois, f"{name}/low", (0,), (2,), (1,), (1,))
    extent = net.op("Sub", [net.slice(rois, f"{name}/high", (2,), (4,), (1,), (1,)), low], f"{name}/extent")
    held = net.op("Max", [extent, net.constant(f"{name}/least", 1.0, "float32")], f"{name}/held")
    area = net.op("ReduceProd", [held], f"{name}/area", axes=[1], keepdims=0)
    # log2(sqrt(area) / 224) = ln(area) / (2 ln 2) - log2 224
    scale = net.constant(f"{name}/scale", 1 / (2 * math.log(2)), "float32")
    shift = net.constant(f"{name}/shift", 4 - math.log2(224), "float32")
    level = net.op("Floor", [net.add(net.mul(net.op("Log", [area], f"{name}/log"), scale, f"{name}/log2"), shift,
                                     f"{name}/level")], f"{name}/floor")  # fmt: skip
    whole = net.op("Cast", [level], f"{name}/whole", to=7)
    clipped = net.op("Min", [net.op("Max", [whole, net.constant(f"{name}/two", 2)], f"{name}/above"),
                          net.constant(f"{name}/five", 5)], f"{name}/clipped")  # fmt: skip
    return net.reshape(clipped, f"{name}/levels", (count, 1, 1, 1))


def _chosen(net: Net, by_class: str, rows: str) -> str:
    """Return the boxes (R,4) that rows (class, 0, region) name among boxes (C-1,N,4)."""
    objects, count, _ = net.shape(by_class)
    every = net.reshape(by_class, "boxes/every", (objects * count, 4))
    first = net.mul(bx.column(net, rows, "nms/class", 0), net.constant("nms/regions", count), "nms/first")
    index = net.add(first, bx.column(net, rows, "nms/region", 2), "nms/index")
    return net.op("Gather", [every, bx.held_rows(net, index, "nms/held")], "boxes/chosen", axis=0)


def _masks(net: Net, x: str, objects: int) -> None:
    """Four 3x3 convolutions, a transposed one to 28x28, a mask for each class but the background."""
    for index in range(1, 5):
        x = net.conv_relu(x, f"mask_conv{index}", net.width(256), 3, pad=1)
    x = net.relu(net.conv_transpose(x, "mask_deconv", net.width(256), 2, stride=2))
    net.output(net.sigmoid(net.conv(x, "mask_score", objects, 1, gain=1.0), "mask"), "masks")


def _keypoints(net: Net, x: str) -> None:
    """Eight 3x3 convolutions of 512, a transposed one and bilinear upsampling to 56x56, a softmax over places."""
    for index in range(1, 9):
        x = net.conv_relu(x, f"keypoint_conv{index}", net.width(512), 3, pad=1)
    x = net.conv_transpose(x, "keypoint_score", 17, 4, stride=2, pad=1, gain=1.0)
    scales = net.constant("keypoint_up/scales", [1.0, 1.0, 2.0, 2.0], "float32")
    x = net.op("Resize", [x, "", scales], "keypoint_up", mode="linear", coordinate_transformation_mode="half_pixel")
    count, joints, height, width = net.shape(x)
    flat = net.reshape(x, "keypoint_flat", (count * joints, height * width))
    net.output(net.softmax(flat, "keypoint_prob", axis=1), "keypoints")
