"""The report's charts as inline SVG: bars, stacked bars and the roofline, each with units and titles."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from accelc.comparison.svg import PALETTE, axis_unit, decades, element, fill, picture, text, ticks
from accelc.report.units import figures, quantity

Look = tuple[int, int]

ROW, BAR, TOP, BOTTOM = 22, 15, 26, 34
PLOT, WIDE = 240, 620  # width of the part with the bars
VALUE = 62  # room for the figure at a bar's end
CHARACTER = 6.2  # width of a letter at the charts' font size


@dataclass(frozen=True)
class Bar:
    """A row of a bar chart: its parts stack, each with a name, a value and a look."""

    label: str
    parts: tuple[tuple[str, float, Look], ...]

    @property
    def total(self) -> float:
        """Return the length of the bar."""
        return sum(value for _, value, _ in self.parts)


def bars(title: str, unit: str, rows: Sequence[Bar], plot: int = PLOT) -> Markup:
    """Return horizontal bars from zero with a common axis, each bar's figure written at its end."""
    left = max(len(row.label) for row in rows) * CHARACTER + 8
    factor, shown = axis_unit(max(row.total for row in rows), unit)
    marks = ticks(max(row.total for row in rows) / factor)
    height = TOP + ROW * len(rows) + BOTTOM

    def x(value: float) -> float:
        return left + plot * value / (factor * marks[-1])

    parts = [text(4, 15, f"{title} ({shown})", class_="title")]
    parts += _grid(marks, [x(mark * factor) for mark in marks], height)
    for k, row in enumerate(rows):
        parts += _bar(row, TOP + ROW * k, left, x, factor, shown)
    return picture(left + plot + VALUE, height, f"{title}, in {shown}", parts)


def _grid(marks: Sequence[float], places: Sequence[float], height: float) -> list[Markup]:
    parts = []
    for mark, at in zip(marks, places, strict=True):
        parts.append(element("line", x1=at, x2=at, y1=TOP - 2, y2=height - BOTTOM + 2, class_="grid"))
        parts.append(text(at, height - BOTTOM + 15, f"{mark:.6g}", text_anchor="middle", class_="tick"))
    return parts


def _bar(row: Bar, y: float, left: float, x: Callable[[float], float], factor: float, shown: str) -> list[Markup]:
    parts = [text(left - 6, y + 12, row.label, text_anchor="end")]
    begin = 0.0
    for name, value, look in row.parts:
        if value > 0:
            title = f"{row.label}: {name} {figures(value / factor)} {shown}"
            parts.append(fill(x(begin), y, x(begin + value) - x(begin), BAR, look, title))
        begin += value
    return [*parts, text(x(begin) + 4, y + 12, figures(row.total / factor), class_="value")]


WIDTH, HEIGHT, LEFT, FOOT = 460, 330, 74, 46


@dataclass(frozen=True)
class Point:
    """A layer of a run on the roofline: operations per DRAM byte, operations a second, its look."""

    label: str
    intensity: float
    rate: float
    look: Look


@dataclass(frozen=True)
class _Log:
    """A logarithmic axis between two powers of ten, from `begin` to `end` in the drawing."""

    marks: Sequence[float]
    begin: float
    end: float

    def __call__(self, value: float) -> float:
        low, high = math.log10(self.marks[0]), math.log10(self.marks[-1])
        return self.begin + (self.end - self.begin) * (math.log10(value) - low) / (high - low)


def roofline(title: str, peak_ops: float, bytes_per_second: float, points: Sequence[Point]) -> Markup:
    """Return the attainable rate over intensity, log-log, and each layer under (or beside) it."""
    ridge = peak_ops / bytes_per_second
    seen = [p.intensity for p in points]
    across = _Log(decades(min([ridge / 10, *seen]), max([ridge * 10, *seen])), LEFT, WIDTH - 16)
    rates = [p.rate for p in points]
    up = _Log(decades(min([peak_ops / 100, *rates]), max([peak_ops * 1.01, *rates])), HEIGHT - FOOT, 46)
    parts = [text(4, 15, title, class_="title"), *_log_grid(across, up)]
    parts += _roof(across, up, peak_ops, bytes_per_second)
    parts += [_mark(across(p.intensity), up(p.rate), p) for p in points]
    return picture(WIDTH, HEIGHT, f"{title}: roofline", parts)


