"""The comparison's figures add up, its matrix is what was asked for, and its reasons follow from the figures."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest

import accelc
from accelc.chip import load_chip
from accelc.comparison.energy import recompute
from accelc.comparison.export import layers_csv, runs_csv
from accelc.comparison.matrix import plan
from accelc.comparison.model import Comparison
from accelc.comparison.residency import residency_of
from accelc.comparison.winners import METRICS
from accelc.compiler import Options, compile_stages
from accelc.energy import energy_of
from accelc.errors import InputError
from accelc.isa import events as ev
from tests.cli import CommandLine


@pytest.fixture
def cli(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> CommandLine:
    return CommandLine(capsys, monkeypatch)


def test_all_runs_every_offered_dataflow_and_what_is_asked_for_in_vain_is_listed(comparison: Comparison) -> None:
    keys = ["edge/ws", "gemmini/ws", "gemmini/os", "gemmini/auto"]
    assert [run.key for run in comparison.runs] == [f"{m} (tiny)/{k}" for m in ("resnet18", "alexnet") for k in keys]
    assert comparison.not_run == ()
    named = plan([load_chip("edge"), load_chip("gemmini")], ["ws", "os"])
    assert [(left.chip, left.dataflow) for left in named.left_out] == [("edge", "os")]


def test_cycles_by_cause_sum_to_the_cycles_of_layers_and_runs(comparison: Comparison) -> None:
    for run in comparison.runs:
        assert sum(run.result.stalls.values()) == run.result.cycles
        assert sum(row.layer.cycles for row in run.layers) == run.result.cycles
        assert all(sum(row.layer.stalls.values()) == row.layer.cycles for row in run.layers)


def test_layers_energy_and_events_sum_to_the_runs(comparison: Comparison) -> None:
    for run in comparison.runs:
        for name, joules in run.result.energy_by_component.items():
            assert sum(row.energy_by_component[name] for row in run.layers) == pytest.approx(joules, rel=1e-9)
        for name, count in run.events.items():
            assert sum(row.events[name] for row in run.layers) == count


def test_counts_times_rates_give_the_energy_again(comparison: Comparison) -> None:
    """What the report tells a reader to multiply is what the energy model did."""
    for run in comparison.runs:
        facts = next(facts for facts in comparison.chips if facts.chip.name == run.chip)
        again = recompute(facts, run.events, run.result.seconds, run.result.host_seconds)
        assert again == pytest.approx(run.result.energy_by_component, rel=1e-9)


def test_the_energy_model_is_linear_so_that_rates_describe_it() -> None:
    chip = load_chip("gemmini")
    one, two = (np.random.default_rng(k).integers(0, 1000, len(ev.NAMES)) for k in (0, 1))
    both = energy_of(chip, one + two, 7, 3.0)
    parts = energy_of(chip, one, 3, 1.0), energy_of(chip, two, 4, 2.0)
    assert both == pytest.approx({name: parts[0][name] + parts[1][name] for name in both}, rel=1e-12)


def test_a_compared_run_equals_the_same_run_alone(comparison: Comparison) -> None:
    """Compiling the front half once changes nothing."""
    program = accelc.compile("resnet18", chip="gemmini", tiny=True, dataflow="os")
    alone = program.run(values=False)
    run = comparison.run("resnet18 (tiny)/gemmini/os")
    assert (run.result.cycles, run.result.energy_j) == (alone.cycles, alone.energy_j)
    assert run.command == "accelc run resnet18 --chip gemmini --dataflow os --seed 0 --tiny --timing-only"


def test_winners_are_the_best_of_their_scope_and_the_others_have_reasons(comparison: Comparison) -> None:
    assert {w.scope for w in comparison.winners} == {"gemmini", "all chips"}
    for winner in comparison.winners:
        for key in (winner.run, *(loss.run for loss in winner.losses)):
            row = next(r for r in comparison.run(key).layers if r.layer.name == winner.layer)
            assert METRICS[winner.metric](row) >= winner.value
        assert [loss.value for loss in winner.losses] == sorted(loss.value for loss in winner.losses)
        assert all((loss.cause == "level") == (loss.value <= 1.01 * winner.value) for loss in winner.losses)
        assert all(loss.reason for loss in winner.losses)


def test_a_reason_names_the_cause_with_the_most_extra_time(comparison: Comparison) -> None:
    """For waiting, the cause can be read off the two runs' cycles on one chip."""
    seen = 0
    for winner in comparison.winners:
        for loss in winner.losses:
            if winner.metric != "latency" or winner.scope != "gemmini" or loss.cause in ("level", "idle_pes"):
                continue
            best, worse = (
                next(r.layer.stalls for r in comparison.run(key).layers if r.layer.name == winner.layer)
                for key in (winner.run, loss.run)
            )
            extra = {cause: worse[cause] - best[cause] for cause in worse}
            assert extra[loss.cause] == max(extra.values())
            seen += 1
    assert seen > 3


