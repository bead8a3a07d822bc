"""Programs small enough to time by hand; each sum stands in a comment.

The chip "edge" (1 GHz): issue 16, activate 18, precharge 18, access 18, burst 5, path 2; a conv of one pixel, depth 4
and n = 16 on its 32 x 32 array takes 1 (compute) + 62 (fill/drain) + 32 (weight load) = 95, a requantize of one pixel
1 + 8 = 9.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from accelc.chip import load_chip
from accelc.errors import ChipError, MachineError
from accelc.sim import clauses, clauses_mac, generate_clauses
from accelc.sim.stalls import CAUSES, stalls
from accelc.sim.timing import time_program
from tests.sim.programs import H, L, M, S, V, chip_with, program, word

EDGE = load_chip("edge")


def causes_of(words: list, chip=EDGE, layers=None, hosts=()) -> dict[str, int]:
    made = program(words, layers, hosts)
    sums = stalls(made, chip, time_program(made, chip)).sum(axis=0)
    return {name: int(n) for name, n in zip(CAUSES, sums, strict=True) if n}


def test_one_burst() -> None:
    # asked at 16, row activated 34, column 34, data at 52, over at 57
    assert time_program(program([word("load", bytes=64)]), EDGE).end.tolist() == [57]


def test_bursts_of_an_open_row_follow_each_other_on_the_bus() -> None:
    # first over at 57, then 5 each: 57 + 3 * 5
    t = time_program(program([word("load", bytes=256)]), EDGE)
    assert (t.cycles, t.row_hits.tolist(), t.activates.tolist()) == (72, [3], [1])


def test_an_unaligned_run_moves_whole_bursts() -> None:
    # bytes 60..67 lie in two bursts
    t = time_program(program([word("load", src=60, bytes=8)]), EDGE)
    assert (t.bursts.tolist(), t.dram_read_bytes, t.requested_bytes.tolist()) == ([2], 128, [8])


def test_rows_of_pixels_merge_only_without_a_gap() -> None:
    # 4 rows of 4 pixels of 16 bytes: one run of 256, 4 runs of 64 when rows are 4096 apart, 16 when pixels are too
    strides = [(16, 64), (16, 4096), (1024, 4096)]
    words = [word("load", rows=4, cols=4, bytes=16, src_col=c, src_row=r) for c, r in strides]
    assert time_program(program(words), EDGE).bursts.tolist() == [4, 4, 16]


def test_another_row_of_the_bank_is_precharged_first() -> None:
    # edge has 8 banks of 2048 bytes: line 0 is bank 0 row 0, line 9 is bank 9 ^ 1 = 0 (low 3 bits) row 1.
    # second load from 57: asked at 73, precharged 91, activated 109, data at 127, over at 132
    t = time_program(program([word("load", bytes=64), word("load", src=9 * 2048, bytes=64)]), EDGE)
    assert (t.end.tolist(), t.activates.tolist()) == ([57, 132], [1, 1])


def test_a_refresh_closes_rows_and_holds_them() -> None:
    # refresh at 60 for 20 cycles: the second load is asked at 73, waits to 80, column 98, data 116, over at 121
    chip = chip_with(dram={"refresh_interval_ns": 60.0, "refresh_ns": 20.0})
    assert time_program(program([word("load", bytes=64), word("load", bytes=64)]), chip).end.tolist() == [57, 121]


def test_a_window_of_one_request_pays_the_latency_each_time() -> None:
    # first over at 57; the next is asked then, column at 57, over at 57 + 18 + 5 = 80
    chip = chip_with(dma={"outstanding": 1})
    assert time_program(program([word("load", bytes=128)]), chip).cycles == 80


def test_a_narrow_path_bounds_the_rate() -> None:
    # 64 bytes at 4 bytes a cycle pass every 16 cycles: 57 + 2 * 16
    chip = chip_with(dma={"bytes_per_cycle": 4})
    assert time_program(program([word("load", bytes=192)]), chip).cycles == 89


def test_load_goes_first_when_both_engines_ask() -> None:
    # both ask at 16 for the same row: load over at 57, store at 62
    t = time_program(program([word("store", bytes=64), word("load", bytes=64)]), EDGE)
    assert t.end.tolist() == [62, 57]


def test_a_chain_of_every_queue() -> None:
    # load 57; weights asked 73, hit, over 73 + 18 + 5 = 96; conv 96 + 95 = 191; requantize 200; store 216 + 23 = 239
    words = [
        word("load", bytes=64), word("load_weights", bytes=64, src=64), word("conv", {L: 2}),
        word("requantize", {M: 1}), word("store", {V: 1}), word("halt"),
    ]  # fmt: skip
    t = time_program(program(words), EDGE)
    assert t.end.tolist() == [57, 96, 191, 200, 239, 239]
    assert t.blocker.tolist() == [-1, 0, 1, 2, 3, 4]
    # before the conv: two issues of 16 and 96 - 32 of DMA; after it 9 of vector, 16 of issue, 23 of DMA
    split = {"compute": 1, "fill_drain": 62, "weight_load": 32, "dma_wait": 64 + 23, "dependency": 48, "vector": 9}
    assert causes_of(words) == split


def test_double_buffering_hides_the_shorter_side() -> None:
    # loads end at 57, 96, 135; convs of 95 start at 57, 152, 247: the later loads cost nothing
    words = [word("load", bytes=64), word("load", bytes=64), word("load", bytes=64)]
    words += [word("conv", {L: k}) for k in (1, 2, 3)]
    assert time_program(program(words), EDGE).start.tolist()[3:] == [57, 152, 247]


def test_what_is_given_is_kept_for_each_chip_and_not_changed_by_measured_cycles() -> None:
    """One program on two chips, then with its first conv measured as 7 cycles, then as at first."""
    made, small = program([word("conv"), word("conv", {M: 1})]), chip_with(array={"rows": 16, "cols": 16})
    ends = time_program(made, EDGE).end.tolist()
    other = time_program(made, small).end.tolist()
    assert other != ends
    assert other == time_program(program([word("conv"), word("conv", {M: 1})]), small).end.tolist()
    assert time_program(made, EDGE, np.array([7, -1])).end.tolist() == [7, ends[1] - ends[0] + 7]
    assert time_program(made, EDGE).end.tolist() == ends


def test_host_calls_take_their_seconds_and_halt_waits_for_all() -> None:
    # 100.5 ns round up to 101 cycles; halt waits for the conv (95) and the host call (101)
    words = [word("conv"), word("host", index=0), word("halt")]
    assert time_program(program(words, hosts=[100.5e-9]), EDGE).end.tolist() == [95, 101, 101]
    assert causes_of(words, hosts=[100.5e-9]) == {"compute": 1, "fill_drain": 62, "weight_load": 32, "host": 6}


def test_units_on_one_bank_with_one_port_exclude_each_other() -> None:
    # gemmini: conv 1 + 30 + 16 = 47; the add reads bank 0 too and waits: 47 + 9; on bank 2 it runs beside the conv
    gemmini = load_chip("gemmini")
    near, far = ([word("conv"), word("add", a=at, b=at, dst=at)] for at in (0, 131072))
    assert time_program(program(near), gemmini).start.tolist() == [0, 47]
    assert time_program(program(far), gemmini).start.tolist() == [0, 0]
    two = chip_with("gemmini", buffers={"unified": {"ports": 2}})
    assert time_program(program(near), two).start.tolist() == [0, 0]
    # the wait of a conv for an add's bank is a conflict: the second conv waits from 0 + 47 ...
    again = [word("add"), word("conv", {V: 1}), word("add", pixels=9, n=16), word("conv")]
    t = time_program(program(again), gemmini)
    # add 9; conv 9..56 goes before the second add at 9; that add then 56 + 17 = 73; the last conv took 56..103 first
    assert t.start.tolist() == [0, 9, 103, 56]


def test_a_burst_steals_the_port_of_a_running_instruction() -> None:
    # gemmini: the load's first burst: asked 16, activate 14, access 14, burst 4: over at 48, path 4; conv made long:
    # 64 pixels: 64 + 30 + 16 = 110. Bursts pass at 48 and 52, each takes 64 / 16 = 4 accesses: 110 + 8.
    gemmini = load_chip("gemmini")
    words = [word("load", bytes=128), word("conv", rows=8, cols=8, acc_col=16)]
    t = time_program(program(words), gemmini)
    assert (t.end.tolist(), t.stolen.tolist()) == ([52, 118], [0, 8])
    assert causes_of(words, gemmini) == {"compute": 64, "fill_drain": 30, "weight_load": 16, "bank_conflict": 8}
    elsewhere = [word("load", bytes=128, dst=131072), word("conv", rows=8, cols=8, acc_col=16)]
    assert time_program(program(elsewhere), gemmini).end.tolist() == [52, 110]


def test_a_deadlock_names_who_waits_for_whom() -> None:
    words = [word("load", {M: 1}), word("conv", {V: 1}), word("requantize", {L: 1}), word("halt")]
    with pytest.raises(MachineError) as caught:
        time_program(program(words), EDGE)
    text = str(caught.value)
    assert "LOAD instruction 0 (load) waits for 1 of MAC (0 complete)" in text
    assert "circle: LOAD -> MAC -> VECTOR -> LOAD" in text


def test_an_instruction_outside_its_buffer_is_refused() -> None:
    words = [word("load", dst=EDGE.timing.act_bytes - 4, bytes=8)]
    with pytest.raises(MachineError, match=r"0 \(load\) reaches act\[524284:524292\]; act has 524288 bytes"):
        time_program(program(words), EDGE)


def test_an_unknown_host_call_is_refused() -> None:
    with pytest.raises(MachineError, match="calls host operator 3; the program has 1"):
        time_program(program([word("host", index=3)], hosts=[1.0]), EDGE)


def test_a_dram_that_only_refreshes_is_refused() -> None:
    slow = chip_with(dram={"refresh_interval_ns": 0.9, "refresh_ns": 0.8})
    with pytest.raises(ChipError, match="a refresh takes 1 and comes every 1"):
        time_program(program([word("load")]), slow)


def test_timing_is_repeatable_and_an_empty_program_takes_no_time() -> None:
    words = [word("load", bytes=5000, dst=64 * k, src=7777 * k) for k in range(5)] + [word("store", {L: 2}, bytes=900)]
    first, second = (time_program(program(words), EDGE) for _ in range(2))
    assert first.start.tolist() == second.start.tolist()
    assert first.end.tolist() == second.end.tolist()
    assert time_program(program([]), EDGE).cycles == 0


@pytest.mark.parametrize("faster", [{"burst_ns": 3.0}, {"access_ns": 9.0}, {"activate_ns": 5.0}])
def test_one_stream_of_loads_is_never_slower_on_a_faster_dram(faster: dict[str, float]) -> None:
    # one engine in order, no refresh in reach: every time is a maximum of sums of the parameters
    words = [word("load", bytes=3000, src=12345 * k, dst=4096 * k) for k in range(3)]
    calm = {"refresh_interval_ns": 1e6}
    slow = time_program(program(words), chip_with(dram=calm))
    assert time_program(program(words), chip_with(dram=calm | faster)).cycles < slow.cycles


def test_layers_are_charged_for_what_ran() -> None:
    # the conv of layer 1 waits for layer 0's load: 16 of issue and 41 of DMA belong to layer 0
    made = program([word("load", bytes=64), word("conv", {L: 1})], layers=[0, 1])
    rows = stalls(made, EDGE, time_program(made, EDGE)).tolist()
    assert rows == [[0, 0, 0, 41, 0, 16, 0, 0, 0], [1, 62, 32, 0, 0, 0, 0, 0, 0]]


def test_the_generated_clauses_are_those_of_the_table() -> None:
    for module, text in ((clauses, generate_clauses.source()), (clauses_mac, generate_clauses.mac_source())):
        assert Path(module.__file__ or "").read_text(encoding="utf-8") == text


def test_a_wait_on_ones_own_queue_ahead_of_itself_is_a_deadlock() -> None:
    with pytest.raises(MachineError, match=r"0 \(host\) waits for 1 of HOST \(0 complete\); circle: HOST"):
        time_program(program([word("host", {H: 1})], hosts=[1.0]), EDGE)
    assert time_program(program([word("store", {}), word("store", {S: 1})]), EDGE).blocker.tolist() == [-1, 0]


def test_a_load_that_is_all_padding_takes_its_issue_alone() -> None:
    # no burst to ask for: complete after 16 issue cycles
    t = time_program(program([word("load", rows=0, pad_top=2, bytes=64)]), EDGE)
    assert (t.cycles, t.bursts.tolist(), t.dram_read_bytes) == (16, [0], 0)