def _log_grid(across: _Log, up: _Log) -> list[Markup]:
    parts = []
    for mark in across.marks:
        at = across(mark)
        parts.append(element("line", x1=at, x2=at, y1=up.begin, y2=up.end, class_="grid"))
        parts.append(text(at, up.begin + 14, f"{mark:g}", text_anchor="middle", class_="tick"))
    for mark in up.marks:
        at = up(mark)
        parts.append(element("line", x1=across.begin, x2=across.end, y1=at, y2=at, class_="grid"))
        parts.append(text(across.begin - 5, at + 4, _decade(mark), text_anchor="end", class_="tick"))
    parts.append(text((across.begin + across.end) / 2, up.begin + 32, "operations per DRAM byte", text_anchor="middle"))
    return [*parts, text(4, up.end - 14, "operations / s", class_="tick")]


def _decade(rate: float) -> str:
    factor, unit = axis_unit(rate * 1.0001, "OPS")
    return f"{rate / factor:.4g} {unit}"


def _roof(across: _Log, up: _Log, peak: float, bandwidth: float) -> list[Markup]:
    low = max(across.marks[0], up.marks[0] / bandwidth)
    ridge = peak / bandwidth
    corners = [(low, low * bandwidth), (ridge, peak), (across.marks[-1], peak)]
    path = " ".join(f"{across(a):.1f},{up(b):.1f}" for a, b in corners)
    middle = math.sqrt(low * ridge)
    at = (across(middle), up(middle * bandwidth))
    slope = math.degrees(math.atan2(up(peak) - up(low * bandwidth), across(ridge) - across(low)))
    turn = f"rotate({slope:.1f} {at[0]:.1f} {at[1]:.1f})"
    return [
        element("polyline", points=path, class_="roof"),
        text(across.end, up(peak) - 6, f"peak {quantity(peak, 'OPS')}", text_anchor="end"),
        text(at[0], at[1] - 6, f"DRAM {quantity(bandwidth, 'B/s')}", text_anchor="middle", transform=turn),
    ]


_SHAPES = (
    "circle",
    "M-4,-4 h8 v8 h-8 z",
    "M0,-5 l5,9 h-10 z",
    "M0,-5.5 l5,5.5 l-5,5.5 l-5,-5.5 z",
    "M-4,-4 l8,8 M4,-4 l-8,8",
)


def _mark(x: float, y: float, point: Point) -> Markup:
    words = f"{point.label}: {figures(point.intensity)} operations per byte, {quantity(point.rate, 'OPS')}"
    return element("g", element("title", words), shape(point.look), transform=f"translate({x:.1f},{y:.1f})")


def shape(look: Look) -> Markup:
    """Return a point's mark: the color tells the model, the shape the dataflow."""
    color, outline = PALETTE[look[0] % len(PALETTE)], _SHAPES[look[1] % len(_SHAPES)]
    style = {"fill": color, "fill_opacity": 0.65, "stroke": color, "stroke_width": 1.4}
    if outline == "circle":
        return element("circle", r=4, **style)
    return element("path", d=outline, **style)


def point_swatch(look: Look) -> Markup:
    """Return the sample of a mark for a legend."""
    mark = element("g", shape(look), transform="translate(8,8)")
    return element("svg", mark, width=16, height=16, aria_hidden="true")


def looks_of(names: Sequence[str]) -> Mapping[str, Look]:
    """Return a look for each name: colors first, then the same colors with patterns."""
    return {name: (k % len(PALETTE), k // len(PALETTE) + k % 2) for k, name in enumerate(names)}
