"""The energy model as rates: what one of each event costs, so that counts times rates give a run's energy again."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from accelc.chip import Chip
from accelc.comparison.model import ChipFacts, Figure
from accelc.energy import energy_of, load_table
from accelc.energy.model import dram_entry
from accelc.energy.table import Entry, Table
from accelc.isa import events as ev


def facts_of(chip: Chip) -> ChipFacts:
    """Return a chip with its energy rates: as energy is linear in the counts, one event gives each."""
    none = np.zeros(len(ev.NAMES), np.int64)
    rates = {name: _picojoules(chip, k) for k, name in enumerate(ev.NAMES)}
    cycle = energy_of(chip, none, 1)
    passing_w = {name: cycle[name] * chip.clock_mhz * 1e6 for name in ("clock", "leakage")}
    return ChipFacts(chip, rates, passing_w, energy_of(chip, none, 0, 1.0)["host"])


def _picojoules(chip: Chip, event: int) -> Mapping[str, float]:
    one = np.zeros(len(ev.NAMES), np.int64)
    one[event] = 1
    return {name: joules * 1e12 for name, joules in energy_of(chip, one, 0).items() if joules}


def recompute(facts: ChipFacts, events: Mapping[str, int], seconds: float, host_seconds: float) -> dict[str, float]:
    """Return joules by component from event counts and rates, as a reader of the report would."""
    joules = {name: watts * seconds for name, watts in facts.passing_w.items()} | {"host": facts.host_w * host_seconds}
    for event, count in events.items():
        for component, picojoules in facts.rates[event].items():
            joules[component] = joules.get(component, 0.0) + count * picojoules * 1e-12
    return joules


def figures_of(chips: Sequence[Chip]) -> tuple[Figure, ...]:
    """Return every figure of the energy tables that the chips use, with its source."""
    found = (_figure(chip.energy, name, entry) for chip in chips for name, entry in _used(chip))
    return tuple(dict.fromkeys(found))


def _used(chip: Chip) -> Iterator[tuple[str, Entry]]:
    table = load_table(chip.energy)
    yield from _entries(table)
    kind, entry = chip.dram.kind, dram_entry(chip, table)
    for name in type(entry).model_fields:
        value = getattr(entry, name)
        if isinstance(value, Entry):
            yield f"{kind} {name}", value


def _entries(table: Table) -> Iterator[tuple[str, Entry]]:
    for name in type(table).model_fields:
        value = getattr(table, name)
        for entry in value if isinstance(value, list) else [value]:
            if isinstance(entry, Entry):
                capacity = getattr(entry, "capacity_bytes", None)
                yield name if capacity is None else f"{name} of {capacity} bytes", entry


def _figure(table: str, name: str, entry: Entry) -> Figure:
    return Figure(table, name, entry.value, entry.unit, entry.per, entry.source, entry.confidence)
