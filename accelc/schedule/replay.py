"""When each entry of a schedule's Work runs, and where the cycles go, without a burst or an instruction.

The four engines work in order. A transfer is a latency and then a flow of data; two transfers at once share the bus.
The array and the vector unit take turns at banks with one port, and lose the cycles that data pass a bank of theirs
with no port left. These are the rules of `accelc.sim` with flows in place of bursts, between two events of an engine.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from accelc.chip import Chip
from accelc.schedule.transfer import burst_interval, steal_rate
from accelc.schedule.work import ENGINES, LOAD, MAC, STORE, VECTOR, Work

SHORT = 1e-6  # cycles; what is left below it is rounding
NEVER = 1e18

SEEN = 4  # rows of a transfer; later ones open under the data of those before
CLOSED = 0.5  # of the bursts of two streams in one bank, those that find their row closed; fits executed runs
POINTS = 8  # of the way of two transfers at once, at which their banks are compared

CAUSES = ("array", "dma_wait", "bank_conflict", "dependency", "vector", "other_cores")
ARRAY, DMA_WAIT, BANK_CONFLICT, DEPENDENCY, VECTOR_WORK, OTHER_CORES = range(len(CAUSES))


@dataclass
class Times:
    """When each entry started and ended, since when it could have, who let it, and the cycles stolen from it."""

    start: list[float]
    end: list[float]
    ready: list[float]
    blocker: list[int]
    stolen: list[float]


@dataclass
class _Engine:
    """An engine: the entries before it, the one it works on, and what is left of that."""

    queue: list[int]
    at: int = 0
    running: int = -1
    latency: float = 0.0
    left: float = 0.0
    rate: float = 1.0
    last: int = -1
    flows: bool = field(default=False)  # a transfer whose data are on the bus


class _Memory:
    """What a chip's banks and bus allow, and the rows of the DRAM that are open."""

    def __init__(self, chip: Chip) -> None:
        c, b = chip.timing, chip.buffers
        act, wgt = b.act or b.unified, b.wgt or b.unified
        assert act is not None
        assert wgt is not None
        self.ports = (act.ports, wgt.ports, b.acc.ports)
        self.bank_bytes = (act.bytes // act.banks, wgt.bytes // wgt.banks)
        self.each = burst_interval(c)
        self.steal = (steal_rate(chip), steal_rate(chip, weights=True))
        self.change = c.dram_precharge_cycles + c.dram_activate_cycles
        self._burst_cycles = c.dram_burst_cycles
        self.row_bytes, self._banks = c.dram_row_bytes, c.dram_banks
        self._bits = c.dram_banks.bit_length() - 1
        self._open = [-1] * c.dram_banks

    def pace(self, streams: int, met_share: float) -> float:
        """Return what a transfer keeps of its own pace beside others, in whose bank it is for `met_share` of the way.

        A load and a store meet in a bank, where each closes the other's row. Loads of cores that share a stage follow
        each other through the same map, or read the same weights.
        """
        met = self._burst_cycles + CLOSED * met_share * self.change
        return min(1.0, self.each / (streams * met)) if streams > 1 else 1.0

    def bank(self, line: int) -> int:
        """Return the bank in which a line of the DRAM lies (see `accelc.sim.dram`)."""
        return (line ^ (line >> self._bits)) & (self._banks - 1)

    def opening(self, start: int, span: int, cycles: float) -> float:
        """Return the cycles that a transfer waits for rows to open: requests go out one a cycle, ahead of the data."""
        shown, line = 0.0, start // self.row_bytes
        for k in range(min(SEEN, (start + span - 1) // self.row_bytes - line + 1)):
            if self._open[self.bank(line + k)] != line + k:
                passed = max(0, (line + k) * self.row_bytes - start) / span * cycles
                shown = max(shown, self.change - passed * (1 - 1 / self.each))
        return shown

    def leave_open(self, start: int, span: int) -> None:
        """Note the rows that a transfer leaves open."""
        first, last = start // self.row_bytes, (start + max(span, 1) - 1) // self.row_bytes
        for line in range(max(first, last - 2 * self._banks), last + 1):
            self._open[self.bank(line)] = line


class Replay:
    """The engines at work; `times` is complete after `run`."""

    def __init__(self, work: Work) -> None:
        count = len(work.engine)
        self.work, self.memory, self.now = work, _Memory(work.chip), 0.0
        self.times = Times([0.0] * count, [-1.0] * count, [0.0] * count, [-1] * count, [0.0] * count)
        self.engines = [_Engine([]) for _ in range(ENGINES * work.chip.cores)]
        for k, engine in enumerate(work.engine):
            self.engines[engine].queue.append(k)
        self.cores = [self.engines[k : k + ENGINES] for k in range(0, len(self.engines), ENGINES)]

    def run(self) -> Times:
        """Take events in order of time until none is left."""
        while True:
            for engine in range(len(self.engines)):
                self._start(engine)
            busy = [e for e in self.engines if e.running >= 0]
            if not busy:
                return self.times
            self._set_rates()
            self._advance(busy)

    def _start(self, number: int) -> None:
        """Start an engine's next entry if it can."""
        e, times = self.engines[number], self.times
        if e.running >= 0 or e.at == len(e.queue):
            return
        entry, end = e.queue[e.at], times.end
        blocker, ready = e.last, end[e.last] if e.last >= 0 else 0.0
        for need in self.work.needs[entry]:
            if end[need] < 0:
                return
            if end[need] >= ready:
                blocker, ready = need, end[need]
        times.ready[entry], times.blocker[entry] = ready, blocker
        kind, own = number % ENGINES, self.cores[number // ENGINES]
        if kind >= MAC and self._excluded(entry, own[MAC + VECTOR - kind].running):
            return
        times.start[entry] = self.now
        e.at, e.running, e.rate = e.at + 1, entry, 1.0
        e.latency, e.left = self.work.latency[entry], self.work.duration[entry]
        if e.left and kind < MAC:
            e.latency += self.memory.opening(*self.work.dram[entry], e.left)

    def _excluded(self, entry: int, other: int) -> bool:
        """Return whether another unit's entry holds the one port of a bank."""
        if other < 0:
            return False
        mine, theirs = self.work.banks[entry], self.work.banks[other]
        return any(p == 1 and a & b for p, a, b in zip(self.memory.ports, mine, theirs, strict=True))

    def _set_rates(self) -> None:
        """Set how fast each engine works until the next event."""
        moving = [e for own in self.cores for e in own[:MAC]]
        for e in moving:
            e.flows = e.running >= 0 and e.latency <= SHORT
        loads, stores = (sum(own[kind].flows for own in self.cores) for kind in (LOAD, STORE))
        share = self._met(moving) if loads and stores else 0.0
        rate = self.memory.pace(loads + stores, share)
        for own in self.cores:
            load, store, array, vector = own
            load.rate = store.rate = rate
            array.rate = vector.rate = 1.0
            if array.running >= 0 or vector.running >= 0:
                for e in (load, store):
                    if e.flows:
                        self._steal(e, array, vector)

    def _met(self, moving: list[_Engine]) -> float:
        """Return of how many points ahead, on the way of a load and a store, both lie in one bank in different rows."""
        load = next(e for e in moving[::2] if e.flows)
        store = next(e for e in moving[1::2] if e.flows)
        ahead = min(load.left, store.left)
        met = 0
        for k in range(POINTS):
            a, b = (self._line(e, e.left - ahead * (k + 0.5) / POINTS) for e in (load, store))
            met += a != b and self.memory.bank(a) == self.memory.bank(b)
        return met / POINTS

    def _line(self, e: _Engine, left: float) -> int:
        """Return the line of the DRAM that a transfer has come to when so much is left."""
        start, span = self.work.dram[e.running]
        done = 1 - left / (self.work.duration[e.running] or 1)
        return int(start + span * done) // self.memory.row_bytes

    def _steal(self, e: _Engine, array: _Engine, vector: _Engine) -> None:
        """Slow the unit that holds the bank which a transfer's data pass."""
        buffer, low, high = self.work.place[e.running]
        if buffer > 1 or high <= low:
            return
        a, v = (self.work.banks[u.running][buffer] if u.running >= 0 else 0 for u in (array, vector))
        full = a | v if self.memory.ports[buffer] == 1 else a & v if self.memory.ports[buffer] == 2 else 0
        bank = 1 << int(self._position(e)) // self.memory.bank_bytes[buffer]
        if full & bank:
            later = self.times.start[array.running] > self.times.start[vector.running] if a & v & bank else True
            victim = array if a & bank and later else vector
            victim.rate -= self.memory.steal[buffer] * e.rate

    def _position(self, e: _Engine) -> float:
        """Return the place in the buffer that a transfer has come to."""
        _, low, high = self.work.place[e.running]
        done = 1 - e.left / (self.work.duration[e.running] or 1)
        return min(low + (high - low) * done + SHORT, high - 1)

    def _advance(self, busy: list[_Engine]) -> None:
        """Go on to the next event."""
        step = max(0.0, min(self._until(e) for e in busy))
        self.now += step
        for e in busy:
            if e.latency > SHORT:
                e.latency -= step
            else:
                e.left -= e.rate * step
                if e.rate < 1 and not e.flows:
                    self.times.stolen[e.running] += (1 - e.rate) * step
            if e.latency <= SHORT and e.left <= SHORT:
                self.times.end[e.running] = self.now
                if self.work.dram[e.running][1]:
                    self.memory.leave_open(*self.work.dram[e.running])
                e.last, e.running, e.flows = e.running, -1, False

    def _until(self, e: _Engine) -> float:
        """Return the cycles to an engine's next event: data after a latency, another bank, the end."""
        if e.latency > SHORT:
            return e.latency
        if e.rate <= 0:
            return NEVER if e.left > SHORT else 0.0
        ends, (buffer, low, high) = e.left / e.rate, self.work.place[e.running]
        if not e.flows or self.memory.ports[buffer] > 2:
            return ends
        size, at = self.memory.bank_bytes[buffer], self._position(e)
        ahead = (int(at) // size + 1) * size - at
        if ahead >= high - at:
            return ends
        return min(ends, ahead / (high - low) * self.work.duration[e.running] / e.rate + SHORT)


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
