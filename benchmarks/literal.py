"""How fast the literal array is: every MAC instruction of a network on `edge`, all registers moving in every cycle.

One thread; CPU time, best of several rounds. Buffers hold random bytes: time does not depend on values. The array's
sums must equal the instructions' kernels' and its cycles the closed forms', or the benchmark stops. A PE-cycle is one
PE in one array cycle, in use or not. The limit, measured in between, adds as many products to sums that stay in vector
registers: the PEs' arithmetic alone, and nothing that moves.

Run: python -m benchmarks.literal [NETWORK ...] [--rounds N] [--tiny] [--json OUT.json] [--update-docs]
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from llvmlite import ir
from numba import types

import accelc
from accelc.chip import load_chip
from accelc.isa import Memory, Queue, by_name
from accelc.isa import events as ev
from accelc.isa.encoding import decode_queues
from accelc.program import Program
from accelc.sim import dispatch
from accelc.sim.array import weight_stationary_fast
from accelc.sim.array.walk import ROW
from accelc.sim.jit import entry
from accelc.sim.kernels.dot import HALVES, WORDS, pairs
from accelc.sim.kernels.ir import I64, LANES, address, emitted, load, repeat, store
from accelc.sim.memory import allocate
from benchmarks.speed import machine_facts, markdown_table, text_table

Array = npt.NDArray[Any]

PAGE = Path(__file__).parents[1] / "docs" / "literal.md"
NAMES = ("conv", "depthwise")
SIDES = (32, 16)  # of the arrays
SUMS = 8  # vectors of the limit's sums, enough that none waits for itself
VECTORS = 128  # of the limit's words, a power of two


def _entry(kernel: Any) -> Any:
    return entry(kernel.py_func)


LITERAL = {name: _entry(getattr(weight_stationary_fast, name)) for name in NAMES}
FAST = {name: _entry(getattr(dispatch, name)) for name in NAMES}


@emitted
def _multiply(_typing: Any, _words: Any, _sums: Any, _count: Any) -> Any:
    """Add `count` times SUMS vectors of words' products with another word to as many sums."""

    def codegen(context: Any, bd: ir.IRBuilder, _sig: Any, args: Any) -> Any:
        words, to, count = args
        sums = [bd.alloca(WORDS) for _ in range(SUMS)]
        for total in sums:
            bd.store(ir.Constant(WORDS, None), total)
        w = load(bd, to, HALVES)
        with repeat(bd, count) as i:
            at = bd.add(words, bd.mul(bd.and_(i, I64(VECTORS // SUMS - 1)), I64(ROW * SUMS)))
            for k, total in enumerate(sums):
                bd.store(bd.add(bd.load(total), pairs(bd, load(bd, at, HALVES, ROW * k), w)), total)
        for k, total in enumerate(sums):
            store(bd, bd.load(total), to, ROW * k)
        return context.get_dummy_value()

    return types.void(types.int64, types.int64, types.int64), codegen


@entry
def _products(words: Array, sums: Array, count: int) -> None:
    """Do about `count` products of 16-bit words, each added to a sum of 32 bits."""
    aligned = (address(words) + ROW - 1) // ROW * ROW  # a vector that straddles cache lines costs two accesses
    _multiply(aligned, address(sums), count // (SUMS * LANES))


@dataclass(frozen=True)
class Work:
    """The MAC instructions of a network: names and operands, and the operands that the literal models take."""

    rows: Sequence[tuple[str, Sequence[int]]]
    chip: accelc.Chip
    memory: Memory

    def literal(self) -> int:
        """Execute all on the literal array and return the cycles."""
        counts = np.zeros(len(ev.NAMES), np.int64)
        timing = self.chip.timing
        return sum(LITERAL[name](self.memory, timing, counts, *_without(name, row)) for name, row in self.rows)

    def check(self) -> None:
        """Stop where a sum differs from the kernel's or the cycles of an instruction from its closed form."""
        timing, counts = self.chip.timing, np.zeros(len(ev.NAMES), np.int64)
        for name, row in self.rows:
            before = self.memory.acc.copy()
            cycles = LITERAL[name](self.memory, timing, counts, *_without(name, row))
            sums = self.memory.acc.copy()
            self.memory.acc[:] = before
            FAST[name](self.memory, *row)
            if not np.array_equal(sums, self.memory.acc):
                raise SystemExit(f"{name} {row}: the literal array's sums differ from the kernel's")
            if cycles != sum(by_name(name).clauses["cycles"](timing, *_read(name, row))):
                raise SystemExit(f"{name} {row}: the literal array took {cycles} cycles, not the closed form's")


def _without(name: str, row: Sequence[int]) -> list[int]:
    """Return the operands that the literal model takes: all but the choice of dataflow."""
    return [v for f, v in zip(by_name(name).fields, row, strict=True) if f.name != "dataflow"]


def _read(name: str, row: Sequence[int]) -> list[int]:
    """Return the operands that the cycles clause reads."""
    values = dict(zip((f.name for f in by_name(name).fields), row, strict=True))
    return [values[operand] for operand in by_name(name).operand_names("cycles")]


def work(program: Program, chip: accelc.Chip) -> Work:
    """Return a program's MAC instructions on buffers full of random bytes."""
    rng = np.random.default_rng(0)
    memory = allocate(program, chip)[0]  # the chip has one core
    memory.act[:] = rng.integers(0, 256, len(memory.act))
    memory.wgt[:] = rng.integers(-128, 128, len(memory.wgt))
    name_of = {by_name(name).opcode: name for name in NAMES}
    positions = np.flatnonzero(decode_queues(program.words) == Queue.MAC)
    names = [name_of[int(program.words[at, 0]) & 0xFF] for at in positions]
    rows = [program.rows[at, : len(by_name(n).fields)].tolist() for at, n in zip(positions, names, strict=True)]
    return Work(list(zip(names, rows, strict=True)), chip, memory)


def seconds(call: Callable[[], object]) -> float:
    """Return the CPU seconds of a call."""
    start = time.thread_time()
    call()
    return time.thread_time() - start


def with_array(side: int) -> accelc.Chip:
    """Return the edge chip with an array of side x side PEs."""
    values = load_chip("edge").model_dump()
    values["array"] |= {"rows": side, "cols": side}
    return accelc.Chip.model_validate(values)


@dataclass(frozen=True)
class Measured:
    """CPU seconds of a network's array cycles on side x side PEs, and of as many products alone."""

    network: str
    side: int
    instructions: int
    cycles: int
    seconds: float
    limit_seconds: float
    load: float

    @property
    def rate(self) -> float:
        """Return billions of PE-cycles a second."""
        return self.cycles * self.side**2 / self.seconds / 1e9


def measure(name: str, side: int, rounds: int, tiny: bool) -> Measured:
    """Return a network's figures on an array of side x side PEs, each the best of several rounds."""
    chip, load = with_array(side), os.getloadavg()[0]
    instructions = work(accelc.compile(name, chip, tiny=tiny), chip)
    instructions.check()
    cycles = instructions.literal()
    words, sums = np.zeros((VECTORS + 1) * LANES, np.int32), np.zeros(SUMS * LANES, np.int32)
    _products(words, sums, side**2)
    taken, limit = float("inf"), float("inf")
    for _ in range(rounds):
        taken = min(taken, seconds(instructions.literal))
        limit = min(limit, seconds(lambda: _products(words, sums, cycles * side**2)))
    return Measured(name, side, len(instructions.rows), cycles, taken, limit, load)


def rows_of(found: Sequence[Measured]) -> list[list[str]]:
    """Return the figures as rows of text."""
    head = ["network", "array", "instructions", "cycles", "seconds", "G PE-cycles/s", "time / products alone", "load"]
    return [head] + [
        [
            m.network,
            f"{m.side}x{m.side}",
            f"{m.instructions:,}",
            f"{m.cycles:,}",
            f"{m.seconds:.2f}",
            f"{m.rate:.1f}",
            f"{m.seconds / m.limit_seconds:.1f}",
            f"{m.load:.1f}",
        ]
        for m in found
    ]


def page(facts: Mapping[str, str], rows: Sequence[Sequence[str]], rounds: int) -> str:
    """Return docs/literal.md."""
    about = (__doc__ or "").split("\n\n")
    machine = "\n".join(f"* {key}: {value}" for key, value in facts.items())
    again = f"Measured over {rounds} rounds by `python -m benchmarks.literal --update-docs`."
    return "\n\n".join(["# The literal array", *about[:2], machine, markdown_table(rows), again]) + "\n"


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print, and write what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("networks", nargs="*", default=["resnet50"], metavar="NETWORK")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--tiny", action="store_true", help="the networks' small forms")
    parser.add_argument("--json", type=Path, metavar="OUT.json")
    parser.add_argument("--update-docs", action="store_true", help="write docs/literal.md")
    given = parser.parse_args(arguments)
    found = [measure(name, side, given.rounds, given.tiny) for name, side in product(given.networks, SIDES)]
    print(text_table(rows_of(found)))
    if given.json is not None:
        given.json.write_text(json.dumps([asdict(m) for m in found], indent=1) + "\n")
    if given.update_docs:
        facts = {key: value for key, value in machine_facts(None).items() if value != "None"}
        PAGE.write_text(page(facts, rows_of(found), given.rounds), encoding="utf-8")


if __name__ == "__main__":
    main()
