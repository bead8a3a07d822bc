"""Raw sums of one pixel leave the chip several blocks at a time, and are the same."""

from __future__ import annotations

from itertools import pairwise

import pytest

from accelc.chip import load_chip
from accelc.compiler import Compiled, compile_stages
from accelc.graph import verify_quantized
from accelc.isa import by_name
from accelc.lower import lower
from accelc.schedule import Schedule, schedule
from accelc.schedule.mapping import Mapping, Pin
from accelc.sim.timing import time_program
from tests.schedule.test_cascade import differing
from tests.small_lstm import STEPS, small_lstm

HIDDEN = 160  # 2,560 bytes of sums a step


@pytest.fixture(scope="module")
def lstm() -> Compiled:
    return compile_stages(small_lstm(HIDDEN), "edge")


def planned(lstm: Compiled, chip: str, pin: Pin) -> Schedule:
    """Return the LSTM's schedule with a pin for each product by the recurrent weights."""
    assert lstm.quantized is not None
    layers = [layer.name for layer in lstm.quantized.layers if layer.op == "fc"][1:]
    assert len(layers) == STEPS - 1  # the first step's is computed when compiling
    return schedule(lstm.quantized, load_chip(chip), mapping=Mapping(dict.fromkeys(layers, pin)))


def stores(plan: Schedule) -> list[int]:
    """Return the bytes of each store of the products, of those of a step one after the other."""
    program = lower(plan, plan.chip)
    layers = {k for k, layer in enumerate(program.layers) if "product." in layer.name and layer.op == "fc"}
    timeline = time_program(program, plan.chip)
    found = zip(program.opcodes.tolist(), program.layer_rows.tolist(), timeline.requested_bytes.tolist(), strict=True)
    return [size for opcode, layer, size in found if opcode == by_name("store").opcode and layer in layers]


@pytest.mark.parametrize(
    ("channels", "sizes"),
    [
        (16, [2048, 512]),  # 40 blocks of 64 bytes
        (48, [1920, 640]),  # 14 blocks, the last of 16 channels
        (64, [2048, 512]),
        (100, [2000, 560]),
        (320, [1280, 1280]),
        (640, [2560]),
    ],
)
def test_sums_of_a_step_leave_two_kibibytes_at_a_time(lstm: Compiled, channels: int, sizes: list[int]) -> None:
    plan = planned(lstm, "edge", Pin(channels=channels, hold_weights=False))
    assert stores(plan) == sizes * (STEPS - 1)
    assert sum(each.cycles for each in plan.expected) == time_program(lower(plan, plan.chip), plan.chip).cycles
    assert differing(verify_quantized(plan.graph), plan) == 0


def test_sums_that_wait_for_no_weights_leave_block_by_block(lstm: Compiled) -> None:
    assert stores(planned(lstm, "edge", Pin(channels=64, hold_weights=True))) == [256] * 10 * (STEPS - 1)


@pytest.mark.parametrize("channels", [16, 48])
def test_each_core_stores_its_own_share(lstm: Compiled, channels: int) -> None:
    plan = planned(lstm, "edge_2core", Pin(channels=channels, split="channels", hold_weights=False))
    assert stores(plan) == [1280] * 2 * (STEPS - 1)
    assert differing(verify_quantized(plan.graph), plan) == 0


def test_sums_of_several_pixels_take_the_slots_in_turn(lstm: Compiled) -> None:
    """Pixel after pixel of a block: while one is stored, the next is drained beside it."""
    assert lstm.quantized is not None
    first = next(layer.name for layer in lstm.quantized.layers if layer.op == "fc")
    plan = schedule(lstm.quantized, load_chip("edge"), mapping=Mapping({first: Pin(rows=1, order="weights")}))
    program, at = lower(plan, plan.chip), [f.name for f in by_name("store").fields].index("src")
    mine = [k for k, layer in enumerate(program.layers) if layer.name == first]
    chosen = (program.opcodes == by_name("store").opcode) & (program.layer_rows == mine[0])
    places = program.rows[chosen, at].tolist()
    assert len(places) > STEPS
    assert all(a != b for a, b in pairwise(places))
