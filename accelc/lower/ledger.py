"""Who touched which bytes last: for each queue, its newest read and write of every range of a memory space."""

from __future__ import annotations

from bisect import bisect_left, bisect_right


class Spans:
    """Disjoint ranges in order of address, each with the count of the newest access to it.

    An access takes over the range from those before it, so that there are never more than two ends for each.
    """

    def __init__(self) -> None:
        self._starts: list[int] = []
        self._ends: list[int] = []
        self._counts: list[int] = []

    def __len__(self) -> int:
        return len(self._starts)

    def newest(self, low: int, high: int) -> int:
        """Return the greatest count of a range that overlaps, 0 if none does."""
        first, last = bisect_right(self._ends, low), bisect_left(self._starts, high)
        return max(self._counts[first:last], default=0)

    def clear(self, low: int, high: int) -> None:
        """Forget what lies between two addresses."""
        self._replace(low, high, [])

    def put(self, low: int, high: int, count: int) -> None:
        """Note an access newer than all before it."""
        if low < high:
            self._replace(low, high, [(low, high, count)])

    def _replace(self, low: int, high: int, made: list[tuple[int, int, int]]) -> None:
        first, last = bisect_right(self._ends, low), bisect_left(self._starts, high)
        if first < last:
            start, end = self._starts[first], self._ends[last - 1]
            before = [(start, low, self._counts[first])] if start < low else []
            after = [(high, end, self._counts[last - 1])] if high < end else []
            made = [*before, *made, *after]
        elif not made:
            return
        self._starts[first:last] = [start for start, _, _ in made]
        self._ends[first:last] = [end for _, end, _ in made]
        self._counts[first:last] = [count for _, _, count in made]


class Ledger:
    """The accesses of one memory space that others may still have to wait for.

    A queue runs in order: its newest access to a byte stands for its older ones. With `forgets`, a write stands for all
    accesses before it to its bytes, as it has waited for them. That does not hold for several cores: what they do of
    one stage does not wait for each other.
    """

    def __init__(self, queues: int, *, forgets: bool) -> None:
        self._reads = [Spans() for _ in range(queues)]
        self._writes = [Spans() for _ in range(queues)]
        self._forgets = forgets

    def newest(self, low: int, high: int, write: bool, waits: list[int]) -> None:
        """Raise `waits` to the newest access of each queue that an access to a range must wait for."""
        for accesses in (self._writes, self._reads) if write else (self._writes,):
            for queue, spans in enumerate(accesses):
                if len(spans):
                    waits[queue] = max(waits[queue], spans.newest(low, high))

    def record(self, low: int, high: int, write: bool, queue: int, count: int) -> None:
        """File an access, the newest of its queue."""
        if write and self._forgets:
            for spans in (*self._reads, *self._writes):
                if len(spans):
                    spans.clear(low, high)
        (self._writes if write else self._reads)[queue].put(low, high, count)
