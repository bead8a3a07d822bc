"""The history of ratios: what counts as worse, what as noise, and that one command fills it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks import __main__ as everything
from benchmarks.curves import CURVES, Point, chart, table
from benchmarks.history import Entry, append, judge, main, read

ROOT = Path(__file__).parents[2]
HERE = {"cpu": "this one"}


def entries(*values: float, machine: dict[str, str] = HERE) -> list[Entry]:
    return [Entry(f"c{k}", machine, {"run": value}) for k, value in enumerate(values)]


@pytest.mark.parametrize(
    ("values", "worse"),
    [
        ((1.0, 1.0, 1.0, 1.11), True),
        ((1.0, 1.0, 1.0, 1.09), False),  # within a tenth
        ((1.0, 1.2, 0.8, 1.5), False),  # the spread is 0.2: noise up to 1.6
        ((1.0, 1.2, 0.8, 1.7), True),
        ((1.0, 1.0, 1.0, 0.5), False),  # better
        ((1.0, 1.0, 9.0), False),  # too few to judge
    ],
)
def test_a_ratio_is_worse_beyond_the_spread_of_the_earlier_ones(values: tuple[float, ...], worse: bool) -> None:
    (verdict,) = judge(entries(*values))
    assert verdict.worse is worse


def test_other_processors_and_ratios_without_past_are_not_held_against_one(tmp_path: Path) -> None:
    others = entries(1.0, 1.0, 1.0, machine={"cpu": "another"})
    (verdict,) = judge([*others, *entries(9.0)])
    assert verdict.limit is None
    assert judge([]) == []


def test_the_command_tells_a_regression_by_its_status(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "h.jsonl"
    assert main(["--file", str(path)]) == 0
    for entry in entries(1.0, 1.0, 1.0, 1.0):
        append(entry, path)
    assert main(["--file", str(path)]) == 0
    append(entries(2.0)[0], path)
    assert main(["--file", str(path)]) == 1
    assert "worse" in capsys.readouterr().out
    assert [entry.ratios["run"] for entry in read(path)] == [1.0, 1.0, 1.0, 1.0, 2.0]


def test_the_committed_history_can_be_read() -> None:
    assert all(entry.ratios and entry.commit and entry.machine["cpu"] for entry in read())


def test_every_part_is_a_module_and_peers_run_only_where_they_are() -> None:
    for part in everything.PARTS.values():
        assert (ROOT / "benchmarks" / f"{part.module}.py").is_file()
    plain = everything.chosen([], {"scalesim": None, "zigzag": None})
    assert {"speed", "threads", "limits", "kernels", "literal", "curves", "sweep", "allocation"} == set(plain)
    assert "scalesim" in everything.chosen([], {"scalesim": "python", "zigzag": None})
    assert everything.chosen(["zoo"], {}) == ["zoo"]


def test_a_chart_and_a_table_show_every_point() -> None:
    points = [Point("batch", n, 10**9 * n, 100 * n, 5000 * n, 1.0, 0.1 * n, 0.01 * n * n, 300.0) for n in (1, 4, 16)]
    rows = table(points)
    assert [row[0] for row in rows] == [CURVES["batch"].what, "1", "4", "16"]
    assert [row[7] for row in rows[1:]] == ["1.00", "1.00", "1.00"], "values grow as the products do"
    assert [row[8] for row in rows[1:]] == ["1.00", "4.00", "16.00"], "timing faster than the instructions"
    drawn = chart(points)
    assert drawn.count("<polyline") == 3
    assert all(f">{n}<" in drawn for n in (1, 4, 16))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("words", "keys"),
    [
        (["benchmarks.curves", "depth"], {"depth"}),
        (["benchmarks.sweep", "mlp", "--chips", "2"], {"network", "chips", "front_s", "chip_s", "most_s"}),
        (["benchmarks.limits", "mlp", "--rounds", "2"], {"rounds", "networks"}),
    ],
)
def test_each_new_part_measures(words: list[str], keys: set[str], tmp_path: Path) -> None:
    out = tmp_path / "out.json"
    subprocess.run([sys.executable, "-m", *words, "--tiny", "--json", str(out)], check=True, cwd=ROOT)
    assert set(json.loads(out.read_text())) == keys
