"""Tokens: which instructions of other queues must be complete before one may start, from the bytes each touches."""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Mapping
from operator import itemgetter

from accelc.errors import ScheduleError
from accelc.isa import Instruction, Queue, Space
from accelc.isa.encoding import wait_bits

DRAM_BITS = 40  # of a DRAM address
# While the size of the constants is unknown, activations get addresses from here; they move behind the constants last.
ACTIVATIONS = 1 << 38


# An access is filed under every block of 128 KiB of DRAM, or of 16 KiB (or as many words) on chip, that it touches.
DRAM_BLOCK_BITS, CHIP_BLOCK_BITS = 17, 14
FAR = 1 << 12  # blocks; what is longer is filed under one block of its own
EVERYWHERE = -1

_Range = tuple[int, int]
_QUEUES = tuple(Queue)


CORE_QUEUES = int(Queue.HOST)  # of each core; after those of all cores comes the host's
MOST_SYNCS = (1 << wait_bits(Queue.SYNC)) - 1


class _Block:
    """Accesses to one block: of reads and of writes, by the queue, the last count by range, oldest first.

    A queue runs in order: the newest access that overlaps stands for all older ones of its queue.
    """

    def __init__(self) -> None:
        self.reads: dict[int, dict[_Range, int]] = {}
        self.writes: dict[int, dict[_Range, int]] = {}

    def newest(self, low: int, high: int, write: bool, waits: list[int]) -> None:
        """Raise `waits` to the newest access of each queue that a range must wait for."""
        for queues in (self.writes, self.reads) if write else (self.writes,):
            for queue, accesses in queues.items():
                for (first, end), count in reversed(accesses.items()):
                    if first < high and low < end:
                        if count > waits[queue]:
                            waits[queue] = count
                        break

    def record(self, low: int, high: int, write: bool, queue: int, count: int) -> None:
        """File an access; what a write covers is forgotten, as that write has waited for it."""
        if write:
            for accesses in (*self.reads.values(), *self.writes.values()):
                for old in [r for r in accesses if low <= r[0] and r[1] <= high]:
                    del accesses[old]
        accesses = (self.writes if write else self.reads).setdefault(queue, {})
        accesses.pop((low, high), None)
        accesses[low, high] = count


class _Ledger:
    """The accesses of one memory space that others may still have to wait for."""

    def __init__(self, block_bits: int) -> None:
        self._bits = block_bits
        self._blocks: dict[int, _Block] = defaultdict(_Block)

    def newest(self, low: int, high: int, write: bool, waits: list[int]) -> None:
        """Raise `waits` to the newest access of each queue that a range must wait for."""
        blocks = self._between(low, high)
        for block in (*blocks, EVERYWHERE) if len(blocks) <= FAR else list(self._blocks):
            if block in self._blocks:
                self._blocks[block].newest(low, high, write, waits)

    def record(self, low: int, high: int, write: bool, queue: int, count: int) -> None:
        """File an access under the blocks it touches."""
        blocks = self._between(low, high)
        if len(blocks) > FAR and write:
            self._blocks.clear()
        for block in blocks if len(blocks) <= FAR else (EVERYWHERE,):
            self._blocks[block].record(low, high, write, queue, count)

    def _between(self, low: int, high: int) -> range:
        return range(low >> self._bits, ((high - 1) >> self._bits) + 1)


