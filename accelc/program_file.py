"""The program file (.npu): a fixed head, a table of sections, and the sections, each under a checksum.

All integers are little-endian. The head is 32 bytes: magic, version, section count, file length, checksum of the
table, zero. A table entry is 40 bytes: name (16, zero-padded), offset, length, checksum, zero. Sections start at
multiples of 64 bytes in the order of SECTIONS, with zeros between. Checksums are CRC-32. The same program gives the
same bytes.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path

import numpy as np

from accelc.errors import IsaError, ProgramError
from accelc.files import write_pieces
from accelc.isa.encoding import from_bytes, to_bytes
from accelc.program import VERSION, Program
from accelc.program_records import Header, HostRecord, assemble_program_parts, check_program, from_json, to_json

MAGIC = b"ACCELNPU"
SECTIONS = ("header", "code", "constants", "layer_of", "host_models")
ALIGN = 64

_HEAD = struct.Struct("<8sIIQII")
_ENTRY = struct.Struct("<16sQQII")


@dataclass(frozen=True)
class _Section:
    name: str
    offset: int
    length: int
    crc: int


def save(program: Program, path: str | Path) -> None:
    """Write a program to a file, whole or not at all.

    Raises ProgramError if the program is illegal, InputError if the file cannot be written.
    """
    write_pieces(path, chunks(check_program(program)))


def chunks(program: Program) -> Iterator[bytes]:
    """Yield the bytes of a program's file in order."""
    contents = {
        "header": to_json(Header.of(program)).encode("ascii"),
        "code": to_bytes(program.words),
        "constants": np.ascontiguousarray(program.constants, np.uint8).tobytes(),
        "layer_of": program.layer_of.astype("<i4").tobytes(),
        "host_models": b"".join(call.model for call in program.hosts),
    }
    lengths = [len(contents[name]) for name in SECTIONS]
    offsets = _offsets(lengths)
    table = b"".join(
        _ENTRY.pack(name.encode(), offset, length, zlib.crc32(contents[name]), 0)
        for name, offset, length in zip(SECTIONS, offsets, lengths, strict=True)
    )
    head = _HEAD.pack(MAGIC, VERSION, len(SECTIONS), offsets[-1] + lengths[-1], zlib.crc32(table), 0)
    yield head + table
    at = len(head) + len(table)
    for name, offset in zip(SECTIONS, offsets, strict=True):
        yield bytes(offset - at)
        yield contents[name]
        at = offset + len(contents[name])


def _offsets(lengths: list[int]) -> list[int]:
    """Return where each section starts."""
    start = _align(_HEAD.size + _ENTRY.size * len(lengths))
    return [*accumulate(lengths[:-1], lambda at, length: _align(at + length), initial=start)]


def _align(at: int) -> int:
    return -(-at // ALIGN) * ALIGN


def load(path: str | Path) -> Program:
    """Return the program in a file; raise ProgramError naming the damage if it is not one that can be run."""
    try:
        data = Path(path).read_bytes()
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else error
        raise ProgramError(f"program '{path}' cannot be read: {reason}") from None
    try:
        return parse(data)
    except ProgramError as error:
        raise ProgramError(f"program '{path}': {error}") from None


def parse(data: bytes) -> Program:
    """Return the program in the bytes of a file; raise ProgramError as `load`."""
    sections = {s.name: _content(data, s) for s in _read_table(data)}
    header = from_json(Header, bytes(sections["header"]))
    try:
        words = from_bytes(bytes(sections["code"]))
    except IsaError as error:
        raise ProgramError(f"illegal code: {error}") from None
    if len(sections["layer_of"]) % 4:
        raise ProgramError(f"section 'layer_of' has {len(sections['layer_of'])} bytes, not a multiple of 4")
    parts = {
        "words": words,
        "constants": np.frombuffer(sections["constants"], np.uint8),
        "layer_of": np.frombuffer(sections["layer_of"], "<i4").astype(np.int32),
    }
    return assemble_program_parts(header, _models(header.hosts, bytes(sections["host_models"])), parts)


def _read_table(data: bytes) -> list[_Section]:
    """Return the section table after checking head, version, length and the table's checksum."""
    if data[: len(MAGIC)] != MAGIC:
        reason = "it does not start with ACCELNPU" if data else "it is empty"
        raise ProgramError(f"it is not an accelc program: {reason}")
    if len(data) < _HEAD.size:
        raise ProgramError(f"it is truncated: {len(data)} bytes are less than its head of {_HEAD.size}")
    _, version, count, length, crc, zero = _HEAD.unpack_from(data)
    if version > VERSION:
        raise ProgramError(f"it has format version {version}; this accelc reads up to {VERSION}: use a newer accelc")
    if 1 <= version < VERSION:
        raise ProgramError(f"it has format version {version}; this accelc reads version {VERSION}: compile it again")
    if len(data) != length:
        state = "truncated" if len(data) < length else "damaged or joined with another file"
        raise ProgramError(f"it is {state}: {len(data)} of {length} bytes")
    table = data[_HEAD.size : _HEAD.size + _ENTRY.size * len(SECTIONS)]
    if version != VERSION or zero or count != len(SECTIONS) or zlib.crc32(table) != crc:
        raise ProgramError("it is damaged: its head or section table does not match its checksum")
    sections = [
        _Section(name.rstrip(b"\0").decode("ascii", "replace"), offset, size, section_crc)
        for name, offset, size, section_crc, _ in _ENTRY.iter_unpack(table)
    ]
    if tuple(s.name for s in sections) != SECTIONS:
        raise ProgramError(f"its sections are {', '.join(s.name for s in sections)}, not {', '.join(SECTIONS)}")
    lengths = [s.length for s in sections]
    if [s.offset for s in sections] != _offsets(lengths) or sections[-1].offset + lengths[-1] != length:
        raise ProgramError("it is damaged: its sections do not lie one after another")
    if any(data[first:end].strip(b"\0") for first, end in _gaps(sections)):
        raise ProgramError("it is damaged: the bytes between its sections are not zero")
    return sections


def _gaps(sections: list[_Section]) -> list[tuple[int, int]]:
    """Return the ranges between the table and the first section, and between sections."""
    ends = [_HEAD.size + _ENTRY.size * len(sections), *(s.offset + s.length for s in sections)]
    return list(zip(ends, (s.offset for s in sections), strict=False))


def _content(data: bytes, section: _Section) -> memoryview:
    content = memoryview(data)[section.offset : section.offset + section.length]
    if zlib.crc32(content) != section.crc:
        raise ProgramError(f"section '{section.name}' is damaged: its checksum does not match")
    return content


def _models(hosts: tuple[HostRecord, ...], data: bytes) -> list[bytes]:
    if min((h.model_bytes for h in hosts), default=0) < 0 or sum(h.model_bytes for h in hosts) != len(data):
        raise ProgramError(f"the host calls' model_bytes do not sum to the {len(data)} bytes of section 'host_models'")
    ends = list(accumulate(h.model_bytes for h in hosts))
    return [data[end - h.model_bytes : end] for h, end in zip(hosts, ends, strict=True)]
