"""Assembler text: what is printed assembles to the same bytes, and a wrong line says what is wrong."""

from __future__ import annotations

import contextlib
import re
import struct

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from accelc.errors import IsaError
from accelc.isa import Queue, Word, by_name, encode, make, to_bytes
from accelc.isa.text import assemble, disassemble, float32_text, parse_line
from tests.conftest import Golden
from tests.strategies import words

CONV = {
    "act": 0x40, "act_row": 512, "act_col": 16, "rows": 14, "cols": 14, "taps_y": 3, "taps_x": 3, "depth": 16,
    "tap_row": 512, "tap_col": 16, "wgt": 0, "acc": 0x100, "acc_col": 32, "n": 32, "accumulate": 1, "dataflow": 0,
    "groups": 1, "act_group": 0,
}  # fmt: skip


MEAN = "mean src=0 src_col=1 pixels=1 n=1 dst=0 zero_src=0 zero_dst=0"


def conv_line(**changes: object) -> str:
    return "conv " + " ".join(f"{name}={value}" for name, value in {**CONV, **changes}.items())


@given(st.lists(words(), max_size=5))
def test_disassembled_words_assemble_to_the_same_bytes(program: list[Word]) -> None:
    code = encode(program)
    text = "\n".join(disassemble(code))
    assert to_bytes(assemble(text)) == to_bytes(code)
    assert to_bytes(assemble(text.split("\n"))) == to_bytes(code)


@given(st.lists(st.tuples(words(), st.integers(-1, 2)), max_size=5))
def test_layer_comments_change_nothing(program: list[tuple[Word, int]]) -> None:
    code = encode(word for word, _ in program)
    lines = disassemble(code, [layer for _, layer in program], ["first", "two\nlines", "half; a comment"])
    assert to_bytes(assemble("\n".join(lines))) == to_bytes(code)


@given(st.integers(0, (1 << 32) - 1))
@example(0x7F7FFFFF)
@example(0x00000001)
@example(0x80000000)
def test_float_text_gives_the_same_float32(bits: int) -> None:
    value = struct.unpack("<f", struct.pack("<I", bits))[0]
    if np.isfinite(value):
        word = parse_line(f"{MEAN} scale={float32_text(value)}", 1)
        assert word is not None
        assert struct.pack("<f", word.operands["scale"]) == struct.pack("<I", bits)


@given(st.text(max_size=60))
@example("conv rows=" + "9" * 5000)
@example("mean scale=1e999")
@example("mean scale=0x1.0p9999")
@example("halt [wait host=256]")
@example("halt [")
def test_no_text_raises_anything_but_isa_error(line: str) -> None:
    with contextlib.suppress(IsaError):
        assemble(line)


def test_blanks_commas_comments_and_number_forms_are_free() -> None:
    plain = assemble("load_weights src=0x10 dst=32 bytes=4 [wait load=1 mac=2]")
    loose = assemble("\n; a comment\n  load_weights bytes=0b100, src=16,dst=0x20 [ wait mac=2,load=1 ] ; moved\n\n")
    assert np.array_equal(plain, loose)


def test_text_of_a_tile(golden: Golden) -> None:
    """A layer's instructions as a reader sees them."""
    code = encode(
        [
            make(by_name("load_weights"), src=0x1000, dst=0, bytes=4608),
            make(by_name("conv"), {Queue.LOAD: 1}, **CONV),
            make(
                by_name("mean"), {Queue.MAC: 1, Queue.STORE: 300}, src=0, src_col=32, pixels=49, n=32, dst=0x2000,
                scale=float(np.float32(0.0037)), zero_src=128, zero_dst=3,
            ),
            make(by_name("sync")),
            make(by_name("load_weights"), {Queue.SYNC: 1}, 15, src=0x40, dst=0, bytes=64),
            make(by_name("halt"), {Queue.VECTOR: 1}),
        ]
    )
    golden("\n".join(disassemble(code, [0, 0, 1, 1, 1, -1], ["conv1", "pool"])))


WRONG = [
    conv_line(rows=70000),
    conv_line(rows=-1),
    conv_line(depth=6),
    conv_line(n=8),
    conv_line(rows=0),
    conv_line(dataflow=7),
    conv_line(accumulate="yes"),
    conv_line(height=3),
    conv_line(act="0x10000000"),
    "conv act=0",
    "conv act=0 act=1",
    "conv act",
    "conv act=0 ]",
    "halt [wait dram=1]",
    "halt [wait load=x]",
    "halt [wait load=16777216]",
    "halt [wait host=256]",
    "halt [wait sync=4096]",
    "halt@1",
    "sync@1",
    conv_line().replace("conv", "conv@16"),
    conv_line().replace("conv", "conv@two"),
    conv_line().replace("conv", "conv@"),
    "halt [wait load=1 load=2]",
    "halt [load=1]",
    "halt [wait load=1",
    "halt [wait load=1] now",
    "[wait load=1]",
    "max_pool " + " ".join(f"{f.name}={2048 if f.name == 'top' else 1}" for f in by_name("max_pool").fields),
    "mean scale=fast",
    "mean scale=1e39",
    f"{MEAN} scale=inf",
    "requantize acc=0 acc_col=0 dst=0 dst_col=0 pixels=1 n=1 params=2 zero_point=0 low=0 high=255",
    "load_weights src=0x10000000000 dst=0 bytes=1",
]


def test_messages_of_lines_that_do_not_assemble(golden: Golden) -> None:
    """Every message names the line, the instruction, the token and the rule."""
    shown = []
    for line in WRONG:
        with pytest.raises(IsaError) as caught:
            assemble(f"halt\n{line}\nhalt")
        assert str(caught.value).startswith("line 2: ")
        shown.append(f"{line}\n    {caught.value}")
    golden("\n".join(shown))


def test_an_unknown_instruction_is_answered_with_the_known_ones() -> None:
    with pytest.raises(IsaError, match=r"^line 1: unknown instruction 'gemm'; known: add, .*\bconv, .*store"):
        assemble("gemm rows=1")


@pytest.mark.parametrize(
    ("operands", "message"),
    [
        ({**CONV, "rows": 70000}, "conv: rows=70000 does not fit in 16 bits"),
        ({k: v for k, v in CONV.items() if k != "n"}, "conv: operand n is missing"),
        ({**CONV, "rows": 1.5}, "conv: rows=1.5 does not fit in 16 bits"),
    ],
)
def test_made_words_meet_the_same_rules(operands: dict[str, int], message: str) -> None:
    with pytest.raises(IsaError, match=f"^{re.escape(message)}$"):
        make(by_name("conv"), **operands)
