"""The benchmark of predictions: its network of depthwise convolutions, its means, its page."""

from __future__ import annotations

import pytest

from benchmarks.prediction import mean, measure, mobilenet_v1, page, weighted


def test_a_network_of_depthwise_convolutions_is_predicted() -> None:
    (row,) = measure("mobilenet_v1", ["edge"], tiny=True)
    assert row["stages"] == 28
    assert row["predicted"] == row["executed"]
    assert row["weighted"] == 0
    convolutions = [node for node in mobilenet_v1().graph.node if node.op_type == "Conv"]
    assert len(convolutions) == 27


def test_differences_by_hand() -> None:
    """110 for 100 and 1,800 for 2,000: 210 of 2,100 cycles; only the second is long enough for the plain mean."""
    pairs = [(110, 100), (1800, 2000)]
    assert weighted(pairs) == pytest.approx(0.1)
    assert mean(pairs) == pytest.approx(0.1)
    assert mean([*pairs, (1000, 1000)]) == pytest.approx(0.05)


def test_the_page_names_the_worst() -> None:
    row = {
        "network": "mlp", "chip": "edge", "predicted": 990, "executed": 1000, "stages": 3, "weighted": 0.01,
        "mean": 0.02, "estimated": 900, "missed_by": "dma_wait",
    }  # fmt: skip
    text = page([row, {**row, "chip": "gemmini", "predicted": 1040}])
    assert "The worst end to end, of 2, is `mlp` on `gemmini`: +4.0%." in text
    assert "off by 2.00 % of a" in text
    assert "0 of the networks are predicted" in text
    assert "1 of the networks are predicted" in page([{**row, "predicted": 997}])
    assert "| `mlp` | 1,000 | 990 | 0.990 | 1.00 % | 2.00 % | dma wait | 0.900 |" in text
