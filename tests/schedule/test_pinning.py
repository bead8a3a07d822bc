"""Weights that several stages share: all or some of their tiles stay on chip, and nothing computed changes by it."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from accelc.chip import Chip, load_chip
from accelc.compiler import Compiled, compile_stages
from accelc.errors import MappingError
from accelc.graph import verify_quantized
from accelc.isa import by_name
from accelc.lower import lower
from accelc.schedule import Schedule, schedule
from accelc.schedule.dump import dump_mapping
from accelc.schedule.geometry import Geometry
from accelc.schedule.mapping import Mapping, Pin, parse_mapping
from accelc.schedule.pieces import every_piece, held_bytes, staying, tile_bytes
from accelc.schedule.pinning import staying_tiles
from accelc.schedule.tiling import Tiling
from accelc.sim.timing import time_program
from tests.schedule.test_cascade import differing
from tests.schedule.test_mapping import scaled
from tests.small_lstm import small_lstm

CHIP = scaled(load_chip("edge"), wgt=24 << 10)  # the recurrent weights take 36,864 bytes and parameters


@pytest.fixture(scope="module")
def lstm() -> Compiled:
    """An LSTM of five steps, quantized, whose recurrent weights do not fit the chip's weight buffer."""
    return compile_stages(small_lstm(), CHIP)


def planned(lstm: Compiled, chip: Chip = CHIP, **pin: object) -> Schedule:
    """Return the LSTM's schedule; `pin` is said of all stages that share the recurrent weights."""
    assert lstm.quantized is not None
    mapping = Mapping({layer: Pin(**pin) for layer in recurrent(lstm)} if pin else {})  # type: ignore[arg-type]
    return schedule(lstm.quantized, chip, mapping=mapping)


def recurrent(lstm: Compiled) -> list[str]:
    """Return the layers that multiply by the recurrent weights."""
    assert lstm.schedule is not None
    heads = [plan.stage.head for plan in lstm.schedule.plans if plan.stage.head is not None]
    return [head.name for head in heads if sum(h.inputs[1] == head.inputs[1] for h in heads) > 1]


def kept(plan: Schedule) -> set[int]:
    """Return how many weight tiles stay on chip, of all stages of which any do."""
    return {staying_tiles(plan.pins, k, plan.plans[k]) for k in plan.pins.places}


def loads(plan: Schedule) -> int:
    """Return the instructions that load weights."""
    return int((lower(plan, plan.chip).opcodes == by_name("load_weights").opcode).sum())


def test_weights_that_do_not_fit_stay_in_part(lstm: Compiled) -> None:
    """Each of the four later steps loads what does not stay, no more; it takes less time, as predicted."""
    plan, none = planned(lstm), planned(lstm, hold_weights=False)
    (count,) = kept(plan)
    entry = plan.plans[min(plan.pins.places)]
    assert entry.geometry is not None
    assert entry.tiling is not None
    tiles = len(list(every_piece(entry.geometry, entry.tiling)))
    assert 0 < count < tiles
    same = planned(lstm, hold_weights=False, channels=entry.tiling.channels)
    assert loads(same) - loads(plan) == count * (len(recurrent(lstm)) - 1)
    cycles, apart = (time_program(lower(each, CHIP), CHIP).cycles for each in (plan, none))
    assert cycles < apart
    assert cycles == sum(each.cycles for each in plan.expected)
    assert differing(verify_quantized(plan.graph), plan) == 0


def test_weights_that_fit_stay_whole(lstm: Compiled) -> None:
    plan = planned(lstm, load_chip("edge"))
    assert all(plan.plans[k].geometry.held.weights for k in plan.pins.places)  # type: ignore[union-attr]
    assert differing(verify_quantized(plan.graph), plan) == 0


@pytest.mark.parametrize(
    "tile", [{}, {"channels": 32}, {"channels": 64, "depth": 32}, {"order": "map"}, {"slots": 1, "channels": 16}]
)
@pytest.mark.parametrize("count", [1, 3])
def test_so_many_tiles_stay_as_a_mapping_says(lstm: Compiled, count: int, tile: dict[str, object]) -> None:
    plan = planned(lstm, hold_weights=count, **tile)
    assert kept(plan) == {count}
    assert sum(each.cycles for each in plan.expected) == time_program(lower(plan, CHIP), CHIP).cycles
    assert differing(verify_quantized(plan.graph), plan) == 0


def test_more_tiles_than_find_room_are_refused(lstm: Compiled) -> None:
    with pytest.raises(MappingError, match=r"hold_weights = 24: they take \d+ bytes of wgt \(has 24576\)"):
        planned(lstm, hold_weights=24)


def test_a_number_of_tiles_is_one_or_more_and_said_by_layer() -> None:
    with pytest.raises(MappingError, match="hold_weights = 0: true, false or a number of weight tiles of at least 1"):
        parse_mapping("[layers.a]\nhold_weights = 0")
    with pytest.raises(MappingError, match="hold_weights = 2 is said layer by layer"):
        parse_mapping("[defaults]\nhold_weights = 2")


def test_a_dump_tells_how_many_tiles_stay(lstm: Compiled) -> None:
    first = planned(lstm)
    text = dump_mapping(first)
    (count,) = kept(first)
    assert f"hold_weights = {count}\n" in text
    assert lstm.quantized is not None
    again = schedule(lstm.quantized, CHIP, mapping=parse_mapping(text))
    assert np.array_equal(lower(again, CHIP).words, lower(first, CHIP).words)


@pytest.mark.parametrize("count", range(13))
def test_tiles_that_stay_lie_evenly_among_the_others(lstm: Compiled, count: int) -> None:
    """Of twelve tiles just so many stay; they lie evenly, and of fewer than half none at an end."""
    g, t = twelve(lstm)
    every = [piece.key for piece in every_piece(g, t)]
    found = staying(g, t, count * tile_bytes(g, t))
    assert len(every) == 12
    assert held_bytes(g, t) == 12 * tile_bytes(g, t)
    assert found <= set(every)
    assert len(found) == count
    if 1 < count < 12:
        at = [k for k, key in enumerate(every) if key in found]
        steps = [b - a for a, b in pairwise(at)]
        assert max(steps) - min(steps) <= 1
    if count < 6:
        assert not {every[0], every[-1]} & found


def twelve(lstm: Compiled) -> tuple[Geometry, Tiling]:
    """Return a stage of twelve weight tiles."""
    plan = planned(lstm, channels=32, hold_weights=False)
    entry = next(p for p in plan.plans if p.stage.layers[0].name in recurrent(lstm))
    assert entry.geometry is not None
    assert entry.tiling is not None
    return entry.geometry, replace(entry.tiling, channels=32)
