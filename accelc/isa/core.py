"""What an instruction is: operands with widths and memory spaces, and the clauses that say what it does and costs.

A clause is a plain function; the annotations of the action's parameters are the operands, in encoding order. From them
come encode, decode, assembler text, the legality messages, the generated page and the simulator's dispatch.

A word is eight little-endian 64-bit lanes. Lanes 0 and 1 hold the opcode, the core and the tokens an instruction waits
for; lanes 2 to 7 hold the operands, in order, none of which straddles a lane. Every unused bit must be zero.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from functools import cached_property
from typing import Annotated, Any, NamedTuple, get_type_hints

import numpy as np
import numpy.typing as npt

from accelc.errors import IsaError

Array = npt.NDArray[Any]
Clause = Callable[..., Any]

WORD_BYTES = 64
LANES = 8
HEADER_LANES = 2
LANE_BITS = 64
TOKEN_BITS = 24
CORE_BITS = 4


class Queue(IntEnum):
    """The queues; each issues its instructions in order, all run concurrently.

    LOAD, STORE, MAC and VECTOR are there once for each core, HOST and SYNC once.
    """

    LOAD = 0
    STORE = 1
    MAC = 2
    VECTOR = 3
    HOST = 4
    SYNC = 5

    @property
    def of_core(self) -> bool:
        """Return whether each core has such a queue."""
        return self < Queue.HOST


class Space(IntEnum):
    """The memory spaces an operand may address; acc counts 32-bit words, the others bytes."""

    DRAM = 0
    ACT = 1
    WGT = 2
    ACC = 3


class Memory(NamedTuple):
    """The arrays that actions read and write, one per space."""

    dram: npt.NDArray[np.uint8]
    act: npt.NDArray[np.uint8]
    wgt: npt.NDArray[np.int8]
    acc: npt.NDArray[np.int32]


@dataclass(frozen=True)
class Operand:
    """An operand's width in bits, the space it addresses if any, and whether it is signed or a float32."""

    bits: int
    space: Space | None = None
    signed: bool = False
    real: bool = False

    @cached_property
    def bounds(self) -> tuple[int, int]:
        """The least and greatest integer the field holds."""
        return (-(1 << (self.bits - 1)), (1 << (self.bits - 1)) - 1) if self.signed else (0, (1 << self.bits) - 1)


DramAddr = Annotated[int, Operand(40, Space.DRAM)]
ActAddr = Annotated[int, Operand(28, Space.ACT)]
WgtAddr = Annotated[int, Operand(28, Space.WGT)]
AccAddr = Annotated[int, Operand(24, Space.ACC)]
Flag = Annotated[int, Operand(1)]
U3 = Annotated[int, Operand(3)]
U8 = Annotated[int, Operand(8)]
U12 = Annotated[int, Operand(12)]
U16 = Annotated[int, Operand(16)]
U24 = Annotated[int, Operand(24)]
U32 = Annotated[int, Operand(32)]
S12 = Annotated[int, Operand(12, signed=True)]
S16 = Annotated[int, Operand(16, signed=True)]
F32 = Annotated[float, Operand(32, real=True)]


@dataclass(frozen=True)
class Field:
    """An operand's place in the word."""

    name: str
    operand: Operand
    lane: int
    shift: int


@dataclass
class Instruction:
    """One instruction: its fields and its clauses (action, cycles, events, touches, rules)."""

    name: str
    opcode: int
    queue: Queue
    action: Clause
    fields: tuple[Field, ...]
    doc: str
    clauses: dict[str, Clause] = field(default_factory=dict)
    _read: dict[str, tuple[str, ...]] = field(default_factory=dict)

    def _attach(self, kind: str) -> Callable[[Clause], Clause]:
        def attach(clause: Clause) -> Clause:
            self.clauses[kind] = clause
            return clause

        return attach

    @property
    def cycles(self) -> Callable[[Clause], Clause]:
        """Attach the clause (timing, operands...) -> (compute, fill_drain, weight_load) cycles."""
        return self._attach("cycles")

    @property
    def events(self) -> Callable[[Clause], Clause]:
        """Attach the clause (counts, timing, operands...) that adds energy events to `counts`."""
        return self._attach("events")

    @property
    def touches(self) -> Callable[[Clause], Clause]:
        """Attach the clause (rows, operands...) that writes (space, first, end, is_write) rows and returns how many."""
        return self._attach("touches")

    @property
    def rule(self) -> Callable[[Clause], Clause]:
        """Attach the legality clause (operands...) -> message or empty text."""
        return self._attach("rule")

    @cached_property
    def names(self) -> dict[str, Field]:
        """The fields by name, in order."""
        return {f.name: f for f in self.fields}

    def operand_names(self, kind: str) -> tuple[str, ...]:
        """Return the operands that a clause reads, in its own order."""
        if kind not in self._read:
            known = {f.name for f in self.fields}
            names = inspect.signature(self.clauses[kind]).parameters
            self._read[kind] = tuple(name for name in names if name in known)
        return self._read[kind]


