"""Streams: the vector unit's work on tensors of 32-bit numbers in DRAM, operand by operand."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from accelc.errors import MachineError
from accelc.isa.rows import cut_operands, row_ranges
from accelc.program import Operand, StreamCall
from accelc.sim.kernels.real import OPERATIONS

Array = npt.NDArray[Any]
Bytes = npt.NDArray[np.uint8]

TYPES = {"float32": "<f4", "int32": "<i4", "int16": "<i2", "int8": "u1", "uint8": "u1"}
RANGES = {"int8": (-128, 127), "uint8": (0, 255), "int16": (-32768, 32767)}
EXCESS = {"int8": 128, "uint8": 0, "int16": 0}


def run_stream(dram: Bytes, call: StreamCall) -> None:
    """Run one stream: operands become 32-bit numbers as they are read, the result what its tensor is."""
    for part in _parts(call):
        _run(dram, part)


def _parts(call: StreamCall) -> list[StreamCall]:
    """Return a large stream as several on rows of its first axis, where each row of the result stands alone."""
    shapes, result = [x.shape for x in call.inputs], call.output.shape
    ranges, cut = row_ranges(shapes, result), cut_operands(call.op, call.attrs, shapes, result)
    if len(ranges) == 1 or cut is None:
        return [call]
    return [
        replace(
            call,
            inputs=tuple(_rows(x, rows) if c else x for x, c in zip(call.inputs, cut, strict=True)),
            output=_rows(call.output, rows),
        )
        for rows in ranges
    ]


def _rows(operand: Operand, rows: slice) -> Operand:
    """Return some rows of an operand's first axis."""
    address = operand.address + rows.start * operand.strides[0]
    return replace(operand, address=address, shape=(rows.stop - rows.start, *operand.shape[1:]))


def _run(dram: Bytes, call: StreamCall) -> None:
    operands = [read_operand(dram, operand) for operand in call.inputs]
    try:
        result = OPERATIONS[call.op](call.attrs, operands, call.output.shape)
    except (ValueError, IndexError, KeyError) as error:
        raise MachineError(f"stream '{call.name}' ({call.op}) does not fit its operands: {error}") from error
    write_operand(dram, call.output, result)


def read_operand(dram: Bytes, operand: Operand) -> Array:
    """Return a tensor as float32 or int32 in its own shape; numbers that are stored as such where they lie."""
    held = _window(dram, operand)
    if operand.stored in ("float32", "int32"):
        return held
    centered = held.astype(np.int32) - (EXCESS[operand.stored] + operand.zero_point)
    return np.asarray(centered.astype(np.float32) * np.float32(operand.scale))


def write_operand(dram: Bytes, operand: Operand, values: Array) -> None:
    """Write a result in its place, quantized as QuantizeLinear does if the tensor has a scale."""
    window = _window(dram, operand)
    if operand.stored in ("float32", "int32"):
        window[...] = values.reshape(operand.shape)
        return
    low, high = RANGES[operand.stored]
    with np.errstate(all="ignore"):
        ratio = values.reshape(operand.shape).astype(np.float32) / np.float32(operand.scale)
    least, most = np.float32(low - operand.zero_point), np.float32(high - operand.zero_point)
    # A NaN has no integer: it becomes the zero point.
    rounded = np.rint(np.clip(np.where(np.isnan(ratio), np.float32(0), ratio), least, most)).astype(np.int32)
    window[...] = (rounded + (operand.zero_point + EXCESS[operand.stored])).astype(TYPES[operand.stored])


def _window(dram: Bytes, operand: Operand) -> Array:
    """Return the tensor's elements in DRAM as a strided array."""
    kind = np.dtype(TYPES[operand.stored])
    reach = sum((n - 1) * s for n, s in zip(operand.shape, operand.strides, strict=True)) + kind.itemsize
    if operand.address < 0 or operand.address + reach > dram.size:
        raise MachineError(f"a stream's operand at {operand.address} leaves the {dram.size} bytes of DRAM")
    held = dram[operand.address : operand.address + reach]
    return np.ndarray(operand.shape, kind, held.data, 0, operand.strides)
