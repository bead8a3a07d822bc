"""Functions of one element, and softmax."""

from __future__ import annotations

from dataclasses import replace
from math import prod
from typing import Any

import numpy as np

from accelc.frontend.builder import Builder
from accelc.frontend.masks import masked
from accelc.frontend.node import Lowering, Node
from accelc.graph import Tensor

MOST_CLASSES = 4096  # of more, hardly a share reaches 1/256, the least that 8 bits tell from 0

_PLAIN = {"Relu": "relu", "Sigmoid": "sigmoid", "Tanh": "tanh"}


def plain(b: Builder, node: Node) -> None:
    """The function itself, element by element."""
    b.emit(node, _PLAIN[node.op], (node.input(0),), b.result(node))


def leaky_relu(b: Builder, node: Node) -> None:
    """x where x >= 0, else alpha * x."""
    b.emit(node, "leaky_relu", (node.input(0),), b.result(node), alpha=float(node.get("alpha", np.float32(0.01))))


def prelu(b: Builder, node: Node) -> None:
    """x where x >= 0, else slope * x with one constant slope, or one per channel."""
    slope, shape = b.require(node, 1, "slope"), b.shape(node.input(0))
    wide = slope.reshape((1,) * (len(shape) - slope.ndim) + slope.shape)
    channels = shape[1] if len(shape) > 1 else 1
    if slope.size != 1 and (slope.size != channels or wide.ndim < 2 or wide.shape[1] != channels):
        raise node.refuse(f"a slope of shape {list(slope.shape)}", "one slope, or one per channel, would work")
    flat = b.constant(f"{node.input(1)}/slope", slope.reshape(-1).astype(np.float32))
    b.emit(node, "prelu", (node.input(0), flat.name), b.result(node))


def clip(b: Builder, node: Node) -> None:
    """The value held between two constants, either of which may be left out."""
    low, high = float(node.get("min", -np.inf)), float(node.get("max", np.inf))
    if node.input(1):
        low = float(b.require(node, 1, "minimum").reshape(()))
    if node.input(2):
        high = float(b.require(node, 2, "maximum").reshape(()))
    emit_clip(b, node, node.input(0), b.result(node), low, high)


def emit_clip(b: Builder, node: Node, source: str, output: Tensor, low: float, high: float) -> None:
    """Append a clip, in its simplest form: relu, or nothing at all."""
    # ONNX lets the maximum win when the bounds cross; the float limits mean "no bound".
    limit = float(np.finfo(np.float32).max)
    low = -np.inf if low <= -limit else low
    high = np.inf if high >= limit else high
    if low == -np.inf and high == np.inf:
        b.reshape(node, b.tensor(source), output.shape, output.name)
    elif low == 0.0 and high == np.inf:
        b.emit(node, "relu", (source,), output)
    else:
        b.emit(node, "clip", (source,), output, min=low, max=high)


def bound(b: Builder, node: Node) -> None:
    """Maximum or minimum of a tensor and one constant number, as a clip."""
    values = {n: b.value(n) for n in node.inputs}
    dynamic = [n for n, v in values.items() if v is None]
    fixed = [float(v.reshape(())) for v in values.values() if v is not None and v.size == 1]
    output = b.result(node)
    if len(node.inputs) != 2 or len(dynamic) != 1 or len(fixed) != 1 or b.shape(dynamic[0]) != output.shape:
        raise node.refuse("operands other than one tensor and one constant number", "those would work")
    low, high = (fixed[0], np.inf) if node.op == "Max" else (-np.inf, fixed[0])
    emit_clip(b, node, dynamic[0], output, low, high)


def hard_sigmoid(b: Builder, node: Node) -> None:
    """alpha * x + beta held between 0 and 1."""
    attrs = _hard(node.get("alpha", np.float32(0.2)), node.get("beta", 0.5))
    b.emit(node, "hard_sigmoid", (node.input(0),), b.result(node), **attrs)


def hard_swish(b: Builder, node: Node) -> None:
    """x * hard_sigmoid(x) with alpha 1/6 and beta 1/2."""
    _gated(b, node, "hard_sigmoid", **_hard(np.float32(1 / 6), 0.5))


def swish(b: Builder, node: Node) -> None:
    """x * sigmoid(x)."""
    if node.get("alpha", 1.0) != 1.0:
        raise node.refuse(f"alpha={node.get('alpha')}", "alpha=1 would work")
    _gated(b, node, "sigmoid")


def _hard(alpha: Any, beta: Any) -> dict[str, Any]:
    return {"alpha": float(np.float32(alpha)), "beta": float(np.float32(beta))}


def _gated(b: Builder, node: Node, op: str, **attrs: Any) -> None:
    output = b.result(node)
    gate = b.emit(node, op, (node.input(0),), replace(output, name=b.fresh(f"{output.name}/gate")), "gate", **attrs)
    b.emit(node, "mul", (node.input(0), gate.name), output, activation=None)


def softmax(b: Builder, node: Node) -> None:
    """Softmax along one axis; before opset 13 over all axes from `axis` on, as a matrix."""
    x, output = b.tensor(node.input(0)), b.result(node)
    rank = len(x.shape)
    axis = node.get("axis", -1 if node.version >= 13 else 1) % max(rank, 1)
    if x.quant is None and rank and x.shape[axis] > MOST_CLASSES:
        raise node.refuse(f"{x.shape[axis]} classes in 8 bits", f"up to {MOST_CLASSES} would work")
    if masked(b, x.name):
        raise node.refuse("masked classes in 8 bits", "a mask above -10000 would work")
    alone = node.version >= 13 or prod(x.shape[axis + 1 :]) == 1
    if alone and (axis == 1 or rank == 1):
        b.emit(node, "softmax", (x.name,), output, axis=axis)
        return
    if alone and axis != rank - 1:
        raise node.refuse(f"axis={axis} of rank {rank}", "the channels or the last axis would work")
    matrix = (prod(x.shape[:axis]), prod(x.shape[axis:]))
    flat = b.reshape(node, x, matrix, b.fresh(f"{x.name}/matrix"), "matrix")
    result = Tensor(b.fresh(f"{output.name}/matrix"), matrix)
    b.emit(node, "softmax", (flat.name,), result, axis=1)
    b.reshape(node, result, output.shape, output.name, "unmatrix")


LOWERINGS = (
    Lowering("Relu", plain, ("relu",)),
    Lowering("Sigmoid", plain, ("sigmoid",)),
    Lowering("Tanh", plain, ("tanh",)),
    Lowering("LeakyRelu", leaky_relu, ("leaky_relu",), ("alpha",)),
    Lowering("PRelu", prelu, ("prelu",), (), ("a slope computed at run time", "a slope that varies by position")),
    Lowering("Clip", clip, ("clip", "relu"), ("min", "max"), ("bounds computed at run time",)),
    Lowering("Max", bound, ("clip", "relu"), (), ("operands other than one tensor and one constant number",)),
    Lowering("Min", bound, ("clip",), (), ("operands other than one tensor and one constant number",)),
    Lowering("HardSigmoid", hard_sigmoid, ("hard_sigmoid",), ("alpha", "beta")),
    Lowering("HardSwish", hard_swish, ("hard_sigmoid", "mul")),
    Lowering("Swish", swish, ("sigmoid", "mul"), ("alpha",), ("alpha other than 1",)),
    Lowering("Softmax", softmax, ("softmax", "reshape"), ("axis",), ("masked classes",)),
)
