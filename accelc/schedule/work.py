"""The work of a schedule, tile by tile: what each engine does, how long by itself, and what it must wait for.

A Work is recorded in program order. An entry stands for one tile's share of one engine: a load, a store, the array's
cycles for a weight tile, or all vector steps of a tile. Cells are ranges of a buffer; an entry that writes a cell waits
for those that read it or what lay there before, an entry that reads it for those that wrote it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from accelc.chip import Chip
from accelc.isa import Space
from accelc.schedule.transfer import Transfer

LOAD, STORE, MAC, VECTOR = range(4)
ENGINES = 4  # of a core
NO_BANKS = (0, 0, 0)

Span = tuple[int, int]
Range = tuple[Space, int, int]
"""A space, its first byte (of acc: word) and the one past the last."""


class Cell:
    """A range of a buffer: the newest entry that wrote it, the newest of each engine that read it.

    What lies in it ends at `end`; of weights, the array reads what lies before `split` and the vector unit the rest.
    """

    def __init__(self, space: Space, low: int, high: int, before: Iterable[int] = ()) -> None:
        self.space, self.low, self.high = space, low, high
        self.end = self.split = high
        self.before = tuple(before)  # entries that used what lay here before
        self.written = -1
        self.reads = [-1] * 4
        self._read_from = low  # where what the vector unit read last begins

    def fill(self, size: int, split: int | None = None) -> None:
        """Note how many bytes (of acc: words) lie in the cell, and how many of them the array reads."""
        self.end = self.low + size
        self.split = self.end if split is None else self.low + split

    def part(self, engine: int) -> Range:
        """Return the range that the array or the vector unit touches."""
        if engine == VECTOR and self.split < self.end:
            return self.space, self.split, self.end
        return self.space, self.low, self.split

    def read(self, engine: int, entry: int) -> None:
        """Note that an entry reads the cell."""
        self.reads[engine] = entry
        if engine == VECTOR:
            self._read_from = self.part(engine)[1]

    def overwrite(self, entry: int) -> list[int]:
        """Note that a load fills the cell up to its end; return what it waits for: parameters behind it may stay."""
        waits, spared = self.users(), self.reads[VECTOR] if self._read_from >= self.end else -1
        self.written, self.reads = entry, [-1] * 4
        self.reads[VECTOR] = spared
        return [k for k in waits if k != spared]

    def users(self) -> list[int]:
        """Return the newest entries that read or wrote the cell, or what lay there before it was written."""
        return [k for k in (self.written, *self.reads, *(self.before if self.written < 0 else ())) if k >= 0]


@dataclass
class Work:
    """The entries as parallel lists; `stage` is the stage an entry belongs to, `weight` how many alike it stands for.

    `duration` is in cycles, for a transfer those of its data; `latency` are a transfer's cycles before them. `banks`
    are bit masks of the banks of act, wgt and acc that an entry of the array or the vector unit holds, `place` the
    buffer and the range that a transfer fills or reads, `dram` the first byte and the length of its range of the DRAM.
    """

    chip: Chip
    engine: list[int] = field(default_factory=list)
    latency: list[int] = field(default_factory=list)
    duration: list[int] = field(default_factory=list)
    needs: list[tuple[int, ...]] = field(default_factory=list)
    stage: list[int] = field(default_factory=list)
    weight: list[float] = field(default_factory=list)
    banks: list[tuple[int, int, int]] = field(default_factory=list)
    place: list[tuple[int, int, int]] = field(default_factory=list)
    dram: list[Span] = field(default_factory=list)
    now: tuple[int, float] = (0, 1.0)  # the stage and the weight of what is recorded next
    core: int = 0  # whose engines that is for: number ENGINES * core + engine
    _met: list[int] = field(default_factory=list)  # the newest entries when the cores last met
    _apart: set[int] = field(default_factory=set)  # engines that have not waited for them yet

    def __post_init__(self) -> None:
        c = self.chip.timing
        self._bank_bytes = (c.act_bytes // c.act_banks, c.wgt_bytes // c.wgt_banks, c.acc_bytes // c.acc_banks // 4)
        self._unified = bool(c.unified)

    def move(self, engine: int, what: Transfer, cell: Cell, needs: Iterable[int] = ()) -> int:
        """Record a load into, or a store from, a cell; `needs` are entries it waits for besides the cell's."""
        k = len(self.engine)
        if engine == STORE:
            waits = [cell.written]
            cell.read(STORE, k)
        else:
            waits = cell.overwrite(k)
        self._add(engine, what.latency, what.bus, [*waits, *needs], NO_BANKS)
        self.dram[k] = what.start, what.span
        self.place[k] = (self._buffer(cell.space), cell.low, cell.end)
        return k

    def compute(
        self, engine: int, cycles: int, reads: Sequence[Cell], writes: Sequence[Cell], needs: Iterable[int],
        parts: Iterable[Range] = (),
    ) -> int:  # fmt: skip
        """Record work of the array or the vector unit on cells, and on parts of maps on chip."""
        waits = [cell.written for cell in reads] + [k for cell in writes for k in cell.users()]
        ranges = [cell.part(engine) for cell in (*reads, *writes)]
        k = self._add(engine, 0, cycles, [*waits, *needs], self._banks((*ranges, *parts)))
        for cell in reads:
            cell.read(engine, k)
        for cell in writes:
            cell.written = k
        return k

    def meet(self) -> None:
        """Let what follows, on every core, wait for all before it."""
        self._met = self.newest(range(len(self.engine)))
        self._apart = set(range(ENGINES * self.chip.cores))

    def newest(self, entries: Iterable[int]) -> list[int]:
        """Return of some entries the newest of each engine: it works in order, so that one stands for all before it."""
        found = [-1] * (ENGINES * self.chip.cores)
        for k in entries:
            if k >= 0 and found[self.engine[k]] < k:
                found[self.engine[k]] = k
        return [k for k in found if k >= 0]

    def _add(self, engine: int, latency: int, cycles: int, needs: Iterable[int], banks: tuple[int, int, int]) -> int:
        number = ENGINES * self.core + engine
        if number in self._apart:
            self._apart.discard(number)
            needs = [*needs, *self._met]
        self.latency.append(latency)
        self.duration.append(cycles)
        self.needs.append(tuple(k for k in self.newest(needs) if self.engine[k] != number))
        self.stage.append(self.now[0])
        self.weight.append(self.now[1])
        self.banks.append(banks)
        self.place.append((0, 0, 0))
        self.dram.append((0, 0))
        self.engine.append(number)
        return len(self.engine) - 1

    def _buffer(self, space: Space) -> int:
        """Return the buffer of a space: 0 act or unified, 1 wgt, 2 acc."""
        return 0 if self._unified and space is Space.WGT else int(space) - int(Space.ACT)

    def _banks(self, ranges: Iterable[Range]) -> tuple[int, int, int]:
        masks = [0, 0, 0]
        for space, low, high in ranges:
            if high > low:
                buffer = self._buffer(space)
                size = self._bank_bytes[buffer]
                masks[buffer] |= (2 << (high - 1) // size) - (1 << low // size)
        return masks[0], masks[1], masks[2]
