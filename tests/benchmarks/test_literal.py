"""The literal benchmark runs, and its array's sums and cycles are those that it is held to."""

from __future__ import annotations

from benchmarks.literal import measure


def test_a_small_network_is_measured() -> None:
    assert measure("alexnet", 16, 1, tiny=True).startswith("alexnet      16x16")
