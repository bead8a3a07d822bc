"""The neighbor array's closed forms equal its literal model; cycles of small tiles by hand."""

from __future__ import annotations

import numpy as np
import pytest

from accelc.chip.timing import Timing
from accelc.isa import events as ev
from accelc.isa.dataflow import neighbor as closed
from accelc.sim.array import neighbor as literal
from accelc.sim.jit import entry
from tests.sim.array.systolic_tiles import check, chip, random_conv, random_depthwise, random_memory

_conv = entry(literal.conv.py_func)  # type: ignore[attr-defined]
_depthwise = entry(literal.depthwise.py_func)  # type: ignore[attr-defined]


def pes(rng: np.random.Generator) -> Timing:
    """Return up to 8x8 PEs, one pass after the other or overlapped."""
    rows, cols = (int(v) for v in rng.choice([1, 2, 3, 4, 8], 2))
    return chip(rows, cols, double=0, overlap=int(rng.integers(2)), last_index=int(rng.integers(2)))


def test_closed_forms_equal_literal_model() -> None:
    """Values, cycles and every access count of random tiles on random arrays."""
    rng = np.random.default_rng(1)
    for _ in range(400):
        check(pes(rng), random_memory(rng), random_conv(rng), _conv, closed)


def test_closed_forms_equal_literal_model_depthwise() -> None:
    """Values, cycles and every access count of random depthwise tiles on random arrays."""
    rng = np.random.default_rng(2)
    for _ in range(400):
        check(pes(rng), random_memory(rng), random_depthwise(rng), _depthwise, closed)


def test_by_hand() -> None:
    """A 3x3 kernel over 4 channels, 5x8 pixels on 4x8 PEs: two blocks an output, 36 cycles each and 8 to leave."""
    c = chip(4, 8, double=0, overlap=0)
    assert closed.conv_cycles(c, 5, 8, 3, 3, 4, 16, 1, 1, 1, 1, 1) == (32 * 36, 32 * 8, 0)
    assert closed.conv_cycles(c._replace(overlapped_tiles=1), 5, 8, 3, 3, 4, 16, 1, 1, 1, 1, 1) == (32 * 36, 8, 0)
    # Blocks of 4x8 and 1x8 pixels read 6x10 and 3x10 activations once for each channel and output.
    e = np.zeros(len(ev.NAMES), np.int64)
    closed.conv_events(e, c, 5, 8, 3, 3, 4, 16, 1, 0, 1, 1, 1, 1)
    assert e[ev.ACT_READ_BYTES] == 16 * 4 * (60 + 30)


@pytest.mark.parametrize(("stride", "dilation"), [(1, 1), (2, 1), (1, 2), (3, 2), (2, 4)])
def test_a_block_reads_each_activation_once(stride: int, dilation: int) -> None:
    """Buffer reads are the number of different positions, counted here one by one."""
    e = np.zeros(len(ev.NAMES), np.int64)
    closed.block_events(e, 4, 6, 3, 5, 1, 1, 0, stride, stride, dilation, dilation)
    rows = {y * stride + t * dilation for y in range(4) for t in range(3)}
    cols = {x * stride + t * dilation for x in range(6) for t in range(5)}
    assert e[ev.ACT_READ_BYTES] == len(rows) * len(cols)
