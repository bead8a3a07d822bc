"""The Program: code words, constants, memory map, ports and the source map; what the machine runs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from accelc.isa.encoding import Words, decode_cores, decode_opcodes, decode_queues, decode_rows, decode_waits

VERSION = 4  # 2: addresses of act and wgt have 28 bits; 3: streams; 4: predictions by cause, bounds of DRAM, energy


@dataclass(frozen=True)
class Port:
    """A tensor in DRAM, or held in the activation buffer (`space` "act"), as the outside sees it.

    `shape` and `dtype` are the model's; `stored` (int8, uint8, int16, int32 or float32) with `scale` and `zero_point`
    is what the chip holds at `address`: batch, height, width, channels of `extents`, `pitch` bytes from pixel to pixel;
    int8 in excess-128 form, wider types little-endian. A tensor in row-major order is one pixel of all its elements.
    `row` and `image` are the bytes from row to row and image to image where they do not adjoin, else 0.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str
    stored: str
    scale: float
    zero_point: int
    address: int
    extents: tuple[int, int, int, int]
    pitch: int
    space: str = "dram"
    row: int = 0
    image: int = 0

    @property
    def strides(self) -> tuple[int, int, int]:
        """Return the bytes from image to image, row to row and pixel to pixel."""
        _, h, w, _ = self.extents
        row = self.row or w * self.pitch
        return self.image or h * row, row, self.pitch

    @property
    def bytes(self) -> int:
        """Return the bytes from the tensor's first pixel to past its last."""
        n, h, w, _ = self.extents
        image, row, pixel = self.strides
        return (n - 1) * image + (h - 1) * row + w * pixel if n * h * w else 0

    @property
    def reach(self) -> int:
        """Return the bytes from the first element to past the last; the last pixel may hold others after it."""
        return self.bytes - self.pitch + self.extents[3] * np.dtype(self.stored).itemsize if self.bytes else 0


@dataclass(frozen=True)
class LayerInfo:
    """What reports say of a layer: names, work asked for, the schedule chosen, what it is predicted and bound to take.

    Layers of one `stage` share their tiles. Predicted cycles, in all and by cause, stand at the first of them.
    """

    name: str
    op: str
    source: tuple[str, ...]
    macs: int
    dataflow: str
    tile: Mapping[str, int]
    lower_bound_cycles: int
    predicted_cycles: int
    predicted: Mapping[str, int] = field(default_factory=dict)
    lower_bound_dram_bytes: int = 0
    lower_bound_energy_j: float = 0.0
    stage: int = -1


@dataclass(frozen=True)
class Region:
    """A tensor's range of DRAM, the layers between which it is alive, and the instructions after which it is complete.

    Regions whose lives do not overlap may share bytes; `port` says how to read the tensor once it is complete.
    """

    name: str
    address: int
    bytes: int
    first_layer: int
    last_layer: int
    complete: int = 0
    port: Port | None = None


@dataclass(frozen=True)
class Operand:
    """A tensor in DRAM as a stream reads or writes it: `strides` are bytes for each axis of `shape`.

    Bytes with a scale stand for real numbers (int8 in excess-128 form); int32 and float32 for themselves.
    """

    address: int
    stored: str
    shape: tuple[int, ...]
    strides: tuple[int, ...]
    scale: float = 1.0
    zero_point: int = 0


@dataclass(frozen=True)
class StreamCall:
    """Work of the vector unit on tensors in DRAM: a layer of `isa.real` or `move`, the elements in row-major order."""

    name: str
    op: str
    attrs: Mapping[str, Any]
    inputs: tuple[Operand, ...]
    output: Operand


@dataclass(frozen=True)
class HostCall:
    """An operator the host runs: a serialized one-node ONNX model on float32 tensors, dequantized from and to DRAM."""

    name: str
    op_type: str
    reason: str
    model: bytes
    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]
    seconds: float


@dataclass(frozen=True, eq=False)
class Program:
    """A compiled model; immutable. DRAM starts as the constants at address 0, then zeros up to `dram_bytes`."""

    name: str
    chip: str
    fingerprint: str
    words: Words
    constants: npt.NDArray[np.uint8]
    dram_bytes: int
    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]
    layers: tuple[LayerInfo, ...]
    layer_of: npt.NDArray[np.int32]
    regions: tuple[Region, ...] = ()
    hosts: tuple[HostCall, ...] = ()
    notes: Mapping[str, Any] = field(default_factory=dict)
    streams: tuple[StreamCall, ...] = ()

    @cached_property
    def figures(self) -> dict[str, Any]:
        """Return where runs leave, by a chip's fingerprint, what follows from program and chip alone."""
        return {}

    @cached_property
    def given(self) -> dict[str, Any]:
        """Return where `sim.table` leaves, by a chip's fingerprint, what is given before time is played."""
        return {}

    @cached_property
    def rows(self) -> npt.NDArray[np.int64]:
        """Return the decoded operands, a row for each instruction (see `isa.encoding.decode_rows`)."""
        return decode_rows(self.words)

    @cached_property
    def opcodes(self) -> npt.NDArray[np.int64]:
        """Return the opcode of each instruction."""
        return decode_opcodes(self.words)

    @cached_property
    def queues(self) -> npt.NDArray[np.int64]:
        """Return the queue of each instruction."""
        return decode_queues(self.words)

    @cached_property
    def cores(self) -> npt.NDArray[np.int64]:
        """Return the core of each instruction; 0 for those of all cores."""
        return decode_cores(self.words)

    @cached_property
    def waits(self) -> npt.NDArray[np.int64]:
        """Return what each instruction waits for, a column for each queue (see `isa.encoding.decode_waits`)."""
        return decode_waits(self.words)

    @cached_property
    def macs(self) -> int:
        """Return the multiply-accumulates that the layers ask for."""
        return sum(layer.macs for layer in self.layers)

    @cached_property
    def layer_rows(self) -> npt.NDArray[np.int64]:
        """Return each instruction's layer; one without (-1) counts for the last layer before it, or layer 0."""
        layer = np.asarray(self.layer_of, np.int64)
        known = np.where(layer >= 0, np.arange(len(layer)), 0)
        return np.maximum(layer[np.maximum.accumulate(known)], 0) if len(layer) else layer

    def save(self, path: str | Path) -> None:
        """Write the program to a file, whole or not at all; raise InputError if it cannot be written."""
        from accelc import program_file  # it reads and writes this class

        program_file.save(self, path)

    @staticmethod
    def load(path: str | Path) -> Program:
        """Return the program in a file; raise ProgramError naming the damage if it is not one that can be run."""
        from accelc import program_file

        return program_file.load(path)
