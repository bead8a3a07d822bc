"""The page of the chips: generated from the model and the shipped files, and equal to the copy in docs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from accelc.chip import load_chip, shipped
from accelc.chip.page import describe, markdown

DOCS = Path(__file__).parents[2] / "docs"


def test_the_page_in_docs_is_the_one_the_chips_give(same_file: Callable[[Path, str], None]) -> None:
    same_file(DOCS / "chips.md", markdown())


def test_every_shipped_chip_is_described_with_its_values_and_sources() -> None:
    page = markdown()
    for name in shipped():
        chip = load_chip(name)
        section = describe(chip)
        assert section in page
        assert f"| `rows` | {chip.array.rows} |" in section
        assert f"| `kind` | {chip.dram.kind} |" in section
        assert all(source in section for source in chip.array.sources.values())
        assert chip.fingerprint in section
