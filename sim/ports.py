"""Tensors between the user's arrays and their places in DRAM: quantization, excess-128 bytes, NHWC with a pitch."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt
from numpy.lib.stride_tricks import as_strided

from accelc.errors import InputError, ProgramError
from accelc.program import Port
from accelc.sim.kernels.quantize import quantize_into

Array = npt.NDArray[Any]
Bytes = npt.NDArray[np.uint8]

RANGES = {"int8": (-128, 127), "uint8": (0, 255), "int16": (-32768, 32767), "int32": (-2147483648, 2147483647)}
EXCESS = {"int8": 128, "uint8": 0}
WORDS = {"int16": "<i2", "int32": "<i4", "float32": "<f4"}
NONE: Mapping[str, Bytes] = MappingProxyType({})


def write_inputs(
    dram: Bytes, ports: Iterable[Port], inputs: Mapping[str, Array], places: Mapping[str, Bytes] = NONE
) -> None:
    """Put every input in its place; raise InputError for a name, shape or dtype that does not fit, or a NaN.

    `places` are the ports' `windows` where they are known already.
    """
    known = {port.name: port for port in ports}
    listed = ", ".join(f"'{name}'" for name in known)
    for name in inputs:
        if name not in known:
            raise InputError(f"unknown input '{name}'; the model takes {listed}")
    for name, port in known.items():
        if name not in inputs:
            raise InputError(f"input '{name}' is missing; the model takes {listed}")
        if port.dtype == "float32" and port.stored in EXCESS:
            write_quantized(dram, port, _checked(port, inputs[name]))
        else:
            write_port(dram, port, integers_of(port, inputs[name]), places.get(name))


def integers_of(port: Port, values: Array) -> Array:
    """Return a user's array as the integers the port stores, quantized if the model's tensor is float32."""
    array = _checked(port, values)
    if port.stored == "float32":
        return array.astype(np.float32)
    return quantize(port, array) if port.dtype == "float32" else _narrowed(port, array)


def _checked(port: Port, values: Array) -> Array:
    """Return a user's array; raise InputError if it is not what the port takes."""
    array = np.asarray(values)
    if array.shape != port.shape:
        raise InputError(f"'{port.name}' has shape {array.shape}; the model's is {port.shape}")
    if array.dtype != np.dtype(port.dtype):
        raise InputError(f"'{port.name}' is {array.dtype}; the model's is {port.dtype}")
    if port.dtype == "float32" and port.stored != "float32" and np.isnan(array).any():
        raise InputError(f"'{port.name}' holds a NaN, which no integer represents")
    return array


def _narrowed(port: Port, array: Array) -> Array:
    """Return integers in the port's stored type; raise InputError for one that 32 bits do not hold."""
    held = array.astype(port.stored, copy=False)
    if port.stored == "int32" and (held != array).any():
        raise InputError(f"'{port.name}' holds {array.min()} to {array.max()}; the chip's integers have 32 bits")
    return held


def quantize(port: Port, real: Array) -> Array:
    """Return rint(clip(f32(v / scale), qmin - zp, qmax - zp)) + zp, in the port's stored type."""
    low, high = RANGES[port.stored]
    with np.errstate(over="ignore"):
        ratio = real / np.float32(port.scale)
    held = np.rint(np.clip(ratio, np.float32(low - port.zero_point), np.float32(high - port.zero_point)))
    if port.stored == "int32":  # float32 holds 2**31, int32 does not
        wide = held.astype(np.float64) + port.zero_point
        return np.minimum(wide, high).astype(np.int32)
    return (held + np.float32(port.zero_point)).astype(port.stored)


def dequantize(port: Port, integers: Array) -> Array:
    """Return f32((q - zp) * scale) as float32."""
    return (integers.astype(np.int64) - port.zero_point).astype(np.float32) * np.float32(port.scale)


def write_port(dram: Bytes, port: Port, integers: Array, place: Bytes | None = None) -> None:
    """Write integers of the model's shape to the port's place in DRAM, its `window`."""
    n, h, w, c = port.extents
    pixels = integers.reshape(n, c, h, w).transpose(0, 2, 3, 1)
    held = window(dram, port) if place is None else place
    if port.stored in WORDS:
        held[...] = np.ascontiguousarray(pixels, WORDS[port.stored]).view(np.uint8)
    else:
        # An int8 value plus 128 is the same byte with its top bit turned.
        np.bitwise_xor(pixels.view(np.uint8), np.uint8(EXCESS[port.stored]), out=held)


def write_quantized(dram: Bytes, port: Port, real: Array) -> None:
    """Write float32 values to the place in DRAM of a port of bytes: `write_port` of what `quantize` returns."""
    n, h, w, c = port.extents
    window(dram, port)
    low, high = RANGES[port.stored]
    pixels = np.ascontiguousarray(real.reshape(n, c, h, w))
    place = (dram, port.address, *port.strides)
    quantize_into(pixels, float(port.scale), low, high, port.zero_point, EXCESS[port.stored], *place)


def read_port(dram: Bytes, port: Port, place: Bytes | None = None) -> Array:
    """Return the integers at the port's place in DRAM, its `window`, in the model's shape and the stored type."""
    held = window(dram, port) if place is None else place
    if port.stored in WORDS:
        # A copy: what was read must not change when the machine reuses the bytes.
        pixels = held.copy().view(WORDS[port.stored]).astype(port.stored, copy=False)
    else:
        pixels = np.bitwise_xor(held, np.uint8(EXCESS[port.stored])).view(port.stored)
    return np.ascontiguousarray(pixels.transpose(0, 3, 1, 2)).reshape(port.shape)


def read_values(dram: Bytes, port: Port) -> Array:
    """Return the tensor at the port's place in DRAM as the model's dtype."""
    return values_of(port, read_port(dram, port))


def values_of(port: Port, integers: Array) -> Array:
    """Return what `read_port` read as the model's dtype: the array itself where the port stores that."""
    if port.dtype == "float32" and port.stored != "float32":
        return dequantize(port, integers)
    return integers.astype(port.dtype, copy=False)


def windows(dram: Bytes, ports: Iterable[Port]) -> dict[str, Bytes]:
    """Return the `window` of each port by its name."""
    return {port.name: window(dram, port) for port in ports}


def window(dram: Bytes, port: Port) -> Bytes:
    """Return the port's bytes in its memory as [n, h, w, channel bytes]."""
    n, h, w, c = port.extents
    held = c * np.dtype(port.stored).itemsize
    if math.prod(port.shape) != n * h * w * c or port.pitch < held:
        raise ProgramError(f"'{port.name}': shape {port.shape} is not {port.extents} with pitch {port.pitch}")
    if port.address < 0 or port.address + port.reach > dram.size:
        raise ProgramError(f"'{port.name}' at {port.address} leaves the {dram.size} bytes of {port.space.upper()}")
    lines = dram[port.address : port.address + port.reach]
    return as_strided(lines, (n, h, w, held), (*port.strides, 1))
