"""The fast literal weight-stationary array does what the plain one does."""

from __future__ import annotations

from accelc.isa.dataflow import weight_stationary as closed
from accelc.sim.array import weight_stationary_fast as fast
from accelc.sim.jit import entry
from tests.sim.array.systolic_tiles import DEEP, cases, check, random_conv, random_depthwise

_conv = entry(fast.conv.py_func)  # type: ignore[attr-defined]
_depthwise = entry(fast.depthwise.py_func)  # type: ignore[attr-defined]


def test_equals_definition_and_closed_forms() -> None:
    """Values, cycles and counts of random tiles on arrays from one PE to rows of several chunks of lanes."""
    for rng, c, m in cases(4, 300):
        wide = c._replace(array_cols=int(rng.choice([c.array_cols, 31, 32, 33, 70])))
        check(wide, m, random_conv(rng), _conv, closed)


def test_equals_definition_and_closed_forms_in_vectors() -> None:
    """Arrays and tiles whose rows fill vectors of words, exactly or with some over."""
    for rng, c, m in cases(14, 100):
        tall = c._replace(array_rows=int(rng.choice([15, 16, 17, 32, 40])), array_cols=int(rng.choice([5, 16, 40])))
        check(tall, m, random_conv(rng, DEEP), _conv, closed)


def test_equals_definition_and_closed_forms_depthwise() -> None:
    """Values, cycles and counts of random depthwise tiles."""
    for rng, c, m in cases(5, 300):
        check(c, m, random_depthwise(rng), _depthwise, closed)
