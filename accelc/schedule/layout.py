"""Where things lie while a schedule runs, as far as time depends on it: slots, maps on chip, DRAM addresses.

It follows the rules by which lowering hands out places (`accelc.lower.emitter`), but places nothing: what it gives are
the cells and addresses by which entries of Work wait for each other, meet in banks and cover bursts.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from accelc.chip import Chip, Timing
from accelc.isa import Space
from accelc.schedule.cascade import move_cycles, moves_of
from accelc.schedule.frames import NO_HALO
from accelc.schedule.geometry import BLOCK, Geometry
from accelc.schedule.options import Tables
from accelc.schedule.search import StagePlan, table_bytes
from accelc.schedule.split import blocks_of, shares
from accelc.schedule.stripes import Part
from accelc.schedule.tiling import Block, Footprint, Tiling, footprint, kernel_cuts
from accelc.schedule.transfer import Transfer, transfer
from accelc.schedule.views import View, round_up
from accelc.schedule.work import LOAD, VECTOR, Cell, Range, Work

if TYPE_CHECKING:
    from accelc.schedule import Schedule

ALIGN = 64  # bytes, of what is handed out on chip and of constants

Span = tuple[int, int]


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


class Rows:
    """Who wrote which rows of a map, oldest first."""

    def __init__(self) -> None:
        self._written: list[tuple[int, int, int]] = []

    def add(self, rows: Span, entry: int) -> None:
        """Note that an entry wrote a range of rows."""
        self._written.append((*rows, entry))

    def last(self, rows: Span) -> int:
        """Return the newest entry that wrote one of the rows; of rows not written out, the one that stands for them."""
        for top, bottom, entry in reversed(self._written):
            if top < rows[1] and rows[0] < bottom:
                return entry
        above = [entry for top, _, entry in self._written if top < rows[1]]
        return above[-1] if above else -1


class Slots:
    """Equal cells that hold the last few things loaded, each under a key."""

    def __init__(self, cells: Sequence[Cell]) -> None:
        self._cells = list(cells)
        self._keys: list[Hashable] = [object() for _ in cells]

    def find(self, key: Hashable) -> Cell | None:
        """Return the cell that holds `key`, if one does; it counts as used last."""
        if key not in self._keys:
            return None
        place = self._keys.index(key)
        self._keys.append(self._keys.pop(place))
        self._cells.append(self._cells.pop(place))
        return self._cells[-1]

    def claim(self, key: Hashable) -> Cell:
        """Return the cell that was used longest ago, now `key`'s."""
        self._cells.append(self._cells.pop(0))
        self._keys = [*self._keys[1:], key]
        return self._cells[-1]


class Ring:
    """A buffer handed out stage by stage (as lowering does), and the cells that lie in it."""

    def __init__(self, work: Work, size: int) -> None:
        self.work, self.size, self.at = work, size, 0
        self._cells: list[Cell] = []

    def make_room(self, amount: int, floor: int) -> None:
        """Begin anew unless `amount` units are left before `floor`."""
        if self.at + amount > floor:
            self.at = 0

    def take(self, amount: int, floor: int) -> int:
        """Return the start of `amount` units before `floor`."""
        self.make_room(amount, floor)
        start = self.at
        self.at += amount
        return start

    def cells(self, space: Space, start: int, count: int, size: int) -> list[Cell]:
        """Return `count` new cells of `size` units; each waits for what used its range before."""
        spans = [(start + k * size, start + (k + 1) * size) for k in range(count)]
        made = [Cell(space, low, high, self._users(low, high)) for low, high in spans]
        self._cells = [old for old in self._cells if not (start <= old.low and old.high <= start + count * size)]
        self._cells += made
        return made

    def _users(self, low: int, high: int) -> list[int]:
        met = [old for old in self._cells if old.low < high and low < old.high]
        return self.work.newest(k for old in met for k in (*old.users(), *old.before))


