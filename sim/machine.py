"""The machine's values: executes a program's instructions in order on arrays, bit for bit as their definitions say.

Instructions are executed in program order, which the tokens of a correct program cannot tell from the concurrent order
that the timing model plays. Every run starts from the same state: constants at the start of DRAM, zeros elsewhere.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from accelc.chip import Chip
from accelc.errors import MachineError, ProgramError
from accelc.isa import TABLE, Memory
from accelc.isa.legality import check_rules
from accelc.program import Port, Program, Region
from accelc.sim import memory
from accelc.sim.activity import Recorder
from accelc.sim.bounds import check_bounds, check_cores, check_dataflows, place
from accelc.sim.direct import SKIP, direct
from accelc.sim.dispatch import HOST, STREAM, is_wide
from accelc.sim.dispatch import execute as execute_rows
from accelc.sim.host import run_host
from accelc.sim.kept import Kept
from accelc.sim.literal import Literal
from accelc.sim.packing import pack, run_one
from accelc.sim.ports import Array, Bytes, read_port, values_of, windows, write_inputs
from accelc.sim.stream import run_stream
from accelc.sim.threads import Crew

Ints = npt.NDArray[np.int64]

LEAST_WIDTH = 3  # operands of what threads meet at (see accelc.sim.threads)


@dataclass(frozen=True, eq=False)
class Values:
    """What a run computed: outputs as the model's dtype, the integers behind them, and DRAM as the run left it.

    `kept` are the integers of the regions asked for, each read when it was complete. `dram` is the machine's own
    memory: another run of the same Machine changes it.
    """

    outputs: Mapping[str, Array]
    integers: Mapping[str, Array]
    dram: Bytes
    kept: Mapping[str, Array] = field(default_factory=dict)

    def tensor(self, port: Port) -> Array:
        """Return the integers of any tensor that still lies in DRAM, in its ONNX shape."""
        return read_port(self.dram, port)


def execute(program: Program, chip: Chip, inputs: Mapping[str, Array]) -> Values:
    """Execute a program once; raise InputError for inputs that do not fit."""
    return Machine(program, chip).run(inputs)


class Code(NamedTuple):
    """What is executed: opcodes and decoded operands, and the memories of each core that they address.

    `positions` are the program's instructions that these are, `turns` where they go on to another core.
    """

    opcodes: Ints
    rows: Ints
    memories: tuple[Memory, ...]
    cores: Ints
    positions: Ints
    turns: Ints


def _code(opcodes: Ints, rows: Ints, memories: tuple[Memory, ...], cores: Ints, positions: Ints) -> Code:
    """Return the code of the instructions at some positions, with no wider rows than they need."""
    opcodes, cores = opcodes[positions], cores[positions]
    width = max((len(TABLE[opcode].fields) for opcode in np.unique(opcodes).tolist()), default=0)
    held = np.ascontiguousarray(rows[positions, : max(width, LEAST_WIDTH)])
    return Code(opcodes, held, memories, cores, positions, np.flatnonzero(np.diff(cores)) + 1)


class Machine:
    """A chip with a program loaded: decoded once, memories allocated and constants placed once."""

    def __init__(self, program: Program, chip: Chip, threads: int = 1) -> None:
        if program.fingerprint != chip.fingerprint:
            raise ProgramError(
                f"program '{program.name}' was compiled for chip '{program.chip}' ({program.fingerprint}), "
                f"not for '{chip.name}' ({chip.fingerprint}); compile it again"
            )
        check_rules(program.words)
        self.program = program
        opcodes = program.opcodes
        self._wide = is_wide(opcodes)
        self._packed = pack(program.streams, program.dram_bytes) if program.streams else None
        self._memories = memory.allocate(program, chip)
        dram = self._memories[0].dram
        self._inputs, self._outputs = windows(dram, program.inputs), windows(dram, program.outputs)
        check_bounds(program, program.rows, self._memories[0])
        check_dataflows(program, opcodes, program.rows, chip)
        cores = program.cores
        check_cores(program, cores, chip)
        memories, shift = memory.reaching(self._memories, chip)
        opcodes, rows = direct(program, opcodes, cores, chip, shift)
        self._direct = _code(opcodes, rows, memories, cores, np.flatnonzero(opcodes != SKIP))
        self._crew = Crew(self._direct.opcodes, self._direct.rows, threads, self._packed) if threads > 1 else None

    @cached_property
    def _plain(self) -> Code:
        """Return all instructions as they are, for those who look at buffers."""
        p = self.program
        return _code(p.opcodes, p.rows, self._memories, p.cores, np.arange(len(p.opcodes)))

    def run(
        self,
        inputs: Mapping[str, Array],
        keep: Iterable[Region] = (),
        literal: Literal | None = None,
        recorder: Recorder | None = None,
    ) -> Values:
        """Execute the program on inputs by their ONNX names, keeping regions' integers; may be called again.

        With `literal`, MAC instructions run on the literal array, which records their cycles and events there. A
        `recorder` is shown the instructions it counts, each before it executes.
        """
        dram = self._memories[0].dram
        memory.clear(self._memories, self.program.constants.size)
        write_inputs(dram, self.program.inputs, inputs, self._inputs)
        self._code = self._direct if literal is None and recorder is None else self._plain
        kept = self._execute(keep, literal, recorder)
        ports = self.program.outputs
        integers = {port.name: read_port(dram, port, self._outputs[port.name]) for port in ports}
        return Values({port.name: values_of(port, integers[port.name]) for port in ports}, integers, dram, kept)

    def _execute(
        self, keep: Iterable[Region], literal: Literal | None, recorder: Recorder | None
    ) -> Kept:
        """Execute to the end, stopping where a region is complete: later instructions may reuse its bytes."""
        kept, at = Kept(), 0
        for region in sorted(keep, key=lambda region: region.complete):
            complete = int(np.searchsorted(self._code.positions, region.complete))
            at = self._advance(at, complete, literal, recorder)
            if region.port is not None:
                on_chip, dram = self._memories[0].act, self._memories[0].dram  # maps are held by the first core
                held = on_chip if region.port.space == "act" else dram
                kept.add(region.name, read_port(held, region.port))
        self._advance(at, len(self._code.rows), literal, recorder)
        return kept

    def _advance(self, at: int, last: int, literal: Literal | None, recorder: Recorder | None) -> int:
        """Execute instructions `at` to `last` - 1; return the index of the next."""
        macs = _within(literal.positions, at, last) if literal else set()
        seen = _within(recorder.positions, at, last) if recorder else set()
        for stop in sorted(macs | seen):
            at = self._interpret(at, stop)
            own = self._memories[self._code.cores[stop]]
            opcode, row = int(self._code.opcodes[stop]), self._code.rows[stop]
            if recorder and stop in seen:
                recorder.see(opcode, row, own, stop)
            if literal and stop in macs:
                literal.execute(opcode, row, own, stop)
                at += 1
        return self._interpret(at, last)

    def _interpret(self, at: int, last: int) -> int:
        """Execute instructions `at` to `last` - 1, core after core; return the index of the next."""
        turns = self._code.turns
        for turn in turns[(turns > at) & (turns < last)].tolist():
            at = self._interpret_core(at, turn)
        return self._interpret_core(at, last)

    def _interpret_core(self, at: int, last: int) -> int:
        """Execute instructions of one core by their definitions' kernels; return the index of the next."""
        opcodes, rows, memories, cores, *_ = self._code
        reals = rows.view(np.float32)
        while at < last:
            own = memories[cores[at]]
            if self._crew is not None and self._code is self._direct:
                why, at = self._crew.execute(own, at, last, wide=self._wide)
            else:
                why, at = execute_rows(opcodes, rows, reals, own, at, last, self._wide, self._packed)
            if why not in (HOST, STREAM):
                return at
            self._call(at, why == STREAM)
            at += 1
        return at

    def _call(self, at: int, streams: bool) -> None:
        """Run the stream or the host operator that an instruction names."""
        index, program, dram = int(self._code.rows[at, 0]), self.program, self._memories[0].dram
        known = len(program.streams) if streams else len(program.hosts)
        if index >= known:
            kind = "streams" if streams else "host operators"
            raise MachineError(f"{place(program, int(self._code.positions[at]))}: the program has {known} {kind}")
        if not streams:
            run_host(dram, program.hosts[index])
        elif self._packed is None or not run_one(dram, self._packed, index):
            run_stream(dram, program.streams[index])


def _within(positions: Ints, first: int, last: int) -> set[int]:
    """Return the positions from `first` to `last` - 1."""
    return set(positions[(positions >= first) & (positions < last)].tolist())
