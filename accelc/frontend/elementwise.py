"""Sums, differences, products and quotients."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from accelc.frontend.builder import Builder
from accelc.frontend.masks import masked
from accelc.frontend.node import Lowering, Node

_BINARY = {"Add": "add", "Sub": "sub", "Mul": "mul"}


def binary(b: Builder, node: Node) -> None:
    """a op b with broadcasting; a constant operand stays a constant."""
    shape = b.result(node).shape
    dynamic = [b.shape(n) for n in node.inputs if not b.is_constant(n)]
    if shape not in dynamic or not all(_rides(other, shape) for other in dynamic):
        raise node.refuse(f"operands of shapes {dynamic}", "equal ones, or one with all channels alone, would work")
    if masked(b, *node.inputs):
        raise node.refuse("a mask in 8 bits", "constants above -10000 would work")
    operands = tuple(_ranked(b, name, len(shape)) for name in node.inputs)
    b.emit(node, _BINARY[node.op], operands, b.result(node), activation=None)


def _ranked(b: Builder, name: str, rank: int) -> str:
    """Return an operand; a constant of several axes gets as many as the result has."""
    held = b.tensor(name)
    if held.data is None or not 1 < len(held.shape) < rank or held.quant is not None:
        return name
    return b.constant(f"{name}/ranked", held.data.reshape((1,) * (rank - len(held.shape)) + held.shape)).name


def _rides(other: tuple[int, ...], shape: tuple[int, ...]) -> bool:
    """Return whether an operand has the result's shape, or one number for each of its channels."""
    if other == shape:
        return True
    return len(other) == len(shape) > 2 and other[:2] == shape[:2] and all(n == 1 for n in other[2:])


def div(b: Builder, node: Node) -> None:
    """Quotient by a constant, as the product with its float32 reciprocal (up to 1 ulp from the quotient)."""
    divisor = b.require(node, 1, "divisor")
    if not np.all(divisor):
        raise node.refuse("a divisor of 0", "other divisors would work")
    inverse = b.constant(f"{node.input(1)}/inverse", (np.float32(1) / divisor).astype(np.float32))
    b.emit(node, "mul", (node.input(0), inverse.name), b.result(node), activation=None)


def neg(b: Builder, node: Node) -> None:
    """-x, as the product with -1."""
    minus = b.constant(f"{node.outputs[0]}/minus", np.asarray(-1, np.float32))
    b.emit(node, "mul", (node.input(0), minus.name), b.result(node), activation=None)


def total(b: Builder, node: Node) -> None:
    """Sum or mean of any number of tensors, added from left to right."""
    output = b.result(node)
    count = len(node.inputs)
    last = output if node.op == "Sum" else replace(output, name=b.fresh(f"{output.name}/total"))
    if count == 1:
        b.reshape(node, b.tensor(node.input(0)), output.shape, output.name)
        return
    partial = node.input(0)
    for position, name in enumerate(node.inputs[1:], start=2):
        shape = np.broadcast_shapes(b.shape(partial), b.shape(name))
        goal = last if position == count else replace(output, name=b.fresh(f"{output.name}/sum"), shape=shape)
        partial = b.emit(node, "add", (partial, name), goal, activation=None).name
    if node.op == "Mean":
        inverse = b.constant(f"{output.name}/inverse", np.asarray(1 / count, np.float32))
        b.emit(node, "mul", (partial, inverse.name), output, "mean", activation=None)


LOWERINGS = (
    Lowering("Add", binary, ("add",), (), ("masks: constants of -10000 or less",)),
    Lowering("Sub", binary, ("sub",), (), ("masks: constants of -10000 or less",)),
    Lowering("Mul", binary, ("mul",), (), ("masks: constants of -10000 or less",)),
    Lowering("Div", div, ("mul",), (), ("a divisor computed at run time", "a divisor of 0")),
    Lowering("Neg", neg, ("mul",)),
    Lowering("Sum", total, ("add",)),
    Lowering("Mean", total, ("add", "mul")),
)
