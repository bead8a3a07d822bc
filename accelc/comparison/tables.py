"""The report's tables: cells that are read as text and sorted by value."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from accelc.comparison.model import Comparison, Loss, RunRow, Winner
from accelc.report.units import byte_text, figures, percent, quantity


@dataclass(frozen=True)
class Cell:
    """A cell: the text people read, the value it sorts by, and what lies folded under it."""

    text: str
    value: str | float
    more: tuple[str, ...] = ()


@dataclass(frozen=True)
class Row:
    """A row and the words that filters choose it by."""

    cells: tuple[Cell, ...]
    facets: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Table:
    """A table: `columns` are titles with whether they hold numbers, `filters` the facets offered for choice."""

    key: str
    caption: str
    columns: tuple[tuple[str, bool], ...]
    rows: tuple[Row, ...]
    filters: tuple[str, ...] = ()

    def choices(self, facet: str) -> list[str]:
        """Return the values of a facet in order of first appearance."""
        return list(dict.fromkeys(row.facets[facet] for row in self.rows))


def words(text: str) -> Cell:
    """Return a cell of text."""
    return Cell(text, text)


def number(value: float, text: str | None = None) -> Cell:
    """Return a cell of a number; integers keep every digit."""
    shown = f"{value:,}" if isinstance(value, int) else figures(value)
    return Cell(shown if text is None else text, value)


def _seconds(value: float) -> Cell:
    return number(value, quantity(value, "s"))


def _joules(value: float) -> Cell:
    return number(value, quantity(value, "J"))


def _bytes(value: float) -> Cell:
    return number(value, byte_text(value))


def _share(value: float) -> Cell:
    return number(value, percent(value, 1))


def _columns(titles: str, numbers: str) -> tuple[tuple[str, bool], ...]:
    """Return columns from two `|`-separated lists, those of words first."""
    return tuple((t, False) for t in titles.split("|")) + tuple((t, True) for t in numbers.split("|") if t)


def tables_of(comparison: Comparison) -> dict[str, Table]:
    """Return every table by its key."""
    made = (
        _runs(comparison), _parts(comparison, "energy"), _parts(comparison, "stalls"), _wins(comparison),
        _winners(comparison), _layers(comparison), _residency(comparison), _tensors(comparison), _hosts(comparison),
        _events(comparison), _rates(comparison), _figures(comparison), _chips(comparison), _not_run(comparison),
        _commands(comparison),
    )  # fmt: skip
    return {table.key: table for table in made}


def _run_words(run: RunRow) -> tuple[Cell, ...]:
    return words(run.model), words(run.chip), words(run.dataflow_text)


def _runs(comparison: Comparison) -> Table:
    columns = _columns(
        "model|chip|dataflow|check",
        "latency|cycles|x lower bound|predicted|energy|x least energy|EDP (J s)|utilization|DRAM read|DRAM written"
        "|x least DRAM|MACs per DRAM byte",
    )
    return Table("runs", "Every run", columns, tuple(Row(_run_cells(run)) for run in comparison.runs))


def _run_cells(run: RunRow) -> tuple[Cell, ...]:
    r = run.result
    return (
        *_run_words(run),
        words(_check_text(run)),
        _seconds(r.seconds),
        number(r.cycles),
        _over(r.cycles, r.lower_bound_cycles),
        number(r.predicted_cycles),
        _joules(r.energy_j),
        _over(r.energy_j, r.lower_bound_energy_j),
        number(run.edp_js, f"{run.edp_js:.3e}"),
        _share(r.utilization),
        _bytes(r.dram_read_bytes),
        _bytes(r.dram_write_bytes),
        _over(run.dram_bytes, r.lower_bound_dram_bytes),
        number(r.macs / run.dram_bytes if run.dram_bytes else 0.0),
    )


def _over(ours: float, bound: float) -> Cell:
    """Return how many times a lower bound a figure is, 0 without one."""
    return number(ours / bound if bound else 0.0)


def _check_text(run: RunRow) -> str:
    check = run.result.check
    if check.oracle == "none":
        return "timing only"
    return f"{check.elements:,} integers, {check.mismatches:,} differ from the {check.oracle}"


def _parts(comparison: Comparison, kind: str) -> Table:
    """Return energy by component or cycles by cause, one column each."""
    names = names_of(comparison, kind)
    cell, whole, title = (_joules, "energy", "Energy by component") if kind == "energy" else (
        lambda v: number(int(v)), "cycles", "Cycles by cause")  # fmt: skip
    columns = _columns("model|chip|dataflow", "|".join([whole, *(spaced(name) for name in names)]))
    rows = []
    for run in comparison.runs:
        parts = parts_of(run, kind)
        rows.append(Row((*_run_words(run), cell(sum(parts.values())), *(cell(parts.get(n, 0)) for n in names))))
    return Table(kind, title, columns, tuple(rows))


def parts_of(run: RunRow, kind: str) -> Mapping[str, float]:
    """Return a run's energy by component in J, or its cycles by cause."""
    return run.result.energy_by_component if kind == "energy" else run.result.stalls


