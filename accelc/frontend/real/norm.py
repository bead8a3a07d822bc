"""Normalizations and the softmax family."""

from __future__ import annotations

from math import prod

import numpy as np

from accelc.frontend.builder import Builder
from accelc.frontend.node import Lowering, Node
from accelc.frontend.real.steps import Steps


def _mean(s: Steps, x: str, axes: list[int]) -> str:
    return s.map("div", s.reduce("sum", x, axes, keep=True), float(prod(s.shape(x)[a] for a in axes)))


def _standardized(s: Steps, x: str, axes: list[int], epsilon: float) -> tuple[str, str, str]:
    """Return (x - mean) / sqrt(variance + epsilon) over some axes, the mean, and the inverse deviation."""
    mean = _mean(s, x, axes)
    centered = s.map("sub", x, mean)
    variance = _mean(s, s.map("mul", centered, centered), axes)
    inverse = s.map("reciprocal", s.map("sqrt", s.map("add", variance, epsilon)))
    return s.map("mul", s.map("sub", x, mean), inverse), mean, inverse


def _by_channel(s: Steps, name: str, rank: int) -> str:
    """Return a vector shaped to broadcast along axis 1."""
    return s.reshape(name, (1, prod(s.shape(name)), *(1,) * (rank - 2)))


def _affine(s: Steps, x: str, scale: str, bias: str) -> str:
    scaled = s.map("mul", x, scale) if scale else x
    return s.map("add", scaled, bias) if bias else scaled


def batch_norm(b: Builder, node: Node) -> None:
    """Inference-mode batch normalization, per channel."""
    s = Steps(b, node)
    x, rank = node.input(0), len(s.shape(node.input(0)))
    if node.get("training_mode", 0):
        raise node.refuse("training_mode=1", "inference would work")
    if node.get("spatial", 1) != 1:
        raise node.refuse("spatial=0", "spatial=1 would work")
    scale, bias, mean, variance = (_by_channel(s, node.input(k), max(rank, 2)) for k in range(1, 5))
    factor = s.map("div", scale, s.map("sqrt", s.map("add", variance, float(node.get("epsilon", 1e-5)))))
    s.finish(s.map("add", s.map("mul", s.map("sub", x, mean), factor), bias))


def instance_norm(b: Builder, node: Node) -> None:
    """Each channel of each sample brought to mean 0 and variance 1, then scaled and shifted."""
    s = Steps(b, node)
    x, rank = node.input(0), len(s.shape(node.input(0)))
    made, _, _ = _standardized(s, x, list(range(2, rank)), float(node.get("epsilon", 1e-5)))
    s.finish(_affine(s, made, _by_channel(s, node.input(1), rank), _by_channel(s, node.input(2), rank)))


def layer_norm(b: Builder, node: Node) -> None:
    """All elements from an axis on brought to mean 0 and variance 1, then scaled and shifted; the two numbers too."""
    s = Steps(b, node)
    x, rank = node.input(0), len(s.shape(node.input(0)))
    axes = list(range(node.get("axis", -1) % rank, rank))
    made, mean, inverse = _standardized(s, x, axes, float(node.get("epsilon", 1e-5)))
    s.finish(_affine(s, made, node.input(1), node.input(2)))
    s.finish(mean, 1)
    s.finish(inverse, 2)


def rms_norm(b: Builder, node: Node) -> None:
    """All elements from an axis on divided by their root mean square, then scaled."""
    s = Steps(b, node)
    x, rank = node.input(0), len(s.shape(node.input(0)))
    axes = list(range(node.get("axis", -1) % rank, rank))
    square = _mean(s, s.map("mul", x, x), axes)
    root = s.map("sqrt", s.map("add", square, float(node.get("epsilon", 1e-5))))
    s.finish(s.map("mul", s.map("div", x, root), node.input(1)))


