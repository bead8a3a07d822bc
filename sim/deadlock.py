"""Explains a deadlock: which instruction of each queue waits for how many of which queue, and the circle they form."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from accelc.isa import TABLE, Queue, by_name

Ints = npt.NDArray[np.int64]


def explain(opcodes: Ints, queue: Ints, waits: Ints, end: Ints, now: int) -> str:
    """Return the message for a program whose instructions with `end` < 0 can never start."""
    lines = []
    waits_for: dict[Queue, list[Queue]] = {}
    for q in Queue:
        left = np.flatnonzero((queue == q) & (end < 0))
        if len(left):
            i = int(left[0])
            unmet = _unmet(i, opcodes, queue, waits, end)
            waits_for[q] = [r for r, _, _ in unmet]
            reasons = ", ".join(f"{need} of {r.name} ({done} complete)" for r, need, done in unmet)
            lines.append(f"{q.name} instruction {i} ({TABLE[int(opcodes[i])].name}) waits for {reasons}")
    text = f"deadlock at cycle {now}: " + "; ".join(lines)
    circle = _circle(waits_for)
    return text + (f"; circle: {' -> '.join(q.name for q in circle)}" if circle else "")


def _unmet(i: int, opcodes: Ints, queue: Ints, waits: Ints, end: Ints) -> list[tuple[Queue, int, int]]:
    """Return (queue, instructions needed, instructions complete) for each unfulfilled wait of instruction `i`."""
    unmet = []
    for r in Queue:
        members = queue == r
        halts = opcodes[i] == by_name("halt").opcode and r is not Queue.HOST
        need = int(members.sum()) if halts else int(waits[i, r])
        done = int((members & (end >= 0)).sum())
        if need > done:
            unmet.append((r, need, done))
    return unmet


def _circle(waits_for: dict[Queue, list[Queue]]) -> list[Queue]:
    """Return queues each of which waits for the next and the last for the first, which is repeated; or nothing."""
    for first in waits_for:
        path = [first]
        while waits_for.get(path[-1]):
            path.append(waits_for[path[-1]][0])
            if path[-1] in path[:-1]:
                return path[path.index(path[-1]) :]
    return []
