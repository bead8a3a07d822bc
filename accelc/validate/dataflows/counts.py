"""What the dataflows' mappings share: a layer, the accesses at each level, their energy, and traffic with DRAM."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

# Energy of an access in multiply-accumulates (ISCA 2016, Table IV, 65 nm, 16 bits).
ENERGY = {"alu": 1.0, "rf": 1.0, "array": 2.0, "buffer": 6.0, "dram": 200.0}


@dataclass(frozen=True)
class Layer:
    """A layer for a batch: channels and filters of one group, padded input edge, kernel and output edges, stride."""

    name: str
    c: int
    m: int
    h: int
    r: int
    e: int
    u: int
    groups: int = 1

    def macs(self, batch: int) -> int:
        """Return the multiply-accumulates of a batch."""
        return batch * self.groups * self.m * self.c * self.r**2 * self.e**2

    @property
    def weights(self) -> int:
        """Return the weights of one group."""
        return self.m * self.c * self.r**2

    def rows_in(self, rows: int) -> int:
        """Return the input rows that `rows` rows of output read."""
        return min(self.h, (rows - 1) * self.u + self.r)


@dataclass(frozen=True)
class Counts:
    """Accesses at each level, in words; `alu` in multiply-accumulates; `mapping` says by which mapping."""

    alu: float
    rf: float
    array: float
    buffer: float
    dram: float
    mapping: str = ""

    def energy(self, level: str) -> float:
        """Return the energy at a level, in multiply-accumulates."""
        return ENERGY[level] * float(getattr(self, level))

    @property
    def total(self) -> float:
        """Return the energy of all levels."""
        return sum(self.energy(level) for level in ENERGY)


@dataclass(frozen=True)
class Block:
    """What the buffer works on between two visits to DRAM, and the words that one group then moves for the batch.

    `n` images x `m` filters x `rows` rows of output are finished before the next block; partial sums never leave.
    `visits` is how many blocks one filter meets.
    """

    n: int
    m: int
    rows: int
    visits: int
    act: int
    wgt: int
    out: int

    @property
    def text(self) -> str:
        """Return the block's extents."""
        return f"blocks of {self.n} images x {self.m} filters x {self.rows} rows"

    @property
    def dram(self) -> int:
        """Return the words between DRAM and buffer."""
        return self.act + self.wgt + self.out


def ceil_div(a: int, b: int) -> int:
    """Return a / b rounded up."""
    return -(-a // b)


def parts(whole: int, most: int = 32) -> Iterator[int]:
    """Yield the size of the largest part when a whole is cut into 1, 2, ... up to `most` parts, evenly."""
    yield from dict.fromkeys(ceil_div(whole, count) for count in range(1, min(whole, most) + 1))


def best_blocks(
    layer: Layer, batch: int, words: int, psums_in_buffer: bool, c: int, m: int, whole: bool = False
) -> list[Block]:
    """Return, by images and rows, the block of least DRAM traffic that fits in a buffer of `words`.

    A streamed operand needs room for the `c` channels and `m` filters that the array works on; one that stays while
    the others stream past needs it for all channels; partial sums for the whole block, if they live in the buffer.
    `whole` asks for blocks of all images and rows.
    """
    found = []
    for n in parts(batch, 1 if whole else 32):
        for rows in parts(layer.e, 1 if whole else 32):
            fitting = list(_fitting(layer, batch, words, psums_in_buffer, min(c, layer.c), m, n, rows))
            found += [min(fitting, key=lambda b: b.dram)] if fitting else []
    return found


def _fitting(
    layer: Layer, batch: int, words: int, psums_in_buffer: bool, c: int, step: int, n: int, rows: int
) -> Iterator[Block]:
    lines = layer.rows_in(rows)
    strips, images = ceil_div(layer.e, rows), ceil_div(batch, n)
    visits, out = images * strips, batch * layer.m * layer.e**2
    act, some_act, all_act = (k * lines * layer.h for k in (batch * layer.c * strips, n * c, n * layer.c))
    some_wgt = min(step, layer.m) * c * layer.r**2
    for m in {*(size for size in parts(layer.m) if size > step), min(step, layer.m)}:
        room = words - (n * m * rows * layer.e if psums_in_buffer else 0)
        again, all_wgt = ceil_div(layer.m, m), m * layer.c * layer.r**2
        # Filters of a single pass meet each activation once: only the window passing by needs room.
        window = c * layer.r * layer.h if m <= step else some_act
        if window + some_wgt <= room:
            yield Block(n, m, rows, visits, act * again, layer.weights * visits, out)
        if all_act + some_wgt <= room:
            yield Block(n, m, rows, visits, act, layer.weights * visits, out)
        if some_act + all_wgt <= room:
            yield Block(n, m, rows, visits, act * again, layer.weights, out)
