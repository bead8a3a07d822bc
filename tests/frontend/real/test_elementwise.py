"""Functions of elements on 32-bit numbers."""

from __future__ import annotations

import numpy as np
import pytest

from tests.frontend.real.agree import agree, one_node

RNG = np.random.default_rng(0)


@pytest.mark.parametrize("op", ["Abs", "Ceil", "Cos", "Exp", "Erf", "Floor", "Neg", "Round", "Sigmoid", "Sin", "Tanh"])
def test_functions_of_one_element(op: str) -> None:
    """A unary operator equals ONNX's evaluator."""
    inputs = {"x": RNG.standard_normal((3, 4, 5)).astype(np.float32)}
    agree(one_node(op, inputs), inputs)


@pytest.mark.parametrize("op", ["Add", "Sub", "Mul", "Div"])
@pytest.mark.parametrize("kind", [np.float32, np.int64])
def test_two_operands_broadcast(op: str, kind: type[np.generic]) -> None:
    """Binary operators broadcast, on floats and on integers."""
    inputs = {"a": RNG.integers(1, 9, (3, 1, 5)).astype(kind), "b": RNG.integers(1, 9, (4, 1)).astype(kind)}
    agree(one_node(op, inputs), inputs)
