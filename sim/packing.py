"""Which streams the compiled loop runs, and as what rows of numbers: chains of functions, reductions, selected rows.

A stream is packed if its tensors lie in DRAM as those kernels take them; its plain form runs any other.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from accelc.isa.real import REDUCTIONS
from accelc.program import Operand, StreamCall
from accelc.sim.jit import entry
from accelc.sim.kernels.chain import AXES, BYTES, FLOAT32, FUNCTIONS, INT32, PLACE_WIDTH, Bytes
from accelc.sim.kernels.fold import MIN
from accelc.sim.kernels.packed import FOLD, GATHER, HEAD_WIDTH, MAP, PLAIN, RUNS, Packed, run_packed

KINDS = {"float32": FLOAT32, "int32": INT32, "int8": BYTES, "uint8": BYTES}
LOWEST = {"int8": -128, "uint8": 0}
SHORT = 16  # lines of fewer elements gain nothing
BYTE_RANGE = 255


class Row(NamedTuple):
    """A stream as it is packed: what runs it, AXES extents and each tensor's strides, steps, rows gathered from."""

    runs: int
    extents: Sequence[int]
    strides: Sequence[Sequence[int]]
    steps: Sequence[Sequence[int]] = ()
    gathered: int = 0


def pack(calls: Sequence[StreamCall], dram_bytes: int) -> Packed:
    """Return a program's streams as the compiled loop takes them; those it does not know as PLAIN."""
    rows = [_row(call, dram_bytes) for call in calls]
    tensors = [t for call, row in zip(calls, rows, strict=True) if row for t in (*call.inputs, call.output)]
    strides = [s for row in rows if row for s in row.strides]
    heads, at, step = np.zeros((len(calls), HEAD_WIDTH), np.int64), 0, 0
    for head, row in zip(heads, rows, strict=True):
        head[RUNS] = PLAIN
        if row:
            head[:] = (row.runs, *row.extents, at, len(row.strides), step, len(row.steps), row.gathered)
            at, step = at + len(row.strides), step + len(row.steps)
    places = [[t.address, KINDS[t.stored], _zero(t), *s] for t, s in zip(tensors, strides, strict=True)]
    steps = [step for row in rows if row for step in row.steps]
    return Packed(
        heads,
        np.array(places, np.int64).reshape(-1, PLACE_WIDTH),
        np.array([t.scale for t in tensors], np.float32),
        np.array(steps, np.int64).reshape(-1, 3),
        np.array([_limits(call.output) for call in calls], np.float32).reshape(-1, 2),
    )


@entry
def run_one(dram: Bytes, packed: Packed, index: int) -> bool:
    """Run a stream if it is packed; say whether it is."""
    return run_packed(dram, packed, index)


def _row(call: StreamCall, dram_bytes: int) -> Row | None:
    """Return a stream as it is packed, or None where its plain form has to run it."""
    tensors = (*call.inputs, call.output)
    if any(t.stored not in KINDS or t.address < 0 or _ends(t)[1] > dram_bytes for t in tensors):
        return None
    if call.op == "map":
        return _chain(call)
    if call.op == "reduce":
        return _reduction(call)
    return _selection(call) if call.op == "gather" else None


def _limits(output: Operand) -> tuple[np.float32, np.float32]:
    """Return the least and the most that a result stored as a byte may be above its zero point."""
    least = np.float32(LOWEST.get(output.stored, 0) - output.zero_point)
    return least, least + np.float32(BYTE_RANGE)


def _chain(call: StreamCall) -> Row | None:
    """Return a `map` of known functions whose result has lines of elements without gaps."""
    tensors, shape = [*call.inputs, call.output], call.output.shape
    strides = [_strides(t, shape) for t in tensors]
    if not _is_known(call) or not _is_apart(call) or any(s is None for s in strides):
        return None
    joined = _joined(shape, [s for s in strides if s is not None])
    if joined is None or not all(s[-1] in (0, _size(t)) for t, s in zip(tensors, joined[1], strict=True)):
        return None
    return Row(MAP, *joined, _steps(call.attrs["steps"], len(call.inputs)))


def _steps(steps: Sequence[Sequence[Any]], operands: int) -> list[list[int]]:
    """Return a chain's functions and their operands, without steps that only pass on what was read as a real number."""
    place, kept = list(range(operands)), []
    for k, (name, *chosen) in enumerate(steps):
        if name in ("identity", "to_float") and k + 1 < len(steps):
            place.append(place[chosen[0]])
        else:
            kept.append([FUNCTIONS.index(name), place[chosen[0]], place[chosen[-1]]])
            place.append(operands + len(kept) - 1)
    return kept


def _reduction(call: StreamCall) -> Row | None:
    """Return a reduction of float32 numbers that lie side by side, over the last axes, to ones that do too."""
    (x,), y, axes = call.inputs, call.output, sorted(call.attrs["axes"])
    code, first = REDUCTIONS.index(call.attrs["fn"]), len(x.shape) - len(axes)
    count, lines = _size_of(x.shape[first:]), _size_of(x.shape[:first])
    if axes != list(range(first, len(x.shape))) or code > MIN or (x.stored, y.stored) != ("float32", "float32"):
        return None
    if not (lines and count and _is_dense(x) and _is_dense(y) and _are_apart(x, y)) or _size_of(y.shape) != lines:
        return None
    return Row(FOLD, (1, lines, count), ((0, 4 * count, 4), (0, 4, 4)), ((code, 0, 0),))


