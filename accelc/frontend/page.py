"""The operators the importer knows as Markdown, generated from its own tables."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence

from accelc.frontend.node import Lowering
from accelc.frontend.quantized import Expansion
from accelc.frontend.table import EXPANSIONS, LOWERINGS

_UNITS = {
    "array": "On the MAC array",
    "vector": "On the vector unit and the DMA engines",
    "compiler": "At compile time, at no cost",
}


def markdown() -> str:
    """Return the page of supported operators."""
    return "\n".join(_lines()) + "\n"


def _lines() -> Iterator[str]:
    yield from (
        "# Supported operators",
        "",
        "Generated from the importer's tables: `python -m accelc.frontend.page`.",
        "",
        "An operator whose inputs are all constant is computed at compile time, whatever it is. Anything else that is",
        "not listed is refused with the node's name and what would work; `--allow-host` runs it on the host in",
        "float32, priced and listed in the report.",
    )
    for unit, title in _UNITS.items():
        entries = [e for e in LOWERINGS.values() if e.unit == unit]
        if entries:
            yield from ("", f"## {title}", "")
            yield from _table(("operator", "meaning", "attributes read", "refused"), map(_row, entries))
    yield from ("", "## Quantized operators", "")
    yield "Each is rewritten to the float operator between DequantizeLinear and QuantizeLinear that defines it."
    yield ""
    yield from _table(("operator", "attributes read", "refused"), map(_expansion_row, EXPANSIONS.values()))


def _row(entry: Lowering) -> tuple[str, ...]:
    return _name(entry.op, entry.domain), entry.summary, _codes(entry.attributes), "; ".join(entry.refusals)


def _expansion_row(entry: Expansion) -> tuple[str, ...]:
    return _name(entry.op, entry.domain), _codes(entry.attributes), "; ".join(entry.refusals)


def _name(op: str, domain: str) -> str:
    return f"{op} ({domain})" if domain else f"[{op}](https://onnx.ai/onnx/operators/onnx__{op}.html)"


def _codes(names: Sequence[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


def _table(head: tuple[str, ...], rows: Iterator[tuple[str, ...]]) -> Iterator[str]:
    yield f"| {' | '.join(head)} |"
    yield f"|{'---|' * len(head)}"
    for row in sorted(rows, key=lambda cells: cells[0].lstrip("[").lower()):
        yield f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in row)} |"


if __name__ == "__main__":
    sys.stdout.write(markdown())
