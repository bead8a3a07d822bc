"""A stage shared out over cores: every element is made once, the predicted cost obeys the laws, pins are followed."""

from __future__ import annotations

from collections import Counter
from itertools import product

import pytest

from accelc.chip import Chip, load_chip
from accelc.errors import MappingError
from accelc.graph import Graph
from accelc.lower.tile import map_tiles
from accelc.schedule import Schedule, schedule
from accelc.schedule.dump import dump_mapping
from accelc.schedule.mapping import Mapping, Pin, parse_mapping
from accelc.schedule.split import SPLITS, blocks_of, shared, shares
from tests.lower.graphs import Net
from tests.lower.test_lower import CASES, small_chip
from tests.schedule.test_laws import network

EDGE = load_chip("edge")


def with_cores(chip: Chip, cores: int) -> Chip:
    return Chip.model_validate({**chip.model_dump(), "cores": cores})


def split_so(kind: str, graph: Graph, chip: Chip) -> Schedule:
    """Return the schedule in which every stage that can be is shared out in one way."""
    return schedule(graph, chip, residency=False, mapping=Mapping(defaults=Pin(split=kind)))  # type: ignore[arg-type]


@pytest.mark.parametrize("cores", [2, 3, 16])
@pytest.mark.parametrize("kind", SPLITS[1:])
@pytest.mark.parametrize("name", ["conv_dilated_batch", "depthwise", "grouped_many", "grouped_odd", "fc_batch"])
def test_the_cores_make_each_element_once(name: str, kind: str, cores: int) -> None:
    net = Net(3)
    plans = split_so(kind, net.graph(CASES[name](net)), with_cores(small_chip(), cores)).plans
    for plan in plans:
        g, t = plan.geometry, plan.tiling
        assert g is not None
        assert t is not None
        made = Counter[tuple[int, ...]]()
        for share in shares(g, t):
            for tile, block in product(map_tiles(g, t, share), blocks_of(g, t.channels, share)):
                rows, cols = range(tile.top, tile.bottom), range(tile.left, tile.right)
                images = range(tile.image, tile.image + tile.images)
                made.update(product(images, rows, cols, range(block.first, block.first + block.count)))
        every = product(range(g.batch), range(g.out[0]), range(g.out[1]), range(g.out[2]))
        assert made == Counter(every)
        assert len(shares(g, t)) == t.shares <= cores


@pytest.mark.parametrize("kind", SPLITS[1:])
def test_the_priced_share_is_the_largest(kind: str) -> None:
    for plan in split_so(kind, network(batch=3), with_cores(EDGE, 4)).plans:
        g, t = plan.geometry, plan.tiling
        assert g is not None
        assert t is not None
        assert t.split == kind
        priced = shared(g, t.split, t.shares)
        sizes = [[end - first for first, end in (s.images, s.rows, s.channels)] for s in shares(g, t)]
        assert [max(each) for each in zip(*sizes, strict=True)] == [priced.batch, priced.out[0], priced.out[2]]


def predicted(chip: Chip, batch: int = 1) -> int:
    return sum(plan.cost.alone for plan in schedule(network(batch), chip).plans if plan.cost is not None)


@pytest.mark.parametrize("batch", [1, 4])
def test_twice_the_cores_are_never_predicted_slower_nor_more_than_twice_as_fast(batch: int) -> None:
    alone, two, four = (predicted(with_cores(EDGE, cores), batch) for cores in (1, 2, 4))
    assert alone >= two >= four
    assert two * 2 >= alone
    assert four * 4 >= alone


def test_work_that_waits_for_the_dram_gains_nothing() -> None:
    """A matrix product reads each weight once: more cores read the same bytes over the same bus."""
    net = Net(0)
    graph = net.graph(net.fc(net.input(1, 4096), 4096))
    alone, four = (schedule(graph, with_cores(EDGE, cores)).plans[0].cost for cores in (1, 4))
    assert alone is not None
    assert four is not None
    assert alone.dma > 2 * alone.mac
    assert four.cycles >= 0.95 * alone.cycles


def test_a_chip_of_one_core_is_shared_out_by_nobody() -> None:
    with pytest.raises(MappingError, match="split = \"rows\": chip 'edge' has one core"):
        schedule(network(), EDGE, mapping=Mapping({"conv0": Pin(split="rows")}))
    assert all(plan.tiling.shares == 1 for plan in schedule(network(), EDGE).plans if plan.tiling)
    assert "split" not in dump_mapping(schedule(network(), EDGE))


def test_a_split_that_cannot_be_is_refused_with_those_that_can() -> None:
    chip = with_cores(EDGE, 2)
    with pytest.raises(MappingError, match='layer \'conv0\': split = "batch": "none", "rows", "channels" would work'):
        schedule(network(), chip, mapping=Mapping({"conv0": Pin(split="batch")}))
    with pytest.raises(MappingError, match="hold = true: what one core holds"):
        schedule(network(), chip, mapping=Mapping({"conv0": Pin(split="rows", hold=True)}))
    with pytest.raises(MappingError, match='split = "cols": "none", "rows", "channels" or "batch" would work'):
        parse_mapping('[layers.conv0]\nsplit = "cols"')


def test_a_dumped_mapping_shares_out_alike() -> None:
    chip = with_cores(EDGE, 4)
    first = schedule(network(), chip)
    again = schedule(network(), chip, mapping=parse_mapping(dump_mapping(first)))
    assert {plan.tiling.split for plan in first.plans if plan.tiling} - {"none"}
    assert [plan.tiling for plan in again.plans] == [plan.tiling for plan in first.plans]
    assert again.residency.places == first.residency.places
