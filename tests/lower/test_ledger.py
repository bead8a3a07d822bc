"""Who touched which bytes last: the same as looking at every access, in far fewer steps."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from accelc.lower.ledger import Ledger, Spans

ACCESS = st.tuples(st.integers(0, 60), st.integers(1, 30), st.booleans(), st.integers(0, 2))


def met(history: list[tuple[int, int, bool, int, int]], low: int, high: int, write: bool) -> list[int]:
    """Return the newest access of each queue that overlaps a range, one of both writing."""
    waits = [0, 0, 0]
    for first, end, wrote, queue, count in history:
        if first < high and low < end and (write or wrote):
            waits[queue] = max(waits[queue], count)
    return waits


def known(history: list[tuple[int, int, bool, int, int]], clocks: list[list[int]], waits: list[int]) -> list[int]:
    """Return what is complete once these accesses are: they, and what each of them waited for."""
    done = list(waits)
    for (_, _, _, queue, count), clock in zip(history, clocks, strict=True):
        if waits[queue] >= count:
            done = [max(a, b) for a, b in zip(done, clock, strict=True)]
    return done


@given(st.lists(ACCESS, max_size=40), st.booleans())
def test_what_an_access_waits_for_ensures_all_that_it_meets(drawn: list, forgets: bool) -> None:
    ledger, counts = Ledger(3, forgets=forgets), [0, 0, 0]
    history: list[tuple[int, int, bool, int, int]] = []
    clocks: list[list[int]] = []
    for low, size, write, queue in drawn:
        high, waits = low + size, [0, 0, 0]
        ledger.newest(low, high, write, waits)
        needed = met(history, low, high, write)
        if not forgets:
            assert waits == needed
        waits[queue] = counts[queue]  # a queue runs in order
        ensured = known(history, clocks, waits)
        assert all(a >= b for a, b in zip(ensured, needed, strict=True))
        counts[queue] += 1
        ledger.record(low, high, write, queue, counts[queue])
        history.append((low, high, write, queue, counts[queue]))
        clocks.append(ensured)


def test_an_access_takes_over_the_ranges_before_it() -> None:
    spans = Spans()
    for k in range(1000):
        spans.put(k * 64, k * 64 + 96, k + 1)
    assert len(spans) == 1000
    assert [spans.newest(low, low + 1) for low in (0, 63, 64, 999 * 64 + 95)] == [1, 1, 2, 1000]
    assert spans.newest(999 * 64 + 96, 1 << 40) == 0
    spans.put(32, 64_000, 2000)
    assert len(spans) == 3
    spans.clear(0, 1 << 40)
    assert len(spans) == 0
