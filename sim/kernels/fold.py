"""Reductions of lines of numbers, in the order of their elements."""

from __future__ import annotations

from typing import Any

import numpy.typing as npt

from accelc.sim.jit import kernel

Array = npt.NDArray[Any]

SUM, PROD, MAX, MIN = range(4)  # as in isa.real.REDUCTIONS
LANES = 64  # elements of a line whose extremes are taken side by side


@kernel
def fold_lines(lines: Array, code: int, found: Array) -> None:
    """Reduce each line to its sum, product, maximum or minimum."""
    if code >= MAX:
        for i in range(lines.shape[0]):
            found[i] = _extreme(lines[i], code)
        return
    # Four lines at a time: each takes its elements in order, none waits for the sums of another. Of the last four, some
    # may be the last one again.
    last = lines.shape[0] - 1
    for i in range(0, last + 1, 4):
        w, x, y, z = lines[i], lines[min(i + 1, last)], lines[min(i + 2, last)], lines[min(i + 3, last)]
        a, b, c, d = w[0], x[0], y[0], z[0]
        for k in range(1, lines.shape[1]):
            a, b = _joined(code, a, w[k]), _joined(code, b, x[k])
            c, d = _joined(code, c, y[k]), _joined(code, d, z[k])
        found[i], found[min(i + 1, last)], found[min(i + 2, last)], found[min(i + 3, last)] = a, b, c, d


@kernel
def _in_order(line: Array, code: int) -> Any:
    total = line[0]
    for k in range(1, len(line)):
        total = _joined(code, total, line[k])
    return total


@kernel
def _joined(code: int, total: Any, x: Any) -> Any:
    """Return sum, product, maximum or minimum of two numbers; of the latter a NaN, else the first of equal ones."""
    if code == SUM:
        return total + x
    if code == PROD:
        return total * x
    other = not x <= total if code == MAX else not x >= total
    return x if other and total == total else total


@kernel
def _extreme(line: Array, code: int) -> Any:
    """Return the maximum or minimum of a line, of many elements at a time.

    Order counts for a NaN, the first of which it is, and for zeros, whose signs it tells apart: with those it is kept.
    """
    held = len(line) // LANES * LANES
    if held == 0:
        return _in_order(line, code)
    best, is_number = line[:LANES].copy(), True
    for first in range(0, held, LANES):
        for k in range(LANES):
            x = line[first + k]
            is_number &= x == x
            better = x > best[k] if code == MAX else x < best[k]
            best[k] = x if better else best[k]
    total = _in_order(best, code)
    for k in range(held, len(line)):
        total = _joined(code, total, line[k])
    return total if is_number and total == total and total != 0 else _in_order(line, code)
