"""Ports put the user's arrays where the program expects them, and refuse arrays that do not fit."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from accelc.errors import InputError, ProgramError
from accelc.program import Port
from accelc.sim.ports import integers_of, quantize, read_port, read_values, write_inputs, write_port, write_quantized

FLOAT = Port("x", (2, 3, 2, 4), "float32", "int8", 0.25, 5, 16, (2, 2, 4, 3), 8)


@pytest.mark.parametrize(
    ("shape", "extents"),
    [
        ((2, 3, 2, 4), (2, 2, 4, 3)),
        ((2, 3, 4), (2, 1, 4, 3)),
        ((2, 3), (2, 1, 1, 3)),
        ((3,), (1, 1, 1, 3)),
        ((), (1, 1, 1, 1)),
    ],
)
@pytest.mark.parametrize("stored", ["int8", "uint8", "int32"])
def test_integers_come_back(shape: tuple[int, ...], extents: tuple[int, int, int, int], stored: str) -> None:
    """Every rank and stored type round-trips through DRAM, and no byte outside the port or in its gaps changes."""
    port = Port("t", shape, stored, stored, 1.0, 0, 8, extents, 16)
    limits = np.iinfo(stored)
    values = np.random.default_rng(1).integers(limits.min, limits.max, shape, endpoint=True).astype(stored)
    dram = np.full(port.bytes + 24, 77, np.uint8)
    write_port(dram, port, values)
    np.testing.assert_array_equal(read_port(dram, port), values)
    held = extents[3] * (4 if stored == "int32" else 1)
    assert (dram[8 : 8 + port.bytes].reshape(-1, 16)[:, held:] == 77).all()
    assert (dram[:8] == 77).all()
    assert (dram[-16:] == 77).all()


def test_int8_is_stored_in_excess_128_with_channels_last() -> None:
    """-128 is byte 0, 127 byte 255; channel 1 of pixel 0 is the second byte."""
    dram = np.zeros(64, np.uint8)
    port = Port("t", (1, 2, 1, 2), "int8", "int8", 1.0, 0, 0, (1, 1, 2, 2), 4)
    write_port(dram, port, np.array([[[[-128, 0]], [[127, 1]]]], np.int8))
    assert dram[:8].tolist() == [0, 255, 0, 0, 128, 129, 0, 0]


def test_floats_are_quantized_half_to_even_and_saturate() -> None:
    """Scale 0.25, zero point 5: 0.125 is half a step (to even: 5), 0.375 one and a half (to 7); infinities saturate."""
    port = Port("x", (6,), "float32", "int8", 0.25, 5, 0, (1, 1, 1, 6), 6)
    values = np.array([0, 0.125, 0.375, 1e30, -np.inf, -0.125], np.float32)
    assert quantize(port, values).tolist() == [5, 5, 7, 127, -128, 5]


FLOATS = st.lists(st.floats(width=32, allow_nan=False), min_size=1, max_size=16)


@given(FLOATS, st.integers(0, 255), st.sampled_from([0.1, 3.0, 1e-38]))
def test_quantization_is_the_onnx_rule(values: list[float], zero: int, scale: float) -> None:
    """The port's quantization equals ONNX's own reference QuantizeLinear wherever that one does not overflow."""
    port = Port("x", (len(values),), "float32", "uint8", scale, zero, 0, (1, 1, 1, len(values)), len(values))
    array = np.array(values, np.float32)
    with np.errstate(over="ignore"):
        steps = np.rint((array / np.float32(scale)).astype(np.float64))
    want = np.clip(steps + zero, 0, 255).astype(np.uint8)
    np.testing.assert_array_equal(quantize(port, array), want)


@given(st.lists(st.floats(width=32, allow_nan=False), min_size=24, max_size=24), st.integers(0, 255), st.booleans())
def test_floats_are_put_in_place_as_quantized(values: list[float], zero: int, signed: bool) -> None:
    """The fast form leaves the bytes of the plain one: two images of 2 x 2 pixels and 3 channels, with gaps."""
    stored, low = ("int8", -128) if signed else ("uint8", 0)
    port = Port("x", (2, 3, 2, 2), "float32", stored, 0.5, zero + low, 16, (2, 2, 2, 3), 5, row=13, image=40)
    array = np.array(values, np.float32).reshape(port.shape)
    fast, plain = np.full(99, 77, np.uint8), np.full(99, 77, np.uint8)
    write_quantized(fast, port, array)
    write_port(plain, port, quantize(port, array))
    assert fast.tolist() == plain.tolist()


def test_dequantized_values_have_the_model_dtype() -> None:
    """(q - zero point) * scale in float32."""
    dram = np.zeros(256, np.uint8)
    write_port(dram, FLOAT, np.full(FLOAT.shape, 9, np.int8))
    values = read_values(dram, FLOAT)
    assert values.dtype == np.float32
    assert (values == 1.0).all()


def _bad(array: npt.NDArray[Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        integers_of(FLOAT, array)


def test_arrays_that_do_not_fit_are_refused() -> None:
    """Each message names the input and what the model has."""
    good = np.zeros(FLOAT.shape, np.float32)
    _bad(good[0], r"'x' has shape \(3, 2, 4\); the model's is \(2, 3, 2, 4\)")
    _bad(good.astype(np.float64), "'x' is float64; the model's is float32")
    good[0, 0, 0, 0] = np.nan
    _bad(good, "'x' holds a NaN")


def test_missing_and_unknown_names_are_refused() -> None:
    """The message lists what the model takes."""
    dram = np.zeros(256, np.uint8)
    with pytest.raises(InputError, match="unknown input 'z'; the model takes 'x'"):
        write_inputs(dram, [FLOAT], {"z": np.zeros(1)})
    with pytest.raises(InputError, match="input 'x' is missing; the model takes 'x'"):
        write_inputs(dram, [FLOAT], {})


def test_a_port_outside_dram_is_refused() -> None:
    """A damaged program's port raises instead of reading elsewhere."""
    with pytest.raises(ProgramError, match="leaves the 20 bytes of DRAM"):
        read_port(np.zeros(20, np.uint8), FLOAT)
    with pytest.raises(ProgramError, match="with pitch 2"):
        read_port(np.zeros(256, np.uint8), dataclasses.replace(FLOAT, pitch=2))
