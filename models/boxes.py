"""Boxes: anchors and default boxes as constants, their decoding, suppression with a fixed maximum, proposals.

Boxes are (x1, y1, x2, y2) in pixels unless a name says otherwise. What depends on values has a fixed maximum of rows;
those behind the last one are rows of -1 (or repeat the last box), and a count says how many there are.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import log, sqrt

import numpy as np
import numpy.typing as npt

from accelc.models.builder import Net

Boxes = npt.NDArray[np.float32]

MOST_GROWTH = log(1000 / 16)
"""The logarithm of the most by which a box may grow over its anchor (Girshick et al., Detectron)."""


def suppress(
    net: Net, boxes: str, scores: str, name: str, *, most: int, iou: float, score: float = 0.0, total: int = 0
) -> tuple[str, str]:
    """Suppress boxes (B,N,4) by scores (B,C,N); return [total, 3] rows (image, class, box) and the number of them.

    `most` boxes are kept for each class, `total` in all (by default all of them).
    """
    batch, classes, count = net.shape(scores)
    total = total or batch * classes * min(most, count)
    limits = [
        net.constant(f"{name}/most", [most]),
        net.constant(f"{name}/iou", [iou], "float32"),
        net.constant(f"{name}/score", [score], "float32"),
    ]
    kept = net.op("NonMaxSuppression", [boxes, scores, *limits], f"{name}/kept")
    filler = net.constant(f"{name}/none", np.full((total, 3), -1))
    cut = net.slice(net.concat([kept, filler], f"{name}/filled", axis=0), f"{name}/cut", (0,), (total,), (0,), (1,))
    rows = net.reshape(cut, f"{name}/rows", (total, 3))
    return rows, counted(net, column(net, rows, f"{name}/box", 2), f"{name}/count")


def counted(net: Net, index: str, name: str) -> str:
    """Return how many indices are not negative."""
    zero = net.constant(f"{name}/zero", 0)
    chosen = net.op("Cast", [net.op("GreaterOrEqual", [index, zero], f"{name}/chosen")], f"{name}/ones", to=7)
    return net.op("ReduceSum", [chosen, net.constant(f"{name}/axis", [0])], name, keepdims=0)


def column(net: Net, rows: str, name: str, index: int) -> str:
    """Return one column of a table."""
    return net.op("Gather", [rows, net.constant(f"{name}/column", index)], name, axis=1)


def held_rows(net: Net, index: str, name: str) -> str:
    """Return indices with -1 replaced by 0, so that rows that do not exist repeat the first."""
    return net.op("Max", [index, net.constant(f"{name}/zero", 0)], name)


def decode(net: Net, deltas: str, anchors: Boxes, name: str, *, size: tuple[int, int], gain: float = 1.0) -> str:
    """Return boxes (N,4) from deltas (N,4) to anchors (N,4), held to an image of (height, width).

    The deltas move the center in units of the anchor's size and scale the size exponentially (Girshick et al., CVPR
    2014, appendix C); `gain` divides them, as variances do in some networks.
    """
    extent = (anchors[:, 2:] - anchors[:, :2]).astype(np.float32)
    center = (anchors[:, :2] + anchors[:, 2:]) / 2
    middle, reach = (net.constant(f"{name}/{k}", v, "float32") for k, v in (("center", center), ("extent", extent)))
    return _decoded(net, deltas, name, size, gain, middle, reach)


def decode_from(net: Net, deltas: str, boxes: str, name: str, *, size: tuple[int, int]) -> str:
    """Return boxes (N,4) from deltas (N,4) to boxes (N,4) computed in the graph."""
    low = net.slice(boxes, f"{name}/low", (0,), (2,), (1,), (1,))
    high = net.slice(boxes, f"{name}/high", (2,), (4,), (1,), (1,))
    extent = net.op("Sub", [high, low], f"{name}/extent")
    half = net.mul(extent, net.constant(f"{name}/half", 0.5, "float32"), f"{name}/half_extent")
    return _decoded(net, deltas, name, size, 1.0, net.add(low, half, f"{name}/center"), extent)


def decode_classes(net: Net, deltas: str, boxes: str, classes: int, *, size: tuple[int, int]) -> str:
    """Return boxes (C-1,N,4) from deltas (N,4C) to boxes (N,4) computed in the graph; class 0 is left out."""
    count, objects = net.shape(boxes)[0], classes - 1
    chosen = net.slice(deltas, "boxes/deltas", (4,), (4 * classes,), (1,), (1,))
    rows = net.reshape(chosen, "boxes/rows", (count * objects, 4))
    source = net.constant("boxes/source", np.repeat(np.arange(count), objects))
    found = decode_from(net, rows, net.op("Gather", [boxes, source], "boxes/each", axis=0), "boxes/all", size=size)
    return net.transpose(net.reshape(found, "boxes/table", (count, objects, 4)), "boxes/classes", (1, 0, 2))


def _decoded(
    net: Net, deltas: str, name: str, size: tuple[int, int], gain: float, center: str, extent: str
) -> str:
    def number(value: npt.ArrayLike, part: str) -> str:
        return net.constant(f"{name}/{part}", value, "float32")

    if gain != 1.0:
        deltas = net.mul(deltas, number([[0.1, 0.1, 0.2, 0.2]], "variances"), f"{name}/deltas")
    shift = net.slice(deltas, f"{name}/shift", (0,), (2,), (1,), (1,))
    growth = net.slice(deltas, f"{name}/growth", (2,), (4,), (1,), (1,))
    held = net.op("Min", [growth, number(MOST_GROWTH, "most_growth")], f"{name}/held")
    middle = net.add(net.mul(shift, extent, f"{name}/moved"), center, f"{name}/middle")
    reach = net.mul(net.op("Exp", [held], f"{name}/scale"), extent, f"{name}/size")
    half = net.mul(reach, number(0.5, "half_size"), f"{name}/reach")
    box = net.concat([net.op("Sub", [middle, half], f"{name}/first"), net.add(middle, half, f"{name}/last")],
                     f"{name}/boxes")  # fmt: skip
    edge = number([[size[1], size[0], size[1], size[0]]], "edge")
    return net.op("Max", [net.op("Min", [box, edge], f"{name}/below"), number(0.0, "zero")], name)


def anchors(height: int, width: int, stride: int, sides: Sequence[float], ratios: Sequence[float]) -> Boxes:
    """Return the anchors (height * width * k, 4) of a map: at each cell, each side and ratio (height / width)."""
    shapes = [(side / sqrt(ratio), side * sqrt(ratio)) for side in sides for ratio in ratios]
    half = np.array([[w / 2, h / 2] for w, h in shapes])
    y, x = np.meshgrid(np.arange(height), np.arange(width), indexing="ij")
    center = (np.stack([x, y], -1).reshape(-1, 1, 2) + 0.5) * stride
    return np.concatenate([center - half, center + half], -1).reshape(-1, 4).astype(np.float32)


def default_boxes(
    extents: Sequence[int], ratios: Sequence[Sequence[float]], *, scales: Sequence[float], steps: Sequence[float]
) -> Boxes:
    """Return SSD's default boxes (N,4) in parts of the image, from a scale for each map and one more.

    Each map has the ratios given, and a second square box of the scale sqrt(s_k s_{k+1}) (Liu et al., section 2.2).
    Centers are `steps` apart, the first half a step from the edge.
    """
    made = []
    for k, (extent, chosen) in enumerate(zip(extents, ratios, strict=True)):
        shapes = [(scales[k] * sqrt(r), scales[k] / sqrt(r)) for r in chosen]
        shapes.insert(1, (sqrt(scales[k] * scales[k + 1]),) * 2)
        half = np.array([[w / 2, h / 2] for w, h in shapes])
        y, x = np.meshgrid(np.arange(extent), np.arange(extent), indexing="ij")
        center = (np.stack([x, y], -1).reshape(-1, 1, 2) + 0.5) * steps[k]
        made.append(np.concatenate([center - half, center + half], -1).reshape(-1, 4))
    return np.concatenate(made).astype(np.float32)


def as_rows(net: Net, x: str, name: str, width: int) -> str:
    """Return a map (1, k * width, H, W) as rows (H * W * k, width), cell after cell."""
    moved = net.transpose(x, f"{name}/cells", (0, 2, 3, 1))
    _, h, w, c = net.shape(moved)
    return net.reshape(moved, name, (h * w * c // width, width))


def one_image(net: Net) -> None:
    """Refuse a batch: boxes of several images would need a count each."""
    if net.batch != 1:
        raise ValueError(f"'{net.name}' takes one image at a time, not a batch of {net.batch}")


def sorted_corners(net: Net, points: str, name: str, least: float = 1.0) -> str:
    """Return boxes (N,4) from any two corners (N,4), at least `least` wide and high."""
    first = net.slice(points, f"{name}/a", (0,), (2,), (1,), (1,))
    second = net.slice(points, f"{name}/b", (2,), (4,), (1,), (1,))
    low = net.op("Min", [first, second], f"{name}/low")
    high = net.op("Max", [first, second], f"{name}/high")
    wide = net.add(low, net.constant(f"{name}/least", least, "float32"), f"{name}/wide")
    return net.concat([low, net.op("Max", [high, wide], f"{name}/far")], name)

