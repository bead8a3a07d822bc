"""The comparison as plain immutable values: every run, each layer's winners, and what is needed to do it all again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from accelc.chip import Chip
from accelc.report.result import LayerResult, Result

if TYPE_CHECKING:
    from pathlib import Path

BEST = "auto"  # the dataflow that lets the scheduler choose layer by layer; reports call it "best per layer"


@dataclass(frozen=True)
class LayerRow:
    """One layer of one run: its figures, its event counts, and its energy by component in joules."""

    layer: LayerResult
    seconds: float
    events: Mapping[str, int]
    energy_by_component: Mapping[str, float]


@dataclass(frozen=True)
class TensorPlace:
    """Where an activation lies: `dram`, on chip, or as a `view` in another tensor.

    On chip it is made and used up tile by tile (`chip`), or held: whole (`held`) or a band of rows at a time (`bands`).
    `first` and `last` name the layers between which it is alive.
    """

    name: str
    place: str
    bytes: int
    first: str
    last: str


@dataclass(frozen=True)
class Residency:
    """What of a model's data lies in DRAM: constants, activations (the span they take, their peak), each tensor."""

    constant_bytes: int
    activation_bytes: int
    peak_live_bytes: int
    tensors: tuple[TensorPlace, ...]


@dataclass(frozen=True, eq=False)
class RunRow:
    """One model on one chip under one dataflow; `key` is unique in a comparison.

    `source` is the model as it was given (a zoo name or a path); `command` repeats the run.
    """

    key: str
    model: str
    chip: str
    dataflow: str
    source: str
    command: str
    result: Result
    layers: tuple[LayerRow, ...]
    events: Mapping[str, int]
    instructions: int
    residency: Residency

    @property
    def edp_js(self) -> float:
        """Return the product of energy and latency in joule-seconds."""
        return self.result.energy_j * self.result.seconds

    @property
    def dram_bytes(self) -> int:
        """Return the bytes read from and written to DRAM, whole bursts."""
        return self.result.dram_read_bytes + self.result.dram_write_bytes

    @property
    def dataflow_text(self) -> str:
        """Return the dataflow as reports name it."""
        return "best per layer" if self.dataflow == BEST else self.dataflow

    @property
    def label(self) -> str:
        """Return the chip and the dataflow."""
        return f"{self.chip} {self.dataflow_text}"


@dataclass(frozen=True)
class NotRun:
    """A combination that was left out, and why."""

    model: str
    chip: str
    dataflow: str
    reason: str


@dataclass(frozen=True)
class Loss:
    """How far a run lies behind the winner of a layer: the ratio of the two figures, and the main reason as text."""

    run: str
    value: float
    ratio: float
    cause: str
    reason: str


@dataclass(frozen=True)
class Winner:
    """The best run of one layer by `metric` (`latency` in s or `energy` in J) among the runs of a scope.

    `scope` is a chip's name, whose dataflows compete, or "all chips", where each chip's fastest run does.
    """

    model: str
    layer: str
    op: str
    scope: str
    metric: str
    run: str
    value: float
    losses: tuple[Loss, ...]


@dataclass(frozen=True)
class Figure:
    """One value of an energy table: its unit, what it is per, its source, and how sure it is."""

    table: str
    name: str
    value: float
    unit: str
    per: str
    source: str
    confidence: str


@dataclass(frozen=True, eq=False)
class ChipFacts:
    """A compared chip; `rates` give picojoules by component for one of each event, `passing_w` and `host_w` watts.

    `passing_w` are the powers that cost energy by time alone: clock network and leakage.
    """

    chip: Chip
    rates: Mapping[str, Mapping[str, float]]
    passing_w: Mapping[str, float]
    host_w: float

    @property
    def peak_ops(self) -> float:
        """Return the peak rate of the array in operations a second, two for each multiply-accumulate."""
        return 2 * self.chip.peak_macs_per_cycle * self.chip.clock_mhz * 1e6

    @property
    def dram_bytes_per_second(self) -> float:
        """Return the peak rate of the DRAM bus."""
        return self.chip.dram_bytes_per_cycle * self.chip.clock_mhz * 1e6


@dataclass(frozen=True)
class Environment:
    """What the figures depend on besides models and chips: the command, its seed and objective, and versions."""

    command: str
    seed: int
    objective: str
    versions: Mapping[str, str]


@dataclass(frozen=True, eq=False)
class Comparison:
    """Runs of models on chips under dataflows, side by side."""

    models: tuple[str, ...]
    chips: tuple[ChipFacts, ...]
    runs: tuple[RunRow, ...]
    not_run: tuple[NotRun, ...]
    winners: tuple[Winner, ...]
    figures: tuple[Figure, ...]
    environment: Environment

    def run(self, key: str) -> RunRow:
        """Return the run of a key."""
        return next(run for run in self.runs if run.key == key)

    def runs_of(self, model: str) -> tuple[RunRow, ...]:
        """Return the runs of a model."""
        return tuple(run for run in self.runs if run.model == model)

    @property
    def passed(self) -> bool:
        """Return whether no integer of any checked run differs from its oracle."""
        return all(run.result.check.passed for run in self.runs)

    def to_json(self) -> dict[str, object]:
        """Return everything as plain values; the layout of a run extends that of `accelc run --json`."""
        from accelc.comparison.export import to_json

        return to_json(self)

    def html(self) -> str:
        """Return the report as one HTML page that needs no other file."""
        from accelc.comparison.html import render

        return render(self)

    def write(self, directory: str | Path, *, force: bool = False) -> Path:
        """Write report.html, report.json, runs.csv and layers.csv into a directory and return it."""
        from accelc.comparison.write import write

        return write(self, directory, force=force)
