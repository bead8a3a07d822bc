"""Draws where a run's cycles went, layer by layer, as an SVG: `python docs/stall_chart.py RUN.json CHART.svg`.

RUN.json is what `accelc run MODEL --json RUN.json` writes.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from html import escape
from pathlib import Path
from typing import Any

COLORS = {
    "compute": "#2f6f9f",
    "fill_drain": "#86b6d6",
    "weight_load": "#b9a0d8",
    "dma_wait": "#d9793a",
    "bank_conflict": "#b2423f",
    "dependency": "#a8a8a8",
    "vector": "#5a9e6f",
    "host": "#333333",
}
WIDTH, LEFT, TOP, ROW, BAR = 900, 210, 56, 17, 12


def chart(run: dict[str, Any]) -> str:
    """Return the chart of a run's JSON as SVG text."""
    height = TOP + ROW * len(run["layers"]) + 30
    return "\n".join(_lines(run, height)) + "\n"


def _lines(run: dict[str, Any], height: int) -> Iterator[str]:
    yield (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}"'
        ' font-family="Helvetica, Arial, sans-serif" font-size="11">'
    )
    yield f'<rect width="{WIDTH}" height="{height}" fill="#ffffff"/>'
    title = f"{run['model']} on {run['chip']}: {run['cycles']:,} cycles by layer and cause"
    yield f'<text x="8" y="18" font-size="14" font-weight="bold">{escape(title)}</text>'
    yield from _legend(run)
    most = max(layer["cycles"] for layer in run["layers"])
    for k, layer in enumerate(run["layers"]):
        yield from _row(layer, TOP + ROW * k, (WIDTH - LEFT - 90) / most)
    yield "</svg>"


def _legend(run: dict[str, Any]) -> Iterator[str]:
    x = 8
    for cause, cycles in run["stalls"].items():
        if cycles:
            text = f"{cause} {100 * cycles / run['cycles']:.1f} %"
            yield f'<rect x="{x}" y="30" width="10" height="10" fill="{COLORS[cause]}"/>'
            yield f'<text x="{x + 14}" y="39">{text}</text>'
            x += 26 + 6 * len(text)


def _row(layer: dict[str, Any], y: int, scale: float) -> Iterator[str]:
    name = layer["name"] if len(layer["name"]) <= 34 else "…" + layer["name"][-33:]
    yield f'<text x="{LEFT - 6}" y="{y + 10}" text-anchor="end">{escape(name)}</text>'
    x = float(LEFT)
    for cause, cycles in layer["stalls"].items():
        if cycles:
            yield f'<rect x="{x:.1f}" y="{y}" width="{cycles * scale:.1f}" height="{BAR}" fill="{COLORS[cause]}"/>'
            x += cycles * scale
    yield f'<text x="{x + 5:.1f}" y="{y + 10}" fill="#555555">{100 * layer["utilization"]:.0f} % busy</text>'


if __name__ == "__main__":
    source, target = sys.argv[1:]
    Path(target).write_text(chart(json.loads(Path(source).read_text(encoding="utf-8"))), encoding="utf-8")
