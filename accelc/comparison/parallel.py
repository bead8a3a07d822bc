"""Work spread over processes: each task a model on a chip, the chips with the least room first as they take longest."""

from __future__ import annotations

import multiprocessing
import signal
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from typing import Any, TypeVar

T = TypeVar("T")

Progress = Callable[[str], None]


def spread(
    work: Callable[..., T], tasks: Sequence[tuple[str, tuple[Any, ...]]], jobs: int, progress: Progress
) -> list[T]:
    """Return work(*arguments) of every named task, in their order, run by `jobs` processes; tasks start in order.

    The first error, or an interrupt, stops what has not started.
    """
    context = multiprocessing.get_context("spawn")  # a fork would copy locks that threads hold
    with ProcessPoolExecutor(min(jobs, len(tasks)), mp_context=context, initializer=leave_interrupts) as pool:
        futures = {pool.submit(work, *arguments): name for name, arguments in tasks}
        try:
            _tell(futures, progress)
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
        return [future.result() for future in futures]


def leave_interrupts() -> None:
    """Leave interrupts of the keyboard, which reach all processes of a terminal, to the one that started this one."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _tell(futures: dict[Future[Any], str], progress: Progress) -> None:
    """Wait for all, naming what is done and what is still under way."""
    waiting = set(futures)
    while waiting:
        progress(f"{len(futures) - len(waiting)} of {len(futures)} done; next: {_first(futures, waiting)}")
        done, waiting = wait(waiting, return_when=FIRST_COMPLETED)
        for future in done:
            future.result()


def _first(futures: dict[Future[Any], str], waiting: set[Future[Any]]) -> str:
    return ", ".join(name for future, name in futures.items() if future in waiting and future.running())
