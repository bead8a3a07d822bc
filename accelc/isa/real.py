"""Arithmetic of the vector unit on 32-bit numbers: what each function gives, and what it costs.

Float results are float32: sums, differences, products, quotients and square roots are rounded once; every other
function is an algorithm in float64 of sums, products, quotients and comparisons only, rounded once to float32 at the
end, so that compiled code gives the same bits as these definitions on every processor. Integers have 32 bits and wrap;
truth values are the integers 0 and 1. A NaN is any NaN: its bits are not defined.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
Wide = npt.NDArray[np.float64]

LN_2 = 0.6931471805599453
LOG2_E = 1.4426950408889634
SQRT_HALF = 0.7071067811865476
HALF_PI = 1.5707963267948966
# pi/2 in three parts of which the first two have 33 bits: k * part is exact for k below 2**20 (Cody and Waite).
HALF_PI_PARTS = (1.5707963267341256, 6.077100506303966e-11, 2.0222662487959506e-21)


@dataclass(frozen=True)
class Function:
    """A function of the vector unit: its code, operands, cost in lane operations, and its definition on arrays.

    `result` is the type of what it gives: "float", "int", or "same" as its last operand. A definition gets operands of
    one type, all float32 or all int32 (the condition of `where` aside).
    """

    name: str
    code: int
    operands: int
    cost: int
    result: str
    define: Callable[..., Array]


def exp64(x: Wide) -> Wide:
    """Return e**x: x = n ln 2 + g, then the Taylor series of e**g to the 13th power by Horner's rule."""
    held = np.minimum(np.maximum(x, -800.0), 800.0)
    n = np.floor(held * LOG2_E + 0.5)
    g = held - n * LN_2
    result = np.ones_like(g)
    for k in range(13, 0, -1):
        result = result * g / float(k) + 1.0
    return np.where(np.isnan(x), np.nan, np.ldexp(result, n.astype(np.int64)))


def log64(x: Wide) -> Wide:
    """Return ln x: x = m 2**e with m in [sqrt(1/2), sqrt(2)), s = (m - 1) / (m + 1), ln m = 2 (s + s**3/3 + ...)."""
    positive = np.where(x > 0, x, 1.0)
    m, e = np.frexp(positive)
    low = m < SQRT_HALF
    m = np.where(low, m + m, m)
    e = np.where(low, e - 1, e)
    s = (m - 1.0) / (m + 1.0)
    z = s * s
    series = np.full_like(s, 2.0 / 19.0)
    for k in range(17, 0, -2):
        series = series * z + 2.0 / float(k)
    found = np.where(np.isinf(positive), np.inf, series * s + e * LN_2)
    return np.where(x > 0, found, np.where(x == 0, -np.inf, np.nan))


def sine64(x: Wide, quarter: int) -> Wide:
    """Return sin(x + quarter * pi / 2) by reduction to |g| <= pi / 4 and Taylor series; exact below |x| = 10**6."""
    finite = np.where(np.isfinite(x), x, 0.0)
    k = np.floor(finite / HALF_PI + 0.5)
    g = ((finite - k * HALF_PI_PARTS[0]) - k * HALF_PI_PARTS[1]) - k * HALF_PI_PARTS[2]
    z = g * g
    sine, cosine = np.ones_like(g), np.ones_like(g)
    for n in range(17, 1, -2):
        sine = 1.0 - z / float(n * (n - 1)) * sine
        cosine = 1.0 - z / float((n - 1) * (n - 2)) * cosine
    turn = (k - np.floor(k / 4.0) * 4.0 + quarter) % 4.0
    value = np.where(turn % 2.0 == 0, sine * g, cosine)
    return np.where(np.isfinite(x), np.where(turn >= 2.0, -value, value), np.nan)


def atan64(x: Wide) -> Wide:
    """Return the arc tangent: halved twice by atan x = 2 atan(x / (1 + sqrt(1 + x**2))), then its Taylor series."""
    large = np.abs(x) > 1.0
    y = np.where(large, 1.0 / np.where(x == 0, 1.0, x), x)
    y = y / (1.0 + np.sqrt(1.0 + y * y))
    y = y / (1.0 + np.sqrt(1.0 + y * y))
    z = y * y
    series = np.zeros_like(y)
    for k in range(27, 0, -2):
        series = 1.0 / float(k) - z * series
    near = 4.0 * (series * y)
    return np.where(large, np.where(x > 0, HALF_PI, -HALF_PI) - near, near)


