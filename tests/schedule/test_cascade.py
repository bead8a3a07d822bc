"""Runs of stages in stripes: rows as each stage needs them, the same integers, fewer bytes, and what is refused."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from accelc.arithmetic import dequantize_array
from accelc.chip import Chip, load_chip
from accelc.errors import MappingError
from accelc.graph import Graph, verify_quantized
from accelc.lower import lower
from accelc.reference import run
from accelc.schedule import Schedule, schedule
from accelc.schedule.cascade import moves_of
from accelc.schedule.dump import dump_mapping
from accelc.schedule.geometry import Geometry, Window
from accelc.schedule.mapping import Mapping, Pin, parse_mapping
from accelc.schedule.stripes import Band, Link, bands_of, cut_rows, ends_of, reach
from accelc.sim.hazards import check_hazards
from accelc.sim.machine import Machine
from accelc.sim.timing import time_program
from tests.lower.graphs import Net
from tests.lower.test_lower import random_inputs, small_chip

EDGE = load_chip("edge")
CHIPS = {"edge": EDGE, "gemmini": load_chip("gemmini"), "small": small_chip()}


def window(kernel: int, stride: int, dilation: int, before: int) -> Window:
    return Window(kernel, stride, dilation, before, before)


WINDOWS = st.builds(window, st.integers(1, 4), st.integers(1, 3), st.integers(1, 2), st.integers(0, 2))


def geometry(height: int, conv: Window, pool: Window | None) -> Geometry | None:
    """Return a geometry of which only rows matter, None if a window does not fit."""
    mid = (height + 2 * conv.before - conv.reach) // conv.stride + 1
    out = mid if pool is None else (mid + 2 * pool.before - pool.reach) // pool.stride + 1
    if min(mid, out) < 1 or conv.before >= conv.reach or (pool is not None and pool.before >= pool.reach):
        return None
    whole = (height, 1, 1), (mid, 1, 1), (out, 1, 1)
    pools = None if pool is None else (pool, Window())
    return Geometry(True, False, 1, *whole, (conv, Window()), pools, 1, 1, 1, 1, 0, False, False, 0, 0)


CHAINS = st.lists(st.tuples(WINDOWS, st.none() | WINDOWS), min_size=2, max_size=4)


Windows = tuple[Window, Window | None]


def chain(height: int, windows: list[Windows]) -> list[Geometry]:
    found: list[Geometry] = []
    for conv, pool in windows:
        made = geometry(found[-1].out[0] if found else height, conv, pool)
        if made is None:
            return found
        found.append(made)
    return found


@given(st.integers(6, 40), CHAINS, st.integers(2, 6))
def test_each_stripe_finds_the_rows_it_reads(height: int, windows: list[Windows], count: int) -> None:
    """Stripes make every row once; each reads rows that lie in the band, made or padding; what stays is moved."""
    stages = chain(height, windows)
    links = [Link(g, (k + 1,) if k + 1 < len(stages) else ()) for k, g in enumerate(stages)]
    ends = ends_of(links, count) if links and count <= min(g.out[0] for g in stages) else None
    if ends is None:
        return
    for k, g in enumerate(stages):
        assert ends[k] == sorted(ends[k])
        assert ends[k][-1] == g.out[0]
    for k in range(len(stages) - 1):
        bands = bands_of(links, ends, k)
        if bands is None:
            continue
        cells: list[int | None] = []  # which row of the map lies in each row of the band
        for stripe, band in enumerate(bands):
            cells = follow(cells, band.end - band.first, band)
            assert all(band.first <= row < band.end for row in range(band.made, ends[k][stripe]))
            made = range(band.made, ends[k][stripe])
            cells = [band.first + i if band.first + i in made else cell for i, cell in enumerate(cells)]
            done = ends[k + 1][stripe - 1] if stripe else 0
            if done < ends[k + 1][stripe]:
                read = reach(stages[k + 1], (done, ends[k + 1][stripe]))
                assert read is not None
                assert band.first <= read.low
                assert read.high <= band.end
                assert all(cells[row - band.first] == row for row in range(*read.source))


def follow(cells: list[int | None], size: int, band: Band) -> list[int | None]:
    """Return a band's rows after the moves at the start of a stripe."""
    cells = cells + [None] * (size - len(cells))
    for row, end in moves_of(band):
        step = band.first - (band.before or 0)
        assert end <= row or row - step + (end - row) <= row  # what moves at once does not overlap where it goes
        cells[row - step : end - step] = cells[row:end]
    return cells


