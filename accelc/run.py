"""One run of a program joined to its figures: values, time, energy, and the check of every integer."""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from accelc.chip import Chip, load_chip, shipped
from accelc.errors import ChipError, InputError, ProgramError
from accelc.program import Port, Program
from accelc.report.result import Accuracy, Check, Result
from accelc.report.terminal import render
from accelc.results import result_of
from accelc.sim.activity import Recorder
from accelc.sim.literal import Literal, literal
from accelc.sim.machine import Machine, Values
from accelc.sim.ports import integers_of
from accelc.sim.timing import Timeline, time_program

if TYPE_CHECKING:
    from accelc.compiler import Compiled

Array = npt.NDArray[Any]
Arrays = Mapping[str, Array]
Progress = Callable[[str], None]

FIDELITIES = ("fast", "literal")
MOST_THREADS = 64


@dataclass(frozen=True, eq=False)
class Run:
    """What one run computed and took; `outputs` and `integers` are empty for a run of timing alone."""

    program: Program
    chip: Chip
    timeline: Timeline
    result: Result
    outputs: Arrays
    integers: Arrays

    @property
    def cycles(self) -> int:
        """Return the chip's clock cycles."""
        return self.result.cycles

    @property
    def seconds(self) -> float:
        """Return the latency."""
        return self.result.seconds

    @property
    def energy_j(self) -> float:
        """Return the energy."""
        return self.result.energy_j

    @property
    def check(self) -> Check:
        """Return the comparison with an oracle."""
        return self.result.check

    def report(self, width: int = 120) -> str:
        """Return the table of layers and the summary as text."""
        return render(self.result, width)

    def to_json(self) -> dict[str, Any]:
        """Return the figures under the documented names."""
        return self.result.to_json()

    def write_trace(self, path: str | Path) -> None:
        """Write the timeline as a file that Perfetto opens."""
        from accelc.sim.trace import write_trace

        write_trace(path, self.program, self.chip, self.timeline)


def run_program(
    program: Program,
    inputs: Arrays | None = None,
    *,
    fidelity: str = "fast",
    values: bool = True,
    chip: str | Path | Chip | None = None,
    seed: int = 0,
    activity: bool = False,
    threads: int = 1,
) -> Run:
    """Run a program; without inputs, random ones are drawn from `seed`; without `values`, only time and energy.

    Values are computed on so many `threads`. With `activity`, and on a chip that gates zeros or codes feature maps, the
    values' activity is counted; without values there is none, and the energy is that of a run in which nothing is zero.
    """
    measured = _measures(fidelity, values)
    target = chip_of(program, chip)
    given = random_inputs(program, seed) if inputs is None and values else dict(inputs or {})
    record = literal(program, target) if measured else None
    recorder = _recorder(program, target, values, activity)
    _check_threads(threads, counted=record is not None or recorder is not None)
    computed = Machine(program, target, threads).run(given, literal=record, recorder=recorder) if values else None
    note = "a program file holds no graph to compare with" if values else "no values were computed"
    return _join(program, target, computed, Check("none", note=note), None, record, recorder)


def run_compiled(
    compiled: Compiled,
    inputs: Arrays | None = None,
    *,
    fidelity: str = "fast",
    values: bool = True,
    check: str = "reference",
    seed: int = 0,
    activity: bool = False,
    threads: int = 1,
    progress: Progress = lambda _: None,
) -> Run:
    """Run a compiled model and compare every integer with an oracle: "reference", "ort" or "none".

    `activity` and `threads` are those of `run_program`.
    """
    from accelc.check import accuracy_of, comparable
    from accelc.check import check as compare

    measured = _measures(fidelity, values)
    program = compiled.finished
    if not values:
        return run_program(program, fidelity=fidelity, values=False, chip=compiled.chip, activity=activity)
    progress("execute")
    given = random_inputs(program, seed) if inputs is None else dict(inputs)
    regions = [] if check == "none" else comparable(compiled)
    record = literal(program, compiled.chip) if measured else None
    recorder = _recorder(program, compiled.chip, values, activity)
    _check_threads(threads, counted=record is not None or recorder is not None)
    computed = Machine(program, compiled.chip, threads).run(given, regions, record, recorder)
    computed = replace(computed, dram=computed.dram[:0].copy())  # the machine's memory goes before the oracle's comes
    found = ChainMap(dict(computed.integers), computed.kept)  # type: ignore[arg-type] # it is only read
    progress(f"check against {check}")
    integers = {port.name: integers_of(port, given[port.name]) for port in program.inputs}
    checked = compare(compiled, integers, found, check, progress)
    progress("compare with the float model")
    accuracy = None if check == "none" else accuracy_of(compiled, given, found)
    progress("time")
    return _join(program, compiled.chip, computed, checked, accuracy, record, recorder)


