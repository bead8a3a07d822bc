"""How a stage is shared out over the cores of a chip: each makes a band of rows, a run of channels or some images.

Cores that share rows or images all load the weights, and halos between bands are loaded twice; cores that share
channels all load the inputs (but for stages that make a channel of one channel). A stage that keeps maps or weights on
chip is not shared out: what one core holds, the others do not see.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from accelc.chip import Chip
from accelc.schedule.geometry import BLOCK, Geometry
from accelc.schedule.tiling import Block, Tiling, channel_blocks, mid_size
from accelc.schedule.views import round_up

NO_SPLIT = "none"
SPLITS = (NO_SPLIT, "rows", "channels", "batch")


@dataclass(frozen=True)
class Share:
    """What one core makes of a stage's result: ranges [first, end) of images, rows and channels."""

    images: tuple[int, int]
    rows: tuple[int, int]
    channels: tuple[int, int]


def whole(g: Geometry) -> Share:
    """Return the share of a core that makes everything."""
    return Share((0, g.batch), (0, g.out[0]), (0, g.mid[2]))


def splits(g: Geometry, chip: Chip) -> Iterator[tuple[str, int]]:
    """Yield the ways to share a stage out and on how many cores: one, all, half of them, and so on."""
    yield NO_SPLIT, 1
    if chip.cores == 1 or g.held.anything:
        return
    for kind in SPLITS[1:]:
        extent, grain = _extent(g, kind)
        halvings = (chip.cores >> k for k in range(chip.cores.bit_length() - 1))
        counts = dict.fromkeys(-(-extent // _piece(extent, grain, most)) for most in halvings)
        yield from ((kind, count) for count in counts if count > 1)


def _extent(g: Geometry, kind: str) -> tuple[int, int]:
    """Return how much there is to share out, and the least that a core takes; 1 and 1 if it cannot be shared out."""
    if kind == "rows":
        return g.out[0], 1
    if kind == "batch":
        return g.batch, 1
    if g.whole_channels:
        return 1, 1
    return (g.groups, 1) if g.grouped else (g.mid[2], BLOCK)


def _piece(extent: int, grain: int, count: int) -> int:
    return round_up(-(-extent // count), grain)


def shares(g: Geometry, t: Tiling) -> list[Share]:
    """Return what each core makes under a tiling, in the order of the cores."""
    all_of_it = whole(g)
    if t.shares == 1:
        return [all_of_it]
    extent, grain = _extent(g, t.split)
    piece = _piece(extent, grain, t.shares)
    ranges = [(k, min(k + piece, extent)) for k in range(0, extent, piece)]
    if t.split == "rows":
        return [replace(all_of_it, rows=r) for r in ranges]
    if t.split == "batch":
        return [replace(all_of_it, images=r) for r in ranges]
    unit = g.group_out if g.grouped else 1
    return [replace(all_of_it, channels=(first * unit, end * unit)) for first, end in ranges]


def shared(g: Geometry, kind: str, count: int) -> Geometry:
    """Return the geometry of the largest share; `sharers` cores do as much at the same time."""
    if count == 1:
        return g
    piece = _piece(*_extent(g, kind), count)
    if kind == "batch":
        return replace(g, batch=piece, sharers=count)
    if kind == "rows":
        mid = mid_size(g, piece, g.out[1])[0]
        return replace(g, out=(piece, *g.out[1:]), mid=(mid, *g.mid[1:]), sharers=count)
    return replace(_with_channels(g, piece), sharers=count)


def _with_channels(g: Geometry, count: int) -> Geometry:
    """Return the geometry of `count` channels of a stage, or groups of channels if it is grouped."""
    channels = count * g.group_out if g.grouped else count
    made = replace(g, mid=(*g.mid[:2], channels), out=(*g.out[:2], channels), pixel_channels=g.out[2])
    if g.grouped:
        return replace(made, groups=count)
    return made if g.depthwise else replace(made, group_out=channels)


def blocks_of(g: Geometry, channels: int, share: Share) -> list[Block]:
    """Return the blocks of output channels of a share under a cut of `channels`."""
    first, end = share.channels
    if (first, end) == (0, g.mid[2]):
        return channel_blocks(g, channels)
    unit = g.group_out if g.grouped else 1
    source = first // unit * g.group_in if g.grouped else first * g.own_channels
    found = channel_blocks(_with_channels(g, (end - first) // unit), channels)
    return [replace(block, first=block.first + first, source=block.source + source) for block in found]
