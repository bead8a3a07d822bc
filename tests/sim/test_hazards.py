"""A program whose tokens leave two conflicting instructions unordered is refused, and only such a program."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pytest

import accelc
from accelc.chip import Chip, load_chip
from accelc.errors import MachineError
from accelc.isa import Queue, Word, decode, encode
from accelc.isa.encoding import decode_queues
from accelc.lower import lower
from accelc.program import HostCall, Port, Program
from accelc.schedule import schedule
from accelc.schedule.mapping import Mapping as ByHand
from accelc.schedule.mapping import Pin
from accelc.sim.bounds import ranges
from accelc.sim.hazards import check_hazards
from accelc.sim.timing import time_program
from tests.lower.graphs import Net
from tests.lower.test_lower import CASES, CHIPS
from tests.networks import CLASSIFIERS
from tests.onnx_build import model, node
from tests.sim.programs import L, M, S, V, program, word

EDGE, UNIFIED = load_chip("edge"), load_chip("gemmini")

Pair = tuple[Word, Word, Mapping[Queue, int]]

# Two instructions of different queues on the same bytes, the second in need of a token. Operands left out: see `word`.
PAIRS: dict[str, Pair] = {
    "act read after write": (word("load", bytes=64), word("conv", depth=64), {L: 1}),
    "act write after read": (word("conv", depth=64, act=64), word("load", bytes=64, dst=100), {M: 1}),
    "act write after write": (word("load", bytes=64), word("mean", src=4096, dst=63), {L: 1}),
    "wgt read after write": (word("load_weights", bytes=64), word("conv", wgt=0), {L: 1}),
    "wgt write after read": (word("conv", wgt=256), word("load_weights", bytes=64, dst=300), {M: 1}),
    "acc read after write": (word("conv", acc=8), word("drain", acc=23, dst=4096), {M: 1}),
    "acc write after read": (word("drain", acc=23, dst=4096), word("conv", acc=8), {V: 1}),
    "dram read after write": (word("store", bytes=64, src=4096), word("load", bytes=64, src=63), {S: 1}),
    "dram write after read": (word("load", bytes=64), word("store", bytes=64, src=4096), {L: 1}),
}


@pytest.mark.parametrize("name", PAIRS)
def test_a_missing_token_is_found_and_named(name: str) -> None:
    first, second, wait = PAIRS[name]
    words = [first, second, word("halt")]
    with pytest.raises(MachineError, match=r"^hazard: ") as caught:
        check_hazards(program(words, [0, 1, -1]), EDGE)
    message, ((queue, count),) = str(caught.value), wait.items()
    space, later, _, earlier = name.split()
    verb = {"read": "reads", "write": "writes"}
    assert f"instruction 1 ({second.instruction.name} of layer 'layer1') {verb[later]} {space}" in message
    assert f"which instruction 0 ({first.instruction.name} of layer 'layer0') {verb[earlier]}" in message
    assert f"must wait for {queue.name.lower()}={count}" in message
    check_hazards(program([first, replace(second, wait=wait), word("halt")]), EDGE)


def test_the_message_is_one_that_a_person_can_act_on() -> None:
    with pytest.raises(MachineError) as caught:
        check_hazards(program([word("load", bytes=64), word("load", bytes=64), word("conv", depth=64)]), EDGE)
    assert str(caught.value) == (
        "hazard: instruction 2 (conv of layer 'layer0') reads act bytes 0 to 64, which instruction 0 (load of layer "
        "'layer0') writes, and no token orders them: it must wait for load=1, directly or through others; its tokens "
        "ensure load=0"
    )


def test_neighbors_do_not_conflict() -> None:
    words = [word("load", bytes=64), word("conv", act=64, depth=64), word("drain", acc=16, dst=128)]
    check_hazards(program(words), EDGE)


def test_two_readers_do_not_conflict() -> None:
    check_hazards(program([word("store", bytes=64), word("conv", depth=64, acc=32)]), EDGE)


def test_act_and_wgt_are_one_in_a_unified_scratchpad_only() -> None:
    words = [word("load", bytes=64), word("load_weights", bytes=64, dst=1024), word("conv", {L: 2}, act=4096, wgt=8192)]
    words.append(word("mean", src=1024, dst=9000))  # reads what load_weights wrote, if act and wgt are one
    check_hazards(program(words), EDGE)
    with pytest.raises(MachineError, match=r"reads scratchpad bytes 1024 to 1025, .*load=2.*load=0"):
        check_hazards(program(words), UNIFIED)


def test_order_reaches_through_other_queues() -> None:
    """LOAD orders MAC, MAC orders VECTOR: VECTOR needs no token of LOAD."""
    words = [word("load", bytes=64), word("conv", {L: 1}, depth=64), word("mean", {M: 1}, src=0, dst=4096)]
    check_hazards(program(words), EDGE)
    words = [word("load", bytes=64), word("conv", depth=64, act=4096), word("mean", {M: 1}, src=0, dst=4096)]
    with pytest.raises(MachineError, match=r"instruction 2 .* instruction 0 .*load=1.*load=0"):
        check_hazards(program(words), EDGE)


def test_order_reaches_through_the_queue_itself() -> None:
    """A token that an earlier instruction of the queue waited for need not be waited for again."""
    words = [word("load", bytes=64), word("conv", {L: 1}, depth=64), word("conv", depth=64)]
    check_hazards(program(words), EDGE)


def test_a_token_of_a_later_instruction_does_not_turn_the_order_around() -> None:
    """The earlier instruction in the program waits for the later one: ordered, but not as values are computed."""
    words = [word("conv", {L: 1}, depth=64), word("load", bytes=64)]
    time_program(program(words), EDGE)
    with pytest.raises(MachineError, match=r"instruction 1 .* writes act .* instruction 0"):
        check_hazards(program(words), EDGE)


def test_interleaved_pixels_in_dram_share_no_byte() -> None:
    """Branches of a concat store every other 16 bytes; a load of the one needs no token of the other."""
    halves = {"rows": 4, "cols": 8, "bytes": 16, "dst_row": 512, "dst_col": 32, "src_row": 128, "src_col": 16}
    back = {"rows": 4, "cols": 8, "bytes": 16, "src_row": 512, "src_col": 32, "dst": 8192, "dst_row": 128}
    back["dst_col"] = 16
    words = [word("store", **halves), word("load", **{**back, "src": 16})]
    check_hazards(program(words), EDGE)
    for src in (15, 31, 1, 512 * 3 + 17):
        with pytest.raises(MachineError, match="dram"):
            check_hazards(program([words[0], word("load", **{**back, "src": src})]), EDGE)


def strided(rng: np.random.Generator) -> dict[str, int]:
    names = ("rows", "cols", "bytes", "row", "col", "at")
    return dict(zip(names, (int(rng.integers(low, high)) for low, high in
                            ((1, 4), (1, 4), (1, 6), (0, 40), (0, 14), (0, 60))), strict=True))  # fmt: skip


def moved(t: Mapping[str, int]) -> set[int]:
    return {
        t["at"] + y * t["row"] + x * t["col"] + b
        for y in range(t["rows"]) for x in range(t["cols"]) for b in range(t["bytes"])
    }  # fmt: skip


def test_strided_transfers_conflict_exactly_where_they_share_a_byte() -> None:
    rng = np.random.default_rng(0)
    outcomes = []
    for _ in range(400):
        a, b = strided(rng), strided(rng)
        shape = [{k: t[k] for k in ("rows", "cols", "bytes")} for t in (a, b)]
        words = [
            word("store", dst=a["at"], dst_row=a["row"], dst_col=a["col"], **shape[0]),
            word("load", src=b["at"], src_row=b["row"], src_col=b["col"], dst=4096, **shape[1]),
        ]
        outcomes.append(bool(moved(a) & moved(b)))
        assert refused(program(words)) == outcomes[-1], (a, b)
    assert 50 < sum(outcomes) < 350


def refused(made: Program, chip: accelc.Chip = EDGE) -> bool:
    try:
        check_hazards(made, chip)
    except MachineError as error:
        return str(error).startswith("hazard: ")
    return False


def host_program(wait: Mapping[Queue, int], after: Mapping[Queue, int]) -> Program:
    """Store, a host call that reads it and writes elsewhere, a load of what it wrote."""
    source, target = (Port("", (1, 8), "float32", "uint8", 1.0, 0, at, (1, 1, 1, 8), 16) for at in (0, 64))
    words = [word("store", bytes=8, src=512), word("host", wait), word("load", after, bytes=8, src=64)]
    return replace(program(words), hosts=(HostCall("erf", "Erf", "", b"", (source,), (target,), 1e-6),))


def test_host_calls_touch_their_tensors() -> None:
    check_hazards(host_program({S: 1}, {Queue.HOST: 1}), EDGE)
    with pytest.raises(MachineError, match=r"instruction 1 \(host .* reads dram bytes 0 to 8, .*store=1"):
        check_hazards(host_program({}, {Queue.HOST: 1}), EDGE)
    with pytest.raises(MachineError, match=r"instruction 2 \(load .* reads dram bytes 64 to 72, .*host=1"):
        check_hazards(host_program({S: 1}, {}), EDGE)


def test_a_deadlock_is_refused() -> None:
    with pytest.raises(MachineError, match=r"^deadlock: LOAD instruction 0 \(load\) waits for 1 of MAC"):
        check_hazards(program([word("load", {M: 1}), word("conv", {L: 1})]), EDGE)
    with pytest.raises(MachineError, match="waits for 9 of LOAD"):
        check_hazards(program([word("load"), word("conv", {L: 9})]), EDGE)


def test_an_empty_program_is_sound() -> None:
    check_hazards(program([]), EDGE)


@pytest.mark.parametrize("chip", ["edge", "gemmini"])
@pytest.mark.parametrize("name", CLASSIFIERS)
def test_compiled_networks_are_sound(name: str, chip: str) -> None:
    check_hazards(accelc.compile(name, chip, tiny=True), load_chip(chip))


@pytest.mark.parametrize("chip", CHIPS)
@pytest.mark.parametrize("name", CASES)
def test_lowered_layers_are_sound(name: str, chip: str) -> None:
    net = Net(len(name))
    check_hazards(lower(schedule(net.graph(CASES[name](net)), CHIPS[chip]), CHIPS[chip]), CHIPS[chip])


def test_compiled_host_calls_are_sound() -> None:
    built = model([node("Relu", "x", "r"), node("Erf", "r", "e"), node("Add", "e x", "y")], {"x": (1, 64)})
    check_hazards(accelc.compile(built, allow_host=True), EDGE)


def plainly_sound(made: Program) -> bool:
    """The same question answered the slow way: all paths of the graph of tokens, all pairs of on-chip byte ranges."""
    words, queues = decode(made.words), decode_queues(made.words).tolist()
    lanes = [(w.core, q) for w, q in zip(words, queues, strict=True)]
    above: list[set[int]] = []  # what is complete before each instruction starts; waits only reach back in these
    for i, w in enumerate(words):
        waits = [(w.core if q.of_core else 0, q, n) for q, n in w.wait.items()]
        direct = [[k for k, lane in enumerate(lanes) if lane == (core, q)][n - 1] for core, q, n in waits]
        direct += [k for k in range(i) if lanes[k] == lanes[i]][-1:]
        everything = set(range(i)) if w.instruction.name == "sync" else set[int]()
        above.append(everything.union(direct, *(above[k] for k in direct)))
    touched = [touched_by(w) for w in words]
    return all(
        i in above[j] or lanes[i] == lanes[j] or not clash(touched[i], touched[j])
        for j in range(len(words)) for i in range(j)
    )  # fmt: skip


def touched_by(made: Word) -> list[tuple[int, int, int, bool]]:
    row = np.zeros((1, 32), np.int64)
    for k, f in enumerate(made.instruction.fields):
        row[0, k] = 0 if f.operand.real else made.operands[f.name]
    own = [100 * made.core, 0]  # the DRAM is one for all cores
    return [(s + own[s == 0], int(a[0]), int(b[0]), w) for s, a, b, w in ranges(made.instruction, row)]


def clash(one: list[tuple[int, int, int, bool]], other: list[tuple[int, int, int, bool]]) -> bool:
    return any(
        s == t and (w or v) and max(a, c) < min(b, d) for s, a, b, w in one for t, c, d, v in other
    )  # fmt: skip


@pytest.mark.parametrize("name", ["conv_deep", "residual", "chain_to_global_max", "softmax"])
def test_without_a_token_a_program_is_refused_or_still_ordered(name: str) -> None:
    """Every wait of a compiled program is left out once (at most 60 of them); an independent check must agree."""
    net = Net(1)
    made = lower(schedule(net.graph(CASES[name](net)), CHIPS["small"]), CHIPS["small"])
    assert_both_checks_agree(made, CHIPS["small"])


def test_so_is_a_program_of_two_cores() -> None:
    """Rows are shared out: bands touch ranges of bytes that the plain check can tell apart."""
    net, chip = Net(1), EDGE.model_copy(update={"cores": 2})
    y = net.conv(net.input(1, 16, 12, 12), 32, pads=(1, 1, 1, 1))
    graph = net.graph(net.pool("max_pool", net.conv(y, 48, pads=(1, 1, 1, 1)), (2, 2), (2, 2)))
    plan = schedule(graph, chip, residency=False, mapping=ByHand(defaults=Pin(split="rows")))
    made = lower(plan, chip)
    assert any(Queue.SYNC in w.wait for w in decode(made.words))
    assert_both_checks_agree(made, chip)


def assert_both_checks_agree(made: Program, chip: Chip) -> None:
    words = decode(made.words)[:200]
    made = replace(made, words=encode(words), layer_of=made.layer_of[:200])
    assert plainly_sound(made)
    assert not refused(made, chip)
    waits = [(i, q) for i, w in enumerate(words) for q in w.wait]
    chosen = np.random.default_rng(2).permutation(len(waits))[:60]
    outcomes = []
    for i, q in (waits[k] for k in chosen):
        less = replace(words[i], wait={r: n for r, n in words[i].wait.items() if r != q})
        broken = replace(made, words=encode([*words[:i], less, *words[i + 1 :]]))
        outcomes.append(refused(broken, chip))
        assert outcomes[-1] != plainly_sound(broken), (i, q)
    assert any(outcomes)
