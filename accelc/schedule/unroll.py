"""A schedule written out tile by tile as Work, in the order and with the slots that lowering gives it.

Of a stage with many tiles only some are written out: the first and last bands of rows and blocks of channels, and a few
between them that stand for the rest.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import product
from typing import TYPE_CHECKING

from accelc.chip import Timing
from accelc.isa import Space
from accelc.schedule.abreast import follows
from accelc.schedule.cost import piece_cycles, requantize_cycles, source_pixel, tile_vector_cycles
from accelc.schedule.frames import NO_HALO, other_names
from accelc.schedule.geometry import BLOCK
from accelc.schedule.options import Tables
from accelc.schedule.search import table_bytes
from accelc.schedule.tiling import Block, Footprint, channel_blocks, footprint, kernel_cuts
from accelc.schedule.transfer import Transfer, transfer
from accelc.schedule.views import View, round_up
from accelc.schedule.work import LOAD, MAC, STORE, VECTOR, Cell, Range, Work

if TYPE_CHECKING:
    from accelc.schedule import Schedule

ALIGN = 64
ENDS, BETWEEN = 2, 3  # of many bands or blocks, how many are written out at each end and between
FEW = 48  # all of so many are written out

Span = tuple[int, int]


@dataclass(frozen=True)
class Tile:
    """A range of a stage's output, and how many like it there are."""

    image: int
    rows: Span
    cols: Span
    weight: float


