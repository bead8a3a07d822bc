"""The activity of a run, counted from its values: products with a zero activation, and the code of feature maps.

* Zero is the stored integer that stands for the real number 0. For a MAC instruction it is the `pad_value` of the last
  load of its core before it whose destination holds the instruction's `act`; a MAC that no load precedes has no zeros.
* Each activation read meets the outputs of its group: an element that is zero makes `n` products zero (one in a
  depthwise convolution). Padding counts: the array multiplies it.
* A load or a store of a tensor in DRAM (see `Program.regions`) is coded by itself, its elements in the order in which
  they move, as Eyeriss codes them (Chen et al., JSSC 52(1), 2017): pairs of a run of up to 31 zeros (5 bits) and the
  level after it; a word of 64 bits holds as many pairs as fit beside one bit that marks the last (3 of 16-bit levels, 4
  of 8-bit ones). A longer run takes pairs of 31 zeros and a level zero; so does what a transfer ends with.
* Constants, the network's input and tensors that are not as wide as the array's operands are moved as they are.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from accelc.chip import Chip
from accelc.energy.activity import (
    COLUMNS,
    ENCODED_READ,
    ENCODED_WRITE,
    MACS,
    RAW_READ,
    RAW_WRITE,
    ZERO_MACS,
    Activity,
)
from accelc.isa import Memory, Queue, by_name
from accelc.isa.encoding import decode_cores, decode_queues
from accelc.program import Port, Program
from accelc.sim.jit import entry
from accelc.sim.ports import EXCESS

Ints = npt.NDArray[np.int64]
Bytes = npt.NDArray[np.uint8]

RUN_BITS = 5
LONGEST_RUN = (1 << RUN_BITS) - 1
LINE_BITS = 64
UNKNOWN = -1  # no load tells a MAC instruction's zero

LOAD, STORE = by_name("load").opcode, by_name("store").opcode
FORMS = {by_name(name).opcode: name for name in ("conv", "depthwise", "conv16", "depthwise16")}


def columns(name: str) -> dict[str, int]:
    """Return the column of each operand of an instruction in decoded rows."""
    return {field.name: k for k, field in enumerate(by_name(name).fields)}


FIELDS = {name: columns(name) for name in (*FORMS.values(), "load", "store")}
LINES = ("act", "act_row", "act_col", "rows", "cols", "taps_y", "taps_x", "tap_row", "tap_col")


@entry
def zeros_read(act: Bytes, lines: Ints, groups: int, act_group: int, depth: int, size: int, zero: int) -> int:
    """Return how many elements of `size` bytes that a MAC instruction reads are zero, each time it reads them.

    `lines` are the operands named in LINES; `depth` elements follow each other in a pixel of a group.
    """
    found = 0
    at, row, col, rows, cols, taps_y, taps_x, tap_row, tap_col = lines
    for g in range(groups):
        for y in range(rows * taps_y):
            for x in range(cols * taps_x):
                first = at + g * act_group + (y // taps_y) * row + (y % taps_y) * tap_row
                first += (x // taps_x) * col + (x % taps_x) * tap_col
                if size == 1:
                    for k in range(first, first + depth):
                        found += act[k] == zero
                else:
                    for k in range(first, first + 2 * depth, 2):
                        found += (act[k] == zero) & (act[k + 1] == zero)
    return found


@entry
def pairs_of(memory: Bytes, at: int, counts: Ints, size: int, zero: int) -> int:
    """Return the pairs that code a transfer's elements; `counts` are its rows, cols, bytes and steps of rows and cols.

    `zero` is an element's value, the low byte first.
    """
    rows, cols, length, row, col = counts
    pairs, run = 0, 0
    for y in range(rows):
        for x in range(cols):
            first = at + y * row + x * col
            for k in range(first, first + length, size):
                value = np.int64(memory[k])
                if size == 2:
                    value += np.int64(memory[k + 1]) << 8
                if value == zero and run < LONGEST_RUN:
                    run += 1
                else:
                    pairs += 1
                    run = 0
    return pairs + (run > 0)


def coded_bytes(pairs: int, level_bits: int) -> int:
    """Return the bytes of whole words of 64 bits that hold the pairs."""
    held = (LINE_BITS - 1) // (RUN_BITS + level_bits)
    return -(-pairs // held) * LINE_BITS // 8


class Recorder:
    """Watches a run and counts its activity; `positions` are the instructions it is to be shown before they execute."""

    def __init__(self, program: Program, chip: Chip) -> None:
        self._size = chip.array.operand_bits // 8
        self._layers = program.layer_rows
        self._counts = np.zeros((max(len(program.layers), 1), len(COLUMNS)), np.int64)
        self._zeros = {**_mac_zeros(program), **_transfer_zeros(program, self._layers, self._size)}
        self.positions = np.array(sorted(self._zeros), np.int64)

    @property
    def activity(self) -> Activity:
        """Return what was counted so far."""
        return Activity(self._counts.copy())

    def see(self, opcode: int, row: Ints, memory: Memory, at: int) -> None:
        """Count the activity of the instruction at a position, which is about to execute on the memory."""
        counts = self._counts[self._layers[at]]
        if opcode in FORMS:
            self._products(FORMS[opcode], row, memory.act, at, counts)
        elif opcode == LOAD:
            counts[[RAW_READ, ENCODED_READ]] += self._coded(memory.dram, row, "load", at)
        else:
            counts[[RAW_WRITE, ENCODED_WRITE]] += self._coded(memory.act, row, "store", at)

    def _products(self, name: str, row: Ints, act: Bytes, at: int, counts: Ints) -> None:
        """Count the products of a MAC instruction, and those that are zero."""
        f = FIELDS[name]
        n, size = int(row[f["n"]]), 2 if name.endswith("16") else 1
        groups, step, depth, outputs = 1, 0, n, 1
        if "groups" in f:
            groups, step, depth, outputs = int(row[f["groups"]]), int(row[f["act_group"]]), int(row[f["depth"]]), n
        lines = row[[f[key] for key in LINES]]
        reads = groups * depth * int(np.prod(lines[3:7]))
        counts[MACS] += reads * outputs
        if self._zeros[at] != UNKNOWN:
            counts[ZERO_MACS] += outputs * zeros_read(act, lines, groups, step, depth, size, self._zeros[at])

    def _coded(self, memory: Bytes, row: Ints, name: str, at: int) -> tuple[int, int]:
        """Return the raw and the coded bytes of a transfer from a memory."""
        f = FIELDS[name]
        shape = row[[f[key] for key in ("rows", "cols", "bytes", "src_row", "src_col")]]
        pairs = pairs_of(memory, int(row[f["src"]]), shape, self._size, self._zeros[at])
        return int(np.prod(shape[:3])), coded_bytes(int(pairs), 8 * self._size)


def _mac_zeros(program: Program) -> dict[int, int]:
    """Return the stored zero of each MAC instruction's activations, by position, UNKNOWN where no load tells."""
    f, rows = FIELDS["load"], program.rows
    opcodes = (program.words[:, 0] & np.uint64(0xFF)).astype(np.int64)
    cores = decode_cores(program.words)
    of_core: dict[int, list[tuple[int, int, int]]] = {}
    zeros = {}
    for at in np.flatnonzero((opcodes == LOAD) | (decode_queues(program.words) == Queue.MAC)).tolist():
        row, loads = rows[at], of_core.setdefault(int(cores[at]), [])
        if opcodes[at] == LOAD:
            loads.append((int(row[f["dst"]]), _load_end(row), int(row[f["pad_value"]])))
        else:
            act = int(row[0])
            zeros[at] = next((zero for first, end, zero in reversed(loads) if first <= act < end), UNKNOWN)
    return zeros


