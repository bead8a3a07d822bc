"""A schedule written out tile by tile as Work, in the order and with the slots that lowering gives it.

Of a stage with very many tiles only some are written out: the first and last bands of rows and blocks of channels, and
a few between them that stand for the rest.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field, replace
from itertools import product
from typing import TYPE_CHECKING

from accelc.graph import ELEMENTWISE, Layer
from accelc.isa import Space
from accelc.schedule.abreast import follows
from accelc.schedule.alone import host_cycles, stream_cycles
from accelc.schedule.beside import Beside, host_of
from accelc.schedule.boxes import write_copies
from accelc.schedule.constants import ALIGN
from accelc.schedule.cost import piece_cycles
from accelc.schedule.frames import other_names
from accelc.schedule.geometry import BLOCK, Geometry, flatten_map, fold_batch
from accelc.schedule.layout import Machine, Map, Pinned, Slots, Span
from accelc.schedule.pieces import Piece, first_loaded, pieces_of, staying
from accelc.schedule.sampling import fair_share, kept_of, sampled
from accelc.schedule.search import StagePlan, step_table_bytes
from accelc.schedule.split import Share, blocks_of, shares, whole
from accelc.schedule.stages import CHANNEL_OPS, GLOBAL_OPS, WINDOW_OPS
from accelc.schedule.stripes import Part
from accelc.schedule.tiling import Block, Tiling, stored_with
from accelc.schedule.transfer import Runs
from accelc.schedule.vector import vector_cycles
from accelc.schedule.views import round_up
from accelc.schedule.work import LOAD, MAC, STORE, VECTOR, Range, Work

if TYPE_CHECKING:
    from accelc.schedule import Schedule

Need = tuple[int, int, int, int]  # the first and the end of what is read, the padding before and after it
Area = tuple[Need, Need]

WHOLE = Part(0, 0, 0)
POOLS = (*WINDOW_OPS, *GLOBAL_OPS)
MANY = 256  # pieces of work of a stage; all of fewer are written out


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


@dataclass(frozen=True)
class Rows:
    """A range that vector work touches: `step` bytes (of acc: words) from row to row, 0 if each takes all of it."""

    where: Range
    step: int = 0

    def row(self, number: int, count: int) -> Range:
        """Return the range of one of `count` rows."""
        space, low, high = self.where
        return space, low + number * self.step, high - (count - 1 - number) * self.step


@dataclass
class _Use:
    """What an entry reads; `apart` where rows of a map on chip do not adjoin."""

    reads: list[Rows] = field(default_factory=list)
    apart: bool = False


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
        self.chip, self.share = plan.chip, share or whole(self.g)
        self._claim(machine.floors(index, *together))
        self.part = part = entry.part or WHOLE
        self.source = self._shaped(machine.map_of(self.stage.source, part, part.source))
        self._others: dict[str, Map] = {}
        self.out = self._folded(machine.map_of(self.stage.output, part, part.out))
        self._piece: dict[Hashable, int] = {}
        self._sums = -1, 0  # the first channel of the sums that are stored next, and where they lie
        area = plan.pins.places.get(index)
        self._pinned = None if area is None else machine.pinned.setdefault(area, Pinned(area[1]))
        self._staying = frozenset[Hashable]() if area is None else staying(self.g, self.t, area[2])
        self.after_piece: Callable[[], None] = lambda: None  # what a stage abreast does between pieces of array work
        self._tables: dict[str, tuple[int, int]] = {}  # of a step: where, and for channels from which on

    def _folded(self, what: Map) -> Map:
        """Return a map with its images as rows if the stage takes them so."""
        fold = self.g.folded and what.view.extents[1:3] == (1, 1)
        return what.seen(fold_batch(what.view)) if fold else what

    def _shaped(self, what: Map) -> Map:
        """Return the source as the stage takes it."""
        if not self.g.flattened:
            return self._folded(what)
        return what.seen(flatten_map(what.view))

    def _other_map(self, name: str) -> Map:
        """Return a second operand: of an extent of 1, every turn is the same."""
        if name not in self._others:
            what = self._folded(self.m.map_of(name, self.part, channels=self.g.mid[2]))
            (_, h, w, _), (sn, sh, sw) = what.view.extents, what.view.strides
            view = replace(what.view, strides=(sn, sh * (h > 1), sw * (w > 1)))
            self._others[name] = replace(what.seen(view), row=self.part.mid * (h > 1))
        return self._others[name]

    def _claim(self, floors: tuple[int, int]) -> None:
        """Lay out the stage's slots in its part of the buffers."""
        g, m, count = self.g, self.m, self.t.slots
        f, act, wgt = m.room(self.index)
        at, wgt_at = m.claim(act, wgt, floors)
        others = [(f.other, count * (not g.held.other(k))) for k in range(g.others)]
        sizes = [(f.source, count * f.images), (f.mid, 1), *others]
        groups = list[list[int]]()
        for size, many in (*sizes, (f.out, count)):
            groups.append([at + k * size for k in range(many)])
            at += many * size
        self.source_slots, self.mid, self.out_slots = Slots(groups[0]), groups[1][0], Slots(groups[-1])
        self.other_slots = [Slots(starts) for starts in groups[2:-1]]
        self.weight_slots = Slots([wgt_at + k * f.weights for k in range(count)])
        self._table_at = wgt_at + count * f.weights
        sums = f.sums * f.images
        acc_at = m.acc.take(sums * f.acc_words, m.acc.size)
        self.acc_slots = Slots([acc_at + k * f.acc_words for k in range(sums)])

    def begin(self) -> None:
        """Write out what comes before the first tile."""
        self.work.now = (self.index, 1.0)
        self.m.fill_halo(self.stage.output, self.part)
        for name in (self.stage.source, *other_names(self.stage), self.stage.output):
            if name in self.plan.views:
                self.m.prepare_band(name, self.part)

    def load_ahead(self) -> None:
        """Write out the first loads of weights of a stage of which others stay on chip."""
        if self._staying:
            for piece in first_loaded(self.g, self.t, self._staying):
                self._weights(piece)

    def order(self) -> list[tuple[Block, float, Tile]]:
        """Return the tiles that are written out, and how many of the stage's blocks each one's block stands for."""
        t, found = self.t, blocks_of(self.g, self.t.channels, self.share)
        counts, pieces = _turns(self.g, t, self.share)
        if t.weights_outer:
            blocks, *kept = kept_of([len(found), *counts], pieces, self.m.most)
        else:
            *kept, blocks = kept_of([*counts, len(found)], pieces, self.m.most)
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
        sums = self._head(block, ones, mid) if self.g.has_head else [list[Rows]() for _ in ones]
        for one, reads in zip(ones, sums, strict=True):
            self._finish(block, one, mid, _Use(reads))

    def _finish(self, block: Block, tile: Tile, mid: Area, use: _Use) -> None:
        """Write out what follows the array's work on one image, of which its sums and parameters are used."""
        made: Rows | None = None
        if not self.g.has_head:
            self._read(self.source, self.source_slots, (tile.image, *mid), (block.first, block.count), use)
        for k, step in enumerate(self.stage.layers):
            if made is not None:
                use = _Use([made])
            if step.op in ELEMENTWISE:
                self._other(step, block, tile, mid, use)
            use.reads += self._table(step, block)
            made = self._target(k, block, tile, mid, made, use)
            self._vector(k, block, tile, mid, use, made)
        if not self.out.held:
            assert made is not None
            self._store(block, tile, made.where)

    def _vector(self, k: int, block: Block, tile: Tile, mid: Area, use: _Use, made: Rows) -> None:
        """Write out a layer's vector work: one entry, or one for each row where rows do not adjoin on chip."""
        step, pool = self.stage.layers[k], self.g.pool
        after = pool is not None and any(layer.op in POOLS for layer in self.stage.layers[: k + 1])
        rows, cols = _size((tile.rows, tile.cols) if after else mid)
        window = (pool[0].kernel, pool[1].kernel) if pool is not None and step.op in POOLS else (1, 1)
        raw = step is self.stage.head and self.plan.graph.tensors[step.outputs[0]].dtype == "int32"
        count = rows if use.apart else 1
        cycles = vector_cycles(self.chip, step, rows * cols // count, block.count, window, raw=raw)[0]
        for y in range(count):
            reads = [each.where if step.op in POOLS else each.row(y, count) for each in use.reads]
            self.work.compute(VECTOR, cycles, reads, [made.row(y, count)])

    def _table(self, step: Layer, block: Block) -> list[Rows]:
        """Return the range of a step's table for a block of channels, loaded unless it is there, if it has one."""
        shared, each = step_table_bytes(self.plan.graph, step)
        if not shared + each:
            return []
        size, first = shared + each * block.count, block.first if each else 0
        if step.name not in self._tables:
            self._tables[step.name] = self._table_at, -1
            self._table_at += round_up(shared + each * self.t.channels, ALIGN)
        at, held = self._tables[step.name]
        if held != first:
            self.work.move(LOAD, Runs(self.m.constants.table(step, block), size), (Space.WGT, at, at + size))
            self._tables[step.name] = at, first
        return [Rows((Space.WGT, at, at + size))]

    def _target(self, k: int, block: Block, tile: Tile, mid: Area, made: Rows | None, use: _Use) -> Rows:
        """Return the range that a stage's layer writes: of the map on chip, in place, or of a slot."""
        layers, out = self.stage.layers, self.out
        use.apart &= layers[k].op not in POOLS  # a window reads its rows where they lie
        if k == len(layers) - 1 and out.held:
            use.apart |= not out.adjoins(*_size((tile.rows, tile.cols)))
            runs = out.runs((tile.image, tile.rows, tile.cols), block.first, block.count * self.g.element_bytes)
            return Rows((Space.ACT, *runs.range), runs.row)
        if made is not None and layers[k].op not in (*POOLS, *CHANNEL_OPS):
            return made
        pooled = any(layer.op in POOLS for layer in layers[k + 1 :])
        rows, cols = _size(mid if pooled else (tile.rows, tile.cols))
        if self.g.raw_output:
            at, each = self._sums_place(block), 4 * block.count
        else:
            at, each = self.mid if pooled else self.out_slots.claim(object()), self.g.pitch(block.count)
        return Rows((Space.ACT, at, at + rows * cols * each), cols * each)

    def _sums_place(self, block: Block) -> int:
        """Return where a block's int32 sums go: behind those that are stored with them."""
        first, _ = stored_with(self.g, self.t, self.share.channels, block)
        if self._sums[0] != first:
            self._sums = first, self.out_slots.claim(object())
        return self._sums[1] + 4 * (block.first - first)

    def _other(self, step: Layer, block: Block, tile: Tile, mid: Area, use: _Use) -> None:
        """Add the second operand of an elementwise step to what is used; a single pixel is loaded once."""
        k = [layer.name for layer in self.stage.layers if layer.op in ELEMENTWISE].index(step.name)
        name = other_names(self.stage)[k]
        other = self._other_map(name)
        n, h, w, _ = other.view.extents
        single = (h, w) == (1, 1) != _size(mid) and step.inputs[1] == name
        place = ((0, 1, 0, 0), (0, 1, 0, 0)) if single else mid
        self._read(other, self.other_slots[k], (tile.image * (n > 1), *place), (block.first, block.count), use)
        if single:
            use.reads[-1] = Rows(use.reads[-1].where)

    def _store(self, block: Block, tile: Tile, made: Range) -> None:
        view, (space, low, high) = self.out.view, made
        first, last = stored_with(self.g, self.t, self.share.channels, block)
        if not last:
            return
        self._sums = -1, 0
        whole = block.count == view.extents[3] and view.contiguous
        before = (block.first - first) * view.element_bytes  # of what is stored with it
        pixel = view.pitch if whole else before + block.count * view.element_bytes
        runs = self.out.runs((tile.image, tile.rows, tile.cols), first, pixel)
        self.work.move(STORE, runs, (space, low - before, high))

    def _head(self, block: Block, ones: Sequence[Tile], mid: Area) -> list[list[Rows]]:
        """Write out the loads and the array's work of a tile; return the sums of each image and its parameters."""
        size, now, params = _size(mid), self.work.now, (Space.WGT, 0, 0)
        each = round_up(block.count // block.groups, BLOCK) * block.groups * self.g.element_bytes
        places = [self.acc_slots.claim(object()) for _ in ones]
        sums = [(Space.ACC, at, at + math.prod(size) * each) for at in places]
        for piece, (tile, acc) in product(pieces_of(self.g, self.t, block), zip(ones, sums, strict=True)):
            params, reads = self.load_piece(piece, tile)
            self.work.compute(MAC, self._cycles(size, piece), reads, [acc])
            self.after_piece()
            self.work.now = now
        return [[Rows(acc, size[1] * each), Rows(params)] for acc in sums]

    def load_piece(self, piece: Piece, tile: Tile) -> tuple[Range, list[Range]]:
        """Write out the loads of what a piece of array work reads unless it is there; return its parameters and all."""
        (weights, params), use, block = self._weights(piece), _Use(), piece.block
        channel = block.first if self.g.depthwise else block.source + piece.first
        area = (tile.image, *self._source_need(self._mid_need(tile)))
        self._read(self.source, self.source_slots, area, (channel, piece.depth), use)
        return params, [weights, *(read.where for read in use.reads)]

    def _cycles(self, size: Span, piece: Piece) -> int:
        block, height = piece.block, piece.bottom - piece.top
        key = (size, block.count, block.groups, piece.depth, height)
        if key not in self._piece:
            self._piece[key] = piece_cycles(self.g, self.t, self.chip, size, block, piece.depth, height)
        return self._piece[key]

    def _weights(self, piece: Piece) -> tuple[Range, Range]:
        """Return the ranges of a weight tile and of its parameters, loaded unless they are there."""
        pinned = self._pinned if piece.key in self._staying else None
        start, size = self.m.constants.weights(self.plan.plans[self.index], piece)
        whole = size + piece.param_bytes(self.g, self.chip)
        found = self.weight_slots.find(piece.key) if pinned is None else pinned.places.get(piece.key)
        if found is None:
            found = self.weight_slots.claim(piece.key) if pinned is None else pinned.claim(piece.key, whole)
            self.work.move(LOAD, Runs(start, whole), (Space.WGT, found, found + whole))
        return (Space.WGT, found, found + size), (Space.WGT, found + size, found + whole)

    def _read(self, what: Map, slots: Slots, area: tuple[int, Need, Need], channels: Span, use: _Use) -> None:
        """Add a tile of a map to what is used: where it lies on chip, else in a slot, loaded unless it is there."""
        (image, rows, cols), (first, count) = area, channels
        high, wide = _size((rows, cols))
        if what.held:
            padded = (rows[0] - rows[2], rows[1] + rows[3]), (cols[0] - cols[2], cols[1] + cols[3])
            runs = what.runs((image, *padded), first, count * self.g.element_bytes)
            use.reads.append(Rows((Space.ACT, *runs.range), runs.row))
            use.apart |= not what.adjoins(high, wide)
            return
        pitch, found = self.g.pitch(count), slots.find((area, channels))
        where = found if found is not None else slots.claim((area, channels))
        tile = (Space.ACT, where, where + high * wide * pitch)
        if found is None:
            whole = count == what.view.extents[3] and what.view.pitch == pitch
            moved = (image, rows[:2], cols[:2])
            self.work.move(LOAD, what.runs(moved, first, pitch if whole else count * self.g.element_bytes), tile)
        use.reads.append(Rows(tile, wide * pitch))

    def _mid_need(self, tile: Tile) -> Area:
        """Return the rows and columns of the head's output (of the source, without one) that a tile reads."""
        pool, mid = self.g.pool, self.g.mid
        if pool is None:
            return (*tile.rows, 0, 0), (*tile.cols, 0, 0)
        rows, cols = pool[0].needs(*tile.rows, mid[0]), pool[1].needs(*tile.cols, mid[1])
        return (*rows[:2], 0, 0), (*cols[:2], 0, 0)

    def _source_need(self, mid: Area) -> Area:
        """Return the rows and columns of the source that so much of the head's output reads."""
        if not self.g.has_head:
            return mid
        (y, x), source = self.g.conv, self.g.source
        return y.needs(*mid[0][:2], source[0]), x.needs(*mid[1][:2], source[1])


def _turns(g: Geometry, t: Tiling, share: Share) -> tuple[list[int], int]:
    """Return the images, bands and columns of tiles of a share, and the pieces of array work of a block of each."""
    (first, end), (top, bottom) = share.images, share.rows
    block = blocks_of(g, t.channels, share)[0]
    pieces = sum(1 for _ in pieces_of(g, t, block)) if g.has_head else 1
    return [-(-(end - first) // t.images), -(-(bottom - top) // t.rows), -(-g.out[1] // t.cols)], pieces


def _pieces(entry: StagePlan) -> int:
    """Return the pieces of work of a stage of tiles, 0 of others."""
    g, t = entry.geometry, entry.tiling
    if g is None or t is None:
        return 0
    counts, pieces = _turns(g, t, whole(g))
    return math.prod(counts) * t.images * pieces * len(blocks_of(g, t.channels, whole(g)))


def _size(area: tuple[Sequence[int], Sequence[int]]) -> Span:
    """Return the rows and columns of a range of both, with the padding around it."""
    rows, cols = area
    return rows[1] - rows[0] + sum(rows[2:]), cols[1] - cols[0] + sum(cols[2:])


def unroll(plan: Schedule, budget: int = 0) -> Work:
    """Return the work of a schedule, the stages in order, those abreast tile by tile in turn.

    Of each stage MANY pieces are written out, or more if those of all stages then stay within a budget.
    """
    most = max(MANY, fair_share([_pieces(entry) for entry in plan.plans], budget))
    machine, index = Machine(plan, most), 0
    while index < len(plan.plans):
        machine.work.now = (index, 1.0)
        if index in plan.pairs:
            _abreast(machine, plan, index)
        elif plan.plans[index].tiling is not None:
            _tiles(machine, plan, index)
        elif plan.plans[index].stage.kind == "copy":
            write_copies(machine, plan, index)
        else:
            _barrier(machine, plan, index)
        together = plan.plans[index : index + 1 + (index in plan.pairs)]
        for entry in together:
            machine.constants.complete(entry)
        index += len(together)
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
        stage.load_ahead()
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


def _barrier(machine: Machine, plan: Schedule, index: int) -> None:
    """Write out a stream or a host call as what waits for all before it."""
    machine.begin_stage(1)
    stage = plan.plans[index].stage
    cycles = (host_cycles if stage.kind == "host" else stream_cycles)(plan.graph, stage.steps[0], plan.chip)
    machine.work.alone(cycles)
