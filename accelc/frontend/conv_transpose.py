"""Transposed convolutions as several ordinary ones, so that no product with an inserted zero is computed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np

from accelc.frontend.builder import Builder, real
from accelc.frontend.geometry import pair
from accelc.frontend.node import Lowering, Node
from accelc.graph import Array, Quant, Tensor


@dataclass(frozen=True)
class Phase:
    """One residue of output positions along an axis: every `stride`-th from `start`, `count` of them.

    Position `start + stride * q` sums taps `taps[t]` of the kernel over inputs `q + t - before`.
    """

    start: int
    count: int
    taps: tuple[int, ...]
    before: int
    after: int


def phases(extent: int, output: int, kernel: int, stride: int, dilation: int, pad: int) -> list[Phase]:
    """Return the phases of one axis.

    Input i meets tap k at output i * stride + k * dilation - pad. Output o therefore sums the taps whose k * dilation
    has the residue (o + pad) mod stride, from input (o + pad - k * dilation) / stride each.
    """
    found = []
    for start in range(min(stride, output)):
        residue, first = (start + pad) % stride, (start + pad) // stride
        count = -(-(output - start) // stride)
        # Tap k reads the input first + q - shift with shift = (k * dilation - residue) / stride.
        reaching = [k for k in range(kernel) if (k * dilation - residue) % stride == 0]
        shifts = {(k * dilation - residue) // stride: k for k in reaching}
        if not shifts:
            found.append(Phase(start, count, (-1,), 0, count - extent))
            continue
        most, least = max(shifts), min(shifts)
        taps = tuple(shifts.get(s, -1) for s in range(most, least - 1, -1))
        before = most - first
        found.append(Phase(start, count, taps, before, count - 1 + len(taps) - before - extent))
    return found


def conv_transpose(b: Builder, node: Node) -> None:
    """1-D and 2-D transposed convolution with constant weights, one convolution for each phase of the stride."""
    weights, x, output = b.weight(node, 1), b.tensor(node.input(0)), b.result(node)
    rank = len(x.shape) - 2
    if rank not in (1, 2):
        raise node.refuse(f"{rank} spatial dimensions", "1 or 2 would work")
    strides = pair(tuple(node.get("strides", (1,) * rank)), 1)
    axes = _axes(node, x, output, weights, rank)
    kernels, group = _kernels(weights, rank, node.get("group", 1)), node.get("group", 1)
    bias = (b.weight(node, 2, "bias").name,) if node.input(2) else ()
    parts, starts = [], []
    for index, (down, right) in enumerate(product(*axes)):
        shape = (*output.shape[:2], *((down.count, right.count)[-rank:]))
        part = Tensor(b.fresh(f"{output.name}/phase{index}"), shape)
        kernel = b.constant(f"{weights.name}/phase{index}", _tapped(kernels[0], down, right), kernels[1])
        source, pads = _padded(b, node, x, down, right, index)
        attrs = {"strides": (1, 1), "pads": pads, "dilations": (1, 1), "group": group, "activation": None}
        b.emit(node, "conv", (source.name, kernel.name, *bias), part, f"phase{index}", **attrs)
        parts.append(part.name)
        starts.append((down.start, right.start))
    b.emit(node, "interleave", tuple(parts), output, "interleave", starts=tuple(starts), strides=strides)


def _axes(node: Node, x: Tensor, output: Tensor, weights: Tensor, rank: int) -> list[list[Phase]]:
    """Return the phases of height and width; a 1-D layer has one phase of height."""
    strides, dilations = node.get("strides", (1,) * rank), node.get("dilations", (1,) * rank)
    kernel, extra = weights.shape[2:], node.get("output_padding", (0,) * rank)
    begin = _begin(node, x.shape[2:], output.shape[2:], kernel, tuple(extra))
    axes = [
        phases(*numbers)
        for numbers in zip(x.shape[2:], output.shape[2:], kernel, strides, dilations, begin, strict=True)
    ]
    return axes if rank == 2 else [[Phase(0, 1, (0,), 0, 0)], axes[0]]


def _begin(
    node: Node, extents: tuple[int, ...], output: tuple[int, ...], kernel: tuple[int, ...], extra: tuple[int, ...]
) -> tuple[int, ...]:
    """Return how many positions are cut off before each axis; `output_shape` and SAME pads follow from the result."""
    rank, mode = len(extents), node.get("auto_pad", "NOTSET")
    if mode in ("NOTSET", "") and "output_shape" not in node.attrs:
        return tuple(node.get("pads", (0,) * (2 * rank)))[:rank]
    if mode == "VALID":
        return (0,) * rank
    strides, dilations = node.get("strides", (1,) * rank), node.get("dilations", (1,) * rank)
    whole = [s * (n - 1) + e + (k - 1) * d + 1
             for n, s, e, k, d in zip(extents, strides, extra, kernel, dilations, strict=True)]  # fmt: skip
    cut = [max(total - size, 0) for total, size in zip(whole, output, strict=True)]
    return tuple(c // 2 if mode == "SAME_UPPER" else c - c // 2 for c in cut)


def _kernels(weights: Tensor, rank: int, group: int) -> tuple[Array, Quant | None]:
    """Return the weights (C, K/group, R, S) as (K, C/group, R, S), quantized if that survives."""
    quant = weights.quant
    keeps = quant is not None and (not quant.scale.ndim or (quant.axis == 1 and group == 1))
    data = weights.data if keeps else real(weights)
    assert data is not None
    wide = data if rank == 2 else np.expand_dims(data, 2)
    channels, units, *kernel = wide.shape
    grouped = wide.reshape(group, channels // group, units, *kernel).swapaxes(1, 2)
    if keeps and quant is not None and quant.scale.ndim:
        quant = Quant(quant.scale, quant.zero_point, 0)
    return grouped.reshape(group * units, channels // group, *kernel), quant if keeps else None


def _tapped(kernels: Array, down: Phase, right: Phase) -> Array:
    """Return the taps of a phase; a tap of -1 has weight 0."""
    picked = np.zeros((*kernels.shape[:2], len(down.taps), len(right.taps)), kernels.dtype)
    (rows, own_rows), (columns, own_columns) = _kept(down.taps), _kept(right.taps)
    picked[:, :, rows, columns] = kernels[:, :, own_rows, own_columns]
    return picked


def _kept(taps: Sequence[int]) -> tuple[slice, slice]:
    """Return the places of the taps other than -1, and these taps: both lie evenly, and slices copy fastest."""
    places = [place for place, tap in enumerate(taps) if tap >= 0]
    return _evenly(places), _evenly([taps[place] for place in places])


def _evenly(numbers: Sequence[int]) -> slice:
    """Return the slice that takes evenly spaced numbers, up or down."""
    if not numbers:
        return slice(0, 0)
    step = numbers[1] - numbers[0] if len(numbers) > 1 else 1
    end = numbers[-1] + step
    return slice(numbers[0], end if end >= 0 else None, step)


def _padded(
    b: Builder, node: Node, x: Tensor, down: Phase, right: Phase, index: int
) -> tuple[Tensor, tuple[int, int, int, int]]:
    """Return the input, cut where a phase does not reach its edges, and the padding where it reaches beyond."""
    edges = (down.before, right.before, down.after, right.after)
    if min(edges) < 0:
        rank = len(x.shape) - 2
        first = [max(-e, 0) for e in edges[:2]][-rank:]
        last = [max(-e, 0) for e in edges[2:]][-rank:]
        shape = (*x.shape[:2], *(n - a - z for n, a, z in zip(x.shape[2:], first, last, strict=True)))
        cut = Tensor(b.fresh(f"{x.name}/phase{index}"), shape, x.dtype, x.quant)
        starts = (0, 0, *first)
        x = b.emit(node, "slice", (x.name,), cut, f"cut{index}", starts=starts, steps=(1,) * len(shape))
    top, left, bottom, right_edge = (max(e, 0) for e in edges)
    return x, (top, left, bottom, right_edge)


LOWERINGS = (
    Lowering(
        "ConvTranspose",
        conv_transpose,
        ("conv", "interleave", "slice"),
        ("auto_pad", "dilations", "group", "kernel_shape", "output_padding", "output_shape", "pads", "strides"),
        ("3 or more spatial dimensions", "weights or bias computed at run time"),
    ),
)
