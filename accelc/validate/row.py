"""What a replayed table holds: rows of a published figure beside ours, the values chosen freely, and their sources."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

Kind = Literal["silicon", "fpga", "vendor-fast-model", "layout-sim", "paper-sim", "vendor-analytic"]

# Metrics that are shares of a whole: their error is a difference in percentage points, not a ratio.
POINT_METRICS = frozenset({"cycle_split"})


@dataclass(frozen=True)
class Row:
    """One published figure and ours: `metric` names what was measured, `kind` how the published one came about."""

    table: str
    row: str
    metric: str
    published: float
    ours: float
    unit: str
    kind: Kind
    note: str = ""

    @property
    def error(self) -> float:
        """Return ours against published, signed: in points for a share, in percent of published for anything else."""
        if self.metric in POINT_METRICS:
            return self.ours - self.published
        return 100.0 * (self.ours - self.published) / self.published if self.published else float("inf")

    @property
    def error_unit(self) -> str:
        """Return the unit of `error`."""
        return "points" if self.metric in POINT_METRICS else "%"


@dataclass(frozen=True)
class FreeParameter:
    """A value of a model that no source states and that was chosen: what it means and how it was chosen."""

    name: str
    value: float | int | str
    meaning: str


@dataclass(frozen=True)
class Section:
    """A further table of the page: what a replay assumed or counted, row by row."""

    title: str
    head: tuple[str, ...]
    cells: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class Replay:
    """A published table replayed: rows, every free parameter, prose (sources, inferences), and further tables."""

    rows: tuple[Row, ...]
    free_parameters: tuple[FreeParameter, ...]
    prose: tuple[str, ...]
    sections: tuple[Section, ...] = ()


@dataclass(frozen=True)
class Summary:
    """The errors of one metric of a table."""

    table: str
    metric: str
    rows: int
    mean: float
    worst: float
    worst_row: str
    unit: str


def summaries(rows: Iterable[Row]) -> list[Summary]:
    """Return the mean and the largest absolute error of every metric, in the order they come."""
    groups: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        groups.setdefault((row.table, row.metric), []).append(row)
    return [_summary(table, metric, group) for (table, metric), group in groups.items()]


def _summary(table: str, metric: str, rows: list[Row]) -> Summary:
    worst = max(rows, key=lambda r: abs(r.error))
    mean = sum(abs(r.error) for r in rows) / len(rows)
    return Summary(table, metric, len(rows), mean, worst.error, worst.row, worst.error_unit)
