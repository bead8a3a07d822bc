"""Activity is counted from real values: zero products and run-length codes against brute force and by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest

from accelc.chip import load_chip
from accelc.compiler import Options, compile_stages
from accelc.energy.activity import ENCODED_READ, ENCODED_WRITE, MACS, RAW_READ, RAW_WRITE, ZERO_MACS
from accelc.isa import Memory, by_name
from accelc.isa import events as ev
from accelc.program import Port, Program, Region
from accelc.run import random_inputs
from accelc.sim.activity import FORMS, Recorder, coded_bytes, pairs_of
from accelc.sim.counters import count_events
from accelc.sim.machine import Machine
from accelc.sim.timing import time_program
from tests.sim.hand_made import conv_program
from tests.sim.programs import program, word

EDGE = load_chip("edge")
Ints = npt.NDArray[np.int64]


def pairs(values: list[int], size: int = 1, zero: int = 0) -> int:
    """Return the pairs of a stream of elements moved as one row."""
    memory = np.array(values, f"<u{size}").view(np.uint8)
    return int(pairs_of(memory, 0, np.array([1, 1, memory.size, 0, 0], np.int64), size, zero))


@pytest.mark.parametrize("size", [1, 2])
@pytest.mark.parametrize(
    ("stream", "expected"),
    [
        ([7], 1),
        ([0], 1),  # no zero before the level zero
        ([7] * 10, 10),
        ([0] * 31 + [7], 1),  # the longest run of one pair
        ([0] * 32 + [7], 2),  # 31 zeros and a level zero, then none and 7
        ([0] * 33 + [7], 2),
        ([0] * 64 + [7], 3),
        ([0] * 31, 1),
        ([0] * 32, 1),  # the last zero is the level
        ([0] * 33, 2),
        ([0] * 64, 2),
        ([0, 7] * 20, 20),
        ([7, 0] * 20, 21),  # the zero after the last 7 takes a pair
    ],
)
def test_streams_by_hand(stream: list[int], expected: int, size: int) -> None:
    assert pairs(stream, size) == expected


def test_pairs_fill_whole_words() -> None:
    """Three pairs of 16-bit levels and four of 8-bit levels share a word of 64 bits."""
    assert [coded_bytes(n, 16) for n in (0, 1, 3, 4, 6, 7)] == [0, 8, 8, 16, 16, 24]
    assert [coded_bytes(n, 8) for n in (0, 1, 4, 5, 8, 9)] == [0, 8, 8, 16, 16, 24]


def decoded(stream: list[int], zero: int) -> tuple[list[tuple[int, int]], list[int]]:
    """Return a stream's code as (run, level) pairs, and what a decoder makes of it."""
    code, run = [], 0
    for value in stream:
        if value == zero and run < 31:
            run += 1
        else:
            code.append((run, value))
            run = 0
    if run:
        code.append((run - 1, zero))
    return code, [value for zeros, level in code for value in [zero] * zeros + [level]]


