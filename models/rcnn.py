"""Regions with CNN features, from given proposals to cascades.

Girshick, Donahue, Darrell, Malik, "Rich feature hierarchies for accurate object detection and semantic segmentation",
CVPR 2014 (R-CNN); Girshick, "Fast R-CNN", ICCV 2015; Ren, He, Girshick, Sun, "Faster R-CNN", NIPS 2015;
Hariharan et al., "Simultaneous detection and segmentation", ECCV 2014 (SDS); Dai, He, Sun, "Instance-aware semantic
segmentation via multi-task network cascades", CVPR 2016 (MNC); Johnson, Karpathy, Fei-Fei, "DenseCap: Fully
convolutional localization networks for dense captioning", CVPR 2016.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from accelc.models import boxes as bx
from accelc.models import vgg
from accelc.models.builder import Net
from accelc.models.recurrent import LstmCell, State, embedding, linear, lookup, lstm_cell

CLASSES = 21
_SIDES, _RATIOS = (128.0, 256.0, 512.0), (0.5, 1.0, 2.0)
"""Anchors of three areas and three ratios: k = 9 (Ren et al., section 3.1.1)."""


@dataclass(frozen=True)
class Head:
    """What a network of regions says: class scores (R,C) and, for each class, deltas (R,4C)."""

    scores: str
    deltas: str


# Features of one image


def _vgg(net: Net, x: str) -> str:
    return vgg.features(net, x, "D", pool5=False)


def _zf(net: Net, x: str) -> str:
    """Add the five convolutions of Zeiler and Fergus, ECCV 2014, at stride 16, as Faster R-CNN's published network."""
    x = net.lrn(net.conv_relu(x, "conv1", net.width(96), 7, stride=2, pad=3), "norm1", size=3, bias=1.0)
    x = net.max_pool(x, "pool1", 3, stride=2, pad=1)
    x = net.lrn(net.conv_relu(x, "conv2", net.width(256), 5, stride=2, pad=2), "norm2", size=3, bias=1.0)
    x = net.max_pool(x, "pool2", 3, stride=2, pad=1)
    x = net.conv_relu(x, "conv3", net.width(384), 3, pad=1)
    x = net.conv_relu(x, "conv4", net.width(384), 3, pad=1)
    return net.conv_relu(x, "conv5", net.width(256), 3, pad=1)


def _alexnet_fc7(net: Net, x: str) -> str:
    """Add AlexNet's convolutions and two fully connected layers on crops."""
    x = net.conv_relu(x, "conv1", net.width(96), 11, stride=4)
    x = net.lrn(net.max_pool(x, "pool1", 3, stride=2), "norm1")
    x = net.conv_relu(x, "conv2", net.width(256), 5, pad=2, groups=2)
    x = net.lrn(net.max_pool(x, "pool2", 3, stride=2), "norm2")
    x = net.conv_relu(x, "conv3", net.width(384), 3, pad=1)
    x = net.conv_relu(x, "conv4", net.width(384), 3, pad=1, groups=2)
    x = net.conv_relu(x, "conv5", net.width(256), 3, pad=1, groups=2)
    x = net.max_pool(x, "pool5", net.size(3, 2), stride=2)
    x = net.dropout(net.relu(net.fc(x, "fc6", net.size(4096, 32))))
    return net.dropout(net.relu(net.fc(x, "fc7", net.size(4096, 32))))


def _fc(net: Net, x: str) -> str:
    """Add VGG's two fully connected layers on pooled regions."""
    x = net.dropout(net.relu(net.fc(x, "fc6", net.size(4096, 32))))
    return net.dropout(net.relu(net.fc(x, "fc7", net.size(4096, 32))))


def _head(net: Net, x: str, classes: int) -> Head:
    scores = net.softmax(net.fc(x, "cls_score", classes, gain=1.0), "cls_prob")
    return Head(scores, net.fc(x, "bbox_pred", 4 * classes, gain=0.3))


# Regions


def _given_rois(net: Net, size: Sequence[int], count: int) -> str:
    """Declare proposals by two corners each; return boxes (R,4)."""
    points = net.input("proposals", (count, 4), span=(0, min(size)))
    flat = net.reshape(points, "rois/points", (count, 4))
    return bx.sorted_corners(net, flat, "rois")


