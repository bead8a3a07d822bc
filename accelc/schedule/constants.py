"""Where the constants of a program will lie in DRAM, by the rules of lowering: what is the same lies there once."""

from __future__ import annotations

from collections.abc import Hashable
from typing import TYPE_CHECKING

import numpy as np

from accelc.graph import ELEMENTWISE, Graph, Layer, Tensor, nhwc
from accelc.schedule.copies import copies_of
from accelc.schedule.frames import other_names
from accelc.schedule.geometry import Geometry
from accelc.schedule.pieces import Piece, pieces_of
from accelc.schedule.plain import numbers
from accelc.schedule.search import StagePlan, step_table_bytes
from accelc.schedule.split import blocks_of, shares
from accelc.schedule.tiling import Block, Tiling
from accelc.schedule.views import PITCH, View, owned, round_up

if TYPE_CHECKING:
    from accelc.schedule import Schedule

ALIGN = 64  # bytes, of constants and of what is handed out on chip


def constant_bytes(plan: Schedule) -> int:
    """Return the bytes of all constants of a program."""
    found = Constants(plan)
    for entry in plan.plans:
        found.complete(entry)
    return round_up(found.bytes, ALIGN)


class Constants:
    """Where the constants of a program will lie: each behind those before it when it is asked for first."""

    def __init__(self, plan: Schedule) -> None:
        self.bytes = 0
        self._plan, self._graph = plan, plan.graph
        self._known: dict[Hashable, int] = {}
        self._named: dict[tuple[str, int], int] = {}  # constant operands by name and channels

    def complete(self, entry: StagePlan) -> None:
        """Give a place to the constants of a stage that have none yet."""
        if entry.geometry is not None and entry.tiling is not None:
            self._add_tiles(entry, entry.geometry, entry.tiling)
        elif entry.stage.kind == "copy":
            self._add_copies(entry.stage.steps[0])
        elif entry.stage.kind == "stream":
            self._add_numbers(entry.stage.steps[0])

    def _add_copies(self, layer: Layer) -> None:
        for copy in copies_of(self._graph, self._plan.views, layer):
            if not copy.source:
                self.padding(self._plan.views[layer.outputs[0]])
            elif self._graph.tensors[copy.source].data is not None:
                self.operand(self._graph.tensors[copy.source])
            if copy.changed:
                self.change(layer, copy.source)

    def _add_numbers(self, layer: Layer) -> None:
        """Add a stream's constants, which are 32-bit numbers."""
        for tensor in (self._graph.tensors[name] for name in layer.inputs if name):
            if tensor.data is not None:
                self._once(numbers(tensor).tobytes(), 4 * tensor.data.size)

    def _add_tiles(self, entry: StagePlan, g: Geometry, t: Tiling) -> None:
        every = [block for share in shares(g, t) for block in blocks_of(g, t.channels, share)]
        joins = [step.name for step in entry.stage.steps if step.op in ELEMENTWISE]
        others = dict(zip(joins, other_names(entry.stage), strict=True))
        for block in {block.first: block for block in every}.values():
            for piece in pieces_of(g, t, block) if g.has_head else ():
                self.weights(entry, piece)
            for step in entry.stage.steps:
                other = self._graph.tensors[others[step.name]] if step.name in others else None
                if other is not None and other.data is not None:
                    self.operand(other, g.mid[2])
                elif any(step_table_bytes(self._graph, step)):
                    self.table(step, block)

    def _take(self, size: int) -> int:
        """Return the address of so many bytes more."""
        at = self.bytes
        self.bytes += round_up(size, ALIGN)
        return at

    def weights(self, entry: StagePlan, piece: Piece) -> tuple[int, int]:
        """Return the address of a weight tile of a stage, and its bytes up to its parameters."""
        assert entry.geometry is not None
        g, chip = entry.geometry, self._plan.chip
        size = round_up(piece.weight_bytes(g), 4 * g.element_bytes)
        key = _weights(entry), piece.key, _parameters(self._graph, entry) if piece.last else ()
        return self._once(key, size + piece.param_bytes(g, chip)), size

    def _once(self, key: Hashable, size: int) -> int:
        """Return the address of bytes that lie there once under a key."""
        if key not in self._known:
            self._known[key] = self._take(size)
        return self._known[key]

    def table(self, step: Layer, block: Block) -> int:
        """Return the address of a step's table for a block of channels."""
        shared, each = step_table_bytes(self._graph, step)
        return self._once((_meaning(self._graph, step), block.first if each else 0), shared + each * block.count)

    def change(self, layer: Layer, source: str) -> tuple[int, int]:
        """Return the address and the bytes of the table of a copy that changes values."""
        step = Layer(layer.name, "requantize", (source,), layer.outputs)
        size = sum(step_table_bytes(self._graph, step))
        return self._once((_meaning(self._graph, step), 0), size), size

    def padding(self, view: View) -> View:
        """Return the view of a pixel of padding for a map."""
        size = view.extents[3] * view.element_bytes
        at = self._once(("padding", view.region), size)
        return View("", at, (1, 1, 1, view.extents[3]), (size, size, size), view.element_bytes)

    def operand(self, tensor: Tensor, channels: int = 0) -> View:
        """Return the view of a constant operand with at least so many channels, its offset an address."""
        own = owned(tensor)
        n, h, w, c = (*own.extents[:3], max(own.extents[3], channels))
        pitch = round_up(c * own.element_bytes, PITCH)
        if (tensor.name, c) not in self._named:
            self._named[tensor.name, c] = self._once(_stored(tensor, c), n * h * w * pitch)
        return View("", self._named[tensor.name, c], (n, h, w, c), (h * w * pitch, w * pitch, pitch), own.element_bytes)


def _stored(tensor: Tensor, channels: int) -> Hashable:
    """Return what constant operands with the same bytes have in common; one channel may stand for all."""
    assert tensor.data is not None
    n, h, w, c = nhwc(tensor.shape)
    every = np.broadcast_to(tensor.data.reshape(n, c, h, w), (n, max(c, channels), h, w))
    return tensor.dtype, every.shape, every.tobytes()


def _quant(tensor: Tensor) -> Hashable:
    """Return what tells a tensor's quantization from others."""
    quant = tensor.quant
    return None if quant is None else (quant.scale.tobytes(), quant.zero_point.tobytes())


def _meaning(graph: Graph, step: Layer) -> Hashable:
    """Return what steps with the same table have in common."""
    x, y = graph.tensors[step.inputs[0]], graph.tensors[step.outputs[0]]
    attrs = tuple(sorted((name, str(value)) for name, value in step.attrs.items()))
    if step.op == "softmax":
        return step.op, x.shape[1], _quant(x)
    return step.op, attrs, x.dtype, y.dtype, _quant(x), _quant(y), step.inputs[1:]


def _weights(entry: StagePlan) -> Hashable:
    """Return what stages with the same weight tiles have in common: the weights and how they are cut."""
    t, head = entry.tiling, entry.stage.head
    assert t is not None
    assert head is not None
    return head.inputs[1], t.channels, t.depth, t.kernel_rows


def _parameters(graph: Graph, entry: StagePlan) -> Hashable:
    """Return what stages with the same weights and the same parameters of requantization have in common."""
    head = entry.stage.head
    assert head is not None
    x, y = graph.tensors[head.inputs[0]], graph.tensors[head.outputs[0]]
    return head.inputs[2:], x.dtype, y.dtype, _quant(x), _quant(y)
