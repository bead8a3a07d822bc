"""The output-stationary array's closed forms equal its literal model and the published forms."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from accelc.isa.dataflow import output_stationary as closed
from accelc.sim.array import output_stationary as literal
from accelc.sim.jit import entry
from tests.sim.array.systolic_tiles import cases, check, chip, random_conv, random_depthwise

_conv = entry(literal.conv.py_func)  # type: ignore[attr-defined]
_depthwise = entry(literal.depthwise.py_func)  # type: ignore[attr-defined]


def test_closed_forms_equal_literal_model() -> None:
    """Values, cycles and every access count of random tiles on random arrays."""
    for rng, c, m in cases(2, 300):
        check(c, m, random_conv(rng), _conv, closed)


def test_closed_forms_equal_literal_model_depthwise() -> None:
    """Values, cycles and every access count of random depthwise tiles on random arrays."""
    for rng, c, m in cases(3, 300):
        check(c, m, random_depthwise(rng), _depthwise, closed)


def _cycles(c: Any, pixels: int, taps: int, depth: int, n: int) -> tuple[int, int, int]:
    return closed.conv_cycles(c, pixels, 1, taps, 1, depth, n, 1, 1, 1, 1, 1)


@pytest.mark.parametrize("seed", range(3))
def test_equals_scale_sim(seed: int) -> None:
    """With nothing overlapped a product takes SCALE-Sim's ceil(M/H)*ceil(N/W)*(K+H+W-2)-1 cycles."""
    rng = np.random.default_rng(seed)
    for height, width, m, k, n in rng.integers(1, 300, (100, 5)).tolist():
        c = chip(height, width, double=0, overlap=0, spans=1, last_index=1)
        expected = math.ceil(m / height) * math.ceil(n / width) * (9 * k + height + width - 2) - 1
        assert sum(_cycles(c, m, 9, k, n)) == expected


def test_by_hand() -> None:
    """SCALE-Sim's own hardware takes 3n-2 cycles for an n x n x n product on an n x n array: 10 for 4."""
    assert _cycles(chip(4, 4, double=0, overlap=0), 4, 1, 4, 4) == (4, 6, 0)
    # Two passes of 4 kernel rows: overlapped 4 + 4 and fill 6 = 14, else a fill each = 20.
    assert sum(_cycles(chip(4, 4), 8, 1, 4, 4)) == 14
    assert sum(_cycles(chip(4, 4, overlap=0), 8, 1, 4, 4)) == 20
