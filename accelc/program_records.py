"""A program's descriptive parts as JSON, and the rules that hold between a program's parts."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, fields, is_dataclass
from functools import cache
from typing import Any, TypeVar

import numpy as np
from pydantic import TypeAdapter, ValidationError

from accelc.errors import IsaError, ProgramError
from accelc.isa import TABLE
from accelc.isa.control import host
from accelc.isa.core import LANES
from accelc.isa.encoding import decode_rows
from accelc.isa.legality import check_rules
from accelc.isa.real import FUNCTIONS
from accelc.isa.stream import stream
from accelc.program import HostCall, LayerInfo, Operand, Port, Program, Region, StreamCall

Record = TypeVar("Record")

MAX_DRAM_BYTES = 1 << 40
MOST_ACT = 1 << 28  # bytes an address of the activation buffer reaches
STORED = ("int8", "uint8", "int16", "int32")
OUTSIDE = ("float32", "float64", "float16", "bool", "int64", "uint64", "uint32", "uint16")
REAL_ATTRS: Mapping[str, tuple[str, ...]] = {
    "map": ("steps",), "reduce": ("fn", "axes"), "contract": ("equation",), "take": ("tables", "value"), "gather": (),
    "scatter": ("fn",),
}  # fmt: skip


@dataclass(frozen=True)
class HostRecord:
    """A HostCall whose model is stored elsewhere; `model_bytes` is its length."""

    name: str
    op_type: str
    reason: str
    model_bytes: int
    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]
    seconds: float

    @staticmethod
    def of(call: HostCall) -> HostRecord:
        """Return the record of a host call."""
        return HostRecord(
            call.name, call.op_type, call.reason, len(call.model), call.inputs, call.outputs, call.seconds
        )

    def with_model(self, model: bytes) -> HostCall:
        """Return the host call, given its model."""
        return HostCall(self.name, self.op_type, self.reason, model, self.inputs, self.outputs, self.seconds)


@dataclass(frozen=True)
class Header:
    """All of a program but its code, constants, source map and host models."""

    name: str
    chip: str
    fingerprint: str
    dram_bytes: int
    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]
    layers: tuple[LayerInfo, ...]
    regions: tuple[Region, ...]
    hosts: tuple[HostRecord, ...]
    streams: tuple[StreamCall, ...]
    notes: Mapping[str, Any]

    @staticmethod
    def of(program: Program) -> Header:
        """Return the header of a program."""
        hosts = tuple(HostRecord.of(call) for call in program.hosts)
        return Header(
            program.name, program.chip, program.fingerprint, program.dram_bytes, program.inputs, program.outputs,
            program.layers, program.regions, hosts, program.streams, program.notes,
        )


def to_json(record: object) -> str:
    """Return a record (or plain value) as one line of ASCII JSON; raise ProgramError for what JSON cannot hold."""
    try:
        return json.dumps(record, separators=(", ", ": "), default=_plain, allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        raise ProgramError(f"{type(record).__name__} cannot be saved as JSON: {error}") from None


def _plain(value: object) -> object:
    if is_dataclass(value):
        return {f.name: getattr(value, f.name) for f in fields(value)}
    if isinstance(value, (np.generic, np.ndarray)):
        return value.tolist()
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"a value of type {type(value).__name__}")


@cache
def _adapter(kind: Any) -> TypeAdapter[Any]:
    return TypeAdapter(kind)


def from_json(kind: type[Record], text: str | bytes) -> Record:
    """Return the record that JSON describes; raise ProgramError naming the first value that does not fit."""
    hashable: Any = kind
    _refuse_unknown_keys(kind, text)
    try:
        made: Record = _adapter(hashable).validate_json(text, strict=True)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        raise ProgramError(f"{kind.__name__}{f' {key}' if key else ''}: {first['msg']}") from None
    return made


def _refuse_unknown_keys(kind: type[Record], text: str | bytes) -> None:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        raise ProgramError(f"{kind.__name__} is not JSON") from None
    known = {f.name for f in fields(kind)}  # type: ignore[arg-type]
    if unknown := [key for key in value if key not in known] if isinstance(value, dict) else []:
        raise ProgramError(f"{kind.__name__}: unknown key '{unknown[0]}'; known: {', '.join(sorted(known))}")


def check_program(program: Program) -> Program:
    """Return the program unchanged; raise ProgramError where its words are illegal or its parts do not fit together."""
    words, layers = program.words, program.layer_of
    if words.ndim != 2 or words.shape[1] != LANES or words.dtype != np.uint64:
        raise ProgramError(f"code of shape {words.shape} and type {words.dtype} is not [count, {LANES}] of uint64")
    try:
        check_rules(words)
    except IsaError as error:
        raise ProgramError(f"illegal code: {error}") from None
    if layers.shape != (len(words),):
        raise ProgramError(f"the source map has {layers.size} entries for {len(words)} instructions")
    if layers.size and not (layers.min() >= -1 and layers.max() < len(program.layers)):
        raise ProgramError(f"the source map names layers outside -1 to {len(program.layers) - 1}")
    if program.dram_bytes > MAX_DRAM_BYTES:
        raise ProgramError(f"dram_bytes={program.dram_bytes} exceeds the {MAX_DRAM_BYTES} that an address reaches")
    if len(program.constants) > program.dram_bytes:
        raise ProgramError(f"{len(program.constants)} bytes of constants exceed dram_bytes={program.dram_bytes}")
    _check_calls(program, host.opcode, "host", len(program.hosts))
    _check_calls(program, stream.opcode, "stream", len(program.streams))
    _check_memory(program)
    for call in program.streams:
        _check_stream(call, program.dram_bytes)
    return program


def _check_calls(program: Program, opcode: int, kind: str, count: int) -> None:
    opcodes = program.words[:, 0] & np.uint64(0xFF)
    calls = decode_rows(program.words[opcodes == np.uint64(opcode)])
    column = [f.name for f in TABLE[opcode].fields].index("index")
    if len(calls) and calls[:, column].max() >= count:
        raise ProgramError(f"{kind} index={calls[:, column].max()}, but the program has {count} {kind} calls")


STREAM_OPS = (*REAL_ATTRS, "move")


def _check_stream(call: StreamCall, dram_bytes: int) -> None:
    """Raise ProgramError for a stream of unknown work, or one that reaches outside DRAM."""
    if call.op not in STREAM_OPS:
        raise ProgramError(f"stream '{call.name}': operation '{call.op}' is unknown; known: {', '.join(STREAM_OPS)}")
    if missing := [key for key in REAL_ATTRS.get(call.op, ()) if key not in call.attrs]:
        raise ProgramError(f"stream '{call.name}' ({call.op}): '{missing[0]}' is missing")
    for step in call.attrs["steps"] if call.op == "map" else ():
        if step[0] not in FUNCTIONS:
            raise ProgramError(f"stream '{call.name}': function '{step[0]}' is unknown")
    for operand in (*call.inputs, call.output):
        _check_operand(call.name, operand, dram_bytes)


def _check_operand(name: str, operand: Operand, dram_bytes: int) -> None:
    if operand.stored not in (*STORED, "float32") or len(operand.shape) != len(operand.strides):
        raise ProgramError(f"stream '{name}': an operand of {operand.stored} with strides {operand.strides} is illegal")
    if min(operand.shape, default=1) < 1 or min(operand.strides, default=0) < 0 or not math.isfinite(operand.scale):
        raise ProgramError(f"stream '{name}': shape {operand.shape} or strides {operand.strides} is illegal")
    reach = sum((n - 1) * s for n, s in zip(operand.shape, operand.strides, strict=True))
    _check_range("stream", name, operand.address, reach + np.dtype(operand.stored).itemsize, dram_bytes)


def _check_memory(program: Program) -> None:
    ports = [*program.inputs, *program.outputs, *(p for call in program.hosts for p in (*call.inputs, *call.outputs))]
    for port in ports:
        _check_port(port)
        _check_range("port", port.name, port.address, port.bytes, program.dram_bytes)
    for region in program.regions:
        held = region.port is not None and region.port.space == "act"
        if region.port is not None:
            _check_port(region.port)
        _check_range("region", region.name, region.address, region.bytes, MOST_ACT if held else program.dram_bytes)
        if not 0 <= region.complete <= len(program.words):
            count = len(program.words)
            raise ProgramError(f"region '{region.name}': complete={region.complete} of {count} instructions")


def _check_port(port: Port) -> None:
    if port.dtype not in (*STORED, *OUTSIDE) or port.stored not in (*STORED, "float32"):
        raise ProgramError(f"port '{port.name}': dtype {port.dtype} stored as {port.stored} is unknown")
    if not math.isfinite(port.scale):
        raise ProgramError(f"port '{port.name}': scale={port.scale} is not finite")
    if port.space not in ("dram", "act"):
        raise ProgramError(f"port '{port.name}': space '{port.space}' is neither dram nor act")
    if min(port.extents) < 0 or min(port.pitch, port.row, port.image) < 0 or min(port.shape, default=0) < 0:
        raise ProgramError(f"port '{port.name}': a shape, extent or pitch is negative")


def _check_range(kind: str, name: str, address: int, length: int, dram_bytes: int) -> None:
    if address < 0 or length < 0 or address + length > dram_bytes:
        raise ProgramError(f"{kind} '{name}': {length} bytes at {address:#x} lie outside dram_bytes={dram_bytes}")


def assemble_program_parts(header: Header, models: list[bytes], parts: Mapping[str, Any]) -> Program:
    """Return the checked program of a header, its host models, and words, constants and layer_of in `parts`."""
    known = {f.name: getattr(header, f.name) for f in fields(header) if f.name != "hosts"}
    calls = tuple(record.with_model(model) for record, model in zip(header.hosts, models, strict=True))
    return check_program(Program(**known, hosts=calls, **parts))
