"""The program file and its text: both keep every part, and damage is always one clear ProgramError."""

from __future__ import annotations

import errno
import os
import struct
import zlib
from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from accelc.errors import InputError, IsaError, ProgramError
from accelc.isa import Queue, by_name, encode, make
from accelc.program import VERSION, HostCall, LayerInfo, Port, Program, Region
from accelc.program_file import SECTIONS, chunks, parse
from accelc.program_text import DATA_LINE_BYTES, assemble_program, disassemble_program
from tests.conftest import Golden
from tests.strategies import programs

HEAD_BYTES, ENTRY_BYTES = 32, 40

PORT = Port("x", (1, 3, 2, 2), "float32", "int8", 0.5, -3, 0x200, (1, 2, 2, 3), 32)
LAYERS = (
    LayerInfo("conv; 1", "conv", ("Conv_0", "Relu_1"), 1200, "ws", {"rows": 2, "n": 16}, 40, 55),
    LayerInfo("nms", "host", ("NonMaxSuppression_4",), 0, "", {}, 0, 0),
)
HOST = HostCall("nms", "NonMaxSuppression", "data-dependent shape", b"\x08\x07model", (PORT,), (PORT,), 1e-5)


def tiny() -> Program:
    """Return a program with something in every part."""
    words = encode(
        [
            make(by_name("load_weights"), src=0, dst=0, bytes=256),
            make(by_name("host"), {Queue.LOAD: 1}, index=0),
            make(by_name("halt"), {Queue.HOST: 1}),
        ]
    )
    constants = np.zeros(2 * DATA_LINE_BYTES + 10, np.uint8)
    constants[:4] = (1, 2, 250, 251)
    constants[-1] = 9
    return Program(
        "tiny", "edge", "0123456789abcdef", words, constants, 4096, (PORT,), (replace(PORT, name="y"),), LAYERS,
        np.array([0, 1, -1], np.int32), (Region("x", 0x200, 128, 0, 1, 2, PORT),), (HOST,),
        {"dataflow": "ws", "tiles": [1, 2]},
    )  # fmt: skip


def data_of(program: Program) -> bytes:
    return b"".join(chunks(program))


def assert_same(a: Program, b: Program) -> None:
    for f in fields(Program):
        ours, theirs = getattr(a, f.name), getattr(b, f.name)
        if isinstance(ours, np.ndarray):
            assert ours.dtype == theirs.dtype
            assert np.array_equal(ours, theirs), f.name
        else:
            assert ours == theirs, f.name


def forged(section: str, change: Callable[[bytes], bytes]) -> bytes:
    """Return tiny's file with one section changed and every offset, length and checksum made right again."""
    data = data_of(tiny())
    contents = []
    for k, name in enumerate(SECTIONS):
        _, offset, length, _, _ = struct.unpack_from("<16sQQII", data, HEAD_BYTES + k * ENTRY_BYTES)
        content = data[offset : offset + length]
        contents.append(change(content) if name == section else content)
    table, body = b"", b""
    at = start = (HEAD_BYTES + len(SECTIONS) * ENTRY_BYTES + 63) // 64 * 64
    for name, content in zip(SECTIONS, contents, strict=True):
        body += bytes(-len(body) % 64)
        at = start + len(body)
        table += struct.pack("<16sQQII", name.encode(), at, len(content), zlib.crc32(content), 0)
        body += content
    head = struct.pack("<8sIIQII", b"ACCELNPU", VERSION, len(SECTIONS), start + len(body), zlib.crc32(table), 0)
    return (head + table).ljust(start, b"\0") + body


@given(programs())
def test_a_file_keeps_every_part_and_the_same_program_gives_the_same_bytes(program: Program) -> None:
    data = data_of(program)
    loaded = parse(data)
    assert_same(loaded, program)
    assert data_of(loaded) == data


@given(programs())
def test_text_assembles_to_the_same_file_bytes(program: Program) -> None:
    """`accelc asm` of what `accelc disasm` prints gives back the file."""
    text = "\n".join(disassemble_program(program))
    assert text.isprintable() or "\n" in text
    assert data_of(assemble_program(text)) == data_of(program)


def test_save_and_load_through_a_path(tmp_path: Path) -> None:
    path = tmp_path / "tiny.npu"
    tiny().save(path)
    assert path.read_bytes() == data_of(tiny())
    assert_same(Program.load(str(path)), tiny())


def test_text_of_a_program(golden: Golden) -> None:
    text = "\n".join(disassemble_program(tiny()))
    golden(text)
    assert_same(assemble_program(text), tiny())


def test_text_without_constants_is_for_reading_only() -> None:
    lines = list(disassemble_program(tiny(), constants=False))
    assert not [line for line in lines if line.startswith((".data", ".model"))]
    model, constants = (k for k, line in enumerate(lines) if line.startswith(".omitted"))
    with pytest.raises(IsaError, match=rf"line {model + 1}: 7 bytes of constants were left out"):
        assemble_program(lines)
    with pytest.raises(IsaError, match=rf"line {constants + 1}: {tiny().constants.size} bytes of constants"):
        assemble_program("" if k == model else line for k, line in enumerate(lines))