def group_norm(b: Builder, node: Node) -> None:
    """Groups of channels brought to mean 0 and variance 1, scaled and shifted per channel (opset 18: per group)."""
    s = Steps(b, node)
    x, groups = node.input(0), node.get("num_groups")
    shape = s.shape(x)
    n, c = shape[:2]
    wide = s.reshape(x, (n, groups, prod(shape[1:]) // groups))
    made, _, _ = _standardized(s, wide, [2], float(node.get("epsilon", 1e-5)))
    if s.shape(node.input(1))[0] == c:
        made, lead = s.reshape(made, (n, c, prod(shape[2:]))), (1, c, 1)
    else:
        lead = (1, groups, 1)
    scale, bias = (s.reshape(node.input(k), lead) for k in (1, 2))
    s.finish(s.reshape(_affine(s, made, scale, bias), shape))


def lp_norm(b: Builder, node: Node) -> None:
    """x divided by its 1- or 2-norm along an axis; 0 where the norm is 0."""
    s = Steps(b, node)
    x = node.input(0)
    axis = node.get("axis", -1) % len(s.shape(x))
    if node.get("p", 2) == 1:
        norm = s.reduce("sum", s.map("abs", x), [axis], keep=True)
    else:
        norm = s.map("sqrt", s.reduce("sum", s.map("mul", x, x), [axis], keep=True))
    safe = s.map("where", s.map("equal", norm, 0.0), s.constant(1.0), norm)
    s.finish(s.map("div", x, safe))


def mean_variance_norm(b: Builder, node: Node) -> None:
    """x less its mean over some axes, divided by its deviation."""
    s = Steps(b, node)
    x = node.input(0)
    axes = [a % len(s.shape(x)) for a in node.get("axes", (0, 2, 3))]
    mean = _mean(s, x, axes)
    variance = s.map("sub", _mean(s, s.map("mul", x, x), axes), s.map("mul", mean, mean))
    s.finish(s.map("div", s.map("sub", x, mean), s.map("add", s.map("sqrt", variance), 1e-9)))


def lrn(b: Builder, node: Node) -> None:
    """x divided by a power of the sum of squares over neighboring channels."""
    s = Steps(b, node)
    x, size = node.input(0), node.get("size")
    channels = s.shape(x)[1]
    before, after = (size - 1) // 2, size // 2
    distance = np.subtract.outer(np.arange(channels), np.arange(channels))  # source - target
    near = np.where((distance >= -before) & (distance <= after), 1.0, 0.0)
    names = "abcdefgh"[: len(s.shape(x))]
    squares = s.contract(f"{names},bz->{names.replace('b', 'z')}", s.map("mul", x, x), s.constant(near))
    base = s.map("add", s.map("mul", squares, float(node.get("alpha", 1e-4)) / size), float(node.get("bias", 1.0)))
    s.finish(s.map("div", x, s.map("pow", base, float(node.get("beta", 0.75)))))


def softmax(b: Builder, node: Node) -> None:
    """exp(x) over its sum along an axis (before opset 13 along all axes from one on); its logarithm; its largest."""
    s = Steps(b, node)
    x = node.input(0)
    shape, newest = s.shape(x), node.version >= 13
    axis = node.get("axis", -1 if newest else 1) % max(len(shape), 1)
    flat = x if newest else s.reshape(x, (prod(shape[:axis]), prod(shape[axis:])))
    along = [axis if newest else 1]
    if node.op == "Hardmax":
        made = _hardmax(s, flat, along[0])
    else:
        shifted = s.map("sub", flat, s.reduce("max", flat, along, keep=True))
        share = s.map("exp", shifted)
        total = s.reduce("sum", share, along, keep=True)
        made = s.map("div", share, total) if node.op == "Softmax" else s.map("sub", shifted, s.map("log", total))
    s.finish(s.reshape(made, shape))


def _hardmax(s: Steps, x: str, axis: int) -> str:
    place = s.reduce("argmax", x, [axis], keep=True)
    lead = [1] * len(s.shape(x))
    lead[axis] = s.shape(x)[axis]
    return s.map("to_float", s.map("equal", s.constant(np.arange(lead[axis]).reshape(lead)), place))


LOWERINGS = (
    Lowering("BatchNormalization", batch_norm, ("map",), ("epsilon", "momentum", "spatial", "training_mode")),
    Lowering("InstanceNormalization", instance_norm, ("map", "reduce"), ("epsilon",)),
    Lowering("LayerNormalization", layer_norm, ("map", "reduce"), ("axis", "epsilon", "stash_type")),
    Lowering("RMSNormalization", rms_norm, ("map", "reduce"), ("axis", "epsilon", "stash_type")),
    Lowering("GroupNormalization", group_norm, ("map", "reduce"), ("epsilon", "num_groups", "stash_type")),
    Lowering("LpNormalization", lp_norm, ("map", "reduce"), ("axis", "p")),
    Lowering("MeanVarianceNormalization", mean_variance_norm, ("map", "reduce"), ("axes",)),
    Lowering("LRN", lrn, ("map", "contract"), ("alpha", "beta", "bias", "size")),
    Lowering("Softmax", softmax, ("map", "reduce"), ("axis",)),
    Lowering("LogSoftmax", softmax, ("map", "reduce"), ("axis",)),
    Lowering("Hardmax", softmax, ("map", "reduce"), ("axis",)),
)
