"""Where tensors lie in DRAM: views with strides, so that concat, slice and many reshapes move nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from accelc.graph import JOIN_OPS, REAL_OPS, WIDE, Graph, Layer, Quant, Tensor, nhwc
from accelc.schedule.plain import is_plain, plain_names

PITCH = 4  # a pixel's channels start at a multiple of this many bytes, the array's input granule


def round_up(value: int, multiple: int) -> int:
    """Return the least multiple of `multiple` that is at least `value`."""
    return -(-value // multiple) * multiple


@dataclass(frozen=True)
class View:
    """A tensor's place: the region (named by the tensor that owns it), an offset, and byte strides of n, h and w.

    Channels are adjacent; an element takes `element_bytes` (1, 2 for int16, 4 for raw accumulators). A `plain` tensor
    lies in row-major order: one pixel of all its elements. A pixel of a `shared`
    one holds channels of other tensors too.
    """

    region: str
    offset: int
    extents: tuple[int, int, int, int]
    strides: tuple[int, int, int]
    element_bytes: int = 1
    plain: bool = False
    shared: bool = False
    steps: tuple[int, ...] = ()  # of a plain tensor that does not own its region: bytes from element to element by axis

    @property
    def pitch(self) -> int:
        """Return the bytes from one pixel to the next in a row."""
        return self.strides[2]

    @property
    def contiguous(self) -> bool:
        """Return whether rows and images follow each other without a gap, as a region's owner lies."""
        n, h, w, c = self.extents
        sn, sh, sw = self.strides
        tight = sw == round_up(c * self.element_bytes, PITCH)
        return tight and not self.shared and (h == 1 or sh == w * sw) and (n == 1 or sn == h * w * sw)

    @property
    def bytes(self) -> int:
        """Return the bytes from the first to past the last element's pixel."""
        n, h, w, _ = self.extents
        return (n - 1) * self.strides[0] + (h - 1) * self.strides[1] + w * self.strides[2]


def owned_plain(tensor: Tensor) -> View:
    """Return the view of a tensor of 32-bit numbers that owns its region."""
    pitch = 4 * tensor.elements
    return View(tensor.name, 0, (1, 1, 1, tensor.elements), (pitch, pitch, pitch), 4, plain=True)


def owned(tensor: Tensor) -> View:
    """Return the view of a tensor that owns its region."""
    n, h, w, c = nhwc(tensor.shape)
    size = {"int32": 4, WIDE: 2}.get(tensor.dtype, 1)
    pitch = round_up(c * size, PITCH)
    return View(tensor.name, 0, (n, h, w, c), (h * w * pitch, w * pitch, pitch), size)


def same_quant(a: Quant | None, b: Quant | None) -> bool:
    """Return whether two quantizations give every stored byte the same meaning."""
    if a is None or b is None:
        return a is b
    return np.array_equal(a.scale, b.scale) and np.array_equal(a.zero_point, b.zero_point)


def plan_views(graph: Graph) -> dict[str, View]:
    """Return the view of every activation: concat inputs lie in the result, slices and reshapes over their source."""
    from accelc.schedule.plain_views import plain_alias  # it makes views

    plain, consumers = plain_names(graph), graph.consumers()

    def own(name: str) -> View:
        return (owned_plain if name in plain else owned)(graph.tensors[name])

    views = {name: own(name) for name in graph.inputs}
    for layer in reversed(graph.layers):
        if layer.op in JOIN_OPS and layer.outputs[0] not in plain:
            _place_inputs(graph, layer, views)
    for layer in graph.layers:
        alias = None
        if layer.outputs[0] not in views and layer.outputs[0] not in graph.outputs:
            readers = consumers[layer.outputs[0]]
            alias = alias_of(graph, layer, views) or plain_alias(graph, layer, views, readers, plain)
        if alias is not None:
            views[layer.outputs[0]] = alias
        for name in layer.outputs:
            views.setdefault(name, own(name))
    return views


def _place_inputs(graph: Graph, layer: Layer, views: dict[str, View]) -> None:
    """Give each input of a concat or interleave that may live there its place inside the result."""
    out = graph.tensors[layer.outputs[0]]
    whole = views.setdefault(out.name, owned(out))
    producers = graph.producers()
    for index, name in enumerate(layer.inputs):
        part = graph.tensors[name]
        fixed = name in views or name in graph.outputs or layer.inputs.count(name) > 1 or name not in producers
        if not fixed and producers[name].op not in ("host", *REAL_OPS) and _same_bytes(part, out):
            views[name] = joined(graph, layer, whole, index)


