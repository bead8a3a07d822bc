"""The page of supported operators is the importer's own tables, and the copy in docs is that page."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from accelc.frontend.page import markdown
from accelc.frontend.table import EXPANSIONS, LOWERINGS

DOCS = Path(__file__).parents[2] / "docs"


def test_the_page_in_docs_is_what_the_importer_does(same_file: Callable[[Path, str], None]) -> None:
    same_file(DOCS / "supported-operators.md", markdown())


def test_every_operator_has_a_row_with_its_meaning_and_refusals() -> None:
    rows = {line for line in markdown().splitlines() if line.startswith("| ")}
    for (_, op), entry in LOWERINGS.items():
        row = next(r for r in rows if r.startswith((f"| [{op}]", f"| {op} (")))
        assert entry.summary in row
        assert all(refusal in row for refusal in entry.refusals)
    for (_, op) in EXPANSIONS:
        assert any(r.startswith((f"| [{op}]", f"| {op} (")) for r in rows)
