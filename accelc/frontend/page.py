"""The operators the importer knows as Markdown, generated from its own tables."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence

from accelc.frontend.conformance import CLAIMED, REFUSED, counts
from accelc.frontend.node import Lowering
from accelc.frontend.quantized import Expansion
from accelc.frontend.real.table import REAL_LOWERINGS
from accelc.frontend.table import EXPANSIONS, LOWERINGS

_UNITS = {
    "array": "On the MAC array",
    "vector": "On the vector unit and the DMA engines, in integers",
    "compiler": "At compile time, at no cost",
    "real": "On the vector unit, in 32-bit numbers",
    "host": "On the host processor, priced and listed in every report",
}


def markdown() -> str:
    """Return the page of supported operators."""
    return "\n".join(_lines()) + "\n"


def _lines() -> Iterator[str]:
    passed, total = sum(c[0] for c in counts().values()), sum(c[1] for c in counts().values())
    yield from (
        "# Supported operators",
        "",
        "Generated from the importer's tables: `python -m accelc.frontend.page`.",
        "",
        "An operator whose inputs are all constant is computed at compile time, whatever it is. A form in integers is",
        "taken where it fits the case; what it refuses is computed on 32-bit numbers where there is such a form (the",
        "last column but one). Anything else is refused with the node's name and what would work; `--allow-host` runs",
        "it on the host in float32, priced and listed in the report. `--precision float32` takes the 32-bit form",
        "always.",
        "",
        f"{len(CLAIMED)} operators of the standard domain are imported. Of ONNX's own tests of these operators, one",
        f"node each, {passed:,} of {total:,} pass on the simulated chip in 32-bit numbers, within the tests' own",
        f"tolerance; the others are refused: {'; '.join(sorted(set(REFUSED.values())))}.",
    )
    for unit, title in _UNITS.items():
        entries = [e for e in _entries() if _unit(e) == unit]
        if entries:
            yield from ("", f"## {title}", "")
            head = ("operator", "meaning", "attributes read", "refused in this form", "32-bit form", "node tests")
            yield from _table(head, map(_row, entries))
    yield from ("", "## Quantized operators", "")
    yield "Each is rewritten to the float operator between DequantizeLinear and QuantizeLinear that defines it."
    yield ""
    columns = ("operator", "attributes read", "refused", "node tests")
    yield from _table(columns, map(_expansion_row, EXPANSIONS.values()))


def _entries() -> list[Lowering]:
    """Return each operator's first form: in integers if it has one."""
    return [*LOWERINGS.values(), *(e for key, e in REAL_LOWERINGS.items() if key not in LOWERINGS)]


def _unit(entry: Lowering) -> str:
    if (entry.domain, entry.op) in LOWERINGS:
        return entry.unit
    return "host" if entry.unit == "host" else "real"


def _row(entry: Lowering) -> tuple[str, ...]:
    key = (entry.domain, entry.op)
    real = REAL_LOWERINGS.get(key) if key in LOWERINGS else None
    form = "" if real is None else real.summary
    return (
        _name(entry.op, entry.domain), entry.summary, _codes(entry.attributes), "; ".join(entry.refusals), form,
        _tests(entry.op, entry.domain),
    )  # fmt: skip


def _tests(op: str, domain: str) -> str:
    if domain or op not in counts():
        return ""
    passed, total, reasons = counts()[op]
    return f"{passed} / {total}" + (f" ({', '.join(reasons)})" if reasons else "")


def _expansion_row(entry: Expansion) -> tuple[str, ...]:
    tests = _tests(entry.op, entry.domain)
    return _name(entry.op, entry.domain), _codes(entry.attributes), "; ".join(entry.refusals), tests


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
