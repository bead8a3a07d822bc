"""What a transfer takes on the DRAM's bus, in closed form: latency, bursts, rows opened, refresh.

A stream of bursts keeps the bus busy while the requests that may be under way outlast what a row change takes; rows of
other banks then open under the data of the one before. What is left of a row change otherwise, and the share of time
that refresh takes, prolong every burst. The rules of the memory itself are those of `accelc.sim.dram`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from accelc.chip import Chip, Timing
from accelc.schedule.many import Count, ceiling, common_divisor, either, is_many, least, truncated


@dataclass(frozen=True)
class Transfer:
    """A transfer with the bus to itself: cycles before its first data, cycles of data, the bursts it takes.

    `opening` are the further cycles before its first data that are likely to go to opening a row.
    """

    latency: int
    opening: int
    bus: int
    bursts: int

    @property
    def cycles(self) -> int:
        """Return the cycles from its start to its end."""
        return self.latency + self.opening + self.bus


def transfer(
    c: Timing, runs: Count, run_bytes: Count, step: Count = 0, *, start: int = 0, grain: Count = 0
) -> Transfer:
    """Return what `runs` contiguous runs, `step` bytes apart, take; the first begins at address `start`.

    With a `grain`, runs begin at some multiple of so many bytes behind it: the bursts are then the mean.
    """
    if is_many(runs, run_bytes, step, grain):
        return _moved(c, runs, run_bytes, step, start, grain)
    return _one(c, runs, run_bytes, step, start, grain)


@lru_cache(maxsize=65536)
def _one(c: Timing, runs: int, run_bytes: int, step: int, start: int, grain: int) -> Transfer:
    """Return one transfer, nothing of which may be moved."""
    if not runs or not run_bytes:
        return Transfer(c.dma_issue_cycles, 0, 0, 0)
    return _moved(c, runs, run_bytes, step, start, grain)


def _moved(c: Timing, runs: Count, run_bytes: Count, step: Count, start: int, grain: Count) -> Transfer:
    # The places within a burst at which runs begin lie so far apart.
    apart = common_divisor(common_divisor(either(runs > 1, step, 0), grain), c.dram_burst_bytes)
    beyond = (-(-(run_bytes + start % apart) // apart) - 1) * apart
    bursts = -(-runs * (beyond + c.dram_burst_bytes) // c.dram_burst_bytes)
    span = (runs - 1) * step + run_bytes
    row = c.dram_row_bytes
    opened = least(bursts, either(step >= row, runs * (1 + (run_bytes - 1) // row), span / row))
    change = c.dram_precharge_cycles + c.dram_activate_cycles
    each = burst_interval(c)
    # A row opens while what was asked for before it is still on the bus.
    shown = max(0.0, change + c.dram_access_cycles + c.dram_burst_cycles - c.dma_outstanding * each)
    bus = ceiling((bursts * each + opened * shown) * refresh_factor(c))
    latency, opening = c.dma_issue_cycles + c.dram_access_cycles, truncated(least(1.0, opened) * change)
    return Transfer(latency, opening, bus, bursts)


@dataclass(frozen=True)
class Runs:
    """Runs of `bytes` in DRAM from an address on, in two loops: so many turns and the bytes from one to the next."""

    start: int = 0
    bytes: int = 0
    cols: int = 1
    col: int = 0
    rows: int = 1
    row: int = 0

    @property
    def total(self) -> int:
        """Return the bytes of all runs."""
        return self.rows * self.cols * self.bytes

    @property
    def span(self) -> int:
        """Return the bytes from the first of the first run to the last of the last."""
        return (self.rows - 1) * self.row + (self.cols - 1) * self.col + self.bytes

    @property
    def range(self) -> tuple[int, int]:
        """Return the first address and the one past the last."""
        return self.start, self.start + self.span

    @property
    def joined(self) -> Runs:
        """Return the same bytes with neighbors that leave no gap as one run, as a DMA engine takes them."""
        if self.cols != 1 and self.col != self.bytes:
            return self
        one = self.cols * self.bytes
        if self.rows != 1 and self.row != one:
            return Runs(self.start, one, 1, 0, self.rows, self.row)
        return Runs(self.start, self.rows * one)


@lru_cache(maxsize=65536)
def plane(c: Timing, runs: Runs) -> Transfer:
    """Return what runs take."""
    r = runs.joined
    one = transfer(c, r.cols, r.bytes, r.col, start=r.start)
    if r.rows == 1:
        return one
    if r.cols == 1:
        return transfer(c, r.rows, r.bytes, r.row, start=r.start)
    return Transfer(one.latency, one.opening, one.bus * r.rows, one.bursts * r.rows)


def burst_interval(c: Timing) -> float:
    """Return the cycles from burst to burst: of the bus, of the path on chip, or of too few requests under way."""
    path = -(-c.dram_burst_bytes // c.dma_bytes_per_cycle)
    return max(c.dram_burst_cycles, path, (c.dram_access_cycles + c.dram_burst_cycles) / c.dma_outstanding)


def refresh_factor(c: Timing) -> float:
    """Return by how much refreshes prolong a stream of bursts: after each, rows open anew.

    These are the row that is read, and those that the requests under way had opened ahead.
    """
    if not c.dram_refresh_cycles:
        return 1.0
    ahead = c.dma_outstanding * c.dram_burst_bytes / c.dram_row_bytes
    gone = c.dram_refresh_cycles + c.dram_activate_cycles * (1 + min(ahead, c.dram_banks))
    return c.dram_refresh_interval_cycles / max(1.0, c.dram_refresh_interval_cycles - gone)


def steal_rate(chip: Chip, *, weights: bool = False) -> float:
    """Return the cycles that a cycle of data takes of a bank's port on the way to or from a buffer."""
    buffers = chip.buffers
    buffer = (buffers.wgt if weights else buffers.act) or buffers.unified
    assert buffer is not None
    c = chip.timing
    return -(-c.dram_burst_bytes // buffer.width_bytes) / (burst_interval(c) * refresh_factor(c))
