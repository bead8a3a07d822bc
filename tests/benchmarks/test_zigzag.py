"""What of the comparison with ZigZag needs no ZigZag: the chip as its accelerator, mappings carried to and fro."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from accelc import models
from accelc.chip import load_chip
from accelc.compiler import Options, compile_stages
from accelc.energy.table import load_table
from accelc.schedule.tiling import fits, footprint
from benchmarks.peers.process import version
from benchmarks.zigzag_mappings import (
    Layer,
    accelerator,
    mapping,
    order_of,
    pe_energy,
    rows_for,
    simulated,
    split,
    tile_of,
)

CHIP = load_chip("edge")


def alone(folder: Path) -> list[Layer]:
    import onnx

    path = folder / "resnet18.onnx"
    onnx.save(models.build("resnet18", tiny=True), path)
    return split(path, CHIP)


def found(rows: int = 4) -> dict[str, Any]:
    """ZigZag's answer for 3x3 windows over 56 x 56 pixels of 64 channels, so many rows of the map on chip."""
    inner, outer = [["OX", 56], ["C", 2], ["FX", 3], ["FY", 3], ["K", 2], ["OY", rows]], [["OY", 56 // rows]]
    loops = {"O": [inner[:1], inner[1:], outer], "W": [inner[:1], [*inner[1:], *outer], []], "I": [inner, outer]}
    sizes = {"B": 1, "K": 64, "G": 1, "OX": 56, "OY": 56, "C": 64, "FX": 3, "FY": 3}
    return {"loops": loops, "sizes": sizes, "spatial": "{D1: {K: 32}, D2: {C: 32}}"}


def convolution() -> Layer:
    """Return the layer that `found` is for."""
    compiled = compile_stages("resnet18", CHIP, Options(residency=False), stop_after="schedule")
    assert compiled.schedule is not None
    plans = [p for p in compiled.schedule.plans if p.geometry is not None and p.geometry.source == (56, 56, 64)]
    return Layer("conv", replace(compiled, schedule=replace(compiled.schedule, plans=tuple(plans[:1]))))


def test_the_memories_have_the_sizes_and_widths_of_the_chip() -> None:
    memories = accelerator(CHIP)["memories"]
    assert list(memories) == ["weight", "acc", "act", "wgt", "dram"]
    assert {name: memories[name]["size"] // 8 for name in ("acc", "act", "wgt")} == {
        "acc": 131072,
        "act": 524288,
        "wgt": 524288,
    }
    widths = {name: {p["bandwidth_max"] for p in m["ports"]} for name, m in memories.items()}
    assert widths == {"weight": {8}, "acc": {1024}, "act": {256}, "wgt": {256}, "dram": {102}}
    assert memories["weight"]["served_dimensions"] == []


def test_energies_are_those_of_the_tables() -> None:
    table = load_table(CHIP.energy)
    dram = accelerator(CHIP)["memories"]["dram"]
    assert dram["r_cost"] / 102 == pytest.approx(table.dram["LPDDR4"].read.value)
    assert dram["w_cost"] / 102 == pytest.approx(table.dram["LPDDR4"].write.value)
    per_mac, per_weight = pe_energy(CHIP)
    bit, hop = table.register_bit.value, table.hop_bit.value
    moved = 8 * bit + 8 * bit / 2 + 32 * bit + (8 + 32) * hop * 31 / 32
    assert per_mac == pytest.approx(table.mac.value + moved)
    assert per_weight == pytest.approx(8 * bit / 2 + 15.5 * (8 * bit + 8 * hop))


def test_few_channels_share_the_rows_with_taps() -> None:
    assert rows_for(64, 3, 32) == ["C, 32"]
    assert rows_for(3, 7, 32) == ["C, 3", "FX, 7"]
    assert rows_for(3, 11, 32) == ["C, 2", "FX, 11"]
    assert rows_for(3, 1, 32) == ["C, 3"]


def test_a_mapping_file_has_an_entry_for_every_layer(tmp_path: Path) -> None:
    layers = alone(tmp_path)
    entries = mapping(layers, CHIP, {layers[0].name: [("OX", 4)]})
    assert [e["name"] for e in entries] == ["default", *(x.name for x in layers)]
    assert entries[1]["temporal_ordering"] == [["OX", 4]]
    assert "temporal_ordering" not in entries[2]


def test_a_layer_alone_is_priced_by_the_simulator(tmp_path: Path) -> None:
    layer = alone(tmp_path)[1]
    tile = layer.plan.tiling
    assert tile is not None
    cycles, both, rest = simulated(layer, tile)
    assert cycles > 0
    assert both > 0
    assert rest > 0


def test_a_mapping_becomes_a_tiling_and_a_tiling_an_order() -> None:
    layer = convolution()
    tile, clipped = tile_of(found(), layer.geometry, CHIP)
    assert (tile.rows, tile.cols, tile.channels, tile.depth, tile.weights_outer) == (4, 56, 64, 64, True)
    assert clipped == ""
    order, moved = order_of(tile, found())
    assert order == [("OX", 56), ("OY", 4), ("C", 2), ("FY", 3), ("FX", 3), ("K", 2), ("OY", 14)]
    assert moved == ""


def test_a_mapping_that_does_not_fit_twice_is_made_smaller_and_told() -> None:
    layer = convolution()
    tile, clipped = tile_of(found(rows=14), layer.geometry, CHIP)
    assert fits(layer.geometry, tile, footprint(layer.geometry, tile, 0), CHIP)
    assert tile.rows * tile.cols * tile.channels < 14 * 56 * 64
    assert " to " in clipped


def test_a_cut_that_does_not_divide_is_moved_and_told() -> None:
    tile, _ = tile_of(found(), convolution().geometry, CHIP)
    order, moved = order_of(replace(tile, rows=10, channels=32), found())
    assert moved == "OY 10 to 8 of 56"
    assert order[-2:] == [("OY", 7), ("K", 2)]


def test_a_missing_peer_is_named() -> None:
    with pytest.raises(SystemExit, match="'no-such-peer' is missing"):
        version(sys.executable, "no-such-peer")
