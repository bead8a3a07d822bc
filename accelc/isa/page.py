"""The instruction set as one Markdown page, generated from TABLE and the clauses' source."""

from __future__ import annotations

import ast
import inspect
import re
import sys
import textwrap
from collections.abc import Iterator
from itertools import groupby

from accelc.isa import text
from accelc.isa.core import CORE_BITS, LANES, TABLE, WORD_BYTES, Field, Instruction, Queue, Space, Word, by_name, make
from accelc.isa.encoding import CORE_PLACE, OPCODE_BITS, WAIT_PLACE, encode, wait_bits
from accelc.isa.events import NAMES
from accelc.isa.text import disassemble_words

_QUEUES = {
    Queue.LOAD: "moves bytes from DRAM to the buffers",
    Queue.STORE: "moves bytes from the buffers to DRAM",
    Queue.MAC: "runs the MAC array",
    Queue.VECTOR: "runs the vector unit",
    Queue.HOST: "hands operators to the host processor and ends the program",
    Queue.SYNC: "lets cores wait for each other",
}
_SPACES = {
    Space.DRAM: ("bytes", "the external memory; the constants start at address 0"),
    Space.ACT: ("bytes", "activations"),
    Space.WGT: ("bytes", "weights, biases, scales and tables"),
    Space.ACC: ("32-bit words", "partial sums"),
}
_CLAUSES = (
    ("rule", "Legality", "the message is empty where the operands are legal"),
    ("cycles", "Cycles", "compute, fill and drain, weight load; `c` is the chip's Timing"),
    ("events", "Energy events", "added to the counts `e`"),
)
_WAITS = """\
Every queue issues its instructions in the order of the program; the queues run concurrently. An instruction names, for
each queue, how many of *that queue's* instructions, counted from the start of the program, must be complete before it
starts; 0 asks for nothing. These counts are the only order between queues: double buffering is a load that waits for
the tile before last to be consumed. In text, `[wait load=3 mac=7]` waits for the first 3 loads and the first 7
instructions of the MAC queue.

A chip of several cores has the first four queues, the on-chip memories and the units once for each; the DRAM, `host`
and `sync` are there once. A word names its core (`conv@1` in text is one of core 1), and `load=3` are the first 3 loads
of *that core*. Between cores there is one order: a `sync` is complete once all that stands before it in the program is,
on every core, and `[wait sync=2]` waits for the program's first two of them. What does not wait for it, such as a load
of weights for the layer to come, may run ahead."""


def markdown() -> str:
    """Return the page."""
    return "\n".join(_lines()) + "\n"


def _lines() -> Iterator[str]:
    yield "# The instruction set"
    yield ""
    yield f"Generated from the definitions in `accelc/isa`; {len(TABLE)} instructions."
    yield ""
    yield from _word_lines()
    yield from _text_lines()
    yield from _wait_lines()
    yield from _space_lines()
    yield from _event_lines()
    yield from _summary_lines()
    by_opcode = [TABLE[opcode] for opcode in sorted(TABLE)]
    for module, group in groupby(by_opcode, key=lambda made: made.action.__module__):
        title, *rest = _paragraphs(inspect.getdoc(sys.modules[module]) or module)
        yield f"## {title.rstrip('.')}"
        yield ""
        for paragraph in rest:
            yield from (paragraph, "")
        for made in group:
            yield from _instruction_lines(made)


def _paragraphs(doc: str) -> list[str]:
    """Return the paragraphs of a docstring, safe for Markdown: stars stand for products, not emphasis."""
    return [re.sub(r"(`[^`]*`)|([*<])", lambda m: m[1] or f"\\{m[2]}", part) for part in doc.split("\n\n")]


def _table(head: tuple[str, ...], rows: Iterator[tuple[object, ...]]) -> Iterator[str]:
    yield f"| {' | '.join(head)} |"
    yield "|" + "---|" * len(head)
    for row in rows:
        yield f"| {' | '.join(str(cell) for cell in row)} |"
    yield ""


