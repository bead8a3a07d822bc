"""Cycles and events of the 16-bit forms: those of the 8-bit forms, with operands of two bytes and sums of two words."""

from __future__ import annotations

import numpy as np
import pytest

from accelc.chip import load_chip
from accelc.isa import TABLE, by_name, encode, make
from accelc.isa import events as ev
from accelc.isa.encoding import decode_rows
from accelc.isa.wide import WIDENED
from accelc.sim import clauses

# A chip of each organization; its dataflow's code.
ARRAYS = {"edge": 0, "gemmini": 1, "scalesim_32": 2, "diannao": 3, "eyeriss": 4, "shidiannao": 5}
TILE = {
    "act": 0, "act_row": 96, "act_col": 8, "rows": 4, "cols": 5, "taps_y": 3, "taps_x": 2, "tap_row": 96,
    "tap_col": 8, "wgt": 0, "acc": 0, "acc_col": 96,
}  # fmt: skip
MORE = {
    "conv": {"depth": 4, "n": 48, "accumulate": 1, "groups": 1, "act_group": 0},
    "depthwise": {"n": 20},
}


def counted(name: str, operands: dict[str, int], chip: str) -> tuple[list[int], list[int]]:
    """Return the cycles and events of an instruction as the simulator evaluates them."""
    timing = load_chip(chip).timing
    words = encode([make(by_name(name), None, **operands)])
    opcodes, rows = (words[:, 0] & np.uint64(0xFF)).astype(np.int64), decode_rows(words)
    cycles, events = np.zeros((1, 3), np.int64), np.zeros((1, len(ev.NAMES)), np.int64)
    clauses.cycles(opcodes, rows, timing, cycles)
    clauses.events(opcodes, rows, np.zeros(1, np.int64), timing, events)
    return cycles[0].tolist(), events[0].tolist()


@pytest.mark.parametrize("chip", ARRAYS)
@pytest.mark.parametrize("name", MORE)
def test_cycles_are_the_same_and_bytes_double(name: str, chip: str) -> None:
    operands = TILE | MORE[name] | {"dataflow": ARRAYS[chip]}
    cycles, events = counted(name, operands, chip)
    wide_cycles, wide_events = counted(f"{name}16", operands, chip)
    assert wide_cycles == cycles
    assert sum(cycles) > 0
    assert wide_events == [count * (2 if k in WIDENED else 1) for k, count in enumerate(events)]
    assert all(events[k] > 0 for k in (ev.MAC, ev.ACT_READ_BYTES, ev.WGT_READ_BYTES, ev.ACC_WRITE_WORDS))


@pytest.mark.parametrize("name", MORE)
def test_the_definition_counts_what_the_simulator_counts(name: str) -> None:
    """The plain clause of the definition, and the compiled closed forms of its dataflow."""
    operands = TILE | MORE[name] | {"dataflow": ARRAYS["eyeriss"]}
    made, timing = by_name(f"{name}16"), load_chip("eyeriss").timing
    held = np.zeros(len(ev.NAMES), np.int64)
    made.clauses["events"](held, timing, **{k: operands[k] for k in made.operand_names("events")})
    cycles = made.clauses["cycles"](timing, **{k: operands[k] for k in made.operand_names("cycles")})
    assert counted(f"{name}16", operands, "eyeriss") == (list(cycles), held.tolist())


def test_every_wide_form_belongs_to_a_narrow_one() -> None:
    """But for the functions of one element, which have no table of all values."""
    names = {made.name for made in TABLE.values()}
    without = {name for name in names if name.endswith("16") and name.removesuffix("16") not in names}
    assert without == {"lines16", "curve16"}
