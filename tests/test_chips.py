"""Every shipped chip runs the tiny networks bit for bit, and its literal array agrees with the fast one."""

from __future__ import annotations

import numpy as np
import pytest

from accelc.chip import load_chip
from accelc.chip.model import shipped
from accelc.compiler import Compiled, Options, compile_stages
from accelc.run import run_compiled
from tests.networks import CLASSIFIERS, REST

OTHERS = tuple(name for name in shipped() if name != "edge")  # test_tiny runs every network on edge


def compiled_for(name: str, chip: str, dataflow: str = "auto") -> Compiled:
    return compile_stages(name, chip, Options(tiny=True, dataflow=dataflow))


@pytest.mark.parametrize("chip", OTHERS)
@pytest.mark.parametrize("name", CLASSIFIERS)
def test_every_network_runs_bit_for_bit_on_every_chip(name: str, chip: str) -> None:
    run = run_compiled(compiled_for(name, chip))
    assert run.check.elements > 0
    assert run.check.mismatches == 0
    result = run.result
    assert sum(result.stalls.values()) == result.cycles >= result.lower_bound_cycles > 0
    assert result.energy_j > 0


# A softmax over 3,136 numbers of a pixel takes 12,544 bytes; diannao's buffer for activations has 4,096.
INSTEAD = {("mask_rcnn_pose", "diannao"): "dadiannao"}
ASSIGNED = [(name, OTHERS[k % len(OTHERS)]) for k, name in enumerate(REST)]


@pytest.mark.parametrize(("name", "chip"), [(name, INSTEAD.get((name, chip), chip)) for name, chip in ASSIGNED])
def test_the_other_networks_run_bit_for_bit_on_one_chip_each(name: str, chip: str) -> None:
    """Each of the networks beyond classification meets one other chip, and each chip several of them."""
    run = run_compiled(compiled_for(name, chip))
    assert run.check.elements > 0
    assert run.check.mismatches == 0


MAPPINGS = [(chip, dataflow) for chip in shipped() for dataflow in load_chip(chip).array.dataflows]


@pytest.mark.parametrize(("chip", "dataflow"), MAPPINGS)
@pytest.mark.parametrize("name", ["resnet18", "alexnet_grouped"])
def test_the_literal_array_has_the_values_cycles_and_energy_of_the_fast_one(
    name: str, chip: str, dataflow: str
) -> None:
    compiled = compiled_for(name, chip, dataflow)
    fast = run_compiled(compiled, seed=3)
    literal = run_compiled(compiled, seed=3, fidelity="literal")
    assert literal.check.mismatches == 0
    assert literal.cycles == fast.cycles
    np.testing.assert_array_equal(literal.timeline.parts, fast.timeline.parts)
    assert literal.result.energy_j == fast.result.energy_j
    for tensor, values in fast.integers.items():
        np.testing.assert_array_equal(values, literal.integers[tensor], strict=True)