def _pooled(net: Net, x: str, rois: str, name: str, scale: float, extent: int) -> str:
    """Add max pooling of regions (R,4) of one image to extent x extent."""
    count = net.shape(rois)[0]
    batch = net.constant(f"{name}/image", np.zeros((count, 1)), "float32")
    whole = net.concat([batch, rois], f"{name}/rois")
    return net.op("MaxRoiPool", [x, whole], name, pooled_shape=[extent, extent], spatial_scale=scale)


def _aligned(net: Net, x: str, rois: str, name: str, scale: float, extent: int) -> str:
    """Add bilinear sampling of regions (R,4) of one image, averaged to extent x extent."""
    image = net.constant(f"{name}/image", np.zeros(net.shape(rois)[0]))
    return net.op("RoiAlign", [x, rois, image], name, output_height=extent, output_width=extent, sampling_ratio=2,
                  spatial_scale=scale, mode="avg", coordinate_transformation_mode="half_pixel")  # fmt: skip


def detections(
    net: Net, head: Head, rois: str, classes: int, size: tuple[int, int], *, iou: float = 0.3
) -> tuple[str, str]:
    """Decode a box for each region and class, suppress class by class; return boxes (C-1,R,4) and [total, 3] rows."""
    count = net.shape(rois)[0]
    by_class = bx.decode_classes(net, head.deltas, rois, classes, size=size)
    scores = net.transpose(net.slice(head.scores, "scores/objects", (1,), (classes,), (1,), (1,)), "scores/t", (1, 0))
    wide = net.reshape(scores, "scores/classes", (classes - 1, 1, count))
    # A class is an image of its own to the suppression: its boxes are its own.
    rows, found = bx.suppress(net, by_class, wide, "nms", most=net.size(100, 4), iou=iou, score=0.05,
                              total=net.size(100, 8))  # fmt: skip
    by_class = net.output(by_class, "boxes")
    net.output(wide, "scores")
    rows = net.output(rows, "selected")
    net.output(found, "count")
    return by_class, rows


def proposals(
    net: Net, x: str, size: tuple[int, int], *, width: int, sides: Sequence[float] = _SIDES, logistic: bool = False
) -> str:
    """Add a region proposal network at stride 16: 3x3 convolution, scores and 4k deltas a cell; return boxes (R,4).

    There are 2k scores, or k if they are `logistic`. The best boxes by score are decoded and suppressed at 0.7; 300 are
    left at test time (Ren et al., section 3.3), from 6000 (fewer where the map has fewer).
    """
    k = len(sides) * len(_RATIOS)
    y = net.conv_relu(x, "rpn_conv", net.width(width), 3, pad=1)
    objects = _objectness(net, net.conv(y, "rpn_cls_score", k if logistic else 2 * k, 1, gain=1.0), logistic)
    deltas = net.conv(y, "rpn_bbox_pred", 4 * k, 1, gain=0.3)
    _, _, height, wide = net.shape(x)
    share = 1 if not net.tiny else 8
    anchors = bx.anchors(height, wide, 16, [s / share for s in sides], _RATIOS)
    found = bx.decode(net, bx.as_rows(net, deltas, "rpn_deltas", 4), anchors, "boxes/rpn", size=size)
    return _best(net, found, objects, before=net.size(6000, 24), after=net.size(300, 8))


def _objectness(net: Net, scores: str, logistic: bool) -> str:
    """Return the share (N,) of an object at each anchor, from one score or from two against each other."""
    if logistic:
        rows = net.sigmoid(bx.as_rows(net, scores, "rpn_rows", 1), "rpn_prob")
        return bx.column(net, rows, "rpn_scores", 0)
    rows = net.softmax(bx.as_rows(net, scores, "rpn_rows", 2), "rpn_prob", axis=1)
    return bx.column(net, rows, "rpn_scores", 1)


