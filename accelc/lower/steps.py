"""Lowering of one vector step on the tile at hand."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from accelc.arithmetic import (
    add_constants,
    clamp_bounds,
    fixed_multiplier,
    global_average_scale,
    lrn_constants,
    mul_scale,
    softmax_table,
    table,
)
from accelc.errors import ScheduleError
from accelc.graph import ELEMENTWISE, TABLE_OPS, WIDE, Layer
from accelc.lower import wide
from accelc.lower.emitter import Slots
from accelc.lower.pack import excess, quant_of, stored_constant, stored_table, stored_zero
from accelc.lower.places import Places
from accelc.schedule.geometry import Window
from accelc.schedule.stages import Stage
from accelc.schedule.tiling import Block
from accelc.schedule.views import View, round_up

if TYPE_CHECKING:
    from accelc.lower.tile import MapTile, Need, TileStage


@dataclass(frozen=True)
class Current:
    """The tile at hand: address, rows, columns, bytes from pixel to pixel; `loaded` while it is the stage's source.

    `row` are the bytes from row to row, -1 where rows adjoin.
    """

    at: int
    rows: int
    cols: int
    pitch: int
    loaded: bool = False
    row: int = -1

    @property
    def row_bytes(self) -> int:
        """Return the bytes from row to row."""
        return self.row if self.row >= 0 else self.cols * self.pitch

    @property
    def adjoins(self) -> bool:
        """Return whether all pixels are one run."""
        return self.rows == 1 or self.row_bytes == self.cols * self.pitch

    @property
    def pixels(self) -> int:
        """Return rows times columns."""
        return self.rows * self.cols


@dataclass
class StepTable:
    """A step's constants in the weight buffer: where, how large for a block of channels, and which block is there."""

    data: npt.NDArray[np.uint8]
    per_channel: bool
    at: int = -1
    held: Hashable = field(default=None)

    def room(self, channels: int) -> int:
        """Return the bytes for a block of so many channels."""
        return round_up(int(self.data.shape[-1]) * (channels if self.per_channel else 1), 64)


def step_tables(places: Places, stage: Stage) -> dict[str, StepTable]:
    """Return the table of each step that has one."""
    graph, found = places.graph, {}
    for step in stage.steps:
        source, result = graph.tensors[step.inputs[0]], graph.tensors[step.outputs[0]]
        if step.op in TABLE_OPS and result.dtype == WIDE:
            data = wide.function_table(graph, step)
            found[step.name] = StepTable(data, data.ndim == 2)
        elif step.op in TABLE_OPS:
            data = stored_table(table(graph, step), result)
            found[step.name] = StepTable(data, data.ndim == 2)
        elif step.op == "softmax" and result.dtype != WIDE:
            values = softmax_table(quant_of(source), source.shape[1])
            found[step.name] = StepTable(values.astype("<i4").view(np.uint8), False)
    return found


def load_table(stage: TileStage, step: Layer, block: Block) -> int:
    """Load a step's table for a block of channels unless it is there; return its address."""
    entry = stage.tables[step.name]
    if entry.at < 0:
        entry.at = stage.table_at
        stage.table_at += entry.room(stage.t.channels)
    key = block.first if entry.per_channel else 0
    if entry.held != key:
        rows = entry.data[block.first : block.first + block.count] if entry.per_channel else entry.data
        address = stage.emitter.constants.add(rows)
        stage.emitter.emit("load_weights", src=address, dst=entry.at, bytes=rows.size)
        entry.held = key
    return int(entry.at)


def lower_step(
    stage: TileStage, step: Layer, index: int, block: Block, tile: MapTile, mid: Need, current: Current
) -> Current:
    """Emit one step and return the tile it leaves."""
    if step.op in TABLE_OPS:
        return _lookup(stage, step, index, block, current)
    if step.op in ELEMENTWISE:
        return _elementwise(stage, step, index, block, tile, mid, current)
    if step.op in ("max_pool", "avg_pool", "global_max_pool"):
        return _window(stage, step, index, block, tile, mid, current)
    if step.op == "global_avg_pool":
        return _mean(stage, step, index, block, current)
    return _across_channels(stage, step, index, block, current)


def emit_pixels(stage: TileStage, name: str, tiles: Mapping[str, Current], **operands: int | float) -> None:
    """Emit an instruction over the pixels of tiles, by operand; one for each row unless the rows of all adjoin."""
    first = next(iter(tiles.values()))
    whole = all(tile.adjoins for tile in tiles.values())
    rows, pixels = (1, first.pixels) if whole else (first.rows, first.cols)
    pitches = {f"{key}_col": tile.pitch for key, tile in tiles.items()}
    for y in range(rows):
        places = {key: tile.at + y * tile.row_bytes for key, tile in tiles.items()}
        stage.emitter.emit(name, **operands, **places, **pitches, pixels=pixels)


