"""What a run found, as plain immutable values: the totals, each layer, the check; every report is drawn from these."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True)
class ActivityFigures:
    """What a run's values say of its energy: multiply-accumulates with a zero activation, feature maps' bytes in DRAM.

    `spared` are the events, of those counted, that cost the chip nothing, by its `zero_gating` and its `compression`;
    bytes are negative where a code is longer than what it stands for.
    """

    zero_gating: bool
    compression: str

    macs: int
    zero_macs: int
    raw_bytes: Mapping[str, int]
    encoded_bytes: Mapping[str, int]
    spared: Mapping[str, int]

    @property
    def zero_mac_fraction(self) -> float:
        """Return the share of the multiply-accumulates whose activation is zero."""
        return self.zero_macs / self.macs if self.macs else 0.0

    def to_json(self) -> dict[str, Any]:
        """Return the figures under the documented names."""
        return {"zero_mac_fraction": self.zero_mac_fraction, **asdict(self)}


@dataclass(frozen=True)
class LayerResult:
    """One layer of a run; `stalls` splits its cycles by cause and sums to them, `dram_bytes` are read plus written.

    `predicted_cycles` are those expected of the stage that the layer opens, with all layers of it, `predicted` the same
    by cause, and `stage_stalls` what that stage took. Layers of one `stage` share their tiles.
    """

    name: str
    op: str
    source: tuple[str, ...]
    macs: int
    cycles: int
    stalls: Mapping[str, int]
    energy_j: float
    dram_bytes: int
    utilization: float
    lower_bound_cycles: int
    dataflow: str
    tile: Mapping[str, int]
    events: Mapping[str, int] = field(default_factory=dict)
    energy_by_component: Mapping[str, float] = field(default_factory=dict)
    activity: ActivityFigures | None = None
    predicted_cycles: int = 0
    predicted: Mapping[str, int] = field(default_factory=dict)
    stage: int = -1
    stage_stalls: Mapping[str, int] = field(default_factory=dict)
    lower_bound_dram_bytes: int = 0
    lower_bound_energy_j: float = 0.0

    @property
    def stage_cycles(self) -> int:
        """Return the cycles of the stage that the layer opens, 0 if it opens none."""
        return sum(self.stage_stalls.values())

    @property
    def missed_by(self) -> str:
        """Return the cause by which the stage took most more, or less, than predicted; none without a prediction."""
        return missed_cause(self.predicted, self.stage_stalls) if self.predicted else ""

    @property
    def bound_by(self) -> str:
        """Return the cause that took the most cycles; a layer whose work lies in others' shadow takes none."""
        return max(self.stalls, key=lambda cause: self.stalls[cause]) if self.cycles else "hidden"


ARRAY_CAUSES = ("compute", "fill_drain", "weight_load")  # what a prediction calls the array's


def missed_cause(predicted: Mapping[str, int], stalls: Mapping[str, int]) -> str:
    """Return the cause whose cycles differ most between a prediction and a run, "exact" if none differs."""
    real = {cause: cycles for cause, cycles in stalls.items() if cause not in ARRAY_CAUSES}
    real["array"] = sum(stalls.get(cause, 0) for cause in ARRAY_CAUSES)
    gaps = {cause: abs(real.get(cause, 0) - predicted.get(cause, 0)) for cause in {**real, **predicted}}
    cause = max(gaps, key=lambda name: gaps[name])
    return cause if gaps[cause] else "exact"


@dataclass(frozen=True)
class CoreResult:
    """One core of a run: the cycles in which its array was busy, and the run's cycles by cause as it spent them."""

    array_cycles: int
    stalls: Mapping[str, int]


@dataclass(frozen=True)
class HostOp:
    """An operator that ran on the host, with the reason and its price in seconds."""

    name: str
    op: str
    reason: str
    seconds: float


@dataclass(frozen=True)
class Ledger:
    """One tensor that differs from the oracle: how many elements do, by how much at most, how many at each distance."""

    tensor: str
    elements: int
    mismatches: int
    max_lsb: int
    histogram: Mapping[int, int]
    cause: str = ""


@dataclass(frozen=True)
class Distance:
    """What differs from a result that is no oracle, such as a QDQ model's in ONNX Runtime at one optimization level."""

    source: str
    ledger: tuple[Ledger, ...]


@dataclass(frozen=True)
class Check:
    """The comparison with an oracle: integers compared, integers that differ, the largest difference.

    `distances` are told, not judged.
    """

    oracle: str
    elements: int = 0
    mismatches: int = 0
    max_lsb: int = 0
    note: str = ""
    ledger: tuple[Ledger, ...] = ()
    distances: tuple[Distance, ...] = ()

    @property
    def passed(self) -> bool:
        """Return whether no integer differs (true also when nothing was compared)."""
        return self.mismatches == 0


