"""The work of a schedule, tile by tile: what each engine does, how long by itself, and which bytes it touches.

A Work is recorded in program order. An entry stands for one tile's share of one engine: a load, a store, the array's
cycles for a weight tile, or a vector step of a tile. What an entry waits for follows from the ranges of memory that it
and those before it touch, as with tokens (`accelc.sim.ordering`).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from accelc.chip import Chip
from accelc.isa import Queue, Space
from accelc.schedule.transfer import Runs
from accelc.sim.ordering import EVERYTHING, ON_CHIP

LOAD, STORE, MAC, VECTOR = range(4)
ENGINES = 4  # of a core
NO_BANKS = (0, 0, 0)
NO_RUNS = Runs()

Span = tuple[int, int]
Range = tuple[Space, int, int]
"""A space, its first byte (of acc: word) and the one past the last."""


@dataclass
class Work:
    """The entries as parallel lists; `stage` is the stage an entry belongs to, `weight` how many alike it stands for.

    `duration` is in cycles, 0 for a transfer, whose `runs` say what it moves. `banks` are bit masks of the banks of
    act, wgt and acc that an entry of the array or the vector unit holds, `place` the buffer and the range that a
    transfer fills or reads. Engines are numbered as the units of `accelc.sim` are; that of syncs, each of which waits
    for all before it, is the last. `touched` are (entry, memory, low, high, whether it writes): see
    `accelc.sim.ordering`.
    """

    chip: Chip
    constants: int = 0  # bytes from address 0 that nothing writes
    engine: list[int] = field(default_factory=list)
    duration: list[int] = field(default_factory=list)
    stage: list[int] = field(default_factory=list)
    weight: list[float] = field(default_factory=list)
    banks: list[tuple[int, int, int]] = field(default_factory=list)
    place: list[tuple[int, int, int]] = field(default_factory=list)
    runs: list[Runs] = field(default_factory=list)
    touched: list[tuple[int, int, int, int, bool]] = field(default_factory=list)
    syncs: list[int] = field(default_factory=list)
    now: tuple[int, float] = (0, 1.0)  # the stage and the weight of what is recorded next
    core: int = 0  # whose engines that is for: number ENGINES * core + engine

    def __post_init__(self) -> None:
        c = self.chip.timing
        self._bank_bytes = (c.act_bytes // c.act_banks, c.wgt_bytes // c.wgt_banks, c.acc_bytes // c.acc_banks // 4)
        self._unified = bool(c.unified)

    def move(self, engine: int, runs: Runs, where: Range) -> None:
        """Record a load into, or a store from, a range of a buffer."""
        k, store = len(self.engine), engine == STORE
        if runs.bytes and runs.start >= self.constants:
            self.touched.append((k, 0, *runs.range, store))
        self._touch(k, where, write=not store)
        place = (self._buffer(where[0]), where[1], where[2])
        self._add(ENGINES * self.core + engine, 0, NO_BANKS, runs.joined, place)

    def compute(self, engine: int, cycles: int, reads: Iterable[Range], writes: Iterable[Range]) -> None:
        """Record work of the array or the vector unit on ranges of buffers."""
        k, masks = len(self.engine), [0, 0, 0]
        for ranges, write in ((reads, False), (writes, True)):
            for where in ranges:
                self._touch(k, where, write=write)
                self._hold(masks, where)
        self._add(ENGINES * self.core + engine, cycles, (masks[0], masks[1], masks[2]))

    def alone(self, cycles: int) -> None:
        """Record work of the vector unit that waits for all before it, and may touch all of the DRAM."""
        self.touched.append((len(self.engine), 0, 0, EVERYTHING, True))
        self._add(ENGINES * self.core + VECTOR, cycles)

    def meet(self) -> None:
        """Record a sync: by it, work of a core waits for what others did before."""
        self.syncs.append(len(self.engine))
        self._add(ENGINES * self.chip.cores + Queue.SYNC - Queue.HOST, 0)

    def _add(
        self, number: int, cycles: int, banks: tuple[int, int, int] = NO_BANKS, runs: Runs = NO_RUNS,
        place: tuple[int, int, int] = (0, 0, 0),
    ) -> None:  # fmt: skip
        self.engine.append(number)
        self.duration.append(cycles)
        self.stage.append(self.now[0])
        self.weight.append(self.now[1])
        self.banks.append(banks)
        self.place.append(place)
        self.runs.append(runs)

    def _touch(self, entry: int, where: Range, *, write: bool) -> None:
        """Note that an entry touches a range of a buffer."""
        space, low, high = where
        if high > low:
            memory = 1 if self._unified and space is Space.WGT else int(space)
            self.touched.append((entry, memory + ON_CHIP * self.core, low, high, write))

    def _buffer(self, space: Space) -> int:
        """Return the buffer of a space: 0 act or unified, 1 wgt, 2 acc."""
        return 0 if self._unified and space is Space.WGT else int(space) - int(Space.ACT)

    def _hold(self, masks: list[int], where: Range) -> None:
        """Add the banks that a range reaches to those of each buffer."""
        space, low, high = where
        if high > low:
            buffer = self._buffer(space)
            size = self._bank_bytes[buffer]
            masks[buffer] |= (2 << (high - 1) // size) - (1 << low // size)