@given(st.integers(6, 40), WINDOWS, st.none() | WINDOWS, st.integers(0, 30), st.integers(1, 12))
def test_a_cut_reads_what_the_whole_reads(
    height: int, conv: Window, pool: Window | None, first: int, rows: int
) -> None:
    """The windows of a stripe's geometry meet the same cells, counted from its own first row."""
    g = geometry(height, conv, pool)
    if g is None or first >= g.out[0] or reach(g, (first, min(first + rows, g.out[0]))) is None:
        return
    end = min(first + rows, g.out[0])
    cut, part = cut_rows(g, (first, end))
    assert cut.out[0] == end - first
    for row in range(first, end):
        mid = (row, row + 1) if g.pool is None else g.pool[0].needs(row, row + 1, g.mid[0])[:2]
        mine = (row - first, row - first + 1)
        if g.pool is not None and cut.pool is not None:
            got = cut.pool[0].needs(*mine, cut.mid[0])
            wanted = g.pool[0].needs(row, row + 1, g.mid[0])
            if wanted[0] == wanted[1]:
                continue
            assert (got[0] + part.mid, got[1] + part.mid, *got[2:]) == wanted
        wanted = g.conv[0].needs(*mid, g.source[0])
        got = cut.conv[0].needs(mid[0] - part.mid, mid[1] - part.mid, cut.source[0])
        if wanted[0] < wanted[1]:
            assert (got[0] + part.source, got[1] + part.source, *got[2:]) == wanted


Build = Callable[[Net], str]


def three(net: Net) -> str:
    y = net.input(1, 8, 40, 23)
    for pads in ((1, 1, 1, 1), (2, 1, 0, 1), (1, 1, 1, 1)):
        y = net.conv(y, 24, pads=pads)
    return y


def strided(net: Net) -> str:
    y = net.conv(net.input(1, 8, 61, 20), 16, (5, 3), (2, 1), (2, 1, 2, 1))
    y = net.conv(y, 20, pads=(2, 2, 2, 2), dilations=(2, 2))
    return net.conv(y, 36, (1, 1), (3, 1))


def pooled(net: Net) -> str:
    y = net.conv(net.input(1, 3, 50, 30), 32, pads=(1, 1, 1, 1))
    y = net.conv(y, 32, pads=(1, 1, 1, 1))
    y = net.pool("max_pool", y, (3, 3), (2, 2), (1, 1, 1, 1))
    y = net.pool("avg_pool", net.conv(y, 16), (2, 2), (2, 2), include=1, ceil=True)
    return net.conv(y, 16, pads=(1, 1, 1, 1))


def residual(net: Net) -> str:
    x = net.conv(net.input(1, 8, 40, 20), 32, pads=(1, 1, 1, 1))
    y = net.conv(net.conv(x, 16, (1, 1)), 32, pads=(1, 1, 1, 1))
    total = net.layer("add", (y, x), net.shape(y), net.quant())
    return net.conv(total, 16, (1, 1))


def branches(net: Net) -> str:
    x = net.conv(net.input(1, 8, 36, 18), 32, pads=(1, 1, 1, 1))
    one = net.conv(x, 16, (1, 1))
    two = net.conv(net.conv(x, 16, (1, 1)), 16, (5, 5), pads=(2, 2, 2, 2))
    for name in (one, two):
        net.tensors[name] = replace(net.tensors[name], quant=net.tensors[one].quant)
    joined = net.layer("concat", (one, two), (1, 32, 36, 18), net.tensors[one].quant, axis=1)
    return net.conv(joined, 16, pads=(1, 1, 1, 1))


def separable(net: Net) -> str:
    y = net.conv(net.input(1, 16, 40, 20), 32, (1, 1))
    y = net.conv(y, 32, pads=(1, 1, 1, 1), group=32, activation=("relu",))
    return net.conv(net.conv(y, 24, (1, 1)), 24, pads=(1, 1, 1, 1), group=4)


CASES: dict[str, Build] = {b.__name__: b for b in (three, strided, pooled, residual, branches, separable)}


def asked(graph: Graph, chip: Chip, stripes: int) -> Mapping:
    """Return the mapping that runs all stages but the first in one run, no map held whole."""
    free = schedule(graph, chip, residency=False)
    names = [plan.stage.layers[-1].name for plan in free.plans]
    first = free.plans[0].stage.layers[0].name
    pins = {name: Pin(hold=False) for name in names}
    last = names[min(len(names) - 1, 5)]
    pins[first] = replace(pins.get(first, Pin()), stripes=stripes, through=last)
    return Mapping(pins, Pin(abreast=False))


def differing(graph: Graph, plan: Schedule) -> int:
    """Execute a schedule; return how many output integers differ from the reference; check its hazards."""
    program, integers = lower(plan, plan.chip), random_inputs(graph)
    check_hazards(program, plan.chip)
    floats = {name: dequantize_array(data, graph.tensors[name].quant) for name, data in integers.items()}
    values = Machine(program, plan.chip).run(floats).integers
    wanted = run(graph, integers, requantize=plan.chip.requantization)
    return sum(int((values[name] != wanted[name]).sum()) for name in graph.outputs)


CUTS = [("edge", 2), ("edge", 5), ("gemmini", 3), ("small", 10)]
CUT_CASES = [(name, *cut) for name in CASES for cut in CUTS if (name, cut[0]) != ("pooled", "small")]  # too small


