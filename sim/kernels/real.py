"""Operations on 32-bit numbers as the vector unit runs them; each equals its definition in `isa.real`.

Functions of elements are those definitions. Sums and joins, whose order counts, are compiled loops.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt

from accelc.isa.real import FUNCTIONS, REDUCTIONS, UPDATES
from accelc.sim.jit import Entry, entry
from accelc.sim.kernels.fold import fold_lines

Array = npt.NDArray[Any]
Attrs = Mapping[str, Any]
Shape = Sequence[int]

BLOCK = 1 << 16  # elements that a chain of functions takes at a time, so that its values stay in cache


@cache
def _entry(function: Callable[..., None], _kind: str) -> Entry:
    return entry(function)


def _compiled(function: Callable[..., None], values: Array) -> Entry:
    """Return a loop compiled for the type of some values."""
    return _entry(function, values.dtype.kind)


def map_(attrs: Attrs, operands: Sequence[Array], shape: Shape) -> Array:
    """Run the steps on blocks of elements of one rank."""
    flat = [np.broadcast_to(x, shape).reshape(-1) if x.size > 1 else x.reshape(1) for x in operands]
    size = int(np.prod(shape, dtype=np.int64))
    parts = [_steps(attrs, [x if x.size == 1 else x[at : at + BLOCK] for x in flat]) for at in range(0, size, BLOCK)]
    found = np.concatenate([np.broadcast_to(p, min(BLOCK, size - k * BLOCK)) for k, p in enumerate(parts)])
    return np.asarray(found.reshape(shape))


def _steps(attrs: Attrs, values: list[Array]) -> Array:
    for name, *chosen in attrs["steps"]:
        values.append(FUNCTIONS[name].define(*(values[k] for k in chosen)))
    return values[-1]


def reduce(attrs: Attrs, operands: Sequence[Array], shape: Shape) -> Array:
    """Take the elements of each line one after another."""
    (x,), axes = operands, list(attrs["axes"])
    kept = [a for a in range(x.ndim) if a not in axes]
    count = int(np.prod([x.shape[a] for a in axes], dtype=np.int64))
    lines = np.ascontiguousarray(x.transpose(kept + axes)).reshape(-1, count)
    code = REDUCTIONS.index(attrs["fn"])
    found = np.zeros(len(lines), lines.dtype if code < 4 else np.int32)
    _compiled(_fold if code < 4 else _find, lines)(lines, code, found)
    return found.reshape(shape)


def _fold(lines: Array, code: int, found: Array) -> None:
    fold_lines(lines, code, found)


def _find(lines: Array, code: int, found: Array) -> None:
    for i in range(lines.shape[0]):
        best = 0
        for k in range(1, lines.shape[1]):
            x, y = lines[i, k], lines[i, best]
            more = x > y if code < 6 else x < y
            if more or (code % 2 == 1 and x == y):
                best = k
        found[i] = best


def contract(attrs: Attrs, operands: Sequence[Array], shape: Shape) -> Array:
    """Sum products as matrices: letters of both operands and the result, of one operand alone, and summed ones."""
    (a, b), (left, right, result) = operands, _letters(attrs["equation"])
    extents = dict(zip(left + right, a.shape + b.shape, strict=True))
    summed = "".join(c for c in dict.fromkeys(left + right) if c not in result)
    batch = "".join(c for c in result if c in left and c in right)
    rows = "".join(c for c in result if c in left and c not in right)
    cols = "".join(c for c in result if c in right and c not in left)
    x, y = _matrix(a, left, extents, batch, rows, summed), _matrix(b, right, extents, batch, cols, summed)
    found = np.zeros((x.shape[0], x.shape[1], y.shape[1]), a.dtype)
    _compiled(_multiply, x)(x, np.ascontiguousarray(y.transpose(0, 2, 1)), found)
    order = batch + rows + cols
    return found.reshape([extents[c] for c in order]).transpose([order.index(c) for c in result]).reshape(shape)


def _letters(equation: str) -> tuple[str, str, str]:
    operands, result = equation.split("->")
    left, right = operands.split(",")
    return left, right, result


def _matrix(x: Array, names: str, extents: Mapping[str, int], batch: str, own: str, summed: str) -> Array:
    """Return an operand as [batch, own, summed], repeated along summed letters that it lacks."""
    order = batch + own + summed
    moved = x.transpose([names.index(c) for c in order if c in names])
    wide = moved.reshape([extents[c] if c in names else 1 for c in order])
    full = np.broadcast_to(wide, [extents[c] for c in order])
    sizes = [int(np.prod([extents[c] for c in part], dtype=np.int64)) for part in (batch, own, summed)]
    return np.ascontiguousarray(full).reshape(sizes)


def _multiply(x: Array, y: Array, found: Array) -> None:
    """found[n, i, j] = x[n, i, 0] * y[n, 0, j] + x[n, i, 1] * y[n, 1, j] + ..., each product and sum rounded."""
    for n in range(x.shape[0]):
        for i in range(x.shape[1]):
            line = found[n, i]
            for k in range(x.shape[2]):
                factor = x[n, i, k]
                row = y[n, k]
                for j in range(row.size):
                    line[j] += factor * row[j]


def take(attrs: Attrs, operands: Sequence[Array], shape: Shape) -> Array:
    """Select axis by axis, the one that shrinks most first."""
    (x,), outside = operands, []
    tables = [None if t is None else np.asarray(t, np.int64) for t in attrs["tables"]]
    order = sorted((a for a, t in enumerate(tables) if t is not None), key=lambda a: shape[a] / x.shape[a])
    for axis in order:
        table = tables[axis]
        assert table is not None
        if (table < 0).any():
            outside.append((axis, table < 0))
        x = np.take(x, np.maximum(table, 0), axis=axis)
    found = np.array(x)
    for axis, missing in outside:
        found[(slice(None),) * axis + (missing,)] = attrs["value"]
    return found.reshape(shape)


def gather(_: Attrs, operands: Sequence[Array], shape: Shape) -> Array:
    """Select rows; an index beyond the ends is held to the nearest row."""
    x, index = operands
    count = len(x)
    held = np.clip(np.where(index < 0, index + count, index), 0, count - 1)
    return np.take(x, held, axis=0).reshape(shape)


def scatter(attrs: Attrs, operands: Sequence[Array], shape: Shape) -> Array:
    """Join rows in one after another."""
    x, index, updates = operands
    found = x.reshape(len(x), -1).copy()
    rows = updates.reshape(index.size, found.shape[1])
    _compiled(_join, found)(found, index.reshape(-1), rows, UPDATES.index(attrs["fn"]))
    return found.reshape(shape)


def _join(found: Array, index: Array, rows: Array, code: int) -> None:
    for k in range(index.size):
        at = index[k] + found.shape[0] if index[k] < 0 else index[k]
        if at < 0 or at >= found.shape[0]:
            continue
        for j in range(found.shape[1]):
            old, new = found[at, j], rows[k, j]
            if code == 1:
                new = old + new
            elif code == 2:
                new = old * new
            elif (code == 3 and not new >= old) or (code == 4 and not new <= old):
                new = old if new == new else new
            found[at, j] = new


def move(_: Attrs, operands: Sequence[Array], shape: Shape) -> Array:
    """The elements in row-major order."""
    return operands[0].reshape(shape)


OPERATIONS: Mapping[str, Callable[[Attrs, Sequence[Array], Shape], Array]] = MappingProxyType(
    {
        "map": map_, "reduce": reduce, "contract": contract, "take": take, "gather": gather, "scatter": scatter,
        "move": move,
    }
)  # fmt: skip
