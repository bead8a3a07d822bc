"""Weights and parameters as the bytes that the MAC array and the vector unit read."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from accelc.arithmetic import centered_weights, fixed_multipliers, folded_bias, requantize_scales
from accelc.graph import WIDE, Graph, Layer, Quant, Tensor, nhwc
from accelc.schedule.geometry import BLOCK, GRANULE, Geometry
from accelc.schedule.tiling import Block
from accelc.schedule.views import View, round_up

Bytes = npt.NDArray[np.int8]
Wide = npt.NDArray[np.signedinteger[Any]]  # int8 or int16
_STORED = {1: "<i1", 2: "<i2"}  # weights by their bytes


def excess(tensor: Tensor) -> int:
    """Return what is added to a value to store it as an unsigned byte."""
    return 128 if tensor.dtype == "int8" else 0


def stored_zero(tensor: Tensor) -> int:
    """Return the byte that stands for the real number zero."""
    assert tensor.quant is not None
    return int(tensor.quant.zero_point) + excess(tensor)


def quant_of(tensor: Tensor) -> Quant:
    """Return the quantization a quantized tensor must have."""
    assert tensor.quant is not None
    return tensor.quant


class Weights:
    """A layer's weights less zero points, [group, output, kernel row, kernel column, input] of packed groups."""

    def __init__(self, graph: Graph, layer: Layer, g: Geometry, view: View) -> None:
        centered = _centered(graph.tensors[layer.inputs[1]])
        if centered.ndim == 2:
            centered = centered[:, :, None, None]
        source = graph.tensors[layer.inputs[0]]
        bias = graph.tensors[layer.inputs[2]].data if len(layer.inputs) > 2 and layer.inputs[2] else None
        self.bias = _bias(centered, bias, source)
        self._geometry = g
        self.dense = self._arrange(centered, layer, view)

    def _arrange(self, w: Wide, layer: Layer, view: View) -> Wide:
        """Return [groups, outputs, rows, cols, inputs]; depthwise weights stay as they are."""
        g = self._geometry
        if g.depthwise:
            return w
        taps_last = w.transpose(0, 2, 3, 1)
        if g.taps == 1 and taps_last.shape[1] * taps_last.shape[2] > 1:  # the whole map read as one vector
            spread = np.zeros((*taps_last.shape[:3], view.pitch // view.element_bytes), w.dtype)
            spread[..., : taps_last.shape[3]] = taps_last
            taps_last = spread.reshape(len(w), 1, 1, -1)
        return _join_groups(np.ascontiguousarray(taps_last), layer.attrs.get("group", 1), g)

    def tile(self, block: Block, first: int, depth: int, kernel: tuple[int, int]) -> bytes:
        """Return the packed bytes of a block of outputs over `depth` input channels from `first`, all parts in turn.

        `kernel` are the kernel's rows [first, end) that the tile holds.
        """
        g = self._geometry
        if g.depthwise:
            part = self.dense[block.first : block.first + block.count, 0]
            return part.transpose(1, 2, 0).astype(_STORED[g.element_bytes]).tobytes()
        chosen = self._block(block)[:, :, slice(*kernel), :, first : first + depth]
        parts = _parts(chosen, g.parts) if g.element_bytes == 1 else [chosen.astype("<i2")]
        return b"".join(_pack(part) for part in parts)

    def _block(self, block: Block) -> Wide:
        g = self._geometry
        group, start = divmod(block.first, g.group_out)
        if block.groups > 1 or block.count == g.group_out:
            return self.dense[group : group + block.groups]
        return self.dense[group : group + 1, start : start + block.count]


def _centered(weights: Tensor) -> Wide:
    """Return weights less their zero points; bytes without any are as they should be, and half as large."""
    plain = weights.dtype == "int8" and weights.quant is not None and not np.any(weights.quant.zero_point)
    return weights.data if plain and weights.data is not None else centered_weights(weights)


def _bias(weights: Wide, bias: npt.NDArray[Any] | None, source: Tensor) -> npt.NDArray[Any]:
    """Return the integers that start the sums: int32 with the zero point folded in, or int64 for 16-bit operands."""
    if source.dtype != WIDE:
        return folded_bias(weights, bias, stored_zero(source))
    return np.zeros(len(weights), np.int64) if bias is None else bias.astype(np.int64)


def _join_groups(w: Wide, group: int, g: Geometry) -> Wide:
    """Return the weights with `group` groups joined on the diagonal into g.groups."""
    outputs, rows, cols, inputs = w.shape
    join = group // g.groups
    if join == 1:
        return w.reshape(g.groups, outputs // g.groups, rows, cols, inputs)
    each = outputs // group
    joined = np.zeros((g.groups, join, each, rows, cols, join, inputs), w.dtype)
    split = w.reshape(g.groups, join, each, rows, cols, inputs)
    for k in range(join):
        joined[:, k, :, :, :, k] = split[:, k]
    return joined.reshape(g.groups, join * each, rows, cols, join * inputs)


def _parts(w: Wide, parts: int) -> list[Bytes]:
    """Return `parts` int8 tensors whose sum is w."""
    if w.dtype == np.int8:
        return [np.asarray(w, np.int8)]
    found = []
    rest = w
    for _ in range(parts):
        part = np.clip(rest, -128, 127)
        found.append(part.astype(np.int8))
        rest = rest - part
    assert not rest.any(), "weights exceed the sum of their parts"
    return found


def _pack(w: Bytes | Wide) -> bytes:
    """Return [group][n/16][tap][depth/4][16][4], or 2 for 4 in 16 bits; inputs are padded to that granule."""
    groups, outputs, rows, cols, inputs = w.shape
    granule = GRANULE // w.itemsize
    depth = round_up(inputs, granule)
    full = np.zeros((groups, round_up(outputs, BLOCK), rows, cols, depth), w.dtype)
    full[:, :outputs, :, :, :inputs] = w
    blocks = full.reshape(groups, -1, BLOCK, rows * cols, depth // granule, granule)
    return blocks.transpose(0, 1, 3, 4, 2, 5).tobytes()


def requantize_params(graph: Graph, layer: Layer, weights: Weights, block: Block, mode: str) -> bytes:
    """Return a block's biases, then its float32 scales, or multipliers and shifts; only biases for a raw output."""
    chosen = slice(block.first, block.first + block.count)
    x, w, y = (graph.tensors[n] for n in (layer.inputs[0], layer.inputs[1], layer.outputs[0]))
    columns: list[npt.NDArray[Any]] = [weights.bias]
    if y.dtype == "int32":
        return columns[0][chosen].astype("<i4").tobytes()
    quants = quant_of(x), quant_of(w), quant_of(y)
    if mode == "fixed":
        columns += fixed_multipliers(*quants, len(weights.bias))
        return b"".join(c[chosen].astype("<i4").tobytes() for c in columns)
    scales = requantize_scales(*quants, len(weights.bias))
    start = columns[0][chosen].astype("<i8" if y.dtype == WIDE else "<i4")
    return start.tobytes() + scales[chosen].astype("<f4").tobytes()


def stored_constant(tensor: Tensor, channels: int) -> npt.NDArray[np.uint8 | np.int16]:
    """Return a constant operand as stored elements [n, h, w, channels], one channel repeated if need be."""
    assert tensor.data is not None
    n, h, w, c = nhwc(tensor.shape)
    values = tensor.data.astype(np.int16) + excess(tensor)
    stored = values.astype("<i2" if tensor.dtype == WIDE else np.uint8).reshape(n, c, h, w).transpose(0, 2, 3, 1)
    return np.ascontiguousarray(np.broadcast_to(stored, (n, h, w, max(c, channels))))


def stored_table(values: npt.NDArray[Any], result: Tensor) -> npt.NDArray[np.uint8]:
    """Return a table, [256] or [channels, 256], as stored bytes.

    Its entries run from the source type's least value, which is the stored byte 0, so they are indexed by stored bytes.
    """
    return (values.astype(np.int16) + excess(result)).astype(np.uint8)
