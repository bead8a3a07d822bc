"""Pairs of stages abreast: the best set of them, and what they compute and take."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from accelc.chip import load_chip
from accelc.graph import Graph
from accelc.lower import lower
from accelc.reference import run
from accelc.schedule import Schedule, schedule
from accelc.schedule.abreast import _apart
from accelc.schedule.mapping import Mapping, Pin
from accelc.sim.machine import Machine
from accelc.sim.ports import quantize
from accelc.sim.timing import time_program
from tests.lower.graphs import Net

EDGE = load_chip("edge")


@given(st.dictionaries(st.integers(0, 8), st.integers(1, 50), max_size=8))
def test_the_pairs_chosen_gain_the_most(gains: dict[int, int]) -> None:
    """No stage is in two pairs, and no other such set of pairs gains more."""
    chosen = _apart(gains, 10)
    apart = [s for n in range(6) for s in combinations(gains, n) if all(abs(a - b) > 1 for a, b in combinations(s, 2))]
    assert tuple(chosen) in {tuple(sorted(s)) for s in apart}
    assert sum(gains[k] for k in chosen) == max(sum(gains[k] for k in s) for s in apart)


def bottleneck() -> tuple[Graph, str]:
    """Return 3x3 on few channels, then 1x1 to many, added to a map too large to hold; and the 3x3's result."""
    net = Net(0)
    wide = net.conv(net.input(1, 16, 56, 56), 256, (1, 1))
    narrow = net.conv(wide, 64, (1, 1))
    middle = net.conv(narrow, 64, pads=(1, 1, 1, 1))
    grown = net.conv(middle, 256, (1, 1))
    total = net.layer("add", (grown, wide), (1, 256, 56, 56), net.quant())
    return net.graph(net.conv(total, 16, (1, 1))), middle


def apart(plan: Schedule) -> Schedule:
    """Return the same schedule with stage after stage."""
    return replace(plan, pairs=frozenset())


def test_a_pair_computes_the_same_and_waits_less() -> None:
    """The additions' transfers hide under the convolution before them."""
    graph, middle = bottleneck()
    plan = schedule(graph, EDGE, mapping=Mapping({}, Pin(stripes=1)))  # in stripes, nothing would move
    assert [plan.plans[k].stage.output for k in sorted(plan.pairs)] == [middle]
    program = lower(plan, EDGE)
    name = program.inputs[0].name
    given = np.random.default_rng(1).standard_normal(program.inputs[0].shape, np.float32)
    output = program.outputs[0].name
    wanted = run(graph, {name: quantize(program.inputs[0], given)}, keep=[output])[output]
    np.testing.assert_array_equal(Machine(program, EDGE).run({name: given}).integers[output], wanted)
    assert time_program(program, EDGE).cycles < time_program(lower(apart(plan), EDGE), EDGE).cycles


def test_a_pair_that_is_asked_for_goes_before_stripes() -> None:
    """Left free, the same stages would run in stripes, which no stage of a pair can."""
    graph, middle = bottleneck()
    assert any(entry.part is not None for entry in schedule(graph, EDGE).plans)
    plan = schedule(graph, EDGE, mapping=Mapping({"conv2": Pin(abreast=True)}))
    assert middle in [plan.plans[k].stage.output for k in plan.pairs]


def test_no_pairs_where_the_default_says_so() -> None:
    graph, _ = bottleneck()
    assert schedule(graph, EDGE, mapping=Mapping({}, Pin(stripes=1))).pairs
    assert not schedule(graph, EDGE, mapping=Mapping({}, Pin(stripes=1, abreast=False))).pairs
