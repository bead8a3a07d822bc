"""Tokens: which instructions of other queues must be complete before one may start, from the bytes each touches."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field

import numpy as np

from accelc.graph import Array
from accelc.isa import Instruction, Queue, Space

DRAM_BITS = 40  # of a DRAM address
# While the size of the constants is unknown, activations get addresses from here; they move behind the constants last.
ACTIVATIONS = 1 << 38


BLOCK_BITS = 17  # an access is filed under every block of 128 KiB (or as many words) that it touches
FAR = 1 << 12  # blocks; what is longer is filed under one block of its own
EVERYWHERE = -1

_Range = tuple[int, int]


class _Block:
    """Accesses to one block: for reads and for writes, for each queue, the last count by range, oldest first.

    A queue runs in order: the newest access that overlaps stands for all older ones of its queue.
    """

    def __init__(self) -> None:
        self.reads: list[dict[_Range, int]] = [{} for _ in Queue]
        self.writes: list[dict[_Range, int]] = [{} for _ in Queue]

    def newest(self, low: int, high: int, write: bool, waits: list[int]) -> None:
        """Raise `waits` to the newest access of each queue that a range must wait for."""
        for queues in (self.writes, self.reads) if write else (self.writes,):
            for queue, accesses in enumerate(queues):
                for (first, end), count in reversed(accesses.items()):
                    if first < high and low < end:
                        waits[queue] = max(waits[queue], count)
                        break

    def record(self, low: int, high: int, write: bool, queue: int, count: int) -> None:
        """File an access; what a write covers is forgotten, as that write has waited for it."""
        if write:
            for accesses in (*self.reads, *self.writes):
                for old in [r for r in accesses if low <= r[0] and r[1] <= high]:
                    del accesses[old]
        accesses = (self.writes if write else self.reads)[queue]
        accesses.pop((low, high), None)
        accesses[low, high] = count


class _Ledger:
    """The accesses of one memory space that others may still have to wait for."""

    def __init__(self) -> None:
        self._blocks: dict[int, _Block] = defaultdict(_Block)

    def newest(self, low: int, high: int, write: bool, waits: list[int]) -> None:
        """Raise `waits` to the newest access of each queue that a range must wait for."""
        blocks = _blocks(low, high)
        for block in (*blocks, EVERYWHERE) if len(blocks) <= FAR else list(self._blocks):
            if block in self._blocks:
                self._blocks[block].newest(low, high, write, waits)

    def record(self, low: int, high: int, write: bool, queue: int, count: int) -> None:
        """File an access under the blocks it touches."""
        blocks = _blocks(low, high)
        if len(blocks) > FAR and write:
            self._blocks.clear()
        for block in blocks if len(blocks) <= FAR else (EVERYWHERE,):
            self._blocks[block].record(low, high, write, queue, count)


def _blocks(low: int, high: int) -> range:
    return range(low >> BLOCK_BITS, ((high - 1) >> BLOCK_BITS) + 1)


@dataclass
class TokenTracker:
    """Follows reads and writes of every memory space in program order.

    An instruction waits for the last instruction of each other queue whose bytes overlap its own, one of the two
    writing. An access that a later one of its queue (or a write over all its bytes) stands for is forgotten.
    """

    unified: bool
    counts: list[int] = field(default_factory=lambda: [0] * len(Queue))
    _ledgers: dict[int, _Ledger] = field(default_factory=lambda: defaultdict(_Ledger))
    _scratch: Array = field(default_factory=lambda: np.zeros((4, 4), np.int64))

    def issue(self, made: Instruction, operands: dict[str, int | float]) -> dict[Queue, int]:
        """Return what an instruction must wait for, and record it as issued."""
        rows = self._touched(made, operands)
        waits = [0] * len(Queue)
        for space, low, high, write in rows:
            self._ledgers[space].newest(low, high, write, waits)
        waits[made.queue] = 0
        self.counts[made.queue] += 1
        for space, low, high, write in rows:
            self._ledgers[space].record(low, high, write, made.queue, self.counts[made.queue])
        return {queue: waits[queue] for queue in Queue if waits[queue]}

    def everything(self, but: Queue) -> dict[Queue, int]:
        """Return the wait for all instructions issued so far, except those of one queue."""
        return {queue: self.counts[queue] for queue in Queue if queue != but and self.counts[queue]}

    def _touched(self, made: Instruction, operands: dict[str, int | float]) -> list[tuple[int, int, int, bool]]:
        if made.queue is Queue.HOST or made.name == "stream":  # it may read and write any tensor
            return [(int(Space.DRAM), 0, 1 << DRAM_BITS, True)]
        names = made.operand_names("touches")
        count = made.clauses["touches"](self._scratch, **{n: operands[n] for n in names})
        rows = [(int(s), int(a), int(b), bool(w)) for s, a, b, w in self._scratch[:count].tolist()]
        rows = [row for row in rows if row[0] != Space.DRAM or row[2] > ACTIVATIONS]  # nothing writes constants
        if self.unified:
            rows = [(Space.ACT if s == Space.WGT else s, a, b, w) for s, a, b, w in rows]
        return rows
