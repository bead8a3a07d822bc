"""The timing rules once more, as slow plain Python with objects and lists; the fast model must equal it.

Written from the rules in the docstrings of accelc.sim.timing, dma and dram, with other data structures: every cycle at
which something may happen is visited, and within it the four phases of the rule are taken in order.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

import numpy as np

from accelc.chip import Chip
from accelc.isa import Queue, Word, decode
from accelc.program import Program

L, S, M, V, H, Y = Queue
Lane = tuple[int, Queue]  # a queue of a core; those of all cores have a number past the cores'


def lane_of(word: Word, chip: Chip) -> Lane:
    queue = word.instruction.queue
    return (word.core if queue in (L, S, M, V) else chip.cores, queue)


@dataclass
class PlainDram:
    """Banks as dictionaries, refreshes found by division."""

    chip: Chip
    open_row: dict[int, int] = field(default_factory=dict)
    ready: dict[int, int] = field(default_factory=dict)
    epoch: dict[int, int] = field(default_factory=dict)
    bus_free: int = 0
    hits: int = 0
    activates: int = 0

    def access(self, address: int, t: int) -> int:
        c = self.chip.timing
        line = address // c.dram_row_bytes
        row = line // c.dram_banks
        bank = (line ^ row) % c.dram_banks
        t0 = max(t, self.ready.get(bank, 0))
        epoch = t0 // c.dram_refresh_interval_cycles
        if epoch > self.epoch.get(bank, 0):
            self.epoch[bank] = epoch
            self.open_row.pop(bank, None)
            t0 = max(t0, epoch * c.dram_refresh_interval_cycles + c.dram_refresh_cycles)
        column = t0
        if self.open_row.get(bank) == row:
            self.hits += 1
        else:
            column += c.dram_activate_cycles + (c.dram_precharge_cycles if bank in self.open_row else 0)
            self.activates += 1
        self.open_row[bank] = row
        data = max(column + c.dram_access_cycles, self.bus_free)
        self.bus_free = data + c.dram_burst_cycles
        self.ready[bank] = data - c.dram_access_cycles + c.dram_burst_cycles
        return self.bus_free


@dataclass
class Running:
    """An instruction under way; `end` is None while a transfer's last burst has not been served."""

    index: int
    start: int
    end: int | None
    banks: set[tuple[str, int]] = field(default_factory=set)
    bursts: list[tuple[int, int]] = field(default_factory=list)  # (address, bytes asked for before it)
    passes: list[int] = field(default_factory=list)
    total: int = 0
    range: tuple[str, int, int] = ("", 0, 0)
    asks: int | None = None


