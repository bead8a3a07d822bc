"""`accelc compare`: run the matrix, write the report, say in a few lines who won."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from accelc.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable

    from accelc.comparison.model import Comparison

REPORT = Path("accelc-report")

Models = Annotated[list[str], typer.Argument(metavar="MODEL...", help="ONNX files or networks of the zoo.")]
Chips = Annotated[str, typer.Option(metavar="A,B", help="Shipped chips or TOML files.")]
Dataflows = Annotated[
    str, typer.Option(metavar="ws,os,best|all", help="Names, `best` (chosen layer by layer), or all a chip offers.")
]
Output = Annotated[Path, typer.Option("-o", metavar="REPORT_DIR", help="Where report.html, JSON and CSV go.")]
JsonFile = Annotated[Path | None, typer.Option("--json", metavar="OUT.json", help="Also write the JSON here.")]
Check = Annotated[bool, typer.Option("--check", help="Compute values too; compare every integer with the reference.")]
Force = Annotated[bool, typer.Option("--force", help="Write into a directory that holds other files.")]
Objective = Annotated[Literal["latency", "energy", "edp", "dram"], typer.Option(help="What the schedules minimize.")]
Seed = Annotated[int, typer.Option("--seed", min=0, help="Draws random inputs, samples and zoo weights.")]
Tiny = Annotated[bool, typer.Option("--tiny", help="The reduced variants of zoo networks.")]
Batch = Annotated[int, typer.Option("--batch", min=1, help="Batch of zoo networks.")]
Dims = Annotated[list[str], typer.Option("--dim", metavar="NAME=N", help="Fix an open dimension; may be repeated.")]
Jobs = Annotated[
    int, typer.Option("--jobs", min=0, help="Processes to spread models and chips over; 0: one a core (one if --tiny).")
]
AllowHost = Annotated[bool, typer.Option("--allow-host", help="Run what is unsupported on the host, at a price.")]


def compare(
    models: Models,
    chips: Chips = "edge",
    dataflows: Dataflows = "all",
    output: Output = REPORT,
    json_: JsonFile = None,
    check: Check = False,
    force: Force = False,
    objective: Objective = "latency",
    seed: Seed = 0,
    tiny: Tiny = False,
    batch: Batch = 1,
    dim: Dims = [],  # noqa: B006 - typer copies it
    allow_host: AllowHost = False,
    jobs: Jobs = 0,
) -> None:
    """Compare models on chips under dataflows: a report to open in a browser, with JSON and CSV."""
    from accelc.comparison.collect import compare as collect
    from accelc.comparison.write import check_place, json_text
    from accelc.compiler import Options
    from accelc.files import atomic_write, check_writable

    check_place(output, force)
    check_writable(json_)
    options = Options(
        dict(map(_dimension, dim)), allow_host=allow_host, tiny=tiny, batch=batch, seed=seed, objective=objective
    )
    command = shlex.join(["accelc", *sys.argv[1:]])
    jobs = jobs or (1 if tiny else os.cpu_count() or 1)
    with _progress() as tell:
        made = collect(
            models, _names(chips), _names(dataflows), options=options,
            check=check, command=command, jobs=jobs, progress=tell,
        )  # fmt: skip
    made.write(output, force=force)
    if json_ is not None:
        atomic_write(json_, json_text(made))
    _tell(made, output)
    if not made.passed:
        raise typer.Exit(1)


def _names(text: str) -> list[str]:
    """Return the names of a comma-separated list; raise InputError if there are none."""
    if not (names := [name.strip() for name in text.split(",") if name.strip()]):
        raise InputError(f"'{text}' names nothing; give names separated by commas")
    return names


def _dimension(text: str) -> tuple[str, int]:
    name, _, size = text.rpartition("=")
    if not name or not size.isdecimal():
        raise InputError(f"--dim {text} is not of the form NAME=N with a whole number N")
    return name, int(size)


def _tell(comparison: Comparison, output: Path) -> None:
    from accelc.report.units import byte_text, percent, quantity

    rows = [("model", "run", "latency", "energy", "EDP (J s)", "utilization", "DRAM")]
    rows += [
        (r.model, r.label, quantity(r.result.seconds, "s"), quantity(r.result.energy_j, "J"), f"{r.edp_js:.3e}",
         percent(r.result.utilization, 1), byte_text(r.dram_bytes))
        for r in comparison.runs
    ]  # fmt: skip
    widths = [max(len(row[k]) for row in rows) for k in range(len(rows[0]))]
    for row in rows:
        names = (f"{text:{width}}" for text, width in zip(row[:2], widths, strict=False))
        values = (f"{text:>{width}}" for text, width in zip(row[2:], widths[2:], strict=True))
        print("  ".join([*names, *values]))
    for left in comparison.not_run:
        print(f"left out: {left.model} on {left.chip}, {left.dataflow}: {left.reason}", file=sys.stderr)
    for run in comparison.runs:
        if not run.result.check.passed:
            print(f"check failed: {run.key}: {run.result.check.mismatches:,} integers differ", file=sys.stderr)
    print(f"{output / 'report.html'}")


@contextmanager
def _progress() -> Iterator[Callable[[str], None]]:
    """Show the current step with a spinner on a terminal's stderr, and one line for each step elsewhere."""
    if not sys.stderr.isatty():
        yield lambda step: print(step, file=sys.stderr)
        return
    from rich.console import Console

    with Console(stderr=True).status("") as status:
        yield lambda step: status.update(step)
