"""Assembler text of words, one instruction a line.

::

    line     = [ mnemonic [ "@" core ] { operand "=" value } [ "[" "wait" { queue "=" count } "]" ] ] [ ";" comment ]
    value    = integer (decimal, 0x..., 0b...) or, for a float32 operand, a decimal or hexadecimal float
    queue    = "load" | "store" | "mac" | "vector" | "host" | "sync"
    core     = integer, 0 where none is given

Commas count as blanks. The disassembler writes addresses in hexadecimal and float32 operands with the fewest digits
that give the same float32 again.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Iterator

import numpy as np

from accelc.errors import IsaError
from accelc.isa.core import TABLE, Field, Instruction, Queue, Word, by_name, make
from accelc.isa.encoding import Words, check, decode_cores, decode_rows, decode_waits, encode, wait_bits

QUEUE_BY_NAME = {queue.name.lower(): queue for queue in Queue}


def float32_text(value: float) -> str:
    """Return the shortest decimal text that parses to the same float32 (hexadecimal where none does)."""
    text = str(np.float32(value))
    return text if _float32(float(text)) == value or value != value else float(value).hex()


def _float32(value: float) -> float:
    rounded: float = struct.unpack("<f", struct.pack("<f", value))[0]
    return rounded


def disassemble_words(words: Words) -> Iterator[str]:
    """Yield one line of text per word; raise IsaError for an unknown opcode or a stray bit."""
    check(words)
    writers = {opcode: _writer(made) for opcode, made in TABLE.items()}
    opcodes = (words[:, 0] & np.uint64(0xFF)).tolist()
    rows, waits, cores = decode_rows(words).tolist(), decode_waits(words).tolist(), decode_cores(words).tolist()
    for opcode, row, wait, core in zip(opcodes, rows, waits, cores, strict=True):
        yield writers[opcode](row, core) + (_wait_text(wait) if any(wait) else "")


def _writer(made: Instruction) -> Callable[[list[int], int], str]:
    """Return the function from a decoded row and a core to the instruction's text without its waits."""
    places = [f" {f.name}=" + ("%s" if f.operand.real else "%d" if f.operand.space is None else "%#x") for f in made.fields]
    template = "".join(places)
    count = len(made.fields)
    reals = [j for j, f in enumerate(made.fields) if f.operand.real]

    def write(row: list[int], core: int) -> str:
        values: list[int | str] = list(row[:count])
        for j in reals:
            values[j] = float32_text(struct.unpack("<f", struct.pack("<I", row[j]))[0])
        return made.name + (f"@{core}" if core else "") + template % tuple(values)

    return write


def _wait_text(counts: list[int]) -> str:
    return " [wait " + " ".join(f"{q.name.lower()}={counts[q]}" for q in Queue if counts[q]) + "]"


def disassemble(words: Words, layer_of: Iterable[int] | None = None, names: Iterable[str] = ()) -> Iterator[str]:
    """Yield one line per word, with a `; layer` comment before the first word of each run of one layer."""
    if layer_of is None:
        yield from disassemble_words(words)
        return
    titles = list(names)
    last: int | None = None
    for layer, line in zip(layer_of, disassemble_words(words), strict=True):
        if layer != last:
            title = titles[layer] if 0 <= layer < len(titles) else "(no layer)"
            yield f"; layer {layer}: {' '.join(title.split())}"
            last = layer
        yield line


def assemble(text: str | Iterable[str]) -> Words:
    """Return the words that text (or its lines) describes; raise IsaError with the line, the token and the rule."""
    lines = text.split("\n") if isinstance(text, str) else text
    parsed = (parse_line(line, number) for number, line in enumerate(lines, start=1))
    return encode(word for word in parsed if word is not None)


def parse_line(line: str, number: int) -> Word | None:
    """Return the word on a line, or None if the line is blank; `number` names the line in messages."""
    body = line.partition(";")[0]
    if not body.strip():
        return None
    try:
        return _parse(body)
    except IsaError as error:
        raise IsaError(f"line {number}: {error}") from None


def _parse(body: str) -> Word:
    head, bracket, rest = body.partition("[")
    mnemonic, *tokens = head.replace(",", " ").split() or [""]
    if not mnemonic:
        raise IsaError(f"'{body.strip()}' names no instruction")
    name, at, number = mnemonic.partition("@")
    made = by_name(name)
    wait = _parse_wait(made, rest) if bracket else {}
    fields = {f.name: f for f in made.fields}
    operands: dict[str, int | float] = {}
    for name, value in _pairs(made, tokens):
        if name in operands:
            raise IsaError(f"{made.name}: operand {name} is given twice")
        operands[name] = _number(made, fields[name], value) if name in fields else 0
    return make(made, wait, _core(made, number) if at else 0, **operands)


def _core(made: Instruction, text: str) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) < 20):
        raise IsaError(f"{made.name}: core '{text}' is not a number")
    return int(text)


def _pairs(made: Instruction, tokens: list[str]) -> Iterator[tuple[str, str]]:
    for token in tokens:
        name, equals, value = token.partition("=")
        if not (name and equals and value):
            raise IsaError(f"{made.name}: '{token}' is not name=value")
        yield name, value


def _number(made: Instruction, f: Field, text: str) -> int | float:
    try:
        if not f.operand.real:
            return int(text, 0)
        hexadecimal = text.lstrip("+-")[:2].lower() == "0x"
        return _float32(float.fromhex(text) if hexadecimal else float(text))
    except ValueError:
        raise IsaError(f"{made.name}: {f.name}={text} is not {'a number' if f.operand.real else 'an integer'}") from None
    except OverflowError:
        raise IsaError(f"{made.name}: {f.name}={text} is beyond the range of float32") from None


def _parse_wait(made: Instruction, text: str) -> dict[Queue, int]:
    inside, closing, after = text.partition("]")
    keyword, *tokens = inside.replace(",", " ").split() or [""]
    if not closing or after.strip() or keyword != "wait":
        raise IsaError(f"{made.name}: '[{text.strip()}' is not [wait queue=count ...] at the end of the line")
    wait: dict[Queue, int] = {}
    for name, value in _pairs(made, tokens):
        if name not in QUEUE_BY_NAME:
            raise IsaError(f"{made.name}: wait names unknown queue '{name}'; queues: {', '.join(QUEUE_BY_NAME)}")
        if QUEUE_BY_NAME[name] in wait:
            raise IsaError(f"{made.name}: wait names {name} twice")
        if not (value.isascii() and value.isdecimal() and len(value) < 20):
            raise IsaError(f"{made.name}: wait {name}={value} is not a count")
        queue, count = QUEUE_BY_NAME[name], int(value)
        if count >= 1 << wait_bits(queue):
            raise IsaError(f"{made.name}: wait {name}={count} does not fit in {wait_bits(queue)} bits")
        wait[queue] = count
    return wait
