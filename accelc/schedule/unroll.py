"""A schedule written out tile by tile as Work, in the order and with the slots that lowering gives it.

Of a stage with many tiles only some are written out: the first and last bands of rows and blocks of channels, and a few
between them that stand for the rest.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field, replace
from itertools import product
from typing import TYPE_CHECKING

from accelc.graph import ELEMENTWISE, TABLE_OPS, Layer
from accelc.isa import Space
from accelc.schedule.abreast import follows
from accelc.schedule.alone import host_cycles, stream_cycles
from accelc.schedule.beside import Beside, host_of
from accelc.schedule.copies import copies_of
from accelc.schedule.cost import piece_cycles, source_pixel
from accelc.schedule.frames import other_names
from accelc.schedule.geometry import BLOCK
from accelc.schedule.layout import ALIGN, Machine, Map, Piece, Slots, Span, pieces_of
from accelc.schedule.moves import LINE, TABLE, Move, moves, room_of
from accelc.schedule.split import Share, blocks_of, shares, whole
from accelc.schedule.stages import CHANNEL_OPS, GLOBAL_OPS, WINDOW_OPS
from accelc.schedule.stripes import Part
from accelc.schedule.tiling import Block
from accelc.schedule.transfer import transfer
from accelc.schedule.vector import line_cycles, vector_cycles
from accelc.schedule.views import round_up
from accelc.schedule.work import LOAD, MAC, STORE, VECTOR, Cell, Range, Work

if TYPE_CHECKING:
    from accelc.schedule import Schedule

WHOLE = Part(0, 0, 0)
POOLS = (*WINDOW_OPS, *GLOBAL_OPS)
MANY = 256  # pieces of work of a stage; all of fewer are written out
LEAST = 10  # bands, columns or blocks that are written out of more
PARTS = 32  # loads or stores of one box of a copy that are written out


@dataclass(frozen=True)
class Tile:
    """A range of a stage's output, and how many like it there are."""

    image: int
    rows: Span
    cols: Span
    weight: float
    images: int = 1

    def each(self) -> list[Tile]:
        """Return the tiles of its images, one by one."""
        if self.images == 1:
            return [self]
        return [replace(self, image=self.image + k, images=1) for k in range(self.images)]


