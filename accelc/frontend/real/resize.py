"""Resizing: one axis after another, each as a selection (nearest), a few weighted selections, or a matrix product."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
import numpy.typing as npt

from accelc.frontend.builder import Builder
from accelc.frontend.node import Lowering, Node
from accelc.frontend.real.steps import Steps

Reals = npt.NDArray[np.float64]
MOST_TAPS = 4  # beyond so many an axis is a matrix product


@dataclass(frozen=True)
class Axis:
    """One axis: extents before and after, the scale, and the part of the input (in shares) to crop."""

    axis: int
    before: int
    after: int
    scale: float
    start: float = 0.0
    end: float = 1.0


def coordinates(mode: str, a: Axis) -> Reals:
    """Return the place in the input that each output position shows (ONNX Resize, coordinate_transformation_mode)."""
    x = np.arange(a.after, dtype=np.float64)
    half = (x + 0.5) / a.scale - 0.5
    if mode == "half_pixel_symmetric":
        adjustment = a.after / (a.scale * a.before)
        return np.asarray(a.before / 2 * (1 - adjustment) + half)
    if mode == "align_corners":
        reach = a.scale * a.before - 1  # with given scales not always a whole number
        return x * ((a.before - 1) / reach if a.after > 1 else 0.0)
    if mode == "tf_crop_and_resize":
        reach = a.before - 1
        if a.after > 1:
            return np.asarray(a.start * reach + x * (a.end - a.start) * reach / (a.after - 1))
        return np.asarray(0.5 * (a.start + a.end) * reach + 0 * x)
    if mode == "pytorch_half_pixel" and a.after == 1:
        return 0 * x
    simple: Mapping[str, Reals] = {
        "half_pixel": half, "pytorch_half_pixel": half, "asymmetric": x / a.scale, "tf_half_pixel_for_nn": half + 0.5
    }  # fmt: skip
    return simple[mode]


MODES = (
    "half_pixel", "half_pixel_symmetric", "pytorch_half_pixel", "align_corners", "asymmetric", "tf_half_pixel_for_nn",
    "tf_crop_and_resize",
)  # fmt: skip
NEAREST: Mapping[str, Callable[[Reals], Reals]] = MappingProxyType(
    {
        "round_prefer_floor": lambda x: np.ceil(x - 0.5),
        "round_prefer_ceil": lambda x: np.floor(x + 0.5),
        "floor": np.floor,
        "ceil": np.ceil,
    }
)


def _cubic(x: Reals, a: float) -> Reals:
    x = np.abs(x)
    near = (a + 2) * x**3 - (a + 3) * x**2 + 1
    far = a * x**3 - 5 * a * x**2 + 8 * a * x - 4 * a
    return np.where(x <= 1, near, np.where(x < 2, far, 0.0))


def weights(node: Node, mode: str, places: Reals, a: Axis) -> tuple[npt.NDArray[np.int64], Reals]:
    """Return [after, taps] input positions, held to the input, and their weights."""
    # Downwards with antialias the filter is as much wider as the input is finer.
    narrow = min(1.0, a.scale) if node.get("antialias", 0) else 1.0
    support = 2 if mode == "cubic" else 1
    reach = int(np.ceil(support / narrow))
    first = np.floor(places).astype(np.int64)[:, None] + np.arange(1 - reach, reach + 1)
    distance = (first - places[:, None]) * narrow
    if mode == "cubic":
        values = _cubic(distance, float(node.get("cubic_coeff_a", -0.75)))
    else:
        values = np.maximum(0.0, 1 - np.abs(distance))
    inside = (first >= 0) & (first < a.before)
    if node.get("exclude_outside", 0):
        values = np.where(inside, values, 0.0)
    if node.get("exclude_outside", 0) or narrow < 1.0:
        values = values / values.sum(axis=1, keepdims=True)
    return np.clip(first, 0, a.before - 1), values


def resize(b: Builder, node: Node) -> None:
    """Nearest, linear or cubic resampling in every coordinate mode, with roi, scales or sizes known at compile time."""
    s = Steps(b, node)
    x, mode = node.input(0), node.get("mode", "nearest")
    transform = node.get("coordinate_transformation_mode", "asymmetric" if node.op == "Upsample" else "half_pixel")
    if node.version < 11:
        transform = "asymmetric"
    if transform not in MODES:
        raise node.refuse(f"coordinate_transformation_mode={transform}", f"{', '.join(MODES)} would work")
    for a in _axes(b, node, x):
        places = coordinates(transform, a)
        if a.before == a.after and np.array_equal(places, np.arange(a.after)):
            continue
        x = _along(s, node, x, mode, places, a)
        if transform == "tf_crop_and_resize":
            x = _extrapolated(s, node, x, places, a)
    s.finish(x)


def _along(s: Steps, node: Node, x: str, mode: str, places: Reals, a: Axis) -> str:
    if mode == "nearest":
        rounding = "floor" if node.version < 11 else node.get("nearest_mode", "round_prefer_floor")
        index = np.clip(NEAREST[rounding](places), 0, a.before - 1).astype(np.int64)
        return s.take(x, {a.axis: index})
    taps, values = weights(node, "cubic" if mode == "cubic" else "linear", places, a)
    if taps.shape[1] > MOST_TAPS:
        return _product(s, x, taps, values, a)
    rank = len(s.shape(x))
    total: str | None = None
    for k in range(taps.shape[1]):
        if not values[:, k].any():
            continue
        column = values[:, k].astype(np.float32).reshape([-1 if i == a.axis else 1 for i in range(rank)])
        part = s.map("mul", s.take(x, {a.axis: taps[:, k]}), column)
        total = part if total is None else s.map("add", total, part)
    assert total is not None
    return total


def _product(s: Steps, x: str, taps: npt.NDArray[np.int64], values: Reals, a: Axis) -> str:
    matrix = np.zeros((a.after, a.before))
    np.add.at(matrix, (np.arange(a.after)[:, None], taps), values)
    names = "abcdefgh"[: len(s.shape(x))]
    result = names.replace(names[a.axis], "z")
    return s.contract(f"{names},z{names[a.axis]}->{result}", x, s.constant(matrix.astype(np.float32)))


def _extrapolated(s: Steps, node: Node, x: str, places: Reals, a: Axis) -> str:
    outside = (places < 0) | (places > a.before - 1)
    if not outside.any():
        return x
    mask = outside.astype(np.int64).reshape([-1 if i == a.axis else 1 for i in range(len(s.shape(x)))])
    return s.map("where", s.constant(mask), s.constant(float(node.get("extrapolation_value", 0.0)), x), x)


def _axes(b: Builder, node: Node, x: str) -> list[Axis]:
    """Return the axes with their scales: as given, or as the sizes imply."""
    shape, goal = b.shape(x), b.result(node).shape
    rank = len(shape)
    axes = [a % rank for a in node.get("axes", range(rank))]
    scales, sizes, roi = _given(b, node)
    found = []
    for k, axis in enumerate(axes):
        scale = scales[k] if scales else _implied(node, sizes, axes, shape, goal, axis)
        bounds = (roi[k], roi[k + len(axes)]) if roi else (0.0, 1.0)
        found.append(Axis(axis, shape[axis], goal[axis], scale, *bounds))
    return found


def _implied(
    node: Node, sizes: list[float], axes: list[int], shape: tuple[int, ...], goal: tuple[int, ...], axis: int
) -> float:
    policy = node.get("keep_aspect_ratio_policy", "stretch")
    if policy == "stretch":
        return goal[axis] / shape[axis]
    ratios = [size / shape[a] for size, a in zip(sizes, axes, strict=True)]
    return min(ratios) if policy == "not_larger" else max(ratios)


def _given(b: Builder, node: Node) -> tuple[list[float], list[float], list[float]]:
    """Return scales, sizes and roi; empty where left out."""
    if node.op == "Upsample" or node.version < 11:
        held = node.get("scales") if "scales" in node.attrs else b.require(node, 1, "scales")
        return [float(v) for v in np.asarray(held).reshape(-1)], [], []
    roi, scales, sizes = (
        [float(v) for v in b.require(node, k, role).reshape(-1)] if node.input(k) else []
        for k, role in ((1, "roi"), (2, "scales"), (3, "sizes"))
    )
    return scales, sizes, roi


_ATTRIBUTES = (
    "antialias", "axes", "coordinate_transformation_mode", "cubic_coeff_a", "exclude_outside", "extrapolation_value",
    "keep_aspect_ratio_policy", "mode", "nearest_mode",
)  # fmt: skip

LOWERINGS = (
    Lowering("Resize", resize, ("take", "map", "contract"), _ATTRIBUTES, ("sizes or scales computed at run time",)),
    Lowering("Upsample", resize, ("take", "map"), ("mode", "scales"), ("scales computed at run time",)),
)