def _result(stage: TileStage, index: int, block: Block, current: Current) -> Current:
    """Return where a step of one pixel each writes: in place, unless the tile is the source or the last step's."""
    if not current.loaded and (stage.result is None or index < len(stage.stage.steps) - 1):
        return current
    return stage.destination(index, current.rows, current.cols, stage.g.pitch(block.count))


def _lookup(stage: TileStage, step: Layer, index: int, block: Block, current: Current) -> Current:
    at = load_table(stage, step, block)
    to = _result(stage, index, block, current)
    tiles = {"src": current, "dst": to}
    per_channel = int(stage.tables[step.name].per_channel)
    if not stage.wide:
        emit_pixels(stage, "lookup", tiles, n=block.count, table=at, per_channel=per_channel)
        return to
    name, bounds = wide.function_bounds(stage.graph, step)
    place = {"table": at} if name == "curve16" else {"params": at, "per_channel": per_channel}
    emit_pixels(stage, name, tiles, n=block.count, **place, **bounds)
    return to


def _elementwise(
    stage: TileStage, step: Layer, index: int, block: Block, tile: MapTile, mid: Need, current: Current
) -> Current:
    mine = _position(stage, step, index)
    other_name = step.inputs[1 - mine]
    slot = stage.others[[s.name for s in stage.stage.steps if s.op in ELEMENTWISE].index(step.name)]
    other = _load_other(stage, other_name, slot, block, tile, mid, step)
    to = _result(stage, index, block, current)
    a, b = (current, other) if mine == 0 else (other, current)
    constants = wide.element_operands(stage.graph, step) if stage.wide else _constants(stage, step)
    name = stage.form("mul" if step.op == "mul" else "add")
    emit_pixels(stage, name, {"dst": to, "a": a, "b": b}, n=block.count, **constants)
    return to


def _position(stage: TileStage, step: Layer, index: int) -> int:
    """Return which operand of an elementwise step is the tile at hand."""
    layers = stage.stage.layers
    at = layers.index(step)
    name = layers[at - 1].outputs[0] if at else stage.stage.source
    del index
    return step.inputs.index(name)


def _constants(stage: TileStage, step: Layer) -> dict[str, int | float]:
    a, b, y = (stage.graph.tensors[n] for n in (*step.inputs, step.outputs[0]))
    low, high = clamp_bounds(step.attrs.get("activation"), quant_of(y), y.dtype)
    bounds = {"excess_dst": excess(y), "low": low + excess(y), "high": high + excess(y)}
    quants = quant_of(a), quant_of(b), quant_of(y)
    if step.op == "mul":
        return {
            "scale": float(mul_scale(*quants)),
            "zero_a": stored_zero(a),
            "zero_b": stored_zero(b),
            "zero_point": float(quants[2].zero_point),
            **bounds,
        }
    scale_a, scale_b, offset = add_constants(*quants, subtract=step.op == "sub")
    return {
        "scale_a": float(scale_a),
        "scale_b": float(scale_b),
        "offset": float(offset),
        "excess_a": excess(a),
        "excess_b": excess(b),
        **bounds,
    }


def _load_other(
    stage: TileStage, name: str, slot: Slots, block: Block, tile: MapTile, mid: Need, step: Layer
) -> Current:
    """Load the second operand; extents of 1 are repeated, a single pixel by a pixel step of zero."""
    view = _other_view(stage, name)
    n, h, w, c = view.extents
    if c < stage.g.mid[2]:
        raise ScheduleError(
            f"layer '{step.name}' ({step.op}): '{name}' has {c} channels for {stage.g.mid[2]}; "
            "a constant, or an operand with all channels, works"
        )
    image = tile.image if n > 1 else 0
    if (h, w) == (1, 1) and mid.frame != (1, 1) and step.inputs[1] == name:
        single = replace(mid, rows=(0, 1, 0, 0), cols=(0, 1, 0, 0))
        at = stage.load(slot, view, name, image, single, block.first, block.count, 0).at
        return Current(at, *mid.frame, 0)
    sn, sh, sw = view.strides
    above = stage.part.mid * sh if h > 1 else 0
    view = replace(view, offset=view.offset + above, strides=(sn, sh if h > 1 else 0, sw if w > 1 else 0))
    return stage.load(slot, view, name, image, mid, block.first, block.count, 0)


def _other_view(stage: TileStage, name: str) -> View:
    tensor = stage.graph.tensors[name]
    if tensor.data is None:
        return stage.fold(stage.places.view(name))
    return stage.fold(stage.places.constant_view(name, stored_constant(tensor, stage.g.mid[2])))


