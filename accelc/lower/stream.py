"""Lowering of layers on 32-bit numbers: one stream for each, or several moves for a concat."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from accelc.errors import ScheduleError
from accelc.graph import JOIN_OPS, REAL_OPS, Layer, Tensor
from accelc.isa.stream import demand
from accelc.lower.places import Places
from accelc.lower.tokens import ACTIVATIONS
from accelc.program import Operand, StreamCall
from accelc.schedule.plain import numbers, row_major
from accelc.schedule.views import strides_of

MOST_WORK = 1 << 40  # lane operations that a stream's word can state


def lower_stream(places: Places, layer: Layer, calls: list[StreamCall]) -> None:
    """Emit the streams of one layer and append what they do to `calls`."""
    places.emitter.layer = places.layer_index[layer.name]
    inputs = [_input(places, name) for name in layer.inputs if name]
    output = _stored(places, layer.outputs[0])
    if layer.op in REAL_OPS:
        _emit(places, calls, StreamCall(layer.name, layer.op, dict(layer.attrs), tuple(inputs), output))
    elif layer.op in JOIN_OPS:
        for source, into in zip(inputs, _parts(layer, inputs, output), strict=True):
            _emit(places, calls, _move(layer, source, into))
    elif layer.op == "slice":
        _emit(places, calls, _move(layer, _sliced(layer, inputs[0], output), output))
    elif layer.op == "pad":
        _emit(places, calls, StreamCall(layer.name, "take", _padding(layer, inputs[0], output), tuple(inputs), output))
    elif layer.op == "transpose":
        _emit(places, calls, _move(layer, _permuted(layer, inputs[0]), output))
    else:
        _emit(places, calls, _move(layer, inputs[0], output))


def _emit(places: Places, calls: list[StreamCall], call: StreamCall) -> None:
    held = places.emitter.chip.timing.act_bytes
    sized = [(o.shape, _width(o)) for o in (*call.inputs, call.output)]
    asked = demand(call.op, call.attrs, sized[:-1], sized[-1], held)
    if max(asked.work, asked.read_bytes, asked.write_bytes) >= MOST_WORK:
        raise ScheduleError(f"layer '{call.name}' ({call.op}) takes {asked.work} operations; below 2**40 would work")
    places.emitter.barrier(
        "stream", index=len(calls), work=asked.work, read_bytes=asked.read_bytes, write_bytes=asked.write_bytes
    )
    calls.append(call)


def _width(operand: Operand) -> int:
    return np.dtype(operand.stored).itemsize


def _move(layer: Layer, source: Operand, target: Operand) -> StreamCall:
    return StreamCall(layer.name, "move", {}, (source,), target)


def _permuted(layer: Layer, source: Operand) -> Operand:
    perm = layer.attrs["perm"]
    return replace(source, shape=tuple(source.shape[p] for p in perm), strides=tuple(source.strides[p] for p in perm))


def _sliced(layer: Layer, source: Operand, output: Operand) -> Operand:
    start = sum(s * k for s, k in zip(source.strides, layer.attrs["starts"], strict=True))
    strides = tuple(s * k for s, k in zip(source.strides, layer.attrs["steps"], strict=True))
    return replace(source, address=source.address + start, shape=output.shape, strides=strides)


def _padding(layer: Layer, source: Operand, output: Operand) -> dict[str, Any]:
    """Return a pad as a selection: -1 outside."""
    tables = [
        None if n == m else [k - b if 0 <= k - b < n else -1 for k in range(m)]
        for n, m, b in zip(source.shape, output.shape, layer.attrs["begin"], strict=True)
    ]
    return {"tables": tables, "value": float(layer.attrs["value"])}


def _parts(layer: Layer, inputs: list[Operand], output: Operand) -> Iterator[Operand]:
    """Yield where each input of a concat or interleave goes."""
    at, strides = 0, output.strides
    for index, source in enumerate(inputs):
        if layer.op == "concat":
            offset = at * strides[layer.attrs["axis"]]
            yield replace(output, address=output.address + offset, shape=source.shape)
            at += source.shape[layer.attrs["axis"]]
            continue
        steps = layer.attrs["strides"][-len(strides) + 2 :]
        starts = layer.attrs["starts"][index][-len(strides) + 2 :]
        offset = sum(k * s for k, s in zip(starts, strides[2:], strict=True))
        wide = (*strides[:2], *(s * k for s, k in zip(strides[2:], steps, strict=True)))
        yield replace(output, address=output.address + offset, shape=source.shape, strides=wide)


def _input(places: Places, name: str) -> Operand:
    tensor = places.graph.tensors[name]
    return _stored(places, name) if tensor.data is None else _constant(places, tensor)


def _constant(places: Places, tensor: Tensor) -> Operand:
    """Return a constant as 32-bit numbers, put in place on first use."""
    data = numbers(tensor)
    address = places.plain_constant(tensor.name, data)
    return Operand(address, data.dtype.name, tensor.shape, row_major(tensor.shape, 4))


def _stored(places: Places, name: str) -> Operand:
    """Return a tensor that lies in DRAM."""
    tensor, view = places.graph.tensors[name], places.views[name]
    address = places.address(view)
    if view.plain:
        return Operand(address, tensor.dtype, tensor.shape, view.steps or row_major(tensor.shape, 4))
    strides = tuple(strides_of(view, tensor.shape))
    if tensor.quant is None:
        return Operand(address, tensor.dtype, tensor.shape, strides)
    scale, zero = float(tensor.quant.scale), int(tensor.quant.zero_point)
    return Operand(address, tensor.dtype, tensor.shape, strides, scale, zero)


def moved_stream(call: StreamCall, base: int) -> StreamCall:
    """Return a stream with activation addresses moved behind the constants; lists in place of tuples, as in a file."""
    inputs = tuple(_moved(o, base) for o in call.inputs)
    return replace(call, inputs=inputs, output=_moved(call.output, base), attrs=_listed(call.attrs))


def _moved(operand: Operand, base: int) -> Operand:
    return operand if operand.address < ACTIVATIONS else replace(operand, address=operand.address + base)


def _listed(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _listed(held) for key, held in value.items()}
    return [_listed(held) for held in value] if isinstance(value, (tuple, list)) else value

