"""Checks that a program's tokens order every two instructions of different queues that share bytes one of them writes.

The values of a program are those of its instructions executed one after another; the queues run concurrently. Both
agree under every timing, not just the one that the model plays, if of any two instructions with a byte in common, at
least one writing it, the later in the program starts only once the earlier is complete. That follows from the order of
each queue and the tokens waited for, and from nothing else.

* Each instruction gets a clock: per queue, how many of its instructions are known to be complete before it starts. It
  is the greatest of the clock of the instruction before it in its queue and of those it waits for, these included.
  Each core has queues and on-chip memories of its own; a `sync` knows all that stands before it to be complete.
* Only instructions earlier in the program that the clock does not cover can be hazards; each is compared byte by byte.
* In DRAM the bytes are exactly those moved: strided transfers that interleave share none. On chip they are the range
  from the first to the last byte or word, as the `touches` clauses give it; act and wgt may be one scratchpad.
* A host call reads and writes the tensors of its ports, a stream those of its operands. Inputs are in place before the
  program starts, and outputs are read after `halt`, which waits for everything.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from accelc.chip import Chip
from accelc.errors import MachineError
from accelc.isa import TABLE, Queue, Space, by_name
from accelc.isa.encoding import decode_cores, decode_queues, decode_waits
from accelc.program import Operand, Port, Program
from accelc.sim.bounds import check_cores
from accelc.sim.deadlock import explain
from accelc.sim.dma import NEVER
from accelc.sim.jit import entry, kernel
from accelc.sim.table import NOBODY, needs, touched_ranges
from accelc.sim.transfers import moves
from accelc.sim.units import fences, unit_count, unit_name, units_of

Ints = npt.NDArray[np.int64]

QUEUES = len(Queue)
# An access: which instruction, where (first to end), and as which runs of bytes: rows x cols runs of BYTES. Of SPACE,
# those of each core follow those of the core before it, and the one DRAM is 0.
AT, SPACE, FIRST, END, WRITE, ORIGIN, ROWS, ROW, COLS, COL, BYTES = range(11)
ACCESS_WIDTH = 11
SPACES = len(Space)


def check_hazards(program: Program, chip: Chip) -> None:
    """Raise MachineError for the first two instructions that share bytes without an order, or for a deadlock."""
    words, cores = program.words, chip.cores
    core = decode_cores(words)
    check_cores(program, core, chip)
    opcodes = (words[:, 0] & np.uint64(0xFF)).astype(np.int64)
    units = units_of(decode_queues(words), core, cores)
    members = np.argsort(units, kind="stable")
    firsts = np.searchsorted(units[members], np.arange(unit_count(cores) + 1))
    clocks = np.full((len(units), unit_count(cores)), -1, np.int64)
    _set_clocks(needs(decode_waits(words), units, core, cores), fences(opcodes), units, members, firsts, clocks)
    if (stuck := clocks[:, 0] < 0).any():
        raise MachineError(f"deadlock: {explain(words, cores, ~stuck, 0).partition(': ')[2]}")
    accesses = _accesses(program, chip, opcodes)
    starts = np.searchsorted(accesses[:, AT], np.arange(len(units) + 1))
    early, late = _first_hazard(accesses, starts, units, members, firsts, clocks)
    if early >= 0:
        raise MachineError(_message(program, chip, accesses[early], accesses[late], clocks[accesses[late, AT]]))


@entry
def _set_clocks(need: Ints, fence: Ints, units: Ints, members: Ints, firsts: Ints, clocks: Ints) -> None:
    """Write each instruction's clock, each after those of the instructions it waits for; -1 where that never ends."""
    count = clocks.shape[1]
    done = np.zeros(count, np.int64)
    progress = True
    while progress:
        progress = False
        for u in range(count):
            while firsts[u] + done[u] < firsts[u + 1]:
                i = members[firsts[u] + done[u]]
                if not _ready(need, i, clocks) or not _passed(fence[i], u, members, firsts, done):
                    break
                _set_clock(need, units, members, firsts[u] + done[u], clocks)
                _gather(fence[i], i, u, members, firsts, clocks)
                clocks[i, u] = done[u]
                done[u] += 1
                progress = True


@kernel
def _ready(need: Ints, i: int, clocks: Ints) -> bool:
    for q in range(QUEUES):
        j = need[i, q]
        if j == NEVER or (j != NOBODY and clocks[j, 0] < 0):
            return False
    return True


