"""A compiled step that runs again and again, its outputs fed back: sampling text, decoding, closed loops.

The step is a program of fixed size; what it reads next is chosen in Python between two runs, at no price. Each step
costs what the program costs, loads of its weights included: time is a function of program and chip alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from accelc.chip import Chip
from accelc.errors import InputError
from accelc.sim.machine import Machine

if TYPE_CHECKING:
    from accelc.program import Program

Array = npt.NDArray[Any]
Feed = str | Callable[[Mapping[str, Array]], Array]
"""Where an input's next value comes from: an output of the step before, by name, or a function of its outputs."""


@dataclass(frozen=True, eq=False)
class Steps:
    """What the steps gave, output by output with the steps along a new first axis, and what they took together."""

    outputs: Mapping[str, Array]
    count: int
    cycles: int
    seconds: float
    energy_j: float


def run_steps(
    program: Program,
    inputs: Mapping[str, Array],
    feed: Mapping[str, Feed],
    steps: int,
    *,
    chip: str | Path | Chip | None = None,
) -> Steps:
    """Run a program `steps` times; `inputs` are the first step's, `feed` says which of them change and how.

    Raises InputError for a number of steps below 1 and for inputs and outputs that the program does not have.
    """
    from accelc.run import chip_of, run_program

    if steps < 1:
        raise InputError(f"steps={steps} must be at least 1")
    _check_names(program, feed)
    target = chip_of(program, chip)
    one = run_program(program, values=False, chip=target)
    made = list(_steps(Machine(program, target), inputs, feed, steps))
    outputs = {name: np.stack([step[name] for step in made]) for name in made[0]}
    return Steps(outputs, steps, steps * one.cycles, steps * one.seconds, steps * one.energy_j)


def _check_names(program: Program, feed: Mapping[str, Feed]) -> None:
    inputs, outputs = ({port.name for port in ports} for ports in (program.inputs, program.outputs))
    for name, source in feed.items():
        if name not in inputs:
            raise InputError(f"feed names '{name}', which is not an input; inputs: {', '.join(sorted(inputs))}")
        if isinstance(source, str) and source not in outputs:
            raise InputError(
                f"feed of '{name}' names '{source}', which is not an output; outputs: {', '.join(sorted(outputs))}"
            )


def _steps(
    machine: Machine, inputs: Mapping[str, Array], feed: Mapping[str, Feed], steps: int
) -> Iterator[Mapping[str, Array]]:
    given = dict(inputs)
    for _ in range(steps):
        outputs = machine.run(given).outputs
        yield outputs
        given |= {
            name: outputs[source] if isinstance(source, str) else source(outputs) for name, source in feed.items()
        }


def sampler(output: str, *, temperature: float = 1.0, seed: int = 0) -> Callable[[Mapping[str, Array]], Array]:
    """Return a feed that draws an index from an output's probabilities (last axis) for each sample of the batch.

    At temperature 0 it takes the likeliest; otherwise p ** (1 / temperature), normalized.
    """
    if not temperature >= 0:
        raise InputError(f"temperature={temperature} must be at least 0")
    rng = np.random.default_rng(seed)

    def draw(outputs: Mapping[str, Array]) -> Array:
        shares = outputs[output].astype(np.float64)
        if temperature == 0:
            return np.asarray(shares.argmax(-1))
        weights = np.maximum(shares, 1e-300) ** (1 / temperature)
        places = np.cumsum(weights, axis=-1)
        below = places < rng.uniform(size=shares.shape[:-1])[..., None] * places[..., -1:]
        return np.asarray(below.sum(-1))

    return draw


__all__ = ["Feed", "Steps", "run_steps", "sampler"]
