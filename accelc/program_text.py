"""A whole program as assembler text, from which the same file bytes can be built again.

::

    .program {"name": ..., "dram_bytes": ...}      first directive
    .chip {"name": ..., "fingerprint": ...}        the chip it was compiled for
    .port input|output {...}                       a tensor of entry or exit; the keys of Port
    .region {...}                                  a range of DRAM; the keys of Region
    .layer_info {...}                              describes layer 0, 1, ...; the keys of LayerInfo
    .host {...}                                    describes host call 0, 1, ...; the keys of HostRecord
    .model BASE64                                  adds bytes to the model of the last .host
    .stream {...}                                  describes stream 0, 1, ...; the keys of StreamCall
    .note {"key": value}                           adds to the notes
    .layer N                                       the instructions that follow belong to layer N (-1: none)
    .data BASE64                                   adds bytes to the constants, which start at DRAM address 0
    .zero COUNT                                    adds zeros to the constants
    .omitted COUNT                                 stands for bytes left out for reading; such text does not assemble

Instructions are as in `accelc.isa.text`; `;` starts a comment on every line.
"""

from __future__ import annotations

import binascii
import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from accelc.errors import IsaError, ProgramError
from accelc.isa.core import Word
from accelc.isa.encoding import encode
from accelc.isa.text import disassemble_words, parse_line
from accelc.program import LayerInfo, Port, Program, Region, StreamCall
from accelc.program_records import Header, HostRecord, assemble_program_parts, from_json, to_json

Record = TypeVar("Record")

DATA_LINE_BYTES = 768


def disassemble_program(program: Program, constants: bool = True) -> Iterator[str]:
    """Yield the lines of a program's text, which `assemble_program` turns into the same program.

    Without `constants` the constants and host models are left out: for reading, not for assembling.
    """
    yield "; accelc program text"
    yield ".program " + to_json({"name": program.name, "dram_bytes": program.dram_bytes})
    yield ".chip " + to_json({"name": program.chip, "fingerprint": program.fingerprint})
    yield from (f".port input {to_json(port)}" for port in program.inputs)
    yield from (f".port output {to_json(port)}" for port in program.outputs)
    yield from (f".region {to_json(region)}" for region in program.regions)
    yield from (f".layer_info {to_json(layer)}" for layer in program.layers)
    for call in program.hosts:
        yield f".host {to_json(HostRecord.of(call))}"
        yield from _model_lines(call.model) if constants else _omitted(len(call.model))
    yield from (f".stream {to_json(call)}" for call in program.streams)
    yield from (f".note {to_json({key: value})}" for key, value in program.notes.items())
    yield from _code_lines(program)
    yield from _data_lines(program.constants) if constants else _omitted(len(program.constants))


def _omitted(count: int) -> Iterator[str]:
    if count:
        yield f".omitted {count}"


def _model_lines(model: bytes) -> Iterator[str]:
    for at in range(0, len(model), DATA_LINE_BYTES):
        yield f".model {_base64(model[at : at + DATA_LINE_BYTES])}"


def _code_lines(program: Program) -> Iterator[str]:
    last: int | None = None
    layers = program.layer_of.tolist()
    for number, (layer, line) in enumerate(zip(layers, disassemble_words(program.words), strict=True)):
        if layer != last:
            yield f".layer {layer} ; {_layer_title(program, layer)}, from word {number}"
            last = layer
        yield line


def _layer_title(program: Program, layer: int) -> str:
    if layer < 0:
        return "no layer"
    return f"{json.dumps(program.layers[layer].name)} ({program.layers[layer].op})"


def _data_lines(constants: npt.NDArray[np.uint8]) -> Iterator[str]:
    """Yield .data lines; whole lines of zeros are gathered in .zero."""
    data = memoryview(constants.tobytes())
    blank = bytes(DATA_LINE_BYTES)
    zeros = 0
    for at in range(0, len(data), DATA_LINE_BYTES):
        line = data[at : at + DATA_LINE_BYTES]
        if line == blank:
            zeros += DATA_LINE_BYTES
            continue
        if zeros:
            yield f".zero {zeros} ; {at - zeros:#x}"
            zeros = 0
        yield f".data {_base64(line)} ; {at:#x}"
    if zeros:
        yield f".zero {zeros} ; {len(data) - len(data) % DATA_LINE_BYTES - zeros:#x}"


def _base64(data: bytes | memoryview) -> str:
    return binascii.b2a_base64(data, newline=False).decode("ascii")


def assemble_program(text: str | Iterable[str]) -> Program:
    """Return the program that text (or its lines) describes; raise IsaError with the line, the token and the rule."""
    reader = _Reader()
    for number, line in enumerate(text.split("\n") if isinstance(text, str) else text, start=1):
        stripped = line.strip()
        if not stripped.startswith("."):
            word = parse_line(stripped, number)
            if word is not None:
                reader.words.append(word)
                reader.layer_of.append(reader.layer)
            continue
        try:
            reader.directive(stripped)
        except (IsaError, ProgramError) as error:
            raise IsaError(f"line {number}: {error}") from None
    return reader.program()