def test_fused_tensors_never_lie_in_dram(comparison: Comparison) -> None:
    for run in comparison.runs:
        program = accelc.compile(run.source, chip=run.chip, tiny=True, dataflow=run.dataflow)
        regions = {place.name for place in (*program.regions, *program.inputs)}
        places = {tensor.name: tensor.place for tensor in run.residency.tensors}
        assert "chip" in places.values()
        assert not regions & {name for name, place in places.items() if place in ("chip", "bands")}
        assert {name for name, place in places.items() if place in ("dram", "held")} <= regions
        on_chip = {r.name for r in program.regions if r.port is not None and r.port.space == "act"}
        assert on_chip - {name for name, place in places.items() if place == "view"} == {
            name for name, place in places.items() if place == "held"
        }
        assert run.residency.peak_live_bytes <= run.residency.activation_bytes


def test_maps_on_chip_are_told_apart_from_those_in_dram() -> None:
    done = compile_stages("resnet18", "edge")
    assert done.schedule is not None
    found = {t.name: t.place for t in residency_of(done.schedule, done.finished).tensors}
    assert set(found.values()) == {"chip", "held", "bands", "dram"}
    assert {name for name, place in found.items() if place in ("held", "bands")} == set(done.schedule.residency.places)


def test_check_computes_values_and_compares_every_integer() -> None:
    made = accelc.compare("mlp", "edge", "ws", options=Options(tiny=True), check=True)
    (run,) = made.runs
    assert run.result.check.oracle == "reference"
    assert run.result.check.elements > 0
    assert made.passed


def test_csv_and_json_hold_the_same_figures(comparison: Comparison, report: Path) -> None:
    held = json.loads((report / "report.json").read_text())
    runs = list(csv.DictReader(runs_csv(comparison).splitlines()))
    layers = list(csv.DictReader(layers_csv(comparison).splitlines()))
    assert [int(row["cycles"]) for row in runs] == [run["cycles"] for run in held["runs"]]
    assert [float(row["energy_j"]) for row in runs] == [run["energy_j"]["total"] for run in held["runs"]]
    assert [int(row["cycles"]) for row in layers] == [x["cycles"] for run in held["runs"] for x in run["layers"]]
    assert (report / "runs.csv").read_text() == runs_csv(comparison)
    assert held["environment"]["versions"]["accelc"] == accelc.__version__


def test_a_dataflow_that_no_chip_offers_is_refused() -> None:
    with pytest.raises(InputError, match="dataflow 'os' is offered by none of the chips: edge offers ws"):
        plan([load_chip("edge")], ["os"])
    with pytest.raises(InputError, match="dataflow 'xs' is unknown"):
        plan([load_chip("edge")], ["xs"])
    with pytest.raises(InputError, match="two chips are named 'edge'"):
        plan([load_chip("edge"), load_chip("edge")], ["ws"])


def test_best_is_the_automatic_choice_and_is_left_out_of_all_where_it_has_no_choice() -> None:
    edge, gemmini = load_chip("edge"), load_chip("gemmini")
    assert plan([gemmini], ["best"]).cells == ((gemmini, "auto"),)
    assert [flow for _, flow in plan([edge], ["all"]).cells] == ["ws"]
    assert [flow for _, flow in plan([edge], ["ws", "best"]).cells] == ["ws", "auto"]


def test_the_command_writes_a_report_and_refuses_foreign_directories(cli: CommandLine, tmp_path: Path) -> None:
    place, extra = tmp_path / "report", tmp_path / "copy.json"
    args = ("compare", "mlp", "--tiny", "--chips", "edge", "-o")
    said = cli.ok(*args, place, "--json", extra)
    assert said.splitlines()[-1] == str(place / "report.html")
    assert sorted(f.name for f in tmp_path.iterdir()) == ["copy.json", "report"]
    assert extra.read_bytes() == (place / "report.json").read_bytes()
    (place / "notes.txt").write_text("mine")
    cli.ok(*args, place)
    assert sorted(f.name for f in place.iterdir()) == [
        "layers.csv", "notes.txt", "report.html", "report.json", "runs.csv"]  # fmt: skip
    foreign = tmp_path / "foreign"
    foreign.mkdir()
    (foreign / "thesis.tex").write_text("mine")
    assert "holds files that are no report" in cli.refused(*args, foreign)
    cli.ok(*args, foreign, "--force")
    assert (foreign / "thesis.tex").read_text() == "mine"


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (("mlp", "--chips", "edge", "--dataflows", "os"), "offered by none of the chips"),
        (("mlp", "--chips", "egde"), "neither a file nor a shipped chip"),
        (("reznet18",), "did you mean"),
        (("mlp", "--chips", ","), "names nothing"),
        (("mlp", "--dim", "N"), "NAME=N"),
    ],
)
def test_bad_input_is_one_line_and_leaves_nothing(
    cli: CommandLine, tmp_path: Path, args: tuple[str, ...], said: str
) -> None:
    finished = cli("compare", *args, "-o", tmp_path / "report")
    assert finished.status == 2
    assert said in finished.err.splitlines()[-1]
    assert not list(tmp_path.iterdir())