@pytest.mark.parametrize(("name", "chip", "stripes"), CUT_CASES)
def test_stripes_compute_the_same(name: str, chip: str, stripes: int) -> None:
    net = Net(len(name), "int8" if stripes == 5 else "uint8")
    graph = verify_quantized(net.graph(CASES[name](net)))
    plan = schedule(graph, CHIPS[chip], mapping=asked(graph, CHIPS[chip], stripes))
    assert max(entry.part.stripe for entry in plan.plans if entry.part is not None) > 0
    assert differing(graph, plan) == 0
    assert time_program(lower(plan, plan.chip), plan.chip).cycles >= lower(plan, plan.chip).notes["lower_bound_cycles"]


@pytest.mark.parametrize("name", ["three", "residual", "separable"])
def test_stripes_of_16_bits_compute_the_same(name: str) -> None:
    chip, net = load_chip("cambricon"), Net(len(name), "int16")
    graph = verify_quantized(net.graph(CASES[name](net)))
    plan = schedule(graph, chip, mapping=asked(graph, chip, 4))
    assert any(entry.part is not None for entry in plan.plans)
    assert differing(graph, plan) == 0


def random_chain(seed: int) -> Graph:
    rng, net = np.random.default_rng(seed), Net(seed)
    y = net.input(1, int(rng.integers(1, 20)), int(rng.integers(24, 60)), int(rng.integers(6, 30)))
    for _ in range(int(rng.integers(3, 6))):
        kernel = int(rng.choice([1, 2, 3, 5]))
        above, below = (int(p) for p in rng.integers(0, kernel, 2))
        dilation = int(rng.choice([1, 1, 2])) if kernel == 3 else 1
        stride = int(rng.choice([1, 1, 2])) if net.shape(y)[2] > 30 else 1
        if net.shape(y)[2] < 4 * kernel * dilation:
            break
        pads = (above, kernel // 2, below, kernel // 2)
        y = net.conv(y, int(rng.integers(4, 40)), (kernel, kernel), (stride, 1), pads, (dilation, 1))
    return verify_quantized(net.graph(y))


def test_random_chains_in_stripes_compute_the_same() -> None:
    """Any kernels, strides, paddings and numbers of stripes; where a stripe would see padding alone there is none."""
    striped = 0
    for seed in range(30):
        graph = random_chain(seed)
        with contextlib.suppress(MappingError):
            plan = schedule(graph, EDGE, mapping=asked(graph, EDGE, 2 + seed % 5))
            assert differing(graph, plan) == 0, seed
            striped += 1
    assert striped >= 20


def tall() -> Graph:
    """Return two convolutions whose map of 160 x 160 x 64 bytes is too large to hold, and takes long to move."""
    net = Net(0)
    y = net.conv(net.input(1, 8, 160, 160), 64, (1, 1))
    return net.graph(net.conv(y, 16, pads=(1, 1, 1, 1)))


def test_maps_too_large_to_hold_go_in_stripes() -> None:
    """The map between is neither stored nor loaded, and its pixels are made once."""
    apart = Mapping({}, Pin(stripes=1))
    plan, whole = schedule(tall(), EDGE), schedule(tall(), EDGE, mapping=apart)
    assert {entry.part.through for entry in plan.plans if entry.part is not None} == {"conv1"}
    assert all(entry.part is None for entry in whole.plans)
    got, before = (time_program(lower(each, EDGE), EDGE) for each in (plan, whole))
    moved, moved_before = (int(t.dram_bytes.sum()) for t in (got, before))
    assert moved < moved_before - 2 * 160 * 160 * 64 * 0.95
    assert got.cycles < before.cycles


def test_a_dump_of_stripes_gives_the_same_program() -> None:
    plan = schedule(tall(), EDGE)
    text = dump_mapping(plan)
    assert 'through = "conv1"' in text
    again = schedule(tall(), EDGE, mapping=parse_mapping(text))
    np.testing.assert_array_equal(lower(again, EDGE).words, lower(plan, EDGE).words)


@pytest.mark.parametrize(
    ("pin", "message"),
    [
        (Pin(through="nobody"), "layer 'conv0': through = 'nobody': that is no layer that ends"),
        (Pin(through="conv2", stripes=300), r"do not fit in act together \(has 524288 bytes\)"),
    ],
)
def test_runs_that_cannot_be_are_refused(pin: Pin, message: str) -> None:
    net = Net(5)
    with pytest.raises(MappingError, match=message):
        schedule(verify_quantized(net.graph(three(net))), EDGE, mapping=Mapping({"conv0": pin}))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[layers.a]\nstripes = 4", "layer 'a': stripes = 4: through = LAYER must say how far"),
        ('[layers.a]\nstripes = 1\nthrough = "b"', "stripes = 1 is no run, through = 'b' one"),
        ('[defaults]\nthrough = "b"', "stripes = 1 may be a default"),
        ("[layers.a]\nstripes = 0", "stripes = 0: a whole number of at least 1 would work"),
    ],
)
def test_what_says_no_run_is_refused(text: str, message: str) -> None:
    with pytest.raises(MappingError, match=message):
        parse_mapping(text)
