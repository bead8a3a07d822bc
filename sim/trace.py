"""The timeline as a trace that Perfetto (ui.perfetto.dev) opens: a track for each queue of each core, and DRAM traffic.

A slice is one instruction, named "layer · instruction"; its arguments are the instruction's index, the cycles between
which it ran, what it waited for, and its operands. Times are microseconds of the chip's clock.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from accelc.chip import Chip
from accelc.files import write_pieces
from accelc.isa import TABLE, Queue, Word, decode
from accelc.program import Program
from accelc.sim.timing import Timeline
from accelc.sim.units import unit_name, units_of

Event = dict[str, Any]

PROCESS = 1
BANDWIDTH_STEPS = 1000
DECODED = 4096


def perfetto(program: Program, chip: Chip, timeline: Timeline) -> str:
    """Return the trace as JSON text."""
    return "".join(pieces(program, chip, timeline))


def write_trace(path: str | Path, program: Program, chip: Chip, timeline: Timeline) -> Path:
    """Write the trace piece by piece into a file that appears only when whole; raise InputError if it cannot."""
    return write_pieces(path, pieces(program, chip, timeline))


def pieces(program: Program, chip: Chip, timeline: Timeline) -> Iterator[str]:
    """Yield the text of the trace, one event at a time."""
    separator = '{"displayTimeUnit": "ns", "traceEvents": [\n'
    for event in _events(program, chip, timeline):
        yield separator + json.dumps(event)
        separator = ",\n"
    yield "\n]}\n"


def _events(program: Program, chip: Chip, timeline: Timeline) -> Iterator[Event]:
    yield _metadata("process_name", 0, f"{program.name} on {chip.name}")
    tracks = _tracks(chip, timeline)
    for unit in np.unique(tracks).tolist():
        yield _metadata("thread_name", unit, unit_name(unit, chip.cores))
    names = _Names(program)
    for i, word in enumerate(_words(program)):
        yield _slice(i, word, names, chip.clock_mhz, timeline) | {"tid": int(tracks[i])}
    yield from _bandwidth(chip, timeline)


def _tracks(chip: Chip, timeline: Timeline) -> npt.NDArray[np.int64]:
    return units_of(timeline.queue, timeline.core, chip.cores)


def _metadata(kind: str, track: int, name: str) -> Event:
    return {"ph": "M", "name": kind, "pid": PROCESS, "tid": track, "args": {"name": name}}


def _words(program: Program) -> Iterator[Word]:
    """Yield the instructions, some thousand of which are decoded at a time."""
    for first in range(0, len(program.words), DECODED):
        yield from decode(program.words[first : first + DECODED])


class _Names:
    """The name "layer · instruction" of each instruction, made when it is asked for."""

    def __init__(self, program: Program) -> None:
        self._layers = [layer.name for layer in program.layers] or [program.name]
        self._layer_of = program.layer_rows
        self._opcodes = program.words[:, 0] & np.uint64(0xFF)

    def __getitem__(self, index: int) -> str:
        return f"{self._layers[self._layer_of[index]]} · {TABLE[int(self._opcodes[index])].name}"


def _slice(i: int, word: Word, names: _Names, clock_mhz: float, t: Timeline) -> Event:
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
