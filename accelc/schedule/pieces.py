"""Weight tiles: what the array keeps while a part of a map passes."""

from __future__ import annotations

from collections.abc import Collection, Hashable, Iterator
from dataclasses import dataclass
from itertools import islice

from accelc.chip import Chip
from accelc.schedule.geometry import BLOCK, Geometry
from accelc.schedule.tiling import Block, Tiling, channel_blocks, kernel_cuts, weight_bytes
from accelc.schedule.views import round_up

ALIGN = 64  # bytes: where a weight tile that stays on chip may begin


@dataclass(frozen=True)
class Piece:
    """A weight tile: a block of channels over a cut of the depth and rows [top, bottom) of the kernel.

    The `last` one of a block ends with the parameters of requantization.
    """

    block: Block
    first: int
    depth: int
    top: int
    bottom: int
    last: bool

    @property
    def key(self) -> Hashable:
        """Return what tells it from the other pieces of its stage."""
        return self.block.first, self.first, self.top

    def weight_bytes(self, g: Geometry) -> int:
        """Return the bytes of the weights."""
        if g.depthwise:
            return round_up(g.taps * self.block.count * g.element_bytes, 4 * g.element_bytes)
        n = round_up(self.block.count // self.block.groups, BLOCK) * self.block.groups
        taps = (self.bottom - self.top) * g.conv[1].kernel
        return g.parts * taps * n * g.pitch(self.depth // self.block.groups)

    def param_bytes(self, g: Geometry, chip: Chip) -> int:
        """Return the bytes of the parameters: bias, and scale or multiplier and shift, of each channel."""
        if g.raw_output:
            return 4 * self.block.count * self.last
        each = 12 if chip.requantization == "fixed" or g.element_bytes == 2 else 8
        return each * self.block.count * self.last


def pieces_of(g: Geometry, t: Tiling, block: Block) -> Iterator[Piece]:
    """Yield the weight tiles of a block in the order in which the array takes them."""
    step = t.depth if block.groups == 1 and not g.depthwise else block.depth
    for first in range(0, block.depth, step):
        depth = min(step, block.depth - first)
        for top, bottom in kernel_cuts(g, t):
            last = first + depth >= block.depth and bottom == g.conv[0].kernel
            yield Piece(block, first, depth, top, bottom, last or g.depthwise)


def every_piece(g: Geometry, t: Tiling) -> Iterator[Piece]:
    """Yield the weight tiles of a stage."""
    return (piece for block in channel_blocks(g, t.channels) for piece in pieces_of(g, t, block))


def held_bytes(g: Geometry, t: Tiling) -> int:
    """Return the bytes that all weight tiles of a stage take where they stay on chip."""
    return sum(1 for _ in every_piece(g, t)) * tile_bytes(g, t)


def tile_bytes(g: Geometry, t: Tiling) -> int:
    """Return the bytes that a weight tile takes which stays on chip."""
    return round_up(int(weight_bytes(g, t)), ALIGN)


def staying(g: Geometry, t: Tiling, room: int) -> frozenset[Hashable]:
    """Return the keys of the weight tiles that stay in so many bytes of the weight buffer.

    If not all do, they lie evenly among the others: the array works on them while others are loaded, so that it waits
    as little at the stage's end as at its start.
    """
    keys = [piece.key for piece in every_piece(g, t)]
    count, every = min(room // tile_bytes(g, t), len(keys)), len(keys)
    turns = [(k * count + every // 2) // every for k in range(every + 1)]
    return frozenset(key for key, turn, after in zip(keys, turns, turns[1:], strict=False) if after > turn)


def first_loaded(g: Geometry, t: Tiling, kept: Collection[Hashable]) -> list[Piece]:
    """Return the weight tiles that fill the slots first, of a stage of which `kept` stay on chip.

    They are loaded ahead of the source, for which the stage before makes a load wait.
    """
    return list(islice((piece for piece in every_piece(g, t) if piece.key not in kept), t.slots))