def _measures(fidelity: str, values: bool) -> bool:
    """Return whether a fidelity measures cycles; raise InputError for one that the machine does not have."""
    if fidelity not in FIDELITIES:
        raise InputError(f"fidelity '{fidelity}' is unknown; what works: {', '.join(FIDELITIES)}")
    if fidelity == "literal" and not values:
        raise InputError("fidelity 'literal' moves values through the array: it cannot run for timing only")
    return fidelity == "literal"


def _check_threads(threads: int, *, counted: bool) -> None:
    """Raise InputError for threads that there cannot be."""
    if not 1 <= threads <= MOST_THREADS:
        raise InputError(f"{threads} threads: 1 to {MOST_THREADS} would work")
    if counted and threads > 1:
        raise InputError(f"{threads} threads: a literal array, and activity that is counted, take one")


def _recorder(program: Program, chip: Chip, values: bool, asked: bool) -> Recorder | None:
    """Return what counts a run's activity if the chip's energy depends on it or it is asked for."""
    if asked and not values:
        raise InputError("activity is counted from values: it cannot be had for timing only")
    concerned = chip.array.zero_gating or chip.dma.compression != "none"
    return Recorder(program, chip) if values and (asked or concerned) else None


def _join(
    program: Program,
    chip: Chip,
    values: Values | None,
    check: Check,
    accuracy: Accuracy | None,
    record: Literal | None,
    recorder: Recorder | None,
) -> Run:
    if record is None and recorder is None:
        timeline, alone = _figures(program, chip)
        result = replace(alone, check=check, accuracy=accuracy)
    else:
        timeline = time_program(program, chip, None if record is None else record.cycles)
        activity = None if recorder is None else recorder.activity
        result = result_of(program, chip, timeline, check, accuracy, activity)
    outputs = {} if values is None else values.outputs
    return Run(program, chip, timeline, result, outputs, {} if values is None else values.integers)


def _figures(program: Program, chip: Chip) -> tuple[Timeline, Result]:
    """Return a program's time and energy, worked out once for each chip: neither depends on values."""
    known = program.figures
    if chip.fingerprint not in known:
        timeline = time_program(program, chip)
        known[chip.fingerprint] = timeline, result_of(program, chip, timeline, Check("none"), None)
    found: tuple[Timeline, Result] = known[chip.fingerprint]
    return found


def chip_of(program: Program, chip: str | Path | Chip | None = None) -> Chip:
    """Return the chip given, or the one described in the program; raise ProgramError if the program is for another."""
    target = load_chip(chip) if chip is not None else _own_chip(program)
    if target.fingerprint != program.fingerprint:
        raise ProgramError(
            f"program '{program.name}' was compiled for chip '{program.chip}' ({program.fingerprint}), not for"
            f" '{target.name}' ({target.fingerprint}); compile it again with --chip {chip or target.name}"
        )
    return target


def _own_chip(program: Program) -> Chip:
    description = program.notes.get("chip")
    if description is not None:
        try:
            return Chip.model_validate(description)
        except ValueError as error:
            raise ChipError(f"program '{program.name}': its chip '{program.chip}' is not valid: {error}") from None
    if program.chip in shipped():
        return load_chip(program.chip)
    raise ChipError(f"program '{program.name}' is for chip '{program.chip}', which is not shipped; give its TOML file")


def random_inputs(program: Program, seed: int) -> dict[str, Array]:
    """Return inputs drawn from a seed: evenly from the span the model notes, else standard normal for float tensors.

    Integers without a span are from the whole range of 8- and 16-bit types, 0 or 1 of wider ones.
    """
    # A stream of its own: calibration samples and zoo weights are drawn from the same seed and must not be these.
    rng = np.random.default_rng((seed, 1))
    spans = program.notes.get("spans", {})
    return {port.name: _random(rng, port, spans.get(port.name)) for port in program.inputs}


def _random(rng: np.random.Generator, port: Port, span: Sequence[float] | None) -> Array:
    kind = np.dtype(port.dtype)
    if kind.kind == "f":
        low, high = span or (0.0, 0.0)
        drawn = rng.standard_normal(port.shape, np.float32) if span is None else rng.uniform(low, high, port.shape)
        return drawn.astype(kind)
    if (span is None and kind.itemsize > 2) or kind.kind == "b":
        span = (0, 2)
    if span is not None:
        return rng.integers(int(span[0]), int(span[1]), port.shape, np.int64).astype(kind)
    limits = np.iinfo(kind)
    return rng.integers(limits.min, limits.max, port.shape, kind, endpoint=True)
