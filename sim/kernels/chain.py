"""Chains of functions of real numbers: a `map` stream on tensors where they lie in DRAM, block by block.

The plain forms are `isa.real` (functions) and `accelc.sim.stream` (operands and results).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from accelc.sim.jit import kernel
from accelc.sim.kernels.ir import fma64, power_of_two, raised, rint, select

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float32]
Bytes = npt.NDArray[np.uint8]

FUNCTIONS = (
    "identity", "to_float", "add", "sub", "mul", "div", "neg", "abs", "sqrt", "reciprocal", "exp", "tanh", "sigmoid",
)  # fmt: skip
IDENTITY, TO_FLOAT, ADD, SUB, MUL, DIV, NEG, ABS, SQRT, RECIPROCAL, EXP, TANH, SIGMOID = range(len(FUNCTIONS))
FLOAT32, INT32, BYTES = range(3)
AXES = 3
BLOCK = 1024  # elements of a chain taken at a time
ADDRESS, KIND, ZERO, STRIDES = range(4)  # of a tensor's place: last, bytes from one element of each axis to the next
PLACE_WIDTH = STRIDES + AXES
LOG2_E, LN_2 = 1.4426950408889634, 0.6931471805599453
FAR = 200.0  # beyond it the float32 nearest to each curve is 0, 1 or infinite
COUNTER = 1.5 * 2.0**52  # added to a number, leaves the integer nearest to it in the lowest bits of the sum
# e**g where |g| <= ln(2) / 2: the polynomial that is exact at 11 Chebyshev points, elsewhere off by 2**-51 of it.
TERMS = (
    1.0, 1.0000000000000067, 0.5000000000000006, 0.16666666666554406, 0.04166666666657314, 0.008333333385667782,
    0.0013888888932488599, 0.00019841170270440045, 2.480150434699767e-05, 2.764018079621944e-06, 2.762635724145521e-07,
)  # fmt: skip
MARGIN = 2.0**-45
BELOW, ABOVE = 1 - MARGIN, 1 + MARGIN
TANH_MARGIN = 2.0**-40  # near 0.01, tanh is off by 100 times what its exponential is
TANH_BELOW, TANH_ABOVE = 1 - TANH_MARGIN, 1 + TANH_MARGIN


@kernel
def map_lines(dram: Bytes, extents: Ints, places: Ints, scales: Floats, steps: Ints, limits: Floats) -> None:
    """Run a chain on each block of each line.

    `work` has a row for each operand that is not read where it lies, then for each step that is not written there.
    """
    last = len(places) - 1
    work = np.empty((last + len(steps), BLOCK), np.float32)
    for i in range(extents[0]):
        for j in range(extents[1]):
            for first in range(0, extents[2], BLOCK):
                count = min(BLOCK, extents[2] - first)
                for r in range(last):
                    if not _is_read_in_place(places[r]) and (first == 0 or places[r, STRIDES + 2]):
                        read_line(dram, places[r], offset(places[r], i, j, first), scales[r], work[r], count)
                for k in range(len(steps)):
                    a = _values(dram, places, work, steps[k, 1], i, j, first, count)
                    b = _values(dram, places, work, steps[k, 2], i, j, first, count)
                    if k + 1 == len(steps) and _is_written_in_place(places):
                        _apply(steps[k, 0], a, b, _floats(dram, places[last], i, j, first, count), count)
                    else:
                        _apply(steps[k, 0], a, b, work[last + k], count)
                if not _is_written_in_place(places):
                    at = offset(places[last], i, j, first)
                    write_line(dram, places[last], at, scales[last], limits, work[last + len(steps) - 1], count)


@kernel
def offset(place: Ints, i: int, j: int, k: int) -> int:
    """Return how many bytes behind a tensor's first element another lies."""
    return i * place[STRIDES] + j * place[STRIDES + 1] + k * place[STRIDES + 2]  # type: ignore[no-any-return]


@kernel
def _is_read_in_place(place: Ints) -> bool:
    """Say whether an operand is float32 numbers side by side."""
    return place[KIND] == FLOAT32 and place[STRIDES + 2] != 0  # type: ignore[no-any-return]


@kernel
def _is_written_in_place(places: Ints) -> bool:
    """Say whether the result is float32 numbers that are not an operand's too: a curve may read those twice."""
    last = len(places) - 1
    apart = places[last, KIND] == FLOAT32
    for r in range(last):
        apart &= places[r, ADDRESS] != places[last, ADDRESS]
    return apart  # type: ignore[no-any-return]


@kernel
def _floats(dram: Bytes, place: Ints, i: int, j: int, first: int, count: int) -> Floats:
    at = place[ADDRESS] + offset(place, i, j, first)
    found: Floats = dram[at : at + 4 * count].view(np.float32)
    return found


@kernel
def _values(dram: Bytes, places: Ints, work: Floats, row: int, i: int, j: int, first: int, count: int) -> Floats:
    """Return the numbers of an operand or a step."""
    if row < len(places) - 1 and _is_read_in_place(places[row]):
        return _floats(dram, places[row], i, j, first, count)
    step: Floats = work[row]
    return step


@kernel
def read_line(dram: Bytes, place: Ints, at: int, scale: float, row: Floats, count: int) -> None:
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
def write_line(dram: Bytes, place: Ints, at: int, scale: float, limits: Floats, row: Floats, count: int) -> None:
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


# Each curve is worked out with exponentials that are quick and almost the definition's. Where the nearest float32 is
# the same a margin below and above, which is wider than they are off, it is the definition's; if one of a block's is
# not, or is a NaN, the block is worked out by the definition.


@kernel
def _exp(a: Floats, out: Floats, count: int) -> None:
    """Run exp on `count` elements."""
    unsure = False
    for k in range(count):
        near = _near_exp64(np.float64(a[k]))
        out[k] = np.float32(near * BELOW)
        unsure |= (out[k] != np.float32(near * ABOVE)) | (a[k] != a[k])
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
        out[k] = np.float32(near * TANH_BELOW)
        unsure |= (out[k] != np.float32(near * TANH_ABOVE)) | (a[k] != a[k])
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
        unsure |= (out[k] != np.float32(near * ABOVE)) | (a[k] != a[k])
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
    """Return almost the same of a float32, held to FAR either way; of a NaN anything.

    It is off by less than 2**-45: where the definition takes another of two n that are as near, and |x| is 64 or more,
    each n ln(2) has lost up to 2**-47; all else together is less than 2**-49.
    """
    held = select(x < -FAR, -FAR, x)
    held = select(held > FAR, FAR, held)
    counter = fma64(held, LOG2_E, COUNTER)
    g = held - (counter - COUNTER) * LN_2
    series = TERMS[-1]
    for k in range(len(TERMS) - 2, -1, -1):
        series = fma64(series, g, TERMS[k])
    return raised(series, counter)  # type: ignore[no-any-return]


@kernel
def _reduced(x: float) -> tuple[float, float]:
    """Return n and g, |g| <= ln(2) / 2 or little more: x, held to 800 either way, is n ln(2) + g."""
    held = select(x > -800.0, x, -800.0)
    held = select(held < 800.0, held, 800.0)
    n = np.floor(held * LOG2_E + 0.5)
    return n, held - n * LN_2


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