def _selection(call: StreamCall) -> Row | None:
    """Return a selection of rows of real numbers without gaps, by integers that lie side by side; bytes may spread."""
    (x, index), y = call.inputs, call.output
    rank, named, row = len(index.shape), _size_of(index.shape), _size_of(x.shape[1:])
    if index.stored != "int32" or "int32" in (x.stored, y.stored) or y.shape != (*index.shape, *x.shape[1:]):
        return None
    pitch = _pitch(y.shape[:rank], y.strides[:rank])
    if pitch is None or not (named and row and x.shape[0] and _is_dense(index)):
        return None
    source, step = _pitch(x.shape[1:], x.strides[1:]), _pitch(y.shape[rank:], y.strides[rank:])
    if source not in (0, _size(x)) or step is None or not _are_apart(x, y) or not _are_apart(index, y):
        return None
    if y.stored == "float32" and step not in (0, _size(y)):
        return None
    strides = ((0, x.strides[0], _size(x)), (0, 4, 4), (0, pitch, step or _size(y)))
    return Row(GATHER, (1, named, row), strides, gathered=x.shape[0])


def _size_of(shape: Sequence[int]) -> int:
    return int(np.prod(shape, dtype=np.int64))


def _is_dense(tensor: Operand) -> bool:
    """Say whether a tensor's elements follow each other without gaps."""
    return _pitch(tensor.shape, tensor.strides) in (0, _size(tensor))


def _pitch(shape: Sequence[int], strides: Sequence[int]) -> int | None:
    """Return the bytes from each element to the next, 0 of one element alone, None where they are not the same."""
    kept = [(n, s) for n, s in zip(shape, strides, strict=True) if n != 1]
    pitch = expected = kept[-1][1] if kept else 0
    for n, stride in reversed(kept):
        if stride != expected or stride == 0:
            return None
        expected = n * stride
    return pitch


def _size(tensor: Operand) -> int:
    return 1 if KINDS[tensor.stored] == BYTES else 4


def _zero(tensor: Operand) -> int:
    """Return the byte that stands for zero."""
    return tensor.zero_point - LOWEST.get(tensor.stored, 0)


def _is_known(call: StreamCall) -> bool:
    """Say whether every type and function is compiled, and every value a real number where it is used."""
    steps, stored = call.attrs["steps"], [t.stored for t in call.inputs]
    if not steps or call.output.stored == "int32":
        return False
    integers = {k for k, kind in enumerate(stored) if kind == "int32"}
    return all(
        name in FUNCTIONS and (name == "to_float" or not integers.intersection(chosen)) for name, *chosen in steps
    )


def _strides(tensor: Operand, shape: Sequence[int]) -> tuple[int, ...] | None:
    """Return a tensor's strides along the axes of the shape that it is repeated to; None if it is not its shape."""
    more = len(shape) - len(tensor.shape)
    if more < 0 or any(n not in (1, m) for n, m in zip(tensor.shape, shape[more:], strict=True)):
        return None
    return (*[0] * more, *(0 if n == 1 else s for n, s in zip(tensor.shape, tensor.strides, strict=True)))


def _joined(shape: Sequence[int], strides: Sequence[Sequence[int]]) -> tuple[list[int], list[list[int]]] | None:
    """Return AXES extents and strides of the same elements in the same order, or None where that does not pay.

    The last axis has elements without gaps, or one element (stride 0) for all of it.
    """
    kept = [axis for axis, extent in enumerate(shape) if extent != 1]
    extents: list[int] = []
    held: list[list[int]] = [[] for _ in strides]
    for axis in kept:
        if extents and all(h[-1] == s[axis] * shape[axis] for h, s in zip(held, strides, strict=True)):
            extents[-1] *= shape[axis]
            held = [[*h[:-1], s[axis]] for h, s in zip(held, strides, strict=True)]
        else:
            extents.append(shape[axis])
            held = [[*h, s[axis]] for h, s in zip(held, strides, strict=True)]
    if not 0 < len(extents) <= AXES or extents[-1] < SHORT:
        return None
    more = AXES - len(extents)
    return [1] * more + extents, [[0] * more + h for h in held]


def _is_apart(call: StreamCall) -> bool:
    """Say whether the result lies apart from every operand, or element for element where one does."""
    y = call.output
    place = (y.address, y.stored, y.shape, y.strides)
    return all(_are_apart(t, y) or (t.address, t.stored, t.shape, t.strides) == place for t in call.inputs)


def _are_apart(one: Operand, other: Operand) -> bool:
    """Say whether no byte lies within the reach of both tensors."""
    (low, high), (first, end) = _ends(one), _ends(other)
    return high <= first or end <= low


def _ends(tensor: Operand) -> tuple[int, int]:
    """Return the first address of a tensor and one past its last."""
    reach = sum((n - 1) * s for n, s in zip(tensor.shape, tensor.strides, strict=True))
    return tensor.address, tensor.address + reach + _size(tensor)


