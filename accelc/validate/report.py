"""Replayed tables as terminal text and as JSON."""

from __future__ import annotations

import io
import shutil
import sys
from collections.abc import Mapping
from typing import Any, TextIO

from rich.box import SIMPLE_HEAD
from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from accelc.report.units import figures
from accelc.validate.row import FreeParameter, Replay, Row, Summary, summaries
from accelc.validate.tables import TABLES

_FILE_WIDTH = 140
_DIM = "dim"


def to_json(replays: Mapping[str, Replay]) -> dict[str, Any]:
    """Return the replayed tables under the documented names; `error_pct` is in points for shares."""
    return {
        "free_parameters": [
            {"table": name, "name": p.name, "value": p.value, "meaning": p.meaning}
            for name, replay in replays.items()
            for p in replay.free_parameters
        ],
        "rows": [_row_json(row) for replay in replays.values() for row in replay.rows],
    }


def _row_json(row: Row) -> dict[str, Any]:
    return {
        "table": row.table,
        "row": row.row,
        "metric": row.metric,
        "published": row.published,
        "ours": row.ours,
        "unit": row.unit,
        "error_pct": row.error,
        "error_unit": row.error_unit,
        "kind": row.kind,
        "note": row.note,
    }


def print_replays(replays: Mapping[str, Replay], stream: TextIO | None = None) -> None:
    """Print the tables: styled and as wide as the terminal, or plain when `stream` is not one."""
    stream = stream or sys.stdout
    width = shutil.get_terminal_size().columns if stream.isatty() else _FILE_WIDTH
    stream.write(render(replays, width, color=stream.isatty()))


def render(replays: Mapping[str, Replay], width: int = _FILE_WIDTH, color: bool = False) -> str:
    """Return the tables as text of at most `width` columns."""
    buffer = io.StringIO()
    console = Console(file=buffer, width=max(width, 40), force_terminal=color, no_color=not color, highlight=False)
    for name, replay in replays.items():
        console.print(Group(*_parts(name, replay)))
    return "\n".join(line.rstrip() for line in buffer.getvalue().splitlines()) + "\n"


def _parts(name: str, replay: Replay) -> list[RenderableType]:
    parts: list[RenderableType] = [Text(f"{name}: {TABLES[name].title}", style="bold")]
    for summary in summaries(replay.rows):
        parts += [_metric_table(summary, [r for r in replay.rows if r.metric == summary.metric])]
    parts.append(Text(_parameters_text(replay.free_parameters)))
    parts += [Text(line, style=_DIM) for line in replay.prose]
    return [*parts, ""]


def _metric_table(summary: Summary, rows: list[Row]) -> Table:
    table = Table(box=SIMPLE_HEAD, pad_edge=False, show_edge=False, caption=summary_text(summary))
    table.caption_justify = "left"
    table.add_column(summary.metric, no_wrap=True)
    for head in ("published", "ours", "unit", "error"):
        table.add_column(head, justify="right", no_wrap=True)
    table.add_column("kind", no_wrap=True)
    if any(row.note for row in rows):
        table.add_column("note", overflow="fold", style=_DIM)
    for row in rows:
        cells = (row.row, figures(row.published), figures(row.ours), row.unit, error_text(row), row.kind, row.note)
        table.add_row(*(Text(cell) for cell in cells[: len(table.columns)]))
    return table


def error_text(row: Row) -> str:
    """Return a row's signed error with its unit."""
    return f"{row.error:+.1f} {row.error_unit}"


def summary_text(summary: Summary) -> str:
    """Return a metric's mean and worst error as a line."""
    return (
        f"{summary.rows} rows, mean absolute error {summary.mean:.1f} {summary.unit},"
        f" worst {summary.worst:+.1f} {summary.unit} ({summary.worst_row})"
    )


def _parameters_text(parameters: tuple[FreeParameter, ...]) -> str:
    lines = [f"  {p.name} = {p.value}: {p.meaning}" for p in parameters]
    return "\n".join([f"free parameters: {len(parameters)}", *lines])
