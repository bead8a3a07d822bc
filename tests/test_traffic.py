"""What residency saves on whole networks: the traffic of a chip that holds their maps, to that of each layer alone."""

from __future__ import annotations

import pytest

import accelc
from accelc.chip import Chip, load_chip
from accelc.models import build
from accelc.schedule.mapping import Mapping, Pin
from accelc.sim.timing import time_program

ALONE = Mapping(defaults=Pin(cut=True))


def roomy() -> Chip:
    """The edge chip with an activation buffer of 2 MiB."""
    values = load_chip("edge").model_dump()
    values["buffers"]["act"]["bytes"] = 2 << 20
    return Chip.model_validate(values)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "least"), [("resnet18", 2.0), ("googlenet", 3.3)])
def test_maps_on_chip_save_at_least_half_of_the_traffic(name: str, least: float) -> None:
    chip, model = roomy(), build(name)
    moved = []
    for options in ({}, {"residency": False, "mapping": ALONE}):
        timeline = time_program(accelc.compile(model, chip, **options), chip)  # type: ignore[arg-type]
        moved.append(timeline.dram_read_bytes + timeline.dram_write_bytes)
    assert moved[1] >= least * moved[0]
