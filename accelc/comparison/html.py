"""The report as one HTML page: charts, tables, style and script are all inside, so it opens without a network."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from accelc.comparison import certificate, charts
from accelc.comparison.charts import Bar, Look, Point
from accelc.comparison.model import BEST, ChipFacts, Comparison, RunRow
from accelc.comparison.svg import pattern_definitions, swatch
from accelc.comparison.tables import names_of, parts_of, spaced, tables_of
from accelc.report.units import quantity


@dataclass(frozen=True)
class Key:
    """An entry of a legend."""

    sample: Markup
    name: str


@dataclass(frozen=True)
class Verdict:
    """The best run of a model by one figure."""

    model: str
    figure: str
    run: str
    value: str


def render(comparison: Comparison) -> str:
    """Return the page."""
    templates = Environment(
        loader=PackageLoader("accelc.comparison"), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True,
    )  # fmt: skip
    style, script = (Markup(_source(templates, name)) for name in ("report.css", "report.js"))
    return templates.get_template("report.html.jinja").render(
        comparison=comparison,
        style=style,
        script=script,
        patterns=pattern_definitions(),
        tables=tables_of(comparison),
        verdicts=_verdicts(comparison),
        side_by_side=[(model, _figure_charts(comparison, model)) for model in comparison.models],
        run_keys=_run_keys(comparison),
        rooflines=[_roofline(comparison, facts) for facts in comparison.chips],
        point_keys=_point_keys(comparison),
        energy=_stacks(comparison, "energy", "J"),
        energy_keys=_part_keys(comparison, "energy"),
        stalls=_stacks(comparison, "stalls", "cycles"),
        stall_keys=_part_keys(comparison, "stalls"),
        sheets=[certificate.sheet_of(run) for run in comparison.runs],
        sheet_keys=[Key(swatch(look), name) for name, look in certificate.looks().items()],
    )


def _source(templates: Environment, name: str) -> str:
    assert templates.loader is not None
    return templates.loader.get_source(templates, name)[0]


def _verdicts(comparison: Comparison) -> list[Verdict]:
    made = []
    for model in comparison.models:
        runs = comparison.runs_of(model)
        fast = min(runs, key=lambda run: run.result.seconds)
        lean = min(runs, key=lambda run: run.result.energy_j)
        both = min(runs, key=lambda run: run.edp_js)
        made += [
            Verdict(model, "fastest", fast.label, quantity(fast.result.seconds, "s")),
            Verdict(model, "least energy", lean.label, quantity(lean.result.energy_j, "J")),
            Verdict(model, "least energy x delay", both.label, f"{both.edp_js:.4g} J s"),
        ]
    return made


def _run_looks(comparison: Comparison) -> Mapping[tuple[str, str], Look]:
    """Return the look of each chip and dataflow: the color tells the chip, the pattern the dataflow."""
    chips = [facts.chip.name for facts in comparison.chips]
    flows = _dataflows(comparison)
    return {(c, d): (i, k) for i, c in enumerate(chips) for k, d in enumerate(flows)}


def _dataflows(comparison: Comparison) -> list[str]:
    """Return the dataflows of the runs, best per layer last."""
    return sorted(dict.fromkeys(run.dataflow for run in comparison.runs), key=lambda name: name == BEST)


def _run_keys(comparison: Comparison) -> list[Key]:
    looks = _run_looks(comparison)
    seen = {run.label: looks[run.chip, run.dataflow] for run in comparison.runs}
    return [Key(swatch(look), label) for label, look in seen.items()]


def _figure_charts(comparison: Comparison, model: str) -> list[Markup]:
    """Return a model's bar charts: latency, energy, energy-delay product, utilization, DRAM traffic."""
    runs, looks = comparison.runs_of(model), _run_looks(comparison)
    wanted: tuple[tuple[str, str, Callable[[RunRow], float]], ...] = (
        ("latency", "s", lambda run: run.result.seconds),
        ("energy", "J", lambda run: run.result.energy_j),
        ("energy x delay", "J s", lambda run: run.edp_js),
        ("utilization of the array", "%", lambda run: run.result.utilization),
        ("DRAM traffic", "B", lambda run: run.dram_bytes),
    )
    return [
        charts.bars(
            title, unit, [Bar(r.label, ((title, float(value(r)), looks[r.chip, r.dataflow]),)) for r in runs]
        )
        for title, unit, value in wanted
    ]


def _stacks(comparison: Comparison, kind: str, unit: str) -> list[tuple[str, Markup]]:
    """Return each model's stacked bars of energy by component or of cycles by cause."""
    names = names_of(comparison, kind)
    looks = charts.looks_of(names)
    title = {"energy": "energy by component", "stalls": "cycles by cause"}[kind]

    def bar(run: RunRow) -> Bar:
        parts = parts_of(run, kind)
        return Bar(run.label, tuple((spaced(name), float(parts.get(name, 0)), looks[name]) for name in names))

    return [
        (model, charts.bars(title, unit, [bar(run) for run in comparison.runs_of(model)], charts.WIDE))
        for model in comparison.models
    ]


def _part_keys(comparison: Comparison, kind: str) -> list[Key]:
    return [Key(swatch(look), spaced(name)) for name, look in charts.looks_of(names_of(comparison, kind)).items()]


def _roofline(comparison: Comparison, facts: ChipFacts) -> Markup:
    runs = [run for run in comparison.runs if run.chip == facts.chip.name]
    points = [point for run in runs for point in _points(comparison, run)]
    return charts.roofline(facts.chip.name, facts.peak_ops, facts.dram_bytes_per_second, points)


def _points(comparison: Comparison, run: RunRow) -> list[Point]:
    """Return the layers that multiply and have cycles and traffic of their own, as points."""
    look = (comparison.models.index(run.model), _dataflows(comparison).index(run.dataflow))
    return [
        Point(
            f"{run.model} {row.layer.name} ({run.dataflow_text})",
            2 * row.layer.macs / row.layer.dram_bytes,
            2 * row.layer.macs / row.seconds,
            look,
        )
        for row in run.layers
        if row.layer.macs and row.layer.cycles and row.layer.dram_bytes
    ]


def _point_keys(comparison: Comparison) -> list[Key]:
    flows: Sequence[str] = _dataflows(comparison)
    seen = {
        f"{run.model}, {run.dataflow_text}": (comparison.models.index(run.model), flows.index(run.dataflow))
        for run in comparison.runs
    }
    return [Key(charts.point_swatch(look), name) for name, look in seen.items()]
