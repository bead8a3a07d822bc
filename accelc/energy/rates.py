"""The energy model as rates, and the figures behind them: what one of each event costs a chip, and who says so."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from accelc.chip import Chip
from accelc.energy.model import Prices, buffer_pj_per_byte, dram_entry, prices_of, psum_bits, register_pj_per_bit
from accelc.energy.table import Entry, Table, load_table
from accelc.isa import events as ev


@dataclass(frozen=True)
class Rates:
    """What a chip's energy is made of: picojoules by event and component, watts of passing time, the host's watts."""

    pj: Mapping[str, Mapping[str, float]]
    passing_w: Mapping[str, float]
    host_w: float


def rates_of(chip: Chip) -> Rates:
    """Return a chip's rates; raise ChipError for a bad table."""
    return rates_by(prices_of(chip))


@lru_cache(maxsize=16)
def rates_by(prices: Prices) -> Rates:
    """Return the rates of a chip by its prices, worked out once; energy is linear in the counts, one event tells."""
    chip, events = prices.chip, len(ev.NAMES)
    # A row for each event, one for a cycle, one for a second of the host.
    counts, cycles = np.eye(events + 2, events, dtype=np.int64), np.zeros(events + 2, np.int64)
    seconds = np.zeros(events + 2)
    cycles[events], seconds[events + 1] = 1, 1.0
    *each, cycle, host = prices.energies(counts, cycles, seconds)
    pj = {name: _picojoules(joules) for name, joules in zip(ev.NAMES, each, strict=True)}
    passing_w = {name: cycle[name] * chip.clock_mhz * 1e6 for name in ("clock", "leakage")}
    return Rates(pj, passing_w, host["host"])


def _picojoules(energy: Mapping[str, float]) -> Mapping[str, float]:
    return {name: joules * 1e12 for name, joules in energy.items() if joules}


def figures(chip: Chip) -> Iterator[tuple[str, Entry]]:
    """Yield the name and the entry of every figure that a chip's energy is computed from."""
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


def storage(chip: Chip) -> Iterator[tuple[str, int, int, float]]:
    """Yield each buffer and each storage in a PE: its name, its bytes, the bits of an access, the pJ of one."""
    table = load_table(chip.energy)
    for name in ("act", "wgt", "unified", "acc"):
        buffer = getattr(chip.buffers, name)
        if buffer is not None:
            pj = buffer_pj_per_byte(table, buffer) * buffer.width_bytes
            yield f"{name} buffer", buffer.bytes, 8 * buffer.width_bytes, pj
    c, bits = chip.timing, chip.array.operand_bits
    words = (("act", c.act_entries, bits), ("wgt", c.wgt_entries, bits), ("psum", c.psum_entries, psum_bits(chip)))
    for name, entries, width in words:
        yield f"{name} of a PE", entries * width // 8, width, width * register_pj_per_bit(table, entries, width)
