"""Laws of the schedule: a better chip never predicts a slower network, and no random mapping beats the chosen one."""

from __future__ import annotations

import random
from typing import Any

import pytest

from accelc.chip import Chip, load_chip
from accelc.graph import Graph
from accelc.schedule import schedule
from accelc.schedule.bounds import bounds_of, network_bound
from accelc.schedule.cost import cost_of
from accelc.schedule.tiling import Tiling, fits, footprint
from tests.lower.graphs import Net

EDGE = load_chip("edge")


def edited(**edits: Any) -> Chip:
    """Return the edge chip with values replaced, given as section__key or section__part__key."""
    values = EDGE.model_dump()
    for path, value in edits.items():
        *sections, key = path.split("__")
        place = values
        for section in sections:
            place = place[section]
        assert key in place
        place[key] = value
    return Chip.model_validate(values)


def network(batch: int = 1) -> Graph:
    """Return convolutions that pad, stride, reduce and pool, one of them wide."""
    net = Net(0)
    y = net.conv(net.input(batch, 32, 40, 40), 64, pads=(1, 1, 1, 1))
    y = net.pool("max_pool", net.conv(y, 96, pads=(1, 1, 1, 1)), (3, 3), (2, 2), (1, 1, 1, 1))
    return net.graph(net.conv(net.conv(y, 512, (1, 1)), 64, pads=(1, 1, 1, 1)))


def predicted(chip: Chip, batch: int = 1, *, residency: bool = True) -> int:
    plans = schedule(network(batch), chip, residency=residency).plans
    return sum(plan.cost.alone for plan in plans if plan.cost is not None)


@pytest.mark.parametrize("factor", [2, 4, 8])
def test_more_activation_buffer_is_never_slower(factor: int) -> None:
    small, large = (edited(buffers__act__bytes=size * 65536) for size in (1, factor))
    assert predicted(large) <= predicted(small)


@pytest.mark.parametrize("factor", [2, 4])
def test_more_weight_buffer_is_never_slower(factor: int) -> None:
    small, large = (edited(buffers__wgt__bytes=size * 65536) for size in (1, factor))
    assert predicted(large) <= predicted(small)


def test_a_faster_bus_is_never_slower() -> None:
    slow, fast = (edited(dram__burst_ns=ns) for ns in (10.0, 5.0))
    assert predicted(fast) < predicted(slow)


def test_residency_is_never_predicted_slower() -> None:
    assert predicted(EDGE) <= predicted(EDGE, residency=False)


@pytest.mark.parametrize("batch", [2, 4])
def test_a_batch_costs_no_more_than_its_images(batch: int) -> None:
    assert predicted(EDGE, batch) <= batch * predicted(EDGE)


@pytest.mark.parametrize("batch", [1, 4])
def test_no_random_mapping_is_much_better(batch: int) -> None:
    """Of some thousand legal cuts drawn at random none is predicted more than 2 % under the one chosen."""
    draw, seen = random.Random(4), 0
    for plan in schedule(network(batch), EDGE, residency=False).plans:
        g = plan.geometry
        assert g is not None
        assert plan.cost is not None
        for _ in range(600):
            sizes = [draw.randint(1, n) for n in (*g.out[:2], g.mid[2])]
            depth = max(4, draw.randint(1, g.group_in) // 4 * 4)
            t = Tiling(*sizes, depth, draw.random() < 0.5, "ws", images=draw.randint(1, batch))
            if fits(g, t, footprint(g, t, 0), EDGE):
                seen += 1
                assert cost_of(g, t, EDGE).alone >= 0.98 * plan.cost.alone
    assert seen > 500


def test_the_bound_of_a_chain_by_hand() -> None:
    """A convolution of many pixels, then a matrix product whose 16 MiB of weights wait for it.

    16 -> 128 channels, 3 x 3, 64 x 64 pixels: 3 * 2 * 4 passes of 4,096 cycles. 524,288 -> 32 outputs: 16,384 passes of
    32 cycles, less the last one's load. Its weights cross the bus at 64 bytes in 5 cycles; when the convolution ends,
    no more than the 512 KiB of the buffer are there.
    """
    net = Net(0)
    y = net.conv(net.input(1, 16, 64, 64), 128, pads=(1, 1, 1, 1))
    graph = net.graph(net.fc(net.layer("reshape", (y,), (1, 524_288), net.tensors[y].quant), 32))
    plan = schedule(graph, EDGE)
    bounds = bounds_of(plan.graph, plan.views, EDGE, plan.plans, {})
    arrays = [bound.array for bound in bounds.values()]
    assert arrays == [6 * 4 * 4096, (16384 - 1) * 32 + 1]
    bound = network_bound(plan.views, EDGE, plan.graph.layers, bounds)
    assert bound.binds == "array and weights"
    assert bound.cycles == arrays[0] + ((16 << 20) - (512 << 10)) // 64 * 5
    assert bound.dram_bytes == (16 << 20) + 16 * 9 * 128 + 16 * 64 * 64 + 32
