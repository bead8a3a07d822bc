"""One table of dataflows: what chips may offer, the instruction's codes, and the modules of closed forms agree."""

from __future__ import annotations

from importlib import import_module

import pytest

from accelc.chip.model import OFFERS
from accelc.chip.timing import ORGANIZATIONS
from accelc.isa.dataflow import CODES, FORMS, NAMES


def test_every_offer_has_a_code_and_every_code_its_forms() -> None:
    assert set(CODES) == {(organization, name) for organization, names in OFFERS.items() for name in names}
    assert sorted(CODES.values()) == list(range(len(FORMS))) == list(range(len(NAMES)))
    assert set(OFFERS) == set(ORGANIZATIONS)


@pytest.mark.parametrize("form", FORMS)
def test_closed_and_literal_forms_have_the_same_names(form: str) -> None:
    closed, literal = import_module(f"accelc.isa.dataflow.{form}"), import_module(f"accelc.sim.array.{form}")
    for kind in ("conv", "depthwise"):
        assert all(hasattr(closed, f"{kind}_{what}") for what in ("cycles", "events"))
        assert hasattr(literal, kind)
