"""The prediction: a schedule's work replayed by hand-made figures, and held against execution."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from accelc.chip import Chip, load_chip
from accelc.compiler import Options, compile_stages
from accelc.isa import Space
from accelc.lower import lower
from accelc.report.result import missed_cause
from accelc.run import run_compiled
from accelc.schedule.constants import constant_bytes
from accelc.schedule.replay import ARRAY, CAUSES, DEPENDENCY, DMA_WAIT, VECTOR_WORK, charge, replay
from accelc.schedule.sampling import sampled
from accelc.schedule.transfer import Runs, burst_interval, refresh_factor, transfer
from accelc.schedule.work import LOAD, MAC, STORE, VECTOR, Range, Work
from accelc.sim.timing import time_program
from tests.lower.test_images import graph_of, together

EDGE, GEMMINI = load_chip("edge"), load_chip("gemmini")
ISSUE, OPEN = EDGE.timing.dma_issue_cycles, EDGE.timing.dram_activate_cycles
ACCESS, BURST = EDGE.timing.dram_access_cycles, EDGE.timing.dram_burst_cycles


def ranges(chip: Chip, *spaces: Space) -> tuple[Work, list[Range]]:
    """Return a Work and ranges of 64 units, one after the other in each space."""
    return Work(chip), [(space, 64 * k, 64 * (k + 1)) for k, space in enumerate(spaces)]


def bursts(count: int, start: int = 0) -> Runs:
    """Return a transfer of so many bursts, which follow each other in the DRAM."""
    return Runs(start, count * EDGE.timing.dram_burst_bytes)


def test_a_tile_by_hand() -> None:
    """Load 20 bursts (a row opens first), array 50, vector 20, store 6 in the row that is open: one after the other."""
    work, (act, wgt, acc, out) = ranges(EDGE, Space.ACT, Space.WGT, Space.ACC, Space.ACT)
    work.move(LOAD, bursts(20), act)
    work.compute(MAC, 50, [act, wgt], [acc])
    work.compute(VECTOR, 20, [acc], [out])
    work.move(STORE, bursts(6), out)
    times, loaded = replay(work), ISSUE + OPEN + ACCESS + 20 * BURST
    stored = loaded + 70 + ISSUE + ACCESS + 6 * BURST
    assert times.end == [loaded, loaded + 50, loaded + 70, stored]
    row = charge(work, times, 1)[0]
    assert sum(row) == stored
    assert row[ARRAY] == 50
    assert row[VECTOR_WORK] == 20
    assert row[DMA_WAIT] == OPEN + 2 * ACCESS + 26 * BURST
    assert row[DEPENDENCY] == 2 * ISSUE


def test_a_load_waits_for_what_its_slot_holds() -> None:
    """The second load fills the place that the array reads until 300; one of its own would let it start at once."""
    ends, once = [], ISSUE + ACCESS + BURST
    for second in (0, 1):
        work, slots = ranges(EDGE, Space.ACT, Space.ACT, Space.ACC)
        work.move(LOAD, bursts(1), slots[0])
        work.compute(MAC, 300 - once - OPEN, [slots[0]], [slots[2]])
        work.move(LOAD, bursts(1), slots[second])
        ends.append(replay(work).end[-1])
    assert ends == [300 + once, 2 * once + OPEN]


def test_loads_and_stores_share_the_bus() -> None:
    """A load and a store of 100 bursts each, in rows of different banks, take as long as 200; apart, one after 100."""
    work, (act, out) = ranges(EDGE, Space.ACT, Space.ACT)
    work.move(LOAD, bursts(100), act)
    work.move(STORE, bursts(100, 8 * EDGE.timing.dram_row_bytes), out)
    assert max(replay(work).end) >= ISSUE + OPEN + ACCESS + 200 * BURST
    alone, (act,) = ranges(EDGE, Space.ACT)
    alone.move(LOAD, bursts(100), act)
    assert max(replay(alone).end) < 130 + 100 * BURST


def test_another_core_waits_at_the_sync() -> None:
    """What a core reads of another's result it has after the sync; what it does apart does not wait."""
    work, (act, acc) = ranges(load_chip("edge_2core"), Space.ACT, Space.ACC)
    work.move(STORE, bursts(9), act)
    work.meet()
    work.core, work.now = 1, (1, 1.0)
    work.compute(VECTOR, 10, [], [acc])
    work.move(LOAD, bursts(1), act)
    times, stored = replay(work), ISSUE + OPEN + ACCESS + 9 * BURST
    assert times.end[0] == stored
    assert times.start == [0, stored, 0, stored]


