"""Between values, 64-byte words and decoded rows; a word decodes to a row of integers and a row of float32 views."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import numpy.typing as npt

from accelc.errors import IsaError
from accelc.isa.core import (
    CORE_BITS,
    HEADER_LANES,
    LANE_BITS,
    LANES,
    TABLE,
    TOKEN_BITS,
    WORD_BYTES,
    Field,
    Queue,
    Word,
)

Words = npt.NDArray[np.uint64]

OPCODE_BITS = 8
# (lane, shift) of each queue's token count.
WAIT_PLACE = {
    Queue.LOAD: (0, 8),
    Queue.STORE: (0, 32),
    Queue.MAC: (1, 0),
    Queue.VECTOR: (1, 24),
    Queue.HOST: (0, 56),
    Queue.SYNC: (1, 52),
}
NARROW_WAIT_BITS = {Queue.HOST: 8, Queue.SYNC: 12}
CORE_PLACE = (1, 48)
ROW_WIDTH = max(len(made.fields) for made in TABLE.values()) if TABLE else 0


def wait_bits(queue: Queue) -> int:
    """Return the width of a queue's token count (that of a queue all cores share is narrow: few of those exist)."""
    return NARROW_WAIT_BITS.get(queue, TOKEN_BITS)


def encode(words: Iterable[Word]) -> Words:
    """Return the words as an array [count, 8] of 64-bit lanes."""
    words = list(words)
    lanes = np.zeros((len(words), LANES), np.uint64)
    lanes[:, 0] = [word.opcode for word in words]
    _place(lanes, *CORE_PLACE, [word.core for word in words])
    for queue, (lane, shift) in WAIT_PLACE.items():
        counts = [word.wait.get(queue, 0) for word in words]
        if max(counts, default=0) >= 1 << wait_bits(queue):
            raise IsaError(f"wait {queue.name.lower()}={max(counts)} does not fit in {wait_bits(queue)} bits")
        _place(lanes, lane, shift, counts)
    opcodes = lanes[:, 0] & np.uint64((1 << OPCODE_BITS) - 1)
    for opcode in np.unique(opcodes).tolist():
        at = np.flatnonzero(opcodes == opcode)
        lanes[at] |= _operands(TABLE[opcode].fields, [words[k].operands for k in at.tolist()])
    return lanes


def _place(lanes: Words, lane: int, shift: int, values: Sequence[int]) -> None:
    lanes[:, lane] |= np.array(values, np.uint64) << np.uint64(shift)


def _operands(fields: Sequence[Field], given: Sequence[Mapping[str, int | float]]) -> Words:
    """Return the operands of words of one kind, in their places."""
    lanes = np.zeros((len(given), LANES), np.uint64)
    for f in fields:
        values = [operands[f.name] for operands in given]
        held = np.array(values, np.float32).view(np.uint32) if f.operand.real else np.array(values, np.int64)
        raw = held.astype(np.uint64) & np.uint64((1 << f.operand.bits) - 1)
        lanes[:, f.lane] |= raw << np.uint64(f.shift)
    return lanes


def extract(lanes: Words, lane: int, shift: int, bits: int, signed: bool = False) -> npt.NDArray[np.int64]:
    """Return one field of many words as int64."""
    raw = (lanes[:, lane] >> np.uint64(shift)) & np.uint64((1 << bits) - 1)
    values = raw.astype(np.int64)
    return np.where(values >> (bits - 1), values - (1 << bits), values) if signed else values


def decode(words: Words) -> list[Word]:
    """Return the words as values; raise IsaError for an unknown opcode or a stray bit."""
    check(words)
    rows = decode_rows(words)
    waits, cores = decode_waits(words), decode_cores(words)
    return [_decode_one(words, rows, waits, k, int(cores[k])) for k in range(len(words))]


