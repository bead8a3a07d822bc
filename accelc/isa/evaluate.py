"""Layers on 32-bit numbers as whole arrays: functions of elements, reductions, sums of products, selections, moves."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt

from accelc.isa.real import FUNCTIONS

Array = npt.NDArray[Any]
Attrs = Mapping[str, Any]


def evaluate(op: str, attrs: Attrs, operands: Sequence[Array], shape: tuple[int, ...]) -> Array:
    """Return the result of `shape` of one layer, of functions or of moves, for float32 or int32 operands."""
    return KERNELS[op](attrs, operands) if op in KERNELS else MOVES[op](attrs, operands, shape)


def map_(attrs: Attrs, operands: Sequence[Array]) -> Array:
    """Each step is (function, indices of its operands): first the layer's operands, then the steps before it."""
    values = list(operands)
    for name, *chosen in attrs["steps"]:
        values.append(FUNCTIONS[name].define(*(values[k] for k in chosen)))
    shape = np.broadcast_shapes(*(x.shape for x in operands))
    return np.array(np.broadcast_to(values[-1], shape))


def reduce(attrs: Attrs, operands: Sequence[Array]) -> Array:
    """Take the elements along the axes in row-major order, one after another."""
    (x,), axes = operands, attrs["axes"]
    kept = [a for a in range(x.ndim) if a not in axes]
    shape = tuple(1 if a in axes else n for a, n in enumerate(x.shape))
    lines = x.transpose(*kept, *axes).reshape(int(np.prod([x.shape[a] for a in kept], dtype=np.int64)), -1)
    return _folded(attrs["fn"], lines).reshape(shape)


def _folded(fn: str, lines: Array) -> Array:
    if fn.startswith("arg"):
        extreme = np.argmax if fn.startswith("argmax") else np.argmin
        if fn.endswith("_last"):
            return np.asarray(lines.shape[1] - 1 - extreme(lines[:, ::-1], axis=1), np.int32)
        return np.asarray(extreme(lines, axis=1), np.int32)
    if fn in ("max", "min"):
        return np.asarray((np.maximum if fn == "max" else np.minimum).reduce(lines, axis=1))
    with np.errstate(all="ignore"):
        found = np.ascontiguousarray(lines[:, 0])
        for k in range(1, lines.shape[1]):
            found = found + lines[:, k] if fn == "sum" else found * lines[:, k]
    return found


def contract(attrs: Attrs, operands: Sequence[Array]) -> Array:
    """Sum a * b, each product and each sum rounded, in the order of the summed letters of the equation."""
    (a, b), (left, right, result) = operands, letters(attrs["equation"])
    extents = dict(zip(left + right, a.shape + b.shape, strict=True))
    summed = [c for c in dict.fromkeys(left + right) if c not in result]
    order = [*summed, *result]
    x, y = _aligned(a, left, order), _aligned(b, right, order)
    count = int(np.prod([extents[c] for c in summed], dtype=np.int64))
    spread = [extents[c] for c in summed]
    total = np.zeros([extents[c] for c in result], a.dtype)
    with np.errstate(all="ignore"):
        for k in range(count):
            at = np.unravel_index(k, spread) if summed else ()
            total = total + _at(x, at) * _at(y, at)
    return total


def letters(equation: str) -> tuple[str, str, str]:
    """Return the letters of both operands and of the result: `ij,jk->ik`."""
    operands, result = equation.split("->")
    left, right = operands.split(",")
    return left, right, result


def _aligned(x: Array, names: str, order: Sequence[str]) -> Array:
    """Return x with an axis for each letter in `order`, of extent 1 where x has none."""
    moved = x.transpose([names.index(c) for c in order if c in names])
    return moved.reshape([x.shape[names.index(c)] if c in names else 1 for c in order])


def _at(x: Array, index: Sequence[Any]) -> Array:
    return x[tuple(0 if x.shape[a] == 1 else i for a, i in enumerate(index))]  # type: ignore[no-any-return]


