"""Windows of convolutions and pools: strides, dilations and explicit pads in the IR's two-dimensional form.

`ceil_mode` needs no attribute in the IR: the output tensor's shape says how many windows there are, pads stay as given,
and the part of a window that hangs beyond the padded input is cut off.
"""

from __future__ import annotations

from typing import Any

from accelc.frontend.node import Node

Pair = tuple[int, int]


def pair(values: tuple[int, ...], fill: int) -> Pair:
    """Return (height, width) of one or two spatial values; a 1-D layer has `fill` as height."""
    return (fill, values[0]) if len(values) == 1 else (values[0], values[1])


def window(node: Node, extents: tuple[int, ...], kernel: tuple[int, ...]) -> dict[str, Any]:
    """Return strides, pads (top, left, bottom, right) and dilations of a node over some spatial extents."""
    rank = len(extents)
    if rank not in (1, 2):
        raise node.refuse(f"{rank} spatial dimensions", "1 or 2 would work")
    if len(kernel) != rank:
        raise node.refuse(f"kernel_shape={list(kernel)} over {rank} spatial dimensions", "as many values would work")
    strides = tuple(node.get("strides", (1,) * rank))
    dilations = tuple(node.get("dilations", (1,) * rank))
    begin, end = pads(node, extents, kernel, strides, dilations)
    top, left = pair(begin, 0)
    bottom, right = pair(end, 0)
    return {"strides": pair(strides, 1), "pads": (top, left, bottom, right), "dilations": pair(dilations, 1)}


def pads(
    node: Node,
    extents: tuple[int, ...],
    kernel: tuple[int, ...],
    strides: tuple[int, ...],
    dilations: tuple[int, ...],
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Return the explicit pads before and behind each axis, `auto_pad` resolved."""
    rank, mode = len(extents), node.get("auto_pad", "NOTSET")
    if mode in ("NOTSET", ""):
        given = tuple(node.get("pads", (0,) * (2 * rank)))
        if min(given) < 0:
            raise node.refuse(f"pads={list(given)}", "pads of 0 or more would work")
        return given[:rank], given[rank:]
    if mode == "VALID":
        return (0,) * rank, (0,) * rank
    if mode not in ("SAME_UPPER", "SAME_LOWER"):
        raise node.refuse(f"auto_pad={mode}", "NOTSET, VALID, SAME_UPPER or SAME_LOWER would work")
    small, large = [], []
    for extent, size, stride, dilation in zip(extents, kernel, strides, dilations, strict=True):
        total = max((-(-extent // stride) - 1) * stride + (size - 1) * dilation + 1 - extent, 0)
        small.append(total // 2)
        large.append(total - total // 2)
    return (tuple(small), tuple(large)) if mode == "SAME_UPPER" else (tuple(large), tuple(small))
