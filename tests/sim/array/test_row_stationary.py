"""The row-stationary array's closed forms equal its literal model, for any tile, shape, register files and buses."""

from __future__ import annotations

import numpy as np
import pytest

from accelc.chip import load_chip
from accelc.chip.timing import Timing
from accelc.isa.dataflow import row_stationary as closed
from accelc.isa.dataflow.row_mapping import Mapping, Pass, Tile, choose
from accelc.sim.array import row_stationary as literal
from accelc.sim.jit import entry
from accelc.validate.eyeriss_layers import LAYERS, Layer
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


def test_images_follow_each_other() -> None:
    """n images of F columns take as long as one of n*F, and n-1 times what a whole window costs more."""
    rng = np.random.default_rng(2)
    for _ in range(200):
        c = random_chip(rng)
        w = Pass(3, int(rng.integers(1, 9)), int(rng.integers(1, 5)), *(int(v) for v in rng.integers(1, 40, 14)))
        one = w._replace(cols=w.cols * w.images, images=1)
        step = max(w.macs, -(-w.psums // c.psum_bus))
        window, fresh = (max(step, -(-words // c.act_bus)) for words in (w.window, w.fresh))
        longer = sum(closed.pass_cycles(c, w, 5, 1)) - sum(closed.pass_cycles(c, one, 5, 1))
        assert longer == (w.images - 1) * (window - fresh)


def test_by_hand() -> None:
    """A 3x3 kernel on 4x4 pixels of 1 channel, 2 filters, on 3x4 PEs with buses of 1, 4 and 4 words: 47 cycles.

    The ramp brings 18 weights in 5 cycles, 8 sums in 2, and a window of 6 rows x 3 inputs in 18. Three steps take the
    6 cycles of 2 x 3 products, as do the 6 inputs that come meanwhile; so does the last. The token takes 3 cycles up
    the chain. At the end 8 sums leave in 2 cycles: 18 + 4 x 6 + 3 + 2 = 47.
    """
    c = EDGE._replace(
        organization=2, array_rows=3, array_cols=4, act_entries=12, wgt_entries=224, psum_entries=24, act_bus=1,
        wgt_bus=4, psum_bus=4, last_index=0,
    )  # fmt: skip
    tile = Tile(4, 4, 1, 3, 3, 1, 2, 6, 1, 6, 1, 0)
    assert choose(c, tile) == Mapping(4, 2, 1, 1, 1, 3, 3)
    assert closed.layer_cycles(c, tile, choose(c, tile), 1) == (24, 5, 18)


@pytest.mark.parametrize("layer", LAYERS, ids=lambda x: f"{x.network} {x.name}")
def test_no_slower_than_the_mappings_of_the_chip(layer: Layer) -> None:
    """On Eyeriss's array the mapping chosen for one image is at least as fast as the one that the chip used."""
    c, theirs = load_chip("eyeriss").timing, layer.placement.mapping
    tile = Tile(
        layer.extent, layer.extent // layer.placement.halves, 1, layer.taps, layer.taps, layer.channels, layer.filters,
        layer.stride * 1000, layer.stride, 1000, 1, 0,
    )  # fmt: skip
    ours = choose(c, tile)
    assert ours.q * ours.taps_x <= c.act_entries
    assert ours.p * ours.q * ours.taps_x <= c.wgt_entries
    assert ours.p <= c.psum_entries
    assert sum(closed.layer_cycles(c, tile, ours, 1)) <= sum(closed.layer_cycles(c, tile, theirs, 1))
