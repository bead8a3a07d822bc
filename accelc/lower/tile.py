"""Lowering of a tile stage: loads, array work, vector steps and stores of one tile after the other."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import product

from accelc.arithmetic import clamp_bounds
from accelc.errors import ScheduleError
from accelc.graph import Layer, Tensor
from accelc.lower.band import prepare_band
from accelc.lower.emitter import Slots, slots
from accelc.lower.halo import fill_halo
from accelc.lower.pack import Weights, excess, quant_of, requantize_params, stored_zero
from accelc.lower.places import ON_CHIP, Places
from accelc.lower.steps import Current, emit_pixels, lower_step, step_tables
from accelc.schedule import StagePlan
from accelc.schedule.cost import dataflow_code, merges_taps
from accelc.schedule.frames import other_names
from accelc.schedule.geometry import BLOCK, Geometry, flatten_map, fold_batch
from accelc.schedule.pieces import Piece, first_loaded, pieces_of, staying
from accelc.schedule.split import Share, blocks_of, whole
from accelc.schedule.stages import GLOBAL_OPS, WINDOW_OPS
from accelc.schedule.stripes import Part
from accelc.schedule.tiling import Block, Tiling, footprint, stored_with
from accelc.schedule.views import View, round_up


@dataclass(frozen=True)
class MapTile:
    """A range of the final output of `images` images."""

    image: int
    top: int
    bottom: int
    left: int
    right: int
    images: int = 1

    def each(self) -> list[MapTile]:
        """Return the tiles of its images, one by one."""
        return [replace(self, image=self.image + k, images=1) for k in range(self.images)]


@dataclass(frozen=True)
class Need:
    """What a tile reads of a map along both axes: first and end cell, and padding cells before and after."""

    rows: tuple[int, int, int, int]
    cols: tuple[int, int, int, int]

    @property
    def frame(self) -> tuple[int, int]:
        """Return rows and columns with the padding."""
        rows, cols = (stop - start + before + after for start, stop, before, after in (self.rows, self.cols))
        return rows, cols


def map_tiles(g: Geometry, t: Tiling, share: Share) -> list[MapTile]:
    """Return the tiles of a core's share of the output map, row by row."""
    (first, end), width, images = share.rows, g.out[1], share.images[1]
    return [
        MapTile(n, y, min(y + t.rows, end), x, min(x + t.cols, width), min(t.images, images - n))
        for n in range(share.images[0], images, t.images)
        for y in range(first, end, t.rows)
        for x in range(0, width, t.cols)
    ]


WHOLE = Part(0, 0, 0)


def from_row(view: View, row: int) -> View:
    """Return a view whose row 0 is row `row` of another."""
    return replace(view, offset=view.offset + row * view.strides[1])


