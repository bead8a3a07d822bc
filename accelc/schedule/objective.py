"""What a schedule minimizes: how costs compare, and what they are worth as one number that adds up over stages."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

from accelc.chip import Chip
from accelc.energy.rates import rates_of
from accelc.isa import events as ev
from accelc.schedule.cost import Cost

OBJECTIVES = ("latency", "energy", "edp", "dram")
Weigh = Callable[[Cost], float]


@dataclass(frozen=True)
class Objective:
    """One of OBJECTIVES on a chip; `byte_pj` and `cycle_pj` are what a byte of DRAM traffic and a cycle of time take.

    Of the energy, a mapping is judged by that: what the array and the buffers take is much the same for all.
    """

    name: str
    byte_pj: float
    cycle_pj: float
    byte_cycles: float

    def energy_pj(self, cost: Cost) -> float:
        """Return the energy that the DRAM takes, and that passes with time."""
        return self.byte_pj * cost.dram_bytes + self.cycle_pj * cost.alone

    def rank(self, cost: Cost) -> tuple[float, float]:
        """Return what is compared, and what breaks a tie."""
        if self.name == "latency":
            return cost.alone, cost.dram_bytes
        if self.name == "dram":
            return cost.dram_bytes, cost.alone
        energy = self.energy_pj(cost)
        return energy * (cost.alone if self.name == "edp" else 1), cost.alone

    def weigh(self, whole: Cost, bus_share: float = 0.0) -> Weigh:
        """Return costs as one number; a product is weighed by shares of the network's, `whole`.

        Of latencies, `bus_share` of the time of all traffic is added: it is taken from the loads of neighbors.
        """
        if self.name == "latency":
            each = max(1e-6, bus_share * self.byte_cycles)
            return lambda cost: cost.alone + each * cost.dram_bytes
        if self.name == "dram":
            return lambda cost: cost.dram_bytes + 1e-6 * cost.alone
        if self.name == "energy":
            return self.energy_pj
        cycles, energy = whole.alone or 1, self.energy_pj(whole) or 1
        return lambda cost: cost.alone / cycles + self.energy_pj(cost) / energy


class Boxed:
    """A chip as a cache key: two chips of one fingerprint schedule alike."""

    def __init__(self, chip: Chip) -> None:
        self.chip = chip

    def __hash__(self) -> int:
        return hash(self.chip.fingerprint)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Boxed) and other.chip.fingerprint == self.chip.fingerprint


@lru_cache(maxsize=64)
def objective_of(name: str, box: Boxed) -> Objective:
    """Return an objective of OBJECTIVES on a chip."""
    c, rates = box.chip.timing, rates_of(box.chip)
    byte = sum(sum(rates.pj[ev.NAMES[event]].values()) for event in (ev.DRAM_READ_BYTES, ev.DRAM_WRITE_BYTES)) / 2
    cycle = sum(rates.passing_w.values()) / (box.chip.clock_mhz * 1e6) * 1e12
    return Objective(name, byte, cycle, c.dram_burst_cycles / c.dram_burst_bytes)
