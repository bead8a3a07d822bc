"""Quantities as people read them: three or four figures with an SI prefix, bytes in binary units."""

from __future__ import annotations

_SI = ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"), (1.0, ""), (1e-3, "m"), (1e-6, "u"), (1e-9, "n"), (1e-12, "p"))
_BINARY = ((1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB"))


def quantity(value: float, unit: str) -> str:
    """Return a value with four figures and the SI prefix that leaves 1 to 999 of them: 0.00123 s is 1.230 ms."""
    size = abs(value)
    if size == 0:
        return f"0 {unit}"
    # 999.96e-6 shows as 1.000 m, not 1000 u: the prefix is chosen after rounding to four figures.
    size = float(f"{size:.3e}")
    scale, prefix = next(((s, p) for s, p in _SI if size >= s), _SI[-1])
    return f"{figures(value / scale)} {prefix}{unit}"


def figures(value: float) -> str:
    """Return a number with four significant figures, and no exponent below a million."""
    if value == 0:
        return "0"
    size = abs(float(f"{value:.3e}"))
    decimals = 3 if size < 10 else 2 if size < 100 else 1 if size < 1000 else 0
    return f"{value:,.{decimals}f}"


def byte_text(count: float) -> str:
    """Return bytes in the largest binary unit they fill."""
    for size, unit in _BINARY:
        if count >= size:
            return f"{figures(count / size)} {unit}"
    return f"{count:,.0f} B"


def percent(part: float, whole: float) -> str:
    """Return a share with one decimal; a part that rounds to nothing shows as such."""
    share = 100 * part / whole if whole else 0.0
    return "<0.1 %" if 0 < share < 0.05 else f"{share:.1f} %"