class TileStage:
    """Emits one stage, or a core's share of it; slots remember what is loaded, so nothing there is loaded twice.

    `like` is the same stage on another core, whose packed weights are taken over.
    """

    def __init__(
        self, places: Places, plan: StagePlan, share: Share | None = None, like: TileStage | None = None
    ) -> None:
        assert plan.geometry is not None
        assert plan.tiling is not None
        self.places, self.emitter, self.graph = places, places.emitter, places.graph
        self.stage, self.g, self.t = plan.stage, plan.geometry, plan.tiling
        self.share = share or whole(self.g)
        self.tables = step_tables(places, self.stage)
        self.foot = footprint(self.g, self.t, self._table_room())
        self.part = plan.part or WHOLE
        self.source_view = from_row(self._shaped(places.view(self.stage.source)), self.part.source)
        self.out_view = from_row(self.fold(places.view(self.stage.output)), self.part.out)
        self.after_piece: Callable[[], None] = lambda: None  # what a stage abreast does between pieces of array work
        self._sums = -1, 0  # the first channel of the sums that are stored next, and where they lie
        self.result: Current | None = None  # where the last step leaves the tile at hand if the output is held
        self._claim_buffers()
        self._weights_at = 0
        pinned = places.pinned
        self._staying = frozenset[Hashable]() if pinned is None else staying(self.g, self.t, pinned.size)
        self._like = like
        # Stripes of one stage, and cores that share it, cut its weights alike, so these are packed once.
        self._blobs: dict[Hashable, tuple[int, int, int]] = {} if like is None else like._blobs
        if plan.part is not None:
            self._blobs = places.blobs.setdefault((self.stage.output, self.t), self._blobs)

    @cached_property
    def weights(self) -> Weights:
        """The head's weights, ready to be cut into tiles."""
        if self._like is not None:
            return self._like.weights
        assert self.stage.head is not None
        return Weights(self.graph, self.stage.head, self.g, self.places.views[self.stage.source])

    @property
    def wide(self) -> bool:
        """Whether the stage's elements have 16 bits."""
        return self.g.element_bytes == 2

    def form(self, name: str) -> str:
        """Return the name of an instruction for the stage's elements."""
        return f"{name}16" if self.wide else name

    def _table_room(self) -> int:
        return sum(table.room(self.t.channels) for table in self.tables.values())

    def fold(self, view: View) -> View:
        """Return the view with images as rows if the stage takes them so."""
        return fold_batch(view) if self.g.folded and view.extents[1:3] == (1, 1) else view

    def _shaped(self, view: View) -> View:
        """Return the source's view as the stage takes it."""
        return flatten_map(view) if self.g.flattened else self.fold(view)

    def _claim_buffers(self) -> None:
        f, e = self.foot, self.emitter
        at, wgt_at = self.act_at, self.wgt_at = e.claim(f.act_bytes(self.g), f.wgt_bytes)
        count = f.slots
        self.source = slots(at, count * f.images, f.source)
        at += count * f.images * f.source
        self.mid = at
        at += f.mid
        self.others = []
        for k in range(self.g.others):
            self.others.append(slots(at, count, f.other))
            at += count * f.other * (not self.g.held.other(k))
        self.out = slots(at, count, f.out)
        self.wgt = slots(wgt_at, count, f.weights)
        self.table_at = wgt_at + count * f.weights
        sums = f.sums * f.images
        self.acc = slots(e.acc.take(sums * f.acc_words), sums, f.acc_words)

    def lower(self) -> None:
        """Emit the whole stage."""
        self.begin()
        if self._staying:
            for piece in first_loaded(self.g, self.t, self._staying):
                self._load_weights(piece)
        for block, tile in self.order():
            self.lower_tile(block, tile)

    def begin(self) -> None:
        """Emit what comes before the first tile."""
        self.emitter.layer = self.places.layer_index[self.stage.layers[0].name]
        fill_halo(self.places, self.stage.output)
        for name in (self.stage.source, *other_names(self.stage), self.stage.output):
            if name in self.places.views:
                prepare_band(self.places, name)

    def order(self) -> list[tuple[Block, MapTile]]:
        """Return the tiles in the order in which they are made."""
        tiles, blocks = map_tiles(self.g, self.t, self.share), blocks_of(self.g, self.t.channels, self.share)
        if self.t.weights_outer:
            return [(block, tile) for block in blocks for tile in tiles]
        return [(block, tile) for tile in tiles for block in blocks]

    def rows_read(self, tile: MapTile) -> int:
        """Return how many rows of the source, from the first, a tile and those before it read."""
        mid = self._mid_need(tile)
        return self.g.conv[0].needs(*mid.rows[:2], self.g.source[0])[1] if self.g.has_head else mid.rows[1]

    def lower_tile(self, block: Block, tile: MapTile) -> None:
        """Emit one tile of one block of channels."""
        mid, ones = self._mid_need(tile), tile.each()
        sums, params = ([0] * len(ones), 0) if self.stage.head is None else self._head(block, ones, mid)
        for one, acc in zip(ones, sums, strict=True):
            self._finish(block, one, mid, acc, params)

    def _finish(self, block: Block, tile: MapTile, mid: Need, acc: int, params: int) -> None:
        """Emit what follows the array's work on one image, given where its sums and their parameters are."""
        if self.out_view.region == ON_CHIP:
            made = Need((tile.top, tile.bottom, 0, 0), (tile.left, tile.right, 0, 0))
            self.result = self._held(self.out_view, tile.image, made, block.first)
        self.emitter.layer = self.places.layer_index[self.stage.layers[0].name]
        if self.stage.head is None:
            current = self._load_source(block, tile, mid, 0, block.count, 0)
        else:
            current = self._requantize(self.stage.head, block, mid.frame, acc, params)
        for k, step in enumerate(self.stage.steps):
            self.emitter.layer = self.places.layer_index[step.name]
            current = lower_step(self, step, k, block, tile, mid, current)
        self.emitter.layer = self.places.layer_index[self.stage.layers[-1].name]
        if self.result is None:
            self._store(block, tile, current)

    def _mid_need(self, tile: MapTile) -> Need:
        if self.g.pool is None:
            return Need((tile.top, tile.bottom, 0, 0), (tile.left, tile.right, 0, 0))
        rows = self.g.pool[0].needs(tile.top, tile.bottom, self.g.mid[0])
        cols = self.g.pool[1].needs(tile.left, tile.right, self.g.mid[1])
        if rows[0] == rows[1] or cols[0] == cols[1]:
            raise ScheduleError(f"layer '{self.stage.layers[-1].name}': a pooling window lies wholly in the padding")
        return Need((*rows[:2], 0, 0), (*cols[:2], 0, 0))

    def target(self, step: int) -> int:
        """Return where a step not in place writes: the intermediate slot if a pool is ahead, else an out slot."""
        pools = (*WINDOW_OPS, *GLOBAL_OPS)
        ahead = any(s.op in pools for s in self.stage.steps[max(step, 0) + (step >= 0) :])
        return self.mid if ahead else self.out.claim(object())

    def destination(self, step: int, rows: int, cols: int, pitch: int) -> Current:
        """Return where step number `step` (-1: the head) leaves its tile."""
        if self.result is not None and step == len(self.stage.steps) - 1:
            return self.result
        return Current(self.target(step), rows, cols, pitch)

    # --- the head

    def _head(self, block: Block, ones: Sequence[MapTile], mid: Need) -> tuple[list[int], int]:
        """Emit the loads and the array's work of a tile; return where the sums of each image and the parameters are."""
        sums, params = [self.acc.claim(object()) for _ in ones], 0
        for piece, (tile, acc) in product(pieces_of(self.g, self.t, block), zip(ones, sums, strict=True)):
            params, act = self.load_piece(piece, tile)
            self._mac(piece, mid.frame, act, acc)
            self.after_piece()
        return sums, params

    def _acc_col(self, block: Block) -> int:
        """Return the words of a pixel's sums."""
        return round_up(block.count // block.groups, BLOCK) * block.groups * self.g.element_bytes

    def load_piece(self, piece: Piece, tile: MapTile) -> tuple[int, Current]:
        """Load what a piece of array work reads unless it is there; return where parameters and the source tile are."""
        head, mid = self.stage.head, self._mid_need(tile)
        assert head is not None
        self.emitter.layer = self.places.layer_index[head.name]
        conv, source = self.g.conv, self.g.source
        need = Need(conv[0].needs(*mid.rows[:2], source[0]), conv[1].needs(*mid.cols[:2], source[1]))
        params = self._load_weights(piece)
        zero = stored_zero(self._tensor(head.inputs[0]))
        return params, self._load_source(piece.block, tile, need, piece.block.source + piece.first, piece.depth, zero)

    def _tensor(self, name: str) -> Tensor:
        return self.graph.tensors[name]

    def _mac(self, piece: Piece, size: tuple[int, int], act: Current, acc: int) -> None:
        g, pitch, row = self.g, act.pitch, act.row_bytes
        block, depth, acc_col = piece.block, piece.depth, self._acc_col(piece.block)
        dataflow = dataflow_code(self.emitter.chip, self.t.dataflow)
        y, x = g.conv
        shape = {
            "act": act.at + piece.top * y.dilation * row,
            "act_row": y.stride * row,
            "act_col": x.stride * pitch,
            "rows": size[0],
            "cols": size[1],
            "taps_y": piece.bottom - piece.top,
            "tap_row": y.dilation * row,
            "acc": acc,
            "acc_col": acc_col,
        }
        if g.depthwise:
            self.emitter.emit(
                self.form("depthwise"),
                **shape,
                taps_x=x.kernel,
                tap_col=x.dilation * pitch,
                wgt=self._weights_at,
                n=block.count,
                dataflow=dataflow,
            )
            return
        merged = merges_taps(g, block, depth)
        each = depth // block.groups
        deep = x.kernel * g.lanes(depth) if merged else g.lanes(each)
        n = acc_col // g.element_bytes // block.groups
        size_bytes = (piece.bottom - piece.top) * x.kernel * n * block.groups * g.pitch(depth if merged else each)
        for part in range(g.parts):
            self.emitter.emit(
                self.form("conv"),
                **shape,
                taps_x=1 if merged else x.kernel,
                tap_col=0 if merged else x.dilation * pitch,
                depth=deep,
                wgt=self._weights_at + part * size_bytes,
                n=n,
                accumulate=int(piece.first > 0 or piece.top > 0 or part > 0),
                dataflow=dataflow,
                groups=block.groups,
                act_group=each * g.element_bytes if block.groups > 1 else 0,
            )

    def _load_weights(self, piece: Piece) -> int:
        """Load a weight tile unless it is there; return the address of its parameters (after the last depth tile)."""
        address, size, params_at = self._weight_blob(piece)
        key, pinned = piece.key, self.places.pinned if piece.key in self._staying else None
        found = self.wgt.find(key) if pinned is None else pinned.find(address)
        if found is None:
            found = self.wgt.claim(key) if pinned is None else pinned.claim(address, size)
            self.emitter.emit("load_weights", src=address, dst=found, bytes=size)
        self._weights_at = found
        return found + params_at

    def _weight_blob(self, piece: Piece) -> tuple[int, int, int]:
        """Return the address and bytes of a weight tile among the constants, and where in it its parameters start."""
        key, block = piece.key, piece.block
        if key not in self._blobs:
            head = self.stage.head
            assert head is not None
            data = self.weights.tile(block, piece.first, piece.depth, (piece.top, piece.bottom))
            params_at = round_up(len(data), 4 * self.g.element_bytes)
            data += bytes(params_at - len(data))
            if piece.last:
                data += requantize_params(self.graph, head, self.weights, block, self.emitter.chip.requantization)
            self._blobs[key] = (self.emitter.constants.add_bytes(data), len(data), params_at)
        return self._blobs[key]

    def _requantize(self, head: Layer, block: Block, size: tuple[int, int], acc: int, params: int) -> Current:
        result = self._tensor(head.outputs[0])
        raw = result.dtype == "int32"
        dst = self._sums_place(block, size) if raw else self.destination(-1, *size, self.g.pitch(block.count))
        tiles = {"acc": Current(acc, *size, self._acc_col(block)), "dst": dst}
        common = {"n": block.count, "params": params}
        if raw:
            emit_pixels(self, "drain", tiles, **common)
            return dst
        low, high = clamp_bounds(head.attrs.get("activation"), quant_of(result), result.dtype)
        if self.wide:
            emit_pixels(self, "requantize16", tiles, **common, low=low, high=high)
            return dst
        name = "requantize" if self.emitter.chip.requantization == "float32" else "requantize_fixed"
        common |= {"low": low + excess(result), "high": high + excess(result), "zero_point": stored_zero(result)}
        emit_pixels(self, name, tiles, **common)
        return dst

    def _sums_place(self, block: Block, size: tuple[int, int]) -> Current:
        """Return where a block's int32 sums go: behind those that are stored with them."""
        first, _ = stored_with(self.g, self.t, self.share.channels, block)
        if self._sums[0] != first:
            self._sums = first, self.target(-1)
        return Current(self._sums[1] + 4 * (block.first - first), *size, 4 * block.count)

    # --- to and from DRAM

    def _load_source(self, block: Block, tile: MapTile, need: Need, channel: int, depth: int, zero: int) -> Current:
        """Return the source tile, loaded unless it is there."""
        if self.stage.head is None or self.g.depthwise:
            channel = block.first
        return self.load(self.source, self.source_view, self.stage.source, tile.image, need, channel, depth, zero)

    def _held(self, view: View, image: int, need: Need, channel: int) -> Current:
        """Return a tile of a map on chip, its padding included; the view's offset is its place in the buffer."""
        (y0, _, top, _), (x0, _, left, _) = need.rows, need.cols
        sn, sh, sw = view.strides
        at = view.offset + image * sn + (y0 - top) * sh + (x0 - left) * sw + channel * self.g.element_bytes
        return Current(at, *need.frame, sw, loaded=True, row=sh)

    def load(
        self, into: Slots, view: View, name: str, image: int, need: Need, channel: int, depth: int, zero: int
    ) -> Current:
        """Return a tile of a tensor with its padding: where it lies if the tensor is held, else loaded into a slot."""
        if view.region == ON_CHIP:
            return self._held(view, image, need, channel)
        pitch = self.g.pitch(depth)
        at = self._loaded(into, view, name, image, need, channel, depth, zero)
        return Current(at, *need.frame, pitch, loaded=True)

    def _loaded(
        self, into: Slots, view: View, name: str, image: int, need: Need, channel: int, depth: int, zero: int
    ) -> int:
        """Load a tile into a slot unless a slot holds it; return its address."""
        key = (name, image, need, channel, depth)
        found = into.find(key)
        if found is not None:
            return found
        at = into.claim(key)
        (y0, y1, top, bottom), (x0, x1, left, right) = need.rows, need.cols
        pitch, element = self.g.pitch(depth), self.g.element_bytes
        whole = depth == view.extents[3] and view.pitch == pitch
        sn, sh, sw = view.strides
        self.emitter.emit(
            "load",
            src=self.places.address(view) + image * sn + y0 * sh + x0 * sw + channel * element,
            dst=at,
            rows=y1 - y0,
            cols=x1 - x0,
            bytes=pitch if whole else depth * element,
            pad_value=zero,
            src_row=sh,
            src_col=sw,
            dst_row=need.frame[1] * pitch,
            dst_col=pitch,
            pad_top=top,
            pad_left=left,
            pad_bottom=bottom,
            pad_right=right,
        )
        return at

    def _store(self, block: Block, tile: MapTile, current: Current) -> None:
        view = self.out_view
        first, last = stored_with(self.g, self.t, self.share.channels, block)
        if not last:
            return
        self._sums = -1, 0
        sn, sh, sw = view.strides
        before = (block.first - first) * view.element_bytes  # of what is stored with it
        size = before + block.count * view.element_bytes
        whole = block.count == view.extents[3] and sw == current.pitch and view.contiguous
        self.emitter.emit(
            "store",
            dst=self.places.address(view)
            + tile.image * sn
            + tile.top * sh
            + tile.left * sw
            + first * view.element_bytes,
            src=current.at - before,
            rows=current.rows,
            cols=current.cols,
            bytes=current.pitch if whole else size,
            dst_row=sh,
            dst_col=sw,
            src_row=current.cols * current.pitch,
            src_col=current.pitch,
        )
