"""The literal benchmark runs, and its array's sums and cycles are those that it is held to."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.literal import main, measure, rows_of


def test_a_small_network_is_measured() -> None:
    found = measure("alexnet", 16, 1, tiny=True)
    assert (found.network, found.side) == ("alexnet", 16)
    assert found.cycles > found.instructions > 0
    assert found.rate == pytest.approx(found.cycles * 256 / found.seconds / 1e9)
    assert rows_of([found])[1][:2] == ["alexnet", "16x16"]


def test_figures_are_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["mlp", "--tiny", "--rounds", "1", "--json", str(tmp_path / "out.json")])
    assert "32x32" in capsys.readouterr().out
    assert (tmp_path / "out.json").read_text().count('"network": "mlp"') == 2
