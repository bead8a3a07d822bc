"""Who wins each layer, and why the others do not: what they waited for, left idle or moved more often.

A layer's latency is the cycles charged to it, so work hidden behind another layer's costs it nothing. Between two runs
that differ by less than a percent there is no reason to give: they are said to be level.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from accelc.chip import Chip
from accelc.comparison.model import BEST, LayerRow, Loss, RunRow, Winner
from accelc.report.units import byte_text, percent, quantity

ALL_CHIPS = "all chips"
LEVEL = 1.01
RE_READ = 1.1  # moving a tenth more than the winner is worth a word

METRICS: Mapping[str, Callable[[LayerRow], float]] = {
    "latency": lambda row: row.seconds,
    "energy": lambda row: sum(row.energy_by_component.values()),
}


@dataclass(frozen=True, eq=False)
class Entrant:
    """One run's row of the layer in question, with the array it ran on."""

    run: RunRow
    row: LayerRow

    @property
    def ideal_s(self) -> float:
        """Return the time of the layer's multiply-accumulates with every PE busy."""
        return self.row.layer.macs / (self.run.result.peak_macs_per_cycle * self.run.result.clock_hz)

    def waits(self) -> dict[str, float]:
        """Return the layer's seconds by cause; computing is split into the ideal and what idle PEs add."""
        clock = self.run.result.clock_hz
        parts = {cause: cycles / clock for cause, cycles in self.row.layer.stalls.items()}
        compute = parts.pop("compute", 0.0)
        return {"array_peak": self.ideal_s, "idle_pes": compute - self.ideal_s, **parts}


def winners_of(runs: Sequence[RunRow], chips: Sequence[Chip]) -> Iterator[Winner]:
    """Yield the winners: of each chip's dataflows, and of the chips by their fastest runs."""
    for model in dict.fromkeys(run.model for run in runs):
        mine = [run for run in runs if run.model == model]
        by_chip = {chip.name: [run for run in mine if run.chip == chip.name] for chip in chips}
        for name, rivals in by_chip.items():
            yield from _of_scope([run for run in rivals if run.dataflow != BEST], name)
        fastest = [min(rivals, key=lambda run: run.result.seconds) for rivals in by_chip.values() if rivals]
        yield from _of_scope(fastest, ALL_CHIPS)


def _of_scope(runs: Sequence[RunRow], scope: str) -> Iterator[Winner]:
    if len(runs) < 2:
        return
    rows = [{row.layer.name: row for row in run.layers} for run in runs]
    for name in rows[0]:
        entrants = [Entrant(run, mine[name]) for run, mine in zip(runs, rows, strict=True) if name in mine]
        for metric in METRICS:
            yield _winner(entrants, scope, metric)


def _winner(entrants: Sequence[Entrant], scope: str, metric: str) -> Winner:
    value = METRICS[metric]
    ranked = sorted(entrants, key=lambda entrant: value(entrant.row))
    best = ranked[0]
    layer = best.row.layer
    losses = tuple(_loss(best, loser, metric) for loser in ranked[1:])
    return Winner(
        best.run.model, layer.name, layer.op, scope, metric, best.run.key, value(best.row), losses
    )


def _loss(best: Entrant, loser: Entrant, metric: str) -> Loss:
    ours, theirs = METRICS[metric](best.row), METRICS[metric](loser.row)
    ratio = theirs / ours if ours else float(theirs > 0) or 1.0
    if theirs <= ours * LEVEL:
        return Loss(loser.run.key, theirs, ratio, "level", "level: less than 1 % apart")
    cause, reason = (_slower if metric == "latency" else _hungrier)(best, loser)
    return Loss(loser.run.key, theirs, ratio, cause, reason)


def _slower(best: Entrant, loser: Entrant) -> tuple[str, str]:
    """Return the cause that takes the loser the most extra time, and a sentence on it."""
    ours = best.waits()
    extra = {cause: seconds - ours.get(cause, 0.0) for cause, seconds in loser.waits().items()}
    cause = max(extra, key=lambda c: extra[c])
    share = f"{quantity(extra[cause], 's')} more; {quantity(loser.row.seconds - best.row.seconds, 's')} more in all"
    return cause, f"{_CAUSES[cause](best, loser)} ({share}){_re_read(best, loser)}"


def _array_peak(best: Entrant, loser: Entrant) -> str:
    ours, theirs = (2 * e.run.result.peak_macs_per_cycle * e.run.result.clock_hz for e in (best, loser))
    return f"smaller array: {quantity(theirs, 'OPS')} peak against {quantity(ours, 'OPS')}"


def _idle_pes(best: Entrant, loser: Entrant) -> str:
    ours, theirs = (percent(_busy(e), 1) for e in (best, loser))
    return f"PEs idle while computing: {theirs} of them busy against {ours}"


def _busy(entrant: Entrant) -> float:
    compute = entrant.row.layer.stalls.get("compute", 0) / entrant.run.result.clock_hz
    return min(entrant.ideal_s / compute, 1.0) if compute else 0.0


def _waited(what: str) -> Callable[[Entrant, Entrant], str]:
    return lambda _best, _loser: what


_CAUSES: Mapping[str, Callable[[Entrant, Entrant], str]] = {
    "array_peak": _array_peak,
    "idle_pes": _idle_pes,
    "fill_drain": _waited("filled and drained the array"),
    "weight_load": _waited("waited for weights to enter the array"),
    "dma_wait": _waited("waited for DRAM"),
    "bank_conflict": _waited("waited for a buffer's port"),
    "dependency": _waited("waited for an earlier result"),
    "vector": _waited("waited for the vector unit"),
    "host": _waited("waited for the host"),
    "other_cores": _waited("had cores that waited for others"),
}

_TRAFFIC: Mapping[str, tuple[str, ...]] = {
    "DRAM": ("dram_read_bytes", "dram_write_bytes"),
    "the activation buffer": ("act_read_bytes",),
    "the weight buffer": ("wgt_read_bytes",),
}


def _re_read(best: Entrant, loser: Entrant) -> str:
    """Return what the loser moved clearly more of than the winner, as the end of a sentence."""
    found = []
    for place, events in _TRAFFIC.items():
        ours, theirs = (sum(e.row.events[event] for event in events) for e in (best, loser))
        if theirs > RE_READ * max(ours, 1):
            found.append(f"{byte_text(theirs)} through {place} against {byte_text(ours)}")
    return "; it moved " + ", ".join(found) if found else ""


def _hungrier(best: Entrant, loser: Entrant) -> tuple[str, str]:
    """Return the component that costs the loser the most extra energy, and a sentence on it."""
    ours, theirs = best.row.energy_by_component, loser.row.energy_by_component
    extra = {name: joules - ours.get(name, 0.0) for name, joules in theirs.items()}
    cause = max(extra, key=lambda name: extra[name])
    whole = sum(theirs.values()) - sum(ours.values())
    share = f"{quantity(extra[cause], 'J')} more; {quantity(whole, 'J')} more in all"
    return cause, f"{cause.replace('_', ' ')} takes {quantity(theirs[cause], 'J')} ({share}){_re_read(best, loser)}"