_ERF = (0.17087277, -0.82215223, 1.48851587, -1.13520398, 0.27886807, -0.18628806, 0.09678418, 0.37409196, 1.00002368)


def erf64(x: Wide) -> Wide:
    """Return the error function, to 1.2e-7: Press et al., Numerical Recipes, 2nd edition, section 6.2, erfcc."""
    a = np.abs(x)
    t = 1.0 / (1.0 + 0.5 * a)
    series = np.full_like(t, _ERF[0])
    for c in _ERF[1:]:
        series = series * t + c
    rest = t * exp64(-a * a - 1.26551223 + t * series)
    small = x * (1.1283791670955126 - x * x * (0.37612638903183754 - x * x * 0.11283791670955126))
    return np.where(a < 0.02, small, np.where(x >= 0, 1.0 - rest, rest - 1.0))


def tanh64(x: Wide) -> Wide:
    """Return the hyperbolic tangent: x - x**3/3 + 2 x**5/15 below 0.01, else 1 - 2 / (e**2|x| + 1) with x's sign."""
    a = np.abs(x)
    z = x * x
    far = 1.0 - 2.0 / (exp64(2.0 * a) + 1.0)
    return np.where(a < 0.01, x - x * z * (1 / 3 - z * (2 / 15)), np.where(x < 0, -far, far))


def sigmoid64(x: Wide) -> Wide:
    """Return 1 / (1 + e**-x)."""
    return np.asarray(1.0 / (1.0 + exp64(-x)))


def power64(x: Wide, y: Wide) -> Wide:
    """Return x**y: e**(y ln |x|), negative for odd integers y of negative x; NaN for other y there; whole y exact."""
    whole = np.floor(y) == y
    odd = whole & (y % 2.0 != 0)
    magnitude = exp64(y * log64(np.abs(x)))
    squared = np.where(y == 2.0, x * x, np.where(y == 1.0, np.abs(x), np.where(y == 3.0, np.abs(x * x * x), magnitude)))
    zero = np.where(y > 0, 0.0, np.inf)
    found = np.where(y == 0, 1.0, np.where(x == 0, zero, squared))
    return np.where((x < 0) & ~whole, np.nan, np.where((x < 0) & odd, -found, found))


def _sinh64(x: Wide) -> Wide:
    z = x * x
    small = x * (1.0 + z * (1 / 6) * (1.0 + z * (1 / 20)))
    return np.where(np.abs(x) < 0.05, small, (exp64(x) - exp64(-x)) * 0.5)


def _asin64(x: Wide) -> Wide:
    inside = np.abs(x) <= 1.0
    held = np.where(inside, x, 0.0)
    root = np.sqrt((1.0 - held) * (1.0 + held))
    found = np.where(root == 0, held * HALF_PI, atan64(held / np.where(root == 0, 1.0, root)))
    return np.where(inside, found, np.nan)


def _asinh64(x: Wide) -> Wide:
    a = np.abs(x)
    small = x - x * x * x * (1 / 6)
    found = log64(a + np.sqrt(a * a + 1.0))
    return np.where(a < 0.001, small, np.where(x < 0, -found, found))


def _atanh64(x: Wide) -> Wide:
    small = x + x * x * x * (1 / 3)
    return np.where(np.abs(x) < 0.001, small, 0.5 * log64((1.0 + x) / (1.0 - x)))


def _acosh64(x: Wide) -> Wide:
    inside = np.where(x >= 1, x, 1.0)
    return np.where(x >= 1, log64(inside + np.sqrt((inside - 1.0) * (inside + 1.0))), np.nan)


def _softplus64(x: Wide) -> Wide:
    """Return ln(1 + e**x) = max(x, 0) + ln(1 + e**-|x|)."""
    return np.asarray(np.maximum(x, 0.0) + log64(1.0 + exp64(-np.abs(x))))


