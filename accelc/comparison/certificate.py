"""What each layer took beside what it must: bars of cycles, DRAM bytes and energy over their lower bounds."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from markupsafe import Markup

from accelc.comparison import charts
from accelc.comparison.charts import Bar
from accelc.comparison.model import RunRow
from accelc.report.result import LayerResult

PARTS = ("lower bound", "executed above it")
"""The parts of a bar: together they are what was executed."""


@dataclass(frozen=True)
class Sheet:
    """The charts of one run, and its totals over their bounds in words."""

    run: str
    words: str
    charts: tuple[Markup, ...]


@dataclass(frozen=True)
class _Figure:
    """A figure of a layer, and its lower bound."""

    title: str
    unit: str
    executed: Callable[[LayerResult], float]
    bound: Callable[[LayerResult], float]


_FIGURES = (
    _Figure("cycles", "cycles", lambda x: x.cycles, lambda x: x.lower_bound_cycles),
    _Figure("DRAM traffic", "B", lambda x: x.dram_bytes, lambda x: x.lower_bound_dram_bytes),
    _Figure("energy", "J", lambda x: x.energy_j, lambda x: x.lower_bound_energy_j),
)


def looks() -> Mapping[str, charts.Look]:
    """Return the look of each part."""
    return charts.looks_of(PARTS)


def sheet_of(run: RunRow) -> Sheet:
    """Return the sheet of a run; a layer without the figure has no bar."""
    return Sheet(f"{run.model} on {run.label}", _words(run), tuple(_chart(run, f) for f in _FIGURES if _bars(run, f)))


def _chart(run: RunRow, figure: _Figure) -> Markup:
    return charts.bars(f"{figure.title} by layer", figure.unit, _bars(run, figure))


def _bars(run: RunRow, figure: _Figure) -> list[Bar]:
    styles, found = looks(), []
    for row in run.layers:
        executed, bound = float(figure.executed(row.layer)), float(figure.bound(row.layer))
        if executed:
            least = min(bound, executed)
            parts = ((PARTS[0], least, styles[PARTS[0]]), (PARTS[1], executed - least, styles[PARTS[1]]))
            found.append(Bar(row.layer.name, parts))
    return found


def _words(run: RunRow) -> str:
    r = run.result
    pairs = (
        ("cycles", r.cycles, r.lower_bound_cycles),
        ("DRAM bytes", r.dram_read_bytes + r.dram_write_bytes, r.lower_bound_dram_bytes),
        ("joules", r.energy_j, r.lower_bound_energy_j),
    )
    return ", ".join(f"{ours / bound:.3f} times the least {name}" for name, ours, bound in pairs if bound)