def _best(net: Net, boxes: str, scores: str, *, before: int, after: int) -> str:
    """Return the best `after` boxes of those left by suppression among the best `before`."""
    before = min(before, net.shape(boxes)[0])
    most = net.constant("rpn_top/k", [before])
    net.op("TopK", [scores, most], "rpn_top", outputs=2, axis=0)
    chosen = net.op("Gather", [boxes, "rpn_top:1"], "boxes/rpn_top", axis=0)
    rows, count = bx.suppress(
        net, net.reshape(chosen, "boxes/rpn_all", (1, before, 4)), net.reshape("rpn_top", "scores/rpn", (1, 1, before)),
        "rpn_nms", most=after, iou=0.7, total=after,
    )  # fmt: skip
    net.output(count, "proposals")
    index = bx.held_rows(net, bx.column(net, rows, "rpn_nms/index", 2), "rpn_nms/held")
    return net.op("Gather", [chosen, index], "rois", axis=0)


# Networks


def rcnn(net: Net) -> None:
    """Build R-CNN: 2000 given proposals warped to 227x227, AlexNet features, linear class scores, box regression.

    The scores are those of one linear support vector machine for each class; suppression is class by class at 0.3.
    """
    bx.one_image(net)
    size, count, crop = net.size(500, 64), net.size(2000, 6), net.size(227, 67)
    image = net.input("input", (3, size, size))
    rois = _given_rois(net, (size, size), count)
    batch = net.constant("warp/image", np.zeros(count))
    crops = net.op("RoiAlign", [image, rois, batch], "warp", output_height=crop, output_width=crop, sampling_ratio=1,
                   spatial_scale=1.0, mode="avg", coordinate_transformation_mode="half_pixel")  # fmt: skip
    x = _alexnet_fc7(net, crops)
    classes = net.size(CLASSES, 4)
    scores = net.sigmoid(net.fc(x, "svm", classes, gain=1.0), "svm/score")
    detections(net, Head(scores, net.fc(x, "bbox_pred", 4 * classes, gain=0.3)), rois, classes, (size, size))


def fast_rcnn(net: Net) -> None:
    """Build Fast R-CNN on a 600x1000 image: VGG-16 once, 2000 given regions pooled to 7x7."""
    bx.one_image(net)
    size = (net.size(600, 64), net.size(1000, 64))
    x = _vgg(net, net.input("input", (3, *size)))
    rois = _given_rois(net, size, net.size(2000, 8))
    pooled = _pooled(net, x, rois, "roi_pool5", 1 / 16, 7)
    classes = net.size(CLASSES, 4)
    detections(net, _head(net, _fc(net, pooled), classes), rois, classes, size)


def faster_rcnn(net: Net, *, zf: bool = False) -> None:
    """Build Faster R-CNN on a 600x1000 image, on VGG-16 (proposals from 512 channels) or ZF (256)."""
    bx.one_image(net)
    size = (net.size(600, 64), net.size(1000, 64))
    image = net.input("input", (3, *size))
    x = _zf(net, image) if zf else _vgg(net, image)
    rois = proposals(net, x, size, width=256 if zf else 512)
    pooled = _pooled(net, x, rois, "roi_pool5", 1 / 16, 6 if zf else 7)
    classes = net.size(CLASSES, 4)
    detections(net, _head(net, _fc(net, pooled), classes), rois, classes, size)


def sds(net: Net) -> None:
    """Build SDS (network C): 2000 given boxes and region masks; both paths through AlexNet, fused before the scores.

    The region path sees the crop with what lies outside the region's mask set to zero, the image's mean.
    """
    bx.one_image(net)
    size, count, crop = net.size(500, 64), net.size(2000, 4), net.size(227, 67)
    image = net.input("input", (3, size, size))
    rois = _given_rois(net, (size, size), count)
    masks = net.input("masks", (count, 1, crop, crop), span=(0, 1))
    batch = net.constant("warp/image", np.zeros(count))
    crops = net.op("RoiAlign", [image, rois, batch], "warp", output_height=crop, output_width=crop, sampling_ratio=1,
                   spatial_scale=1.0, mode="avg", coordinate_transformation_mode="half_pixel")  # fmt: skip
    mask = net.op("Round", [net.reshape(masks, "region/mask", (count, 1, crop, crop))], "region/inside")
    both = net.concat([crops, net.mul(crops, mask, "region/crop")], "paths", axis=0)
    x = _alexnet_fc7(net, both)
    features = net.shape(x)[1]
    paths = net.reshape(x, "paths/pair", (2, count, features))
    joined = net.reshape(net.transpose(paths, "paths/t", (1, 0, 2)), "paths/joined", (count, 2 * features))
    classes = net.size(CLASSES, 4)
    scores = net.sigmoid(net.fc(joined, "svm", classes, gain=1.0), "svm/score")
    detections(net, Head(scores, net.fc(joined, "bbox_pred", 4 * classes, gain=0.3)), rois, classes, (size, size))


