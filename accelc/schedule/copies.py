"""What layers that only move bytes move: joined inputs placed apart; slices, pads, reshapes, transposes."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product

from accelc.graph import JOIN_OPS, Graph, Layer
from accelc.schedule.moves import Loop
from accelc.schedule.stages import copied_inputs
from accelc.schedule.views import PITCH, View, joined, owned, round_up, same_quant, strides_of


@dataclass(frozen=True)
class Copy:
    """Bytes that move in nested loops, from the first element of a tensor, or past it, to that of a layer's result.

    Without a `source` they are one pixel's padding value, again and again. `changed` says that what the bytes mean
    changes on the way.
    """

    source: str
    start: int
    into: int
    loops: tuple[Loop, ...]
    changed: bool


def copies_of(graph: Graph, views: Mapping[str, View], layer: Layer) -> Iterator[Copy]:
    """Yield the copies of a layer in their order."""
    view = views[layer.outputs[0]]
    if layer.op in JOIN_OPS:
        yield from _joins(graph, views, layer, view)
        return
    out, source = graph.tensors[layer.outputs[0]], graph.tensors[layer.inputs[0]]
    before, changed = views[source.name], requantizes(graph, source.name, layer)
    strides, targets = strides_of(before, source.shape), strides_of(view, out.shape)
    start, into, shape = 0, 0, out.shape
    if layer.op == "slice":
        start = sum(s * k for s, k in zip(strides, layer.attrs["starts"], strict=True))
        strides = [s * k for s, k in zip(strides, layer.attrs["steps"], strict=True)]
    elif layer.op == "transpose":
        strides = [strides[k] for k in layer.attrs["perm"]]
    elif layer.op == "pad":
        yield _filling(view)
        into = sum(s * k for s, k in zip(targets, layer.attrs["begin"], strict=True))
        shape = source.shape
    else:
        for start, into, loops in _reshape((source.shape, strides), (out.shape, targets)):
            yield Copy(source.name, start, into, _bytes(loops, before, view), changed)
        return
    loops = [Loop(*steps) for steps in zip(shape, strides, targets, strict=True)]
    yield Copy(source.name, start, into, _bytes(loops, before, view), changed)


def requantizes(graph: Graph, source: str, layer: Layer) -> bool:
    """Return whether bytes of an input mean something else in a layer's result."""
    x, y = graph.tensors[source], graph.tensors[layer.outputs[0]]
    return not same_quant(x.quant, y.quant) or x.dtype != y.dtype


def _joins(graph: Graph, views: Mapping[str, View], layer: Layer, view: View) -> Iterator[Copy]:
    moved = set(copied_inputs(layer, views))
    for index, name in enumerate(layer.inputs):
        if name not in moved:
            continue
        part, place = graph.tensors[name], joined(graph, layer, view, index)
        source = views[name] if part.data is None else owned(part)
        steps = zip(part.shape, strides_of(source, part.shape), strides_of(place, part.shape), strict=True)
        loops = _bytes([Loop(*s) for s in steps], source, place)
        yield Copy(name, 0, place.offset - view.offset, loops, requantizes(graph, name, layer))


def _filling(view: View) -> Copy:
    """Return the copy that writes the padding value over a whole result."""
    (n, h, w, c), (sn, sh, sw) = view.extents, view.strides
    return Copy("", 0, 0, (Loop(n, 0, sn), Loop(h, 0, sh), Loop(w, 0, sw), Loop(c * view.element_bytes, 1, 1)), False)


def _bytes(loops: Sequence[Loop], before: View, after: View) -> tuple[Loop, ...]:
    """Return loops over elements as loops over bytes; one over all channels may take a pixel's padding with it."""
    size = after.element_bytes
    left, right = _channels(before), _channels(after)
    found = []
    for loop in (loop for loop in loops if loop.extent > 1):
        if loop.extent == before.extents[3] and loop.source == size:
            loop = replace(loop, load=left)
        if loop.extent == after.extents[3] and loop.target == size:
            loop = replace(loop, store=right)
        found.append(loop)
    single = Loop(1, size, size, left if before.extents[3] == 1 else 1, right if after.extents[3] == 1 else 1)
    return (*found, single, Loop(size, 1, 1))


def _channels(view: View) -> int:
    """Return the channels of a pixel with those that pad it, if nothing else lies there."""
    size, channels = view.element_bytes, view.extents[3]
    room = round_up(channels * size, PITCH)
    return channels if view.shared or view.plain or view.pitch < room else room // size


Axes = list[tuple[int, int]]  # (extent, stride)
Shaped = tuple[Sequence[int], Sequence[int]]


def _reshape(source: Shaped, target: Shaped) -> Iterator[tuple[int, int, list[Loop]]]:
    """Yield moves of elements in row-major order; extents that do not divide each other are walked one by one."""
    loops, left, right = _refine(list(zip(*source, strict=True)), list(zip(*target, strict=True)))
    for start, into in zip(_offsets(left), _offsets(right), strict=True):
        yield start, into, loops


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