def bursts_of(word: Word, chip: Chip) -> tuple[list[tuple[int, int]], int]:
    """Return the bursts of a transfer and the bytes asked for, from the set of bytes in order."""
    o: dict[str, Any] = dict(word.operands)
    side = "dst" if word.instruction.queue is S else "src"
    starts = [
        o[side] + y * o.get(f"{side}_row", 0) + x * o.get(f"{side}_col", 0)
        for y in range(o.get("rows", 1)) for x in range(o.get("cols", 1))
    ]  # fmt: skip
    whole = o["bytes"]
    cols, rows = o.get("cols", 1), o.get("rows", 1)
    if cols == 1 or o.get(f"{side}_col") == whole:
        starts, whole = starts[::cols], whole * cols
        if rows == 1 or o.get(f"{side}_row") == whole:
            starts, whole = starts[:1], whole * rows
    size = chip.timing.dram_burst_bytes
    bursts = []
    for k, start in enumerate(starts):
        covering = range(start // size * size, start + whole, size)
        bursts += [(at, k * whole + max(0, at - start)) for at in covering]
    return bursts, whole * len(starts)


class PlainTiming:
    """One run of the rules over a program."""

    def __init__(self, program: Program, chip: Chip) -> None:
        self.chip, self.words, self.hosts = chip, decode(program.words), program.hosts
        self.dram = PlainDram(chip)
        self.lanes = [(c, q) for c in range(chip.cores) for q in (L, S, M, V)] + [(chip.cores, H), (chip.cores, Y)]
        self.todo = {a: [i for i, w in enumerate(self.words) if lane_of(w, chip) == a] for a in self.lanes}
        self.running: dict[Lane, Running] = {}
        self.done: dict[Lane, int] = dict.fromkeys(self.lanes, 0)
        n = len(self.words)
        self.start, self.end, self.stolen = [-1] * n, [-1] * n, [0] * n
        self.engines = [a for a in self.lanes if a[1] in (L, S)]
        self.last_pass = dict.fromkeys(self.engines, -(10**9))
        c = chip.timing
        scratch = chip.buffers.unified
        parts = {"act": chip.buffers.act or scratch, "wgt": chip.buffers.wgt or scratch, "acc": chip.buffers.acc}
        self.buffers = {("act" if c.unified and k == "wgt" else k): v for k, v in parts.items()}

    def touched(self, word: Word) -> list[tuple[str, int, int]]:
        rows = np.zeros((8, 4), np.int64)
        made = word.instruction
        count = made.clauses["touches"](rows, *(word.operands[n] for n in made.operand_names("touches")))
        names = ("dram", "act", "act" if self.chip.timing.unified else "wgt", "acc")
        scale = (1, 1, 1, 4)
        return [(names[s], int(a) * scale[s], int(b) * scale[s]) for s, a, b, _ in rows[:count].tolist()]

    def banks(self, word: Word) -> set[tuple[str, int]]:
        held = set()
        for name, first, end in self.touched(word):
            size = self.buffers[name].bytes // self.buffers[name].banks
            held |= {(name, b) for b in range(first // size, (end - 1) // size + 1)}
        return held

    def can_start(self, lane: Lane) -> bool:
        if lane in self.running or not self.todo[lane]:
            return False
        at, (core, q) = self.todo[lane][0], lane
        word = self.words[at]
        if word.instruction.name == "halt":
            return all(not self.todo[r] and r not in self.running for r in self.lanes if r != lane)
        if word.instruction.name == "sync" and any(end < 0 for end in self.end[:at]):
            return False
        if any(self.done[word.core if r in (L, S, M, V) else self.chip.cores, r] < n for r, n in word.wait.items()):
            return False
        if q not in (M, V):
            return True
        return all(self.free_ports(core, bank) > 0 for bank in self.banks(word))

    def free_ports(self, core: int, bank: tuple[str, int]) -> int:
        held = sum(bank in r.banks for (c, _), r in self.running.items() if c == core)
        return self.buffers[bank[0]].ports - held

    def begin(self, lane: Lane, now: int) -> None:
        i, q = self.todo[lane].pop(0), lane[1]
        word = self.words[i]
        self.start[i] = now
        run = Running(i, now, None)
        if q in (L, S):
            run.bursts, run.total = bursts_of(word, self.chip)
            run.asks = now + self.chip.timing.dma_issue_cycles
            run.range = next(r for r in self.touched(word) if r[0] != "dram")
        elif q in (H, Y):
            seconds = self.hosts[int(word.operands["index"])].seconds if word.instruction.name == "host" else 0.0
            run.end = now - int(-Fraction(seconds) * Fraction(self.chip.clock_mhz) * 10**6 // 1)
        else:
            made = word.instruction
            cost = made.clauses["cycles"](self.chip.timing, *(word.operands[n] for n in made.operand_names("cycles")))
            run.end, run.banks = now + sum(cost), self.banks(word)
        self.running[lane] = run

    def ask(self, lane: Lane, now: int) -> None:
        run, c = self.running[lane], self.chip.timing
        k = len(run.passes)
        over = self.dram.access(run.bursts[k][0], now)
        path = -(-c.dram_burst_bytes // c.dma_bytes_per_cycle)
        self.last_pass[lane] = max(over, self.last_pass[lane] + path)
        run.passes.append(self.last_pass[lane])
        if len(run.passes) == len(run.bursts):
            run.asks, run.end = None, self.last_pass[lane]
        else:
            late = run.passes[k + 1 - c.dma_outstanding] if k + 1 >= c.dma_outstanding else 0
            run.asks = max(now + 1, late)

    def steal(self, lane: Lane, now: int) -> None:
        run, own = self.running[lane], [(lane[0], M), (lane[0], V)]
        if now not in run.passes:
            return
        name, first, end = run.range
        moved = run.bursts[run.passes.index(now)][1]
        place = first + moved * (end - first) // run.total
        buffer = self.buffers[name]
        bank = (name, place // (buffer.bytes // buffer.banks))
        holders = [self.running[r] for r in own if r in self.running and bank in self.running[r].banks]
        holders = [h for h in holders if h.start < now]
        if len(holders) >= buffer.ports:
            victim = max(holders, key=lambda h: h.start) if holders[0].start != holders[-1].start else holders[-1]
            extra = -(-self.chip.timing.dram_burst_bytes // buffer.width_bytes)
            assert victim.end is not None
            victim.end += extra
            self.stolen[victim.index] += extra

    def step(self, now: int) -> None:
        """Take the four phases of one cycle; completions and starts repeat while instructions of no length end."""
        for lane in self.engines:
            if lane in self.running:
                self.steal(lane, now)
        while True:
            for lane in [a for a, r in self.running.items() if r.end == now]:
                self.end[self.running.pop(lane).index] = now
                self.done[lane] += 1
            for lane in self.lanes:
                if self.can_start(lane):
                    self.begin(lane, now)
            if not any(r.end == now for r in self.running.values()):
                break
        for lane in self.engines:
            if lane in self.running and self.running[lane].asks == now:
                self.ask(lane, now)

    def run(self) -> PlainTiming:
        now = 0
        self.step(now)
        while self.running:
            times = [r.end for r in self.running.values()] + [r.asks for r in self.running.values()]
            times += [p for r in self.running.values() for p in r.passes if p > now]
            now = min(t for t in times if t is not None and (t > now))
            self.step(now)
        return self
