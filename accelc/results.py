"""From a timeline to a Result: cycles by cause, DRAM traffic and energy, of every layer and in total."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from accelc.chip import Chip
from accelc.energy import Prices, prices_of
from accelc.energy import activity as act
from accelc.energy.rates import rates_by
from accelc.isa import events as ev
from accelc.program import LayerInfo, Program
from accelc.report.later import Later
from accelc.report.result import Accuracy, ActivityFigures, Check, CoreResult, HostOp, LayerResult, Result
from accelc.sim.counters import array_cycles_of_cores, count_events
from accelc.sim.stalls import CAUSES, mean, stalls_of_cores
from accelc.sim.timing import Timeline

Ints = npt.NDArray[np.int64]


def result_of(
    program: Program,
    chip: Chip,
    timeline: Timeline,
    check: Check,
    accuracy: Accuracy | None,
    activity: act.Activity | None = None,
) -> Result:
    """Return the figures of a run; its activity lessens the energy, no count and no cycle."""
    each = stalls_of_cores(program, chip, timeline)
    causes = mean(each)
    counts = count_events(program, chip, timeline)
    total = counts.sum(axis=0)
    whole = None if activity is None else activity.total
    host_seconds = sum(call.seconds for call in program.hosts)
    prices = prices_of(chip)
    rates = rates_by(prices)
    array_cycles = array_cycles_of_cores(timeline, chip.cores)
    cores = tuple(
        CoreResult(cycles, _by_cause(own.sum(axis=0).tolist())) for cycles, own in zip(array_cycles, each, strict=True)
    )
    return Result(
        model=program.name,
        chip=chip.name,
        dataflow=str(program.notes.get("dataflow", "auto")),
        batch=program.inputs[0].extents[0] if program.inputs else 1,
        clock_hz=chip.clock_mhz * 1e6,
        peak_macs_per_cycle=chip.peak_macs_per_cycle,
        cycles=timeline.cycles,
        array_cycles=sum(array_cycles),
        host_seconds=host_seconds,
        macs=program.macs,
        lower_bound_cycles=int(program.notes.get("lower_bound_cycles", 0)),
        lower_bound_binds=str(program.notes.get("lower_bound_binds", "")),
        lower_bound_dram_bytes=int(program.notes.get("lower_bound_dram_bytes", 0)),
        lower_bound_energy_j=float(program.notes.get("lower_bound_energy_j", 0.0)),
        stalls=_by_cause(causes.sum(axis=0).tolist()),
        dram_read_bytes=int(total[ev.DRAM_READ_BYTES]),
        dram_write_bytes=int(total[ev.DRAM_WRITE_BYTES]),
        energy_by_component=prices.energy(total, timeline.cycles, host_seconds, whole),
        layers=Later(len(program.layers), lambda: _layers(program, prices, causes, counts, activity)),
        host_ops=tuple(HostOp(call.name, call.op_type, call.reason, call.seconds) for call in program.hosts),
        check=check,
        accuracy=accuracy,
        events=_named(total.tolist()),
        energy_rates_pj=rates.pj,
        passing_w=rates.passing_w,
        host_w=rates.host_w,
        activity=_figures(chip, whole),
        cores=cores,
    )


def _layers(
    program: Program, prices: Prices, causes: Ints, counts: Ints, activity: act.Activity | None
) -> tuple[LayerResult, ...]:
    layers, paid = program.layers, counts
    rows: list[Ints | None] = [None] * len(layers)
    if activity is not None:
        rows = list(activity.layers)
        paid = counts - np.array([act.spared(prices.chip, row) for row in activity.layers])
    mine = causes[: len(layers)]
    energies = prices.energies(paid[: len(layers)], mine.sum(axis=1), _host_seconds(program))
    figures = zip(layers, mine.tolist(), _stages(program, mine), counts.tolist(), energies, rows, strict=False)
    return tuple(_layer(prices.chip, *row) for row in figures)


def _stages(program: Program, causes: Ints) -> list[list[int]]:
    """Return the cycles by cause of each layer's stage."""
    _, stage = np.unique([layer.stage for layer in program.layers], return_inverse=True)
    total = np.zeros_like(causes)
    np.add.at(total, stage, causes)
    return total[stage].tolist()  # type: ignore[no-any-return]


def _layer(
    chip: Chip,
    layer: LayerInfo,
    causes: list[int],
    stage: list[int],
    counts: list[int],
    energy: Mapping[str, float],
    activity: Ints | None,
) -> LayerResult:
    cycles = sum(causes)
    return LayerResult(
        name=layer.name,
        op=layer.op,
        source=layer.source,
        macs=layer.macs,
        cycles=cycles,
        stalls=_by_cause(causes),
        energy_j=sum(energy.values()),
        dram_bytes=counts[ev.DRAM_READ_BYTES] + counts[ev.DRAM_WRITE_BYTES],
        utilization=layer.macs / (cycles * chip.peak_macs_per_cycle) if cycles else 0.0,
        lower_bound_cycles=layer.lower_bound_cycles,
        predicted_cycles=layer.predicted_cycles,
        predicted=layer.predicted,
        stage=layer.stage,
        stage_stalls=_by_cause(stage) if layer.predicted and layer.stage >= 0 else {},
        lower_bound_dram_bytes=layer.lower_bound_dram_bytes,
        lower_bound_energy_j=layer.lower_bound_energy_j,
        dataflow=layer.dataflow,
        tile=layer.tile,
        events=_named(counts),
        energy_by_component=energy,
        activity=_figures(chip, activity),
    )


def _figures(chip: Chip, activity: Ints | None) -> ActivityFigures | None:
    """Return the figures of a row of activity [act.COLUMNS]."""
    if activity is None:
        return None
    macs, zero_macs, raw_read, raw_write, encoded_read, encoded_write = activity.tolist()
    free = {name: count for name, count in _named(act.spared(chip, activity).tolist()).items() if count}
    raw, encoded = {"read": raw_read, "write": raw_write}, {"read": encoded_read, "write": encoded_write}
    return ActivityFigures(chip.array.zero_gating, chip.dma.compression, macs, zero_macs, raw, encoded, free)


def _named(counts: list[int]) -> dict[str, int]:
    return dict(zip(ev.NAMES, counts, strict=True))


def _host_seconds(program: Program) -> npt.NDArray[np.float64]:
    """Return the seconds of each layer's calls of the host."""
    seconds = dict.fromkeys((layer.name for layer in program.layers), 0.0)
    for call in program.hosts:
        if call.name in seconds:
            seconds[call.name] += call.seconds
    return np.array([seconds[layer.name] for layer in program.layers], np.float64)


def _by_cause(cycles: list[int]) -> Mapping[str, int]:
    return dict(zip(CAUSES, cycles, strict=True))
