"""Tiles of several images: the same integers, in less traffic of weights, and what is refused."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from accelc.chip import load_chip
from accelc.errors import MappingError
from accelc.graph import Graph
from accelc.lower import lower
from accelc.schedule import Schedule, schedule
from accelc.schedule.dump import dump_mapping
from accelc.schedule.mapping import Mapping, Pin, parse_mapping
from accelc.sim.timing import time_program
from tests.lower.graphs import Net
from tests.lower.test_lower import CASES, small_chip
from tests.schedule.test_cascade import differing

EDGE = load_chip("edge")
CHIPS = {name: load_chip(name) for name in ("edge", "gemmini", "eyeriss", "shidiannao", "edge_2core")}
CHIPS["small"] = small_chip()


def plain(net: Net) -> str:
    return net.conv(net.input(5, 20, 9, 9), 70, pads=(1, 1, 1, 1))


def pooled(net: Net) -> str:
    y = net.conv(net.input(3, 12, 12, 12), 40, pads=(1, 1, 1, 1))
    return net.conv(net.pool("max_pool", y, (3, 3), (2, 2), (1, 1, 1, 1)), 24, (1, 1))


def residual(net: Net) -> str:
    y = net.conv(net.input(4, 16, 8, 8), 32, pads=(1, 1, 1, 1))
    z = net.conv(net.conv(y, 48, (1, 1)), 32, pads=(1, 1, 1, 1))
    return net.layer("add", (y, z), net.shape(y))


def grouped(net: Net) -> str:
    return net.conv(net.input(4, 24, 10, 10), 48, group=3, pads=(1, 1, 1, 1))


NETS: dict[str, Callable[[Net], str]] = {f.__name__: f for f in (plain, pooled, residual, grouped)}


def graph_of(name: str, chip: str = "edge") -> Graph:
    net = Net(5, "int16" if CHIPS[chip].array.operand_bits == 16 else "uint8")
    return net.graph(NETS[name](net))


def together(graph: Graph, chip: str, images: int, **more: object) -> Schedule:
    """Return the schedule in which convolutions take so many images at a time."""
    pin = Pin(images=images, **more)  # type: ignore[arg-type]
    return schedule(graph, CHIPS[chip], mapping=Mapping(defaults=pin))


@pytest.mark.parametrize("chip", list(CHIPS))
@pytest.mark.parametrize("name", list(NETS))
@pytest.mark.parametrize("images", [2, 3])
def test_several_images_give_the_same_integers(name: str, chip: str, images: int) -> None:
    graph = graph_of(name, chip)
    found = together(graph, chip, images)
    taken = {plan.tiling.images for plan in found.plans if plan.tiling and plan.stage.head}
    assert taken == {min(images, graph.tensors[graph.inputs[0]].shape[0])}
    assert differing(graph, found) == 0


@pytest.mark.parametrize("order", ["weights", "map"])
@pytest.mark.parametrize("pins", [{"slots": 1}, {"sums": 1}, {"rows": 4, "cols": 5}, {"depth": 8, "kernel_rows": 2}])
def test_they_go_with_any_other_cut(order: str, pins: dict[str, int]) -> None:
    graph = graph_of("plain")
    assert differing(graph, together(graph, "edge", 2, order=order, **pins)) == 0


def test_weights_that_do_not_stay_are_loaded_once_for_all_images_of_a_tile() -> None:
    """512 KiB of weights, with bias and scale of 1,024 channels, pass for each of four images, or for each two."""
    net = Net(1)
    graph = net.graph(net.conv(net.input(4, 512, 7, 7), 1024, (1, 1)))
    one, two = (together(graph, "edge", n, order="map", channels=256, slots=2) for n in (1, 2))
    read = [time_program(lower(plan, EDGE), EDGE).dram_read_bytes for plan in (one, two)]
    assert read[0] - read[1] == 2 * (512 + 8) * 1024


def test_the_search_takes_several_images_where_that_is_faster() -> None:
    net = Net(1)
    graph = net.graph(net.conv(net.input(8, 512, 7, 7), 512, pads=(1, 1, 1, 1)))
    free, one = schedule(graph, EDGE), together(graph, "edge", 1)
    assert free.plans[0].tiling is not None
    assert free.plans[0].tiling.images > 1
    cycles = [time_program(lower(plan, EDGE), EDGE).cycles for plan in (free, one)]
    assert cycles[0] < cycles[1]


def test_a_dump_gives_the_same_program() -> None:
    graph = graph_of("residual")
    first = together(graph, "edge", 3)
    again = schedule(graph, EDGE, mapping=parse_mapping(dump_mapping(first)))
    assert "images = 3" in dump_mapping(first)
    assert lower(again, EDGE).rows.tobytes() == lower(first, EDGE).rows.tobytes()


@pytest.mark.parametrize(
    ("case", "layer", "images", "rule"),
    [
        ("conv_dilated_batch", "conv0", 3, "images = 3: there are 2 images in the batch"),
        ("fc_batch", "fc0", 2, "images = 2: its images are the rows of one map; rows would work"),
        ("conv_deep", "conv0", 2, "images = 2: there are 1 images in the batch"),
    ],
)
def test_what_has_no_such_images_refuses(case: str, layer: str, images: int, rule: str) -> None:
    net = Net(2)
    graph = net.graph(CASES[case](net))
    with pytest.raises(MappingError, match=rule):
        schedule(graph, EDGE, mapping=Mapping({layer: Pin(images=images)}))


def test_a_depthwise_convolution_refuses_several() -> None:
    net = Net(2)
    graph = net.graph(net.conv(net.input(2, 16, 9, 9), 16, group=16))
    with pytest.raises(MappingError, match="only images of a convolution that is not depthwise meet in one tile"):
        schedule(graph, EDGE, mapping=Mapping({"conv0": Pin(images=2)}))
