"""Chains of functions of real numbers, compiled: a `map` stream on tensors where they lie in DRAM, block by block.

The plain forms are `isa.real` (functions) and `accelc.sim.stream` (operands and results); a stream with anything that
is not compiled here runs on those.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
import numpy.typing as npt

from accelc.program import Operand, StreamCall
from accelc.sim.jit import entry, kernel
from accelc.sim.kernels.ir import power_of_two, rint, select

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float32]
Bytes = npt.NDArray[np.uint8]

FUNCTIONS = (
    "identity", "to_float", "add", "sub", "mul", "div", "neg", "abs", "sqrt", "reciprocal", "exp", "tanh", "sigmoid",
)  # fmt: skip
IDENTITY, TO_FLOAT, ADD, SUB, MUL, DIV, NEG, ABS, SQRT, RECIPROCAL, EXP, TANH, SIGMOID = range(len(FUNCTIONS))
FLOAT32, INT32, BYTES = range(3)
KINDS = {"float32": FLOAT32, "int32": INT32, "int8": BYTES, "uint8": BYTES}
LOWEST = {"int8": -128, "uint8": 0}
AXES = 3
BLOCK = 1024  # elements of a chain taken at a time
SHORT = 16  # lines of fewer elements gain nothing
ADDRESS, KIND, ZERO, STRIDES = range(4)
INVERSE = (0.0, *(1.0 / k for k in range(1, 14)))
MARGIN = 2.0**-40  # near 0.01, tanh is off by 100 times what its exponential is
BELOW, ABOVE = 1 - MARGIN, 1 + MARGIN


def compiled(dram: Bytes, call: StreamCall) -> Callable[[], None] | None:
    """Return a function that runs a `map` stream, whose tensors lie in DRAM, or None where its plain form has to."""
    tensors, shape = [*call.inputs, call.output], call.output.shape
    strides = [_strides(t, shape) for t in tensors]
    if call.op != "map" or not _is_known(call) or not _is_apart(call) or any(s is None for s in strides):
        return None
    joined = _joined(shape, [s for s in strides if s is not None])
    if joined is None or not all(s[-1] in (0, _size(t)) for t, s in zip(tensors, joined[1], strict=True)):
        return None
    places = [[t.address, KINDS[t.stored], _zero(t), *s] for t, s in zip(tensors, joined[1], strict=True)]
    steps = [[FUNCTIONS.index(name), chosen[0], chosen[-1]] for name, *chosen in call.attrs["steps"]]
    least = np.float32(LOWEST.get(call.output.stored, 0) - call.output.zero_point)
    return partial(
        _map,
        dram,
        np.array(joined[0], np.int64),
        np.array(places, np.int64),
        np.array([t.scale for t in tensors], np.float32),
        np.array(steps, np.int64),
        np.array([least, least + np.float32(255)], np.float32),
    )


def _size(tensor: Operand) -> int:
    return 1 if KINDS[tensor.stored] == BYTES else 4


def _zero(tensor: Operand) -> int:
    """Return the byte that stands for zero."""
    return tensor.zero_point - LOWEST.get(tensor.stored, 0)


def _is_known(call: StreamCall) -> bool:
    """Say whether every type and function is compiled, and every value a real number where it is used."""
    steps, stored = call.attrs["steps"], [t.stored for t in call.inputs]
    if not steps or call.output.stored == "int32" or any(kind not in KINDS for kind in [*stored, call.output.stored]):
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
    low, high = _ends(call.output)
    place = (call.output.address, call.output.stored, call.output.shape, call.output.strides)
    apart = ((t, *_ends(t)) for t in call.inputs)
    return all(
        end <= low or first >= high or (t.address, t.stored, t.shape, t.strides) == place for t, first, end in apart
    )


def _ends(tensor: Operand) -> tuple[int, int]:
    """Return the first address of a tensor and one past its last."""
    reach = sum((n - 1) * s for n, s in zip(tensor.shape, tensor.strides, strict=True))
    return tensor.address, tensor.address + reach + _size(tensor)


@entry
def _map(dram: Bytes, extents: Ints, places: Ints, scales: Floats, steps: Ints, limits: Floats) -> None:
    """Run a chain on each block of each line: a row of `work` for each operand, then for each step."""
    last = len(places) - 1
    work = np.empty((last + len(steps), BLOCK), np.float32)
    for i in range(extents[0]):
        for j in range(extents[1]):
            for first in range(0, extents[2], BLOCK):
                count = min(BLOCK, extents[2] - first)
                for r in range(last):
                    at = i * places[r, STRIDES] + j * places[r, STRIDES + 1] + first * places[r, STRIDES + 2]
                    _read(dram, places[r], at, scales[r], work[r], count)
                for k in range(len(steps)):
                    _apply(steps[k, 0], work[steps[k, 1]], work[steps[k, 2]], work[last + k], count)
                at = i * places[last, STRIDES] + j * places[last, STRIDES + 1] + first * places[last, STRIDES + 2]
                _write(dram, places[last], at, scales[last], limits, work[last + len(steps) - 1], count)


@kernel
def _read(dram: Bytes, place: Ints, at: int, scale: float, row: Floats, count: int) -> None:
    """Read `count` elements as float32; a stride of 0 repeats the first."""
    at += place[ADDRESS]
    held = count if place[STRIDES + 2] else 1
    if place[KIND] == FLOAT32:
        reals = dram[at : at + 4 * held].view(np.float32)
        for k in range(held):
            row[k] = reals[k]
    elif place[KIND] == INT32:
        integers = dram[at : at + 4 * held].view(np.int32)
        for k in range(held):
            row[k] = np.float32(integers[k])
    else:
        zero = np.int32(place[ZERO])
        stored = dram[at : at + held]
        for k in range(held):
            row[k] = np.float32(np.int32(stored[k]) - zero) * scale
    for k in range(held, count):
        row[k] = row[0]


@kernel
def _write(dram: Bytes, place: Ints, at: int, scale: float, limits: Floats, row: Floats, count: int) -> None:
    """Write `count` results, quantized where bytes are stored; a NaN becomes the zero point."""
    at += place[ADDRESS]
    if place[KIND] == FLOAT32:
        reals = dram[at : at + 4 * count].view(np.float32)
        for k in range(count):
            reals[k] = row[k]
        return
    zero, least, most = np.int32(place[ZERO]), limits[0], limits[1]
    out = dram[at : at + count]
    for k in range(count):
        ratio = row[k] / scale
        ratio = np.float32(0) if ratio != ratio else ratio
        out[k] = np.uint8(np.int32(rint(min(max(ratio, least), most))) + zero)


@kernel
def _apply(code: int, a: Floats, b: Floats, out: Floats, count: int) -> None:  # noqa: C901
    """Run one function on `count` elements."""
    if code in (IDENTITY, TO_FLOAT):
        for k in range(count):
            out[k] = a[k]
    elif code == ADD:
        for k in range(count):
            out[k] = a[k] + b[k]
    elif code == SUB:
        for k in range(count):
            out[k] = a[k] - b[k]
    elif code == MUL:
        for k in range(count):
            out[k] = a[k] * b[k]
    elif code == DIV:
        for k in range(count):
            out[k] = a[k] / b[k]
    elif code == NEG:
        for k in range(count):
            out[k] = -a[k]
    elif code == ABS:
        for k in range(count):
            out[k] = abs(a[k])
    elif code == SQRT:
        for k in range(count):
            out[k] = np.sqrt(a[k])
    elif code == RECIPROCAL:
        for k in range(count):
            out[k] = np.float32(1) / a[k]
    elif code == EXP:
        _exp(a, out, count)
    elif code == TANH:
        _tanh(a, out, count)
    else:
        _sigmoid(a, out, count)


# Each curve is worked out with exponentials that are quick and off by a few units in the last place. Where the nearest
# float32 is the same `MARGIN` below and above, which is wider than they are off, it is the definition's; if one of a
# block's is not, the block is worked out by the definition.


@kernel
def _exp(a: Floats, out: Floats, count: int) -> None:
    """Run exp on `count` elements."""
    unsure = False
    for k in range(count):
        near = _near_exp64(np.float64(a[k]))
        out[k] = np.float32(near * BELOW)
        unsure |= out[k] != np.float32(near * ABOVE)
    if unsure:
        for k in range(count):
            out[k] = np.float32(_exp64(np.float64(a[k])))


@kernel
def _tanh(a: Floats, out: Floats, count: int) -> None:
    """Run tanh on `count` elements."""
    unsure = False
    for k in range(count):
        x = np.float64(a[k])
        near = _tanh64(x, _near_exp64(2.0 * abs(x)))
        out[k] = np.float32(near * BELOW)
        unsure |= out[k] != np.float32(near * ABOVE)
    if unsure:
        for k in range(count):
            x = np.float64(a[k])
            out[k] = np.float32(_tanh64(x, _exp64(2.0 * abs(x))))


@kernel
def _sigmoid(a: Floats, out: Floats, count: int) -> None:
    """Run sigmoid on `count` elements."""
    unsure = False
    for k in range(count):
        near = 1.0 / (1.0 + _near_exp64(-np.float64(a[k])))
        out[k] = np.float32(near * BELOW)
        unsure |= out[k] != np.float32(near * ABOVE)
    if unsure:
        for k in range(count):
            out[k] = np.float32(1.0 / (1.0 + _exp64(-np.float64(a[k]))))


@kernel
def _exp64(x: float) -> float:
    """Return `isa.real.exp64` of one number."""
    n, g = _reduced(x)
    series = 1.0
    for k in range(13, 0, -1):
        series = series * g / float(k) + 1.0
    return _grown(x, series, n)


@kernel
def _near_exp64(x: float) -> float:
    """Return the same with products by 1 / k for quotients by k: off by less than 2**-50 of it."""
    n, g = _reduced(x)
    series = 1.0
    for k in range(13, 0, -1):
        series = series * (g * INVERSE[k]) + 1.0
    return _grown(x, series, n)


@kernel
def _reduced(x: float) -> tuple[float, float]:
    """Return n and g, |g| <= ln(2) / 2 or little more: x, held to 800 either way, is n ln(2) + g."""
    held = select(x > -800.0, x, -800.0)
    held = select(held < 800.0, held, 800.0)
    n = np.floor(held * 1.4426950408889634 + 0.5)
    return n, held - n * 0.6931471805599453


@kernel
def _grown(x: float, series: float, n: float) -> float:
    """Return series * 2**n, multiplied in two halves, of which only the last rounds; a NaN stays one."""
    whole = np.int64(n)
    half = whole >> 1
    return select(x == x, series * power_of_two(half) * power_of_two(whole - half), x)  # type: ignore[no-any-return]


@kernel
def _tanh64(x: float, grown: float) -> float:
    """Return `isa.real.tanh64` of one number, `grown` being exp(2 |x|)."""
    z = x * x
    far = 1.0 - 2.0 / (grown + 1.0)
    near = x - x * z * (1 / 3 - z * (2 / 15))
    return select(abs(x) < 0.01, near, select(x < 0, -far, far))  # type: ignore[no-any-return]
