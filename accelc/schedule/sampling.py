"""Which of many turns that are alike stand for all of them."""

from __future__ import annotations

import math
from collections.abc import Sequence

LEAST = 10  # turns of a loop that are written out of more


def sampled(count: int, kept: int) -> list[tuple[int, float]]:
    """Return which of `count` turns are written out, those at both ends and in the middle, and how many each counts."""
    if kept >= count:
        return [(k, 1.0) for k in range(count)]
    between = max(1, kept // 3)
    before = (kept - between) // 2
    after, weight = kept - between - before, (count - kept + between) / between
    first = before + (count - kept) // 2
    rest = [(first + k, weight) for k in range(between)]
    return [*((k, 1.0) for k in range(before)), *rest, *((k, 1.0) for k in range(count - after, count))]


def kept_of(counts: Sequence[int], pieces: int, most: int) -> list[int]:
    """Return how many of each loop's turns are written out, the outermost first, each of `pieces` in the end."""
    kept = list(counts)
    for k, count in enumerate(counts):
        total = math.prod(kept) * pieces
        if total > most:
            kept[k] = max(min(LEAST, count), most * count // total)
    return kept


def fair_share(counts: Sequence[int], budget: int) -> int:
    """Return the most that each may have so that all together, none with more than its count, keep to a budget."""
    left = budget
    for k, count in enumerate(sorted(counts)):
        if count * (len(counts) - k) > left:
            return left // (len(counts) - k)
        left -= count
    return budget
