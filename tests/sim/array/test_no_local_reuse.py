"""The adder-tree array's closed forms equal its literal model; cycles of small tiles by hand."""

from __future__ import annotations

import numpy as np

from accelc.chip.timing import Timing
from accelc.isa.dataflow import no_local_reuse as closed
from accelc.sim.array import no_local_reuse as literal
from accelc.sim.jit import entry
from tests.sim.array.systolic_tiles import check, chip, random_conv, random_depthwise, random_memory

_conv = entry(literal.conv.py_func)  # type: ignore[attr-defined]
_depthwise = entry(literal.depthwise.py_func)  # type: ignore[attr-defined]


def trees(rng: np.random.Generator) -> Timing:
    """Return up to 17 trees of up to 17 inputs, with any pipeline."""
    inputs, outputs = (int(v) for v in rng.choice([1, 2, 3, 4, 5, 8, 16, 17], 2))
    made = chip(inputs, outputs, double=0, overlap=int(rng.integers(2)), last_index=int(rng.integers(2)))
    return made._replace(pipeline_stages=int(rng.integers(6)))


def test_closed_forms_equal_literal_model() -> None:
    """Values, cycles and every access count of random tiles on random trees."""
    rng = np.random.default_rng(1)
    for _ in range(400):
        check(trees(rng), random_memory(rng), random_conv(rng), _conv, closed)


def test_closed_forms_equal_literal_model_depthwise() -> None:
    """Values, cycles and every access count of random depthwise tiles on random trees."""
    rng = np.random.default_rng(2)
    for _ in range(400):
        check(trees(rng), random_memory(rng), random_depthwise(rng), _depthwise, closed)


def test_by_hand() -> None:
    """Two blocks of 16 outputs, six pixels, one 3x3 kernel over 20 inputs in chunks of 16 and 4: 2*6*9*2 = 216."""
    c = chip(16, 16, double=0, overlap=1)._replace(pipeline_stages=3)
    assert closed.conv_cycles(c, 2, 3, 3, 3, 20, 32, 1, 1, 1, 1, 1) == (216, 3, 0)
    apart = c._replace(overlapped_tiles=0)
    assert closed.conv_cycles(apart, 2, 3, 3, 3, 20, 32, 1, 1, 1, 1, 1) == (216, 6, 0)
    # A depthwise tree has one product a cycle: two blocks of 16 channels, 6 pixels, 9 taps.
    assert closed.depthwise_cycles(c, 2, 3, 3, 3, 32, 1, 1, 1, 1) == (108, 3, 0)
