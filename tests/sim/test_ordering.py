"""Who waits for whom by the bytes that each touches: as the ledger behind the compiler's tokens says."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from accelc.isa import Queue
from accelc.lower.ledger import Ledger
from accelc.sim.ordering import EVERYTHING, awaited

QUEUES = 4
Access = tuple[int, int, int, int, bool]  # the queue, the memory, the range, whether it writes


@st.composite
def accesses(draw: st.DrawFn) -> list[Access]:
    """Draw accesses of a core's queues to two memories."""
    low = st.integers(0, 40)
    each = st.tuples(st.integers(0, QUEUES - 1), st.integers(0, 1), low, st.integers(1, 12), st.booleans())
    return [(q, m, low, low + size, write) for q, m, low, size, write in draw(st.lists(each, max_size=60))]


@given(accesses())
def test_a_core_waits_as_the_ledger_of_tokens_says(found: list[Access]) -> None:
    ledgers = [Ledger(QUEUES, forgets=True) for _ in range(2)]
    expected = []
    for k, (queue, memory, low, high, write) in enumerate(found):
        waits = [0] * QUEUES
        ledgers[memory].newest(low, high, write, waits)
        ledgers[memory].record(low, high, write, queue, k + 1)
        waits[queue] = 0
        expected.append([*(n - 1 for n in waits), -1, -1])
    touched = np.array([(k, *rest) for k, (_, *rest) in enumerate(found)], np.int64).reshape(-1, 5)
    units = np.array([queue for queue, *_ in found], np.int64)
    assert awaited(touched, units, np.zeros(len(found), np.int64), 1).tolist() == expected


def test_lists_grow_with_what_they_hold() -> None:
    """Two thousand ranges apart, each written, then all read at once."""
    count = 2000
    touched = np.array([(k, 1, 2 * k, 2 * k + 1, 1) for k in range(count)] + [(count, 1, 0, 3, 0)], np.int64)
    units = np.array([0] * count + [2], np.int64)
    assert awaited(touched, units, np.zeros(count + 1, np.int64), 1)[-1].tolist() == [1, -1, -1, -1, -1, -1]


def test_other_cores_are_waited_for_by_the_sync() -> None:
    """A store of core 0, a sync, a load of core 1 in the next stage: of the same bytes, and of others."""
    sync = 4 + int(Queue.SYNC)
    for low, need in ((0, 1), (64, -1)):
        touched = np.array([(0, 0, 0, 64, 1), (2, 0, low, low + 64, 0)], np.int64)
        found = awaited(touched, np.array([1, sync, 4]), np.array([0, 1, 1]), 2)
        assert found[2].tolist() == [-1, -1, -1, -1, -1, need]


def test_what_may_touch_everything_waits_for_all() -> None:
    touched = np.array([(0, 1, 0, 4, 0), (1, 3, 0, 4, 1), (2, 0, 0, EVERYTHING, 1), (3, 0, 8, 9, 0)], np.int64)
    found = awaited(touched, np.array([0, 2, 3, 0]), np.zeros(4, np.int64), 1)
    assert found[2, :4].tolist() == [0, -1, 1, -1]
    assert found[3, int(Queue.VECTOR)] == 2
