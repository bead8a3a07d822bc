"""Functions of elements: arithmetic, comparison, logic, and the named activations."""

from __future__ import annotations

from accelc.frontend.builder import Builder
from accelc.frontend.node import Lowering, Node
from accelc.frontend.real.steps import Steps

_UNARY = {
    "Abs": "abs", "Acos": "acos", "Acosh": "acosh", "Asin": "asin", "Asinh": "asinh", "Atan": "atan", "Atanh": "atanh",
    "Ceil": "ceil", "Cos": "cos", "Cosh": "cosh", "Erf": "erf", "Exp": "exp", "Floor": "floor", "Log": "log",
    "Neg": "neg", "Reciprocal": "reciprocal", "Round": "round", "Sigmoid": "sigmoid", "Sign": "sign", "Sin": "sin",
    "Sinh": "sinh", "Softplus": "softplus", "Sqrt": "sqrt", "Tan": "tan", "Tanh": "tanh",
}  # fmt: skip


def unary(b: Builder, node: Node) -> None:
    """The function itself, element by element, in float32."""
    s = Steps(b, node)
    s.finish(s.map(_UNARY[node.op], node.input(0)))


_BINARY = {"Add": "add", "Sub": "sub", "Mul": "mul", "Div": "div", "Pow": "pow"}


def binary(b: Builder, node: Node) -> None:
    """a op b with broadcasting; integers wrap at 32 bits."""
    s = Steps(b, node)
    s.finish(s.map(_BINARY[node.op], node.input(0), node.input(1)))


LOWERINGS = (
    *(Lowering(op, unary, ("map",)) for op in _UNARY),
    *(Lowering(op, binary, ("map",)) for op in _BINARY),
)

