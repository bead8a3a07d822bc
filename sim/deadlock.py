"""Explains a deadlock: which instruction of each queue waits for how many of which queue, and the circle they form."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from accelc.isa import TABLE, Queue
from accelc.isa.encoding import Words, decode_cores, decode_queues, decode_waits
from accelc.sim.units import fences, unit_count, unit_name, unit_numbers, units_of

Ints = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]


def explain(words: Words, cores: int, done: Flags, now: int) -> str:
    """Return the message for a program whose instructions that are not `done` can never start."""
    lines = []
    waits_for: dict[int, list[int]] = {}
    opcodes = (words[:, 0] & np.uint64(0xFF)).astype(np.int64)
    units = units_of(decode_queues(words), decode_cores(words), cores)
    for unit in range(unit_count(cores)):
        left = np.flatnonzero((units == unit) & ~done)
        if len(left):
            i = int(left[0])
            unmet = [*_unmet(i, words, units, done, cores), *_behind(i, opcodes, units, done)]
            waits_for[unit] = [r for r, _, _ in unmet]
            reasons = ", ".join(f"{need} of {unit_name(r, cores)} ({had} complete)" for r, need, had in unmet)
            name = TABLE[int(opcodes[i])].name
            lines.append(f"{unit_name(unit, cores)} instruction {i} ({name}) waits for {reasons}")
    text = f"deadlock at cycle {now}: " + "; ".join(lines)
    circle = _circle(waits_for)
    return text + (f"; circle: {' -> '.join(unit_name(u, cores) for u in circle)}" if circle else "")


def _unmet(i: int, words: Words, units: Ints, done: Flags, cores: int) -> list[tuple[int, int, int]]:
    """Return (unit, instructions needed, instructions complete) for each unfulfilled wait of instruction `i`."""
    waits, core = decode_waits(words[i : i + 1])[0], int(decode_cores(words[i : i + 1])[0])
    found = []
    for q in Queue:
        numbers = unit_numbers(q, cores)
        unit = numbers[core] if q.of_core else numbers[0]
        had = int(((units == unit) & done).sum())
        if waits[q] > had:
            found.append((unit, int(waits[q]), had))
    return found


def _behind(i: int, opcodes: Ints, units: Ints, done: Flags) -> list[tuple[int, int, int]]:
    """Return the same for the queues that are not as far as a `sync` or `halt` asks of all."""
    end = int(fences(opcodes)[i])
    found = []
    for unit in np.unique(units[:end]).tolist():
        members = (units[:end] == unit) & (unit != units[i])
        need, had = int(members.sum()), int((members & done[:end]).sum())
        if need > had:
            found.append((unit, need, had))
    return found


def _circle(waits_for: dict[int, list[int]]) -> list[int]:
    """Return units each of which waits for the next and the last for the first, which is repeated; or nothing."""
    for first in waits_for:
        path = [first]
        while waits_for.get(path[-1]):
            path.append(waits_for[path[-1]][0])
            if path[-1] in path[:-1]:
                return path[path.index(path[-1]) :]
    return []
