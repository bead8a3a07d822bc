"""The row-stationary array's closed forms equal its literal model, over tiles, array shapes, register files and buses."""

from __future__ import annotations

import numpy as np

from accelc.chip.timing import Timing
from accelc.isa.dataflow import row_stationary as closed
from accelc.sim.array import row_stationary as literal
from accelc.sim.jit import entry
from tests.sim.array.systolic_tiles import EDGE, check, random_conv, random_depthwise, random_memory

_conv = entry(literal.conv.py_func)  # type: ignore[attr-defined]
_depthwise = entry(literal.depthwise.py_func)  # type: ignore[attr-defined]


def random_chip(rng: np.random.Generator) -> Timing:
    """Return an array of up to 9x9 PEs, lower than a kernel now and then, with any register files and buses."""
    rows, cols = (int(rng.choice([1, *range(1, 10), 4, 8])) for _ in range(2))
    return EDGE._replace(
        organization=2, array_rows=rows, array_cols=cols, last_index=int(rng.integers(2)),
        act_entries=int(rng.choice([1, 2, 3, 4, 6, 12, 20])), wgt_entries=int(rng.choice([1, 2, 5, 24, 48, 224])),
        psum_entries=int(rng.choice([1, 2, 3, 5, 8, 24])), act_bus=int(rng.choice([1, 2, 3, 8])),
        wgt_bus=int(rng.choice([1, 3, 4, 16])), psum_bus=int(rng.choice([1, 2, 4, 7])),
    )  # fmt: skip


def test_closed_forms_equal_literal_model() -> None:
    """Values, cycles and every access count of random tiles on random arrays."""
    rng = np.random.default_rng(0)
    for _ in range(300):
        check(random_chip(rng), random_memory(rng), random_conv(rng), _conv, closed)


def test_closed_forms_equal_literal_model_depthwise() -> None:
    """Values, cycles and every access count of random depthwise tiles on random arrays."""
    rng = np.random.default_rng(1)
    for _ in range(300):
        check(random_chip(rng), random_memory(rng), random_depthwise(rng), _depthwise, closed)