def _word_lines() -> Iterator[str]:
    yield "## The word"
    yield ""
    yield f"An instruction is a word of {WORD_BYTES} bytes: {LANES} little-endian lanes of 64 bits. Lanes 0 and 1 hold the"
    yield "opcode, the core and the counts waited for, lanes 2 to 7 the operands. No field straddles a lane. A bit outside every"
    yield "field is zero; a word that sets one is illegal."
    yield ""
    header = [("opcode", 0, 0, OPCODE_BITS)]
    header += [("core", *CORE_PLACE, CORE_BITS)]
    header += [(f"wait {q.name.lower()}", lane, shift, wait_bits(q)) for q, (lane, shift) in WAIT_PLACE.items()]
    rows = (
        (f"`{name}`", lane, _bit_range(shift, bits), bits)
        for name, lane, shift, bits in sorted(header, key=lambda h: h[1:3])
    )
    yield from _table(("field", "lane", "bits", "width"), rows)
    yield "For example"
    yield ""
    yield from _example(make(by_name("load_weights"), {Queue.MAC: 2}, src=0x1000, dst=0x40, bytes=576))


def _text_lines() -> Iterator[str]:
    title, _, grammar, *rest = (inspect.getdoc(text) or "").split("\n\n")
    yield "## Text"
    yield ""
    yield title
    yield ""
    yield from ("```text", textwrap.dedent(grammar), "```", "")
    yield from rest
    yield ""


def _example(word: Word) -> Iterator[str]:
    words = encode([word])
    yield "```text"
    yield from disassemble_words(words)
    yield from (f"  lane {k}  {lane:016x}" for k, lane in enumerate(words[0].tolist()))
    yield "```"
    yield ""


def _bit_range(shift: int, bits: int) -> str:
    return str(shift) if bits == 1 else f"{shift + bits - 1}:{shift}"


def _wait_lines() -> Iterator[str]:
    yield "## Queues and waits"
    yield ""
    yield _WAITS
    yield ""
    yield from _table(("queue", "what it does"), ((f"`{q.name.lower()}`", _QUEUES[q]) for q in Queue))


def _space_lines() -> Iterator[str]:
    yield "## Memory spaces"
    yield ""
    yield from _table(("space", "an address counts", "holds"), ((f"`{s.name.lower()}`", *_SPACES[s]) for s in Space))


def _event_lines() -> Iterator[str]:
    yield "## Energy events"
    yield ""
    yield "A run's energy is the sum, over these events, of each one's count times its entry in the energy table:"
    yield ", ".join(f"`{name}`" for name in NAMES) + "."
    yield ""


def _summary_lines() -> Iterator[str]:
    yield "## Instructions by opcode"
    yield ""
    rows = (
        (f"`{opcode:#04x}`", f"[`{made.name}`](#{made.name})", f"`{made.queue.name.lower()}`",
         sum(f.operand.bits for f in made.fields))
        for opcode, made in sorted(TABLE.items())
    )
    yield from _table(("opcode", "instruction", "queue", "operand bits"), rows)


def _instruction_lines(made: Instruction) -> Iterator[str]:
    yield f"### {made.name}"
    yield ""
    yield f"Opcode `{made.opcode:#04x}`, queue `{made.queue.name.lower()}`."
    yield ""
    action, *rest = made.doc.split("\n\n")
    yield from ("```text", action, "```", "")
    for paragraph in rest:
        yield from (*_paragraphs(paragraph), "")
    if made.fields:
        head = ("operand", "lane", "bits", "width", "kind", "range")
        yield from _table(head, (_field_row(f) for f in made.fields))
    yield from _code("Meaning", "`m` holds one array per memory space", body(made.action))
    for kind, title, note in _CLAUSES:
        if kind in made.clauses:
            yield from _code(title, note, body(made.clauses[kind]))


def _field_row(f: Field) -> tuple[object, ...]:
    low, high = f.operand.bounds
    if f.operand.real:
        kind, bounds = "float32", "finite"
    elif f.operand.space is not None:
        kind, bounds = f"address in `{f.operand.space.name.lower()}`", f"0 to {high:#x}"
    else:
        kind, bounds = "signed" if f.operand.signed else "unsigned", f"{low} to {high}"
    return f"`{f.name}`", f.lane, _bit_range(f.shift, f.operand.bits), f.operand.bits, kind, bounds


def _code(title: str, note: str, source: str) -> Iterator[str]:
    if source:
        yield from (f"{title} ({note}):", "", "```python", source, "```", "")


def body(clause: object) -> str:
    """Return the source of a clause's body without its signature and docstring."""
    source = textwrap.dedent(inspect.getsource(clause))  # type: ignore[arg-type]
    function = ast.parse(source).body[0]
    assert isinstance(function, ast.FunctionDef)
    statements = function.body[1:] if ast.get_docstring(function) is not None else function.body
    if not statements:
        return ""
    lines = source.split("\n")[statements[0].lineno - 1 : function.end_lineno]
    return textwrap.dedent("\n".join(lines))


if __name__ == "__main__":
    sys.stdout.write(markdown())
