"""Lowering of layers that only move bytes: a load and a store for each move, a lookup between them if values change."""

from __future__ import annotations

import numpy as np

from accelc.arithmetic import quantize_array, table
from accelc.graph import RANGE, WIDE, Array, Layer
from accelc.lower.pack import excess, quant_of, stored_constant, stored_table
from accelc.lower.places import Places
from accelc.lower.wide import function_table
from accelc.schedule.copies import Copy, copies_of
from accelc.schedule.moves import LINE, TABLE, Move, Side, moves, room_of
from accelc.schedule.stages import Stage
from accelc.schedule.views import View, owned


def lower_copy(places: Places, stage: Stage) -> None:
    """Emit the moves of one layer."""
    layer, e = stage.steps[0], places.emitter
    e.layer = places.layer_index[layer.name]
    view = places.views[layer.outputs[0]]
    for copy in copies_of(places.graph, places.views, layer):
        source, target = _source(places, layer, copy, view) + copy.start, places.address(view) + copy.into
        change = _requantizing(places, layer, copy.source) if copy.changed else None
        for move in moves(e.chip.timing, copy.loops, room_of(e.floor)):
            _emit(places, move, source, target, change)


def _source(places: Places, layer: Layer, copy: Copy, view: View) -> int:
    """Return the address of what is copied; constants are put in place on first use."""
    if not copy.source:
        return _padding(places, layer, view)
    tensor = places.graph.tensors[copy.source]
    if tensor.data is None:
        return places.address(places.views[tensor.name])
    return places.address(places.constant_view(tensor.name, stored_constant(tensor, owned(tensor).extents[3])))


def _padding(places: Places, layer: Layer, view: View) -> int:
    """Return the address of a pixel of the padding value."""
    out = places.graph.tensors[layer.outputs[0]]
    value = int(quantize_array(np.asarray(layer.attrs["value"]), quant_of(out), out.dtype)) + excess(out)
    kind = np.int16 if view.element_bytes > 1 else np.uint8
    return places.emitter.constants.add(np.full(view.extents[3], value, kind))


def _requantizing(places: Places, layer: Layer, source: str) -> Array:
    """Return the table from the input's stored bytes to the output's; for 16-bit elements, the constants of a line."""
    y = places.graph.tensors[layer.outputs[0]]
    change = Layer(layer.name, "requantize", (source,), (y.name,))
    if y.dtype == WIDE:
        return function_table(places.graph, change)
    return stored_table(table(places.graph, change), y)


def _emit(places: Places, move: Move, source: int, target: int, change: Array | None) -> None:
    e = places.emitter
    at, place = e.claim(move.bytes + LINE, 0 if change is None else change.size)
    for start, chip in move.load.starts:
        _load(places, move.load, source + move.source + start, at + chip)
    if change is not None:
        _change(places, change, at, place, move.bytes)
    for start, chip in move.store.starts:
        _store(places, move.store, target + move.target + start, at + chip)


def _load(places: Places, side: Side, source: int, at: int) -> None:
    places.emitter.emit(
        "load",
        src=source,
        dst=at,
        rows=side.rows,
        cols=side.cols,
        bytes=side.bytes,
        pad_value=0,
        src_row=side.row,
        src_col=side.col,
        dst_row=side.chip_row,
        dst_col=side.chip_col,
        pad_top=0,
        pad_left=0,
        pad_bottom=0,
        pad_right=0,
    )


def _store(places: Places, side: Side, target: int, at: int) -> None:
    places.emitter.emit(
        "store",
        dst=target,
        src=at,
        rows=side.rows,
        cols=side.cols,
        bytes=side.bytes,
        dst_row=side.row,
        dst_col=side.col,
        src_row=side.chip_row,
        src_col=side.chip_col,
    )


def _change(places: Places, change: Array, at: int, place: int, count: int) -> None:
    """Emit the vector work that gives bytes on chip their new values."""
    e, address = places.emitter, places.emitter.constants.add(change)
    e.emit("load_weights", src=address, dst=place, bytes=change.size)
    lines = {"src": at, "src_col": LINE, "dst": at, "dst_col": LINE, "pixels": -(-count // LINE), "per_channel": 0}
    if change.size == TABLE:
        e.emit("lookup", **lines, n=LINE, table=place)
    else:
        low, high = RANGE[WIDE]
        e.emit("lines16", **lines, n=LINE // 2, params=place, low=low, high=high)