def test_a_bank_with_one_port_serves_one_unit_at_a_time() -> None:
    """On `gemmini` both tiles lie in one bank of the scratchpad, so the units take turns; on `edge` they do not."""
    for chip, end in ((GEMMINI, 300), (EDGE, 200)):
        work, (a, b, acc, other) = ranges(chip, Space.ACT, Space.ACT, Space.ACC, Space.ACC)
        work.compute(MAC, 200, [a], [acc])
        work.compute(VECTOR, 100, [other], [b])
        assert max(replay(work).end) == end


def test_data_that_pass_a_bank_slow_the_unit_that_holds_it() -> None:
    """On `gemmini` a burst into the array's bank takes its one port as long as its bytes do, into another none."""
    stolen, bank = [], GEMMINI.timing.act_bytes // GEMMINI.timing.act_banks
    assert GEMMINI.buffers.unified is not None
    for far in (64, bank):
        work, (a, acc) = ranges(GEMMINI, Space.ACT, Space.ACC)
        work.compute(MAC, 1000, [a], [acc])
        work.move(LOAD, bursts(1), (Space.ACT, far, far + 64))
        times = replay(work)
        assert times.end[0] == 1000 + times.stolen[0]
        stolen.append(times.stolen[0])
    assert stolen == [-(-GEMMINI.timing.dram_burst_bytes // GEMMINI.buffers.unified.width_bytes), 0]


@given(st.integers(1, 9), st.integers(1, 9), st.integers(1, 200), st.integers(0, 40), st.integers(0, 40))
def test_runs_that_adjoin_are_one(rows: int, cols: int, size: int, gap: int, more: int) -> None:
    """Joining keeps the bytes, and leaves no neighbors without a gap."""
    runs = Runs(64, size, cols, size + gap, rows, cols * (size + gap) + more)
    made = runs.joined
    assert made.total == runs.total
    assert made.range == runs.range
    assert gap or made.cols == 1
    assert made.rows == (1 if rows == 1 or not (gap or more) else rows) or cols == 1


@given(st.integers(1, 500), st.integers(1, 60))
def test_what_is_written_out_stands_for_all(count: int, kept: int) -> None:
    chosen = sampled(count, kept)
    assert len(chosen) == min(count, kept)
    assert [k for k, _ in chosen] == sorted({k for k, _ in chosen})
    assert all(0 <= k < count for k, _ in chosen)
    assert sum(weight for _, weight in chosen) == pytest.approx(count)


@settings(deadline=None)
@given(st.integers(1, 9), st.integers(1, 300), st.integers(0, 200), st.integers(0, 5000))
def test_bursts_are_those_that_runs_cover(runs: int, run_bytes: int, gap: int, start: int) -> None:
    """Exact where all runs begin at one place within a burst; else the mean over the places they may begin at."""
    c, step = EDGE.timing, run_bytes + gap
    size = c.dram_burst_bytes
    found = transfer(c, runs, run_bytes, step, start=start)
    places = [start + k * step for k in range(runs)]
    covered = sum((at + run_bytes - 1) // size - at // size + 1 for at in places)
    if len({at % size for at in places}) == 1:
        assert found.bursts == covered
    else:
        many = [start + k * step for k in range(runs * size)]
        mean = sum((at + run_bytes - 1) // size - at // size + 1 for at in many) / size
        assert found.bursts == math.ceil(mean - 1e-9)
    assert found.bus >= found.bursts * burst_interval(c) * refresh_factor(c) - 1


def test_the_cause_of_a_miss_is_the_one_that_differs_most() -> None:
    stalls = {"compute": 70, "fill_drain": 20, "weight_load": 10, "dma_wait": 40, "vector": 5}
    assert missed_cause({"array": 100, "dma_wait": 40, "vector": 5}, stalls) == "exact"
    assert missed_cause({"array": 98, "dma_wait": 10, "vector": 5}, stalls) == "dma_wait"
    assert missed_cause({"array": 80, "dma_wait": 40, "vector": 0}, stalls) == "array"


@pytest.mark.parametrize(
    ("network", "chip"),
    [
        ("resnet18", "edge"),
        ("resnet18", "edge_4core"),
        ("resnet18", "gemmini"),
        ("resnet18", "tpu_v1"),
        ("resnet18", "nvdla_large"),
        ("googlenet", "edge"),
        ("googlenet", "cambricon"),
    ],
)
def test_a_schedule_written_out_whole_is_predicted_to_the_cycle(network: str, chip: str) -> None:
    """Stages abreast, in stripes, shared by cores, on banks with one port: every cause of every stage."""
    result = run_compiled(compile_stages(network, chip, Options()), values=False).result
    for layer in (layer for layer in result.layers if layer.stage_cycles):
        assert layer.missed_by == "exact" or "core" in chip
        assert abs(layer.predicted_cycles - layer.stage_cycles) <= 2 * ("core" in chip)
    assert abs(result.predicted_cycles - result.cycles) <= len(result.layers) * ("core" in chip)
    assert set(result.predicted) == set(CAUSES)


@pytest.mark.parametrize("chip", ["edge", "gemmini", "edge_2core"])
@pytest.mark.parametrize("name", ["plain", "pooled", "residual", "grouped"])
def test_tiles_of_several_images_are_predicted_to_the_cycle(name: str, chip: str) -> None:
    plan = together(graph_of(name, chip), chip, 2)
    cycles = time_program(lower(plan, plan.chip), plan.chip).cycles
    assert abs(sum(each.cycles for each in plan.expected) - cycles) <= len(plan.plans) * (plan.chip.cores > 1)


def test_where_constants_lie_is_known_before_they_are_packed() -> None:
    """Their bytes, all told: tables, weights and parameters that stages share, operands, numbers of streams."""
    for network in ("recurrent_cnn_seg", "ssd300", "srgan_generator", "word_lm"):
        done = compile_stages(network, "edge", Options(tiny=True))
        assert done.schedule is not None
        assert done.program is not None
        assert constant_bytes(done.schedule) == len(done.program.constants)


@pytest.mark.parametrize(("network", "kinds"), [("ssd300", {"copy", "stream", "host"}), ("unet", {"copy"})])
def test_copies_streams_and_host_work_are_predicted(network: str, kinds: set[str]) -> None:
    """Of reduced networks, to the cycle."""
    done = compile_stages(network, "edge", Options(tiny=True))
    assert done.schedule is not None
    result = run_compiled(done, values=False).result
    found = {plan.stage.layers[0].name: plan.stage.kind for plan in done.schedule.plans}
    seen = set()
    for kind in kinds:
        layers = [layer for layer in result.layers if layer.stage_cycles and found[layer.name] == kind]
        real, ours = (sum(getattr(x, name) for x in layers) for name in ("stage_cycles", "predicted_cycles"))
        seen |= {kind} if layers else set()
        assert abs(ours - real) <= len(layers)
    assert seen == kinds
    assert result.predicted_cycles == sum(each.cycles for each in done.schedule.expected)