@given(programs(), st.data())
def test_a_flipped_bit_never_goes_unnoticed(program: Program, data: st.DataObject) -> None:
    """Any flip is a ProgramError, or lies in the zeros between sections and changes nothing."""
    good = data_of(program)
    bad = bytearray(good)
    bit = data.draw(st.integers(0, 8 * len(good) - 1))
    bad[bit // 8] ^= 1 << bit % 8
    try:
        loaded = parse(bytes(bad))
    except ProgramError:
        return
    assert_same(loaded, program)


@given(programs(), st.data())
def test_a_truncated_file_is_refused(program: Program, data: st.DataObject) -> None:
    good = data_of(program)
    with pytest.raises(ProgramError, match=r"truncated|not an accelc program"):
        parse(good[: data.draw(st.integers(0, len(good) - 1))])


@given(st.binary(max_size=400))
def test_foreign_bytes_are_refused(data: bytes) -> None:
    for content in (data, b"ACCELNPU" + data):
        with pytest.raises(ProgramError):
            parse(content)


@given(st.sampled_from(SECTIONS), st.binary(max_size=80), st.data())
def test_a_forged_section_is_refused_or_harmless(section: str, patch: bytes, data: st.DataObject) -> None:
    """With checksums made right, wrong content still raises nothing but ProgramError."""
    at = data.draw(st.integers(0, 700))
    drop = data.draw(st.integers(0, 4))
    try:
        loaded = parse(forged(section, lambda old: old[:at] + patch + old[at + drop :]))
    except ProgramError:
        return
    assert data_of(loaded)


def test_forging_itself_is_faithful() -> None:
    """The helper rebuilds the file bit for bit when nothing is changed."""
    assert forged("code", lambda code: code) == data_of(tiny())


def header(old: str, new: str) -> bytes:
    assert old.encode() in forged("header", lambda text: text)
    return forged("header", lambda text: text.replace(old.encode(), new.encode(), 1))


GOOD = data_of(tiny())


def damaged_at(at: int) -> bytes:
    return GOOD[:at] + bytes([GOOD[at] ^ 1]) + GOOD[at + 1 :]


def start_of(section: str) -> int:
    return int(struct.unpack_from("<Q", GOOD, HEAD_BYTES + ENTRY_BYTES * SECTIONS.index(section) + 16)[0])


BAD_FILES: dict[str, bytes] = {
    "empty": b"",
    "ONNX model": b"\x08\x0a\x12\x07pytorch",
    "only the magic": b"ACCELNPU",
    "older version": GOOD[:8] + struct.pack("<I", 1) + GOOD[12:],
    "newer version": GOOD[:8] + struct.pack("<I", 99) + GOOD[12:],
    "cut": GOOD[:-5],
    "longer": GOOD + b"\0",
    "damaged table": damaged_at(HEAD_BYTES),
    **{f"damaged {name}": damaged_at(start_of(name)) for name in SECTIONS},
    "unknown opcode": forged("code", lambda code: b"\xee" + code[1:]),
    "stray bit": forged("code", lambda code: code[:63] + b"\x80" + code[64:]),
    "illegal operand": forged("code", lambda code: code[:16] + bytes(8) + code[24:]),
    "half a word": forged("code", lambda code: code[:-32]),
    "host index": forged("code", lambda code: code[:80] + b"\x05" + code[81:]),
    "word lost": forged("code", lambda code: code[64:]),
    "odd source map": forged("layer_of", lambda layers: layers[:-1]),
    "foreign layer": forged("layer_of", lambda layers: b"\x07" + layers[1:]),
    "constants too long": forged("constants", lambda _: bytes(5000)),
    "model lost": forged("host_models", lambda model: model[:-1]),
    "header no JSON": forged("header", lambda _: b"hello"),
    "header of one huge number": forged("header", lambda _: b"9" * 5000),
    "infinite scale": header('"scale": 0.5', '"scale": 1e999'),
    "header a list": forged("header", lambda _: b"[]"),
    "header key missing": header('"dram_bytes": 4096, ', ""),
    "header key unknown": header('"dram_bytes": 4096, ', '"dram_bytes": 4096, "sram": 1, '),
    "header wrong type": header('"dram_bytes": 4096', '"dram_bytes": "4096"'),
    "too much DRAM": header('"dram_bytes": 4096', '"dram_bytes": 1099511627777'),
    "port outside": header('"address": 512', '"address": 4000'),
    "port of unknown type": header('"dtype": "float32"', '"dtype": "float8"'),
    "negative extent": header('"extents": [1, 2, 2, 3]', '"extents": [1, -2, 2, 3]'),
    "region outside": header('"bytes": 128', '"bytes": 12800'),
    "region complete too late": header('"complete": 2', '"complete": 4'),
    "negative model": header('"model_bytes": 7', '"model_bytes": -7'),
}


def test_messages_of_files_that_do_not_load(golden: Golden, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One line each, naming the file and the damage."""
    monkeypatch.chdir(tmp_path)
    shown = []
    for case, data in BAD_FILES.items():
        Path("bad.npu").write_bytes(data)
        with pytest.raises(ProgramError) as caught:
            Program.load("bad.npu")
        assert "\n" not in str(caught.value)
        shown.append(f"{case}\n    {caught.value}")
    golden("\n".join(shown))


def test_what_cannot_be_read_is_a_program_error(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "none.npu", "a\0b"):
        with pytest.raises(ProgramError, match="cannot be read"):
            Program.load(path)


BAD_LINES = [
    ".program {}",
    '.program {"name": "twice", "dram_bytes": 1}',
    ".program tiny",
    '.chip {"name": "edge", "fingerprint": "0", "cores": 2}',
    ".port sideways {}",
    ".port input {}",
    '.region {"name": "r", "address": 0, "bytes": 1, "first_layer": 0, "last_layer": 0} and more',
    '.region {"name": "r", "address": 0, "bytes": 1, "first_layer": 0, "last_layer": 0, "color": "red"}',
    '.layer_info {"name": 3}',
    ".model AAAA",
    ".layer one",
    ".layer -2",
    ".data @@@@",
    ".data AAA",
    ".zero -1",
    ".zero 99999999",
    ".note 3",
    ".weights 3",
    "halt now",
]


def test_messages_of_program_text_that_does_not_assemble(golden: Golden) -> None:
    shown = []
    for line in BAD_LINES:
        with pytest.raises(IsaError) as caught:
            assemble_program(f'.program {{"name": "x", "dram_bytes": 64}}\n{line}\n')
        assert str(caught.value).startswith("line 2: ")
        shown.append(f"{line}\n    {caught.value}")
    golden("\n".join(shown))


def test_program_text_without_its_head_or_with_parts_that_do_not_fit_is_refused() -> None:
    start = '.program {"name": "x", "dram_bytes": 64}\n.chip {"name": "edge", "fingerprint": "0"}\n'
    assert assemble_program(start + "halt").words.shape == (1, 8)
    for text, message in (
        ("halt", "no .program directive"),
        (start.partition("\n")[0], "no .chip directive"),
        (start.replace("64", '"64"'), "line 1: key 'dram_bytes' must be an integer"),
        (start.replace("64", "true"), "line 1: key 'dram_bytes' must be an integer"),
        (start + ".layer 2\nhalt", "names layers outside -1 to -1"),
        (start + "host index=0", "host index=0, but the program has 0 host calls"),
        (start + ".zero 60\n.data AAAAAAAA\n", "66 bytes of constants exceed dram_bytes=64"),
    ):
        with pytest.raises(IsaError, match=message):
            assemble_program(text)


@given(st.text(max_size=80), st.sampled_from([".port input ", ".layer_info ", ".note ", ".data ", ".zero ", ".", ""]))
def test_no_program_text_raises_anything_but_isa_error(text: str, directive: str) -> None:
    assume("\n" not in text)
    with pytest.raises(IsaError):
        assemble_program(f"{directive}{text}")


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EACCES, errno.EROFS])
def test_a_failed_save_leaves_the_old_file_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    path = tmp_path / "tiny.npu"
    path.write_bytes(b"old")

    def fail(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(Path, "replace", fail)
    with pytest.raises(InputError, match=os.strerror(number)):
        tiny().save(path)
    assert [p.name for p in tmp_path.iterdir()] == ["tiny.npu"]
    assert path.read_bytes() == b"old"


def test_an_unwritable_place_is_an_input_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    for path in (tmp_path / "no" / "tiny.npu", tmp_path / "file" / "tiny.npu", tmp_path):
        with pytest.raises(InputError, match="cannot write"):
            tiny().save(path)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="the system has no /dev/full")
def test_a_full_device_is_an_input_error() -> None:
    with pytest.raises(InputError, match="No space left"):
        tiny().save("/dev/full")


def test_an_illegal_program_is_not_saved(tmp_path: Path) -> None:
    with pytest.raises(ProgramError, match="source map has 1 entries for 3 instructions"):
        replace(tiny(), layer_of=np.zeros(1, np.int32)).save(tmp_path / "x.npu")
    with pytest.raises(ProgramError, match="cannot be saved as JSON: a value of type object"):
        replace(tiny(), notes={"thing": object()}).save(tmp_path / "x.npu")
    assert not list(tmp_path.iterdir())


def test_numpy_scalars_in_a_program_are_saved_as_numbers() -> None:
    port = replace(PORT, scale=np.float32(0.1), address=np.int64(0x200))
    loaded = parse(data_of(replace(tiny(), inputs=(port,), notes={"list": np.arange(3)})))
    assert loaded.inputs == (port,)
    assert loaded.notes == {"list": [0, 1, 2]}