def mnc(net: Net) -> None:
    """Build the three-stage cascade on a 600x1000 image: boxes, a mask in each box, a class from the masked features.

    Regions are warped bilinearly to 14x14 and pooled to 7x7; masks are 28x28 (section 3). One pass of the cascade.
    """
    bx.one_image(net)
    size = (net.size(600, 64), net.size(1000, 64))
    x = _vgg(net, net.input("input", (3, *size)))
    rois = proposals(net, x, size, width=512)
    warped = _aligned(net, x, rois, "roi_warp", 1 / 16, net.size(14, 4))
    hidden = net.relu(net.fc(net.max_pool(warped, "mask_pool", 2, stride=2), "mask_fc", net.size(256, 16)))
    extent, count = net.size(28, 8), net.shape(rois)[0]
    mask = net.sigmoid(net.fc(hidden, "mask_pred", extent * extent, gain=1.0), "mask")
    field = net.reshape(mask, "mask/field", (count, 1, extent, extent))
    small = net.avg_pool(field, "mask/small", 2, stride=2)
    masked = net.mul(warped, small, "masked")
    pooled = net.concat(
        [net.max_pool(warped, "box_pool", 2, stride=2), net.max_pool(masked, "masked_pool", 2, stride=2)], "features"
    )
    net.output(field, "masks")
    classes = net.size(CLASSES, 4)
    detections(net, _head(net, _fc(net, pooled), classes), rois, classes, size)


def dense_captioning(net: Net) -> None:
    """Build DenseCap on a 720x540 image: 300 regions, each described by an LSTM of 512 in up to 15 greedy steps.

    Proposals are those of section 3.2: 3x3 convolution of 256 filters, k = 12 anchors, 5k outputs (a score and four
    offsets for each); the anchors' areas of 64^2 to 512^2 and three ratios are those of the authors' program, which has
    two scores for an anchor. The vocabulary has 10,497 words; a region's code of 4096 is brought to 512 and fed as the
    first word (section 3).
    """
    bx.one_image(net)
    size = (net.size(540, 64), net.size(720, 64))
    x = _vgg(net, net.input("input", (3, *size)))
    rois = proposals(net, x, size, width=256, sides=(64.0, *_SIDES), logistic=True)
    code = _fc(net, _aligned(net, x, rois, "roi_sample", 1 / 16, 7))
    net.output(net.fc(code, "objectness", 1, gain=1.0), "scores")
    net.output(net.fc(code, "bbox_pred", 4, gain=0.3), "deltas")
    net.output(rois, "boxes")
    _captions(net, code, net.size(15, 3), net.size(512, 16), net.size(10497, 20))


def _captions(net: Net, code: str, steps: int, width: int, vocabulary: int) -> None:
    cell: LstmCell = lstm_cell(net, "lstm", width, width)
    table, score = embedding(net, "words", vocabulary, width), linear(net, "word", width, vocabulary)
    count = net.shape(code)[0]
    x = net.relu(net.fc(code, "image_word", width), "image_word/relu")
    state: State | None = None
    words = []
    for step in range(1, steps + 1):
        state = cell(x, state, f"step{step}")
        word = net.op("ArgMax", [score(state[0], f"step{step}/word")], f"step{step}/best", axis=1, keepdims=0)
        words.append(net.reshape(word, f"step{step}/column", (count, 1)))
        x = lookup(net, table, word, f"step{step}/next")
    net.output(net.concat(words, "captions"))
