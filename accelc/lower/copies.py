"""Lowering of layers that only move bytes: joined inputs placed apart; slices, pads, reshapes, transposes."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np

from accelc.arithmetic import quantize_array, table
from accelc.graph import JOIN_OPS, RANGE, WIDE, Array, Layer
from accelc.lower.pack import excess, quant_of, stored_constant, stored_table
from accelc.lower.places import Places
from accelc.lower.wide import function_table
from accelc.schedule.stages import Stage, copied_inputs
from accelc.schedule.views import View, joined, owned, same_quant, strides_of

LINE = 32  # bytes a lookup takes as one pixel when a tile is treated as plain bytes
FIELD = 65535
TABLE = 256  # bytes of a lookup's table


@dataclass(frozen=True)
class Loop:
    """One loop of a move: how often, and the byte steps in source and destination."""

    extent: int
    source: int
    target: int


def lower_copy(places: Places, stage: Stage) -> None:
    """Emit the moves of one layer."""
    layer = stage.steps[0]
    places.emitter.layer = places.layer_index[layer.name]
    out = places.graph.tensors[layer.outputs[0]]
    view = places.views[out.name]
    if layer.op in JOIN_OPS:
        _join(places, layer, view)
        return
    source = places.graph.tensors[layer.inputs[0]]
    before, strides = places.views[source.name], strides_of(places.views[source.name], source.shape)
    targets = strides_of(view, out.shape)
    start, into, shape = 0, 0, out.shape
    if layer.op == "slice":
        start = sum(s * k for s, k in zip(strides, layer.attrs["starts"], strict=True))
        strides = [s * k for s, k in zip(strides, layer.attrs["steps"], strict=True)]
    elif layer.op == "transpose":
        strides = [strides[k] for k in layer.attrs["perm"]]
    elif layer.op == "pad":
        _fill(places, layer, view)
        into = sum(s * k for s, k in zip(targets, layer.attrs["begin"], strict=True))
        shape = source.shape
    else:
        _reshape(places, before, view, (source.shape, strides), (out.shape, targets), _requantizing(places, layer))
        return
    loops = [Loop(e, s, t) for e, s, t in zip(shape, strides, targets, strict=True)] + [_element(view)]
    _move(places, places.address(before) + start, places.address(view) + into, loops, _requantizing(places, layer))


def _element(view: View) -> Loop:
    """Return the loop over the bytes of one element."""
    return Loop(view.element_bytes, 1, 1)


def _requantizing(places: Places, layer: Layer, source: str = "") -> Array | None:
    """Return the table from the input's stored bytes to the output's, None if they mean the same.

    For 16-bit elements it is the constants of a line.
    """
    x, y = places.graph.tensors[source or layer.inputs[0]], places.graph.tensors[layer.outputs[0]]
    if same_quant(x.quant, y.quant) and x.dtype == y.dtype:
        return None
    change = Layer(layer.name, "requantize", (x.name,), (y.name,))
    if y.dtype == WIDE:
        return function_table(places.graph, change)
    return stored_table(table(places.graph, change), y)


def _join(places: Places, layer: Layer, view: View) -> None:
    graph = places.graph
    moved = set(copied_inputs(layer, places.views))
    for index, name in enumerate(layer.inputs):
        if name not in moved:
            continue
        part, place = graph.tensors[name], joined(graph, layer, view, index)
        source = _constant(places, name) if part.data is not None else places.views[name]
        steps = zip(part.shape, strides_of(source, part.shape), strides_of(place, part.shape), strict=True)
        change = _requantizing(places, layer, name)
        loops = [*(Loop(*s) for s in steps), _element(view)]
        _move(places, places.address(source), places.address(place), loops, change)


def _constant(places: Places, name: str) -> View:
    tensor = places.graph.tensors[name]
    return places.constant_view(name, stored_constant(tensor, owned(tensor).extents[3]))


def _fill(places: Places, layer: Layer, view: View) -> None:
    """Write the padding value over the whole result."""
    out = places.graph.tensors[layer.outputs[0]]
    value = int(quantize_array(np.asarray(layer.attrs["value"]), quant_of(out), out.dtype)) + excess(out)
    n, h, w, c = view.extents
    size = view.element_bytes
    address = places.emitter.constants.add(np.full(c, value, np.int16 if size > 1 else np.uint8))
    sn, sh, sw = view.strides
    loops = [Loop(n, 0, sn), Loop(h, 0, sh), Loop(w, 0, sw), Loop(c * size, 1, 1)]
    _move(places, address, places.address(view), loops, None)


def _reshape(
    places: Places,
    before: View,
    after: View,
    source: tuple[Sequence[int], Sequence[int]],
    target: tuple[Sequence[int], Sequence[int]],
    change: Array | None,
) -> None:
    """Move elements in row-major order; extents that do not divide each other are walked one by one."""
    loops, left, right = _refine(list(zip(*source, strict=True)), list(zip(*target, strict=True)))
    offsets = zip(_offsets(left), _offsets(right), strict=True)
    loops.append(_element(after))
    for start, into in offsets:
        _move(places, places.address(before) + start, places.address(after) + into, loops, change)


Axes = list[tuple[int, int]]  # (extent, stride)


def _refine(source: Axes, target: Axes) -> tuple[list[Loop], Axes, Axes]:
    """Return the loops both sides share, from the last axis on, and what is left of each side."""
    left, right = [a for a in source if a[0] > 1], [a for a in target if a[0] > 1]
    loops: list[Loop] = []
    while left and right:
        (a, sa), (b, sb) = left[-1], right[-1]
        common = math.gcd(a, b)
        if common not in (a, b):
            break
        loops.insert(0, Loop(common, sa, sb))
        left[-1:] = [(a // common, sa * common)] if a > common else []
        right[-1:] = [(b // common, sb * common)] if b > common else []
    return loops, left, right


def _offsets(axes: Axes) -> Iterator[int]:
    for index in product(*(range(extent) for extent, _ in axes)):
        yield sum(k * stride for k, (_, stride) in zip(index, axes, strict=True))


def merge(loops: Sequence[Loop]) -> list[Loop]:
    """Return the loops without those of one turn, neighbors joined where one runs on from the other."""
    merged: list[Loop] = []
    for loop in (entry for entry in loops if entry.extent > 1):
        if merged and merged[-1].source == loop.extent * loop.source and merged[-1].target == loop.extent * loop.target:
            merged[-1] = Loop(merged[-1].extent * loop.extent, loop.source, loop.target)
        else:
            merged.append(loop)
    return merged


def _move(places: Places, source: int, target: int, loops: Sequence[Loop], change: Array | None) -> None:
    """Emit loads and stores that move one byte for each turn of the loops, by way of a compact tile."""
    loops = merge(loops)
    run = next((k for k, loop in enumerate(loops) if loop.source == 1 and loop.target == 1), None)
    inner = 1 if run is None else loops[run].extent
    outer = sorted((loop for k, loop in enumerate(loops) if k != run), key=lambda loop: -loop.extent)
    while len(outer) < 2:
        outer.append(Loop(1, 0, 0))
    rows, cols, rest = outer[1], outer[0], outer[2:]
    for index in product(*(range(loop.extent) for loop in rest)):
        start = source + sum(k * loop.source for k, loop in zip(index, rest, strict=True))
        into = target + sum(k * loop.target for k, loop in zip(index, rest, strict=True))
        _move_plane(places, start, into, rows, cols, inner, change)


def _move_plane(
    places: Places,
    source: int,
    target: int,
    rows: Loop,
    cols: Loop,
    run: int,
    change: Array | None,
) -> None:
    room = places.emitter.floor // 4
    runs = min(run, room - LINE)
    wide = min(cols.extent, FIELD, max(1, (room - LINE) // runs))
    high = min(rows.extent, FIELD, max(1, (room - LINE) // (runs * wide)))
    for b in range(0, run, runs):
        for x in range(0, cols.extent, wide):
            for y in range(0, rows.extent, high):
                size = min(high, rows.extent - y), min(wide, cols.extent - x), min(runs, run - b)
                start = source + b + x * cols.source + y * rows.source
                into = target + b + x * cols.target + y * rows.target
                _move_tile(places, start, into, rows, cols, size, change)


def _move_tile(
    places: Places,
    source: int,
    target: int,
    rows: Loop,
    cols: Loop,
    size: tuple[int, int, int],
    change: Array | None,
) -> None:
    e, (high, wide, run) = places.emitter, size
    total = high * wide * run
    at, place = e.claim(total + LINE, 0 if change is None else change.size)
    compact = {"rows": high, "cols": wide, "bytes": run}
    e.emit(
        "load",
        src=source,
        dst=at,
        **compact,
        pad_value=0,
        src_row=rows.source,
        src_col=cols.source,
        dst_row=wide * run,
        dst_col=run,
        pad_top=0,
        pad_left=0,
        pad_bottom=0,
        pad_right=0,
    )
    if change is not None:
        address = e.constants.add(change)
        e.emit("load_weights", src=address, dst=place, bytes=change.size)
        lines = {"src": at, "src_col": LINE, "dst": at, "dst_col": LINE, "pixels": -(-total // LINE), "per_channel": 0}
        if change.size == TABLE:
            e.emit("lookup", **lines, n=LINE, table=place)
        else:
            low, high = RANGE[WIDE]
            e.emit("lines16", **lines, n=LINE // 2, params=place, low=low, high=high)
    e.emit(
        "store",
        dst=target,
        src=at,
        **compact,
        dst_row=rows.target,
        dst_col=cols.target,
        src_row=wide * run,
        src_col=run,
    )