TABLE: dict[int, Instruction] = {}
_NAMED: dict[str, Instruction] = {}


def instruction(opcode: int, queue: Queue) -> Callable[[Clause], Instruction]:
    """Define an instruction from its action `(m: Memory, operands...)`; the annotations give the fields."""

    def define(action: Clause) -> Instruction:
        if opcode in TABLE:
            raise IsaError(f"opcode {opcode:#04x} is both {TABLE[opcode].name} and {action.__name__}")
        fields = _layout(action)
        made = Instruction(action.__name__, opcode, queue, action, fields, inspect.getdoc(action) or "")
        TABLE[opcode] = _NAMED[made.name] = made
        return made

    return define


def _layout(action: Clause) -> tuple[Field, ...]:
    """Place the operands in order, each in the first lane where it still fits."""
    hints = get_type_hints(action, include_extras=True)
    lane_used = [0] * LANES
    fields = []
    for name in list(inspect.signature(action).parameters)[1:]:
        operand = hints[name].__metadata__[0]
        lane = next((k for k in range(HEADER_LANES, LANES) if lane_used[k] + operand.bits <= LANE_BITS), None)
        if lane is None:
            raise IsaError(f"{action.__name__}: operand {name} finds no room in the word")
        fields.append(Field(name, operand, lane, lane_used[lane]))
        lane_used[lane] += operand.bits
    return tuple(fields)


@dataclass(frozen=True)
class Word:
    """One instruction as values: its operands, and per queue how many of that queue's instructions must be complete.

    The queues waited for are those of its own core, and the two that all cores share.
    """

    opcode: int
    operands: Mapping[str, int | float]
    wait: Mapping[Queue, int] = field(default_factory=dict)
    core: int = 0

    @property
    def instruction(self) -> Instruction:
        """Return the definition."""
        return TABLE[self.opcode]


def by_name(name: str) -> Instruction:
    """Return the instruction of that name or raise IsaError."""
    if name not in _NAMED:
        raise IsaError(f"unknown instruction '{name}'; known: {', '.join(sorted(_NAMED))}")
    return _NAMED[name]


def make(
    made: Instruction, wait: Mapping[Queue, int] | None = None, core: int = 0, **operands: int | float
) -> Word:
    """Return a checked word; raise IsaError naming the operand and the rule it breaks."""
    if operands.keys() != made.names.keys():
        raise IsaError(f"{made.name}: {_misnamed(made.names, operands)}")
    for f in made.fields:
        _check_operand(made, f, operands[f.name])
    if "rule" in made.clauses:
        message = made.clauses["rule"](*[operands[n] for n in made.operand_names("rule")])
        if message:
            raise IsaError(f"{made.name}: {message}")
    waits = {queue: int(count) for queue, count in sorted(wait.items()) if count} if wait else {}
    for queue, count in waits.items():
        if not 0 <= count < 1 << TOKEN_BITS:
            raise IsaError(f"{made.name}: wait {queue.name.lower()}={count} does not fit in {TOKEN_BITS} bits")
    if not 0 <= core < 1 << (CORE_BITS if made.queue.of_core else 0):
        raise IsaError(f"{made.name}: core={core} {_core_rule(made)}")
    return Word(made.opcode, {name: operands[name] for name in made.names}, waits, core)


def _misnamed(names: Mapping[str, object], operands: Mapping[str, object]) -> str:
    """Return which operand there is none of, or else which is missing."""
    if unknown := operands.keys() - names.keys():
        return f"unknown operand {min(unknown)}; it takes {', '.join(sorted(names))}"
    return f"operand {next(name for name in names if name not in operands)} is missing"


def _core_rule(made: Instruction) -> str:
    return f"does not fit in {CORE_BITS} bits" if made.queue.of_core else "is that of an instruction of all cores"


def _check_operand(made: Instruction, f: Field, value: int | float) -> None:
    if f.operand.real:
        if not math.isfinite(value) or float(np.float32(value)) != float(value):
            raise IsaError(f"{made.name}: {f.name}={value!r} is not a finite float32")
        return
    low, high = f.operand.bounds
    if not isinstance(value, (int, np.integer)) or not low <= value <= high:
        sign = "signed " if f.operand.signed else ""
        raise IsaError(f"{made.name}: {f.name}={value} does not fit in {f.operand.bits} {sign}bits")
