"""The whole path, small: every network of the zoo in its reduced form, from ONNX to bits, cycles and joules."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

import accelc
from accelc.compiler import Options, compile_stages
from accelc.run import run_compiled
from tests.certificate import check
from tests.networks import CLASSIFIERS, REST

CHIPS = ("edge", "gemmini")


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_every_network_runs_bit_for_bit_on_the_default_chip(name: str) -> None:
    run = run_compiled(compile_stages(name, "edge", Options(tiny=True)))
    assert run.check.elements > 0
    assert run.check.mismatches == 0
    result = run.result
    assert sum(result.stalls.values()) == result.cycles
    check(result)
    assert math.isclose(sum(layer.energy_j for layer in result.layers), result.energy_j, rel_tol=1e-9)
    assert result.energy_j > 0
    assert result.dram_read_bytes + result.dram_write_bytes == sum(layer.dram_bytes for layer in result.layers)
    assert result.accuracy is not None
    assert all(ratio > 10 for ratio in result.accuracy.outputs.values()), "a quantized output resembles the float one"


@pytest.mark.parametrize("name", REST)
def test_every_other_network_runs_bit_for_bit_on_the_default_chip(name: str) -> None:
    """Detection, segmentation, sequences, generation: arrays, 32-bit streams and the host together."""
    run = run_compiled(compile_stages(name, "edge", Options(tiny=True)))
    assert run.check.elements > 0
    assert run.check.mismatches == 0
    result = run.result
    assert sum(result.stalls.values()) == result.cycles
    check(result)
    assert result.energy_j > 0
    assert result.dram_read_bytes + result.dram_write_bytes == sum(layer.dram_bytes for layer in result.layers)
    assert result.accuracy is not None


@pytest.mark.parametrize("activations", ["uint8", "int8"])
@pytest.mark.parametrize("chip", CHIPS)
@pytest.mark.parametrize("name", ["alexnet_grouped", "resnet50", "googlenet"])
def test_both_activation_types_and_chips_agree_with_the_reference(name: str, chip: str, activations: str) -> None:
    options = Options(tiny=True, activations=activations, batch=2, seed=3)
    run = run_compiled(compile_stages(name, chip, options), seed=4)
    assert run.check.mismatches == 0
    assert run.result.batch == 2


@pytest.mark.parametrize("dataflow", ["ws", "os"])
@pytest.mark.parametrize("objective", ["latency", "energy", "edp", "dram"])
def test_no_mapping_changes_a_bit(dataflow: str, objective: str) -> None:
    plain = accelc.compile("resnet18", "gemmini", tiny=True).run(seed=7)
    mapped = accelc.compile("resnet18", "gemmini", tiny=True, dataflow=dataflow, objective=objective).run(seed=7)
    for name, values in plain.outputs.items():
        np.testing.assert_array_equal(values, mapped.outputs[name], strict=True)


def test_a_program_survives_the_disk(tmp_path: Path) -> None:
    program = accelc.compile("nin", tiny=True)
    program.save(tmp_path / "nin.npu")
    loaded = accelc.Program.load(tmp_path / "nin.npu")
    (name, before), (_, after) = *program.run(seed=2).outputs.items(), *loaded.run(seed=2).outputs.items()
    np.testing.assert_array_equal(before, after, err_msg=name)


@pytest.mark.slow
@pytest.mark.parametrize("activations", ["uint8", "int8"])
def test_a_network_at_full_size_runs_bit_for_bit(activations: str) -> None:
    run = run_compiled(compile_stages("resnet18", options=Options(activations=activations)))
    assert run.check.elements >= run.result.macs // 10_000
    assert run.check.mismatches == 0
    assert run.cycles >= run.result.lower_bound_cycles
