"""The word: every bit belongs to one field, and values survive encode, decode and bytes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from accelc.errors import IsaError
from accelc.isa import TABLE, Queue, Word, by_name, decode, encode, from_bytes, make, to_bytes
from accelc.isa.core import CORE_BITS, HEADER_LANES, LANE_BITS, LANES, U8, Instruction, Memory, instruction
from accelc.isa.encoding import CORE_PLACE, OPCODE_BITS, WAIT_PLACE, Words, wait_bits
from accelc.isa.legality import check_rules
from tests.strategies import words

ALL = sorted(TABLE.values(), key=lambda made: made.opcode)
CLAUSES = {"cycles", "events", "touches"}


def named(made: Instruction) -> str:
    return made.name


def owners(made: Instruction) -> dict[tuple[int, int], str]:
    """Return the field that owns each (lane, bit), failing when two do."""
    places = [("opcode", 0, 0, OPCODE_BITS)]
    places += [(f"wait {q.name}", *WAIT_PLACE[q], wait_bits(q)) for q in Queue]
    places += [("core", *CORE_PLACE, CORE_BITS)] if made.queue.of_core else []
    places += [(f.name, f.lane, f.shift, f.operand.bits) for f in made.fields]
    owner: dict[tuple[int, int], str] = {}
    for name, lane, shift, bits in places:
        assert shift + bits <= LANE_BITS, f"{name} leaves its lane"
        for bit in range(shift, shift + bits):
            assert (lane, bit) not in owner, f"{name} overlaps {owner[lane, bit]}"
            owner[lane, bit] = name
    return owner


@pytest.mark.parametrize("made", ALL, ids=named)
def test_fields_share_no_bit_and_operands_stay_out_of_the_header(made: Instruction) -> None:
    owners(made)
    assert all(HEADER_LANES <= f.lane < LANES for f in made.fields)


@pytest.mark.parametrize("made", ALL, ids=named)
def test_every_bit_outside_the_fields_is_refused(made: Instruction) -> None:
    """All 512 bits are accounted for: a set bit either belongs to a field or makes the word illegal."""
    owner = owners(made)
    clean = np.zeros((1, LANES), np.uint64)
    clean[0, 0] = made.opcode
    for lane in range(LANES):
        for bit in range(OPCODE_BITS if lane == 0 else 0, LANE_BITS):
            dirty = clean.copy()
            dirty[0, lane] |= np.uint64(1 << bit)
            if (lane, bit) in owner:  # compared as text: -0.0 and 0.0 are equal values of different bits
                assert str(decode(dirty)) != str(decode(clean)), f"bit {bit} of lane {lane} is lost by decode"
            else:
                with pytest.raises(IsaError, match="outside every field"):
                    decode(dirty)


@pytest.mark.parametrize("made", ALL, ids=named)
def test_every_instruction_says_what_it_does_and_costs(made: Instruction) -> None:
    assert made.doc
    assert set(made.clauses) >= CLAUSES
    names = {f.name for f in made.fields}
    for kind in (*CLAUSES, "rule"):
        if kind in made.clauses:
            extra = set(made.clauses[kind].__annotations__) - names - {"return", "c", "e", "t"}
            assert not extra, f"{kind} of {made.name} reads {extra}, which are no operands"


def test_opcodes_and_names_are_unique_and_fit() -> None:
    assert len({made.name for made in ALL}) == len(TABLE)
    assert all(opcode == made.opcode and 0 < opcode < 1 << OPCODE_BITS for opcode, made in TABLE.items())


def test_a_taken_opcode_is_refused() -> None:
    def twin(m: Memory, n: U8) -> None:
        """Do nothing."""

    with pytest.raises(IsaError, match=r"opcode 0x10 is both conv and twin"):
        instruction(0x10, Queue.MAC)(twin)
    assert TABLE[0x10].name == "conv"


@given(st.lists(words(), max_size=5))
def test_encode_then_decode_is_identity(program: list[Word]) -> None:
    code = encode(program)
    assert code.shape == (len(program), LANES)
    assert decode(code) == program
    assert np.array_equal(encode(decode(code)), code)
    check_rules(code)


@given(st.lists(words(), max_size=5))
def test_bytes_are_little_endian_words(program: list[Word]) -> None:
    code = encode(program)
    data = to_bytes(code)
    assert np.array_equal(from_bytes(data), code)
    assert [int.from_bytes(data[at : at + 8], "little") for at in range(0, len(data), 8)] == code.ravel().tolist()


def test_a_word_is_placed_as_the_page_says() -> None:
    """load_weights: src in lane 2 bits 39:0, dst in lane 3 bits 27:0, bytes in lane 2 bits 63:40."""
    waiting = {Queue.LOAD: 1, Queue.STORE: 2, Queue.MAC: 3, Queue.VECTOR: 4, Queue.HOST: 5}
    word = make(by_name("load_weights"), waiting, src=0x123456789A, dst=0xABCDEF, bytes=0x10)
    lanes = encode([word])[0].tolist()
    assert lanes == [0x02 | 1 << 8 | 2 << 32 | 5 << 56, 3 | 4 << 24, 0x10123456789A, 0xABCDEF, 0, 0, 0, 0]


def code_of(lane0: int) -> Words:
    return np.array([[0x7F] + [0] * 7, [lane0] + [0] * 7], np.uint64)


def test_an_unknown_opcode_is_named_with_its_word() -> None:
    with pytest.raises(IsaError, match=r"word 1: unknown opcode 0xff"):
        decode(code_of(0xFF))


def test_half_a_word_is_refused() -> None:
    with pytest.raises(IsaError, match=r"100 bytes of code are not a whole number of 64-byte words"):
        from_bytes(bytes(100))


def test_rules_are_checked_in_encoded_words() -> None:
    """An empty load encodes, but neither its rule nor a NaN operand passes the legality check."""
    with pytest.raises(IsaError, match=r"word 1 \(load_weights\): bytes=0 must be at least 1"):
        check_rules(code_of(0x02))
    add = by_name("add")
    values = {f.name: 1 for f in add.fields}
    code = encode([Word(add.opcode, {**values, "scale_a": float("nan")})])
    with pytest.raises(IsaError, match=r"word 0 \(add\): scale_a=nan is not a finite float32"):
        check_rules(code)