def take(attrs: Attrs, operands: Sequence[Array]) -> Array:
    """Select along each axis that has a table; an index of -1 on any axis gives the attribute `value`."""
    (x,) = operands
    tables = [np.arange(n) if t is None else np.asarray(t) for t, n in zip(attrs["tables"], x.shape, strict=True)]
    picked = x[np.ix_(*(np.maximum(t, 0) for t in tables))]
    for axis, table in enumerate(tables):
        outside = (table < 0).reshape([-1 if a == axis else 1 for a in range(x.ndim)])
        picked = np.where(outside, np.asarray(attrs["value"]).astype(x.dtype), picked)
    return np.ascontiguousarray(picked)


def gather(_: Attrs, operands: Sequence[Array]) -> Array:
    """Select rows; an index beyond the ends is held to the nearest row."""
    x, index = operands
    return np.asarray(x[wrapped(index, len(x))])


def wrapped(index: Array, count: int) -> Array:
    """Return indices with negative ones counted from the end, held to 0..count - 1."""
    return np.clip(np.where(index < 0, index + count, index), 0, count - 1)


def scatter(attrs: Attrs, operands: Sequence[Array]) -> Array:
    """Join rows in one after another; an index beyond the ends leaves everything as it is."""
    x, index, updates = operands
    found, rows = x.copy(), updates.reshape(index.size, *x.shape[1:])
    at = np.where(index < 0, index + len(x), index).reshape(-1)
    inside = (at >= 0) & (at < len(x))
    at, rows = at[inside], rows[inside]
    if attrs["fn"] == "none":
        last = np.full(len(x), -1)
        np.maximum.at(last, at, np.arange(len(at)))
        written = last >= 0
        found[written] = rows[last[written]]
        return found
    with np.errstate(all="ignore"):
        JOINS[attrs["fn"]].at(found, at, rows)
    return found


JOINS: Mapping[str, np.ufunc] = MappingProxyType(
    {"add": np.add, "mul": np.multiply, "max": np.maximum, "min": np.minimum}
)

KERNELS: Mapping[str, Callable[[Attrs, Sequence[Array]], Array]] = MappingProxyType(
    {"map": map_, "reduce": reduce, "contract": contract, "take": take, "gather": gather, "scatter": scatter}
)


def _slice(attrs: Attrs, operands: Sequence[Array], shape: tuple[int, ...]) -> Array:
    parts = zip(attrs["starts"], attrs["steps"], shape, strict=True)
    return np.ascontiguousarray(operands[0][tuple(slice(a, a + step * (n - 1) + 1, step) for a, step, n in parts)])


def _pad(attrs: Attrs, operands: Sequence[Array], shape: tuple[int, ...]) -> Array:
    (x,) = operands
    found = np.full(shape, attrs["value"], x.dtype)
    found[tuple(slice(b, b + n) for b, n in zip(attrs["begin"], x.shape, strict=True))] = x
    return found


def interleaved(start: tuple[int, int], strides: tuple[int, int], shape: tuple[int, ...]) -> tuple[slice, ...]:
    """Return where a part of `shape` (N,C,L or N,C,H,W) goes in the result."""
    rank = len(shape) - 2
    steps = zip(start[-rank:], strides[-rank:], shape[2:], strict=True)
    return (slice(None), slice(None), *(slice(a, a + s * (n - 1) + 1, s) for a, s, n in steps))


def _interleave(attrs: Attrs, operands: Sequence[Array], shape: tuple[int, ...]) -> Array:
    found = np.zeros(shape, operands[0].dtype)
    for start, part in zip(attrs["starts"], operands, strict=True):
        found[interleaved(start, attrs["strides"], part.shape)] = part
    return found


MOVES: Mapping[str, Callable[[Attrs, Sequence[Array], tuple[int, ...]], Array]] = MappingProxyType(
    {
        "reshape": lambda _, x, shape: x[0].reshape(shape),
        "transpose": lambda attrs, x, _: np.ascontiguousarray(x[0].transpose(attrs["perm"])),
        "concat": lambda attrs, x, _: np.concatenate(x, attrs["axis"]),
        "interleave": _interleave,
        "slice": _slice,
        "pad": _pad,
    }
)
