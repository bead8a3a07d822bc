"""The energy model as rates, so that counts times rates give a run's energy again, as a reader would compute it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from accelc.chip import Chip
from accelc.comparison.model import ChipFacts, Figure
from accelc.energy.rates import figures, rates_of
from accelc.energy.table import Entry


def facts_of(chip: Chip) -> ChipFacts:
    """Return a chip with its energy rates."""
    rates = rates_of(chip)
    return ChipFacts(chip, rates.pj, rates.passing_w, rates.host_w)


def recompute(facts: ChipFacts, events: Mapping[str, int], seconds: float, host_seconds: float) -> dict[str, float]:
    """Return joules by component from event counts and rates, as a reader of the report would."""
    joules = {name: watts * seconds for name, watts in facts.passing_w.items()} | {"host": facts.host_w * host_seconds}
    for event, count in events.items():
        for component, picojoules in facts.rates[event].items():
            joules[component] = joules.get(component, 0.0) + count * picojoules * 1e-12
    return joules


def figures_of(chips: Sequence[Chip]) -> tuple[Figure, ...]:
    """Return every figure of the energy tables that the chips use, with its source."""
    found = (_figure(chip.energy, name, entry) for chip in chips for name, entry in figures(chip))
    return tuple(dict.fromkeys(found))


def _figure(table: str, name: str, entry: Entry) -> Figure:
    return Figure(table, name, entry.value, entry.unit, entry.per, entry.source, entry.confidence)