def _load_end(row: Ints) -> int:
    """Return the end of a load's destination."""
    v = {name: int(row[k]) for name, k in FIELDS["load"].items()}
    height, width = v["pad_top"] + v["rows"] + v["pad_bottom"], v["pad_left"] + v["cols"] + v["pad_right"]
    return v["dst"] + (height - 1) * v["dst_row"] + (width - 1) * v["dst_col"] + v["bytes"]


def _transfer_zeros(program: Program, layers: Ints, size: int) -> dict[int, int]:
    """Return the stored zero of each load and store of a feature map, by position."""
    opcodes = (program.words[:, 0] & np.uint64(0xFF)).astype(np.int64)
    zeros = {}
    for opcode, name, key in ((LOAD, "load", "src"), (STORE, "store", "dst")):
        f = FIELDS[name]
        for at in np.flatnonzero(opcodes == opcode).tolist():
            row = program.rows[at]
            zero = _zero_at(program, int(row[f[key]]), int(layers[at]), size)
            if zero is not None and row[f["bytes"]] % size == 0 and row[f["rows"]] * row[f["cols"]] > 0:
                zeros[at] = zero
    return zeros


def _zero_at(program: Program, address: int, layer: int, size: int) -> int | None:
    """Return the stored zero of the tensor of `size` bytes an element that lies at an address while a layer runs."""
    for region in program.regions:
        if region.port is None or region.port.space != "dram":
            continue
        alive = region.first_layer <= layer <= region.last_layer
        if alive and region.address <= address < region.address + region.bytes:
            return _stored_zero(region.port, size)
    return None


def _stored_zero(port: Port, size: int) -> int | None:
    if np.dtype(port.stored).itemsize != size:
        return None
    return port.zero_point + EXCESS.get(port.stored, 0)