def test_random_transfers_have_the_pairs_of_a_code_that_decodes() -> None:
    """Rows, columns and bytes with gaps, in either width, with any zero."""
    rng = np.random.default_rng(1)
    for _ in range(200):
        size, zero = int(rng.integers(1, 3)), int(rng.integers(0, 200))
        rows, cols, count = (int(v) for v in rng.integers(1, 9, 3))
        col = size * (count + int(rng.integers(0, 3)))
        row = cols * col + size * int(rng.integers(0, 5))
        held = rows * row // size + 9
        words = np.where(rng.random(held) < rng.random(), zero, rng.integers(0, 255, held)).astype(f"<u{size}")
        places = [(y * row + x * col) // size + k for y in range(rows) for x in range(cols) for k in range(count)]
        stream = words[places].tolist()
        code, back = decoded(stream, zero)
        assert back == stream
        shape = np.array([rows, cols, count * size, row, col], np.int64)
        assert pairs_of(words.view(np.uint8), 0, shape, size, zero) == len(code)


def zero_products(name: str, v: dict[str, int], act: npt.NDArray[np.uint8], zero: int) -> int:
    """Count the products of zero, one by one, as the definition of the instruction reads them."""
    size, found = 2 if name.endswith("16") else 1, 0
    depthwise = name.startswith("depthwise")
    for g in range(1 if depthwise else v["groups"]):
        for y, x, ty, tx in np.ndindex(v["rows"], v["cols"], v["taps_y"], v["taps_x"]):
            at = v["act"] + y * v["act_row"] + x * v["act_col"] + ty * v["tap_row"] + tx * v["tap_col"]
            at += 0 if depthwise else g * v["act_group"]
            for k in range(v["n"] if depthwise else v["depth"]):
                element = act[at + k * size : at + (k + 1) * size]
                found += bool((element == zero).all()) * (1 if depthwise else v["n"])
    return found


def test_zero_products_equal_those_counted_one_by_one() -> None:
    """Random instructions of every MAC form on random activations."""
    rng = np.random.default_rng(2)
    for turn in range(80):
        name = list(FORMS.values())[turn % 4]
        even = 2 if name.endswith("16") else 1
        operands = {key: int(rng.integers(1, 4)) for key in ("rows", "cols", "taps_y", "taps_x")}
        steps = ("act", "act_row", "act_col", "tap_row", "tap_col")
        operands |= {key: even * int(rng.integers(0, 30)) for key in steps}
        operands |= {"n": 16, "acc_col": 64, "dataflow": 0, "wgt": 0}
        if name.startswith("conv"):
            operands |= {"depth": 4 * int(rng.integers(1, 4)), "groups": int(rng.integers(1, 3))}
            operands |= {"act_group": even * int(rng.integers(0, 9)), "accumulate": 0}
        zero = 0 if even == 2 else int(rng.integers(0, 256))
        made = program([word("load", pad_value=zero, bytes=4096), word(name, **operands)])
        recorder = Recorder(made, EDGE)
        act = np.where(rng.random(4096) < 0.5, zero, rng.integers(0, 256, 4096)).astype(np.uint8)
        memory = Memory(act, act, act.view(np.int8), act.view(np.int32))
        recorder.see(by_name(name).opcode, made.rows[1], memory, 1)
        (row,) = recorder.activity.layers
        assert row[ZERO_MACS] == zero_products(name, operands, act, zero), operands
        assert row[ZERO_MACS] <= row[MACS]


def test_the_zero_is_that_of_the_last_load_that_holds_the_operand() -> None:
    """A later load beside the operand tells nothing of it, a later one over it does; without one nothing is counted."""
    loads = [
        word("load", pad_value=5, dst=0, bytes=64),
        word("load", pad_value=9, dst=64, bytes=64),
    ]
    mac = word("conv", act=8, act_col=4)
    act = np.full(256, 5, np.uint8)
    memory = Memory(act, act, act.view(np.int8), act.view(np.int32))
    found = []
    for words in ([*loads, mac], [*loads[::-1], mac], [*loads, word("load", pad_value=7, dst=4, bytes=64), mac], [mac]):
        made = program(words)
        recorder = Recorder(made, EDGE)
        recorder.see(by_name("conv").opcode, made.rows[-1], memory, len(words) - 1)
        found.append(int(recorder.activity.total[ZERO_MACS]))
    assert found == [64, 64, 0, 0]


def with_region(made: Program) -> Program:
    """Return a program whose output lies in a region, its input in none."""
    y = replace(made.outputs[0], zero_point=0)
    return replace(made, regions=(Region("y", y.address, y.bytes, 0, 0, len(made.words), y),))


def test_a_run_counts_its_padding_and_codes_its_output_but_not_its_input() -> None:
    rng = np.random.default_rng(3)
    weights = rng.integers(-128, 128, (16, 8, 3, 3)).astype(np.int8)
    x = rng.integers(-1, 2, (1, 8, 7, 7)).astype(np.int8)
    made = with_region(conv_program(weights, 0.01, 7))
    recorder = Recorder(made, EDGE)
    values = Machine(made, EDGE).run({"x": x}, recorder=recorder)
    (row,) = recorder.activity.layers
    padded = np.pad(x[0], ((0, 0), (1, 1), (1, 1)))
    zeros = sum(int((padded[:, a : a + 7, b : b + 7] == 0).sum()) for a in range(3) for b in range(3))
    assert (row[MACS], row[ZERO_MACS]) == (16 * 8 * 9 * 49, 16 * zeros)
    written = values.integers["y"][0].transpose(1, 2, 0).ravel().tolist()
    code, _ = decoded(written, 0)
    assert row[RAW_WRITE] == 16 * 49
    assert row[ENCODED_WRITE] == coded_bytes(len(code), 8)
    assert row[RAW_READ] == row[ENCODED_READ] == 0


def test_being_watched_changes_no_value() -> None:
    weights = np.random.default_rng(4).integers(-128, 128, (16, 8, 3, 3)).astype(np.int8)
    x = np.random.default_rng(5).integers(-128, 128, (1, 8, 7, 7)).astype(np.int8)
    made = with_region(conv_program(weights, 0.01, 7))
    alone, watched = (Machine(made, EDGE).run({"x": x}, recorder=r) for r in (None, Recorder(made, EDGE)))
    np.testing.assert_array_equal(alone.integers["y"], watched.integers["y"])
    np.testing.assert_array_equal(alone.dram, watched.dram)


def test_tensors_of_other_widths_are_moved_as_they_are() -> None:
    """A 32-bit result has no levels of the array's width."""
    port = Port("y", (1,), "int32", "int32", 1.0, 0, 4096, (1, 1, 1, 16), 64)
    made = replace(program([word("store", dst=4096, bytes=64)]), regions=(Region("y", 4096, 64, 0, 0, 1, port),))
    assert not Recorder(made, EDGE).positions.size
    narrow = replace(made, regions=(replace(made.regions[0], port=replace(port, stored="int8")),))
    assert Recorder(narrow, EDGE).positions.tolist() == [0]


@pytest.mark.parametrize("chip", ["edge", "eyeriss", "shidiannao"])
def test_products_are_those_of_the_counted_events(chip: str) -> None:
    """What activity takes for a product is what the events take for one, layer by layer."""
    compiled = compile_stages("resnet18", chip, Options(tiny=True))
    made, target = compiled.finished, compiled.chip
    recorder = Recorder(made, target)
    Machine(made, target).run(random_inputs(made, 0), recorder=recorder)
    layers = recorder.activity.layers
    counts = count_events(made, target, time_program(made, target))
    np.testing.assert_array_equal(layers[:, MACS], counts[:, ev.MAC])
    assert (layers[:, RAW_READ] <= counts[:, ev.DRAM_READ_BYTES]).all()
    assert (layers[:, RAW_WRITE] <= counts[:, ev.DRAM_WRITE_BYTES]).all()
    assert 0 < layers[:, ZERO_MACS].sum() < layers[:, MACS].sum()
