"""The row-stationary paper: ALU and register energy exact, DRAM by its mapping, the order of the dataflows."""

from __future__ import annotations

import pytest

from accelc.validate import Row, replay
from accelc.validate.dataflows import DATAFLOWS, Layer
from accelc.validate.dataflows.counts import Block, best_blocks
from accelc.validate.dataflows.row_stationary import Mapping, counts, mappings
from accelc.validate.eyeriss_isca16 import CONV, FC, by_dataflow, ratios


@pytest.fixture(scope="module")
def rows() -> list[Row]:
    return list(replay("eyeriss_isca16").rows)


@pytest.mark.parametrize("metric", ["energy_alu", "energy_rf"])
def test_alu_and_register_energy_equal_figure_10(rows: list[Row], metric: str) -> None:
    found = [r for r in rows if r.metric == metric]
    assert len(found) == 8
    assert all(abs(r.ours - r.published) <= 0.01 for r in found)


def test_dram_energy_is_figure_10s_in_six_layers_and_less_in_two(rows: list[Row]) -> None:
    errors = {r.row: r.error for r in rows if r.metric == "energy_dram"}
    assert {name for name, error in errors.items() if abs(error) <= 1.5} == set(errors) - {"conv1", "conv2"}
    assert -31 < errors["conv1"] < 0
    assert -18 < errors["conv2"] < 0


def test_row_stationary_takes_least_energy_and_the_range_is_the_papers() -> None:
    """Published: 1.4 to 2.5 times. Ours begins a little lower, and no dataflow is outside by more than a tenth."""
    found = ratios(by_dataflow())
    others = [ratio for name, ratio in found.items() if name != "RS"]
    assert len(others) == 5
    assert min(others) > 1.4 * 0.9
    assert max(others) < 2.5 * 1.1


def test_row_stationary_takes_least_energy_in_every_layer() -> None:
    compared = by_dataflow()
    for k, layer in enumerate(CONV):
        assert min(compared, key=lambda name: compared[name][k].total) == "RS", layer.name


def test_every_mapping_fits_the_array_and_the_register_file() -> None:
    for layer in (*CONV, *FC):
        found = list(mappings(layer, 256, 256))
        assert found
        for m in found:
            assert layer.r * m.e * m.sets_c * m.sets_m <= 256
            assert m.p * m.q * layer.r + m.q * layer.r + m.p <= 256


def test_blocks_move_each_operand_at_least_once_and_no_smaller_buffer_moves_less() -> None:
    layer = CONV[2]
    least = 16 * layer.c * layer.h**2 + layer.weights + 16 * layer.m * layer.e**2
    moved = [min(b.dram for b in best_blocks(layer, 16, words, True, 8, 64)) for words in (1 << 15, 1 << 16, 1 << 22)]
    assert moved == sorted(moved, reverse=True)
    assert moved[-1] == least


def test_counts_of_one_small_mapping_by_hand() -> None:
    """Two channels, four filters of 3x3 on 6x6 (4x4 out), one image; one PE set of 3 x 4, two filters a PE."""
    layer = Layer("small", 2, 4, 6, 3, 4, 1)
    found = counts(layer, 1, Mapping(p=2, q=1, e=4, sets_c=1, sets_m=1), Block(1, 4, 4, 1, 72, 72, 64))
    assert found.alu == 4 * 2 * 9 * 16
    assert found.rf == 4 * found.alu
    # Activations written (72) and read for either half of the filters (144); weights in and out (72 + 72); partial sums
    # written and read for each of two channels (4 x 64).
    assert found.buffer == 72 + 144 + 72 + 72 + 4 * 64
    # Activations to PEs: a use in 6 = p x R; partial sums on: one for 3 = q x R products; 72 weights to 4 PEs each.
    assert found.array == found.alu / 6 + found.alu / 3 + 72 * 4
    assert found.dram == 72 + 72 + 64


def test_the_remembered_buffer_ratio_hardly_matters() -> None:
    """The one size not checked against the paper: from 2.0 to 3.0 times 128 kB no ratio moves by more than 0.03."""
    chosen = ratios(by_dataflow())
    least = sum(c.total for c in by_dataflow()["RS"])
    for ratio in (2.0, 3.0):
        for name, best in DATAFLOWS.items():
            found = sum(best(layer, 16, 256, int((1 << 16) * ratio)).total for layer in CONV) / least
            assert abs(found - chosen[name]) < 0.03, (name, ratio)