def _window(
    stage: TileStage, step: Layer, index: int, block: Block, tile: MapTile, mid: Need, current: Current
) -> Current:
    pool, (height, width, _) = stage.g.pool, stage.g.mid
    assert pool is not None
    rows, cols = tile.bottom - tile.top, tile.right - tile.left
    need_rows = pool[0].needs(tile.top, tile.bottom, height)
    need_cols = pool[1].needs(tile.left, tile.right, width)
    to = stage.destination(index, rows, cols, stage.g.pitch(block.count))
    common: dict[str, int | float] = {
        "src": current.at,
        "src_row": current.row_bytes,
        "src_col": current.pitch,
        "in_rows": current.rows,
        "in_cols": current.cols,
        "cols": cols,
        "left": need_cols[2],
        "kernel_y": pool[0].kernel,
        "kernel_x": pool[1].kernel,
        "stride_y": min(pool[0].stride, 255),
        "stride_x": min(pool[1].stride, 255),
        "dilation_y": pool[0].dilation,
        "dilation_x": pool[1].dilation,
        "n": block.count,
        "dst_col": to.pitch,
    }
    common |= {} if step.op != "avg_pool" else _mean_operands(stage, step, pool, mid)
    name, stride = stage.form("avg_pool" if step.op == "avg_pool" else "max_pool"), common["stride_y"]
    for first, count in [(0, rows)] if to.adjoins else [(y, 1) for y in range(rows)]:
        place = {"rows": count, "top": need_rows[2] - first * int(stride), "dst": to.at + first * to.row_bytes}
        stage.emitter.emit(name, **common, **place)
    return to


def _mean_operands(stage: TileStage, step: Layer, pool: tuple[Window, Window], mid: Need) -> dict[str, int | float]:
    """Return what an average takes beside a maximum: where padding counts, scales and zero points."""
    x, y = stage.graph.tensors[step.inputs[0]], stage.graph.tensors[step.outputs[0]]
    bottom = right = -1
    if step.attrs["count_include_pad"]:
        bottom = pool[0].after if mid.rows[1] == stage.g.mid[0] else 0
        right = pool[1].after if mid.cols[1] == stage.g.mid[1] else 0
    zeros = {"zero_src": stored_zero(x), "zero_dst": stored_zero(y), "excess_dst": excess(y)}
    return {
        "bottom": bottom,
        "right": right,
        "scale_src": float(quant_of(x).scale),
        "scale_dst": float(quant_of(y).scale),
        **({} if stage.wide else zeros),
    }


def _mean(stage: TileStage, step: Layer, index: int, block: Block, current: Current) -> Current:
    x, y = stage.graph.tensors[step.inputs[0]], stage.graph.tensors[step.outputs[0]]
    to = stage.destination(index, 1, 1, stage.g.pitch(block.count))
    common: dict[str, int] = {
        "src": current.at,
        "src_col": current.pitch,
        "pixels": current.pixels,
        "n": block.count,
        "dst": to.at,
    }
    scale = global_average_scale(quant_of(x), quant_of(y), current.pixels)
    if stage.wide:
        stage.emitter.emit("mean16", **common, scale=float(scale))
        return to
    common |= {"zero_src": stored_zero(x), "zero_dst": stored_zero(y)}
    if stage.emitter.chip.requantization == "fixed":
        multiplier, shift = fixed_multiplier(float(quant_of(x).scale) / (float(quant_of(y).scale) * current.pixels))
        stage.emitter.emit("mean_fixed", **common, multiplier=multiplier, shift=shift)
        return to
    stage.emitter.emit("mean", **common, scale=float(scale))
    return to


def _across_channels(stage: TileStage, step: Layer, index: int, block: Block, current: Current) -> Current:
    x, y = stage.graph.tensors[step.inputs[0]], stage.graph.tensors[step.outputs[0]]
    to = _result(stage, index, block, replace(current, loaded=True))
    tiles, n = {"src": current, "dst": to}, block.count
    if stage.wide:
        scales = {"scale_src": float(quant_of(x).scale), "scale_dst": float(quant_of(y).scale)}
        more = scales if step.op == "softmax" else wide.lrn_operands(stage.graph, step)
        emit_pixels(stage, stage.form(step.op), tiles, n=n, **more)
        return to
    if step.op == "softmax":
        at, scale = load_table(stage, step, block), float(quant_of(y).scale)
        emit_pixels(stage, "softmax", tiles, n=n, table=at, scale_dst=scale, zero_dst=stored_zero(y))
        return to
    k = lrn_constants(step, quant_of(x), quant_of(y))
    emit_pixels(
        stage,
        "lrn",
        tiles,
        n=n,
        before=k.before,
        after=k.after,
        square_scale=float(k.square_scale),
        bias=float(k.bias),
        exponent=float(k.exponent),
        scale_src=float(k.scale_in),
        scale_dst=float(k.scale_out),
        zero_src=stored_zero(x),
        zero_dst=stored_zero(y),
    )
    return to
