"""A chip's energy figures as Markdown: each with its unit, its confidence and its source, and what accesses cost."""

from __future__ import annotations

from collections.abc import Iterator

from accelc.chip import Chip
from accelc.energy.rates import figures, storage
from accelc.energy.table import load_table


def describe_energy(chip: Chip) -> str:
    """Return the section of every energy figure that a chip uses."""
    return "\n".join(_lines(chip))


def _lines(chip: Chip) -> Iterator[str]:
    table = load_table(chip.energy)
    yield from (f"### energy: {table.name}", "", table.description, "")
    yield from ("| entry | value | unit | per | confidence | source |", "|---|---|---|---|---|---|")
    for name, e in figures(chip):
        yield f"| `{name}` | {e.value:.6g} | {e.unit} | {_cell(e.per)} | {e.confidence} | {_cell(e.source)} |"
    yield from ("", "What one access costs by these figures, for the chip's capacities:", "")
    yield from ("| storage | bytes | bits of an access | pJ of an access |", "|---|---|---|---|")
    for name, size, bits, picojoules in storage(chip):
        yield f"| {name} | {size} | {bits} | {picojoules:.4g} |"
    yield ""


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