@dataclass(frozen=True)
class Map:
    """A map that stages read or write: its view, who wrote its rows, and its cell if it stays on chip.

    A constant has no view. `address` is that of the region it lies in. A stripe counts rows from `row` on; of a band on
    chip, row `first` comes first.
    """

    view: View | None
    rows: Rows
    cell: Cell | None = None
    address: int = 0
    row: int = 0
    first: int = 0

    def span(self, image: int, rows: Span) -> Span:
        """Return rows of an image as rows of all images."""
        height = self.view.extents[1] if self.view is not None else 0
        return image * height + self.row + rows[0], image * height + self.row + rows[1]

    @property
    def start(self) -> int:
        """Return the DRAM address of the first element, 0 for a constant."""
        return 0 if self.view is None else self.address + self.view.offset

    def lines(self, offset: int, span: int) -> Span:
        """Return the rows, of all images, in which bytes from an offset on lie."""
        if self.view is None:
            return 0, 1
        (sn, sh, _), (n, height, _, _) = self.view.strides, self.view.extents
        first, last = (
            min(at // max(sn, 1), n - 1) * height + min(at % max(sn, 1) // max(sh, 1), height - 1)
            for at in (offset, offset + max(span, 1) - 1)
        )
        return first, last + 1

    def part(self, image: int, rows: Span) -> list[Range]:
        """Return the range of the activation buffer that rows of an image take, none if the map is in DRAM."""
        if self.cell is None or self.view is None:
            return []
        sn, sh, _ = self.view.strides
        low = self.cell.low + self.view.offset + image * sn + (self.row - self.first + rows[0]) * sh
        return [(Space.ACT, max(low, self.cell.low), min(low + (rows[1] - rows[0]) * sh, self.cell.high))]

    def adjoins(self, rows: int, cols: int) -> bool:
        """Return whether so many rows and columns are one run of bytes on chip."""
        if self.view is None or self.cell is None:
            return True
        return rows == 1 or self.view.strides[1] == cols * self.view.strides[2] or self.view.extents[1:3] == (1, 1)

    def transfer(self, c: Timing, tile: tuple[int, Span, Span], channel: int, pixel: int) -> Transfer:
        """Return the transfer of the rows and columns of an image, `pixel` bytes of each pixel from a channel on."""
        (image, rows, cols), view = tile, self.view
        high, wide = rows[1] - rows[0], cols[1] - cols[0]
        if view is None or not high * wide:
            return transfer(c, min(1, high * wide), high * wide * pixel)
        sn, sh, sw = view.strides
        start = self.address + view.offset + channel * view.element_bytes
        start += image * sn + (self.row + rows[0]) * sh + cols[0] * sw
        if pixel < sw and high * wide > 1:
            return transfer(c, high * wide, pixel, sw, start=start)
        if high > 1 and wide * pixel < sh:
            return transfer(c, high, wide * pixel, sh, start=start)
        return transfer(c, 1, high * wide * pixel, start=start)


class Constants:
    """Where the constants of a program will lie: the weight tiles of each stage in the order of their first use."""

    def __init__(self, plan: Schedule) -> None:
        self.bytes = 0
        self._offsets: dict[Hashable, dict[Hashable, int]] = {}
        for entry in plan.plans:
            g, t, weights = entry.geometry, entry.tiling, _weights(entry)
            if g is None or t is None or weights in self._offsets:
                continue
            offsets = self._offsets[weights] = {}
            self.bytes += round_up(Tables(*table_bytes(plan.graph, entry.stage)).room(t.channels), ALIGN)
            every = [block for share in shares(g, t) for block in blocks_of(g, t.channels, share)]
            blocks = {block.first: block for block in every}.values() if g.has_head else ()
            for piece in (p for block in blocks for p in pieces_of(g, t, block)):
                offsets[piece.key] = self.bytes
                self.bytes += round_up(piece.weight_bytes(g) + piece.param_bytes(g, plan.chip), ALIGN)

    def address(self, entry: StagePlan, key: Hashable) -> int:
        """Return the address of a weight tile of a stage."""
        return self._offsets[_weights(entry)][key]


def _weights(entry: StagePlan) -> Hashable:
    """Return what stages with the same weight tiles have in common: the weights and how they are cut."""
    t, head = entry.tiling, entry.stage.head
    cut = None if t is None else (t.channels, t.depth, t.kernel_rows)
    return (entry.stage.output,) if head is None else (head.inputs[1], cut)


class Machine:
    """What stages share: the buffers, the maps on chip and in DRAM, pinned weights."""

    def __init__(self, plan: Schedule) -> None:
        self.plan, self.work, self.constants = plan, Work(plan.chip), Constants(plan)
        self._rings = [self._made() for _ in range(plan.chip.cores)]
        self._active: set[int] = set()  # cores that have worked since they last met
        self.pinned: dict[tuple[int, int, int], dict[Hashable, Cell]] = {}
        self._rows: dict[str, Rows] = {}
        self._held: dict[str, Cell] = {}
        self._filled: set[Hashable] = set()

    def _made(self) -> tuple[Ring, Ring, Ring]:
        """Return a core's buffers: act, wgt (the same one if they are unified) and acc."""
        c = self.plan.chip.timing
        act = Ring(self.work, c.act_bytes)
        return act, act if c.unified else Ring(self.work, c.wgt_bytes), Ring(self.work, c.acc_bytes // 4)

    @property
    def act(self) -> Ring:
        """Return the activation buffer of the core that is written out."""
        return self._rings[self.work.core][0]

    @property
    def wgt(self) -> Ring:
        """Return its weight buffer."""
        return self._rings[self.work.core][1]

    @property
    def acc(self) -> Ring:
        """Return its accumulator buffer."""
        return self._rings[self.work.core][2]

    def begin_stage(self, cores: int) -> None:
        """Let the cores meet if a stage that so many share follows work of others than the first alone."""
        together = self._active | set(range(cores))
        if self._active and len(together) > 1:
            self.work.meet()
            together = set(range(cores))
        self._active = together

    def room(self, index: int) -> tuple[Footprint, int, int]:
        """Return what a stage takes on chip, and the bytes it claims of the activation and the weight buffer."""
        entry = self.plan.plans[index]
        assert entry.geometry is not None
        assert entry.tiling is not None
        tables = Tables(*table_bytes(self.plan.graph, entry.stage)).room(entry.tiling.channels)
        f = footprint(entry.geometry, entry.tiling, tables)
        return f, round_up(f.act_bytes(entry.geometry), ALIGN), round_up(f.wgt_bytes, ALIGN)

    def floors(self, *stages: int) -> tuple[int, int]:
        """Return the bytes from the start of the activation and the weight buffer that stages may claim."""
        pins, c = self.plan.pins.floors, self.plan.chip.timing
        act = min(self.plan.residency.floors[k] for k in stages)
        return act, min(pins.get(k, c.wgt_bytes) for k in stages)

    def claim(self, act: int, wgt: int, floors: tuple[int, int]) -> tuple[int, int]:
        """Return the starts of bytes of the activation and of the weight buffer; in one buffer they adjoin."""
        if self.act is self.wgt:
            at = self.act.take(act + wgt, floors[0])
            return at, at + act
        return self.act.take(act, floors[0]), self.wgt.take(wgt, floors[1])

    def make_room(self, *stages: int) -> None:
        """Let the parts of stages that run abreast lie side by side."""
        rooms, (floor, wgt_floor) = [self.room(k) for k in stages], self.floors(*stages)
        act, wgt = sum(room[1] for room in rooms), sum(room[2] for room in rooms)
        if self.act is self.wgt:
            self.act.make_room(act + wgt, floor)
        else:
            self.act.make_room(act, floor)
            self.wgt.make_room(wgt, wgt_floor)

    def map_of(self, name: str, part: Part | None = None, row: int = 0) -> Map:
        """Return the map that a tensor is or lies in, as a stripe sees it that counts its rows from `row` on."""
        view, kept = self.plan.views.get(name), self.plan.residency
        if view is None:
            return Map(None, Rows())
        rows = self._rows.setdefault(view.region, Rows())
        if not kept.held(view.region):
            base = round_up(self.constants.bytes, ALIGN)
            return Map(view, rows, address=base + self.plan.placement.offsets[view.region], row=row)
        frame = kept.frames[view.region]
        if view.region not in self._held:
            self._held[view.region] = self.act.cells(Space.ACT, kept.places[view.region], 1, frame.bytes)[0]
        band = None if part is None else part.bands.get(view.region)
        first = 0 if band is None else band.first
        return Map(frame.view(view), rows, self._held[view.region], row=row, first=first)

    def fill_halo(self, name: str, part: Part | None) -> None:
        """Write the padding around a map on chip, if it has some and no map in its place had."""
        made, kept = self.map_of(name), self.plan.residency
        if made.cell is None or made.view is None or (part is not None and made.view.region in part.bands):
            return
        frame, turn = kept.frames[made.view.region], kept.turns[made.view.region]
        if frame.halo != NO_HALO and turn not in self._filled:
            self._filled.add(turn)
            self._fill(made.cell, 3 * frame.owner.extents[0])

    def prepare_band(self, name: str, part: Part) -> None:
        """Make the band of a map ready for a stripe: rows that stay move up, padding is written (see `lower.band`)."""
        made, view = self.map_of(name, part), self.plan.views[name]
        band = part.bands.get(view.region)
        if band is None or made.cell is None or (view.region, part.stripe) in self._filled:
            return
        self._filled.add((view.region, part.stripe))
        frame, c = self.plan.residency.frames[view.region], self.plan.chip.timing
        cycles = sum(sum(move_cycles(c, frame, rows)) for rows in moves_of(band))
        if cycles:
            where = [(Space.ACT, made.cell.low, made.cell.high)]
            moved = self.work.compute(VECTOR, cycles, [], [], made.cell.users(), where)
            made.cell.written = moved
            made.rows.add((band.first, band.made), moved)
        columns = frame.halo[1] + frame.halo[3] > 0 and band.before is None
        above, below = band.before is None and band.first < 0, band.end > max(view.extents[1], band.made)
        self._fill(made.cell, 3 * columns + above + below)

    def _fill(self, cell: Cell, times: int) -> None:
        """Write padding by loads that move nothing."""
        for _ in range(times):
            self.work.move(LOAD, transfer(self.plan.chip.timing, 0, 0), cell)
