"""Elements of inline SVG, a palette and patterns that color-blind people can tell apart, and round axis ticks."""

from __future__ import annotations

import math
from collections.abc import Iterable

from markupsafe import Markup, escape

# Okabe and Ito, "Color Universal Design" (2008), black last; a fill is told apart by its pattern as well.
PALETTE = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#F0E442", "#7F7F7F")
PATTERNS = ("", "diagonal", "dots", "horizontal", "cross", "vertical")

_MARKS = {
    "diagonal": "M-2,2 l4,-4 M0,8 l8,-8 M6,10 l4,-4",
    "horizontal": "M0,2 h8 M0,6 h8",
    "vertical": "M2,0 v8 M6,0 v8",
    "cross": "M0,0 l8,8 M0,8 l8,-8",
}


def element(tag: str, *content: str | Markup, **attributes: object) -> Markup:
    """Return an element; attribute names take `_` for `-` and a trailing `_` where Python has a keyword."""
    words = "".join(
        f' {name.rstrip("_").replace("_", "-")}="{escape(str(_short(value)))}"' for name, value in attributes.items()
    )
    inside = Markup("").join(escape(part) for part in content)
    return Markup(f"<{tag}{words}>{inside}</{tag}>")


def _short(value: object) -> object:
    return f"{value:.2f}".rstrip("0").rstrip(".") if isinstance(value, float) else value


def text(x: float, y: float, words: str, **attributes: object) -> Markup:
    """Return a line of text."""
    return element("text", words, x=x, y=y, **attributes)


def fill(x: float, y: float, width: float, height: float, look: tuple[int, int], title: str) -> Markup:
    """Return a rectangle in color and pattern `look` of PALETTE and PATTERNS, telling `title` under the pointer."""
    color, pattern = PALETTE[look[0] % len(PALETTE)], PATTERNS[look[1] % len(PATTERNS)]
    box = {"x": x, "y": y, "width": max(width, 0.0), "height": height}
    parts = [element("title", title), element("rect", **box, fill=color)]
    if pattern:
        parts.append(element("rect", **box, fill=f"url(#{pattern})"))
    return element("g", *parts)


def swatch(look: tuple[int, int]) -> Markup:
    """Return the sample of a fill for a legend."""
    return element("svg", fill(0, 0, 22, 12, look, ""), width=22, height=12, aria_hidden="true")


def pattern_definitions() -> Markup:
    """Return the definitions that every fill of a page refers to."""
    pen = {"stroke": "#fff", "stroke_width": 1.6, "fill": "none"}
    strokes = [_pattern(name, element("path", d=d, **pen)) for name, d in _MARKS.items()]
    dots = [element("circle", cx=c, cy=c, r=1.5, fill="#fff") for c in (2, 6)]
    definitions = element("defs", *strokes, _pattern("dots", *dots))
    return element("svg", definitions, width=0, height=0, style="position:absolute", aria_hidden="true")


def _pattern(name: str, *marks: Markup) -> Markup:
    return element("pattern", *marks, id=name, width=8, height=8, patternUnits="userSpaceOnUse")


def picture(width: float, height: float, title: str, parts: Iterable[Markup]) -> Markup:
    """Return a drawing that scales with the page, `title` for those who cannot see it."""
    box = f"0 0 {width:g} {height:g}"
    return element("svg", *parts, viewBox=box, role="img", aria_label=title, style=f"max-width:{width * 1.35:g}px")


def ticks(highest: float, most: int = 5) -> list[float]:
    """Return at most `most` + 1 round numbers from 0 to at least `highest`."""
    if highest <= 0:
        return [0.0, 1.0]
    rough = highest / most
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * k for k in (1, 2, 2.5, 5, 10) if power * k >= rough * (1 - 1e-9))
    return [step * k for k in range(math.ceil(highest / step - 1e-9) + 1)]


def decades(low: float, high: float) -> list[float]:
    """Return the powers of ten around a range of positive numbers."""
    first, last = math.floor(math.log10(low) + 1e-9), math.ceil(math.log10(high) - 1e-9)
    return [10.0**k for k in range(first, max(last, first + 1) + 1)]


_SI = ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"), (1.0, ""), (1e-3, "m"), (1e-6, "u"), (1e-9, "n"), (1e-12, "p"))
_BINARY = ((float(1 << 30), "GiB"), (float(1 << 20), "MiB"), (float(1 << 10), "KiB"))


def axis_unit(highest: float, unit: str) -> tuple[float, str]:
    """Return what to divide by, and the unit with its prefix: 0.002 s is shown in ms, bytes in binary units."""
    if unit == "%":
        return 0.01, "%"
    if unit == "B":
        return next(((size, name) for size, name in _BINARY if highest >= size), (1.0, "B"))
    size, prefix = next(((s, p) for s, p in _SI if highest >= s), (1.0, "") if highest <= 0 else _SI[-1])
    return size, f"{prefix}{unit}"
