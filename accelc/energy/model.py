"""The energy of a run: each event count times the table's figure for it.

* `mac`: count times the entry, times the square of the array's operand bits over the entry's: a multiplier grows so.
* `vector`, `instruction`: count times the entry.
* `registers`: bits read and bits written in the PEs, each half of the entry for a bit written and read. Where a PE has
  a register file for an operand and the table knows register files, a bit costs what a file of that capacity costs, by
  the rule for buffers below. Partial sums have the bits they are stored in.
* `hops`: bits from one PE to the next times the entry.
* `act_buffer`, `wgt_buffer`, `acc_buffer`: bytes times a figure per byte for the buffer's capacity. The figure follows
  the table's SRAM entries, each divided by the bytes of its access: between two capacities it grows as a power of the
  capacity (a straight line in log-log), below the first it stays, above the last it goes on along the last line. The
  entries are accesses of 64 bits; one of w bits costs 0.9 + 0.1 w/64 of that, as decoder and word line are shared:
  32 KB cost 20 pJ for 64 bits at 45 nm (Horowitz) and 22.9 pJ for 512 bits at 28 nm (ZigZag's presets), 36 pJ scaled to
  45 nm. Accesses are as wide as the buffer. Banks neither save nor cost, but where each bank sits with PEs of its own
  (`local_banks`) an access costs what one of a bank's capacity does. In a unified scratchpad act and wgt share both.
* `dram`: bits that travel (whole bursts) times the figure per bit, plus activated rows times theirs.
* `clock`: the chip's power of clock network and idling (none, where no figure is known) times the time.
* `leakage`: (PEs times a power each + on-chip bytes times a power each) times the time; the table marks it as assumed.
* `host`: seconds the host is busy times its power.

With the activity of a run (see accelc.energy.activity), counts are first lessened by what the chip spares: what a zero
activation gates, and DRAM bytes that a code saves (bursts' ends and rows opened stay those of the raw transfers).

The table's figures hold at its own voltage; the chip's `voltage_v` does not rescale them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from accelc.chip import Chip
from accelc.chip.model import Buffer
from accelc.energy.activity import spared
from accelc.energy.table import DramEntry, SramEntry, Table, load_table
from accelc.errors import ChipError
from accelc.isa import events as ev

Ints = npt.NDArray[np.int64]

COMPONENTS = (
    "mac",
    "registers",
    "hops",
    "act_buffer",
    "wgt_buffer",
    "acc_buffer",
    "vector",
    "instruction",
    "dram",
    "clock",
    "leakage",
    "host",
)
ACC_WORD_BYTES = 4


@dataclass(frozen=True, eq=False)
class Prices:
    """What a chip's events cost by its table, worked out once for any number of counts."""

    chip: Chip
    table: Table
    mac_pj: float
    register_pj: tuple[tuple[int, float], ...]  # per operand (act, wgt, psum): bits of a word, pJ for each bit
    buffer_pj: Mapping[str, float]  # per byte
    dram: DramEntry
    powers_w: Mapping[str, float]

    def energy(
        self, counts: Ints, cycles: int, host_seconds: float = 0.0, activity: Ints | None = None
    ) -> dict[str, float]:
        """Return joules by component (COMPONENTS) for counts [events.NAMES], cycles and the host's seconds.

        `activity` is the row [activity.COLUMNS] of the layer or run that the counts are of.
        """
        held = counts if activity is None else counts - spared(self.chip, activity)
        return {name: float(joules) for name, joules in self._joules(held.tolist(), cycles, host_seconds).items()}

    def energies(
        self, counts: Ints, cycles: Ints, host_seconds: npt.NDArray[np.float64]
    ) -> list[dict[str, float]]:
        """Return the joules by component of each row of counts [rows, events.NAMES], less what was spared."""
        columns = self._joules(counts.T, cycles, host_seconds)
        rows = zip(*(column.tolist() for column in columns.values()), strict=True)
        return [dict(zip(columns, row, strict=True)) for row in rows]

    def _joules(self, n: Any, cycles: Any, host_seconds: Any) -> dict[str, Any]:
        """Return joules by component of counts [events.NAMES], each a number or a column of them."""
        picojoules = {
            "mac": n[ev.MAC] * self.mac_pj,
            "registers": self._registers(n),
            "hops": _hop_bits(self.chip, n) * self.table.hop_bit.value,
            **self._buffers(n),
            "vector": n[ev.VECTOR_OP] * self.table.vector_op.value,
            "instruction": n[ev.INSTRUCTION] * self.table.instruction.value,
            "dram": _dram(self.dram, n),
        }
        seconds = cycles / (self.chip.clock_mhz * 1e6)
        joules = {name: value * 1e-12 for name, value in picojoules.items()}
        passing = {name: watts * seconds for name, watts in self.powers_w.items()}
        return joules | passing | {"host": self.chip.host.power_w * host_seconds}

    def _registers(self, n: Any) -> Any:
        """Return the energy of the PEs' registers and register files, in pJ."""
        words = (
            n[ev.PE_ACT_READ] + n[ev.PE_ACT_WRITE],
            n[ev.PE_WGT_READ] + n[ev.PE_WGT_WRITE],
            n[ev.PE_PSUM_READ] + n[ev.PE_PSUM_WRITE],
        )
        act, wgt, psum = (count * bits * pj for count, (bits, pj) in zip(words, self.register_pj, strict=True))
        return act + wgt + psum

    def _buffers(self, n: Any) -> Mapping[str, Any]:
        word_bytes = ACC_WORD_BYTES * psum_bits(self.chip) / self.chip.array.accumulator_bits
        moved = {
            "act_buffer": n[ev.ACT_READ_BYTES] + n[ev.ACT_WRITE_BYTES],
            "wgt_buffer": n[ev.WGT_READ_BYTES] + n[ev.WGT_WRITE_BYTES],
            "acc_buffer": (n[ev.ACC_READ_WORDS] + n[ev.ACC_WRITE_WORDS]) * word_bytes,
        }
        return {name: moved[name] * pj for name, pj in self.buffer_pj.items()}


