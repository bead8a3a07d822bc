"""Integers and arrays of them alike: a formula is written once, and taken of one tiling or of many at a time."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache
from itertools import repeat
from typing import Any

import numpy as np

from accelc.chip import Timing

Count = Any
"""An int, or an array of them: one for each of many tilings."""


def is_many(*values: Count) -> bool:
    """Return whether one of the values is an array."""
    return np.ndarray in map(type, values)


def least(a: Count, b: Count) -> Count:
    """Return the smaller value."""
    return np.minimum(a, b) if is_many(a, b) else min(a, b)


def most(a: Count, b: Count) -> Count:
    """Return the larger value."""
    return np.maximum(a, b) if is_many(a, b) else max(a, b)


def either(test: Count, a: Count, b: Count) -> Count:
    """Return `a` where the test holds, `b` elsewhere."""
    if type(test) is np.ndarray:
        return np.where(test, a, b)
    return a if test else b


def common_divisor(a: Count, b: Count) -> Count:
    """Return the greatest common divisor."""
    return np.gcd(a, b) if is_many(a, b) else math.gcd(a, b)


def ceiling(value: Count) -> Count:
    """Return the least integer that is not smaller."""
    return np.ceil(value).astype(np.int64) if is_many(value) else math.ceil(value)


def truncated(value: Count) -> Count:
    """Return the integer part."""
    return value.astype(np.int64) if is_many(value) else int(value)


Clause = Callable[..., tuple[int, int, int]]


class _Sums(dict[tuple[int, ...], int]):
    """The cycles of an instruction by its operands, each worked out once."""

    def __init__(self, clause: Clause, c: Timing) -> None:
        super().__init__()
        self.clause, self.c = clause, c

    def __missing__(self, key: tuple[int, ...]) -> int:
        found = self[key] = sum(self.clause(self.c, *key))
        return found


@lru_cache(maxsize=8)
def _sums(clause: Clause, c: Timing) -> _Sums:
    return _Sums(clause, c)


def cycles(clause: Clause, c: Timing, *operands: Count) -> Count:
    """Return the sum of what an instruction's cycle clause gives; a clause takes one instruction at a time."""
    if not is_many(*operands):
        return sum(clause(c, *operands))
    columns = (each.tolist() if is_many(each) else repeat(each) for each in operands)
    return np.array(list(map(_sums(clause, c).__getitem__, zip(*columns, strict=False))))