def names_of(comparison: Comparison, kind: str) -> list[str]:
    """Return the parts that are not zero in every run, in the model's order."""
    names = dict.fromkeys(name for run in comparison.runs for name in parts_of(run, kind))
    return [name for name in names if any(parts_of(run, kind).get(name) for run in comparison.runs)]


def spaced(name: str) -> str:
    """Return a name of the code as words."""
    return name.replace("_", " ")


def _wins(comparison: Comparison) -> Table:
    counts: dict[tuple[str, str, str, str], list[float]] = {}
    for winner in comparison.winners:
        level = bool(winner.losses) and winner.losses[0].cause == "level"
        run = "level (less than 1 % apart)" if level else _short(comparison, winner.run, winner.scope)
        held = counts.setdefault((winner.model, winner.scope, winner.metric, run), [0, 0.0])
        held[0] += 1
        held[1] += winner.value
    rows = tuple(
        Row((*map(words, key), number(int(count)), quantity_cell(key[2], value)))
        for key, (count, value) in counts.items()
    )
    columns = _columns("model|among|by|winner", "layers won|spent in them by the best")
    return Table("wins", "Layers won", columns, rows)


def quantity_cell(metric: str, value: float) -> Cell:
    """Return a cell of seconds or joules."""
    return _seconds(value) if metric == "latency" else _joules(value)


def _short(comparison: Comparison, key: str, scope: str) -> str:
    """Return a run as the dataflow alone among one chip's runs, else with its chip."""
    run = comparison.run(key)
    return run.label if scope == "all chips" else run.dataflow_text


def _winners(comparison: Comparison) -> Table:
    chosen = {
        (run.model, run.chip, row.layer.name): row.layer.dataflow
        for run in comparison.runs if run.dataflow == "auto" for row in run.layers
    }  # fmt: skip
    rows = tuple(Row(_winner_cells(comparison, w, chosen), _winner_facets(w)) for w in comparison.winners)
    columns = (
        *_columns("model|among|by|layer|op|winner", "best|next best"), ("why the others lose", False),
        ("best chose", False),
    )  # fmt: skip
    return Table("winners", "Winner of each layer, and why", columns, rows, ("model", "among", "by"))


def _winner_facets(winner: Winner) -> dict[str, str]:
    return {"model": winner.model, "among": winner.scope, "by": winner.metric}


def _winner_cells(
    comparison: Comparison, winner: Winner, chosen: Mapping[tuple[str, str, str], str]
) -> tuple[Cell, ...]:
    why = [_why(comparison, winner, loss) for loss in winner.losses]
    return (
        *(words(text) for text in (winner.model, winner.scope, winner.metric, winner.layer, winner.op)),
        words(_short(comparison, winner.run, winner.scope)),
        quantity_cell(winner.metric, winner.value),
        number(winner.losses[0].ratio, f"{winner.losses[0].ratio:.2f} x" if winner.value else "hidden"),
        Cell(why[0], winner.losses[0].cause, tuple(why[1:])),
        words(chosen.get((winner.model, winner.scope, winner.layer), "")),
    )


def _why(comparison: Comparison, winner: Winner, loss: Loss) -> str:
    ratio = f" {loss.ratio:.2f} x" if winner.value and loss.cause != "level" else ""
    return f"{_short(comparison, loss.run, winner.scope)}{ratio}: {loss.reason}"


def _layers(comparison: Comparison) -> Table:
    columns = (
        *_columns("model|chip|run|layer|op|dataflow", ""), ("bound by", False),
        *_columns("tile|missed by", "latency|cycles|x lower bound|predicted for its stage|cycles of its stage"
        "|utilization|energy|x least energy|DRAM|x least DRAM|MACs")
    )  # fmt: skip
    rows = tuple(
        Row(cells, {"model": run.model, "chip": run.chip, "run": run.dataflow_text})
        for run in comparison.runs
        for cells in _layer_cells(run)
    )
    return Table("layers", "Every layer of every run", columns, rows, ("model", "chip", "run"))


def _layer_cells(run: RunRow) -> Iterator[tuple[Cell, ...]]:
    for row in run.layers:
        layer = row.layer
        tile = " ".join(f"{name} {size}" for name, size in layer.tile.items())
        texts = (layer.name, layer.op, layer.dataflow, layer.bound_by, tile, layer.missed_by)
        yield (
            *_run_words(run), *map(words, texts), _seconds(row.seconds), number(layer.cycles),
            _over(layer.cycles, layer.lower_bound_cycles), number(layer.predicted_cycles), number(layer.stage_cycles),
            _share(layer.utilization), _joules(layer.energy_j), _over(layer.energy_j, layer.lower_bound_energy_j),
            _bytes(layer.dram_bytes), _over(layer.dram_bytes, layer.lower_bound_dram_bytes), number(layer.macs),
        )  # fmt: skip