_latest: dict[str, Prices] = {}
"""The prices worked out last for a chip of each name."""


def prices_of(chip: Chip) -> Prices:
    """Return a chip's prices, worked out once; raise ChipError for a bad table."""
    held = _latest.get(chip.name)
    if held is None or (held.chip is not chip and held.chip != chip):
        held = _latest[chip.name] = _prices(chip)
    return held


def _prices(chip: Chip) -> Prices:
    table, b = load_table(chip.energy), chip.buffers
    buffers = {"act_buffer": b.act or b.unified, "wgt_buffer": b.wgt or b.unified, "acc_buffer": b.acc}
    return Prices(
        chip=chip,
        table=table,
        mac_pj=table.mac.value * (chip.array.operand_bits / table.mac.bits) ** 2,
        register_pj=_register_prices(chip, table),
        buffer_pj={name: buffer_pj_per_byte(table, buffer) for name, buffer in buffers.items() if buffer},
        dram=dram_entry(chip, table),
        powers_w={"clock": chip.clock_power_w, "leakage": leakage_watts(chip, table)},
    )


def energy_of(
    chip: Chip, counts: Ints, cycles: int, host_seconds: float = 0.0, activity: Ints | None = None
) -> dict[str, float]:
    """Return what `Prices.energy` says of a chip; raise ChipError for a bad table."""
    return prices_of(chip).energy(counts, cycles, host_seconds, activity)


def _register_prices(chip: Chip, table: Table) -> tuple[tuple[int, float], ...]:
    c, bits, stored = chip.timing, chip.array.operand_bits, psum_bits(chip)
    operands = ((c.act_entries, bits), (c.wgt_entries, bits), (c.psum_entries, stored))
    return tuple((word, register_pj_per_bit(table, entries, word)) for entries, word in operands)


def register_pj_per_bit(table: Table, entries: int, bits: int) -> float:
    """Return the energy of reading or writing a bit of a PE's storage of `entries` words of `bits`, in pJ."""
    if entries == 1 or not table.register_file:
        return table.register_bit.value / 2
    return _pj_per_byte(table.register_file, entries * bits // 8) / 8


def psum_bits(chip: Chip) -> int:
    """Return the bits that a partial sum takes where it is stored."""
    return chip.array.stored_psum_bits or chip.array.accumulator_bits


def _hop_bits(chip: Chip, n: Any) -> Any:
    return (n[ev.HOP_ACT] + n[ev.HOP_WGT]) * chip.array.operand_bits + n[ev.HOP_PSUM] * psum_bits(chip)


def buffer_pj_per_byte(table: Table, buffer: Buffer) -> float:
    """Return the energy of moving a byte in or out of a buffer by accesses of its width, in pJ."""
    words = buffer.width_bytes / 8  # of 64 bits
    capacity = buffer.bytes // buffer.banks if buffer.local_banks else buffer.bytes
    return sram_pj_per_byte(table, capacity) * (0.9 + 0.1 * words) / words


def sram_pj_per_byte(table: Table, capacity_bytes: int) -> float:
    """Return the energy of moving a byte in or out of an SRAM of that capacity, 64 bits at a time, in pJ."""
    return _pj_per_byte(table.sram, capacity_bytes)


def _pj_per_byte(points: Sequence[SramEntry], capacity_bytes: int) -> float:
    """Return the energy of moving a byte by published points of capacity and access energy, in pJ."""
    if len(points) == 1 or capacity_bytes <= points[0].capacity_bytes:
        return _per_byte(points[0])
    k = 1
    while k < len(points) - 1 and capacity_bytes > points[k].capacity_bytes:
        k += 1
    low, high = points[k - 1], points[k]
    power = math.log(_per_byte(high) / _per_byte(low)) / math.log(high.capacity_bytes / low.capacity_bytes)
    return float(_per_byte(low) * (capacity_bytes / low.capacity_bytes) ** power)


def _per_byte(entry: SramEntry) -> float:
    return entry.value * 8 / entry.bits


def dram_entry(chip: Chip, table: Table) -> DramEntry:
    """Return the figures of the chip's external memory or raise ChipError listing the kinds known."""
    if chip.dram.kind not in table.dram:
        known = ", ".join(sorted(table.dram))
        raise ChipError(f"dram.kind='{chip.dram.kind}' has no entry in energy table '{table.name}'; known: {known}")
    return table.dram[chip.dram.kind]


def _dram(entry: DramEntry, n: Any) -> Any:
    bits = 8 * n[ev.DRAM_READ_BYTES] * entry.read.value + 8 * n[ev.DRAM_WRITE_BYTES] * entry.write.value
    return bits + n[ev.DRAM_ACTIVATE] * entry.activate.value


def leakage_watts(chip: Chip, table: Table) -> float:
    """Return the static power of the PEs and the on-chip memories."""
    c = chip.timing
    on_chip = c.act_bytes + chip.buffers.acc.bytes + (0 if c.unified else c.wgt_bytes)
    return chip.peak_macs_per_cycle * table.pe_leakage.value + chip.cores * on_chip * table.sram_leakage.value