@kernel
def _passed(fence: int, unit: int, members: Ints, firsts: Ints, done: Ints) -> bool:
    """Say whether the clocks of all instructions before index `fence` are known, those of `unit` aside."""
    if fence == 0:
        return True
    for u in range(len(done)):
        place = firsts[u] + done[u]
        if u != unit and place < firsts[u + 1] and members[place] < fence:
            return False
    return True


@kernel
def _gather(fence: int, i: int, unit: int, members: Ints, firsts: Ints, clocks: Ints) -> None:
    """Note in the clock of `i` that all instructions before index `fence` are complete, those of `unit` aside."""
    if fence == 0:
        return
    for u in range(clocks.shape[1]):
        before = np.searchsorted(members[firsts[u] : firsts[u + 1]], fence)
        if u != unit and before > 0:
            _join(clocks, i, members[firsts[u] + before - 1])
            clocks[i, u] = max(clocks[i, u], before)


@kernel
def _set_clock(need: Ints, units: Ints, members: Ints, place: int, clocks: Ints) -> None:
    """Write the clock of the instruction at `place` of `members` from those of its predecessor and those awaited."""
    i = members[place]
    clocks[i, :] = 0
    if place > 0 and units[members[place - 1]] == units[i]:
        _join(clocks, i, members[place - 1])
    for q in range(QUEUES):
        j = need[i, q]
        if j != NOBODY:
            _join(clocks, i, j)
            clocks[i, units[j]] = max(clocks[i, units[j]], clocks[j, units[j]] + 1)


@kernel
def _join(clocks: Ints, i: int, j: int) -> None:
    for u in range(clocks.shape[1]):
        clocks[i, u] = max(clocks[i, u], clocks[j, u])


@entry
def _first_hazard(
    accesses: Ints, starts: Ints, units: Ints, members: Ints, firsts: Ints, clocks: Ints
) -> tuple[int, int]:
    """Return the rows of the first two accesses in program order that share bytes without an order, or (-1, -1)."""
    before = np.zeros(clocks.shape[1], np.int64)
    for j in range(len(units)):
        for u in range(len(before)):
            if u == units[j]:
                continue
            for k in range(firsts[u] + clocks[j, u], firsts[u] + before[u]):
                i = members[k]
                for a in range(starts[i], starts[i + 1]):
                    for b in range(starts[j], starts[j + 1]):
                        if _collide(accesses, a, b):
                            return a, b
        before[units[j]] += 1
    return -1, -1


@kernel
def _collide(t: Ints, a: int, b: int) -> bool:
    """Say whether two accesses have a byte in common that one of them writes."""
    if t[a, SPACE] != t[b, SPACE] or not (t[a, WRITE] or t[b, WRITE]):
        return False
    if t[a, END] <= t[b, FIRST] or t[b, END] <= t[a, FIRST]:
        return False
    for y in range(t[a, ROWS]):
        for x in range(t[a, COLS]):
            first = t[a, ORIGIN] + y * t[a, ROW] + x * t[a, COL]
            if first < t[b, END] and first + t[a, BYTES] > t[b, FIRST] and _meets(t, b, first, first + t[a, BYTES]):
                return True
    return False


