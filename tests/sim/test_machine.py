"""The machine executes whole programs: values, repeatability, and refusals of what would reach outside memory."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from accelc.chip import Chip, load_chip
from accelc.errors import MachineError, ProgramError
from accelc.isa import control, decode, encode, make
from accelc.program import HostCall, Program
from accelc.sim import generate
from accelc.sim.machine import Machine, execute
from tests.sim.hand_made import conv_by_numpy, conv_program

RNG = np.random.default_rng(7)
WEIGHTS = RNG.integers(-128, 128, (32, 8, 3, 3)).astype(np.int8)
INPUT = RNG.integers(-128, 128, (1, 8, 7, 7)).astype(np.int8)


@pytest.fixture(params=["edge", "gemmini"])
def chip(request: pytest.FixtureRequest) -> Chip:
    return load_chip(request.param)


def test_a_conv_program_equals_numpy(chip: Chip) -> None:
    """Split and unified scratchpads give the integers that int64 einsum gives, and their dequantized form."""
    values = execute(conv_program(WEIGHTS, 0.003, 7, chip), chip, {"x": INPUT})
    want = conv_by_numpy(WEIGHTS, 0.003, INPUT)
    np.testing.assert_array_equal(values.integers["y"], want)
    np.testing.assert_array_equal(values.outputs["y"], want.astype(np.float32) * np.float32(0.5))
    assert values.outputs["y"].dtype == np.float32


def test_a_loaded_machine_runs_again_from_the_same_state(chip: Chip) -> None:
    """A run leaves nothing behind that the next run sees."""
    machine = Machine(conv_program(WEIGHTS, 0.003, 7, chip), chip)
    first = machine.run({"x": INPUT}).integers["y"]
    machine.run({"x": -INPUT})
    np.testing.assert_array_equal(machine.run({"x": INPUT}).integers["y"], first)


def test_values_give_any_tensor_in_dram() -> None:
    """Tensor of a port reads what lies in DRAM: here the input itself."""
    program = conv_program(WEIGHTS, 0.003, 7)
    values = execute(program, load_chip("edge"), {"x": INPUT})
    np.testing.assert_array_equal(values.tensor(program.inputs[0]), INPUT)


def test_a_program_for_another_chip_is_refused() -> None:
    """The message names both chips."""
    with pytest.raises(ProgramError, match=r"compiled for chip 'edge'.*not for 'gemmini'"):
        Machine(conv_program(WEIGHTS, 0.003, 7), load_chip("gemmini"))


def test_a_store_into_the_constants_is_refused() -> None:
    """Constants are copied once, so no program may write them."""
    with pytest.raises(MachineError, match=r"instruction 4 of layer 'conv1' \(store .*writes dram 0 to .*constants"):
        Machine(conv_program(WEIGHTS, 0.003, 7, dst=0), load_chip("edge"))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"dst_row": 100000}, "writes dram .* which holds"),
        ({"src": (1 << 24) - 1}, "reads act 16777215 to .* which holds 524288 bytes"),
    ],
)
def test_reaching_outside_a_memory_is_refused(change: dict[str, int], message: str) -> None:
    """Nothing runs when any instruction would touch bytes that are not there."""
    with pytest.raises(MachineError, match=message):
        Machine(conv_program(WEIGHTS, 0.003, 7, **change), load_chip("edge"))


def test_acc_is_counted_in_words() -> None:
    """131072 bytes of acc are 32768 words; one word more is outside."""
    chip = load_chip("edge")
    program = conv_program(WEIGHTS, 0.003, 7)
    words = decode(program.words)
    words[2] = make(words[2].instruction, **{**words[2].operands, "acc": 32768 - 7 * 7 * 32 + 1})
    with pytest.raises(MachineError, match="writes acc 31201 to 32769, which holds 32768 words"):
        Machine(dataclasses.replace(program, words=encode(words)), chip)


def test_instructions_after_halt_do_not_run() -> None:
    """Halt in front of the store leaves the output's place zero, which excess-128 reads as -128."""
    program = conv_program(WEIGHTS, 0.003, 7)
    words = decode(program.words)
    halted = dataclasses.replace(program, words=encode([*words[:4], make(control.halt), words[4]]))
    assert (execute(halted, load_chip("edge"), {"x": INPUT}).integers["y"] == -128).all()


def _with_host(program: Program, model: bytes) -> Program:
    """Return the program with a host operator on its output in front of halt."""
    port = program.outputs[0]
    call = HostCall("h", "Neg", "test", model, (port,), (port,), 0.0)
    words = decode(program.words)
    return dataclasses.replace(
        program, words=encode([*words[:-1], make(control.host, index=0), words[-1]]), hosts=(call,)
    )


def test_host_work_runs_in_its_place() -> None:
    """The host's Neg sees the conv's result, dequantized, and its result is quantized where the output lies."""
    from onnx import TensorProto, helper

    value = [helper.make_tensor_value_info(n, TensorProto.FLOAT, [1, 32, 7, 7]) for n in "ab"]
    graph = helper.make_graph([helper.make_node("Neg", ["a"], ["b"])], "g", value[:1], value[1:])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    program = _with_host(conv_program(WEIGHTS, 0.003, 7), model.SerializeToString())
    got = execute(program, load_chip("edge"), {"x": INPUT}).integers["y"]
    want = np.clip(-conv_by_numpy(WEIGHTS, 0.003, INPUT).astype(np.int16), -128, 127)
    np.testing.assert_array_equal(got, want)


def test_the_dispatch_is_what_the_generator_writes() -> None:
    """A changed instruction table without a regenerated dispatch would decode operands into the wrong places."""
    held = Path(generate.__file__).with_name("dispatch.py").read_text(encoding="utf-8")
    assert held == generate.source(), "run python -m accelc.sim.generate"
