"""Reductions along any axes, places of extremes, running sums."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import prod
from types import MappingProxyType

import numpy as np

from accelc.frontend.builder import Builder
from accelc.frontend.node import Lowering, Node
from accelc.frontend.real.steps import Steps


def axes_of(b: Builder, node: Node, rank: int) -> list[int]:
    """Return the axes a reduction drops: an attribute in older opsets, else an operand; none means all."""
    if node.input(1):
        given = [int(a) for a in b.require(node, 1, "axes").reshape(-1)]
    else:
        given = list(node.get("axes", ()))
    if not given and node.get("noop_with_empty_axes", 0):
        return []
    return [a % rank for a in given] if given else list(range(rank))


def _sum(s: Steps, x: str, axes: list[int]) -> str:
    return s.reduce("sum", x, axes, keep=True)


def _mean(s: Steps, x: str, axes: list[int]) -> str:
    return s.map("div", _sum(s, x, axes), prod(s.shape(x)[a] for a in axes))


def _log_sum_exp(s: Steps, x: str, axes: list[int]) -> str:
    most = s.reduce("max", x, axes, keep=True)
    # A maximum that is infinite would give inf - inf.
    most = s.map("where", s.map("is_inf", most), s.constant(0.0), most)
    return s.map("add", s.map("log", _sum(s, s.map("exp", s.map("sub", x, most)), axes)), most)


_FORMS: Mapping[str, Callable[[Steps, str, list[int]], str]] = MappingProxyType(
    {
        "ReduceSum": _sum,
        "ReduceMean": _mean,
        "ReduceMax": lambda s, x, axes: s.reduce("max", x, axes, keep=True),
        "ReduceMin": lambda s, x, axes: s.reduce("min", x, axes, keep=True),
        "ReduceProd": lambda s, x, axes: s.reduce("prod", x, axes, keep=True),
        "ReduceL1": lambda s, x, axes: _sum(s, s.map("abs", x), axes),
        "ReduceL2": lambda s, x, axes: s.map("sqrt", _sum(s, s.map("mul", x, x), axes)),
        "ReduceSumSquare": lambda s, x, axes: _sum(s, s.map("mul", x, x), axes),
        "ReduceLogSum": lambda s, x, axes: s.map("log", _sum(s, x, axes)),
        "ReduceLogSumExp": _log_sum_exp,
    }
)
_REAL = ("ReduceL2", "ReduceLogSum", "ReduceLogSumExp")


def reduce(b: Builder, node: Node) -> None:
    """All elements along the axes taken together, in row-major order."""
    s = Steps(b, node)
    x = node.input(0)
    kind = s.dtype(x)
    axes = axes_of(b, node, len(s.shape(x)))
    if not axes and (node.get("noop_with_empty_axes", 0) or not s.shape(x)):
        s.finish(_FORMS[node.op](s, x, []) if not s.shape(x) or node.op not in ("ReduceSum", "ReduceMean") else x)
        return
    if node.op in _REAL and not s.is_float(x):
        x = s.map("to_float", x)
    made = _FORMS[node.op](s, x, axes)
    if not kind.startswith("float") and s.is_float(made):
        made = s.map("to_int", made, dtype=kind)
    shape = s.shape(made)
    kept = shape if node.get("keepdims", 1) else tuple(n for a, n in enumerate(shape) if a not in axes)
    s.finish(s.reshape(made, kept))


def extreme_place(b: Builder, node: Node) -> None:
    """The index of the first (or last) largest or smallest element along one axis."""
    s = Steps(b, node)
    x = node.input(0)
    axis = node.get("axis", 0) % len(s.shape(x))
    fn = node.op.lower() + ("_last" if node.get("select_last_index", 0) else "")
    s.finish(s.reduce(fn, x, [axis], keep=bool(node.get("keepdims", 1))))


def running_sum(b: Builder, node: Node) -> None:
    """Sums of all elements up to each one along an axis, as a product with a triangle of ones."""
    s = Steps(b, node)
    x = node.input(0)
    rank = len(s.shape(x))
    axis = int(b.require(node, 1, "axis").reshape(())) % rank
    extent = s.shape(x)[axis]
    ones = np.ones((extent, extent))
    triangle = np.triu(ones, 1 if node.get("exclusive", 0) else 0)
    if node.get("reverse", 0):
        triangle = np.tril(ones, -1 if node.get("exclusive", 0) else 0)
    names = "abcdefgh"[:rank]
    own = names[axis]
    s.finish(s.contract(f"{names},{own}z->{names.replace(own, 'z')}", x, s.constant(triangle, x)))


_ATTRIBUTES = ("axes", "keepdims", "noop_with_empty_axes")

LOWERINGS = (
    *(Lowering(op, reduce, ("reduce", "map"), _ATTRIBUTES, ("axes computed at run time",)) for op in _FORMS),
    *(
        Lowering(op, extreme_place, ("reduce",), ("axis", "keepdims", "select_last_index"))
        for op in ("ArgMax", "ArgMin")
    ),
    Lowering("CumSum", running_sum, ("contract",), ("exclusive", "reverse"), ("an axis computed at run time",)),
)
