"""Who must wait for whom, from the ranges of memory that each touches: the rule of the compiler's tokens, for a table.

An entry waits for the newest entry of each other unit whose bytes overlap its own, one of the two writing. Units of one
core wait for each other's entries, for those of other cores by the first sync behind them; what cores do of one stage
is apart, though ranges of strided bytes may overlap.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from accelc.isa import Queue
from accelc.sim.jit import entry, step
from accelc.sim.units import PER_CORE

Ints = npt.NDArray[np.int64]

# Columns of an access: the entry that makes it, the memory, the range, and whether it writes.
AT, MEMORY, LOW, HIGH, WRITE = range(5)
DRAM, ON_CHIP = 0, 3  # the memory that all share; how many each core has, which follow core by core
EVERYTHING = 1 << 60  # bytes: an access that reaches so far waits for every unit
SYNC = int(Queue.SYNC)
ROOM = 256  # ranges of a list, to begin with
START, END, NEWEST = range(3)


def awaited(accesses: Ints, units: Ints, stages: Ints, cores: int) -> Ints:
    """Return [entries, queues] the entries that each waits for, -1 where none.

    Accesses are in the order of their entries. `stages` tell which entries are of one stage. A sync makes no access.
    """
    need = np.full((len(units), len(Queue)), -1, np.int64)
    # Per memory and unit, its reads and its writes: disjoint ranges in order of address, each with the newest access.
    lists = np.zeros((2 * (1 + ON_CHIP * cores) * PER_CORE * cores, ROOM, 3), np.int64)
    sizes, newest = np.zeros(len(lists), np.int64), np.full((2, PER_CORE * cores), -1, np.int64)
    syncs = np.flatnonzero(units == PER_CORE * (cores - 1) + SYNC)
    at = _file(accesses, units, stages, syncs, need, lists, sizes, newest, 0)
    while at < len(accesses):
        lists = np.concatenate([lists, np.zeros_like(lists)], axis=1)
        at = _file(accesses, units, stages, syncs, need, lists, sizes, newest, at)
    return need


@entry
def _file(
    accesses: Ints, units: Ints, stages: Ints, syncs: Ints, need: Ints, lists: Ints, sizes: Ints, newest: Ints, at: int
) -> int:
    """File the entries of accesses from `at` on; return where a list might have no more room, or the end.

    `newest` are each unit's newest entry, and the newest before the stage at hand.
    """
    waits = np.full(newest.shape[1], -1, np.int64)
    fullest = sizes.max()
    while at < len(accesses):
        i, end = accesses[at, AT], at
        while end < len(accesses) and accesses[end, AT] == i:
            end += 1
        if fullest + 2 * (end - at) > lists.shape[1]:
            return at
        if at > 0 and stages[i] != stages[accesses[at - 1, AT]]:
            newest[1] = newest[0]
        waits[:] = -1
        for a in range(at, end):
            _wait(accesses, a, lists, sizes, newest, waits)
        _write(need, i, units[i], waits, newest, syncs)
        for a in range(at, end):
            fullest = max(fullest, _record(accesses, a, units[i], lists, sizes, newest.shape[1]))
        newest[0, units[i]] = i
        at = end
    return at


@step
def _wait(accesses: Ints, a: int, lists: Ints, sizes: Ints, newest: Ints, waits: Ints) -> None:
    """Raise `waits` to the newest entry of each unit that an access must wait for."""
    memory, units = accesses[a, MEMORY], len(waits)
    first, end = _touching(memory, units)
    for u in range(first, end):
        if accesses[a, HIGH] >= EVERYTHING:
            waits[u] = newest[0, u]
            continue
        for write in range(1 - accesses[a, WRITE], 2):
            k = 2 * (memory * units + u) + write
            low, high = _met(lists, sizes, k, accesses[a, LOW], accesses[a, HIGH])
            for at in range(low, high):
                waits[u] = max(waits[u], lists[k, at, NEWEST])


@step
def _touching(memory: int, units: int) -> tuple[int, int]:
    """Return the units, from the first to past the last, that reach a memory."""
    if memory == DRAM:
        return 0, units
    core = (memory - 1) // ON_CHIP
    return PER_CORE * core, PER_CORE * (core + 1)


@step
def _met(lists: Ints, sizes: Ints, k: int, low: int, high: int) -> tuple[int, int]:
    """Return which ranges of a list, from the first to past the last, overlap a range."""
    return _count(lists, sizes, k, END, low + 1), _count(lists, sizes, k, START, high)


@step
def _count(lists: Ints, sizes: Ints, k: int, column: int, limit: int) -> int:
    """Return how many ranges of a list start, or end, below a limit."""
    low, high = 0, sizes[k]
    while low < high:
        middle = (low + high) >> 1
        if lists[k, middle, column] < limit:
            low = middle + 1
        else:
            high = middle
    return low


@step
def _write(need: Ints, i: int, unit: int, waits: Ints, newest: Ints, syncs: Ints) -> None:
    """Write what entry `i` waits for: entries of its own core, of others the first sync behind them."""
    core = unit // PER_CORE
    for u in range(len(waits)):
        j = waits[u]
        if j < 0 or u == unit:
            continue
        if u // PER_CORE == core:
            need[i, u % PER_CORE] = j
        elif min(j, newest[1, u]) >= 0:
            behind = np.searchsorted(syncs, min(j, newest[1, u]))
            need[i, SYNC] = max(need[i, SYNC], syncs[min(behind, len(syncs) - 1)])


@step
def _record(accesses: Ints, a: int, unit: int, lists: Ints, sizes: Ints, units: int) -> int:
    """File an access, the newest of its unit; return how many ranges that leaves in its list.

    On a chip of one core a write stands for all accesses before it to its bytes, as it has waited for them. What
    several cores do of one stage does not wait for each other.
    """
    memory, low, high = accesses[a, MEMORY], accesses[a, LOW], accesses[a, HIGH]
    if low >= high:
        return 0
    if accesses[a, WRITE] and units == PER_CORE:
        for k in range(2 * memory * units, 2 * (memory + 1) * units):
            if sizes[k] > 0:
                _replace(lists, sizes, k, low, high, -1)
    k = 2 * (memory * units + unit) + accesses[a, WRITE]
    _replace(lists, sizes, k, low, high, accesses[a, AT])
    return sizes[k]  # type: ignore[no-any-return]


@step
def _replace(lists: Ints, sizes: Ints, k: int, low: int, high: int, entry: int) -> None:
    """Put an entry's range in the place of what it overlaps; nothing for entry -1."""
    first, last = _met(lists, sizes, k, low, high)
    left, left_by = lists[k, first, START], lists[k, first, NEWEST]
    right, right_by = lists[k, last - 1, END], lists[k, last - 1, NEWEST]
    before = int(first < last and left < low)
    after = int(first < last and right > high)
    more = before + int(entry >= 0) + after - (last - first)
    _shift(lists, sizes, k, last, more)
    if before:
        _set(lists, k, first, left, low, left_by)
    if entry >= 0:
        _set(lists, k, first + before, low, high, entry)
    if after:
        _set(lists, k, last + more - 1, high, right, right_by)


@step
def _shift(lists: Ints, sizes: Ints, k: int, first: int, more: int) -> None:
    """Move the ranges from the first on by so many places."""
    size = sizes[k]
    if more > 0:
        for at in range(size - 1, first - 1, -1):
            for c in range(3):
                lists[k, at + more, c] = lists[k, at, c]
    elif more < 0:
        for at in range(first, size):
            for c in range(3):
                lists[k, at + more, c] = lists[k, at, c]
    sizes[k] = size + more


@step
def _set(lists: Ints, k: int, at: int, start: int, end: int, entry: int) -> None:
    lists[k, at, START], lists[k, at, END], lists[k, at, NEWEST] = start, end, entry
