"""The terminal report: one row for each layer, then a summary of time, energy and why."""

from __future__ import annotations

import io
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal, TextIO

from rich.box import SIMPLE_HEAD
from rich.console import Console, Group
from rich.table import Table
from rich.text import Text

from accelc.report.result import Accuracy, ActivityFigures, Check, LayerResult, Ledger, Result
from accelc.report.units import byte_text, figures, percent, quantity

# Wide enough for every column and a long node name when the output is a file or a pipe.
_FILE_WIDTH = 160
_RED, _GREEN, _DIM = "bold red", "green", "dim"


def print_report(result: Result, stream: TextIO | None = None) -> None:
    """Print the report: styled and as wide as the terminal, or plain and wide when `stream` is not one."""
    stream = stream or sys.stdout
    width = shutil.get_terminal_size().columns if stream.isatty() else _FILE_WIDTH
    text = render(result, width, color=stream.isatty())
    stream.write(text)


def render(result: Result, width: int = _FILE_WIDTH, color: bool = False) -> str:
    """Return the report as text of at most `width` columns."""
    buffer = io.StringIO()
    console = Console(file=buffer, width=max(width, 40), force_terminal=color, no_color=not color, highlight=False)
    console.print(Group(layer_table(result, width), "", summary(result)))
    # Columns are padded with blanks that no reader of a file wants.
    return "\n".join(line.rstrip() for line in buffer.getvalue().splitlines()) + "\n"


def layer_table(result: Result, width: int) -> Table:
    """Return a row per layer; on a narrow terminal the less important columns go, then the fronts of long names."""
    columns, name_width = _fit(result, width)
    table = Table(box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1), show_edge=False)
    table.add_column("layer", no_wrap=True)
    for column in columns:
        table.add_column(column.title, justify=column.justify, no_wrap=True)
    for layer in result.layers:
        table.add_row(Text(_elide(layer.name, name_width)), *(Text(c.text(result, layer)) for c in columns))
    return table


@dataclass(frozen=True)
class _Column:
    """A column: its title, a cell's text, and its rank (the lower, the longer it stays)."""

    title: str
    text: Callable[[Result, LayerResult], str]
    rank: int
    justify: Literal["left", "right"] = "right"

    def width(self, result: Result) -> int:
        """Return the columns of text it takes, with its gap."""
        return _GAP + max(len(self.title), *(len(self.text(result, layer)) for layer in result.layers), 0)


_GAP = 3  # a blank on each side and one between
_SHORTEST_NAME = 8
_COLUMNS = (
    _Column("op", lambda _, x: x.op, 4, "left"),
    _Column("cycles", lambda _, x: f"{x.cycles:,}", 0),
    _Column("share", lambda r, x: percent(x.cycles, r.cycles), 5),
    _Column("x bound", lambda _, x: _times(x.cycles, x.lower_bound_cycles), 6),
    _Column("utilization", lambda _, x: percent(x.utilization, 1) if x.macs else "", 2),
    _Column("bound by", lambda _, x: x.bound_by, 1, "left"),
    _Column("DRAM", lambda _, x: byte_text(x.dram_bytes), 3),
    _Column("energy", lambda _, x: quantity(x.energy_j, "J"), 2),
    _Column("dataflow", lambda _, x: x.dataflow, 7, "left"),
    _Column("x DRAM bound", lambda _, x: _times(x.dram_bytes, x.lower_bound_dram_bytes), 9),
    _Column("x energy bound", lambda _, x: _times(x.energy_j, x.lower_bound_energy_j), 9),
    _Column("predicted", lambda _, x: _signed(x.predicted_cycles, x.stage_cycles) if x.stage_cycles else "", 8),
    _Column("missed by", lambda _, x: x.missed_by, 8, "left"),
)


def _times(ours: float, bound: float) -> str:
    """Return how many times a bound a figure is, nothing where there is none."""
    return figures(ours / bound) if bound else ""


