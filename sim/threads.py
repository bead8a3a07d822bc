"""Several threads for one program: each instruction is cut in parts, one for each thread, that run side by side.

A part is the same instruction on some of its rows, pixels or output channels: where rows share out as evenly as
channels, what a thread made is what it reads next, and lies in its own cache. What cannot be cut, or would touch what
another part writes, the first thread does alone. Before an instruction that touches what another thread has written
since they last met, or writes what another has read, the threads meet. No sum is cut, so that values are those of one.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from threading import get_native_id

import numpy as np
import numpy.typing as npt

from accelc.isa import TABLE, Memory, Queue, Space, by_name
from accelc.sim.dispatch import MEET, execute
from accelc.sim.jit import entry, kernel
from accelc.sim.kernels.meet import LINE
from accelc.sim.kernels.packed import PLAIN, RUNS, Packed
from accelc.sim.table import touched_ranges

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

SKIP = by_name("sync").opcode  # executes as nothing
BLOCK = 16  # channels of a weight block
STREAM = by_name("stream").opcode
LEAVING = [STREAM, *(op for op, made in TABLE.items() if made.queue is Queue.HOST)]
SPACE, FIRST, END, IS_WRITE = range(4)  # of a touched range
ABSENT = -1
_GETCPU = getattr(ctypes.CDLL(None), "sched_getcpu", None) if hasattr(os, "sched_setaffinity") else None
ACC = int(Space.ACC)

Factor = str | int
"""An operand, or a number."""


@dataclass(frozen=True)
class Rule:
    """How an instruction is cut: along an operand, in multiples of `grain`.

    An address moves by a product of factors for each one that parts before take; the operands of `single` must be 1.
    """

    extent: str
    steps: dict[str, tuple[Factor, ...]]
    grain: int = 1
    single: tuple[str, ...] = ()


def _pixels(*addresses: str) -> tuple[Rule, ...]:
    return (Rule("pixels", {name: (f"{name}_col",) for name in (*addresses, "dst")}),)


def _channels(element: int) -> Rule:
    """Return the rule for the output channels of a convolution; sums are as many words as elements are bytes."""
    steps: dict[str, tuple[Factor, ...]] = {"acc": (element,), "wgt": (element, "taps_y", "taps_x", "depth")}
    return Rule("n", steps, BLOCK, single=("groups",))


MAC_ROWS = Rule("rows", {"act": ("act_row",), "acc": ("cols", "acc_col")})
MAC_COLS = Rule("cols", {"act": ("act_col",), "acc": ("acc_col",)}, single=("rows",))
POOL = (
    Rule("rows", {"dst": ("cols", "dst_col"), "top": (-1, "stride_y")}),
    Rule("cols", {"dst": ("dst_col",), "left": (-1, "stride_x")}, single=("rows",)),
)
MOVE = (Rule("rows", {"dst": ("dst_row",), "src": ("src_row",)}),)
RULES: dict[str, tuple[Rule, ...]] = {
    **dict.fromkeys(("load", "store"), MOVE),
    "conv": (MAC_ROWS, _channels(1), MAC_COLS),
    "conv16": (MAC_ROWS, _channels(2), MAC_COLS),
    **dict.fromkeys(("depthwise", "depthwise16"), (MAC_ROWS, MAC_COLS)),
    **dict.fromkeys(("requantize", "requantize_fixed", "drain", "requantize16"), _pixels("acc")),
    **dict.fromkeys(("add", "mul", "add16", "mul16"), _pixels("a", "b")),
    **dict.fromkeys(("lookup", "lines16", "curve16", "softmax", "softmax16", "lrn", "lrn16"), _pixels("src")),
    **dict.fromkeys(("max_pool", "avg_pool", "max_pool16", "avg_pool16"), POOL),
}
"""The ways to cut each instruction: the one that makes the largest part smallest is taken, of equals the first."""


class _Kind:
    """The instructions of one name in a program: their operands by name, as columns."""

    def __init__(self, name: str, rows: Ints) -> None:
        self.name, self.rows = name, rows
        self.column = {f.name: j for j, f in enumerate(by_name(name).fields)}

    def __getitem__(self, operand: str) -> Ints:
        return self.rows[:, self.column[operand]]

    def _step(self, factors: tuple[Factor, ...]) -> Ints:
        made = np.ones(len(self.rows), np.int64)
        for f in factors:
            made *= self[f] if isinstance(f, str) else f
        return made

    def shares(self, rule: Rule, count: int) -> npt.NDArray[np.float64]:
        """Return what the largest of `count` parts does of each instruction: 1 where it cannot be cut."""
        units = self[rule.extent] // rule.grain
        legal = (units >= count) & np.all([self[name] == 1 for name in rule.single], axis=0)
        return np.where(legal, -(-units // count) / np.maximum(units, 1), 1.0)

    def taken(self, rule: Rule, part: int, count: int) -> Ints:
        """Return the operands of one part."""
        units, made = self[rule.extent] // rule.grain, _Kind(self.name, self.rows.copy())
        first, end = (units * k // count * rule.grain for k in (part, part + 1))
        for name, factors in rule.steps.items():
            made[name][:] += first * self._step(factors)
        made[rule.extent][:] = end - first
        if self.name == "load":  # rows of padding go with the first and the last part
            made["dst"][:] += self["pad_top"] * self["dst_row"] * (part > 0)
            made["pad_top"][:] *= part == 0
            made["pad_bottom"][:] *= part == count - 1
        return made.rows


@dataclass(frozen=True)
class Parts:
    """What each thread executes, instruction by instruction, and before which of them the threads meet."""

    opcodes: tuple[Ints, ...]
    rows: tuple[Ints, ...]
    meets: Bools


def parts_of(opcodes: Ints, rows: Ints, count: int, packed: Packed | None = None) -> Parts:
    """Return a program in parts for `count` threads; of its streams, the first thread runs those that are packed."""
    streams = _packed_streams(opcodes, rows, packed)
    leaves = np.isin(opcodes, LEAVING) & ~streams
    codes = [opcodes, *(np.where(leaves, opcodes, SKIP) for _ in range(count - 1))]
    made, sums = [rows, *(rows.copy() for _ in range(count - 1))], np.full(len(rows), ABSENT)
    cut_codes, cut_rows = [code.copy() for code in codes], [each.copy() for each in made]
    for name, rules in RULES.items():
        at = np.flatnonzero(opcodes == by_name(name).opcode)
        if not at.size:
            continue  # rows need not be as wide then
        kind = _Kind(name, rows[at])
        shares = np.array([kind.shares(rule, count) for rule in rules])
        for k, rule in enumerate(rules):
            mine = at[(shares.argmin(axis=0) == k) & (shares[k] < 1)]
            some = _Kind(name, rows[mine])
            for part in range(count):
                cut_rows[part][mine], cut_codes[part][mine] = some.taken(rule, part, count), opcodes[mine]
            if rule.grain > 1:
                sums[mine] = _numbered(some)
    whole = _overlaps(_touched(cut_codes, cut_rows), sums)
    for part in range(count):
        cut_codes[part][whole], cut_rows[part][whole] = codes[part][whole], made[part][whole]
    meets = np.zeros(len(rows), np.bool_)
    _find_meetings(_touched(cut_codes, cut_rows), np.where(whole, ABSENT, sums), leaves, streams, meets)
    return Parts(tuple(cut_codes), tuple(cut_rows), meets)


def _packed_streams(opcodes: Ints, rows: Ints, packed: Packed | None) -> Bools:
    """Return which instructions are streams that the loop over instructions runs."""
    found = opcodes == STREAM
    if packed is not None:
        index = rows[found, 0]
        known = index < len(packed.heads)
        found[found] = known & (packed.heads[np.where(known, index, 0), RUNS] != PLAIN)
    return found if packed is not None else np.zeros_like(found)


def _numbered(convs: _Kind) -> Ints:
    """Return the same number for convolutions of which each thread keeps to the same words of the same sums."""
    where = np.stack([convs[name] for name in ("acc", "acc_col", "n")])
    found: Ints = np.unique(where, axis=1, return_inverse=True)[1].ravel()
    return found


def _touched(opcodes: Sequence[Ints], rows: Sequence[Ints]) -> Ints:
    """Return the ranges that each thread touches, [thread, instruction, range, what]."""
    return np.stack([touched_ranges(*each) for each in zip(opcodes, rows, strict=True)])


@entry
def _overlaps(touched: Ints, sums: Ints) -> Bools:
    """Return which instructions cannot be cut: a part touches what another writes."""
    found = np.zeros(touched.shape[1], np.bool_)
    for i in range(touched.shape[1]):
        found[i] = _clash(touched, sums, i, i)
    return found


@entry
def _find_meetings(touched: Ints, sums: Ints, leaves: Bools, streams: Bools, meets: Bools) -> None:
    """Say before which instructions the threads meet: where one clashes with any since they last met.

    Where the loop over instructions is left, one thread waits for the others anyway. Before and after a stream, whose
    ranges are not known here, they meet in any case.
    """
    met = 0
    for j in range(touched.shape[1]):
        if leaves[j]:
            met = j
        if streams[j] or (j > 0 and streams[j - 1]):
            meets[j], met = True, j
        for i in range(met, j):
            if _clash(touched, sums, i, j):
                meets[j], met = True, j
                break


@kernel
def _clash(touched: Ints, sums: Ints, i: int, j: int) -> bool:
    """Say whether a thread's part of one instruction and another thread's of one touch the same, one writing."""
    apart = sums[i] >= 0 and sums[i] == sums[j]
    for t in range(touched.shape[0]):
        for u in range(touched.shape[0]):
            for k in range(touched.shape[2] if t != u else 0):
                a = touched[t, i, k]
                for q in range(touched.shape[2] if a[SPACE] >= 0 and not (apart and a[SPACE] == ACC) else 0):
                    b = touched[u, j, q]
                    together = a[SPACE] == b[SPACE] and a[FIRST] < b[END] and b[FIRST] < a[END]
                    if together and a[IS_WRITE] + b[IS_WRITE] > 0:
                        return True
    return False


class Crew:
    """Threads that execute a program together; the first is the caller's."""

    def __init__(self, opcodes: Ints, rows: Ints, count: int, packed: Packed | None = None) -> None:
        parts = parts_of(opcodes, rows, count, packed)
        self._packed = packed
        self._counts = np.zeros(LINE // 8 * count, np.int64)
        # Meetings go between the instructions; `_starts` says where each begins, the meeting before it included.
        self._starts = np.arange(len(rows) + 1) + np.append(0, np.cumsum(parts.meets))
        self._number = np.repeat(np.arange(len(rows)), 1 + parts.meets)
        self._code = [self._with_meetings(parts, part, count) for part in range(count)]
        self._others: list[int] = []  # the system's numbers of the other threads
        self._pool = ThreadPoolExecutor(count - 1, "accelc", lambda: self._others.append(get_native_id()))
        self._here = ABSENT

    def _with_meetings(self, parts: Parts, part: int, count: int) -> tuple[Ints, Ints]:
        at = np.flatnonzero(parts.meets)
        meeting = np.zeros((len(at), parts.rows[part].shape[1]), np.int64)
        meeting[:, :3] = self._counts.ctypes.data, part, count
        return np.insert(parts.opcodes[part], at, MEET), np.insert(parts.rows[part], at, meeting, axis=0)

    def _make_way(self) -> None:
        """Let the other threads wake on other processors than this one, as far as the system can be told.

        It may wake them beside the one that calls them, where each waits for the other in turn.
        """
        here = _processor()
        free = os.sched_getaffinity(0) - {here} if here != self._here else None
        if free:
            for thread in self._others:
                with contextlib.suppress(OSError):
                    os.sched_setaffinity(thread, free)
            self._here = here if len(self._others) == len(self._code) - 1 else ABSENT

    def execute(self, m: Memory, first: int, last: int, *, wide: bool) -> tuple[int, int]:
        """Execute instructions as `dispatch.execute` does."""
        work = m, int(self._starts[first]), int(self._starts[last]), wide, self._packed
        self._make_way()
        others = [self._pool.submit(_execute, code, *work) for code in self._code[1:]]
        try:
            why, at = _execute(self._code[0], *work)
        finally:
            for other in others:
                other.result()
        return why, int(self._number[at]) if at < work[2] else last


def _processor() -> int:
    """Return the processor that this thread runs on, ABSENT where the system does not say."""
    return ABSENT if _GETCPU is None else int(_GETCPU())


def _execute(
    code: tuple[Ints, Ints], m: Memory, first: int, last: int, wide: bool, packed: Packed | None
) -> tuple[int, int]:
    opcodes, rows = code
    return execute(opcodes, rows, rows.view(np.float32), m, first, last, wide, packed)
