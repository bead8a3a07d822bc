"""A run's JSON holds what its energy is made of: anyone can compute it again, and see what zeros spare."""

from __future__ import annotations

import json
from functools import cache
from typing import Any

import pytest

from accelc.compiler import Options, compile_stages
from accelc.errors import InputError
from accelc.report import render
from accelc.run import Run, run_compiled, run_program


@cache
def run_of(chip: str, values: bool = True, activity: bool = False) -> Run:
    compiled = compile_stages("alexnet", chip, Options(tiny=True))
    return run_compiled(compiled, values=values, check="none", activity=activity)


def recomputed(events: dict[str, int], activity: dict[str, Any] | None, held: dict[str, Any]) -> dict[str, float]:
    """Return joules by component of events, by the rates of the same file."""
    free = {} if activity is None else activity["spared"]
    joules: dict[str, float] = {}
    for event, count in events.items():
        for component, picojoules in held["energy_rates_pj"][event].items():
            joules[component] = joules.get(component, 0.0) + (count - free.get(event, 0)) * picojoules * 1e-12
    return joules


RUNS = [("eyeriss", True, False), ("eyeriss", False, False), ("edge", True, True)]


@pytest.mark.parametrize(("chip", "values", "activity"), RUNS)
def test_energy_is_computed_again_from_the_json_alone(chip: str, values: bool, activity: bool) -> None:
    held = json.loads(json.dumps(run_of(chip, values, activity).to_json()))
    joules = recomputed(held["events"], held["activity"], held)
    joules |= {name: watts * held["seconds"] for name, watts in held["passing_w"].items()}
    joules["host"] = held["host_w"] * held["host_seconds"]
    found = held["energy_j"]["by_component"]
    assert {name: joules.get(name, 0.0) for name in found} == pytest.approx(found, rel=1e-9)
    for layer in held["layers"]:
        again = recomputed(layer["events"], layer["activity"], held)
        parts = {name: value for name, value in layer["energy_by_component"].items() if name in again}
        assert {name: again[name] for name in parts} == pytest.approx(parts, rel=1e-9)
        assert layer["energy_j"] == pytest.approx(sum(layer["energy_by_component"].values()))


def test_layers_sum_to_the_run() -> None:
    held = run_of("eyeriss").to_json()
    for event, count in held["events"].items():
        assert sum(layer["events"][event] for layer in held["layers"]) == count
    for key in ("macs", "zero_macs"):
        assert sum(layer["activity"][key] for layer in held["layers"]) == held["activity"][key]


def test_activity_is_counted_where_the_chip_uses_it_or_it_is_asked_for() -> None:
    assert run_of("edge").result.activity is None
    assert "activity" not in render(run_of("edge").result)
    asked = run_of("edge", activity=True).result
    assert asked.energy_j == run_of("edge").energy_j, "edge gates nothing"
    assert asked.activity is not None
    assert not asked.activity.spared
    assert 0 < asked.activity.zero_mac_fraction < 1
    assert "of products zero (the array does not gate them)" in render(asked)


def test_eyeriss_pays_less_for_zeros_in_the_same_time() -> None:
    watched, blind = run_of("eyeriss").result, run_of("eyeriss", values=False).result
    assert blind.activity is None
    assert watched.cycles == blind.cycles
    assert watched.events == blind.events
    assert watched.energy_by_component["mac"] < blind.energy_by_component["mac"]
    assert watched.activity is not None
    share = 1 - watched.activity.zero_mac_fraction
    assert watched.energy_by_component["mac"] == pytest.approx(share * blind.energy_by_component["mac"])


def test_activity_without_values_is_refused() -> None:
    with pytest.raises(InputError, match="activity is counted from values"):
        run_program(run_of("edge").program, values=False, activity=True)