@kernel
def _meets(t: Ints, b: int, first: int, end: int) -> bool:
    """Say whether a run of access `b` reaches into the bytes from `first` to `end`."""
    for y in range(t[b, ROWS]):
        low = first - t[b, BYTES] - t[b, ORIGIN] - y * t[b, ROW]  # a run meets them if its x * col lies between
        high = end - t[b, ORIGIN] - y * t[b, ROW]
        if t[b, COLS] == 1 or t[b, COL] == 0:
            if low < 0 < high:
                return True
        elif high > 0:
            x = max(0, low // t[b, COL] + 1)
            if x < t[b, COLS] and x * t[b, COL] < high:
                return True
    return False


def _accesses(program: Program, chip: Chip, opcodes: Ints) -> Ints:
    """Return [count, ACCESS_WIDTH] accesses in program order, those to DRAM as the runs of bytes they move."""
    rows = program.rows
    touched = touched_ranges(opcodes, rows)
    at, k = np.nonzero((touched[:, :, 0] >= 0) & (touched[:, :, 2] > touched[:, :, 1]))
    space, first, end, write = touched[at, k].T
    one, zero = np.ones_like(at), np.zeros_like(at)
    whole = np.stack([first, one, zero, one, zero, end - first], axis=1)
    runs = np.where((space == Space.DRAM)[:, None], moves(opcodes, rows, touched, chip)[at, :6], whole)
    if chip.timing.unified:
        space = np.where(space == Space.WGT, Space.ACT, space)
    space = np.where(space == Space.DRAM, space, space + SPACES * decode_cores(program.words)[at])
    found = np.column_stack([at, space, first, end, write, runs])
    calls = _host_accesses(program, opcodes, rows)
    both = np.concatenate([found, calls, _stream_accesses(program, opcodes, rows)]).astype(np.int64)
    return np.ascontiguousarray(both[np.argsort(both[:, AT], kind="stable")])


def _host_accesses(program: Program, opcodes: Ints, rows: Ints) -> Ints:
    found = []
    for i in np.flatnonzero(opcodes == by_name("host").opcode).tolist():
        index = int(rows[i, 0])
        if index >= len(program.hosts):
            raise MachineError(f"instruction {i} calls host operator {index}; the program has {len(program.hosts)}")
        call = program.hosts[index]
        found += [_port_access(i, port, 0) for port in call.inputs] + [_port_access(i, p, 1) for p in call.outputs]
    return np.array(found, np.int64).reshape(-1, ACCESS_WIDTH)


def _stream_accesses(program: Program, opcodes: Ints, rows: Ints) -> Ints:
    """Return the accesses of streams, each operand as the range from its first to its last byte."""
    found = []
    for i in np.flatnonzero(opcodes == by_name("stream").opcode).tolist():
        index = int(rows[i, 0])
        if index >= len(program.streams):
            raise MachineError(f"instruction {i} names stream {index}; the program has {len(program.streams)}")
        call = program.streams[index]
        found += [_operand_access(i, operand, 0) for operand in call.inputs]
        found.append(_operand_access(i, call.output, 1))
    return np.array(found, np.int64).reshape(-1, ACCESS_WIDTH)


def _operand_access(at: int, operand: Operand, write: int) -> list[int]:
    reach = sum((n - 1) * s for n, s in zip(operand.shape, operand.strides, strict=True))
    length = reach + np.dtype(operand.stored).itemsize
    first = operand.address
    return [at, Space.DRAM, first, first + length, write, first, 1, 0, 1, 0, length]


def _port_access(at: int, port: Port, write: int) -> list[int]:
    n, h, w, c = port.extents
    held, first = c * np.dtype(port.stored).itemsize, port.address
    end = first + port.bytes - port.pitch + held if port.bytes else first
    return [at, Space.DRAM, first, end, write, first, n * h * w, port.pitch, 1, 0, held]


def _message(program: Program, chip: Chip, early: Ints, late: Ints, clock: Ints) -> str:
    units = units_of(decode_queues(program.words), decode_cores(program.words), chip.cores)
    queue = int(units[early[AT]])
    count, ensured = int((units[: early[AT] + 1] == queue).sum()), int(clock[queue])
    space = Space(int(early[SPACE]) % SPACES)
    name = "scratchpad" if chip.timing.unified and space is Space.ACT else space.name.lower()
    unit = "words" if space is Space.ACC else "bytes"
    first, end = max(early[FIRST], late[FIRST]), min(early[END], late[END])
    queue_name, of, core = unit_name(queue, chip.cores).partition(" ")
    of_core = f"{of}{core}" if decode_cores(program.words)[late[AT]] != decode_cores(program.words)[early[AT]] else ""
    return (
        f"hazard: {_place(program, late)} {_verb(late)} {name} {unit} {first} to {end}, which {_place(program, early)} "
        f"{_verb(early)}, and no token orders them: it must wait for {queue_name.lower()}={count}{of_core}, directly "
        f"or through others; its tokens ensure {queue_name.lower()}={ensured}"
    )


def _place(program: Program, access: Ints) -> str:
    at = int(access[AT])
    layer = int(program.layer_of[at]) if at < len(program.layer_of) else -1
    of = f" of layer '{program.layers[layer].name}'" if 0 <= layer < len(program.layers) else ""
    return f"instruction {at} ({TABLE[int(program.words[at, 0]) & 0xFF].name}{of})"


def _verb(access: Ints) -> str:
    return "writes" if access[WRITE] else "reads"