def sampled(count: int, kept: int) -> list[tuple[int, float]]:
    """Return which of `count` turns are written out, those at both ends and in the middle, and how many each counts."""
    if kept >= count:
        return [(k, 1.0) for k in range(count)]
    between = max(1, kept // 3)
    before = (kept - between) // 2
    after, weight = kept - between - before, (count - kept + between) / between
    first = before + (count - kept) // 2
    rest = [(first + k, weight) for k in range(between)]
    return [*((k, 1.0) for k in range(before)), *rest, *((k, 1.0) for k in range(count - after, count))]


def _kept(counts: Sequence[int], pieces: int) -> list[int]:
    """Return how many of each loop's turns are written out, the outermost first, each of `pieces` in the end."""
    kept = list(counts)
    for k, count in enumerate(counts):
        total = math.prod(kept) * pieces
        if total > MANY:
            kept[k] = max(min(LEAST, count), MANY * count // total)
    return kept


@dataclass
class _Use:
    """What an entry uses: cells it reads, other entries it waits for, maps on chip and the parts of them it touches."""

    reads: list[Cell] = field(default_factory=list)
    needs: list[int] = field(default_factory=list)
    held: list[Cell] = field(default_factory=list)
    parts: list[Range] = field(default_factory=list)
    apart: bool = False  # rows of a map on chip do not adjoin

    def record(self, work: Work, engine: int, cycles: int, reads: Sequence[Cell], writes: Sequence[Cell]) -> int:
        """Record the entry and return its number."""
        entry = work.compute(engine, cycles, reads, writes, self.needs, self.parts)
        for cell in self.held:
            cell.reads[engine] = entry
        return entry


class StageWork:
    """Writes out one stage; a tile at a time, so that two stages may take turns."""

    def __init__(
        self, machine: Machine, plan: Schedule, index: int, *together: int, share: Share | None = None
    ) -> None:
        entry = plan.plans[index]
        assert entry.geometry is not None
        assert entry.tiling is not None
        self.m, self.work, self.plan, self.index = machine, machine.work, plan, index
        self.stage, self.g, self.t = entry.stage, entry.geometry, entry.tiling
        self.chip, self.c, self.share = plan.chip, plan.chip.timing, share or whole(self.g)
        self._claim(machine.floors(index, *together))
        self.part = part = entry.part or WHOLE
        self.source = machine.map_of(self.stage.source, part, part.source)
        self.others = [machine.map_of(name, part, part.mid) for name in other_names(self.stage)]
        self.out = machine.map_of(self.stage.output, part, part.out)
        self._piece: dict[Hashable, int] = {}
        self.after_piece: Callable[[], None] = lambda: None  # what a stage abreast does between pieces of array work
        # What a table for all channels gives is loaded once; one for each channel is taken for that too.
        self._tabled = {step.name for step in self.stage.steps if step.op in (*TABLE_OPS, "softmax")}

    def _claim(self, floors: tuple[int, int]) -> None:
        """Lay out the stage's slots in its part of the buffers."""
        g, m, count = self.g, self.m, self.t.slots
        f, act, wgt = m.room(self.index)
        at, wgt_at = m.claim(act, wgt, floors)
        others = [(f.other, count * (not g.held.other(k))) for k in range(g.others)]
        sizes = [(f.source, count * f.images), (f.mid, 1), *others]
        groups = []
        for size, many in (*sizes, (f.out, count)):
            groups.append(m.act.cells(Space.ACT, at, many, size))
            at += many * size
        self.source_slots, self.mid, self.out_slots = Slots(groups[0]), groups[1], Slots(groups[-1])
        self.other_slots = [Slots(cells) for cells in groups[2:-1]]
        self.weight_slots = Slots(m.wgt.cells(Space.WGT, wgt_at, count, f.weights))
        self.table_cells = m.wgt.cells(Space.WGT, wgt_at + count * f.weights, 1, f.tables) if f.tables else []
        sums = f.sums * f.images
        acc_at = m.acc.take(sums * f.acc_words, m.acc.size)
        self.acc_slots = Slots(m.acc.cells(Space.ACC, acc_at, sums, f.acc_words))

    def begin(self) -> None:
        """Write out what comes before the first tile."""
        self.m.fill_halo(self.stage.output, self.part)
        for name in (self.stage.source, *other_names(self.stage), self.stage.output):
            if name in self.plan.views:
                self.m.prepare_band(name, self.part)
        for cell in self.table_cells:
            self.work.move(LOAD, transfer(self.c, 1, cell.high - cell.low), cell)

    def order(self) -> list[tuple[Block, float, Tile]]:
        """Return the tiles that are written out, and how many of the stage's blocks each one's block stands for."""
        t, (first, end), (top, bottom) = self.t, self.share.images, self.share.rows
        found = blocks_of(self.g, t.channels, self.share)
        counts = [-(-(end - first) // t.images), -(-(bottom - top) // t.rows), -(-self.g.out[1] // t.cols)]
        pieces = sum(1 for _ in pieces_of(self.g, t, found[0])) if self.g.has_head else 1
        if t.weights_outer:
            blocks, *kept = _kept([len(found), *counts], pieces)
        else:
            *kept, blocks = _kept([*counts, len(found)], pieces)
        chosen = [(found[k], weight) for k, weight in sampled(len(found), blocks)]
        axes = (sampled(count, keep) for count, keep in zip(counts, kept, strict=True))
        tiles = [self._tile(n, y, x, a * b * c) for (n, a), (y, b), (x, c) in product(*axes)]
        if t.weights_outer:
            return [(block, weight, tile) for block, weight in chosen for tile in tiles]
        return [(block, weight, tile) for tile in tiles for block, weight in chosen]

    def _tile(self, turn: int, band: int, column: int, weight: float) -> Tile:
        t, (first, end) = self.t, self.share.rows
        image = self.share.images[0] + turn * t.images
        top, left = first + band * t.rows, column * t.cols
        rows, cols = (top, min(top + t.rows, end)), (left, min(left + t.cols, self.g.out[1]))
        return Tile(image, rows, cols, weight, min(t.images, self.share.images[1] - image))

    def rows_read(self, tile: Tile) -> int:
        """Return how many rows of the source, from the first, a tile and those before it read."""
        return self._source_need(self._mid_need(tile))[0][1]

    def write(self, block: Block, weight: float, tile: Tile) -> None:
        """Write out one tile of one block of channels: the array's work, each vector step, the store."""
        self.work.now = (self.index, weight * tile.weight)
        mid, ones = self._mid_need(tile), tile.each()
        sums = self._head(block, ones, mid) if self.g.has_head else [list[Cell]() for _ in ones]
        for one, reads in zip(ones, sums, strict=True):
            self._finish(block, one, mid, reads)

    def _finish(self, block: Block, tile: Tile, mid: tuple[Span, Span], reads: list[Cell]) -> None:
        """Write out what follows the array's work on one image, given its sums and parameters."""
        use, made, entry = _Use(reads), list[Cell](), -1
        if not self.g.has_head:
            self._source(tile, mid, (block.first, block.count), use)
        for k, step in enumerate(self.stage.layers):
            if k:
                use = _Use([*made])
            if step.op in ELEMENTWISE:
                self._other(step, block, tile, mid, use)
            if step.name in self._tabled:
                use.reads += self.table_cells
            made = self._target(k, tile, block.count, made, use)
            entry = use.record(self.work, VECTOR, self._vector_cycles(k, mid, tile, block.count, use), use.reads, made)
        if self.out.cell is None:
            entry = self._store(block, tile, made[0])
        else:
            self.out.cell.written = entry
        self.out.rows.add(self.out.span(tile.image, tile.rows), entry)

    def _target(self, k: int, tile: Tile, channels: int, made: list[Cell], use: _Use) -> list[Cell]:
        """Return the cells that a stage's layer writes, none if it writes the map on chip, which is then used."""
        layers, out = self.stage.layers, self.out
        if k == len(layers) - 1 and out.cell is not None:
            use.needs += out.cell.users()
            self._touch(out, tile.image, tile.rows, tile.cols, use)
            return []
        if k and made and layers[k].op not in (*POOLS, *CHANNEL_OPS):
            return made
        if any(layer.op in POOLS for layer in layers[k + 1 :]):
            return self.mid
        cell, size = self.out_slots.claim(object()), _size(tile.rows, tile.cols)
        each = 4 * channels if self.g.raw_output else self.g.pitch(channels)
        cell.fill(min(size[0] * size[1] * each, cell.high - cell.low))
        return [cell]

    def _vector_cycles(self, k: int, mid: tuple[Span, Span], tile: Tile, channels: int, use: _Use) -> int:
        """Return the cycles of a layer's vector work; rows that do not adjoin on chip take an instruction each."""
        step, pool = self.stage.layers[k], self.g.pool
        after = pool is not None and any(layer.op in POOLS for layer in self.stage.layers[: k + 1])
        rows, cols = _size(tile.rows, tile.cols) if after else _size(*mid)
        window = (pool[0].kernel, pool[1].kernel) if pool is not None and step.op in POOLS else (1, 1)
        raw = step is self.stage.head and self.plan.graph.tensors[step.outputs[0]].dtype == "int32"
        cycles, latency = vector_cycles(self.chip, step, rows * cols, channels, window, raw=raw)
        return cycles + latency * (rows - 1) * use.apart

    def _touch(self, what: Map, image: int, rows: Span, cols: Span, use: _Use) -> None:
        """Add a part of a map on chip to what is used."""
        use.parts += what.part(image, rows)
        use.apart |= not what.adjoins(*_size(rows, cols))

    def _other(self, step: Layer, block: Block, tile: Tile, mid: tuple[Span, Span], use: _Use) -> None:
        """Add the second operand of an elementwise step to what is used."""
        k = [layer.name for layer in self.stage.layers if layer.op in ELEMENTWISE].index(step.name)
        other = self.others[k]
        one = other.view is not None and other.view.extents[1:3] == (1, 1)
        place = ((-other.row, 1 - other.row), (0, 1)) if one else mid
        self._read(other, self.other_slots[k], (tile.image, *place), (block.first, block.count), use)

    def _store(self, block: Block, tile: Tile, cell: Cell) -> int:
        view = self.out.view
        assert view is not None
        whole = block.count == view.extents[3] and view.contiguous
        pixel = view.pitch if whole else block.count * view.element_bytes
        area = (tile.image, tile.rows, tile.cols)
        return self.work.move(STORE, self.out.transfer(self.c, area, block.first, pixel), cell)

    def _head(self, block: Block, ones: Sequence[Tile], mid: tuple[Span, Span]) -> list[list[Cell]]:
        """Write out the loads and the array's work of a tile; return the sums of each image and its parameters."""
        sums, weights, size, now = [self.acc_slots.claim(object()) for _ in ones], None, _size(*mid), self.work.now
        for acc in sums:
            acc.fill(min(math.prod(size) * round_up(block.count, BLOCK) * self.g.element_bytes, acc.high - acc.low))
        for piece, (tile, acc) in product(pieces_of(self.g, self.t, block), zip(ones, sums, strict=True)):
            weights, use = self.load_piece(piece, tile)
            use.record(self.work, MAC, self._cycles(size, piece), use.reads, [acc])
            self.after_piece()
            self.work.now = now
        assert weights is not None
        return [[acc, weights] for acc in sums]

    def load_piece(self, piece: Piece, tile: Tile) -> tuple[Cell, _Use]:
        """Write out the loads of what a piece of array work reads, unless it is there; return its weights and all."""
        weights, use, block = self._weights(piece), _Use(), piece.block
        use.reads.append(weights)
        channel = block.first if self.g.depthwise else block.source + piece.first
        self._source(tile, self._source_need(self._mid_need(tile)), (channel, piece.depth), use)
        return weights, use

    def _cycles(self, size: Span, piece: Piece) -> int:
        block, height = piece.block, piece.bottom - piece.top
        key = (size, block.count, block.groups, piece.depth, height)
        if key not in self._piece:
            self._piece[key] = piece_cycles(self.g, self.t, self.chip, size, block, piece.depth, height)
        return self._piece[key]

    def _weights(self, piece: Piece) -> Cell:
        """Return the cell of a weight tile, loaded unless it is there."""
        area = self.plan.pins.places.get(self.index)
        pinned = None if area is None else self.m.pinned.setdefault(area, {})
        found = self.weight_slots.find(piece.key) if pinned is None else pinned.get(piece.key)
        if found is not None:
            return found
        if pinned is None or area is None:
            found = self.weight_slots.claim(piece.key)
        else:
            found = pinned[piece.key] = Cell(Space.WGT, area[1], area[1] + area[2])
        size = piece.weight_bytes(self.g)
        whole = size + piece.param_bytes(self.g, self.chip)
        found.fill(whole, size)
        start = self.m.constants.address(self.plan.plans[self.index], piece.key)
        self.work.move(LOAD, transfer(self.c, 1, whole, start=start), found)
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
            self._touch(what, image, rows, cols, use)
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
            _tiles(machine, plan, index)
        elif plan.plans[index].stage.kind == "copy":
            _copy(machine, plan, index)
        else:
            _barrier(machine, plan, index)
        index += 1 + (index in plan.pairs)
    return machine.work


def _tiles(machine: Machine, plan: Schedule, index: int) -> None:
    """Write out a tile stage, core after core."""
    g, t = plan.plans[index].geometry, plan.plans[index].tiling
    assert g is not None
    assert t is not None
    machine.begin_stage(t.shares)
    for machine.work.core, share in enumerate(shares(g, t)):
        machine.work.now = (index, 1.0)
        stage = StageWork(machine, plan, index, share=share)
        stage.begin()
        for turn in stage.order():
            stage.write(*turn)
    machine.work.core = 0


def _abreast(machine: Machine, plan: Schedule, index: int) -> None:
    """Write out two stages whose tiles take turns, as `lower.pair` emits them."""
    first, second = plan.plans[index : index + 2]
    machine.begin_stage(1)
    machine.make_room(index, index + 1)
    a, b = StageWork(machine, plan, index, index + 1), StageWork(machine, plan, index + 1, index)
    a.begin()
    b.begin()
    host = host_of(first, second)
    if host is not None and not follows(first, second):
        _beside(*((a, b) if host is first else (b, a)))
        return
    ahead, order, made = a.order(), b.order(), 0
    for number, (block, weight, tile) in enumerate(order):
        rows, share = b.rows_read(tile), -(-len(ahead) * (number + 1) // len(order))
        while made < len(ahead) and (ahead[made][2].rows[0] < rows if follows(first, second) else made < share):
            a.write(*ahead[made])
            made += 1
        b.write(block, weight, tile)
    for rest in ahead[made:]:
        a.write(*rest)


def _beside(host: StageWork, guest: StageWork) -> None:
    """Write out a stage of array work, and one of vector work between its pieces, as `lower.pair` emits them."""
    turns = host.order()
    pieces = [turn for block, _, tile in turns for turn in product(pieces_of(host.g, host.t, block), tile.each())]
    walk = Beside(pieces, guest.order(), lambda turn: host.load_piece(*turn), lambda turn: guest.write(*turn))
    host.after_piece = walk.step
    for turn in turns:
        host.write(*turn)


def _copy(machine: Machine, plan: Schedule, index: int) -> None:
    """Write out a layer that moves bytes, box by box."""
    machine.begin_stage(1)
    layer, floors = plan.plans[index].stage.steps[0], machine.floors(index)
    out = machine.map_of(layer.outputs[0])
    for copy in copies_of(plan.graph, plan.views, layer):
        source = machine.map_of(copy.source)
        found = list(moves(plan.chip.timing, copy.loops, room_of(floors[0])))
        parts = max(min(PARTS, len(side.starts)) for side in (found[0].load, found[0].store))
        for k, weight in sampled(len(found), max(LEAST, MANY // parts)):
            _move(machine, index, (source, copy.start), (out, copy.into), found[k], floors, weight, copy.changed)


def _move(
    machine: Machine, index: int, source: tuple[Map, int], target: tuple[Map, int], move: Move, floors: Span,
    weight: float, changed: bool,
) -> None:  # fmt: skip
    """Write out one box of a copy: its loads, a lookup where values change, its stores."""
    work, c = machine.work, machine.plan.chip.timing
    act, table = round_up(move.bytes + LINE, ALIGN), TABLE * changed
    at, table_at = machine.claim(act, table, floors)
    cell = machine.act.cells(Space.ACT, at, 1, act)[0]
    for k, share in sampled(len(move.load.starts), PARTS):
        work.now = (index, weight * share)
        place = move.source + source[1] + move.load.starts[k][0]
        moved = move.load.transfer(c, source[0].start + place)
        work.move(LOAD, moved, cell, [source[0].rows.last(source[0].lines(place, moved.span))])
    if changed:
        work.now = (index, weight)
        held = machine.wgt.cells(Space.WGT, table_at, 1, table)[0]
        work.move(LOAD, transfer(c, 1, table), held)
        cycles = line_cycles(machine.plan.chip, -(-move.bytes // LINE), LINE)
        work.compute(VECTOR, cycles, [held], [cell], [])
    for k, share in sampled(len(move.store.starts), PARTS):
        work.now = (index, weight * share)
        place = move.target + target[1] + move.store.starts[k][0]
        moved = move.store.transfer(c, target[0].start + place)
        done = work.move(STORE, moved, cell)
        target[0].rows.add(target[0].lines(place, moved.span), done)


def _barrier(machine: Machine, plan: Schedule, index: int) -> None:
    """Write out a stream or a host call as what waits for all before it."""
    machine.begin_stage(1)
    work, stage = machine.work, plan.plans[index].stage
    cycles = (host_cycles if stage.kind == "host" else stream_cycles)(plan.graph, stage.steps[0], plan.chip)
    made = work.compute(VECTOR, cycles, [], [], range(len(work.engine)))
    for name in stage.layers[-1].outputs:
        if name in plan.views:
            machine.map_of(name).rows.add((0, 1 << 62), made)
