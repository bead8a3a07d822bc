"""Stages share tiles, views move nothing, tilings fit, placements reuse dead bytes."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from accelc.chip import load_chip
from accelc.errors import ScheduleError
from accelc.graph import Graph
from accelc.schedule import schedule
from accelc.schedule.allocate import Life, peak_live, place
from accelc.schedule.geometry import Window, pack_groups
from accelc.schedule.stages import prepare
from accelc.schedule.tiling import channel_blocks, fits, footprint
from accelc.schedule.views import plan_views
from tests.lower.graphs import Net

EDGE = load_chip("edge")


def names(graph: Graph) -> list[list[str]]:
    _, _, stages = prepare(graph)
    return [[layer.op for layer in stage.layers] for stage in stages]


def test_a_residual_addition_rides_with_its_convolution() -> None:
    net = Net(0)
    x = net.input(1, 16, 8, 8)
    y = net.conv(x, 16, pads=(1, 1, 1, 1))
    out = net.layer("relu", (net.layer("add", (y, x), net.shape(y)),), net.shape(y))
    assert names(net.graph(out)) == [["conv", "add", "relu"]]


def test_the_branch_computed_last_takes_the_addition() -> None:
    """The other branch is stored before; the stage runs where its last layer stands."""
    net = Net(0)
    x = net.input(1, 16, 8, 8)
    left, right = net.conv(x, 16, (1, 1)), net.conv(x, 16, (1, 1))
    out = net.layer("add", (left, right), net.shape(left))
    assert names(net.graph(out)) == [["conv"], ["conv", "add"]]


def test_a_tensor_with_two_readers_is_stored() -> None:
    net = Net(0)
    y = net.conv(net.input(1, 16, 8, 8), 16, (1, 1))
    a, b = net.layer("relu", (y,), net.shape(y)), net.layer("sigmoid", (y,), net.shape(y))
    assert names(net.graph(a, b)) == [["conv"], ["relu"], ["sigmoid"]]


def test_a_graph_output_ends_its_stage() -> None:
    net = Net(0)
    y = net.conv(net.input(1, 16, 8, 8), 16, (1, 1))
    out = net.layer("relu", (y,), net.shape(y))
    assert names(net.graph(y, out)) == [["conv"], ["relu"]]


def test_concat_inputs_of_one_scale_lie_inside_the_result() -> None:
    net = Net(0)
    x, quant = net.input(1, 16, 8, 8), net.quant()
    parts = [net.conv(x, k, (1, 1)) for k in (24, 8)]
    for name in parts:
        net.tensors[name] = replace(net.tensors[name], quant=quant)
    out = net.layer("concat", tuple(parts), (1, 32, 8, 8), quant, axis=1)
    views = plan_views(net.graph(out))
    assert [(views[p].region, views[p].offset, views[p].pitch) for p in parts] == [(out, 0, 32), (out, 24, 32)]
    assert names(net.graph(out)) == [["conv"], ["conv"]]


def test_a_strided_slice_is_a_view() -> None:
    net = Net(0)
    x = net.input(1, 16, 8, 8)
    part = net.layer("slice", (x,), (1, 16, 4, 4), net.tensors[x].quant, starts=(0, 0, 1, 0), steps=(1, 1, 2, 2))
    view = plan_views(net.graph(net.conv(part, 16, (1, 1))))[part]
    assert (view.region, view.offset, view.strides[1:]) == (x, 8 * 16, (2 * 8 * 16, 2 * 16))


def test_fc_after_flatten_reads_the_map_as_it_lies() -> None:
    net = Net(0)
    x = net.input(1, 16, 3, 3)
    y = net.fc(net.layer("reshape", (x,), (1, 144), net.tensors[x].quant), 10)
    assert names(net.graph(y)) == [["conv"]]


@given(
    st.builds(Window, st.integers(1, 5), st.integers(1, 3), st.integers(1, 3), st.integers(0, 4), st.integers(0, 4)),
    st.integers(1, 30),
    st.integers(0, 20),
    st.integers(1, 6),
)
def test_a_window_needs_what_its_taps_read(window: Window, extent: int, first: int, count: int) -> None:
    """Frame and padding agree with walking every tap of every output."""
    taps = [
        y * window.stride - window.before + k * window.dilation
        for y in range(first, first + count)
        for k in range(window.kernel)
    ]
    start, stop, before, after = window.needs(first, first + count, extent)
    assert stop - start + before + after == max(taps) - min(taps) + 1 == window.span(count)
    inside = range(max(min(taps), 0), min(max(taps) + 1, extent))
    assert (start, stop) == ((inside.start, inside.stop) if inside else (0, 0))


def test_groups_fill_the_array_on_its_diagonal() -> None:
    assert pack_groups(32, 128, 128, EDGE) == (4, 32, 32)  # 8 groups of 4 channels share a 32 x 32 tile
    assert pack_groups(2, 96, 256, EDGE) == (2, 48, 128)  # a group larger than the array stays alone
    assert pack_groups(10, 20, 30, EDGE) == (1, 20, 30)  # 3 outputs a group: only all ten make fours and sixteens


def test_every_plan_fits_and_covers_its_channels() -> None:
    net = Net(0)
    x = net.input(1, 64, 40, 40)
    y = net.pool("max_pool", net.conv(x, 200, pads=(1, 1, 1, 1)), (3, 3), (2, 2), (1, 1, 1, 1))
    out = net.conv(y, 64, pads=(1, 1, 1, 1), group=4)
    for plan in schedule(net.graph(out), EDGE).plans:
        assert plan.geometry is not None
        assert plan.tiling is not None
        assert fits(plan.geometry, plan.tiling, footprint(plan.geometry, plan.tiling, 0), EDGE)
        blocks = channel_blocks(plan.geometry, plan.tiling.channels)
        covered = [c for block in blocks for c in range(block.first, block.first + block.count)]
        assert covered == list(range(plan.geometry.mid[2]))


lives = st.lists(
    st.tuples(st.integers(1, 40), st.integers(0, 12), st.integers(0, 6)).map(
        lambda t: Life("", 64 * t[0], t[1], t[1] + t[2])
    ),
    max_size=12,
).map(lambda found: [replace(life, name=str(k)) for k, life in enumerate(found)])


@given(lives)
def test_regions_alive_together_never_overlap(found: list[Life]) -> None:
    placement = place(found)
    spans = [(life, placement.offsets[life.name]) for life in found]
    for k, (a, at) in enumerate(spans):
        for b, bt in spans[:k]:
            together = a.first <= b.last and b.first <= a.last
            assert not together or at + a.bytes <= bt or bt + b.bytes <= at
    assert placement.bytes >= placement.peak_live_bytes == peak_live(found)


def test_dead_activations_are_reused() -> None:
    """Five equal maps in a chain never take more than two at once."""
    net = Net(0)
    y = net.input(1, 16, 16, 16)
    for _ in range(5):
        y = net.conv(y, 16, pads=(1, 1, 1, 1))
    assert schedule(net.graph(y), EDGE, residency=False).placement.bytes == 2 * 16 * 16 * 16


def test_equal_inputs_give_equal_schedules() -> None:
    net = Net(3)
    graph = net.graph(net.conv(net.input(1, 64, 40, 40), 200, pads=(1, 1, 1, 1)))
    assert str(schedule(graph, EDGE)) == str(schedule(graph, EDGE))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"dataflow": "os"}, r"dataflow 'os' is not offered by chip 'edge' \(auto, ws\)"),
        ({"objective": "area"}, "objective 'area' is unknown; known: latency, energy, edp"),
    ],
)
def test_what_the_chip_does_not_offer_is_refused(options: dict[str, str], message: str) -> None:
    net = Net(0)
    graph = net.graph(net.conv(net.input(1, 4, 8, 8), 4))
    with pytest.raises(ScheduleError, match=message):
        schedule(graph, EDGE, **options)  # type: ignore[arg-type]
