"""The constants and the helpers of quantized arithmetic."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from accelc import arithmetic as ar
from accelc.errors import ModelError
from accelc.graph import Layer, Quant
from accelc.reference.normalize import _power
from accelc.reference.requantize import requantize_fixed, requantize_float

FLOATS = st.floats(-1e6, 1e6, width=32)


def nearest(value: Fraction) -> float:
    """Return the float32 nearest to a rational number, ties to even."""
    middle = np.float32(float(value))
    around = (np.nextafter(middle, np.float32(-np.inf)), middle, np.nextafter(middle, np.float32(np.inf)))
    best = min(around, key=lambda v: (abs(Fraction(float(v)) - value), int(v.view(np.uint32)) & 1))
    return float(best)


@given(FLOATS, FLOATS, FLOATS)
def test_fused_multiply_add_rounds_once(a: float, b: float, c: float) -> None:
    assert float(ar.fma32(a, b, c)) == nearest(Fraction(a) * Fraction(b) + Fraction(c))


@given(st.integers(1, 2**23), st.integers(1, 2**23), st.integers(-60, -20), st.booleans())
def test_fused_multiply_add_sees_no_false_tie(a: int, b: int, exponent: int, negative: bool) -> None:
    """A product that is a tie of float32, and an addend too small for float64 to show beside it."""
    left, right = float(2 * a + 1), float(2 * b + 1)
    tiny = 2.0**exponent * (-1 if negative else 1)
    assert float(ar.fma32(left, right, tiny)) == nearest(Fraction(left) * Fraction(right) + Fraction(tiny))


@given(st.floats(1e-6, 1e6), st.floats(-3, 3))
def test_power_is_near_the_library_one(t: float, exponent: float) -> None:
    assert ar.power(t, exponent) == pytest.approx(t**exponent, rel=1e-13)


def test_power_of_arrays_takes_the_same_steps() -> None:
    t = np.exp(np.random.default_rng(0).normal(size=5000) * 4)
    for exponent in (-0.75, -0.5, -1.0, 0.3):
        assert _power(t, exponent).tolist() == [ar.power(v, exponent) for v in t.tolist()]


@given(st.floats(1e-9, 1e6))
def test_fixed_multiplier_is_within_its_last_bit(scale: float) -> None:
    multiplier, shift = ar.fixed_multiplier(scale)
    assert 2**30 <= multiplier < 2**31
    assert abs(multiplier * 2.0**-31 * 2.0**-shift - scale) <= scale * 2.0**-31


@pytest.mark.parametrize("scale", [0.0, -1.0, float("nan"), float("inf"), 2.0**31])
def test_impossible_scale_is_refused(scale: float) -> None:
    with pytest.raises(ModelError, match="requantization scale"):
        ar.fixed_multiplier(scale)


def gemmlowp(acc: int, multiplier: int, shift: int) -> int:
    """Return MultiplyByQuantizedMultiplier in exact integers: saturating doubling high product, then rounding shift."""
    product = acc * multiplier
    nudged = product + (2**30 if product >= 0 else 1 - 2**30)
    high = nudged // 2**31 if nudged >= 0 else -(-nudged // 2**31)
    remainder, threshold = high & (2**shift - 1), ((2**shift - 1) >> 1) + (high < 0)
    return (high >> shift) + (remainder > threshold)


@given(st.integers(-(2**31), 2**31 - 1), st.integers(2**30, 2**31 - 1), st.integers(0, 20))
def test_fixed_requantization_is_gemmlowp(acc: int, multiplier: int, shift: int) -> None:
    wide = (-(2**40), 2**40)
    ours = requantize_fixed(np.array([acc]), np.array([multiplier]), np.array([shift]), 0, wide)
    assert ours.tolist() == [gemmlowp(acc, multiplier, shift)]


def test_fixed_and_float_modes_differ_rarely_and_by_one() -> None:
    rng = np.random.default_rng(1)
    acc = rng.integers(-200000, 200000, 1_000_000)
    pair = (np.array(v) for v in ar.fixed_multiplier(float(np.float32(0.00047))))
    fixed = requantize_fixed(acc, *pair, 100, (0, 255))
    difference = fixed - requantize_float(acc.astype(np.int32), np.float32(0.00047), 100, (0, 255))
    assert np.abs(difference).max() <= 1
    assert np.count_nonzero(difference) < 5000


@pytest.mark.parametrize("classes", [1, 2, 1000, 100_000])
def test_softmax_sums_stay_in_33_bits(classes: int) -> None:
    entries = ar.softmax_table(Quant.per_tensor(0.001, 0), classes)
    assert entries.min() >= 0
    assert int(entries.max()) * classes < 2**33
    assert (np.diff(entries.astype(np.int64)) <= 0).all()


def test_normalization_refuses_a_base_that_may_reach_zero() -> None:
    layer = Layer("n", "lrn", ("x",), ("y",), {"size": 5, "alpha": 1.0, "beta": 0.75, "bias": 0.0})
    with pytest.raises(ModelError, match="bias above 0"):
        ar.lrn_constants(layer, Quant.per_tensor(1.0, 0), Quant.per_tensor(1.0, 0))


def test_folded_bias_moves_the_zero_point_out_of_the_sum() -> None:
    rng = np.random.default_rng(2)
    w, x = rng.integers(-255, 256, (4, 30)).astype(np.int16), rng.integers(0, 256, 30)
    bias = rng.integers(-1000, 1000, 4).astype(np.int32)
    assert (w @ x + ar.folded_bias(w, bias, 131) == w @ (x - 131) + bias).all()
