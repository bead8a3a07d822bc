"""Weights read where they lie: whatever a program does to its weight buffer, its values are those of the copies."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from accelc.chip import load_chip
from accelc.isa import Memory, Word
from accelc.program import Operand, Port, Program, Region, StreamCall
from accelc.sim import memory
from accelc.sim.direct import LOAD_WEIGHTS, SKIP, direct
from accelc.sim.dispatch import END, HALT, execute
from accelc.sim.machine import Machine
from tests.sim.programs import program, word

CONSTANTS = 2048
PLACES = st.integers(0, 40).map(lambda k: 16 * k)  # few enough that ranges meet, overlap and miss each other


@st.composite
def words(draw: st.DrawFn) -> Word:
    kind = draw(st.sampled_from(("load_weights", "load_weights", "load_weights", "conv", "drain", "lookup", "load")))
    first, to = draw(PLACES), draw(PLACES)
    if kind == "load_weights":
        src = draw(st.sampled_from((0, 64, 700, CONSTANTS - 100, CONSTANTS + 8)))
        return word(kind, src=src, dst=to, bytes=draw(st.sampled_from((16, 64, 100, 256, 400))))
    if kind == "conv":
        return word(kind, rows=1, cols=2, depth=4, n=16, acc_col=16, act_col=4, act=first, wgt=to, acc=0)
    if kind == "drain":
        return word(kind, pixels=2, n=16, acc_col=16, dst_col=64, acc=0, params=to, dst=first)
    if kind == "lookup":
        return word(kind, pixels=1, n=16, src=first, dst=first, table=to)
    return word(kind, src=first, dst=to, rows=1, cols=2, bytes=16, src_col=16, dst_col=32)  # leaves a gap as it was


def made(listed: list[Word], chip_name: str) -> Program:
    constants = np.random.default_rng(3).integers(0, 256, CONSTANTS, np.uint8)
    return replace(program(listed), constants=constants, dram_bytes=2 * CONSTANTS, chip=chip_name)


Ints = npt.NDArray[np.int64]


def results(opcodes: Ints, rows: Ints, m: Memory) -> list[npt.NDArray[Any]]:
    """Execute from one known state; return what a run can see of it, DRAM and sums."""
    m.dram[CONSTANTS:] = np.random.default_rng(4).integers(0, 256, CONSTANTS, np.uint8)
    why, _ = execute(opcodes, rows, rows.view(np.float32), m, 0, len(rows))
    assert why in (END, HALT)
    return [m.dram.copy(), m.acc.copy()]


def skipped(code: Program) -> list[int]:
    """Return the instructions that are not executed on edge, all of which must be loads of weights."""
    chip = load_chip("edge")
    opcodes, _ = direct(code, code.opcodes, code.cores, chip, memory.reaching(memory.allocate(code, chip), chip)[1])
    changed = np.flatnonzero(opcodes != code.opcodes)
    assert (opcodes[changed] == SKIP).all()
    assert (code.opcodes[changed] == LOAD_WEIGHTS).all()
    return changed.tolist()  # type: ignore[no-any-return]


def test_only_copies_of_constants_that_nobody_reads_are_left_out() -> None:
    """A load stays if it is no constant, if a stream writes there, or if a read reaches beyond it."""
    load = word("load_weights", src=0, dst=0, bytes=64)
    conv = word("conv", rows=1, cols=1, depth=4, n=16, acc_col=16, act_col=4)
    assert skipped(made([load, conv], "edge")) == [0]
    assert skipped(made([word("load_weights", src=CONSTANTS - 8, bytes=64), conv], "edge")) == []
    assert skipped(made([word("load_weights", src=0, bytes=32), conv], "edge")) == []
    assert skipped(made([load, word("load_weights", src=0, dst=32, bytes=64), conv], "edge")) == []
    assert skipped(made([load, conv, word("load_weights", src=0, dst=32, bytes=64)], "edge")) == [0, 2]
    writes = StreamCall("s", "map", {}, (), Operand(32, "float32", (4,), (4,)))
    assert skipped(replace(made([load, conv], "edge"), streams=(writes,))) == []


@pytest.mark.parametrize("chip_name", ["edge", "gemmini"])
@given(listed=st.lists(words(), min_size=1, max_size=24))
@settings(max_examples=150, deadline=None)
def test_values_do_not_depend_on_copies(chip_name: str, listed: list[Word]) -> None:
    """Overlapping loads, loads of what is no constant, reads across loads, overwritten halves, one or two buffers."""
    chip = load_chip(chip_name)
    stores = [word("store", src=64 * k, dst=CONSTANTS + 64 * k, rows=1, cols=1, bytes=64) for k in range(12)]
    # Every value that is computed is drained and stored, so that none goes unseen.
    code = made([w for each in listed for w in (each, *stores[:6])], chip_name)
    plain, other = (memory.allocate(code, chip) for _ in range(2))
    reaching, shift = memory.reaching(other, chip)
    opcodes, rows = direct(code, code.opcodes, code.cores, chip, shift)
    want = results(code.opcodes, code.rows, plain[0])
    got = results(opcodes, rows, reaching[0])
    for a, b in zip(want, got, strict=True):
        np.testing.assert_array_equal(a, b)


def test_what_is_kept_is_read_where_it_is_complete_although_loads_before_it_are_left_out() -> None:
    """A region that the program writes twice is read between; the loads of weights before that are not executed."""
    chip, to = load_chip("edge"), CONSTANTS
    words = [word("load_weights", src=0, dst=0, bytes=64)] * 2
    words += [w for k in (0, 64) for w in (word("load", src=k, bytes=16), word("store", dst=to, bytes=16))]
    code = replace(made(words, "edge"), fingerprint=chip.fingerprint)
    port = Port("t", (16,), "uint8", "uint8", 1.0, 0, to, (1, 1, 1, 16), 16)
    values = Machine(code, chip).run({}, [Region("t", to, 16, 0, 0, 4, port)])
    np.testing.assert_array_equal(values.kept["t"], code.constants[:16])
    np.testing.assert_array_equal(values.tensor(port), code.constants[64:80])
