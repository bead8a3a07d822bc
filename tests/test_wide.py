"""Chips of 16-bit operands from model to check: int16 is chosen, refused where it must be, and every bit is right."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from accelc.chip import Chip, load_chip
from accelc.compiler import Compiled, Options, compile_stages, retarget
from accelc.errors import InputError, ModelError, ScheduleError
from accelc.program import Program
from accelc.quantize import quantize
from accelc.run import run_compiled, run_program
from accelc.schedule import schedule
from tests.networks import CLASSIFIERS
from tests.quant_build import quantized, residual


def small(dataflows: tuple[str, ...] = ("ws",)) -> Chip:
    """The edge chip with 16-bit operands and buffers so small that layers are cut."""
    values = load_chip("edge").model_dump()
    values["name"] = "small16"
    values["array"] |= {"operand_bits": 16, "accumulator_bits": 64, "dataflows": list(dataflows)}
    for name, size, banks in (("act", 16384, 4), ("wgt", 32768, 4), ("acc", 16384, 2)):
        values["buffers"][name] |= {"bytes": size, "banks": banks}
    return Chip.model_validate(values)


CHIP = small()


def compiled_for(name: str, chip: Chip = CHIP) -> Compiled:
    return compile_stages(name, chip, Options(tiny=True))


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_every_network_of_the_zoo_runs_bit_for_bit(name: str) -> None:
    """A float model is quantized to int16 for the chip, and each tensor in DRAM equals the reference's."""
    compiled = compiled_for(name)
    assert compiled.quantized is not None
    assert {t.dtype for t in compiled.quantized.tensors.values() if t.data is None} == {"int16"}
    run = run_compiled(compiled)
    assert run.check.elements > 0
    assert run.check.mismatches == 0
    assert run.cycles >= run.result.lower_bound_cycles > 0


@pytest.mark.parametrize("dataflow", ["os", "is"])
def test_other_dataflows_have_the_same_values(dataflow: str) -> None:
    """The dataflow is a matter of time alone."""
    assert run_compiled(compiled_for("alexnet", small((dataflow,)))).check.mismatches == 0


def test_a_program_file_holds_int16_ports(tmp_path: Path) -> None:
    """Saved and loaded, a program computes the same."""
    compiled = compiled_for("resnet18")
    path = tmp_path / "wide.npu"
    compiled.finished.save(path)
    loaded = Program.load(path)
    assert {port.stored for port in (*loaded.inputs, *loaded.outputs)} == {"int16"}
    ours, theirs = run_compiled(compiled, seed=5), run_program(loaded, seed=5)
    for name, values in ours.integers.items():
        np.testing.assert_array_equal(values, theirs.integers[name], strict=True)


def test_another_width_of_chip_quantizes_again() -> None:
    """A compilation moved to a chip of 8 bits, and back, gives the programs compiled for each."""
    wide, edge = compiled_for("mlp"), load_chip("edge")
    narrow = retarget(wide, edge, dataflow="auto", objective="latency")
    assert run_compiled(narrow).check.mismatches == 0
    np.testing.assert_array_equal(narrow.finished.words, compiled_for("mlp", edge).finished.words)
    back = retarget(narrow, CHIP, dataflow="auto", objective="latency")
    np.testing.assert_array_equal(back.finished.words, wide.finished.words)


def test_models_quantized_to_8_bits_are_refused(tmp_path: Path) -> None:
    """The message names the types, the chip and what would work."""
    model = quantized(residual(), tmp_path, operators=True, activations="uint8")
    with pytest.raises(ModelError, match=r"to .*uint8, but chip 'small16' multiplies 16-bit operands; the float model"):
        compile_stages(model, CHIP)


def test_int16_networks_are_refused_by_8_bit_chips() -> None:
    """Also where the network is quantized by hand."""
    graph = compiled_for("mlp").graph
    assert graph is not None
    with pytest.raises(ScheduleError, match=r"'mlp' is int16, but chip 'edge' multiplies 8-bit operands"):
        schedule(quantize(graph, activations="int16"), load_chip("edge"))


def test_onnx_runtime_is_no_judge() -> None:
    """It has no operators of 16-bit operands: the check says so, and compares with the reference alone."""
    check = run_compiled(compiled_for("mlp"), check="ort").check
    assert (check.oracle, check.mismatches) == ("reference", 0)
    assert "ONNX Runtime has no operators of 16-bit operands" in check.note


def test_a_systolic_array_of_16_bits_has_no_literal_model() -> None:
    """Refused before anything runs, with what would work."""
    with pytest.raises(InputError, match="chip 'small16' is a systolic array of 16-bit operands"):
        run_compiled(compiled_for("mlp"), fidelity="literal")
