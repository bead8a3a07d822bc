"""The input-stationary array's closed forms equal its literal model and the published forms."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from accelc.isa.dataflow import input_stationary as closed
from accelc.sim.array import input_stationary as literal
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
    """With nothing overlapped a product takes SCALE-Sim's ceil(K/H)*ceil(M/W)*(N+2H+W-2)-1 cycles."""
    rng = np.random.default_rng(seed)
    for height, width, m, k, n in rng.integers(1, 300, (100, 5)).tolist():
        c = chip(height, width, double=0, overlap=0, spans=1, last_index=1)
        expected = math.ceil(9 * k / height) * math.ceil(m / width) * (n + 2 * height + width - 2) - 1
        assert sum(_cycles(c, m, 9, k, n)) == expected


def test_by_hand() -> None:
    """Two passes of 4 channels x 2 pixels on a 4x2 array, 3 output channels; fill is 4+2-2 = 4 cycles, a load 4."""
    # Overlapped: load 4, 3 vectors, 1 cycle for the second load's last word, 3 vectors, fill 4 = 15.
    assert _cycles(chip(4, 2), 4, 1, 4, 3) == (6, 4, 4 + 1)
    # Double-buffered alone: load 4, twice 3 vectors and fill 4 = 18. Neither: two loads, 22.
    assert sum(_cycles(chip(4, 2, overlap=0), 4, 1, 4, 3)) == 18
    assert sum(_cycles(chip(4, 2, double=0, overlap=0), 4, 1, 4, 3)) == 22