def joined(graph: Graph, layer: Layer, whole: View, index: int) -> View:
    """Return where input number `index` of a concat or interleave lies in the result."""
    part = graph.tensors[layer.inputs[index]]
    if layer.op == "concat":
        axis = layer.attrs["axis"]
        return within(whole, part, axis, sum(graph.tensors[n].shape[axis] for n in layer.inputs[:index]))
    (top, left), (down, right) = layer.attrs["starts"][index], layer.attrs["strides"]
    sn, sh, sw = whole.strides
    offset = whole.offset + top * sh + left * sw
    return replace(whole, offset=offset, extents=nhwc(part.shape), strides=(sn, sh * down, sw * right))


def _same_bytes(a: Tensor, b: Tensor) -> bool:
    return a.dtype == b.dtype and same_quant(a.quant, b.quant)


def strides_by_axis(view: View, rank: int) -> list[int]:
    """Return the byte stride of each ONNX axis (of up to four; see `strides_of`)."""
    n, h, w = view.strides
    return {4: [n, view.element_bytes, h, w], 3: [n, view.element_bytes, w], 2: [n, view.element_bytes]}.get(
        rank, [view.element_bytes] * rank
    )


def strides_of(view: View, shape: tuple[int, ...]) -> list[int]:
    """Return the byte stride of each ONNX axis of a tensor of `shape`; leading axes share the batch."""
    if len(shape) <= 4:
        return strides_by_axis(view, len(shape))
    strides = strides_by_axis(view, 4)
    for extent in reversed(shape[1:-3]):
        strides.insert(0, strides[0] * extent)
    return strides


def from_axes(view: View, shape: tuple[int, ...], strides: list[int], offset: int) -> View | None:
    """Return a view of `shape` with a stride per ONNX axis, or None if its channels would not be adjacent."""
    if len(shape) > 4:
        return None
    n, h, w, c = nhwc(shape)
    by_axis = dict(zip({4: "nchw", 3: "ncw", 2: "nc", 1: "c", 0: ""}[len(shape)], strides, strict=True))
    if c > 1 and by_axis.get("c", view.element_bytes) != view.element_bytes:
        return None
    sw = by_axis.get("w", round_up(c * view.element_bytes, PITCH)) if w > 1 else round_up(c * view.element_bytes, PITCH)
    sh = by_axis["h"] if h > 1 else w * sw
    sn = by_axis["n"] if n > 1 else h * sh
    shared = view.shared or c != view.extents[3]
    return replace(view, offset=view.offset + offset, extents=(n, h, w, c), strides=(sn, sh, sw), shared=shared)


def within(whole: View, part: Tensor, axis: int, at: int) -> View:
    """Return the view of `part` inside `whole`, starting at index `at` of an ONNX axis."""
    strides = strides_by_axis(whole, len(part.shape))
    extents = nhwc(part.shape)
    shared = whole.shared or extents[3] != whole.extents[3]
    return replace(whole, offset=whole.offset + at * strides[axis], extents=extents, shared=shared)


def alias_of(graph: Graph, layer: Layer, views: Mapping[str, View]) -> View | None:
    """Return the output's view over the input's bytes when the layer moves nothing, else None."""
    if layer.op not in ("slice", "reshape", "transpose") or layer.inputs[0] not in views:
        return None
    source, out = graph.tensors[layer.inputs[0]], graph.tensors[layer.outputs[0]]
    view = views[source.name]
    if is_plain(out):
        return view if view.plain and layer.op == "reshape" and not view.steps else None
    strides = strides_of(view, source.shape)
    if layer.op == "slice":
        offset = sum(s * k for s, k in zip(strides, layer.attrs["starts"], strict=True))
        steps = [s * k for s, k in zip(strides, layer.attrs["steps"], strict=True)]
        return from_axes(view, out.shape, steps, offset)
    if layer.op == "transpose":
        return from_axes(view, out.shape, [strides[k] for k in layer.attrs["perm"]], 0)
    return _reshaped(view, source.shape, out.shape, strides)


def _reshaped(view: View, before: tuple[int, ...], after: tuple[int, ...], strides: list[int]) -> View | None:
    """A reshape moves nothing when it only adds or drops axes of extent 1, or joins or splits the batch."""
    if min(len(before), len(after)) >= 4 and before[-3:] == after[-3:]:
        return view
    real = [(extent, stride) for extent, stride in zip(before, strides, strict=True) if extent > 1]
    if [extent for extent, _ in real] != [extent for extent in after if extent > 1]:
        return None
    rest = iter(real)
    return from_axes(view, after, [next(rest)[1] if extent > 1 else 0 for extent in after], 0)
