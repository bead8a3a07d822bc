"""NVDLA's primer: the vendor's formula gives every published figure to rounding; the simulated rows obey the rates."""

from __future__ import annotations

from decimal import Decimal

import pytest

from accelc.compiler import compile_stages
from accelc.validate import replay
from accelc.validate.nvdla import CLOCK_HZ, PRIMER, Shape, formula_cycles, mac_cycles, shapes, sheet

MACS_OF_RESNET50 = 3.858e9


@pytest.fixture(scope="module")
def network() -> list[Shape]:
    graph = compile_stages("resnet50", stop_after="passes").graph
    assert graph is not None
    return shapes(graph)


def test_all_seven_rows_come_out_to_rounding(network: list[Shape]) -> None:
    for row in PRIMER:
        fps = CLOCK_HZ / formula_cycles(sheet(network), row.macs, row.cbuf_kb, row.dram_gb_s)
        digits = -int(Decimal(str(row.fps)).as_tuple().exponent) if row.fps < 10 else 0
        assert round(fps, digits) == row.fps, row.name


def test_the_sheet_as_shipped_at_10_gigabytes_a_second(network: list[Shape]) -> None:
    """The spreadsheet shows 7.114 ms, 140.6 frames/s and 0.232 of the MACs: three figures nothing was chosen for."""
    cycles = formula_cycles(sheet(network), 2048, 512, 10)
    assert round(cycles / 1e6, 3) == 7.114
    assert round(CLOCK_HZ / cycles, 1) == 140.6
    assert round(sum(mac_cycles(s, 2048) for s in sheet(network)) / cycles, 3) == 0.232


def test_without_the_oddity_no_large_row_comes_out(network: list[Shape]) -> None:
    """The 256 channels are needed: the network's own layers miss the first four rows, by up to 2.1 %."""
    for row in PRIMER[:4]:
        fps = CLOCK_HZ / formula_cycles(network, row.macs, row.cbuf_kb, row.dram_gb_s)
        assert 0.002 < fps / row.fps - 1 < 0.025


def test_the_network_has_54_layers_and_16_additions(network: list[Shape]) -> None:
    assert len(network) == 54
    assert sum(s.added for s in network) == 16
    assert (network[0].out_height, network[-2].out_height) == (56, 1)


@pytest.mark.slow
def test_no_simulated_row_is_faster_than_its_array() -> None:
    rows = [r for r in replay("nvdla").rows if r.metric == "fps_simulated"]
    assert [r.published for r in rows] == [c.fps for c in PRIMER]
    for row, c in zip(rows, PRIMER, strict=True):
        assert 0 < row.ours < CLOCK_HZ * c.macs / MACS_OF_RESNET50
    assert [r.ours for r in rows] == sorted((r.ours for r in rows), reverse=True)
