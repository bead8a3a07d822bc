"""Tokens: which instructions of other queues must be complete before one may start, from the bytes each touches."""

from __future__ import annotations

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


@dataclass
class TokenTracker:
    """Follows reads and writes of every memory space in program order.

    An instruction waits for the last instruction of each other queue whose bytes overlap its own, one of the two
    writing. An access that a later one of its queue (or a write over all its bytes) stands for is forgotten.
    """

    unified: bool
    counts: list[int] = field(default_factory=lambda: [0] * len(Queue))
    _accesses: dict[int, list[_Access]] = field(default_factory=dict)
    _scratch: Array = field(default_factory=lambda: np.zeros((4, 4), np.int64))

    def issue(self, made: Instruction, operands: dict[str, int | float]) -> dict[Queue, int]:
        """Return what an instruction must wait for, and record it as issued."""
        rows = self._touched(made, operands)
        waits = [0] * len(Queue)
        for space, low, high, write in rows:
            for old in self._accesses.get(space, ()):
                if (write or old.write) and old.low < high and low < old.high:
                    waits[old.queue] = max(waits[old.queue], old.count)
        waits[made.queue] = 0
        self.counts[made.queue] += 1
        for space, low, high, write in rows:
            self._record(space, _Access(low, high, write, made.queue, self.counts[made.queue]))
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

    def _record(self, space: int, new: _Access) -> None:
        kept = [old for old in self._accesses.get(space, ()) if not _stands_for(new, old)]
        kept.append(new)
        self._accesses[space] = kept


def _stands_for(new: _Access, old: _Access) -> bool:
    """Return whether waiting for `new` is as good as waiting for `old`."""
    covers = new.low <= old.low and old.high <= new.high
    if new.queue == old.queue:
        return covers and (new.write or not old.write)
    return covers and new.write