def rounded(function: Callable[..., Wide]) -> Callable[..., Array]:
    """Return a float64 algorithm as a function of float32 arrays, rounded once."""

    def define(*operands: Array) -> Array:
        with np.errstate(all="ignore"):
            return np.asarray(function(*(np.asarray(x, np.float64) for x in operands))).astype(np.float32)

    return define


def quiet(function: Callable[..., Array]) -> Callable[..., Array]:
    """Return a function of arrays without NumPy's warnings."""

    def define(*operands: Array) -> Array:
        with np.errstate(all="ignore"):
            return np.asarray(function(*operands))

    return define


def _divide(a: Array, b: Array) -> Array:
    """Quotient of floats; of integers, truncated toward zero, 0 for a divisor of 0."""
    if a.dtype.kind == "f":
        return np.asarray(a / b)
    wide, by = a.astype(np.int64), np.where(b == 0, 1, b).astype(np.int64)
    sign = np.where((wide < 0) != (by < 0), -1, 1)
    return np.where(b == 0, 0, sign * (np.abs(wide) // np.abs(by))).astype(np.int32)


def _modulo(a: Array, b: Array) -> Array:
    """Remainder with the divisor's sign; exact, as the C library's fmod is."""
    if a.dtype.kind == "f":
        return np.mod(a, b)
    return np.where(b == 0, 0, a.astype(np.int64) % np.where(b == 0, 1, b)).astype(np.int32)


def _remainder(a: Array, b: Array) -> Array:
    """Remainder with the dividend's sign, exact."""
    if a.dtype.kind == "f":
        return np.fmod(a, b)
    return (a.astype(np.int64) - _divide(a, b).astype(np.int64) * b).astype(np.int32)


def _shift_left(a: Array, b: Array) -> Array:
    """Bits moved left; by 32 or more, or by less than 0, all are lost."""
    lost = (b < 0) | (b > 31)
    return np.where(lost, 0, a.astype(np.int64) << np.where(lost, 0, b)).astype(np.int32)


def _shift_right(a: Array, b: Array) -> Array:
    """Bits moved right, the sign coming in; by 32 or more, or by less than 0, only the sign is left."""
    return a >> np.where((b < 0) | (b > 31), 31, b)


def _truth(function: Callable[..., Array]) -> Callable[..., Array]:
    return lambda *operands: np.asarray(function(*operands)).astype(np.int32)


def _choose(c: Array, a: Array, b: Array) -> Array:
    return np.where(c != 0, a, b)


def _to_int(x: Array) -> Array:
    """Truncated toward zero and held to 32 bits; NaN gives 0."""
    if x.dtype.kind != "f":
        return x
    held = np.clip(np.nan_to_num(x.astype(np.float64), nan=0.0), -2147483648.0, 2147483647.0)
    return np.trunc(held).astype(np.int32)


def _power(a: Array, b: Array) -> Array:
    if a.dtype.kind == "f":
        return rounded(power64)(a, b)
    result, base = np.ones_like(a, np.int64), a.astype(np.int64)
    for k in range(int(np.max(b, initial=0))):
        result = np.where(k < b, (result * base).astype(np.int32).astype(np.int64), result)
    return np.where(b < 0, 0, result).astype(np.int32)


# name: operands, cost, result, definition. Costs are lane operations: 1 for what an adder or multiplier does in one
# pass, 4 for an iterated quotient or root, 8 and more for series, a term for a product and a sum.
_ROWS: tuple[tuple[str, int, int, str, Callable[..., Array]], ...] = (
    ("identity", 1, 1, "same", lambda x: x),
    ("add", 2, 1, "same", quiet(np.add)),
    ("sub", 2, 1, "same", quiet(np.subtract)),
    ("mul", 2, 1, "same", quiet(np.multiply)),
    ("div", 2, 4, "same", quiet(_divide)),
    ("mod", 2, 6, "same", quiet(_modulo)),
    ("fmod", 2, 6, "same", quiet(_remainder)),
    ("pow", 2, 24, "same", quiet(_power)),
    ("max", 2, 1, "same", quiet(np.maximum)),
    ("min", 2, 1, "same", quiet(np.minimum)),
    ("equal", 2, 1, "int", _truth(np.equal)),
    ("less", 2, 1, "int", _truth(np.less)),
    ("less_equal", 2, 1, "int", _truth(np.less_equal)),
    ("greater", 2, 1, "int", _truth(np.greater)),
    ("greater_equal", 2, 1, "int", _truth(np.greater_equal)),
    ("and", 2, 1, "int", lambda a, b: a & b),
    ("or", 2, 1, "int", lambda a, b: a | b),
    ("xor", 2, 1, "int", lambda a, b: a ^ b),
    ("shift_left", 2, 1, "int", quiet(_shift_left)),
    ("shift_right", 2, 1, "int", quiet(_shift_right)),
    ("not", 1, 1, "int", _truth(lambda x: x == 0)),
    ("invert", 1, 1, "int", lambda x: ~x),
    ("where", 3, 1, "same", _choose),
    ("abs", 1, 1, "same", quiet(np.abs)),
    ("neg", 1, 1, "same", quiet(np.negative)),
    ("sign", 1, 1, "same", quiet(np.sign)),
    ("floor", 1, 1, "same", quiet(np.floor)),
    ("ceil", 1, 1, "same", quiet(np.ceil)),
    ("round", 1, 1, "same", quiet(np.rint)),
    ("to_float", 1, 1, "float", lambda x: x.astype(np.float32)),
    ("to_int", 1, 1, "int", quiet(_to_int)),
    ("is_nan", 1, 1, "int", _truth(np.isnan)),
    ("is_inf", 1, 1, "int", _truth(np.isinf)),
    ("sqrt", 1, 4, "float", quiet(np.sqrt)),
    ("reciprocal", 1, 4, "float", quiet(lambda x: np.float32(1) / x)),
    ("exp", 1, 8, "float", rounded(exp64)),
    ("log", 1, 12, "float", rounded(log64)),
    ("sin", 1, 12, "float", rounded(lambda x: sine64(x, 0))),
    ("cos", 1, 12, "float", rounded(lambda x: sine64(x, 1))),
    ("tan", 1, 24, "float", rounded(lambda x: sine64(x, 0) / sine64(x, 1))),
    ("asin", 1, 24, "float", rounded(_asin64)),
    ("acos", 1, 24, "float", rounded(lambda x: HALF_PI - _asin64(x))),
    ("atan", 1, 20, "float", rounded(atan64)),
    ("sinh", 1, 18, "float", rounded(_sinh64)),
    ("cosh", 1, 18, "float", rounded(lambda x: (exp64(x) + exp64(-x)) * 0.5)),
    ("tanh", 1, 12, "float", rounded(tanh64)),
    ("asinh", 1, 20, "float", rounded(_asinh64)),
    ("acosh", 1, 20, "float", rounded(_acosh64)),
    ("atanh", 1, 18, "float", rounded(_atanh64)),
    ("sigmoid", 1, 12, "float", rounded(sigmoid64)),
    ("erf", 1, 20, "float", rounded(erf64)),
    ("softplus", 1, 20, "float", rounded(_softplus64)),
    ("to_float16", 1, 1, "float", quiet(lambda x: x.astype(np.float16).astype(np.float32))),
)

FUNCTIONS: Mapping[str, Function] = MappingProxyType(
    {row[0]: Function(row[0], code, *row[1:]) for code, row in enumerate(_ROWS)}
)
"""The functions of one element (or of two or three that belong together), by name."""

REDUCTIONS = ("sum", "prod", "max", "min", "argmax", "argmax_last", "argmin", "argmin_last")
"""What a reduction keeps of the elements it takes one after another in row-major order, starting with the first.

`sum` and `prod` round after each element; the four others give the index of the first or last extreme element.
"""

UPDATES = ("none", "add", "mul", "max", "min")
"""How scatter joins an element with the one that is there; elements come in order, `none` replaces."""


def result_type(name: str, operands: tuple[str, ...]) -> str:
    """Return "float" or "int", the type a function gives for operands of these types."""
    kind = FUNCTIONS[name].result
    return str(operands[-1] if kind == "same" else kind)
