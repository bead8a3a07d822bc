"""Convolutions and pools of one to three dimensions: windows are selected, then multiplied or reduced."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, prod

import numpy as np

from accelc.frontend import geometry
from accelc.frontend.builder import Builder
from accelc.frontend.node import Lowering, Node
from accelc.frontend.real.steps import Steps
from accelc.graph import Array

LOWEST = -3.4028234663852886e38


@dataclass(frozen=True)
class Line:
    """Windows along one axis: input places [count, kernel], -1 where a tap lies outside the input.

    `counted` says whether a tap counts in a mean that includes pads, `first` where each window's first tap lies.
    """

    places: Array
    counted: Array
    first: Array

    @property
    def count(self) -> int:
        """Return the number of windows."""
        return int(self.places.shape[0])

    @property
    def kernel(self) -> int:
        """Return the taps of a window."""
        return int(self.places.shape[1])


def _line(extent: int, kernel: int, stride: int, dilation: int, pads: tuple[int, int], count: int) -> Line:
    places = np.arange(count)[:, None] * stride + np.arange(kernel) * dilation - pads[0]
    inside = (places >= 0) & (places < extent)
    counted = (places >= -pads[0]) & (places < extent + pads[1])
    return Line(np.where(inside, places, -1), counted, places[:, 0])


def _lines(node: Node, extents: tuple[int, ...], kernel: tuple[int, ...]) -> list[Line]:
    """Return the windows of each axis; `ceil_mode` lets the last one hang over, if it starts inside."""
    rank = len(extents)
    strides = tuple(node.get("strides", (1,) * rank))
    dilations = tuple(node.get("dilations", (1,) * rank))
    begin, end = geometry.pads(node, extents, kernel, strides, dilations)
    made = []
    for a in range(rank):
        space = extents[a] + begin[a] + end[a] - (kernel[a] - 1) * dilations[a] - 1
        count = (ceil(space / strides[a]) if node.get("ceil_mode", 0) else space // strides[a]) + 1
        if node.get("ceil_mode", 0) and (count - 1) * strides[a] >= extents[a] + begin[a]:
            count -= 1
        if node.get("auto_pad", "NOTSET") in ("SAME_UPPER", "SAME_LOWER"):
            count = -(-extents[a] // strides[a])
        made.append(_line(extents[a], kernel[a], strides[a], dilations[a], (begin[a], end[a]), count))
    return made


def _windows(s: Steps, x: str, lines: list[Line], value: float) -> str:
    """Return x (N,C,spatial...) as (N,C,o1,k1,o2,k2,...)."""
    n, c = s.shape(x)[:2]
    picked = s.take(x, {2 + a: line.places.reshape(-1) for a, line in enumerate(lines)}, value)
    return s.reshape(picked, (n, c, *(n for line in lines for n in (line.count, line.kernel))))


def conv(b: Builder, node: Node) -> None:
    """Convolution of 1 to 3 dimensions with groups; weights may be computed at run time."""
    s = Steps(b, node)
    x, w = node.input(0), node.input(1)
    group, lines = node.get("group", 1), _lines(node, s.shape(x)[2:], s.shape(w)[2:])
    made = _correlated(s, _windows(s, x, lines, 0.0), w, group, lines)
    s.finish(_biased(s, made, node.input(2)))


def _biased(s: Steps, x: str, bias: str) -> str:
    if not bias:
        return x
    return s.map("add", x, s.reshape(bias, (1, s.shape(bias)[0], *(1,) * (len(s.shape(x)) - 2))))


def _correlated(s: Steps, windows: str, w: str, group: int, lines: list[Line]) -> str:
    """Return the sum over channels and taps: windows (N,C,o,k,...) times weights (K,C/group,k,...)."""
    n, c = s.shape(windows)[:2]
    outputs, taps = [line.count for line in lines], [line.kernel for line in lines]
    units = s.shape(w)[0]
    spread = s.reshape(windows, (n, group, c // group, *s.shape(windows)[2:]))
    kernel = s.reshape(w, (group, units // group, c // group, *taps))
    rank = len(lines)
    places, inner = "opq"[:rank], "rst"[:rank]
    joined = "".join(a + k for a, k in zip(places, inner, strict=True))
    made = s.contract(f"ngc{joined},gmc{inner}->ngm{places}", spread, kernel)
    return s.reshape(made, (n, units, *outputs))


def conv_transpose(b: Builder, node: Node) -> None:
    """Transposed convolution of 1 to 3 dimensions: the input spread by the stride, then an ordinary convolution."""
    s = Steps(b, node)
    x, w = node.input(0), node.input(1)
    rank, group = len(s.shape(x)) - 2, node.get("group", 1)
    goal = b.result(node).shape[2:]
    kernel = s.shape(w)[2:]
    strides, dilations = node.get("strides", (1,) * rank), node.get("dilations", (1,) * rank)
    begin = _cut(node, s.shape(x)[2:], goal, kernel)
    lines = []
    for a in range(rank):
        # Output o meets tap k at the input (o + cut - k * dilation) / stride, where that is whole.
        reach = np.arange(goal[a])[:, None] + begin[a] - np.arange(kernel[a]) * dilations[a]
        places, rest = np.divmod(reach, strides[a])
        inside = (rest == 0) & (places >= 0) & (places < s.shape(x)[2 + a])
        lines.append(Line(np.where(inside, places, -1), inside, places[:, 0]))
    c, units = s.shape(w)[:2]
    order = (0, 2, 1, *range(3, 3 + rank))
    flipped = s.transpose(s.reshape(w, (group, c // group, units, *kernel)), order)
    flat = s.reshape(flipped, (group * units, c // group, *kernel))
    s.finish(_biased(s, _correlated(s, _windows(s, x, lines, 0.0), flat, group, lines), node.input(2)))


def _cut(node: Node, extents: tuple[int, ...], goal: tuple[int, ...], kernel: tuple[int, ...]) -> list[int]:
    """Return how many positions are cut off before each axis."""
    rank, mode = len(extents), node.get("auto_pad", "NOTSET")
    if mode in ("NOTSET", "") and "output_shape" not in node.attrs:
        return list(node.get("pads", (0,) * (2 * rank)))[:rank]
    if mode == "VALID":
        return [0] * rank
    strides, dilations = node.get("strides", (1,) * rank), node.get("dilations", (1,) * rank)
    extra = node.get("output_padding", (0,) * rank)
    whole = [strides[a] * (extents[a] - 1) + extra[a] + (kernel[a] - 1) * dilations[a] + 1 for a in range(rank)]
    cut = [max(whole[a] - goal[a], 0) for a in range(rank)]
    return [n // 2 if mode == "SAME_UPPER" else n - n // 2 for n in cut]


def _taps(lines: list[Line]) -> list[int]:
    return [3 + 2 * a for a in range(len(lines))]


def _counted(lines: list[Line], pads: bool) -> Array:
    """Return [o1, o2, ...]: how many taps of a window count."""
    total = np.ones((), np.float32)
    for line in lines:
        inside = line.counted if pads else line.places >= 0
        total = np.multiply.outer(total, inside.sum(axis=1).astype(np.float32))
    return np.asarray(total)


def pool(b: Builder, node: Node) -> None:
    """Maximum, mean or p-norm over windows of 1 to 3 dimensions."""
    s = Steps(b, node)
    x = node.input(0)
    kernel = tuple(node.get("kernel_shape"))
    lines = _lines(node, s.shape(x)[2:], kernel)
    if node.op == "MaxPool":
        _max_pool(s, node, x, lines)
        return
    windows = _windows(s, x, lines, 0.0)
    if node.op == "AveragePool":
        count = _counted(lines, bool(node.get("count_include_pad", 0)))
        s.finish(s.map("div", s.reduce("sum", windows, _taps(lines)), np.maximum(count, 1)))
        return
    s.finish(_norm(s, windows, float(node.get("p", 2)), _taps(lines)))


def _norm(s: Steps, x: str, p: float, axes: list[int]) -> str:
    if p == 1:
        return s.reduce("sum", s.map("abs", x), axes)
    if p == 2:
        return s.map("sqrt", s.reduce("sum", s.map("mul", x, x), axes))
    return s.map("pow", s.reduce("sum", s.map("pow", s.map("abs", x), p), axes), 1 / p)


def _max_pool(s: Steps, node: Node, x: str, lines: list[Line]) -> None:
    lowest = LOWEST if s.is_float(x) else -(1 << 31)
    windows = _windows(s, x, lines, lowest)
    s.finish(s.reduce("max", windows, _taps(lines)))
    if len(node.outputs) < 2 or not node.outputs[1]:
        return
    rank = len(lines)
    # The taps side by side, so that one index names the first of the largest in row-major order.
    order = [0, 1, *(2 + 2 * a for a in range(rank)), *_taps(lines)]
    kernel = [line.kernel for line in lines]
    outputs = [line.count for line in lines]
    flat = s.reshape(s.transpose(windows, order), (*s.shape(x)[:2], *outputs, prod(kernel)))
    tap = s.reduce("argmax", flat, [-1])
    s.finish(_place(s, node, x, lines, tap), 1)


def _place(s: Steps, node: Node, x: str, lines: list[Line], tap: str) -> str:
    """Return the flat place in the whole input of the tap that each window chose."""
    shape, rank = s.shape(x), len(lines)
    kernel = [line.kernel for line in lines]
    column = bool(node.get("storage_order", 0))
    total: str | None = None
    for a, line in enumerate(lines):
        inner = prod(kernel[a + 1 :])
        own = s.map("mod", s.map("div", tap, inner), kernel[a])
        lead = [1] * (2 + rank)
        lead[2 + a] = line.count
        dilation = node.get("dilations", (1,) * rank)[a]
        place = s.map("add", s.map("mul", own, dilation), line.first.reshape(lead))
        weight = prod(shape[2 : 2 + a]) if column else prod(shape[3 + a :])
        part = s.map("mul", place, weight)
        total = part if total is None else s.map("add", total, part)
    assert total is not None
    plane = prod(shape[2:])
    base = (np.arange(shape[0] * shape[1]) * plane).reshape(shape[0], shape[1], *(1,) * rank)
    return s.map("add", total, base)


def global_pool(b: Builder, node: Node) -> None:
    """Mean, maximum or p-norm over all positions of each channel."""
    s = Steps(b, node)
    x = node.input(0)
    axes = list(range(2, len(s.shape(x))))
    if node.op == "GlobalLpPool":
        made = _norm(s, x, float(node.get("p", 2)), axes)
        s.finish(s.reshape(made, (*s.shape(x)[:2], *(1,) * len(axes))))
        return
    made = s.reduce("max" if node.op == "GlobalMaxPool" else "sum", x, axes, keep=True)
    s.finish(made if node.op == "GlobalMaxPool" else s.map("div", made, float(prod(s.shape(x)[2:]))))


_WINDOW = ("auto_pad", "ceil_mode", "dilations", "kernel_shape", "pads", "strides")
_CONV = ("auto_pad", "dilations", "group", "kernel_shape", "pads", "strides")

LOWERINGS = (
    Lowering("Conv", conv, ("take", "contract"), _CONV, ("negative pads",)),
    Lowering("ConvTranspose", conv_transpose, ("take", "contract"), (*_CONV, "output_padding", "output_shape")),
    Lowering("MaxPool", pool, ("take", "reduce"), (*_WINDOW, "storage_order")),
    Lowering("AveragePool", pool, ("take", "reduce"), (*_WINDOW, "count_include_pad")),
    Lowering("LpPool", pool, ("take", "reduce"), (*_WINDOW, "p")),
    *(
        Lowering(op, global_pool, ("reduce",), ("p",) if op == "GlobalLpPool" else ())
        for op in ("GlobalAveragePool", "GlobalMaxPool", "GlobalLpPool")
    ),
)
