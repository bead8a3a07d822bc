"""The certificate on every chip: nothing executed lies below its lower bound (`test_tiny` asks every network)."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from accelc.chip import load_chip, shipped
from accelc.compiler import Options, compile_stages
from accelc.isa import by_name
from accelc.isa import events as ev
from accelc.isa.dataflow import CODES
from accelc.isa.dataflow.least import least_events
from accelc.run import run_compiled
from accelc.schedule.compulsory import needed_pixels
from tests.certificate import check
from tests.lower.graphs import Net

FEW = ("alexnet_grouped", "googlenet", "lstm", "unet")


@pytest.mark.parametrize("chip", shipped())
@pytest.mark.parametrize("name", FEW)
def test_no_chip_is_below_its_bounds(name: str, chip: str) -> None:
    check(run_compiled(compile_stages(name, chip, Options(tiny=True, batch=2)), values=False).result)


@pytest.mark.parametrize("name", ["alexnet", "resnet18", "googlenet"])
def test_what_zeros_spare_is_not_below_the_bounds(name: str) -> None:
    """On `eyeriss` a product with a zero costs less and maps travel coded: a bound must hold for any values."""
    result = run_compiled(compile_stages(name, "eyeriss", Options(tiny=True)), check="none").result
    assert result.activity is not None
    assert result.activity.zero_macs > 0
    check(result)


@pytest.mark.parametrize(("objective", "residency"), [("energy", True), ("edp", True), ("latency", False)])
def test_no_objective_is_below_the_bounds(objective: str, residency: bool) -> None:
    options = Options(tiny=True, objective=objective, residency=residency)
    check(run_compiled(compile_stages("resnet18", "gemmini", options), values=False).result)


def test_rows_that_a_pool_leaves_unread_are_not_counted() -> None:
    """A map of 8 rows under windows of 3 every 3: the last 2 rows and columns are in no window, 36 of 64 pixels are."""
    net = Net(0)
    y = net.conv(net.input(1, 16, 8, 8), 32, pads=(1, 1, 1, 1))
    graph = net.graph(net.pool("max_pool", y, (3, 3), (3, 3), (0, 0, 0, 0)))
    assert needed_pixels(graph, graph.layers[0]) == 36
    assert needed_pixels(graph, graph.layers[1]) == 4


@settings(deadline=None, max_examples=150)
@given(st.data())
def test_no_tile_counts_fewer_events_than_the_least(data: st.DataObject) -> None:
    chip = load_chip(data.draw(st.sampled_from(shipped())))
    dataflow = data.draw(st.sampled_from(chip.array.dataflows))
    small = st.integers(1, 9)
    shape = {name: data.draw(small) for name in ("rows", "cols", "taps_y", "taps_x")}
    shape |= {"depth": 4 * data.draw(st.integers(1, 20)), "n": 16 * data.draw(small), "groups": data.draw(small)}
    stride, pitch = data.draw(st.integers(1, 3)), shape["depth"] * shape["groups"]
    steps = {"act_row": stride * 64 * pitch, "act_col": stride * pitch, "tap_row": 64 * pitch, "tap_col": pitch}
    code = CODES[chip.array.organization, dataflow]
    wide = "16" if chip.array.operand_bits == 16 else ""
    for name in (f"conv{wide}", f"depthwise{wide}"):
        made, counts = by_name(name), np.zeros(len(ev.NAMES), np.int64)
        known = {**shape, **steps, "accumulate": 0, "dataflow": code}
        made.clauses["events"](counts, chip.timing, **{k: known[k] for k in made.operand_names("events")})
        for event, least in least_events(code, chip.timing).items():
            assert counts[event] >= least * counts[ev.MAC] * (1 - 1e-12), (name, ev.NAMES[event])
        assert counts[ev.MAC] > 0
