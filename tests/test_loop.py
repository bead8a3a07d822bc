"""Steps in a loop: states really feed back, sampling follows the shares, the price is the step's times the steps."""

from __future__ import annotations

import numpy as np
import pytest

import accelc
from accelc.errors import InputError
from accelc.loop import sampler

STATES = {f"state{k}": f"next{k}" for k in (1, 2, 3)}


@pytest.fixture(scope="module")
def step() -> accelc.Program:
    return accelc.compile("char_rnn", tiny=True)


def first(program: accelc.Program) -> dict[str, np.ndarray]:
    return {port.name: np.zeros(port.shape, port.dtype) for port in program.inputs}


def test_steps_are_runs_by_hand(step: accelc.Program) -> None:
    given = first(step)
    steps = step.run_steps(given, {**STATES, "character": sampler("prob", temperature=0)}, 4)
    for index in range(4):
        run = step.run(given)
        for name, values in run.outputs.items():
            assert np.array_equal(steps.outputs[name][index], values)
        given = {**{s: run.outputs[n] for s, n in STATES.items()}, "character": run.outputs["prob"].argmax(-1)}


def test_each_step_costs_what_one_run_costs(step: accelc.Program) -> None:
    steps, run = step.run_steps(first(step), STATES, 3), step.run(first(step))
    assert (steps.count, steps.cycles) == (3, 3 * run.cycles)
    assert steps.seconds == pytest.approx(3 * run.seconds)
    assert steps.energy_j == pytest.approx(3 * run.energy_j)


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0])
def test_sampling_follows_the_shares(temperature: float) -> None:
    shares = np.float32([0.5, 0.3, 0.2, 0.0])
    drawn = sampler("p", temperature=temperature, seed=3)({"p": np.tile(shares, (20_000, 1))})
    wanted = shares ** (1 / temperature)
    assert np.bincount(drawn, minlength=4) / 20_000 == pytest.approx(wanted / wanted.sum(), abs=0.015)


def test_names_that_are_not_there(step: accelc.Program) -> None:
    with pytest.raises(InputError, match="'nothing', which is not an input"):
        step.run_steps(first(step), {"nothing": "prob"}, 1)
    with pytest.raises(InputError, match="'nothing', which is not an output"):
        step.run_steps(first(step), {"state1": "nothing"}, 1)
    with pytest.raises(InputError, match="steps=0"):
        step.run_steps(first(step), STATES, 0)
    with pytest.raises(InputError, match="temperature=-1"):
        sampler("prob", temperature=-1)
