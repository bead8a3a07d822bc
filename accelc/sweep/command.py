"""`accelc sweep`: run the points of a file that are not done yet, say where the results are and which was best."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from accelc.sweep.spec import Point
    from accelc.sweep.work import Row

Spec = Annotated[Path, typer.Argument(metavar="SPEC.toml", help="Models, chips, changes of parameters, options.")]
Output = Annotated[
    Path | None, typer.Option("-o", metavar="OUT.jsonl", help="Where rows go; those it holds are not run again.")
]
Scheduler = Annotated[str | None, typer.Option(metavar="ADDRESS", help="A Dask scheduler to hand the work to.")]
Jobs = Annotated[int, typer.Option("--jobs", min=0, help="Processes on this machine; 0: one a core.")]


def sweep(spec: Spec, output: Output = None, scheduler: Scheduler = None, jobs: Jobs = 0) -> None:
    """Time and price many chips and models; a line of JSON each, taken up again where it was left."""
    from accelc.files import check_writable
    from accelc.sweep.run import sweep as run
    from accelc.sweep.spec import read_spec

    points = read_spec(spec)
    target = output or spec.with_suffix(".jsonl")
    check_writable(target)
    with _progress(len(points)) as tell:
        rows = run(points, target, jobs=jobs or os.cpu_count() or 1, scheduler=scheduler, progress=tell)
    _tell(points, rows, target)


def _tell(points: Sequence[Point], rows: Sequence[Row], target: Path) -> None:
    """Print the fastest point and the one of least energy of each model, and how many have no figures."""
    from accelc.report.units import quantity

    made = [(point, row) for point, row in zip(points, rows, strict=True) if "failed" not in row]
    for model in dict.fromkeys(point.model for point, _ in made):
        mine = [(point, row) for point, row in made if point.model == model]
        fastest = min(mine, key=lambda pair: pair[1]["seconds"])
        thriftiest = min(mine, key=lambda pair: pair[1]["energy_j"]["total"])
        print(f"fastest: {fastest[0]}: {quantity(fastest[1]['seconds'], 's')}")
        print(f"least energy: {thriftiest[0]}: {quantity(thriftiest[1]['energy_j']['total'], 'J')}")
    failed = len(rows) - len(made)
    without = f", {failed:,} of them without figures, as `failed` says" if failed else ""
    print(f"{target}: {len(rows):,} points{without}")


@contextmanager
def _progress(count: int) -> Iterator[Callable[[str], None]]:
    """Show the current step with a spinner on a terminal's stderr, and some twenty lines elsewhere."""
    if sys.stderr.isatty():
        from rich.console import Console

        with Console(stderr=True).status("") as status:
            yield lambda step: status.update(step)
        return
    told = 0

    def tell(step: str) -> None:
        nonlocal told
        if told % max(1, count // 20) == 0:
            print(step, file=sys.stderr)
        told += 1

    yield tell