def sampled(count: int) -> list[tuple[int, float]]:
    """Return the numbers of those of `count` that are written out, and how many each stands for."""
    if count <= FEW:
        return [(k, 1.0) for k in range(count)]
    middle = count // 2
    rest = [(middle + k, (count - 2 * ENDS) / BETWEEN) for k in range(BETWEEN)]
    return [*((k, 1.0) for k in range(ENDS)), *rest, *((k, 1.0) for k in range(count - ENDS, count))]


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

    A constant has no view.
    """

    view: View | None
    rows: Rows
    cell: Cell | None = None

    def span(self, image: int, rows: Span) -> Span:
        """Return rows of an image as rows of all images."""
        height = self.view.extents[1] if self.view is not None else 0
        return image * height + rows[0], image * height + rows[1]

    def part(self, image: int, rows: Span) -> list[Range]:
        """Return the range of the activation buffer that rows of an image take, none if the map is in DRAM."""
        if self.cell is None or self.view is None:
            return []
        sn, sh, _ = self.view.strides
        low = self.cell.low + self.view.offset + image * sn + rows[0] * sh
        return [(Space.ACT, max(low, self.cell.low), min(low + (rows[1] - rows[0]) * sh, self.cell.high))]

    def transfer(self, c: Timing, tile: tuple[int, Span, Span], channel: int, pixel: int) -> Transfer:
        """Return the transfer of the rows and columns of an image, `pixel` bytes of each pixel from a channel on."""
        (image, rows, cols), view = tile, self.view
        high, wide = rows[1] - rows[0], cols[1] - cols[0]
        if view is None or not high * wide:
            return transfer(c, min(1, high * wide), high * wide * pixel)
        sn, sh, sw = view.strides
        start = view.offset + image * sn + rows[0] * sh + cols[0] * sw + channel * view.element_bytes
        if pixel < sw and high * wide > 1:
            return transfer(c, high * wide, pixel, sw, start=start)
        if high > 1 and wide * pixel < sh:
            return transfer(c, high, wide * pixel, sh, start=start)
        return transfer(c, 1, high * wide * pixel, start=start)


class Machine:
    """What stages share: the buffers, the maps on chip and in DRAM, pinned weights."""

    def __init__(self, plan: Schedule) -> None:
        c = plan.chip.timing
        self.plan, self.work = plan, Work(plan.chip)
        self.act = Ring(self.work, c.act_bytes)
        self.wgt = self.act if c.unified else Ring(self.work, c.wgt_bytes)
        self.acc = Ring(self.work, c.acc_bytes // 4)
        self.pinned: dict[tuple[int, int, int], dict[Hashable, Cell]] = {}
        self._rows: dict[str, Rows] = {}
        self._held: dict[str, Cell] = {}
        self._filled: set[str] = set()

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

    def make_room(self, *stages: int) -> None:
        """Let the parts of stages that run abreast lie side by side."""
        rooms, (floor, wgt_floor) = [self.room(k) for k in stages], self.floors(*stages)
        act, wgt = sum(room[1] for room in rooms), sum(room[2] for room in rooms)
        if self.act is self.wgt:
            self.act.make_room(act + wgt, floor)
        else:
            self.act.make_room(act, floor)
            self.wgt.make_room(wgt, wgt_floor)

    def map_of(self, name: str) -> Map:
        """Return the map that a tensor is or lies in."""
        view, kept = self.plan.views.get(name), self.plan.residency
        if view is None:
            return Map(None, Rows())
        rows = self._rows.setdefault(view.region, Rows())
        if not kept.held(view.region):
            return Map(view, rows)
        frame = kept.frames[view.region]
        if view.region not in self._held:
            self._held[view.region] = self.act.cells(Space.ACT, kept.places[view.region], 1, frame.bytes)[0]
        return Map(frame.view(view), rows, self._held[view.region])

    def fill_halo(self, name: str) -> None:
        """Write the padding around a map on chip, if it has some and no map in its place had."""
        made, kept = self.map_of(name), self.plan.residency
        if made.cell is None or made.view is None:
            return
        frame, turn = kept.frames[made.view.region], kept.turns[made.view.region]
        if frame.halo != NO_HALO and turn not in self._filled:
            self._filled.add(turn)
            for _ in range(3 * frame.owner.extents[0]):
                self.work.move(LOAD, transfer(self.plan.chip.timing, 0, 0), made.cell)


@dataclass
class _Use:
    """What an entry uses: cells it reads, other entries it waits for, maps on chip and the parts of them it touches."""

    reads: list[Cell] = field(default_factory=list)
    needs: list[int] = field(default_factory=list)
    held: list[Cell] = field(default_factory=list)
    parts: list[Range] = field(default_factory=list)

    def record(self, work: Work, engine: int, cycles: int, reads: Sequence[Cell], writes: Sequence[Cell]) -> int:
        """Record the entry and return its number."""
        entry = work.compute(engine, cycles, reads, writes, self.needs, self.parts)
        for cell in self.held:
            cell.reads[engine] = entry
        return entry


class StageWork:
    """Writes out one stage; a tile at a time, so that two stages may take turns."""

    def __init__(self, machine: Machine, plan: Schedule, index: int, *together: int) -> None:
        entry = plan.plans[index]
        assert entry.geometry is not None
        assert entry.tiling is not None
        self.m, self.work, self.plan, self.index = machine, machine.work, plan, index
        self.stage, self.g, self.t = entry.stage, entry.geometry, entry.tiling
        self.chip, self.c = plan.chip, plan.chip.timing
        self._claim(machine.floors(index, *together))
        self.source = machine.map_of(self.stage.source)
        self.others = [machine.map_of(name) for name in other_names(self.stage)]
        self.out = machine.map_of(self.stage.output)
        self._param_bytes = 12 if self.chip.requantization == "fixed" or self.g.element_bytes == 2 else 8
        self._piece: dict[Hashable, int] = {}
        self._vector: dict[tuple[Span, Span, int], Span] = {}

    def _claim(self, floors: tuple[int, int]) -> None:
        """Lay out the stage's slots in its part of the buffers."""
        g, m, count = self.g, self.m, self.t.slots
        f, act, wgt = m.room(self.index)
        if self.c.unified:
            at = m.act.take(act + wgt, floors[0])
            wgt_at = at + act
        else:
            at, wgt_at = m.act.take(act, floors[0]), m.wgt.take(wgt, floors[1])
        sizes = [(f.source, count), (f.mid, 1), *((f.other, count * (not g.held.other(k))) for k in range(g.others))]
        groups = []
        for size, many in (*sizes, (f.out, count)):
            groups.append(m.act.cells(Space.ACT, at, many, size))
            at += many * size
        self.source_slots, self.mid, self.out_slots = Slots(groups[0]), groups[1], Slots(groups[-1])
        self.other_slots = [Slots(cells) for cells in groups[2:-1]]
        self.weight_slots = Slots(m.wgt.cells(Space.WGT, wgt_at, count, f.weights))
        self.table_cells = m.wgt.cells(Space.WGT, wgt_at + count * f.weights, 1, f.tables) if f.tables else []
        acc_at = m.acc.take(count * f.acc_words, m.acc.size)
        self.acc_slots = Slots(m.acc.cells(Space.ACC, acc_at, count, f.acc_words))

    def begin(self) -> None:
        """Write out what comes before the first tile."""
        self.m.fill_halo(self.stage.output)
        for cell in self.table_cells:
            self.work.move(LOAD, transfer(self.c, 1, cell.high - cell.low), cell)

    def order(self) -> list[tuple[Block, float, Tile]]:
        """Return the tiles that are written out, and how many of the stage's blocks each one's block stands for."""
        all_blocks = channel_blocks(self.g, self.t.channels)
        blocks = [(all_blocks[k], weight) for k, weight in sampled(len(all_blocks))]
        tiles = list(self._tiles())
        if self.t.weights_outer:
            return [(block, weight, tile) for block, weight in blocks for tile in tiles]
        return [(block, weight, tile) for tile in tiles for block, weight in blocks]

    def _tiles(self) -> Iterator[Tile]:
        height, width, _ = self.g.out
        rows, cols = -(-height // self.t.rows), -(-width // self.t.cols)
        for (n, every), (y, down), (x, across) in product(sampled(self.g.batch), sampled(rows), sampled(cols)):
            top, left = y * self.t.rows, x * self.t.cols
            ends = min(top + self.t.rows, height), min(left + self.t.cols, width)
            yield Tile(n, (top, ends[0]), (left, ends[1]), every * down * across)

    def rows_read(self, tile: Tile) -> int:
        """Return how many rows of the source, from the first, a tile and those before it read."""
        return self._source_need(self._mid_need(tile))[0][1]

    def write(self, block: Block, weight: float, tile: Tile) -> None:
        """Write out one tile of one block of channels."""
        self.work.now = (self.index, weight * tile.weight)
        mid, use = self._mid_need(tile), _Use()
        if self.g.has_head:
            self._head(block, tile, mid, use)
        else:
            self._source(tile, mid, (block.first, block.count), use)
        for k, other in enumerate(self.others):
            one = other.view is not None and other.view.extents[1:3] == (1, 1)
            place = ((0, 1), (0, 1)) if one else mid
            self._read(other, self.other_slots[k], (tile.image, *place), (block.first, block.count), use)
        self._finish(block, tile, mid, use)

    def _finish(self, block: Block, tile: Tile, mid: tuple[Span, Span], use: _Use) -> None:
        """Write out the vector steps of a tile and its store; on chip, the last step writes the map itself."""
        sizes, steps = (_size(*mid), _size(tile.rows, tile.cols), block.count), len(self.stage.steps)
        held = self.out.cell
        last = _Use(held=use.held, needs=use.needs, parts=use.parts)
        if held is not None:
            last.needs += held.users()
            last.parts += self.out.part(tile.image, tile.rows)
        made = [] if held is not None and not (steps and self.g.private_out) else [self._result(tile, block.count)]
        first, rest = self._cycles_of_steps(sizes)
        if self.g.has_head and steps:
            into = self.mid if self.g.pool is not None else made
            _Use().record(self.work, VECTOR, first, use.reads[:2], into)
            done = last.record(self.work, VECTOR, rest, [*into, *use.reads[2:], *self.table_cells], made)
        else:
            done = last.record(self.work, VECTOR, first + rest, [*use.reads, *self.table_cells], made)
        if held is not None:
            held.written = done
        else:
            done = self._store(block, tile, made[0])
        self.out.rows.add(self.out.span(tile.image, tile.rows), done)

    def _result(self, tile: Tile, channels: int) -> Cell:
        """Return the cell in which a tile of the result is made."""
        cell, size = self.out_slots.claim(object()), _size(tile.rows, tile.cols)
        each = 4 * channels if self.g.raw_output else self.g.pitch(channels)
        cell.fill(min(size[0] * size[1] * each, cell.high - cell.low))
        return cell

    def _cycles_of_steps(self, sizes: tuple[Span, Span, int]) -> Span:
        """Return the vector unit's cycles for taking a tile's sums, and for the steps that follow."""
        if sizes not in self._vector:
            mid, _, channels = sizes
            whole = tile_vector_cycles(self.g, self.c, *sizes)
            first = requantize_cycles(self.c, mid[0] * mid[1], channels) if self.g.has_head else 0
            self._vector[sizes] = first, whole - first
        return self._vector[sizes]

    def _store(self, block: Block, tile: Tile, cell: Cell) -> int:
        view = self.out.view
        assert view is not None
        whole = block.count == view.extents[3] and view.contiguous
        pixel = view.pitch if whole else block.count * view.element_bytes
        area = (tile.image, tile.rows, tile.cols)
        return self.work.move(STORE, self.out.transfer(self.c, area, block.first, pixel), cell)

    def _head(self, block: Block, tile: Tile, mid: tuple[Span, Span], use: _Use) -> None:
        """Write out the loads and the array's work of a tile; `use` is then what the vector steps read."""
        g, acc, weights = self.g, self.acc_slots.claim(object()), None
        need, size = self._source_need(mid), _size(*mid)
        acc.fill(min(math.prod(size) * round_up(block.count, BLOCK) * g.element_bytes, acc.high - acc.low))
        step = self.t.depth if block.groups == 1 and not g.depthwise else block.depth
        for first in range(0, block.depth, step):
            depth = min(step, block.depth - first)
            for top, bottom in kernel_cuts(g, self.t):
                last = first + depth >= block.depth and bottom == g.conv[0].kernel
                weights = self._weights(block, (first, top), self._weight_bytes(block, depth, bottom - top), last)
                piece = _Use([weights])
                channel = block.first if g.depthwise else block.source + first
                self._source(tile, need, (channel, depth), piece)
                piece.record(self.work, MAC, self._cycles(size, block, depth, bottom - top), piece.reads, [acc])
        assert weights is not None
        use.reads += [acc, weights]

    def _cycles(self, size: Span, block: Block, depth: int, height: int) -> int:
        key = (size, block.count, block.groups, depth, height)
        if key not in self._piece:
            self._piece[key] = piece_cycles(self.g, self.t, self.chip, size, block, depth, height)
        return self._piece[key]

    def _weight_bytes(self, block: Block, depth: int, height: int) -> int:
        g = self.g
        if g.depthwise:
            return round_up(g.taps * block.count * g.element_bytes, 4 * g.element_bytes)
        n = round_up(block.count // block.groups, BLOCK) * block.groups
        return g.parts * height * g.conv[1].kernel * n * g.pitch(depth // block.groups)

    def _weights(self, block: Block, piece: Span, size: int, last: bool) -> Cell:
        """Return the cell of a weight tile, loaded unless it is there; the last one of a block ends with parameters."""
        key, area = (block.first, *piece), self.plan.pins.places.get(self.index)
        pinned = None if area is None else self.m.pinned.setdefault(area, {})
        found = self.weight_slots.find(key) if pinned is None else pinned.get(key)
        if found is not None:
            return found
        if pinned is None or area is None:
            found = self.weight_slots.claim(key)
        else:
            found = pinned[key] = Cell(Space.WGT, area[1], area[1] + area[2])
        params = self._param_bytes * block.count * last
        found.fill(size + params, size)
        self.work.move(LOAD, transfer(self.c, 1, size + params), found)
        return found

    def _source(self, tile: Tile, need: tuple[Span, Span], channels: Span, use: _Use) -> None:
        """Add a tile of the source to what is used; `channels` are the first that is read and their number."""
        if self.g.flattened and self.source.view is not None:
            need = (0, self.source.view.extents[1]), need[1]
        self._read(self.source, self.source_slots, (tile.image, *need), channels, use)

    def _read(self, what: Map, slots: Slots, area: tuple[int, Span, Span], channels: Span, use: _Use) -> None:
        """Add a tile of a map to what is used: the map if it is on chip, else a slot, loaded unless it holds it."""
        (image, rows, cols), (first, count) = area, channels
        made = what.rows.last(what.span(image, rows))
        if what.cell is not None:
            use.needs.append(made)
            use.parts += what.part(image, rows)
            use.held.append(what.cell)
            return
        found = slots.find((area, channels))
        if found is None:
            found = slots.claim((area, channels))
            flat = self.g.flattened and what is self.source
            pixel = source_pixel(self.g, count) if what is self.source else count * self.g.element_bytes
            moved = what.transfer(self.c, (image, (0, 1), (0, 1)) if flat else (image, rows, cols), first, pixel)
            found.fill(min(pixel * (1 if flat else math.prod(_size(rows, cols))), found.high - found.low))
            self.work.move(LOAD, moved, found, [made])
        use.reads.append(found)

    def _mid_need(self, tile: Tile) -> tuple[Span, Span]:
        """Return the rows and columns of the head's output (of the source, without one) that a tile reads."""
        pool, mid = self.g.pool, self.g.mid
        if pool is None:
            return tile.rows, tile.cols
        rows, cols = pool[0].needs(*tile.rows, mid[0]), pool[1].needs(*tile.cols, mid[1])
        return rows[:2], cols[:2]

    def _source_need(self, mid: tuple[Span, Span]) -> tuple[Span, Span]:
        """Return the rows and columns of the source that so much of the head's output reads."""
        if not self.g.has_head:
            return mid
        (y, x), source = self.g.conv, self.g.source
        return y.needs(*mid[0], source[0])[:2], x.needs(*mid[1], source[1])[:2]


def _size(rows: Span, cols: Span) -> Span:
    return rows[1] - rows[0], cols[1] - cols[0]


def unroll(plan: Schedule) -> Work:
    """Return the work of a schedule, the stages in order, those abreast tile by tile in turn."""
    machine, index = Machine(plan), 0
    while index < len(plan.plans):
        machine.work.now = (index, 1.0)
        if index in plan.pairs:
            _abreast(machine, plan, index)
        elif plan.plans[index].tiling is not None:
            stage = StageWork(machine, plan, index)
            stage.begin()
            for block, weight, tile in stage.order():
                stage.write(block, weight, tile)
        elif plan.plans[index].stage.kind == "copy":
            _copy(machine, plan, index)
        index += 1 + (index in plan.pairs)
    return machine.work


def _abreast(machine: Machine, plan: Schedule, index: int) -> None:
    """Write out two stages whose tiles take turns, as `lower.pair` emits them."""
    first, second = plan.plans[index : index + 2]
    machine.make_room(index, index + 1)
    a, b = StageWork(machine, plan, index, index + 1), StageWork(machine, plan, index + 1, index)
    a.begin()
    b.begin()
    ahead, order, made = a.order(), b.order(), 0
    for number, (block, weight, tile) in enumerate(order):
        rows, share = b.rows_read(tile), -(-len(ahead) * (number + 1) // len(order))
        while made < len(ahead) and (ahead[made][2].rows[0] < rows if follows(first, second) else made < share):
            a.write(*ahead[made])
            made += 1
        b.write(block, weight, tile)
    for rest in ahead[made:]:
        a.write(*rest)


def _copy(machine: Machine, plan: Schedule, index: int) -> None:
    """Write out a layer that moves bytes as one load of its inputs and one store of its result."""
    stage, c = plan.plans[index].stage, plan.chip.timing
    cell = Cell(Space.ACT, 0, 0)
    for name in {n for n in stage.layers[0].inputs if n in plan.views}:
        source = machine.map_of(name)
        assert source.view is not None
        last = source.rows.last((0, 1 << 62))
        machine.work.move(LOAD, transfer(c, 1, source.view.bytes), cell, [last])
    made = machine.map_of(stage.output)
    assert made.view is not None
    done = machine.work.move(STORE, transfer(c, 1, made.view.bytes), cell)
    made.rows.add((0, made.view.extents[0] * made.view.extents[1]), done)
