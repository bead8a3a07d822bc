"""Several threads compute what one does: every byte of DRAM, whatever the program, however often."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from accelc.arithmetic import dequantize_array
from accelc.chip import Chip
from accelc.errors import InputError
from accelc.isa import Memory, Word, by_name
from accelc.lower import lower
from accelc.program import Program
from accelc.run import run_program
from accelc.schedule import schedule
from accelc.sim.dispatch import END, execute
from accelc.sim.machine import Machine
from accelc.sim.threads import RULES, SKIP, Crew, parts_of
from tests.lower.graphs import Net
from tests.lower.test_lower import CASES, CHIPS, random_inputs
from tests.lower.test_lower_wide import CHIPS as WIDE_CHIPS
from tests.lower.test_lower_wide import WIDE_CASES
from tests.sim.programs import program, word

SIZES = st.integers(1, 5)
PLACES = st.integers(0, 24).map(lambda k: 32 * k)  # few enough that ranges meet, overlap and miss each other
PITCHES = st.sampled_from((16, 32, 48))


@st.composite
def words(draw: st.DrawFn) -> Word:
    """Draw an instruction whose parts may touch what others of any instruction do."""
    kind = draw(st.sampled_from(("load", "store", "conv", "drain", "lookup", "add", "max_pool", "depthwise", "mean")))
    rows, cols, n = draw(SIZES), draw(SIZES), draw(st.sampled_from((16, 32, 48)))
    a, b, dst, pitch = draw(PLACES), draw(PLACES), draw(PLACES), draw(PITCHES)
    if kind in ("load", "store"):
        names = {"src_row": 5 * 16, "dst_row": 7 * 16, "src_col": 16, "dst_col": 16, "bytes": 16}
        pads = {"pad_top": 1, "pad_bottom": 2, "pad_left": 1, "pad_right": 1, "pad_value": 7} if kind == "load" else {}
        return word(kind, src=a, dst=dst, rows=rows, cols=cols, **names, **pads)
    if kind == "conv":
        sums = {"acc": draw(st.sampled_from((0, 48, 160))), "acc_col": n + draw(st.sampled_from((0, 16)))}
        more = draw(st.integers(0, 1))
        return word(
            kind, act=a, act_row=64, act_col=4, rows=rows, cols=cols, depth=8, n=n, wgt=0, accumulate=more, **sums
        )
    if kind == "depthwise":
        return word(kind, act=a, act_row=64, act_col=16, rows=rows, cols=cols, n=16, wgt=0, acc=0, acc_col=16)
    if kind == "drain":
        return word(kind, pixels=rows, n=16, acc_col=pitch, dst_col=64, acc=b // 4, params=0, dst=dst)
    if kind == "lookup":
        return word(kind, pixels=rows, n=16, src=a, src_col=16, dst=dst, dst_col=pitch, table=0)
    if kind == "mean":
        return word(kind, pixels=rows, n=16, src=a, src_col=16, dst=dst, scale=0.25)
    if kind == "add":
        cols_of = {"a_col": 16, "b_col": 16, "dst_col": pitch, "high": 255}
        return word(kind, a=a, b=b, dst=dst, pixels=rows, n=16, scale_a=0.5, scale_b=0.25, **cols_of)
    window = {"in_rows": 5, "in_cols": 4, "kernel_y": 3, "kernel_x": 2, "top": 1, "left": 1}
    return word(kind, src=a, src_row=64, src_col=16, rows=rows, cols=cols, n=16, dst=1280 + dst, dst_col=16, **window)


def memory(seed: int) -> Memory:
    rng = np.random.default_rng(seed)
    data = [rng.integers(0, 256, 4096, np.uint8), rng.integers(0, 256, 4096, np.uint8)]
    return Memory(*data, rng.integers(-128, 128, 4096, np.int8), rng.integers(-99, 99, 4096, np.int32))


@given(st.lists(words(), min_size=1, max_size=12), st.integers(2, 4))
@settings(max_examples=150, deadline=None)
def test_any_program_leaves_the_same_bytes(listed: list[Word], threads: int) -> None:
    code = program(listed)
    one, several = memory(1), memory(1)
    opcodes, rows, last = code.opcodes, code.rows, len(code.words)
    assert execute(opcodes, rows, rows.view(np.float32), one, 0, last) == (END, last)
    assert Crew(opcodes, rows, threads).execute(several, 0, last, wide=False) == (END, last)
    for a, b in zip(one, several, strict=True):
        np.testing.assert_array_equal(a, b)


def compiled(case: str, chip: Chip, dtype: str = "uint8") -> tuple[Program, dict[str, np.ndarray]]:
    net = Net(4, dtype)
    graph = net.graph(WIDE_CASES[case](net) if dtype == "int16" else CASES[case](net))
    made = {name: dequantize_array(data, graph.tensors[name].quant) for name, data in random_inputs(graph).items()}
    return lower(schedule(graph, chip), chip), made


KINDS = [(case, "uint8") for case in CASES] + [(case, "int16") for case in WIDE_CASES]


@pytest.mark.parametrize(("case", "dtype"), KINDS)
def test_every_layer_kind_gives_the_same_dram(case: str, dtype: str) -> None:
    chip = (WIDE_CHIPS if dtype == "int16" else CHIPS)["small"]
    made, inputs = compiled(case, chip, dtype)
    machine, several = (Machine(made, chip, threads=threads) for threads in (1, 2))
    one = machine.run(inputs)
    for _ in range(2):
        np.testing.assert_array_equal(several.run(inputs).dram, one.dram)


def test_convolutions_are_cut_by_rows_or_channels_and_meet_only_where_they_must() -> None:
    """Three pieces of the depth of one tile add to the same sums; only what reads the sums waits."""
    common = {"act_row": 64, "act_col": 8, "cols": 4, "depth": 8, "acc": 0}
    deep = {**common, "rows": 1, "n": 64, "acc_col": 64, "act": 0}
    wide = [word("conv", wgt=512 * k, accumulate=int(k > 0), **deep) for k in range(3)]
    tall = word("conv", rows=4, n=16, acc_col=16, act=0, wgt=0, **{**common, "acc": 256})
    drains = [
        word("drain", pixels=4, n=64, acc=0, acc_col=64, dst=0, dst_col=256),
        word("drain", pixels=16, n=16, acc=256, acc_col=16, dst=1024, dst_col=64),
    ]
    code = program([*wide, tall, drains[1], drains[0]])
    parts = parts_of(code.opcodes, code.rows, 2)
    column = {f.name: j for j, f in enumerate(by_name("conv").fields)}
    assert [rows[0, column["n"]] for rows in parts.rows] == [32, 32]
    assert [rows[0, column["wgt"]] for rows in parts.rows] == [0, 32 * 8]
    assert [rows[3, column["rows"]] for rows in parts.rows] == [2, 2]
    assert parts.meets.tolist() == [False] * 5 + [True]


def test_what_cannot_be_cut_the_first_thread_does() -> None:
    """A shift in place reads what it has just written; a mean makes one pixel of all."""
    code = program([word("lookup", pixels=4, n=16, src=0, src_col=16, dst=16, dst_col=16, table=0),
                    word("mean", pixels=4, n=16, src=256, src_col=16, dst=512, scale=1.0)])  # fmt: skip
    parts = parts_of(code.opcodes, code.rows, 2)
    assert parts.opcodes[0].tolist() == code.opcodes.tolist()
    assert parts.opcodes[1].tolist()[:2] == [SKIP, SKIP]


def test_rules_name_operands_that_there_are() -> None:
    for name, rules in RULES.items():
        known = {f.name for f in by_name(name).fields}
        for rule in rules:
            factors = {f for step in rule.steps.values() for f in step if isinstance(f, str)}
            assert {rule.extent, *rule.steps, *rule.single, *factors} <= known


def test_threads_that_cannot_be_are_refused() -> None:
    made, _ = compiled("conv_deep", CHIPS["edge"])
    for threads in (0, 65):
        with pytest.raises(InputError, match=f"{threads} threads: 1 to 64 would work"):
            run_program(made, threads=threads)
    with pytest.raises(InputError, match="2 threads: a literal array, and activity that is counted, take one"):
        run_program(made, threads=2, fidelity="literal")


def test_a_run_may_have_several() -> None:
    made, inputs = compiled("conv_deep", CHIPS["edge"])
    one, three = (run_program(made, inputs, threads=threads) for threads in (1, 3))
    assert three.cycles == one.cycles
    for name, data in one.integers.items():
        np.testing.assert_array_equal(three.integers[name], data)
