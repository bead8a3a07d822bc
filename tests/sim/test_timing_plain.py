"""The fast model equals the plain one, instruction by instruction, on random programs and chips."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from accelc.chip import Chip
from accelc.errors import MachineError
from accelc.isa import Queue, Word
from accelc.sim.stalls import stalls, stalls_of_cores
from accelc.sim.timing import time_program
from tests.sim.plain_timing import PlainTiming
from tests.sim.programs import H, L, M, S, V, chip_with, program, word

KINDS = {"load": L, "load_weights": L, "conv": M, "requantize": V, "add": V, "store": S, "host": H, "sync": Queue.SYNC}
small = st.integers(1, 4)
MOST_USED_CORES = 3


@st.composite
def chips(draw: st.DrawFn) -> Chip:
    base = draw(st.sampled_from(("edge", "gemmini")))
    cores = draw(st.integers(1, MOST_USED_CORES))
    ports = {"ports": draw(st.integers(1, 3)), "banks": draw(st.sampled_from((1, 2, 4)))}
    names = ("act", "wgt", "acc") if base == "edge" else ("unified", "acc")
    refresh = draw(st.sampled_from(((3904.0, 280.0), (120.0, 40.0))))
    made = chip_with(
        base,
        buffers=dict.fromkeys(names, ports),
        array={"rows": draw(st.sampled_from((2, 16))), "cols": 4},
        dma={
            "outstanding": draw(st.sampled_from((1, 2, 3, 4, 16))), "issue_cycles": draw(st.integers(0, 5)),
            "bytes_per_cycle": draw(st.sampled_from((4, 16, 64))),
        },
        dram={
            "banks": draw(st.sampled_from((1, 2, 8))), "row_bytes": draw(st.sampled_from((64, 256, 2048))),
            "burst_ns": float(draw(st.integers(1, 8))), "activate_ns": float(draw(st.integers(1, 9))),
            "precharge_ns": float(draw(st.integers(1, 9))), "access_ns": float(draw(st.integers(1, 9))),
            "refresh_interval_ns": refresh[0], "refresh_ns": refresh[1],
        },
    )  # fmt: skip
    return made.model_copy(update={"cores": cores})


def _word(draw: st.DrawFn, name: str, wait: dict[Queue, int]) -> Word:
    near = st.integers(0, 1500)
    extents = {"rows": draw(small), "cols": draw(small), "bytes": draw(st.sampled_from((1, 16, 64, 200)))}
    side, other = ("src", "dst") if name == "load" else ("dst", "src")
    if name in ("load", "store"):
        col = draw(st.sampled_from((extents["bytes"], 96)))
        row = draw(st.sampled_from((col * extents["cols"], 700)))
        strides = {f"{side}_col": col, f"{side}_row": row, f"{other}_col": extents["bytes"], f"{other}_row": 900}
        pads = {"pad_top": draw(st.integers(0, 2))} if name == "load" else {}
        return word(name, wait, **extents, **strides, **pads, **{side: draw(near), other: 30 * draw(near)})
    if name == "load_weights":
        # Up to many rows of evenly spaced bursts, which the fast model takes as one.
        many = draw(st.sampled_from((3, 40, 100)))
        return word(name, wait, bytes=extents["bytes"] * many, src=draw(near), dst=30 * draw(near))
    if name == "conv":
        place = {"act": 30 * draw(near), "wgt": 30 * draw(near), "acc": 4 * draw(near)}
        return word(name, wait, rows=draw(small), cols=draw(small), depth=8, n=16, acc_col=16, act_col=64, **place)
    if name == "requantize":
        place = {"acc": 4 * draw(near), "params": 4 * draw(near), "dst": 30 * draw(near)}
        return word(name, wait, pixels=4 * draw(small), n=16, acc_col=16, dst_col=16, **place)
    if name == "add":
        return word(name, wait, pixels=8 * draw(small), n=8, a=30 * draw(near), b=30 * draw(near), dst=30 * draw(near))
    return word(name, wait, index=draw(st.integers(0, 1))) if name == "host" else word(name, wait)


@st.composite
def word_lists(draw: st.DrawFn, cores: int = 1) -> list[Word]:
    """Draw words of up to so many cores; waits look back only, so that no deadlock arises."""
    count = [dict.fromkeys(Queue, 0) for _ in range(cores)]
    words = []
    for name in draw(st.lists(st.sampled_from(sorted(KINDS)), min_size=1, max_size=14 if cores == 1 else 20)):
        core = draw(st.integers(0, cores - 1)) if KINDS[name].of_core else 0
        wait = {q: draw(st.integers(0, count[core][q])) for q in Queue if draw(st.booleans())}
        words.append(replace(_word(draw, name, wait), core=core))
        for seen in [count[core]] if KINDS[name].of_core else count:
            seen[KINDS[name]] += 1
    return [*words, word("halt")] if draw(st.booleans()) else words


@st.composite
def steady_chips(draw: st.DrawFn) -> Chip:
    """Enough bursts under way, and so little time to change rows, that bursts follow evenly across most of them."""
    timing = {f"{name}_ns": float(draw(st.integers(1, 24))) for name in ("activate", "precharge", "access")}
    return chip_with(
        "edge",
        dma={"outstanding": draw(st.sampled_from((4, 8, 16))), "bytes_per_cycle": draw(st.sampled_from((8, 64)))},
        dram={
            "banks": draw(st.sampled_from((2, 8))), "row_bytes": draw(st.sampled_from((256, 1024))),
            "burst_ns": float(draw(st.integers(3, 9))), "refresh_interval_ns": 700.0, "refresh_ns": 40.0, **timing,
        },
    )  # fmt: skip


@st.composite
def long_transfers(draw: st.DrawFn) -> list[Word]:
    """Loads and stores over the same places, so that banks are found with other rows open."""
    some = st.builds(
        lambda name, source, target, count: word(name, bytes=count, src=source, dst=target),
        st.sampled_from(("load_weights", "store")), st.integers(0, 9000), st.integers(0, 9000), st.integers(1500, 4500),
    )  # fmt: skip
    return draw(st.lists(some, min_size=2, max_size=4))


@given(words=long_transfers(), chip=steady_chips())
@settings(max_examples=50, deadline=None)
def test_long_transfers_equal_the_plain_model(words: list[Word], chip: Chip) -> None:
    fast, plain = time_program(program(words), chip), PlainTiming(program(words), chip).run()
    assert fast.end.tolist() == plain.end
    assert (int(fast.row_hits.sum()), int(fast.activates.sum())) == (plain.dram.hits, plain.dram.activates)


@st.composite
def systems(draw: st.DrawFn) -> tuple[list[Word], Chip]:
    """Draw a chip, and words for any of its cores."""
    chip = draw(chips())
    return draw(word_lists(chip.cores)), chip


@given(system=systems())
@settings(max_examples=400, deadline=None)
def test_fast_timing_equals_the_plain_model(system: tuple[list[Word], Chip]) -> None:
    words, chip = system
    made = program(words, layers=[k % 3 for k in range(len(words))], hosts=(1e-7, 3.3e-8))
    fast, plain = time_program(made, chip), PlainTiming(made, chip).run()
    assert fast.start.tolist() == plain.start
    assert fast.end.tolist() == plain.end
    assert fast.stolen.tolist() == plain.stolen
    assert (int(fast.row_hits.sum()), int(fast.activates.sum())) == (plain.dram.hits, plain.dram.activates)


@given(system=systems())
@settings(max_examples=200, deadline=None)
def test_every_cycle_has_one_layer_and_one_cause(system: tuple[list[Word], Chip]) -> None:
    words, chip = system
    made = program(words, layers=[k % 3 - 1 for k in range(len(words))], hosts=(1e-7, 3.3e-8))
    timeline = time_program(made, chip)
    causes = stalls(made, chip, timeline)
    assert int(causes.sum()) == timeline.cycles
    assert (causes >= 0).all()
    for core, own in enumerate(stalls_of_cores(made, chip, timeline)):
        mine = (timeline.queue == Queue.MAC) & (timeline.core == core)
        assert int(own.sum()) == timeline.cycles
        assert (own >= 0).all()
        assert int(own[:, :3].sum()) == int(timeline.parts[mine].sum())


@given(words=word_lists(), chip=chips())
@settings(max_examples=50, deadline=None)
def test_a_wait_for_more_instructions_than_exist_is_a_deadlock(words: list[Word], chip: Chip) -> None:
    made = program([*words, word("store", {V: 100})], hosts=(1e-7, 3.3e-8))
    try:
        time_program(made, chip)
    except MachineError as error:
        assert "waits for 100 of VECTOR" in str(error)  # noqa: PT017
    else:
        raise AssertionError("no deadlock was found")
