"""When each entry of a schedule's Work runs, and where the cycles go.

The engines, ports, banks and the DRAM are those of `accelc.sim`: what instructions do there, entries of a Work do here.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from accelc.schedule.work import ENGINES, MAC, VECTOR, Work
from accelc.sim.dma import MOVE_FIELDS
from accelc.sim.ordering import awaited
from accelc.sim.table import DURATION, FENCE, HELD, MOVE, NEED, WIDTH
from accelc.sim.timing import BLOCKER, CYCLES_STOLEN, END, READY, START, play

CAUSES = ("array", "dma_wait", "bank_conflict", "dependency", "vector", "other_cores")
ARRAY, DMA_WAIT, BANK_CONFLICT, DEPENDENCY, VECTOR_WORK, OTHER_CORES = range(len(CAUSES))


@dataclass
class Times:
    """When each entry started and ended, since when it could have, who let it, or -1, and the cycles stolen from it."""

    start: list[int]
    end: list[int]
    ready: list[int]
    blocker: list[int]
    stolen: list[int]


def replay(work: Work) -> Times:
    """Return when each entry of a Work runs."""
    table, engine = np.zeros((len(work.engine), WIDTH), np.int64), np.array(work.engine, np.int64)
    if not len(engine):
        return Times([], [], [], [], [])
    touched = np.array(work.touched, np.int64).reshape(-1, 5)
    table[:, DURATION] = work.duration
    table[:, NEED:FENCE] = awaited(touched, engine, np.array(work.stage, np.int64), work.chip.cores)
    table[work.syncs, FENCE] = work.syncs
    table[:, HELD : HELD + 3] = work.banks
    table[:, MOVE : MOVE + MOVE_FIELDS] = _moves(work)
    outcomes, _ = play(table, engine, work.chip)
    return Times(*(outcomes[:, column].tolist() for column in (START, END, READY, BLOCKER, CYCLES_STOLEN)))


def _moves(work: Work) -> list[tuple[int, ...]]:
    """Return what each entry moves, in the order of `accelc.sim.dma`; nothing if it is no transfer."""
    return [
        (r.start, r.rows, r.row, r.cols, r.col, r.bytes, low, high - low, buffer, r.total)
        for r, (buffer, low, high) in zip(work.runs, work.place, strict=True)
    ]


def charge(work: Work, times: Times, stages: int) -> list[list[float]]:
    """Return the cycles [stages][CAUSES] of a replay, entries weighed by how many they stand for.

    The rule is that of `accelc.sim.stalls`: the array's own cycles, and for its gaps what its next entry waited for; of
    several cores the mean.
    """
    out = [[0.0] * len(CAUSES) for _ in range(stages)]
    for core in range(work.chip.cores):
        _Charger(work, times, out, core).run()
    return [[cycles / work.chip.cores for cycles in row] for row in out]


@dataclass
class _Charger:
    """Charges every cycle as one core spent it."""

    work: Work
    times: Times
    out: list[list[float]]
    core: int

    def run(self) -> None:
        """Charge the cycles of all entries."""
        low, last, own, times = 0.0, -1, ENGINES * self.core + MAC, self.times
        for k, engine in enumerate(self.work.engine):
            if last < 0 or times.end[k] >= times.end[last]:
                last = k
            if engine == own:
                self.chain(k, low, times.start[k])
                self.add(k, ARRAY, times.end[k] - times.start[k] - times.stolen[k])
                self.add(k, BANK_CONFLICT, times.stolen[k])
                low = times.end[k]
        if last >= 0:
            self.chain(last, low, self.one(last, low, times.end[last]))

    def add(self, entry: int, cause: int, cycles: float) -> None:
        """Charge cycles to an entry's stage."""
        self.out[self.work.stage[entry]][cause] += cycles * self.work.weight[entry]

    def chain(self, entry: int, low: float, high: float) -> None:
        """Charge the cycles from `low` to `high`, where an entry starts, to what it waited for."""
        while high > low:
            ready = max(low, self.times.ready[entry])
            self.add(entry, BANK_CONFLICT, high - ready)
            blocker = self.times.blocker[entry]
            if blocker < 0:
                self.add(entry, DEPENDENCY, ready - low)
                return
            high = self.one(blocker, low, ready)
            entry = blocker

    def one(self, entry: int, low: float, high: float) -> float:
        """Charge the cycles after `low` in which an entry runs, which ends at `high`; return where it began."""
        began, (core, engine) = max(low, self.times.start[entry]), divmod(self.work.engine[entry], ENGINES)
        if high <= began or (core == self.core and engine == MAC):
            return began
        if core != self.core:
            self.add(entry, OTHER_CORES, high - began)
        elif engine == VECTOR:
            stolen = min(self.times.stolen[entry], high - began)
            self.add(entry, BANK_CONFLICT, stolen)
            self.add(entry, VECTOR_WORK, high - began - stolen)
        else:
            first = min(max(self.times.start[entry] + self.work.chip.timing.dma_issue_cycles, began), high)
            self.add(entry, DEPENDENCY, first - began)
            self.add(entry, DMA_WAIT, high - first)
        return began