class TokenTracker:
    """Follows reads and writes of every memory space in program order.

    An instruction waits for the last instruction of each other queue whose bytes overlap its own, one of the two
    writing. An access that a later one of its queue (or a write over all its bytes) stands for is forgotten. Where the
    other instruction is another core's, the wait is for the first sync after it; `syncs` are those that the program
    has had to have so far.
    """

    def __init__(self, unified: bool, cores: int = 1) -> None:
        self.unified, self.syncs = unified, 0
        self.counts = [0] * (CORE_QUEUES * cores + 1)
        self._at_sync: list[list[int]] = []  # the counts that each sync waits for
        self._before = list(self.counts)  # those of what came before the stage at hand
        self._ledgers: dict[int, _Ledger] = {}
        self._scratch: dict[_Range, int] = {}  # what a clause writes, by row and column: cheaper than an array

    def issue(self, made: Instruction, operands: Mapping[str, int | float], core: int = 0) -> dict[Queue, int]:
        """Return what an instruction must wait for, and record it as issued."""
        rows = self._touched(made, operands, core)
        waits = [0] * len(self.counts)
        for space, low, high, write in rows:
            if space not in self._ledgers:
                self._ledgers[space] = _Ledger(DRAM_BLOCK_BITS if space == Space.DRAM else CHIP_BLOCK_BITS)
            self._ledgers[space].newest(low, high, write, waits)
        queue = self._number(made.queue, core)
        waits[queue] = 0
        found = self._waits(waits, core)
        self.counts[queue] += 1
        for space, low, high, write in rows:
            self._ledgers[space].record(low, high, write, queue, self.counts[queue])
        return found

    def everything(self, but: Queue) -> dict[Queue, int]:
        """Return the wait of the first core for all instructions issued so far, except those of one queue."""
        counts = list(self.counts)
        counts[self._number(but, 0)] = 0
        return self._waits(counts, 0)

    def own(self, but: Queue) -> dict[Queue, int]:
        """Return the wait for all instructions of the first core and the host, except those of one queue."""
        counts = [*self.counts[:CORE_QUEUES], self.counts[-1]]
        return {queue: n for queue, n in zip(Queue, counts, strict=False) if n and queue != but}

    def sync(self) -> None:
        """Note that a sync stands here in the program; raise ScheduleError for more than words can wait for."""
        self.syncs += 1
        self._at_sync.append(list(self.counts))
        if self.syncs > MOST_SYNCS:
            raise ScheduleError(f"the cores meet more than {MOST_SYNCS} times; a chip of one core would work")

    def begin_stage(self) -> None:
        """Note that a stage begins: what cores do of it is apart, though ranges of strided bytes may overlap."""
        self._before = list(self.counts)

    def met(self, cores: Iterable[int]) -> bool:
        """Return whether no core but those given alone has issued anything since the last sync."""
        before = self._at_sync[-1] if self._at_sync else [0] * len(self.counts)
        both = zip(before, self.counts, strict=True)
        active = {k // CORE_QUEUES for k, (a, b) in enumerate(both) if a != b and k < len(before) - 1}
        return not active or len(active | set(cores)) == 1

    def _number(self, queue: Queue, core: int) -> int:
        return CORE_QUEUES * core + queue if queue.of_core else len(self.counts) - 1

    def _waits(self, counts: list[int], core: int) -> dict[Queue, int]:
        """Return the waits of an instruction of a core for so many instructions of each queue of each core."""
        first, own = CORE_QUEUES * core, counts[CORE_QUEUES * core : CORE_QUEUES * (core + 1)]
        found = {queue: n for queue, n in zip(_QUEUES, (*own, counts[-1]), strict=False) if n}
        if len(own) == len(counts) - 1:
            return found
        others = enumerate(zip(counts[:-1], self._before, strict=False))
        foreign = [(k, min(n, m)) for k, (n, m) in others if min(n, m) and not first <= k < first + CORE_QUEUES]
        if foreign:
            if any(not self._at_sync or self._at_sync[-1][k] < n for k, n in foreign):
                self.sync()
            found[Queue.SYNC] = 1 + max(bisect_left(self._at_sync, n, key=itemgetter(k)) for k, n in foreign)
        return found

    def _touched(
        self, made: Instruction, operands: Mapping[str, int | float], core: int
    ) -> list[tuple[int, int, int, bool]]:
        if made.queue is Queue.HOST or made.name == "stream":  # it may read and write any tensor
            return [(int(Space.DRAM), 0, 1 << DRAM_BITS, True)]
        t, names = self._scratch, made.operand_names("touches")
        count = made.clauses["touches"](t, *[operands[n] for n in names])
        rows = [(t[k, 0], t[k, 1], t[k, 2], t[k, 3] > 0) for k in range(count)]
        rows = [row for row in rows if row[0] != Space.DRAM or row[2] > ACTIVATIONS]  # nothing writes constants
        if self.unified:
            rows = [(Space.ACT if s == Space.WGT else s, a, b, w) for s, a, b, w in rows]
        return [(s if s == Space.DRAM else s + len(Space) * core, a, b, w) for s, a, b, w in rows]
