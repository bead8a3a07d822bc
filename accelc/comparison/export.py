"""The comparison as plain values for JSON, and as rows for CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict
from typing import Any

from accelc.comparison.model import ChipFacts, Comparison, LayerRow, RunRow

FORMAT = "accelc compare 1"


def to_json(comparison: Comparison) -> dict[str, Any]:
    """Return everything; a run holds what `accelc run --json` writes, and more."""
    return {
        "format": FORMAT,
        "environment": asdict(comparison.environment),
        "models": list(comparison.models),
        "chips": [_chip(facts) for facts in comparison.chips],
        "runs": [_run(run) for run in comparison.runs],
        "not_run": [asdict(each) for each in comparison.not_run],
        "winners": [asdict(winner) for winner in comparison.winners],
        "energy_figures": [asdict(figure) for figure in comparison.figures],
    }


def _chip(facts: ChipFacts) -> dict[str, Any]:
    return {
        "name": facts.chip.name,
        "fingerprint": facts.chip.fingerprint,
        "peak_ops_per_second": facts.peak_ops,
        "dram_bytes_per_second": facts.dram_bytes_per_second,
        "energy_table": facts.chip.energy,
        "energy_pj_per_event": {event: dict(parts) for event, parts in facts.rates.items()},
        "passing_w": dict(facts.passing_w),
        "host_w": facts.host_w,
        "description": facts.chip.model_dump(mode="json"),
    }


def _run(run: RunRow) -> dict[str, Any]:
    figures = run.result.to_json()
    layers = [old | _layer(row) for old, row in zip(figures["layers"], run.layers, strict=True)]
    return {
        "key": run.key,
        **figures,
        "dataflow": run.dataflow,
        "edp_js": run.edp_js,
        "events": dict(run.events),
        "instructions": run.instructions,
        "residency": asdict(run.residency),
        "command": run.command,
        "layers": layers,
    }


def _layer(row: LayerRow) -> dict[str, Any]:
    return {
        "seconds": row.seconds,
        "events": dict(row.events),
        "energy_by_component": dict(row.energy_by_component),
    }


def runs_csv(comparison: Comparison) -> str:
    """Return one row per run."""
    return _csv(_run_cells(run) for run in comparison.runs)


def layers_csv(comparison: Comparison) -> str:
    """Return one row per layer and run."""
    return _csv(_layer_cells(run, row) for run in comparison.runs for row in run.layers)


def _csv(rows: Iterable[Mapping[str, Any]]) -> str:
    """Return rows under the union of their columns, in order of first appearance."""
    held = list(rows)
    columns = list(dict.fromkeys(name for row in held for name in row))
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(held)
    return text.getvalue()


def _run_cells(run: RunRow) -> dict[str, Any]:
    r = run.result
    return {
        "model": run.model,
        "chip": run.chip,
        "dataflow": run.dataflow,
        "batch": r.batch,
        "cycles": r.cycles,
        "seconds": r.seconds,
        "energy_j": r.energy_j,
        "edp_js": run.edp_js,
        "utilization": r.utilization,
        "macs": r.macs,
        "predicted_cycles": r.predicted_cycles,
        "lower_bound_cycles": r.lower_bound_cycles,
        "lower_bound_dram_bytes": r.lower_bound_dram_bytes,
        "lower_bound_energy_j": r.lower_bound_energy_j,
        "dram_read_bytes": r.dram_read_bytes,
        "dram_write_bytes": r.dram_write_bytes,
        "activation_dram_bytes": run.residency.activation_bytes,
        "peak_live_bytes": run.residency.peak_live_bytes,
        "constant_bytes": run.residency.constant_bytes,
        "host_seconds": r.host_seconds,
        "instructions": run.instructions,
        **dict(_prefixed("stall", "cycles", r.stalls)),
        **dict(_prefixed("energy", "j", r.energy_by_component)),
        **dict(_prefixed("events", "", run.events)),
        "check": r.check.oracle,
        "mismatches": r.check.mismatches,
    }


def _layer_cells(run: RunRow, row: LayerRow) -> dict[str, Any]:
    layer = row.layer
    return {
        "model": run.model,
        "chip": run.chip,
        "dataflow": run.dataflow,
        "layer": layer.name,
        "op": layer.op,
        "layer_dataflow": layer.dataflow,
        "macs": layer.macs,
        "cycles": layer.cycles,
        "seconds": row.seconds,
        "energy_j": layer.energy_j,
        "dram_bytes": layer.dram_bytes,
        "utilization": layer.utilization,
        "predicted_cycles": layer.predicted_cycles,
        "stage_cycles": layer.stage_cycles,
        "missed_by": layer.missed_by,
        "lower_bound_cycles": layer.lower_bound_cycles,
        "lower_bound_dram_bytes": layer.lower_bound_dram_bytes,
        "lower_bound_energy_j": layer.lower_bound_energy_j,
        "bound_by": layer.bound_by,
        **dict(_prefixed("stall", "cycles", layer.stalls)),
        **dict(_prefixed("energy", "j", row.energy_by_component)),
        **dict(_prefixed("events", "", row.events)),
        **dict(_prefixed("tile", "", layer.tile)),
    }


def _prefixed(prefix: str, unit: str, values: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for name, value in values.items():
        yield "_".join(part for part in (prefix, name, unit) if part), value
