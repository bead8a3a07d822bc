"""The benchmark of placements finds the regions of every memory, and its page counts what it says."""

from __future__ import annotations

from benchmarks.allocation import FEW, measure, page


def test_every_memory_is_measured_with_its_live_ranges() -> None:
    rows = measure("lstm", "edge", tiny=True)
    assert [row["memory"] for row in rows] == ["DRAM", "weights"]
    assert all(len(row["lives"]) == row["regions"] and row["ours"] >= row["bound"] > 0 for row in rows)


def test_the_page_counts_placements_by_memory() -> None:
    row = {"memory": "DRAM", "regions": FEW + 1, "bound": 64, "ours": 64, "proved": True, "vela": 128}
    above = {**row, "ours": 192, "proved": False}
    written = page({"mlp edge full": [row, {**row, "regions": FEW}], "lstm edge full": [above]})
    assert "| full | `edge` | DRAM | 2 | 1 | 1 | 1 | 1 |" in written
    assert "| lstm | edge | DRAM | 3 | 64 | 192 | 128 | 3.0000 |" in written