class _Reader:
    """Gathers a program's parts from its lines."""

    def __init__(self) -> None:
        self.values: dict[str, str | int] = {}
        self.ports: dict[str, list[Port]] = {"input": [], "output": []}
        self.regions: list[Region] = []
        self.layers: list[LayerInfo] = []
        self.hosts: list[HostRecord] = []
        self.models: list[list[bytes]] = []
        self.streams: list[StreamCall] = []
        self.notes: dict[str, Any] = {}
        self.words: list[Word] = []
        self.layer_of: list[int] = []
        self.layer = -1
        self.data: list[bytes] = []

    def directive(self, line: str) -> None:
        name, _, rest = line.partition(" ")
        actions: dict[str, Callable[[str], None]] = {
            ".program": lambda rest: self._values(rest, {"name": str, "dram_bytes": int}, ""),
            ".chip": lambda rest: self._values(rest, {"name": str, "fingerprint": str}, "chip "),
            ".port": self._port,
            ".region": lambda rest: self.regions.append(_record(Region, rest)),
            ".layer_info": lambda rest: self.layers.append(_record(LayerInfo, rest)),
            ".host": self._host,
            ".model": self._model,
            ".stream": lambda rest: self.streams.append(_record(StreamCall, rest)),
            ".note": lambda rest: self.notes.update(_mapping(rest)),
            ".layer": self._layer,
            ".data": lambda rest: self.data.append(_bytes(rest)),
            ".zero": self._zero,
            ".omitted": _refuse_omitted,
        }
        if name not in actions:
            raise IsaError(f"unknown directive '{name}'; known: {', '.join(actions)}")
        actions[name](rest.strip())

    def _values(self, rest: str, kinds: dict[str, type], prefix: str) -> None:
        found = _mapping(rest)
        for key, kind in kinds.items():
            if type(found.get(key)) is not kind:
                raise IsaError(f"key '{key}' must be {'a text' if kind is str else 'an integer'}")
            if prefix + key in self.values:
                raise IsaError(f"{prefix}{key} is given twice")
            self.values[prefix + key] = found[key]
        if unknown := sorted(set(found) - set(kinds)):
            raise IsaError(f"unknown key '{unknown[0]}'; known: {', '.join(kinds)}")

    def _port(self, rest: str) -> None:
        side, _, record = rest.partition(" ")
        if side not in self.ports:
            raise IsaError(f".port is 'input' or 'output', not '{side}'")
        self.ports[side].append(_record(Port, record))

    def _host(self, rest: str) -> None:
        self.hosts.append(_record(HostRecord, rest))
        self.models.append([])

    def _model(self, rest: str) -> None:
        if not self.models:
            raise IsaError(".model comes before any .host")
        self.models[-1].append(_bytes(rest))

    def _zero(self, rest: str) -> None:
        self.data.append(bytes(_count(rest, int(self.values.get("dram_bytes", 0)) + 1)))

    def _layer(self, rest: str) -> None:
        text = rest.partition(";")[0].strip()
        self.layer = -1 if text == "-1" else _count(text, 1 << 31)

    def program(self) -> Program:
        """Return the whole; raise IsaError if a part is missing."""
        for key in ("name", "chip name"):
            if key not in self.values:
                raise IsaError(f"the text has no {'.program' if key == 'name' else '.chip'} directive")
        models = [b"".join(parts) for parts in self.models]
        header = Header(
            str(self.values["name"]), str(self.values["chip name"]), str(self.values["chip fingerprint"]),
            int(self.values["dram_bytes"]), tuple(self.ports["input"]), tuple(self.ports["output"]),
            tuple(self.layers), tuple(self.regions),
            tuple(replace(h, model_bytes=len(m)) for h, m in zip(self.hosts, models, strict=True)),
            tuple(self.streams), self.notes,
        )
        parts = {
            "words": encode(self.words),
            "constants": np.frombuffer(b"".join(self.data), np.uint8),
            "layer_of": np.array(self.layer_of, np.int32),
        }
        try:
            return assemble_program_parts(header, models, parts)
        except ProgramError as error:
            raise IsaError(str(error)) from None


def _refuse_omitted(rest: str) -> None:
    raise IsaError(f"{rest} bytes of constants were left out of this text; disassemble the program with its constants")


def _json_end(text: str) -> int:
    """Return where the JSON value at the start of `text` ends; only a comment may follow it."""
    try:
        _, end = json.JSONDecoder().raw_decode(text)
    except (ValueError, RecursionError):
        raise IsaError(f"'{text[:40]}' is not JSON") from None
    rest = text[end:].strip()
    if rest and not rest.startswith(";"):
        raise IsaError(f"'{rest[:40]}' follows the JSON value")
    return int(end)


def _record(kind: type[Record], text: str) -> Record:
    text = text.strip()
    return from_json(kind, text[: _json_end(text)])


def _mapping(text: str) -> dict[str, Any]:
    value = json.loads(text[: _json_end(text)])
    if not isinstance(value, dict):
        raise IsaError(f"'{text[:40]}' is not a JSON object")
    return value


def _bytes(text: str) -> bytes:
    try:
        return binascii.a2b_base64(text.partition(";")[0].strip(), strict_mode=True)
    except (binascii.Error, ValueError):
        raise IsaError(f"'{text[:40]}' is not base64") from None


def _count(text: str, limit: int) -> int:
    text = text.partition(";")[0].strip()
    if not (text.isascii() and text.isdecimal() and len(text) < 20 and int(text) < limit):
        raise IsaError(f"'{text}' is not a count below {limit}")
    return int(text)
