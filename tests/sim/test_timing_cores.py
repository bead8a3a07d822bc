"""Programs of several cores small enough to time by hand, the laws of a shared DRAM, and order between cores.

The figures of chip "edge" are those of `test_timing`.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from accelc.chip import Chip, load_chip
from accelc.errors import IsaError, MachineError
from accelc.isa import Queue, Word, make
from accelc.isa.control import halt
from accelc.sim.hazards import check_hazards
from accelc.sim.machine import Machine
from accelc.sim.stalls import CAUSES, stalls, stalls_of_cores
from accelc.sim.timing import time_program
from tests.sim.programs import L, M, S, V, program, word

Y = Queue.SYNC


def edge(cores: int) -> Chip:
    return Chip.model_validate({**load_chip("edge").model_dump(), "cores": cores})


def on(core: int, name: str, wait: dict[Queue, int] | None = None, **operands: int) -> Word:
    return replace(word(name, wait, **operands), core=core)


def test_the_lower_core_goes_first_when_both_ask() -> None:
    # both ask at 16 for the same row: core 0's load over at 57, core 1's at 62
    t = time_program(program([on(1, "load", bytes=64), on(0, "load", bytes=64)]), edge(2))
    assert t.end.tolist() == [62, 57]


def test_a_sync_is_over_when_all_before_it_is() -> None:
    # core 1's load ends at 72 (4 bursts); the store of core 0 starts then, asks at 88 and hits the open row:
    # column 88, data at 106, over at 111
    words = [on(1, "load", bytes=256), word("sync"), on(0, "store", {Y: 1}, bytes=64)]
    t = time_program(program(words), edge(2))
    assert (t.start.tolist(), t.end.tolist()) == ([0, 72, 72], [72, 72, 111])
    assert t.blocker.tolist() == [-1, 0, 1]


def test_what_does_not_wait_for_a_sync_runs_ahead_of_it() -> None:
    # core 0's burst goes first, so core 1's load ends 5 later than alone, at 77
    words = [on(1, "load", bytes=256), word("sync"), on(0, "load_weights", bytes=64)]
    assert time_program(program(words), edge(2)).start.tolist() == [0, 77, 0]


def test_a_sync_waits_for_nothing_behind_it() -> None:
    # core 0's second load stands behind the sync: the sync is over at 57 with the first
    words = [on(0, "load", bytes=64), word("sync"), on(0, "load", bytes=6400), on(1, "conv", {Y: 1})]
    t = time_program(program(words), edge(2))
    assert t.start.tolist() == [0, 57, 57, 57]
    assert t.end[2] > 500


def test_halt_waits_for_every_core() -> None:
    t = time_program(program([on(1, "load", bytes=256), word("halt")]), edge(2))
    assert t.end.tolist() == [72, 72]


def test_cores_compute_side_by_side() -> None:
    # 95 cycles each; on one core they would take turns
    convs = [on(core, "conv") for core in range(4)]
    assert time_program(program(convs), edge(4)).end.tolist() == [95] * 4


def test_a_core_does_not_hold_the_banks_of_another() -> None:
    """With one port a MAC and a VECTOR instruction on a common bank exclude each other, on one core only."""
    values = edge(2).model_dump()
    for part in ("act", "wgt", "acc"):
        values["buffers"][part]["ports"] = 1
    chip = Chip.model_validate(values)
    own = [on(0, "conv"), on(0, "add", pixels=8, n=8)]
    assert time_program(program(own), chip).start.tolist() == [0, 95]
    assert time_program(program([own[0], replace(own[1], core=1)]), chip).start.tolist() == [0, 0]


def test_the_dram_is_shared() -> None:
    """Four cores load a quarter each in no less time than the bus needs for all of it."""
    loads = [on(core, "load", src=core * 6400, bytes=6400) for core in range(4)]
    assert time_program(program(loads), edge(4)).cycles >= 400 * 5


def test_waiting_for_another_core_is_a_cause() -> None:
    # core 1 waits 72 cycles for core 0's load, then takes 95 (1 + 62 + 32); core 0 waits for those 95 after its own 72
    words = [on(0, "load", bytes=256), word("sync"), on(1, "conv", {Y: 1}), word("halt")]
    made = program(words)
    t = time_program(made, edge(2))
    each = [dict(zip(CAUSES, own.sum(axis=0).tolist(), strict=True)) for own in stalls_of_cores(made, edge(2), t)]
    assert t.cycles == 72 + 95
    assert {k: v for k, v in each[0].items() if v} == {"dependency": 16, "dma_wait": 56, "other_cores": 95}
    assert {k: v for k, v in each[1].items() if v} == {
        "compute": 1, "fill_drain": 62, "weight_load": 32, "other_cores": 72,
    }  # fmt: skip
    assert stalls(made, edge(2), t).sum() == t.cycles


def test_a_core_that_the_chip_has_not_is_refused() -> None:
    made = program([on(2, "load", bytes=64)])
    for check in (time_program, check_hazards):
        with pytest.raises(MachineError, match=r"instruction 0 .* is for core 2, but chip 'edge' has 2 cores"):
            check(made, edge(2))
    with pytest.raises(MachineError, match=r"is for core 2, but chip 'edge' has 2 cores"):
        Machine(replace(made, dram_bytes=4096, fingerprint=edge(2).fingerprint), edge(2))
    with pytest.raises(IsaError, match="core=1 is that of an instruction of all cores"):
        make(halt, None, 1)


def test_a_deadlock_across_cores_names_them() -> None:
    words = [on(1, "load", {Y: 1}, bytes=64), word("sync")]
    with pytest.raises(MachineError) as caught:
        time_program(program(words), edge(2))
    assert str(caught.value) == (
        "deadlock at cycle 0: LOAD of core 1 instruction 0 (load) waits for 1 of SYNC (0 complete); "
        "SYNC instruction 1 (sync) waits for 1 of LOAD of core 1 (0 complete); "
        "circle: LOAD of core 1 -> SYNC -> LOAD of core 1"
    )
    with pytest.raises(MachineError, match="circle: LOAD of core 1 -> SYNC"):
        check_hazards(program(words), edge(2))


STORED, READ = on(1, "store", bytes=64, src=4096), {"bytes": 64, "src": 63}


def test_a_missing_sync_is_a_hazard() -> None:
    with pytest.raises(MachineError) as caught:
        check_hazards(program([STORED, on(0, "load", {}, **READ)]), edge(2))
    assert "reads dram bytes 63 to 64" in str(caught.value)
    assert "it must wait for store=1 of core 1" in str(caught.value)
    # A sync that it does not wait for, or that stands before the store, orders nothing.
    for words in (
        [STORED, word("sync"), on(0, "load", {}, **READ)],
        [word("sync"), STORED, on(0, "load", {Y: 1}, **READ)],
    ):
        with pytest.raises(MachineError, match=r"^hazard: "):
            check_hazards(program(words), edge(2))
    check_hazards(program([STORED, word("sync"), on(0, "load", {Y: 1}, **READ)]), edge(2))


def test_order_across_cores_reaches_through_queues() -> None:
    """The conv waits for the sync, the store for the conv; so what core 1 read is free to be overwritten."""
    words = [on(1, "load", bytes=64), word("sync"), on(0, "conv", {Y: 1}), on(0, "store", {M: 1}, bytes=64, src=4096)]
    check_hazards(program(words), edge(2))
    with pytest.raises(MachineError, match="load=1 of core 1"):
        check_hazards(program([*words[:3], on(0, "store", bytes=64, src=4096)]), edge(2))


def test_on_chip_memories_of_cores_are_apart() -> None:
    words = [on(0, "load", bytes=64), on(1, "conv", depth=64), on(1, "mean", {V: 0}, src=4096, dst=32768)]
    check_hazards(program(words), edge(2))
    with pytest.raises(MachineError, match="reads act bytes"):
        check_hazards(program([words[0], replace(words[1], core=0)]), edge(2))


def test_each_core_computes_in_its_own_buffers() -> None:
    """Two cores load different bytes to one act address and store them: each its own."""
    chip = edge(2)
    words = [on(core, "load", src=64 * core, bytes=64) for core in (0, 1)]
    words += [on(core, "store", {L: 1}, dst=1024 + 64 * core, bytes=64) for core in (0, 1)]
    made = replace(
        program([*words, word("halt")]), fingerprint=chip.fingerprint, dram_bytes=2048,
        constants=np.arange(128, dtype=np.uint8),
    )  # fmt: skip
    check_hazards(made, chip)
    machine = Machine(made, chip)
    assert machine.run({}).dram[1024:1152].tolist() == list(range(128))
    assert time_program(made, chip).queue.tolist() == [L, L, S, S, Queue.HOST]
