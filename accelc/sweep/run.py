"""A sweep under way: points spread over processes or a Dask cluster, each result written as it comes."""

from __future__ import annotations

import json
import multiprocessing
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import BrokenExecutor, Executor, Future, ProcessPoolExecutor, as_completed
from contextlib import contextmanager
from pathlib import Path

from accelc.comparison.parallel import leave_interrupts
from accelc.errors import AccelcError, InputError
from accelc.sweep.spec import Point
from accelc.sweep.work import Row, evaluate

Progress = Callable[[str], None]


def sweep(
    points: Sequence[Point], output: Path, *, jobs: int = 2, scheduler: str | None = None, progress: Progress
) -> list[Row]:
    """Run the points that `output` has no row of, append a row of JSON for each, and return the rows of all.

    `jobs` processes of this machine do the work, or the Dask cluster whose scheduler is at an address. An interrupt
    keeps what was written. Raises InputError if the file is not one that a sweep wrote.
    """
    done = read_rows(output)
    todo = [point for point in points if point.key not in done]
    progress(f"{len(points) - len(todo)} of {len(points)} points are done already")
    if todo:
        clock = Clock()
        _whole_lines(output)
        with _executor(scheduler, min(jobs, len(todo))) as executor, output.open("a", encoding="utf-8") as file:
            for count, row in enumerate(_results(executor, todo, progress), 1):
                done[row["key"]] = row
                file.write(json.dumps(row, allow_nan=False) + "\n")
                file.flush()
                progress(f"{count} of {len(todo)} points{clock.left(count, len(todo))}")
    return [done[point.key] for point in points]


def read_rows(path: Path) -> dict[str, Row]:
    """Return the rows of a sweep's file by key, none if there is no file; a last line cut short is left out."""
    if not path.exists():
        return {}
    if not path.is_file():
        raise InputError(f"cannot write '{path}': it is no file that could be read again")
    rows: dict[str, Row] = {}
    for number, line in enumerate(path.read_text(encoding="utf-8", errors="replace").split("\n")[:-1], 1):
        try:
            row = json.loads(line)
            rows[row["key"]] = row
        except (ValueError, TypeError, KeyError):
            raise InputError(f"'{path}' is no sweep's result: line {number} is not a row with a key") from None
    return rows


def _whole_lines(path: Path) -> None:
    """Cut off a last line that an earlier run did not finish."""
    if path.exists():
        held = path.read_bytes()
        with path.open("r+b") as file:
            file.truncate(held.rfind(b"\n") + 1)


def _results(executor: Executor, points: Sequence[Point], progress: Progress) -> Iterator[Row]:
    """Yield the rows as they are done."""
    progress(f"starting on {len(points)} points")
    waiting: list[Future[Row]] = [executor.submit(evaluate, point) for point in points]
    try:
        for future in as_completed(waiting):
            yield future.result()
    except BrokenExecutor:
        raise AccelcError("a worker process ended, perhaps for want of memory; fewer --jobs may do") from None


@contextmanager
def _executor(scheduler: str | None, jobs: int) -> Iterator[Executor]:
    """Give processes of this machine or a cluster's; after an error or an interrupt they finish what they are at."""
    if scheduler is not None:
        with _cluster(scheduler) as executor:
            yield executor
        return
    context = multiprocessing.get_context("spawn")  # a fork would copy locks that threads hold
    pool = ProcessPoolExecutor(jobs, mp_context=context, initializer=leave_interrupts)
    try:
        yield pool
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


@contextmanager
def _cluster(address: str) -> Iterator[Executor]:
    try:
        from distributed import Client
    except ImportError:
        raise InputError("--scheduler needs Dask: pip install 'accelc[sweep]'") from None
    try:
        client = Client(address, timeout="10s")
    except (OSError, ValueError) as error:
        raise InputError(f"--scheduler {address}: no Dask scheduler answers there: {error}") from None
    with client:
        yield client.get_executor(pure=False)


class Clock:
    """The time left, from the pace so far."""

    def __init__(self) -> None:
        self._start = time.monotonic()

    def left(self, done: int, of: int) -> str:
        """Return the time left as text, "" while it is too early to tell."""
        spent = time.monotonic() - self._start
        if done < 5 or done == of:
            return ""
        seconds = spent / done * (of - done)
        return f", {seconds:.0f} s left" if seconds < 100 else f", {seconds / 60:.0f} min left"
