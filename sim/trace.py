"""The timeline as a trace that Perfetto (ui.perfetto.dev) opens: a track for each queue of each core, and DRAM traffic.

A slice is one instruction, named "layer · instruction"; its arguments are the instruction's index, the cycles between
which it ran, what it waited for, and its operands. Times are microseconds of the chip's clock.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from accelc.chip import Chip
from accelc.errors import InputError
from accelc.isa import Queue, Word, decode
from accelc.program import Program
from accelc.sim.counters import rows_of_layers
from accelc.sim.timing import Timeline
from accelc.sim.units import unit_name, units_of

Event = dict[str, Any]

PROCESS = 1
BANDWIDTH_STEPS = 1000


def perfetto(program: Program, chip: Chip, timeline: Timeline) -> str:
    """Return the trace as JSON text."""
    return "".join(pieces(program, chip, timeline))


def write_trace(path: str | Path, program: Program, chip: Chip, timeline: Timeline) -> Path:
    """Write the trace piece by piece into a file that appears only when whole; raise InputError if it cannot."""
    target = Path(path)
    temporary = target.with_name(f".{target.name}.{os.getpid()}")
    try:
        with temporary.open("w", encoding="utf-8") as file:
            file.writelines(pieces(program, chip, timeline))
        temporary.replace(target)
    except OSError as error:
        raise InputError(f"cannot write '{target}': {error.strerror}") from None
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
    return target


def pieces(program: Program, chip: Chip, timeline: Timeline) -> Iterator[str]:
    """Yield the text of the trace, one event at a time."""
    separator = '{"displayTimeUnit": "ns", "traceEvents": [\n'
    for event in _events(program, chip, timeline):
        yield separator + json.dumps(event)
        separator = ",\n"
    yield "\n]}\n"


def _events(program: Program, chip: Chip, timeline: Timeline) -> Iterator[Event]:
    yield _metadata("process_name", 0, f"{program.name} on {chip.name}")
    for unit in np.unique(_tracks(chip, timeline)).tolist():
        yield _metadata("thread_name", unit, unit_name(unit, chip.cores))
    words = decode(program.words)
    names, tracks = _names(program, words), _tracks(chip, timeline).tolist()
    for i, word in enumerate(words):
        yield _slice(i, word, names, chip.clock_mhz, timeline) | {"tid": tracks[i]}
    yield from _bandwidth(chip, timeline)


def _tracks(chip: Chip, timeline: Timeline) -> npt.NDArray[np.int64]:
    return units_of(timeline.queue, timeline.core, chip.cores)


def _metadata(kind: str, track: int, name: str) -> Event:
    return {"ph": "M", "name": kind, "pid": PROCESS, "tid": track, "args": {"name": name}}


def _names(program: Program, words: list[Word]) -> list[str]:
    """Return "layer · instruction" for each instruction."""
    layers = [layer.name for layer in program.layers] or [program.name]
    return [f"{layers[k]} · {word.instruction.name}" for k, word in zip(rows_of_layers(program), words, strict=True)]


def _slice(i: int, word: Word, names: list[str], clock_mhz: float, t: Timeline) -> Event:
    start, end, blocker = int(t.start[i]), int(t.end[i]), int(t.blocker[i])
    arguments: Event = {"index": i, "start_cycle": start, "end_cycle": end}
    if blocker >= 0:
        arguments["started_after"] = f"{blocker}: {names[blocker]}"
    if start > t.ready[i]:
        arguments["waited_for_bank_cycles"] = start - int(t.ready[i])
    if t.stolen[i]:
        arguments["stolen_by_dma_cycles"] = int(t.stolen[i])
    if t.bursts[i]:
        arguments |= {"bursts": int(t.bursts[i]), "row_hits": int(t.row_hits[i]), "activates": int(t.activates[i])}
    arguments["operands"] = dict(word.operands)
    where = {"ts": start / clock_mhz, "dur": (end - start) / clock_mhz, "pid": PROCESS}
    return {"ph": "X", "name": names[i], **where, "args": arguments}


def _bandwidth(chip: Chip, t: Timeline) -> Iterator[Event]:
    """Yield the DRAM traffic in bytes a cycle over equal steps; within a transfer it is taken to be even."""
    edges = np.unique(np.linspace(0, t.cycles, BANDWIDTH_STEPS + 1).astype(np.int64))
    for queue, name in ((Queue.LOAD, "DRAM read"), (Queue.STORE, "DRAM write")):
        rates = np.diff(_moved(t, queue, edges)) / np.diff(edges)
        for cycle, rate in zip(edges.tolist(), [*rates.tolist(), 0.0], strict=True):
            arguments = {"bytes per cycle": round(rate, 3)}
            yield {"ph": "C", "name": name, "pid": PROCESS, "ts": cycle / chip.clock_mhz, "args": arguments}


def _moved(t: Timeline, queue: Queue, at: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    """Return the bytes a queue has moved by each cycle of `at`."""
    mine = t.queue == queue
    times = np.column_stack([t.start[mine], t.end[mine]]).ravel()
    total = np.cumsum(t.dram_bytes[mine])
    bytes_ = np.column_stack([total - t.dram_bytes[mine], total]).ravel()
    return np.interp(at, times, bytes_) if len(times) else np.zeros(len(at))
