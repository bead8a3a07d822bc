"""A network on several cores, from the command's Python twin to its figures: each core's cycles, energy, the trace."""

from __future__ import annotations

import json

import numpy as np
import pytest

from accelc.chip import load_chip
from accelc.compiler import Options, compile_stages
from accelc.energy.model import leakage_watts
from accelc.energy.table import load_table
from accelc.run import Run, run_compiled
from accelc.sim.trace import perfetto

CAUSES_OF_WORK = ("compute", "fill_drain", "weight_load")


@pytest.fixture(scope="module")
def run() -> Run:
    """GoogLeNet, of which a few stages are worth sharing out."""
    return run_compiled(compile_stages("googlenet", "edge_4core", Options(tiny=True)))


def test_the_values_are_those_of_one_core(run: Run) -> None:
    alone = run_compiled(compile_stages("googlenet", "edge", Options(tiny=True)))
    assert run.check.elements > 0
    assert run.check.mismatches == 0
    for name, integers in alone.integers.items():
        np.testing.assert_array_equal(run.integers[name], integers)
    assert run.cycles < alone.cycles
    assert run.result.array_cycles >= alone.result.array_cycles / 2


def test_each_core_accounts_for_every_cycle(run: Run) -> None:
    figures = run.to_json()
    assert len(figures["cores"]) == 4
    for core in figures["cores"]:
        assert sum(core["stalls"].values()) == run.cycles
        assert sum(core["stalls"][cause] for cause in CAUSES_OF_WORK) == core["array_cycles"]
    assert sum(core["array_cycles"] for core in figures["cores"]) == run.result.array_cycles
    assert sum(figures["stalls"].values()) == run.cycles
    mean = sum(core["stalls"]["other_cores"] for core in figures["cores"]) / 4
    assert figures["stalls"]["other_cores"] == pytest.approx(mean, abs=len(figures["layers"]))
    assert "waiting for other cores" in run.report()


def test_a_chip_of_one_core_waits_for_no_other() -> None:
    figures = run_compiled(compile_stages("mlp", "edge", Options(tiny=True))).to_json()
    assert figures["cores"] == [{"array_cycles": figures["array_cycles"], "stalls": figures["stalls"]}]
    assert figures["stalls"]["other_cores"] == 0


def test_every_core_leaks() -> None:
    table = load_table("16nm")
    one, four = (leakage_watts(load_chip(name), table) for name in ("edge", "edge_4core"))
    assert four == pytest.approx(4 * one)


def test_the_trace_has_a_track_for_each_queue_in_use(run: Run) -> None:
    events = json.loads(perfetto(run.program, run.chip, run.timeline))["traceEvents"]
    tracks = {e["tid"]: e["args"]["name"] for e in events if e["name"] == "thread_name"}
    assert {"LOAD of core 0", "MAC of core 1", "HOST", "SYNC"} <= set(tracks.values())
    for event in (e for e in events if e["ph"] == "X"):
        assert event["tid"] in tracks


def test_a_mapping_says_how_cores_share(run: Run) -> None:
    tiles = [layer.tile for layer in run.result.layers]
    shares = [count for tile in tiles for key, count in tile.items() if key.startswith("cores_by_")]
    assert shares
    assert set(shares) <= {2, 3, 4}
