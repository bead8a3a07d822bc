"""Chips as Markdown: each parameter with its value, meaning and source, generated from the model and the TOML files."""

from __future__ import annotations

import sys
from collections.abc import Iterator

from pydantic import BaseModel

from accelc.chip.model import Chip, load_chip, shipped

NO_SOURCE = "none given"


def markdown() -> str:
    """Return the page of every shipped chip."""
    head = (
        "# Chips\n\n"
        "Generated from the shipped chip files in `accelc/chip`. A parameter's unit is the end of its name; the\n"
        "source says where its value is taken from, or that it is an assumption. A chip of your own is a TOML\n"
        "file with the same keys: `accelc run MODEL --chip my.toml`. With `base = \"edge\"`, or another shipped\n"
        "chip, it says only what differs.\n"
    )
    return head + "".join(f"\n{describe(load_chip(name))}" for name in shipped())


def describe(chip: Chip) -> str:
    """Return one chip's section: its derived rates, then every parameter by part."""
    return "\n".join(_lines(chip))


def _lines(chip: Chip) -> Iterator[str]:
    yield from (f"## {chip.name}", "", chip.description, "")
    yield from _derived(chip)
    yield from _part_lines("", chip)


def _derived(chip: Chip) -> Iterator[str]:
    tops = 2 * chip.peak_macs_per_cycle * chip.clock_mhz / 1e6
    bandwidth = chip.dram_bytes_per_cycle * chip.clock_mhz / 1e3
    each = f", {chip.cores} cores together" if chip.cores > 1 else ""
    yield f"* peak: {chip.peak_macs_per_cycle} MACs a cycle, {tops:.4g} TOPS{each}"
    yield f"* DRAM: {chip.dram_bytes_per_cycle:.4g} bytes a cycle, {bandwidth:.4g} GB/s"
    yield f"* fingerprint: `{chip.fingerprint}`"
    yield ""


def _part_lines(path: str, part: BaseModel) -> Iterator[str]:
    """Yield the table of a part's own values, then its parts."""
    fields = type(part).model_fields
    values = {name: getattr(part, name) for name in fields if name != "sources"}
    own = {n: v for n, v in values.items() if v is not None and not isinstance(v, BaseModel)}
    own = {n: v for n, v in own.items() if path or n not in ("name", "description")}
    if own:
        yield from (f"### {path}" if path else "### chip", "")
        yield from ("| parameter | value | meaning | source |", "|---|---|---|---|")
        for name, value in own.items():
            source = getattr(part, "sources", {}).get(name, NO_SOURCE)
            yield f"| `{name}` | {_value(value)} | {_cell(fields[name].description or '')} | {_cell(source)} |"
        yield ""
    for name, value in values.items():
        if isinstance(value, BaseModel):
            yield from _part_lines(f"{path}.{name}".strip("."), value)


def _value(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, (list, tuple)):
        return ", ".join(_value(v) for v in value)
    if isinstance(value, float):
        return f"{value:.10g}"
    return _cell(str(value))


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


if __name__ == "__main__":
    sys.stdout.write(markdown())
