"""Stages shared out over cores give the reference's bits, and their programs are sound under every timing."""

from __future__ import annotations

import numpy as np
import pytest

from accelc import reference
from accelc.arithmetic import dequantize_array
from accelc.chip import Chip, load_chip
from accelc.graph import Graph, verify_quantized
from accelc.isa import Queue, decode
from accelc.isa.encoding import decode_cores
from accelc.lower import lower
from accelc.program import Program
from accelc.schedule import Schedule, schedule
from accelc.schedule.split import SPLITS
from accelc.sim.hazards import check_hazards
from accelc.sim.machine import Machine
from accelc.sim.timing import time_program
from tests.lower.graphs import Net
from tests.lower.test_lower import CASES, random_inputs, small_chip
from tests.schedule.test_split import split_so, with_cores

CHIPS = {"small": with_cores(small_chip(), 3), "unified": with_cores(load_chip("gemmini"), 2)}


def checked(graph: Graph, plan: Schedule, chip: Chip) -> Program:
    """Return the lowered program, executed without a difference to the reference, sound and timed."""
    integers = random_inputs(graph)
    floats = {name: dequantize_array(data, graph.tensors[name].quant) for name, data in integers.items()}
    program = lower(plan, chip)
    check_hazards(program, chip)
    found = Machine(program, chip).run(floats).integers
    wanted = reference.run(graph, integers, requantize=chip.requantization)
    for name in graph.outputs:
        np.testing.assert_array_equal(found[name], wanted[name])
    assert time_program(program, chip).cycles >= program.notes["lower_bound_cycles"]
    return program


@pytest.mark.parametrize("kind", SPLITS[1:])
@pytest.mark.parametrize("name", CASES)
def test_shared_out_layers_equal_the_reference(name: str, kind: str) -> None:
    net = Net(len(name), ("uint8", "int8")[len(name) % 2])
    graph = verify_quantized(net.graph(CASES[name](net)))
    plan = split_so(kind, graph, CHIPS["small"])
    program = checked(graph, plan, CHIPS["small"])
    used = max((entry.tiling.shares for entry in plan.plans if entry.tiling), default=1)
    assert decode_cores(program.words).max() == used - 1


@pytest.mark.parametrize("kind", SPLITS[1:])
@pytest.mark.parametrize("name", ["conv_deep", "depthwise", "grouped_two", "fc_batch", "residual", "softmax"])
def test_so_do_they_with_one_scratchpad_for_all(name: str, kind: str) -> None:
    net = Net(5)
    graph = verify_quantized(net.graph(CASES[name](net)))
    checked(graph, split_so(kind, graph, CHIPS["unified"]), CHIPS["unified"])


@pytest.mark.parametrize("cores", [2, 4])
@pytest.mark.parametrize("name", CASES)
def test_layers_as_the_scheduler_shares_them_out_equal_the_reference(name: str, cores: int) -> None:
    net, chip = Net(len(name)), with_cores(load_chip("edge"), cores)
    graph = verify_quantized(net.graph(CASES[name](net)))
    checked(graph, schedule(graph, chip), chip)


def chain(layers: int) -> Graph:
    net = Net(2)
    y = net.input(1, 16, 12, 12)
    for _ in range(layers):
        y = net.conv(y, 32, pads=(1, 1, 1, 1))
    return net.graph(y)


def test_weights_of_the_next_layer_are_loaded_before_the_cores_meet() -> None:
    """What waits for a sync are loads of maps and what overwrites them; the first weights of a layer do not."""
    chip = with_cores(load_chip("edge"), 2)
    text = decode(lower(split_so("rows", chain(3), chip), chip).words)
    waiting = {word.instruction.name for word in text if any(q.name == "SYNC" for q in word.wait)}
    assert "load" in waiting
    assert "load_weights" not in waiting
    assert sum(word.instruction.name == "sync" for word in text) == 2


def test_cores_that_share_channels_do_not_wait_for_each_other() -> None:
    """Their results interleave in DRAM, pixel by pixel, and share no byte: all cores' stores end close together."""
    chip = with_cores(load_chip("edge"), 4)
    net = Net(1)
    program = lower(split_so("channels", net.graph(net.conv(net.input(1, 64, 16, 16), 256)), chip), chip)
    t = time_program(program, chip)
    stores = [t.end[(t.core == core) & (t.queue == Queue.STORE)] for core in range(4)]
    ends = [int(each.max()) for each in stores if len(each)]
    assert len(ends) > 1
    assert max(ends) - min(ends) < 0.1 * t.cycles


def test_stages_of_one_core_in_a_row_meet_nobody() -> None:
    chip = with_cores(load_chip("edge"), 2)
    plain = lower(split_so("none", chain(3), chip), chip)
    assert "sync" not in {word.instruction.name for word in decode(plain.words)}
