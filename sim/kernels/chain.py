"""Chains of functions of real numbers: a `map` stream on tensors where they lie in DRAM, block by block.

The plain forms are `isa.real` (functions) and `accelc.sim.stream` (operands and results).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from accelc.sim.jit import kernel, step
from accelc.sim.kernels.ir import address, bytes_at, fma64, power_of_two, raised, reals_at, rint, select, words_at

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
LINE = 4 * BLOCK  # bytes of a block of numbers
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


# Blocks and lines are named by their addresses: a part of an array costs more to make, as its owners are counted, than
# what a short line takes. `work` is named in the loop, so that it lives as long.


@kernel
def map_lines(dram: Bytes, extents: Ints, places: Ints, scales: Floats, steps: Ints, limits: Floats) -> None:
    """Run a chain on each block of each line.

    `work` has a row for each operand that is not read where it lies, then for each step that is not written there.
    """
    last, memory = len(places) - 1, address(dram)
    work = np.empty((last + len(steps), BLOCK), np.float32)
    in_place = _is_written_in_place(places)
    for i in range(extents[0]):
        for j in range(extents[1]):
            for first in range(0, extents[2], BLOCK):
                count, rows = min(BLOCK, extents[2] - first), address(work)
                for r in range(last):
                    if not _is_read_in_place(places, r) and (first == 0 or places[r, STRIDES + 2]):
                        at = memory + place_of(places, r, i, j, first)
                        read_line(at, places, r, scales[r], rows + LINE * r, count)
                to = memory + place_of(places, last, i, j, first)
                for k in range(len(steps)):
                    a = _source(places, memory, rows, steps[k, 1], i, j, first)
                    b = _source(places, memory, rows, steps[k, 2], i, j, first)
                    out = to if in_place and k + 1 == len(steps) else rows + LINE * (last + k)
                    _apply(steps[k, 0], reals_at(a, count), reals_at(b, count), reals_at(out, count), count)
                if not in_place:
                    write_line(to, places, last, scales[last], limits, rows + LINE * (last + len(steps) - 1), count)


@step
def place_of(places: Ints, r: int, i: int, j: int, k: int) -> int:
    """Return the address in DRAM of an element of a tensor."""
    behind = i * places[r, STRIDES] + j * places[r, STRIDES + 1] + k * places[r, STRIDES + 2]
    return places[r, ADDRESS] + behind  # type: ignore[no-any-return]


@step
def _is_read_in_place(places: Ints, r: int) -> bool:
    """Say whether an operand is float32 numbers side by side."""
    return places[r, KIND] == FLOAT32 and places[r, STRIDES + 2] != 0  # type: ignore[no-any-return]


@step
def _is_written_in_place(places: Ints) -> bool:
    """Say whether the result is float32 numbers that are not an operand's too: a curve may read those twice."""
    last = len(places) - 1
    apart = places[last, KIND] == FLOAT32
    for r in range(last):
        apart &= places[r, ADDRESS] != places[last, ADDRESS]
    return apart  # type: ignore[no-any-return]


@step
def _source(places: Ints, memory: int, rows: int, row: int, i: int, j: int, first: int) -> int:
    """Return the address of the numbers of an operand or a step."""
    if row < len(places) - 1 and _is_read_in_place(places, row):
        return memory + place_of(places, row, i, j, first)
    return rows + LINE * row


@kernel
def read_line(at: int, places: Ints, r: int, scale: float, to: int, count: int) -> None:
    """Read `count` elements of tensor `r` at an address as float32 to another; a stride of 0 repeats the first."""
    held, row = count if places[r, STRIDES + 2] else 1, reals_at(to, count)
    if places[r, KIND] == FLOAT32:
        reals = reals_at(at, held)
        for k in range(held):
            row[k] = reals[k]
    elif places[r, KIND] == INT32:
        integers = words_at(at, held)
        for k in range(held):
            row[k] = np.float32(integers[k])
    else:
        zero, stored = np.int32(places[r, ZERO]), bytes_at(at, held)
        for k in range(held):
            row[k] = np.float32(np.int32(stored[k]) - zero) * scale
    for k in range(held, count):
        row[k] = row[0]


@kernel
def write_line(at: int, places: Ints, r: int, scale: float, limits: Floats, source: int, count: int) -> None:
    """Write `count` results to tensor `r` at an address, quantized where it has bytes; a NaN becomes the zero point."""
    row = reals_at(source, count)
    if places[r, KIND] == FLOAT32:
        reals = reals_at(at, count)
        for k in range(count):
            reals[k] = row[k]
        return
    zero, least, most = np.int32(places[r, ZERO]), limits[0], limits[1]
    out = bytes_at(at, count)
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
