"""Tokens: which instructions of other queues must be complete before one may start, from the bytes each touches."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from accelc.graph import Array
from accelc.isa import Instruction, Queue, Space

DRAM_BITS = 40  # of a DRAM address


@dataclass
class _Access:
    low: int
    high: int
    write: bool
    queue: int
    count: int  # instructions of `queue` complete once this access is done


BLOCK_BITS = 17  # an access is filed under every block of 128 KiB (or as many words) that it touches
FAR = 1 << 12  # blocks; a longer access is filed once, for all


@dataclass
class _Ledger:
    """The accesses of one memory space that others may still have to wait for."""

    blocks: dict[int, list[_Access]] = field(default_factory=dict)
    everywhere: list[_Access] = field(default_factory=list)

    def overlapping(self, low: int, high: int) -> Iterator[_Access]:
        """Yield what overlaps a range, perhaps more than once."""
        yield from self.everywhere
        blocks = self._blocks(low, high)
        for block in blocks if len(blocks) <= FAR else list(self.blocks):
            for old in self.blocks.get(block, ()):
                if old.low < high and low < old.high:
                    yield old

    def record(self, new: _Access) -> None:
        """File an access and forget those that it stands for."""
        self.everywhere = [old for old in self.everywhere if not _stands_for(new, old)]
        blocks = self._blocks(new.low, new.high)
        if len(blocks) > FAR:
            self.everywhere.append(new)
        for block in list(self.blocks) if len(blocks) > FAR else blocks:
            kept = [old for old in self.blocks.get(block, ()) if not _stands_for(new, old)]
            self.blocks[block] = kept if len(blocks) > FAR else [*kept, new]

    @staticmethod
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
            for old in self._ledgers[space].overlapping(low, high):
                if write or old.write:
                    waits[old.queue] = max(waits[old.queue], old.count)
        waits[made.queue] = 0
        self.counts[made.queue] += 1
        for space, low, high, write in rows:
            self._ledgers[space].record(_Access(low, high, write, made.queue, self.counts[made.queue]))
        return {queue: waits[queue] for queue in Queue if waits[queue]}

    def everything(self, but: Queue) -> dict[Queue, int]:
        """Return the wait for all instructions issued so far, except those of one queue."""
        return {queue: self.counts[queue] for queue in Queue if queue != but and self.counts[queue]}

    def _touched(self, made: Instruction, operands: dict[str, int | float]) -> list[tuple[int, int, int, bool]]:
        if made.queue is Queue.HOST:  # it may read and write any tensor
            return [(int(Space.DRAM), 0, 1 << DRAM_BITS, True)]
        names = made.operand_names("touches")
        count = made.clauses["touches"](self._scratch, **{n: operands[n] for n in names})
        rows = [(int(s), int(a), int(b), bool(w)) for s, a, b, w in self._scratch[:count]]
        if self.unified:
            rows = [(Space.ACT if s == Space.WGT else s, a, b, w) for s, a, b, w in rows]
        return rows


def _stands_for(new: _Access, old: _Access) -> bool:
    """Return whether waiting for `new` is as good as waiting for `old`."""
    covers = new.low <= old.low and old.high <= new.high
    if new.queue == old.queue:
        return covers and (new.write or not old.write)
    return covers and new.write