def _decode_one(words: Words, rows: npt.NDArray[np.int64], waits: npt.NDArray[np.int64], k: int, core: int) -> Word:
    made = TABLE[int(words[k, 0]) & 0xFF]
    operands: dict[str, int | float] = {}
    for j, f in enumerate(made.fields):
        value = int(rows[k, j])
        operands[f.name] = float(np.uint32(value).view(np.float32)) if f.operand.real else value
    return Word(made.opcode, operands, {q: int(waits[k, q]) for q in Queue if waits[k, q]}, core)


def decode_rows(words: Words) -> npt.NDArray[np.int64]:
    """Return [count, ROW_WIDTH] integers, operand j of each word in column j (float32 operands as their bits)."""
    width = max(len(made.fields) for made in TABLE.values())
    rows = np.zeros((len(words), width), np.int64)
    opcodes = words[:, 0] & np.uint64(0xFF)
    for opcode, made in TABLE.items():
        at = np.flatnonzero(opcodes == opcode)
        for j, f in enumerate(made.fields):
            rows[at, j] = extract(words[at], f.lane, f.shift, f.operand.bits, f.operand.signed)
    return rows


def decode_waits(words: Words) -> npt.NDArray[np.int64]:
    """Return [count, queues]: how many instructions of each queue must be complete before this one starts."""
    waits = np.zeros((len(words), len(Queue)), np.int64)
    for queue, (lane, shift) in WAIT_PLACE.items():
        waits[:, queue] = extract(words, lane, shift, wait_bits(queue))
    return waits


def decode_queues(words: Words) -> npt.NDArray[np.int64]:
    """Return the queue of each word."""
    queue_of = np.zeros(256, np.int64)
    for opcode, made in TABLE.items():
        queue_of[opcode] = made.queue
    return queue_of[decode_opcodes(words)]


def decode_opcodes(words: Words) -> npt.NDArray[np.int64]:
    """Return the opcode of each word."""
    return (words[:, 0] & np.uint64(0xFF)).astype(np.int64)


def decode_cores(words: Words) -> npt.NDArray[np.int64]:
    """Return the core of each word; 0 for those of all cores."""
    return extract(words, *CORE_PLACE, CORE_BITS)


def check(words: Words) -> None:
    """Raise IsaError unless every opcode is known and every bit outside a field is zero."""
    opcodes = (words[:, 0] & np.uint64(0xFF)).astype(np.int64)
    for opcode in np.unique(opcodes):
        at = np.flatnonzero(opcodes == opcode)
        if int(opcode) not in TABLE:
            raise IsaError(f"word {at[0]}: unknown opcode {opcode:#04x}")
        stray = words[at] & ~_mask(int(opcode))
        if bad := np.flatnonzero(stray.any(axis=1)).tolist():
            raise IsaError(f"word {at[bad[0]]} ({TABLE[int(opcode)].name}): a bit outside every field is set")


def _mask(opcode: int) -> Words:
    lanes = [0] * LANES
    lanes[0] = (1 << OPCODE_BITS) - 1
    for queue, (lane, shift) in WAIT_PLACE.items():
        lanes[lane] |= ((1 << wait_bits(queue)) - 1) << shift
    if TABLE[opcode].queue.of_core:
        lanes[CORE_PLACE[0]] |= ((1 << CORE_BITS) - 1) << CORE_PLACE[1]
    for f in TABLE[opcode].fields:
        lanes[f.lane] |= ((1 << f.operand.bits) - 1) << f.shift
    return np.array(lanes, np.uint64)


def to_bytes(words: Words) -> bytes:
    """Return the words as little-endian bytes."""
    return words.astype("<u8").tobytes()


def from_bytes(data: bytes) -> Words:
    """Return the words in `data`; raise IsaError if a word is incomplete or illegal."""
    if len(data) % WORD_BYTES:
        raise IsaError(f"{len(data)} bytes of code are not a whole number of {WORD_BYTES}-byte words")
    words = np.frombuffer(data, "<u8").astype(np.uint64).reshape(-1, LANES)
    check(words)
    return words


def bits_of(fields: Sequence[Field]) -> int:
    """Return the operand bits a set of fields takes."""
    return sum(f.operand.bits for f in fields)


OPERAND_BITS = (LANES - HEADER_LANES) * LANE_BITS