@dataclass(frozen=True)
class Accuracy:
    """Signal to quantization noise of the quantized model against the float one, in dB: at each output and layer."""

    outputs: Mapping[str, float]
    layers: Mapping[str, float]


@dataclass(frozen=True)
class Result:
    """The figures of one run; `seconds` include the host, `cycles` count the chip's clock.

    With several cores, `stalls` are the mean over them, `array_cycles` the sum.
    """

    model: str
    chip: str
    dataflow: str
    batch: int
    clock_hz: float
    peak_macs_per_cycle: int
    cycles: int
    array_cycles: int
    host_seconds: float
    macs: int
    lower_bound_cycles: int
    stalls: Mapping[str, int]
    dram_read_bytes: int
    dram_write_bytes: int
    energy_by_component: Mapping[str, float]
    layers: Sequence[LayerResult]
    host_ops: tuple[HostOp, ...] = ()
    check: Check = field(default_factory=lambda: Check("none"))
    accuracy: Accuracy | None = None
    events: Mapping[str, int] = field(default_factory=dict)
    energy_rates_pj: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    passing_w: Mapping[str, float] = field(default_factory=dict)
    host_w: float = 0.0
    activity: ActivityFigures | None = None
    lower_bound_binds: str = ""
    lower_bound_dram_bytes: int = 0
    cores: tuple[CoreResult, ...] = ()
    lower_bound_energy_j: float = 0.0

    @property
    def predicted(self) -> Mapping[str, int]:
        """Return the predicted cycles by cause, all stages together."""
        found: dict[str, int] = {}
        for layer in self.layers:
            for cause, cycles in layer.predicted.items():
                found[cause] = found.get(cause, 0) + cycles
        return found

    @property
    def predicted_cycles(self) -> int:
        """Return the cycles expected, all stages together."""
        return sum(layer.predicted_cycles for layer in self.layers)

    @property
    def seconds(self) -> float:
        """Return the latency of the whole batch."""
        return self.cycles / self.clock_hz

    @property
    def utilization(self) -> float:
        """Return the share of the array's multiply-accumulates that did work, over the chip's cycles."""
        return self.macs / (self.cycles * self.peak_macs_per_cycle) if self.cycles else 0.0

    @property
    def energy_j(self) -> float:
        """Return the energy of the whole batch."""
        return sum(self.energy_by_component.values())

    def to_json(self) -> dict[str, Any]:
        """Return the figures under the names that scripts rely on (see docs/tutorial.md)."""
        return {
            "model": self.model,
            "chip": self.chip,
            "dataflow": self.dataflow,
            "batch": self.batch,
            "cycles": self.cycles,
            "array_cycles": self.array_cycles,
            "seconds": self.seconds,
            "host_seconds": self.host_seconds,
            "macs": self.macs,
            "utilization": self.utilization,
            "lower_bound_cycles": self.lower_bound_cycles,
            "lower_bound_binds": self.lower_bound_binds,
            "lower_bound_dram_bytes": self.lower_bound_dram_bytes,
            "lower_bound_energy_j": self.lower_bound_energy_j,
            "predicted_cycles": self.predicted_cycles,
            "predicted": dict(self.predicted),
            "stalls": dict(self.stalls),
            "cores": [asdict(core) for core in self.cores],
            "dram_bytes": {"read": self.dram_read_bytes, "write": self.dram_write_bytes},
            "energy_j": {"total": self.energy_j, "by_component": dict(self.energy_by_component)},
            "events": dict(self.events),
            "energy_rates_pj": {event: dict(parts) for event, parts in self.energy_rates_pj.items()},
            "passing_w": dict(self.passing_w),
            "host_w": self.host_w,
            "activity": _activity_json(self.activity),
            "check": _check_json(self.check),
            "accuracy": None if self.accuracy is None else _accuracy_json(self.accuracy),
            "host_ops": [asdict(op) for op in self.host_ops],
            "layers": [_layer_json(layer) for layer in self.layers],
        }


def _layer_json(layer: LayerResult) -> dict[str, Any]:
    words = {"bound_by": layer.bound_by, "missed_by": layer.missed_by, "stage_cycles": layer.stage_cycles}
    return asdict(layer) | words | {"activity": _activity_json(layer.activity)}


def _activity_json(activity: ActivityFigures | None) -> dict[str, Any] | None:
    return None if activity is None else activity.to_json()


def _check_json(check: Check) -> dict[str, Any]:
    return asdict(check) | {"passed": check.passed}


def _accuracy_json(accuracy: Accuracy) -> dict[str, dict[str, float | None]]:
    """Return the ratios with null for an infinite one, which JSON cannot hold: nothing differs, or nothing is left."""
    finite = math.isfinite
    parts = {"outputs": accuracy.outputs, "layers": accuracy.layers}
    return {key: {n: db if finite(db) else None for n, db in part.items()} for key, part in parts.items()}
