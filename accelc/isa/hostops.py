"""What the host processor runs: one ONNX node on whole arrays, by a definition of our own or ONNX's evaluator.

Results whose size depends on values come back at a fixed maximum: rows of -1 behind those there are.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    import onnx

Array = npt.NDArray[Any]


def run_node(model: onnx.ModelProto, operands: Sequence[Array], shapes: Sequence[tuple[int, ...]]) -> list[Array]:
    """Return the results of a one-node model, in its outputs' types, brought to fixed shapes.

    Raises what the operator's code raises for operands that it cannot take.
    """
    from onnx import helper

    graph = model.graph
    kinds = [helper.tensor_dtype_to_np_dtype(i.type.tensor_type.elem_type) for i in graph.input]
    feeds = {i.name: np.asarray(x).astype(k) for i, x, k in zip(graph.input, operands, kinds, strict=True)}
    node = graph.node[0]
    own = OPERATIONS.get(node.op_type) if node.domain in ("", "ai.onnx") else None
    with np.errstate(all="ignore"):
        results = own(model, feeds) if own is not None else _evaluated(model, feeds)
    return [_padded(np.asarray(r), shape) for r, shape in zip(results, shapes, strict=True)]


def _evaluated(model: onnx.ModelProto, feeds: Mapping[str, Array]) -> list[Array]:
    # Imported here: few programs hand work to the host, and onnx takes longer to import than most take to run.
    from onnx.reference import ReferenceEvaluator

    return list(ReferenceEvaluator(model).run([o.name for o in model.graph.output], dict(feeds)))


def _padded(values: Array, shape: tuple[int, ...]) -> Array:
    """Return an array cut to a shape, or filled up to it with -1."""
    if values.shape == shape:
        return values
    made = np.full(shape, -1, values.dtype)
    if values.ndim != len(shape):
        return values.reshape(shape)
    common = tuple(slice(0, min(n, m)) for n, m in zip(values.shape, shape, strict=True))
    made[common] = values[common]
    return made


def _operands(model: onnx.ModelProto, feeds: Mapping[str, Array]) -> list[Array | None]:
    """Return a node's operands: fed, constant, or left out."""
    from onnx import numpy_helper

    constants = {t.name: numpy_helper.to_array(t) for t in model.graph.initializer}
    return [feeds[n] if n in feeds else constants.get(n) for n in model.graph.node[0].input]


def _attributes(model: onnx.ModelProto) -> dict[str, Any]:
    from onnx import helper

    return {a.name: helper.get_attribute_value(a) for a in model.graph.node[0].attribute}


def _named(model: onnx.ModelProto, results: Sequence[Array]) -> list[Array]:
    """Return the results that the model gives, of all that the node has."""
    by_name = dict(zip(model.graph.node[0].output, results, strict=False))
    return [by_name[o.name] for o in model.graph.output]


def _number(value: Array | None, default: float) -> float:
    return default if value is None or not value.size else float(value.reshape(-1)[0])


def non_max_suppression(model: onnx.ModelProto, feeds: Mapping[str, Array]) -> list[Array]:
    """Return [batch, class, box] of the boxes kept: the best first, none that overlaps a better one too much.

    Of equal scores the lower index comes first. Overlap is intersection over union, in float32.
    """
    boxes, scores, *limits = _operands(model, feeds)
    assert boxes is not None
    assert scores is not None
    most, iou, least = (limits[k] if k < len(limits) else None for k in range(3))
    count, threshold = int(_number(most, 0)), np.float32(_number(iou, 0.0))
    floor = -np.inf if least is None or not least.size else _number(least, 0.0)
    centered = bool(_attributes(model).get("center_point_box", 0))
    kept: list[tuple[int, int, int]] = []
    for batch in range(boxes.shape[0]):
        corners = _corners(boxes[batch], centered)
        for group in range(scores.shape[1]):
            chosen = _suppressed(corners, scores[batch, group], count, threshold, floor)
            kept += [(batch, group, box) for box in chosen]
    return _named(model, [np.asarray(kept, np.int64).reshape(-1, 3)])


def _corners(boxes: Array, centered: bool) -> Array:
    """Return boxes as (low y, low x, high y, high x)."""
    if centered:
        x, y, w, h = boxes.T
        half = np.float32(0.5)
        return np.stack([y - h * half, x - w * half, y + h * half, x + w * half], 1)
    first, second = boxes[:, :2], boxes[:, 2:]
    return np.concatenate([np.minimum(first, second), np.maximum(first, second)], 1)


def _suppressed(corners: Array, scores: Array, count: int, threshold: np.float32, floor: float) -> list[int]:
    order = np.argsort(-scores, kind="stable")
    order = order[scores[order] > floor]
    areas = (corners[:, 2] - corners[:, 0]) * (corners[:, 3] - corners[:, 1])
    chosen: list[int] = []
    while order.size and len(chosen) < count:
        best, order = int(order[0]), order[1:]
        chosen.append(best)
        low = np.maximum(corners[order, :2], corners[best, :2])
        extent = np.maximum(np.minimum(corners[order, 2:], corners[best, 2:]) - low, np.float32(0))
        shared = extent[:, 0] * extent[:, 1]
        union = areas[order] + areas[best] - shared
        overlap = np.divide(shared, union, out=np.zeros_like(shared), where=(shared > 0) & (union > 0))
        order = order[overlap <= threshold]
    return chosen


def top_k(model: onnx.ModelProto, feeds: Mapping[str, Array]) -> list[Array]:
    """Return the k largest (or smallest) elements along an axis and their places; the lower place first among equals."""
    x, k = _operands(model, feeds)[:2]
    assert x is not None
    assert k is not None
    attributes = _attributes(model)
    axis, count = int(attributes.get("axis", -1)), int(k.reshape(-1)[0])
    key = x if not attributes.get("largest", 1) else _descending(x)
    places = np.take(np.argsort(key, axis=axis, kind="stable"), np.arange(count), axis=axis)
    return _named(model, [np.take_along_axis(x, places, axis), places.astype(np.int64)])


def _descending(x: Array) -> Array:
    """Return a key whose ascending order is the descending one of x."""
    return ~x if x.dtype.kind in "iub" else -x


OPERATIONS: Mapping[str, Callable[[Any, Mapping[str, Array]], list[Array]]] = MappingProxyType(
    {"NonMaxSuppression": non_max_suppression, "TopK": top_k}
)
"""Operators with a definition here; others are run by ONNX's evaluator."""
