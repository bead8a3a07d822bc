"""The terminal report states what the result holds, at any width, and quantities are rounded honestly."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import pytest

from accelc.report import Accuracy, Check, HostOp, LayerResult, Ledger, Result, render
from accelc.report.units import byte_text, percent, quantity


def layer(name: str, cycles: int, stalls: dict[str, int], macs: int = 0) -> LayerResult:
    utilization = macs / (cycles * 256)
    return LayerResult(name, "conv", (name,), macs, cycles, stalls, 1.5e-6, 4096, utilization, cycles // 2, "ws", {})


RESULT = Result(
    model="net",
    chip="edge",
    dataflow="auto",
    batch=2,
    clock_hz=1e9,
    peak_macs_per_cycle=256,
    cycles=2000,
    array_cycles=900,
    host_seconds=0.0,
    macs=128_000,
    lower_bound_cycles=1000,
    stalls={"compute": 900, "dma_wait": 1100},
    dram_read_bytes=3 << 20,
    dram_write_bytes=512,
    energy_by_component={"dram": 3e-6, "mac": 1e-6},
    layers=(
        layer("conv1", 1200, {"compute": 200, "dma_wait": 1000}, 64_000),
        layer("a/very/long/name/that/no/narrow/terminal/can/hold/Conv_77", 800, {"compute": 700, "dma_wait": 100}),
    ),
    check=Check("reference", 5000, 0, 0),
)


def test_the_summary_states_latency_rate_share_and_verdict() -> None:
    text = render(RESULT)
    assert "2.000 us (2,000 cycles), 1,000,000 frames/s" in text
    assert "dma_wait 55.0 % (1,100), compute 45.0 % (900)" in text
    assert "25.0 % of the array" in text
    assert "4.000 uJ, 2.000 W on average, 64.00 GOPS/W" in text
    assert "reference: 5,000 integers compared, 0 differ" in text


def test_each_layer_says_what_bounds_it() -> None:
    rows = [line.split() for line in render(RESULT).splitlines()]
    conv1 = next(row for row in rows if row[:1] == ["conv1"])
    assert "dma_wait" in conv1
    assert "1,200" in conv1


@pytest.mark.parametrize("width", [40, 60, 80, 100, 120, 200])
def test_no_line_is_wider_than_the_terminal(width: int) -> None:
    lines = render(RESULT, width).splitlines()
    assert max(map(len, lines)) <= width
    assert any("1,200" in line for line in lines), "the cycles survive any width"
    assert any("Conv_77" in line for line in lines), "a long name keeps its end"


def test_a_file_gets_no_escape_codes_and_a_terminal_does() -> None:
    assert "\x1b" not in render(RESULT)
    assert "\x1b" in render(RESULT, 120, color=True)


def test_differences_and_host_work_are_listed() -> None:
    ledger = Ledger("conv1", 100, 3, 2, {-1: 2, 2: 1}, "float convolution")
    result = replace(
        RESULT,
        check=Check("ort", 100, 3, 2, ledger=(ledger,)),
        host_ops=(HostOp("nms", "NonMaxSuppression", "no layer expresses it", 2e-3),),
        host_seconds=2e-3,
        accuracy=Accuracy({"y": 31.25}, {"conv1": 28.5, "conv2": 40.0}),
    )
    text = render(result)
    assert "ort: 100 integers compared, 3 differ, by at most 2" in text
    assert "conv1: 3 of 100 differ (-1: 2, 2: 1) float convolution" in text
    assert "nms (NonMaxSuppression) 2.000 ms: no layer expresses it" in text
    assert "y 31.2 dB; lowest conv1 28.5 dB" in text
    assert not result.check.passed


def test_json_has_the_documented_keys_and_parts_sum_to_totals() -> None:
    found = RESULT.to_json()
    documented = (
        "model chip dataflow cycles array_cycles seconds macs utilization lower_bound_cycles stalls dram_bytes energy_j"
        " check host_ops layers"
    )
    assert set(documented.split()) <= set(found)
    assert {"oracle", "elements", "mismatches", "max_lsb"} <= set(found["check"])
    per_layer = "name op cycles stalls energy_j dram_bytes utilization lower_bound_cycles dataflow tile"
    assert set(per_layer.split()) <= set(found["layers"][0])
    assert sum(found["energy_j"]["by_component"].values()) == found["energy_j"]["total"]
    assert sum(found["stalls"].values()) == found["cycles"]


def test_an_infinite_ratio_is_null_in_json() -> None:
    result = replace(RESULT, accuracy=Accuracy({"y": math.inf}, {"y": math.inf, "conv1": 20.0}))
    found = json.loads(json.dumps(result.to_json(), allow_nan=False))
    assert found["accuracy"] == {"outputs": {"y": None}, "layers": {"y": None, "conv1": 20.0}}
    assert "y inf dB; lowest conv1 20.0 dB" in render(result)


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0 s"), (0.00123456, "1.235 ms"), (999.96e-6, "1.000 ms"), (12.5, "12.50 s"), (1e-15, "0.001 ps")],
)
def test_quantities_choose_their_prefix_after_rounding(value: float, text: str) -> None:
    assert quantity(value, "s") == text


def test_small_shares_do_not_look_like_nothing() -> None:
    assert percent(1, 100_000) == "<0.1 %"
    assert percent(0, 5) == "0.0 %"
    assert byte_text(1023) == "1,023 B"
    assert byte_text(1536) == "1.500 KiB"