def _fit(result: Result, width: int) -> tuple[list[_Column], int]:
    """Return the columns that fit and the width left for names: columns go before a name is cut below a third."""
    longest = max((len(layer.name) for layer in result.layers), default=0)
    for rank in range(max(c.rank for c in _COLUMNS), -1, -1):
        columns = [c for c in _COLUMNS if c.rank <= rank]
        room = width - sum(c.width(result) for c in columns)
        if room >= min(longest, max(_SHORTEST_NAME, width // 3)):
            break
    return columns, max(room, _SHORTEST_NAME)


def _elide(name: str, width: int) -> str:
    """Return a name cut at its front, which its neighbors share, to `width` characters."""
    return name if len(name) <= width else "…" + name[len(name) - width + 1 :]


def summary(result: Result) -> Table:
    """Return the totals, one fact a row."""
    grid = Table.grid(padding=(0, 2))
    grid.add_column(no_wrap=True, style="bold")
    grid.add_column(overflow="fold")
    for name, value in _facts(result):
        grid.add_row(name, value)
    return grid


def _facts(r: Result) -> Iterator[tuple[str, Text | str]]:
    yield "model", f"{r.model} on {r.chip}, {_dataflow_text(r)}, batch {r.batch}"
    rate = r.batch / r.seconds if r.seconds else 0.0
    yield "latency", f"{quantity(r.seconds, 's')} ({r.cycles:,} cycles), {figures(rate)} frames/s"
    yield "lower bound", _bound_text(r)
    if r.predicted_cycles:
        yield "prediction", _prediction_text(r)
    peak = 2 * r.peak_macs_per_cycle * r.clock_hz
    achieved = 2 * r.macs / r.seconds if r.seconds else 0.0
    yield "throughput", f"{quantity(achieved, 'OPS')} of {quantity(peak, 'OPS')} peak"
    yield "utilization", f"{percent(r.utilization, 1)} of the array over the run; array busy {r.array_cycles:,} cycles"
    if len(r.cores) > 1:
        yield "cores", _cores_text(r)
    yield "cycles by cause", _shares(r.stalls, lambda v: f"{v:,.0f}")
    yield "DRAM", f"read {byte_text(r.dram_read_bytes)}, written {byte_text(r.dram_write_bytes)}"
    if r.activity is not None:
        yield "activity", _activity_text(r.activity)
    yield "energy", _energy_text(r)
    yield "energy by part", _shares(r.energy_by_component, lambda v: quantity(v, "J"))
    yield from _host_facts(r)
    if r.accuracy is not None:
        yield "quantization", _accuracy_text(r.accuracy)
    yield "check", check_text(r.check)
    for distance in r.check.distances:
        rows = [_ledger_line(row) for row in distance.ledger] or ["no integer differs"]
        yield "distance", Text("\n".join([f"{distance.source} (told, not judged)", *rows]), style=_DIM)


def _cores_text(r: Result) -> str:
    """Return how far each array was busy and each core waited for others."""
    busy = ", ".join(percent(core.array_cycles, r.cycles) for core in r.cores)
    waited = ", ".join(percent(core.stalls["other_cores"], r.cycles) for core in r.cores)
    return f"{len(r.cores)}: arrays busy {busy}; waiting for other cores {waited}; causes are their mean"


def _dataflow_text(r: Result) -> str:
    used = sorted({layer.dataflow for layer in r.layers if layer.dataflow and layer.macs})
    return f"dataflow {r.dataflow}" + (f" ({', '.join(used)})" if used and used != [r.dataflow] else "")


def _bound_text(r: Result) -> str:
    """Return the bounds of cycles, DRAM bytes and energy, and how far the run is above them."""
    binds = f" ({r.lower_bound_binds})" if r.lower_bound_binds else ""
    text = f"{r.lower_bound_cycles:,} cycles{binds}; the run takes {_over_bound(r)} of it"
    if r.lower_bound_dram_bytes:
        moved = (r.dram_read_bytes + r.dram_write_bytes) / r.lower_bound_dram_bytes
        text += f"; {byte_text(r.lower_bound_dram_bytes)} of DRAM traffic, of which it moves {moved:.3f} times"
    if r.lower_bound_energy_j:
        spent = r.energy_j / r.lower_bound_energy_j
        text += f"; {quantity(r.lower_bound_energy_j, 'J')}, of which it spends {spent:.3f} times"
    return text


def _prediction_text(r: Result) -> str:
    """Return the predicted cycles, how far they are from the run's, and how far those of a stage are on the mean."""
    gaps = [(abs(x.predicted_cycles - x.stage_cycles), x.stage_cycles, x.missed_by) for x in r.layers if x.stage_cycles]
    whole = sum(cycles for _, cycles, _ in gaps)
    text = f"{r.predicted_cycles:,} cycles, {_signed(r.predicted_cycles, r.cycles)} of the run"
    if not whole:
        return text
    missed: dict[str, int] = {}
    for gap, _, cause in gaps:
        missed[cause] = missed.get(cause, 0) + gap
    worst = max(missed, key=lambda cause: missed[cause])
    text += f"; its stages are off by {percent(sum(missed.values()), whole)}"
    return f"{text}, most by {worst.replace('_', ' ')}" if missed[worst] else text


def _signed(ours: int, real: int) -> str:
    return f"{100 * (ours / real - 1):+.1f} %" if real else "of none"


def _over_bound(r: Result) -> str:
    return f"{r.cycles / r.lower_bound_cycles:.3f} times" if r.lower_bound_cycles else "an unbounded multiple"


def _energy_text(r: Result) -> str:
    watts = r.energy_j / r.seconds if r.seconds else 0.0
    per_op = 2 * r.macs / r.energy_j if r.energy_j else 0.0
    return f"{quantity(r.energy_j, 'J')}, {quantity(watts, 'W')} on average, {quantity(per_op, 'OPS/W')}"


def _activity_text(a: ActivityFigures) -> str:
    sizes = ((way, byte_text(raw), byte_text(a.encoded_bytes[way])) for way, raw in a.raw_bytes.items())
    coded = ", ".join(f"{way} {raw} as {encoded}" for way, raw, encoded in sizes)
    gated = "" if a.zero_gating else " (the array does not gate them)"
    kept = " (the chip does not code them)" if a.compression == "none" else ""
    return f"{percent(a.zero_mac_fraction, 1)} of products zero{gated}; feature maps by run length: {coded}{kept}"


def _shares(parts: Mapping[str, float], show: Callable[[float], str]) -> str:
    whole = sum(parts.values())
    ranked = sorted(((v, k) for k, v in parts.items() if v), key=lambda item: -item[0])
    return ", ".join(f"{name} {percent(value, whole)} ({show(value)})" for value, name in ranked) or "none"


def _host_facts(r: Result) -> Iterator[tuple[str, str]]:
    if r.host_ops:
        yield "host", f"{len(r.host_ops)} operators, {quantity(r.host_seconds, 's')}, outside the chip's energy"
        for op in r.host_ops:
            yield "", f"{op.name} ({op.op}) {quantity(op.seconds, 's')}: {op.reason}"


def _accuracy_text(accuracy: Accuracy) -> str:
    outputs = ", ".join(f"{name} {db:.1f} dB" for name, db in accuracy.outputs.items())
    text = f"signal to noise against the float model: {outputs}"
    if accuracy.layers:
        db, worst = min((db, name) for name, db in accuracy.layers.items())
        text += f"; lowest {worst} {db:.1f} dB"
    return text


def check_text(check: Check) -> Text:
    """Return the check's verdict, and the tensors that differ."""
    note = f" ({check.note})" if check.note else ""
    if check.oracle == "none":
        return Text(f"none{note}", style=_DIM)
    verdict = f"{check.oracle}: {check.elements:,} integers compared, {check.mismatches:,} differ"
    if check.mismatches:
        verdict += f", by at most {check.max_lsb}"
    lines = [verdict + note, *(_ledger_line(row) for row in check.ledger)]
    return Text("\n".join(lines), style=_GREEN if check.passed else _RED)


def _ledger_line(row: Ledger) -> str:
    histogram = ", ".join(f"{lsb}: {count:,}" for lsb, count in sorted(row.histogram.items()))
    return f"{row.tensor}: {row.mismatches:,} of {row.elements:,} differ ({histogram}) {row.cause}".rstrip()
