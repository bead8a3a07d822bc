"""The traffic that no mapping avoids, layer by layer: weights, inputs and outputs of the network, once each."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from accelc.chip import Chip
from accelc.graph import ELEMENTWISE, TABLE_OPS, Graph, Layer, nhwc
from accelc.schedule.frames import other_names
from accelc.schedule.geometry import Geometry, Window, geometry_of, pool_windows
from accelc.schedule.search import StagePlan
from accelc.schedule.stages import MAC_OPS, WINDOW_OPS
from accelc.schedule.views import View


@dataclass(frozen=True)
class Moved:
    """Bytes that a layer moves at least: of weights, of the network's inputs, of its outputs."""

    weights: int = 0
    read: int = 0
    written: int = 0

    @property
    def bytes(self) -> int:
        """Return all of them."""
        return self.weights + self.read + self.written


def compulsory(
    graph: Graph, views: Mapping[str, View], chip: Chip, plans: Sequence[StagePlan]
) -> dict[str, Moved]:
    """Return what each layer moves at least; what several share counts where it is read first."""
    weights, read, written = _weights(graph), _read(graph, views, chip, plans), _written(graph, views, plans)
    return {
        layer.name: Moved(weights.get(layer.name, 0), read.get(layer.name, 0), written.get(layer.name, 0))
        for layer in graph.layers
    }


def weight_bytes_of(graph: Graph, layer: Layer) -> int:
    """Return the bytes of a layer's weights as they are stored, without padding."""
    if layer.op not in MAC_OPS:
        return 0
    tensor = graph.tensors[layer.inputs[1]]
    return tensor.elements * (2 if tensor.dtype == "int16" else 1)


def _weights(graph: Graph) -> dict[str, int]:
    first: dict[str, Layer] = {}
    for layer in graph.layers:
        if layer.op in MAC_OPS:
            first.setdefault(layer.inputs[1], layer)
    return {layer.name: weight_bytes_of(graph, layer) for layer in first.values()}


def _read(graph: Graph, views: Mapping[str, View], chip: Chip, plans: Sequence[StagePlan]) -> dict[str, int]:
    """Return the bytes of inputs that each layer is the first to read."""
    regions, found = {views[name].region for name in graph.inputs if name in views}, dict[str, int]()
    for plan in plans:
        # A stripe reads a part; all of them read what the whole stage does.
        g = plan.geometry if plan.part is None else geometry_of(graph, plan.stage, views, chip)
        for layer, view, size in _reads(views, plan, g):
            if view.region in regions:
                regions.discard(view.region)
                found[layer.name] = found.get(layer.name, 0) + size
    return found


def _reads(views: Mapping[str, View], plan: StagePlan, g: Geometry | None) -> Iterator[tuple[Layer, View, int]]:
    """Yield each map that a stage reads tile by tile: the layer that does, its view, the bytes that are touched."""
    stage = plan.stage
    if g is None or stage.source not in views:
        return
    yield stage.layers[0], views[stage.source], _touched(g, views[stage.source])
    sums = [step for step in stage.steps if step.op in ELEMENTWISE]
    for step, name in zip(sums, other_names(stage), strict=True):
        if name in views:
            # Steps before a pool touch what its windows do, which may not be all.
            yield step, views[name], 0 if g.pool is not None else payload(views[name])


def _touched(g: Geometry, view: View) -> int:
    """Return the bytes of a stage's source that its result depends on."""
    if g.flattened or g.folded:
        return payload(view)
    rows, cols = (set(range(extent)) for extent in g.out[:2])
    if g.pool is not None:
        rows, cols = (_cells(w, s, n) for w, s, n in zip(g.pool, (rows, cols), g.mid[:2], strict=True))
    if g.has_head:
        rows, cols = (_cells(w, s, n) for w, s, n in zip(g.conv, (rows, cols), g.source[:2], strict=True))
    return g.batch * len(rows) * len(cols) * g.source[2] * g.element_bytes


def _cells(window: Window, outputs: set[int], extent: int) -> set[int]:
    """Return the cells along an axis that some outputs depend on."""
    steps = range(0, window.kernel * window.dilation, window.dilation)
    cells = {k * window.stride - window.before + step for k in outputs for step in steps}
    return {cell for cell in cells if 0 <= cell < extent}


def _written(graph: Graph, views: Mapping[str, View], plans: Sequence[StagePlan]) -> dict[str, int]:
    """Return the bytes of outputs that each layer writes at the end of its stage."""
    regions, found = {views[name].region for name in graph.outputs if name in views}, dict[str, int]()
    for plan in plans:
        view = views.get(plan.stage.output)
        if plan.geometry is not None and view is not None and view.region in regions:
            found[plan.stage.layers[-1].name] = payload(view)
    return found


def payload(view: View) -> int:
    """Return the bytes of a view's elements."""
    n, h, w, c = view.extents
    return n * h * w * c * view.element_bytes


def needed_pixels(graph: Graph, layer: Layer) -> int:
    """Return the pixels of a layer's result that anything depends on.

    A pool may leave the last rows and columns of its input unread, and a stage that ends in one need not make them.
    """
    result = graph.tensors[layer.outputs[0]]
    n, h, w, c = nhwc(result.shape)
    readers = graph.consumers()[result.name]
    if result.name in graph.outputs or len(readers) != 1:
        return n * h * w
    reader = readers[0]
    if reader.op in (*TABLE_OPS, *ELEMENTWISE) and nhwc(graph.tensors[reader.outputs[0]].shape) == (n, h, w, c):
        return needed_pixels(graph, reader)
    if reader.op not in WINDOW_OPS:
        return n * h * w
    _, oh, ow, _ = nhwc(graph.tensors[reader.outputs[0]].shape)
    windows = zip(pool_windows(reader, (h, w, c)), (oh, ow), (h, w), strict=True)
    return n * math.prod(len(_cells(window, set(range(out)), extent)) for window, out, extent in windows)
