"""The frame of the replayed tables: errors, summaries, JSON, the command, and the page in docs."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from accelc.validate import TABLES, FreeParameter, Replay, Row, names, replay, summaries
from accelc.validate.page import markdown
from accelc.validate.report import render, to_json
from tests.cli import CommandLine

DOCS = Path(__file__).parents[2] / "docs"


@pytest.fixture
def accelc(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> CommandLine:
    """The command line in this process."""
    return CommandLine(capsys, monkeypatch)


def row(published: float, ours: float, metric: str = "latency", name: str = "a") -> Row:
    return Row("made", name, metric, published, ours, "ms", "silicon")


def test_an_error_is_signed_and_in_percent_but_in_points_for_a_split() -> None:
    assert row(4.0, 3.0).error == -25.0
    assert row(4.0, 3.0).error_unit == "%"
    assert row(4.0, 3.0, "cycle_split").error == -1.0
    assert row(4.0, 3.0, "cycle_split").error_unit == "points"
    assert row(0.0, 3.0, "cycle_split").error == 3.0


def test_a_summary_holds_mean_and_worst_absolute_error_by_metric() -> None:
    found = summaries([row(4, 5, name="a"), row(4, 2, name="b"), row(10, 12, "cycle_split")])
    assert [(s.metric, s.rows, s.mean, s.worst, s.worst_row) for s in found] == [
        ("latency", 2, 37.5, -50.0, "b"),
        ("cycle_split", 1, 2.0, 2.0, "a"),
    ]


def test_json_has_the_documented_keys() -> None:
    made = Replay((row(4, 5),), (FreeParameter("k", 3, "chosen"),), ())
    found = to_json({"made": made})
    assert found["free_parameters"] == [{"table": "made", "name": "k", "value": 3, "meaning": "chosen"}]
    assert set(found["rows"][0]) >= {"table", "row", "metric", "published", "ours", "error_pct", "kind"}
    assert found["rows"][0]["error_pct"] == 25.0


def test_the_terminal_text_ends_each_metric_with_mean_and_worst_error() -> None:
    text = render({"tpu_v1": replay("tpu_v1")})
    assert "36 rows, mean absolute error" in text
    assert "free parameters: 8" in text


def test_the_command_prints_a_table_and_writes_json(accelc: CommandLine, tmp_path: Path) -> None:
    out = accelc.ok("validate", "tpu_v1", "--json", tmp_path / "t.json")
    assert "MLP0 array_active" in out
    written = json.loads((tmp_path / "t.json").read_text())
    assert {r["metric"] for r in written["rows"]} == {"cycle_split"}
    assert len(written["rows"]) == 36


def test_an_unknown_table_is_refused_with_the_known_names(accelc: CommandLine) -> None:
    message = accelc.refused("validate", "tpu_v9")
    assert "tpu_v9" in message
    assert all(name in message for name in names())


@pytest.mark.slow
@pytest.mark.parametrize("name", TABLES)
def test_every_row_names_its_table_and_has_finite_figures(name: str) -> None:
    made = replay(name)
    assert made.rows
    assert made.prose
    for r in made.rows:
        assert r.table == name
        assert abs(r.error) < 1000, r


@pytest.mark.slow
def test_the_page_in_docs_is_the_one_the_replays_give(same_file: Callable[[Path, str], None]) -> None:
    same_file(DOCS / "validation.md", markdown())
