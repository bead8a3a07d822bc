"""The page of the instruction set: generated, complete, and equal to the copy in docs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from accelc.isa import TABLE
from accelc.isa.page import body, markdown

DOCS = Path(__file__).parents[2] / "docs"


def test_the_page_in_docs_is_the_one_the_definitions_give(same_file: Callable[[Path, str], None]) -> None:
    same_file(DOCS / "isa.md", markdown())


def test_the_page_names_every_instruction_operand_and_action() -> None:
    sections = markdown().split("\n### ")
    by_title = {section.partition("\n")[0]: section for section in sections[1:]}
    for made in TABLE.values():
        section = by_title[made.name]
        assert f"`{made.opcode:#04x}`" in section
        assert made.doc.partition("\n")[0] in section
        assert all(f"| `{f.name}` | {f.lane} |" in section for f in made.fields)


def test_a_clause_is_shown_without_signature_and_docstring() -> None:
    def clause(a: int) -> int:
        """Say nothing."""
        if a:
            return 1
        return 2

    assert body(clause) == "if a:\n    return 1\nreturn 2"
