"""The energy of a run: each event count times the table's figure for it.

* `mac`, `vector`, `instruction`: count times the entry.
* `registers`: bits read and bits written in the PEs, each half of the entry for a bit written and read.
* `act_buffer`, `wgt_buffer`, `acc_buffer`: bytes times a figure per byte for the buffer's capacity. The figure follows
  the table's SRAM entries, each divided by the bytes of its access: between two capacities it grows as a power of the
  capacity (a straight line in log-log), below the first it stays, above the last it goes on along the last line. Wide
  accesses cost in proportion; banks neither save nor cost. In a unified scratchpad act and wgt both have its capacity.
* `dram`: bits that travel (whole bursts) times the figure per bit, plus activated rows times theirs.
* `leakage`: (PEs times a power each + on-chip bytes times a power each) times the time; the table marks it as assumed.
* `host`: seconds the host is busy times its power.

The table's figures hold at its own voltage; the chip's `voltage_v` does not rescale them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from accelc.chip import Chip
from accelc.energy.table import DramEntry, SramEntry, Table, load_table
from accelc.errors import ChipError
from accelc.isa import events as ev

COMPONENTS = (
    "mac",
    "registers",
    "act_buffer",
    "wgt_buffer",
    "acc_buffer",
    "vector",
    "instruction",
    "dram",
    "leakage",
    "host",
)
ACC_WORD_BYTES = 4


def energy_of(
    chip: Chip, counts: npt.NDArray[np.int64], cycles: int, host_seconds: float = 0.0
) -> dict[str, float]:
    """Return joules by component (COMPONENTS) for counts [events.NAMES]; raise ChipError for a bad table."""
    table = load_table(chip.energy)
    n = [int(c) for c in counts]
    picojoules = {
        "mac": n[ev.MAC] * table.mac.value,
        "registers": _register_bits(chip, n) * table.register_bit.value / 2,
        **_buffers(chip, table, n),
        "vector": n[ev.VECTOR_OP] * table.vector_op.value,
        "instruction": n[ev.INSTRUCTION] * table.instruction.value,
        "dram": _dram(dram_entry(chip, table), n),
    }
    seconds = cycles / (chip.clock_mhz * 1e6)
    joules = {name: value * 1e-12 for name, value in picojoules.items()}
    return joules | {"leakage": leakage_watts(chip, table) * seconds, "host": chip.host.power_w * host_seconds}


def _register_bits(chip: Chip, n: list[int]) -> int:
    """Return the bits that are read or written in the PEs' registers."""
    operands = sum(n[k] for k in (ev.PE_ACT_READ, ev.PE_ACT_WRITE, ev.PE_WGT_READ, ev.PE_WGT_WRITE))
    psums = n[ev.PE_PSUM_READ] + n[ev.PE_PSUM_WRITE]
    return operands * chip.array.operand_bits + psums * chip.array.accumulator_bits


def _buffers(chip: Chip, table: Table, n: list[int]) -> Mapping[str, float]:
    c = chip.timing
    moved = {
        "act_buffer": (c.act_bytes, n[ev.ACT_READ_BYTES] + n[ev.ACT_WRITE_BYTES]),
        "wgt_buffer": (c.wgt_bytes, n[ev.WGT_READ_BYTES] + n[ev.WGT_WRITE_BYTES]),
        "acc_buffer": (c.acc_bytes, (n[ev.ACC_READ_WORDS] + n[ev.ACC_WRITE_WORDS]) * ACC_WORD_BYTES),
    }
    return {name: count * sram_pj_per_byte(table, capacity) for name, (capacity, count) in moved.items()}


def sram_pj_per_byte(table: Table, capacity_bytes: int) -> float:
    """Return the energy of moving a byte in or out of an SRAM of that capacity, in pJ."""
    points = table.sram
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


def _dram(entry: DramEntry, n: list[int]) -> float:
    bits = 8 * n[ev.DRAM_READ_BYTES] * entry.read.value + 8 * n[ev.DRAM_WRITE_BYTES] * entry.write.value
    return bits + n[ev.DRAM_ACTIVATE] * entry.activate.value


def leakage_watts(chip: Chip, table: Table) -> float:
    """Return the static power of the PEs and the on-chip memories."""
    c = chip.timing
    on_chip = c.act_bytes + c.acc_bytes + (0 if c.unified else c.wgt_bytes)
    return chip.peak_macs_per_cycle * table.pe_leakage.value + on_chip * table.sram_leakage.value
