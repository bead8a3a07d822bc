"""ONNX's own node tests, on the simulated chip in 32-bit numbers, for every standard operator we claim."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import pytest
from onnx import numpy_helper
from onnx.backend.test.case.test_case import TestCase

from accelc.backend import AccelcBackend
from accelc.errors import AccelcError
from accelc.frontend.conformance import CLAIMED, cases, reason

Array = npt.NDArray[Any]

# Results of a size that depends on values have a fixed maximum: what lies beyond is filled with -1.
FILLED = {"NonMaxSuppression", "NonZero"}


def arrays(values: Any) -> list[Array]:
    return [numpy_helper.to_array(v) if isinstance(v, onnx.TensorProto) else np.asarray(v) for v in values]


def run(case: TestCase) -> Iterator[tuple[str, Array, Array]]:
    """Yield (name, ours, expected) of each output of each data set."""
    assert case.model is not None
    for inputs, outputs in case.data_sets or []:
        found = AccelcBackend.prepare(case.model).run(arrays(inputs))
        for value, ours, wanted in zip(case.model.graph.output, found, arrays(outputs), strict=True):
            yield value.name, ours, wanted


def trimmed(ours: Array, wanted: Array) -> Array:
    """Return a result without its filling."""
    part = ours[tuple(slice(0, n) for n in wanted.shape)]
    assert ours.size == part.size or (np.delete(ours.reshape(-1), np.arange(part.size)) == -1).any()
    return part


@pytest.mark.slow
@pytest.mark.parametrize("name", [n for n in cases() if reason(n) is None])
def test_node(name: str) -> None:
    """A claimed operator gives what ONNX's test expects, within the test's own tolerance (relative 1e-3)."""
    case = cases()[name]
    assert case.model is not None
    for output, ours, wanted in run(case):
        if case.model.graph.node[0].op_type in FILLED:
            ours = trimmed(ours, wanted)
        assert ours.shape == wanted.shape, output
        assert ours.dtype == wanted.dtype, output
        real = wanted.dtype.kind == "f"
        a, b = (ours.astype(np.float64), wanted.astype(np.float64)) if real else (ours, wanted)
        np.testing.assert_allclose(a, b, rtol=case.rtol, atol=max(case.atol, 1e-7), err_msg=output)


@pytest.mark.slow
def test_what_is_refused_is_refused() -> None:
    """No test on the list of refusals passes; the list stays true."""
    passing = []
    for name in (n for n in cases() if reason(n) is not None):
        try:
            same = all(a.dtype == b.dtype and np.array_equal(a, b) for _, a, b in run(cases()[name]))
        except (AccelcError, TypeError, ValueError, AttributeError, KeyError):
            same = False
        if same:
            passing.append(name)
    assert not passing


def test_at_least_a_hundred_operators_are_claimed() -> None:
    """Every operator with a node test is counted once."""
    assert len(CLAIMED) >= 100
    assert len({c.model.graph.node[0].op_type for c in cases().values() if c.model is not None}) >= 100
