"""The zoo's networks as text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from accelc.report.units import quantity

Row = Mapping[str, str | int]


def list_text(rows: Sequence[Row]) -> str:
    """Return one line per network: name, family, parameters, multiply-accumulates."""
    head = ("network", "family", "parameters", "MACs")
    table = [head, *((str(r["name"]), str(r["family"]), *_counts(r)) for r in rows)]
    widths = [max(len(row[k]) for row in table) for k in range(len(head))]
    return "\n".join(
        f"{name:{widths[0]}}  {family:{widths[1]}}  {params:>{widths[2]}}  {macs:>{widths[3]}}"
        for name, family, params, macs in table
    )


def describe_text(row: Row) -> str:
    """Return one network's figures and source."""
    params, macs = _counts(row)
    exact = f"{int(row['params']):,} parameters, {int(row['macs']):,} multiply-accumulates an image"
    return f"{row['name']} ({row['family']}): {params} parameters, {macs} MACs\n{exact}\n{row['source']}"


def _counts(row: Row) -> tuple[str, str]:
    return quantity(int(row["params"]), "").strip(), quantity(int(row["macs"]), "").strip()
