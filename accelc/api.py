"""The Python interface: compile a model, load a program, run it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path

from accelc import program
from accelc.chip import Chip
from accelc.compiler import Model, Options, compile_stages
from accelc.loop import Feed, Steps, run_steps
from accelc.quantize.samples import Samples
from accelc.run import Arrays, Run, run_program
from accelc.schedule.foreign import Foreign, read_by_hand
from accelc.schedule.mapping import Mapping as ByHand


class Program(program.Program):
    """A compiled model that runs: `program.run({"input": array})`."""

    @staticmethod
    def load(path: str | Path) -> Program:
        """Return the program in a file; raise ProgramError naming the damage if it is not one that can be run."""
        return Program.of(program.Program.load(path))

    @staticmethod
    def of(other: program.Program) -> Program:
        """Return a program as one that runs."""
        return Program(**{f.name: getattr(other, f.name) for f in fields(other)})

    def run(
        self,
        inputs: Arrays | None = None,
        *,
        fidelity: str = "fast",
        values: bool = True,
        chip: str | Path | Chip | None = None,
        seed: int = 0,
    ) -> Run:
        """Run on arrays by ONNX input name, or on random ones drawn from `seed`; without `values` only time it."""
        return run_program(self, inputs, fidelity=fidelity, values=values, chip=chip, seed=seed)

    def run_steps(
        self, inputs: Arrays, feed: Mapping[str, Feed], steps: int, *, chip: str | Path | Chip | None = None
    ) -> Steps:
        """Run `steps` times, inputs fed back from outputs: by name, or by a function as `accelc.sampler` makes."""
        return run_steps(self, inputs, feed, steps, chip=chip)


def compile(  # noqa: A001 - accelc.compile is the public name
    model: Model,
    chip: str | Path | Chip = "edge",
    *,
    dims: Mapping[str, int] | None = None,
    allow_host: bool = False,
    tiny: bool = False,
    batch: int = 1,
    seed: int = 0,
    samples: Samples | None = None,
    activations: str = "uint8",
    calibration: str = "minmax",
    dataflow: str = "auto",
    objective: str = "latency",
    precision: str = "int8",
    residency: bool = True,
    mapping: str | Path | ByHand | Foreign | None = None,
) -> Program:
    """Return a model (a path, a ModelProto or a zoo name) compiled for a chip (a path or a shipped name)."""
    by_hand = read_by_hand(mapping) if isinstance(mapping, (str, Path)) else mapping
    options = Options(
        dims or {},
        allow_host,
        tiny,
        batch,
        seed,
        samples,
        activations,
        calibration,
        dataflow,
        objective,
        precision,
        residency,
        by_hand,
    )
    return Program.of(compile_stages(model, chip, options).finished)
