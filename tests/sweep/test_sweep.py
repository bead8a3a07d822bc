"""A sweep: every point once, each as `accelc run` has it; taken up again where it was left; wrong files are refused."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from accelc.chip import load_chip
from accelc.chip.override import override
from accelc.compiler import Options, compile_stages
from accelc.errors import ChipError, InputError
from accelc.run import run_compiled
from accelc.sweep import run as under_way
from accelc.sweep.run import read_rows, sweep
from accelc.sweep.spec import Point, read_spec
from accelc.sweep.work import evaluate
from tests.cli import CommandLine

SPEC = """
models = ["alexnet", "mlp"]
[options]
tiny = true
objective = ["latency", "energy"]
[grid]
array.rows = [8, 32]
buffers.act.bytes = [65536, 131072]
[[points]]
"array.cols" = 8
[[points]]
"array.cols" = 16
"vector.lanes" = 16
"""


@pytest.fixture
def accelc(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> CommandLine:
    monkeypatch.chdir(tmp_path)
    return CommandLine(capsys, monkeypatch)


def spec(folder: Path, text: str = SPEC) -> Path:
    path = folder / "spec.toml"
    path.write_text(text)
    return path


def test_the_points_are_every_combination_once_a_model_after_the_other(tmp_path: Path) -> None:
    points = read_spec(spec(tmp_path))
    assert len(points) == len({point.key for point in points}) == 2 * 2 * 4 * 2
    assert [point.model for point in points] == ["alexnet"] * 16 + ["mlp"] * 16
    assert points[0].changes == {"array.cols": 8, "array.rows": 8, "buffers.act.bytes": 65536}
    assert points[4].changes["vector.lanes"] == 16
    assert points[0].options == {"tiny": True, "objective": "latency"}


def test_a_point_has_the_figures_of_a_run_of_its_own() -> None:
    """The front half is shared between chips and the chip is changed in place; neither may show in a figure."""
    changes = {"array.rows": 16, "array.cols": 8, "dma.bytes_per_cycle": 8}
    evaluate(Point("alexnet", "edge", {}, {"tiny": True}))
    found = evaluate(Point("alexnet", "edge", changes, {"tiny": True, "objective": "energy"}))
    compiled = compile_stages("alexnet", override(load_chip("edge"), changes), Options(tiny=True, objective="energy"))
    wanted = run_compiled(compiled, values=False).result.to_json()
    assert found["instructions"] == len(compiled.finished.words)
    same = [name for name in found if name in wanted and name not in ("model", "chip")]
    assert len(same) == 10
    assert {name: found[name] for name in same} == {name: wanted[name] for name in same}


def test_a_front_half_is_compiled_once_for_many_chips(monkeypatch: pytest.MonkeyPatch) -> None:
    from accelc.sweep import work

    made: list[object] = []

    def counted(*args: object, **options: object) -> object:
        made.append(args)
        return compile_stages(*args, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(work, "compile_stages", counted)
    work._front.cache_clear()
    rows = [evaluate(Point("mlp", "edge", {"array.rows": n}, {"tiny": True, "residency": n > 8})) for n in (4, 8, 16)]
    assert len(made) == 1
    assert len({row["cycles"] for row in rows}) > 1


def test_what_is_written_is_not_run_again_and_a_cut_line_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    points, output = (
        [Point("mlp", "edge", {"array.rows": n}, {"tiny": True}) for n in (8, 16, 32)],
        tmp_path / "o.jsonl",
    )
    rows = sweep(points, output, jobs=2, progress=lambda _: None)
    assert [row["changes"] for row in rows] == [point.changes for point in points]
    lines = output.read_text().splitlines()
    output.write_text("\n".join([lines[0], lines[1], lines[2][:50]]))
    asked: list[int] = []
    true = under_way._results
    monkeypatch.setattr(under_way, "_results", lambda e, todo, tell: (asked.append(len(todo)), true(e, todo, tell))[1])
    assert sweep(points, output, jobs=2, progress=lambda _: None) == rows
    assert asked == [1]
    assert sorted(output.read_text().splitlines()) == sorted(lines)
    assert sweep(points, output, jobs=2, progress=lambda _: None) == rows
    assert asked == [1], "nothing is left to do"


def test_an_interrupt_keeps_the_rows_that_are_done(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    points, output = [Point("mlp", "edge", {"array.rows": n}, {"tiny": True}) for n in (8, 16)], tmp_path / "o.jsonl"

    def stop(step: str) -> None:
        if step.startswith("1 of"):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        sweep(points, output, jobs=1, progress=stop)
    assert list(read_rows(output)) == [points[0].key]


def test_a_chip_against_a_rule_is_a_row_that_says_so(accelc: CommandLine, tmp_path: Path) -> None:
    text = 'models = ["mlp"]\n[options]\ntiny = true\n[grid]\nbuffers.act.bytes = [1000, 65536]\n'
    out = accelc.ok("sweep", spec(tmp_path, text), "--jobs", "1")
    rows = [json.loads(line) for line in Path("spec.jsonl").read_text().splitlines()]
    assert [row.get("failed") for row in rows if "failed" in row] == [
        "chip 'edge' with buffers.act.bytes=1000: buffers.act: bytes=1000 must be a multiple of 64 times banks=16"
    ]
    assert "2 points, 1 of them without figures" in out
    assert "fastest: mlp on edge buffers.act.bytes=65536" in out


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("models = ", "is not TOML"),
        ("models = []", "models=[] must be a list of names or paths, at least one"),
        ('models = ["mlp"]\nmodel = 1', "unknown key 'model'; there are models, chips, grid, points, options"),
        ('models = ["mlp"]\n[grid]\narray.row = [1]', "chip 'edge' has no parameter 'array.row'; there are"),
        ('models = ["mlp"]\n[grid]\narray.rows = 8', "grid: array.rows=8 must be a list of values"),
        ('models = ["mlp"]\n[options]\nspeed = 1', "options: unknown key 'speed'"),
        ('models = ["mlp"]\n[options]\nbatch = "1"', "options: batch='1' must be of type int"),
        ('models = ["mlp"]\nchips = ["nowhere.toml"]', "chip 'nowhere.toml' is neither a file nor a shipped chip"),
        ('models = ["mlp"]\n[options]\nobjective = "fast"', "options: objective='fast' is unknown; known: latency"),
        ('models = ["mlp"]\n[options]\nbatch = 0', "options: batch=0 must be at least 1"),
        ('models = ["mlp"]\n[options]\nseed = [3, -1]', "options: seed=-1 must be at least 0"),
        ('models = ["mlp"]\n[grid]\nvector = [1]', "'vector' is a section; its parameters are vector.function_cycles"),
        ('models = ["mpl"]', "'mpl' is neither a file nor a network of the zoo; did you mean mlp?"),
    ],
)
def test_a_wrong_file_is_one_message(accelc: CommandLine, tmp_path: Path, text: str, message: str) -> None:
    finished = accelc("sweep", spec(tmp_path, text), "--jobs", "1")
    assert finished.status == 2
    assert message in finished.err
    assert "Traceback" not in finished.err
    assert not Path("spec.jsonl").exists()


def test_a_device_is_not_read_to_its_end_for_rows(accelc: CommandLine, tmp_path: Path) -> None:
    finished = accelc("sweep", spec(tmp_path), "-o", "/dev/full")
    assert finished.status == 2
    assert "cannot write '/dev/full': it is no file that could be read again" in finished.err


def test_a_file_of_something_else_is_not_written_to(accelc: CommandLine, tmp_path: Path) -> None:
    Path("notes.txt").write_text("dear diary\n")
    finished = accelc("sweep", spec(tmp_path), "-o", "notes.txt")
    assert finished.status == 2
    assert "'notes.txt' is no sweep's result: line 1 is not a row with a key" in finished.err
    assert Path("notes.txt").read_text() == "dear diary\n"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"array.rows": 0}, "chip 'edge' with array.rows=0: array.rows=0: input should be greater than or equal to 1"),
        ({"array.height": 1}, "chip 'edge' has no parameter 'array.height'"),
        ({"registers.act_entries": 1}, "chip 'edge' has no parameter 'registers.act_entries'"),
    ],
)
def test_a_wrong_change_names_the_key_or_the_rule(changes: Mapping[str, int], message: str) -> None:
    with pytest.raises(ChipError, match=message):
        override(load_chip("edge"), changes)


def test_a_change_changes_only_what_it_names() -> None:
    chip = load_chip("edge")
    assert override(chip, {}).fingerprint == chip.fingerprint
    changed = override(chip, {"array.rows": 8})
    assert changed.fingerprint != chip.fingerprint
    assert override(changed, {"array.rows": chip.array.rows}).fingerprint == chip.fingerprint


def test_a_scheduler_that_does_not_answer_is_told(accelc: CommandLine, tmp_path: Path) -> None:
    finished = accelc("sweep", spec(tmp_path), "--scheduler", "tcp://127.0.0.1:9")
    assert finished.status == 2
    assert "--scheduler" in finished.err


def test_unreadable_specs_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read"):
        read_spec(tmp_path / "missing.toml")


@pytest.mark.parametrize(
    ("send", "number", "status"), [(os.killpg, signal.SIGINT, 130), (os.kill, signal.SIGTERM, 143)], ids=["int", "term"]
)
def test_a_signal_ends_all_processes_in_silence(
    send: Callable[[int, int], None], number: int, status: int, tmp_path: Path
) -> None:
    """A terminal interrupts the command and its workers alike, `kill` the command alone; what is done stays.

    No process prints a traceback, and none is left: the end of stderr is read when the last one has closed it.
    """
    rows = ", ".join(map(str, range(1, 400)))
    path = spec(tmp_path, f'models = ["mlp"]\n[options]\ntiny = true\n[grid]\narray.rows = [{rows}]\n')
    command = [sys.executable, "-m", "accelc", "sweep", str(path), "--jobs", "2"]
    env = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=env, start_new_session=True) as process:
        assert process.stderr is not None
        while not re.match(r"\d+ of 399 points, ", line := process.stderr.readline()):
            assert line, "the sweep ended before it could be interrupted"
        send(process.pid, number)
        rest = process.stderr.read()
    assert process.returncode == status
    assert "Traceback" not in rest
    assert 0 < len(read_rows(path.with_suffix(".jsonl"))) < 399
