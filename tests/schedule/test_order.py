"""The order of stages: a pool that is a branch of its own runs beside the convolution that hides it."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

from accelc.chip import load_chip
from accelc.graph import Graph
from accelc.isa import TABLE, decode
from accelc.lower import lower
from accelc.schedule import Schedule, schedule
from accelc.schedule.mapping import Mapping, Pin
from accelc.sim.timing import time_program
from tests.lower.graphs import Net
from tests.schedule.test_cascade import differing

EDGE = load_chip("edge")


def inception() -> Graph:
    """Return four branches of one map: 1x1; 3x3; 5x5; a pool and 1x1 behind it."""
    net = Net(3)
    x = net.conv(net.input(1, 64, 14, 14), 256, (1, 1))
    one = net.conv(x, 64, (1, 1))
    three = net.conv(net.conv(x, 96, (1, 1)), 192, pads=(1, 1, 1, 1))
    five = net.conv(net.conv(x, 16, (1, 1)), 32, (5, 5), pads=(2, 2, 2, 2))
    pool = net.conv(net.pool("max_pool", x, (3, 3), (1, 1), (1, 1, 1, 1)), 32, (1, 1))
    parts, quant = (one, three, five, pool), net.tensors[one].quant
    net.tensors |= {name: replace(net.tensors[name], quant=quant) for name in parts}
    return net.graph(net.layer("concat", parts, (1, 320, 14, 14), quant, axis=1))


def order(plan: Schedule) -> list[str]:
    return [entry.stage.layers[0].name for entry in plan.plans]


def test_a_pool_runs_beside_the_longest_convolution() -> None:
    plan = schedule(inception(), EDGE)
    names = order(plan)
    assert names.index("max_pool6") == names.index("conv3") + 1
    assert names.index("conv3") in plan.pairs
    assert sorted(names) == sorted(order(schedule(inception(), EDGE, residency=False)))
    assert differing(inception(), plan) == 0


def test_the_pool_costs_little_there() -> None:
    """Without residency stages keep the graph's order, and nothing runs abreast."""
    plan = schedule(inception(), EDGE)
    apart = replace(plan, pairs=frozenset())
    together, alone = (time_program(lower(each, EDGE), EDGE).cycles for each in (plan, apart))
    pool = next(entry.cost for entry in plan.plans if entry.stage.layers[0].name == "max_pool6")
    assert pool is not None
    assert alone - together > pool.vector // 2


def test_the_array_never_waits_for_the_pool() -> None:
    """Tiles of the pool go between pieces of the convolution, whose weights of the next piece are loaded before."""
    plan = schedule(inception(), EDGE, mapping=Mapping({"conv3": Pin(channels=64, depth=24)}))
    program = lower(plan, EDGE)
    layers = (program.layers[k].name for k in program.layer_of)
    every = ((layer, TABLE[word.opcode].name) for layer, word in zip(layers, decode(program.words), strict=True))
    ops = [(layer, op) for layer, op in every if layer in ("conv3", "max_pool6")]
    pieces = [k for k, op in enumerate(ops) if op == ("conv3", "conv")]
    assert len(pieces) == 12
    between = [ops[a + 1 : b] for a, b in pairwise(pieces)]
    assert all(turn[0] == ("conv3", "load_weights") for turn in between)
    assert sum(("max_pool6", "max_pool") in turn for turn in between) >= 2
    assert differing(inception(), plan) == 0


def test_a_stage_stays_between_what_it_reads_and_its_readers() -> None:
    plan = schedule(inception(), EDGE)
    made: set[str] = set(plan.graph.inputs)
    for entry in plan.plans:
        assert entry.stage.source in made
        made |= {name for layer in entry.stage.layers for name in layer.outputs}
