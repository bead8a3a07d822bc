"""Runs of one program: what follows from program and chip alone is worked out once."""

from __future__ import annotations

import pytest

import accelc.run
from accelc.compiler import Options, compile_stages
from accelc.run import run_program
from accelc.sim.timing import time_program


def test_time_and_energy_are_worked_out_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A second image takes the figures of the first run; literal cycles are measured anew."""
    program, calls = compile_stages("mlp", "edge", Options(tiny=True)).finished, []
    monkeypatch.setattr(accelc.run, "time_program", lambda *args: calls.append(args) or time_program(*args))
    first, again = (run_program(program, seed=seed) for seed in (0, 1))
    assert len(calls) == 1
    (output,) = first.outputs
    assert (first.outputs[output] != again.outputs[output]).any()
    assert (first.cycles, first.energy_j, first.to_json()["layers"]) == (
        again.cycles, again.energy_j, again.to_json()["layers"],
    )  # fmt: skip
    assert run_program(program, fidelity="literal").cycles == first.cycles
    assert len(calls) == 2