def _residency(comparison: Comparison) -> Table:
    columns = _columns(
        "model|chip|dataflow",
        "activations in DRAM (span)|live at once (peak)|constants in DRAM|tensors in DRAM|tensors kept on chip"
        "|bytes kept on chip|DRAM traffic",
    )
    return Table("residency", "On-chip residency", columns, tuple(Row(_residency_cells(r)) for r in comparison.runs))


def _residency_cells(run: RunRow) -> tuple[Cell, ...]:
    held = run.residency
    kept = [tensor for tensor in held.tensors if tensor.place in _ON_CHIP]
    return (
        *_run_words(run),
        _bytes(held.activation_bytes),
        _bytes(held.peak_live_bytes),
        _bytes(held.constant_bytes),
        number(sum(tensor.place == "dram" for tensor in held.tensors)),
        number(len(kept)),
        _bytes(sum(tensor.bytes for tensor in kept)),
        _bytes(run.dram_bytes),
    )


_ON_CHIP = {"chip": "on chip, by tiles", "held": "on chip, whole", "bands": "on chip, in bands"}
_PLACES = {"dram": "DRAM", **_ON_CHIP, "view": "view of another"}


def _tensors(comparison: Comparison) -> Table:
    columns = (*_columns("model|chip|run|tensor|place", "bytes"), ("made by", False), ("last read by", False))
    rows = tuple(
        Row(
            (*_run_words(run), words(t.name), words(_PLACES[t.place]), _bytes(t.bytes), words(t.first), words(t.last)),
            {"model": run.model, "chip": run.chip, "run": run.dataflow_text, "place": _PLACES[t.place]},
        )
        for run in comparison.runs
        for t in run.residency.tensors
    )
    return Table("tensors", "Where each activation lies", columns, rows, ("model", "chip", "run", "place"))


def _hosts(comparison: Comparison) -> Table:
    rows = tuple(
        Row((*_run_words(run), words(op.name), words(op.op), words(op.reason), _seconds(op.seconds)))
        for run in comparison.runs
        for op in run.result.host_ops
    )
    return Table("hosts", "Operators on the host", _columns("model|chip|dataflow|operator|op|reason", "time"), rows)


def _events(comparison: Comparison) -> Table:
    names = list(dict.fromkeys(name for run in comparison.runs for name in run.events))
    rows = tuple(
        Row((*_run_words(run), *(number(run.events[n]) for n in names), number(run.result.cycles)))
        for run in comparison.runs
    )
    columns = _columns("model|chip|dataflow", "|".join([*map(spaced, names), "cycles"]))
    return Table("events", "Event counts", columns, rows)


def _rates(comparison: Comparison) -> Table:
    rows = [
        Row((words(facts.chip.name), words(spaced(event)), words(spaced(component)), number(pj, f"{pj:.6g}")))
        for facts in comparison.chips
        for event, parts in facts.rates.items()
        for component, pj in parts.items()
    ]
    columns = _columns("chip|one of|counts as", "pJ")
    return Table("rates", "Energy of one event", columns, tuple(rows))


def _figures(comparison: Comparison) -> Table:
    rows = tuple(
        Row((words(f.table), words(spaced(f.name)), words(f"{f.unit} per {f.per}"), words(f.confidence),
             words(f.source), number(f.value, f"{f.value:.6g}")))
        for f in comparison.figures
    )  # fmt: skip
    return Table("figures", "Energy tables", _columns("table|figure|unit|confidence|source", "value"), rows)


def _chips(comparison: Comparison) -> Table:
    rows = []
    for facts in comparison.chips:
        c, array = facts.chip, facts.chip.array
        rows.append(Row((
            words(c.name), words(c.description), words(f"{array.organization}, {', '.join(array.dataflows)}"),
            words(f"{array.rows} x {array.cols}"), words(c.energy), words(c.fingerprint),
            number(c.clock_mhz, f"{c.clock_mhz:g} MHz"), number(facts.peak_ops, quantity(facts.peak_ops, "OPS")),
            number(facts.dram_bytes_per_second, quantity(facts.dram_bytes_per_second, "B/s")),
            _bytes(c.timing.act_bytes), _bytes(0 if c.timing.unified else c.timing.wgt_bytes),
            _bytes(c.buffers.acc.bytes), *(number(watts, quantity(watts, "W")) for watts in facts.passing_w.values()),
        )))  # fmt: skip
    columns = _columns(
        "chip|description|array|PEs|energy table|fingerprint",
        "clock|peak|DRAM|activations (or all)|weights|accumulators|clock and idling|leakage",
    )
    return Table("chips", "Chips", columns, tuple(rows))


def _not_run(comparison: Comparison) -> Table:
    rows = tuple(
        Row(tuple(map(words, (n.model, n.chip, "best per layer" if n.dataflow == "auto" else n.dataflow, n.reason))))
        for n in comparison.not_run
    )
    return Table("not_run", "Left out", _columns("model|chip|dataflow|reason", ""), rows)


def _commands(comparison: Comparison) -> Table:
    rows: Iterable[Row] = (Row((words(run.key), words(run.command))) for run in comparison.runs)
    return Table("commands", "Each run by itself", _columns("run|command", ""), tuple(rows))
