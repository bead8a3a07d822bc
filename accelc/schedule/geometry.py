"""The shape of a stage: extents, windows and channel groups, and which input a range of outputs needs."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from accelc.chip import Chip
from accelc.graph import ELEMENTWISE, WIDE, Graph, Layer, nhwc
from accelc.isa import by_name
from accelc.schedule.stages import CHANNEL_OPS, GLOBAL_OPS, WINDOW_OPS, Stage
from accelc.schedule.views import View, round_up

BLOCK = 16  # output channels of a weight block (see the conv instruction)
GRANULE = 4  # bytes in which input channels are taken


@dataclass(frozen=True)
class Window:
    """A sliding window along one axis: taps `dilation` apart, every `stride`, after `before` cells of padding."""

    kernel: int = 1
    stride: int = 1
    dilation: int = 1
    before: int = 0
    after: int = 0

    @property
    def reach(self) -> int:
        """Return the cells from a window's first tap past its last."""
        return (self.kernel - 1) * self.dilation + 1

    def needs(self, first: int, end: int, extent: int) -> tuple[int, int, int, int]:
        """Return (start, stop, before, after): the input that outputs [first, end) read, and the padding around it.

        Where all of it is padding, start = stop = 0.
        """
        low, high = first * self.stride - self.before, (end - 1) * self.stride - self.before + self.reach
        start, stop = max(low, 0), min(high, extent)
        if start >= stop:
            return 0, 0, high - low, 0
        return start, stop, start - low, high - stop

    def span(self, count: int) -> int:
        """Return the cells that `count` neighboring outputs read, padding included."""
        return (count - 1) * self.stride + self.reach


@dataclass(frozen=True)
class Held:
    """Which of a stage's tensors stay on chip as whole maps, so that no tile of them is loaded or stored.

    `whole_pixel`: the source's channels are all that its pixels hold. `gaps`: rows of the output do not adjoin.
    `weights`: so do all the stage's weights.
    """

    source: bool = False
    whole_pixel: bool = True
    out: bool = False
    others: tuple[bool, ...] = ()
    gaps: bool = False
    weights: bool = False

    @property
    def anything(self) -> bool:
        """Return whether a map or weights stay on chip."""
        return self.source or self.out or self.weights or any(self.others)

    def other(self, index: int) -> bool:
        """Return whether the second operand of the stage's elementwise step number `index` is held."""
        return index < len(self.others) and self.others[index]


@dataclass(frozen=True)
class Geometry:
    """A stage's extents; `mid` is the head's output (without a head: the source), `out` the last step's.

    Groups of a convolution are packed so that each fills the array as far as it can: `groups` packed groups of
    `group_in` input and `group_out` output channels. `parts` weight tensors of int8 add up to the real weights.
    A core's share of a stage (see `split`) has `sharers` of its kind beside it; of channels, `pixel_channels` tells
    how many its pixels hold in DRAM.
    """

    has_head: bool
    depthwise: bool
    batch: int
    source: tuple[int, int, int]  # height, width, channels
    mid: tuple[int, int, int]
    out: tuple[int, int, int]
    conv: tuple[Window, Window]
    pool: tuple[Window, Window] | None
    groups: int
    group_in: int
    group_out: int
    parts: int
    others: int
    whole_channels: bool
    raw_output: bool
    step_work: int  # lane cycles that the steps before a pool take for an element, pools aside
    late_work: int  # and those after it
    folded: bool = False
    flattened: bool = False
    one_output: bool = True  # a tile's steps write one slot of the output at most
    separate_taps: bool = False  # the array reuses what neighboring taps share, so it must see them apart
    element_bytes: int = 1  # of an activation and of a weight
    private_out: bool = True  # a step before the last writes where the output's tile is made
    held: Held = Held()
    sharers: int = 1
    pixel_channels: int = 0  # 0: those of `out`

    @property
    def own_channels(self) -> bool:
        """Return whether each output channel is made of the input channel of its number."""
        return self.depthwise or not self.has_head

    @property
    def grouped(self) -> bool:
        """Return whether output channels are made group by group."""
        return self.groups > 1 and not self.own_channels

    @property
    def taps(self) -> int:
        """Return the kernel positions of the head."""
        return self.conv[0].kernel * self.conv[1].kernel

    def lanes(self, channels: int) -> int:
        """Return the elements of a pixel on chip: channels, padded."""
        return round_up(channels, GRANULE // self.element_bytes)

    def pitch(self, channels: int) -> int:
        """Return the bytes of a pixel on chip."""
        return self.lanes(channels) * self.element_bytes


def _windows(layer: Layer) -> tuple[Window, Window]:
    kernel, stride, dilation = layer.attrs["kernel"], layer.attrs["strides"], layer.attrs["dilations"]
    top, left, bottom, right = layer.attrs["pads"]
    return (
        Window(kernel[0], stride[0], dilation[0], top, bottom),
        Window(kernel[1], stride[1], dilation[1], left, right),
    )


def _conv_windows(layer: Layer, kernel: tuple[int, int]) -> tuple[Window, Window]:
    if layer.op == "fc":
        return Window(), Window()
    attrs = {**layer.attrs, "kernel": kernel}
    return _windows(replace(layer, attrs=attrs))


def pool_windows(layer: Layer, extents: tuple[int, int, int]) -> tuple[Window, Window]:
    """Return the windows of a pooling layer over a map of (height, width, channels)."""
    if layer.op in GLOBAL_OPS:
        return Window(extents[0], extents[0]), Window(extents[1], extents[1])
    return _windows(layer)


def pack_groups(group: int, c: int, k: int, chip: Chip) -> tuple[int, int, int]:
    """Return (groups, inputs, outputs) after joining groups on the diagonal of one array tile.

    A joined group holds a multiple of 16 outputs, and as many groups as rows and columns of the array allow.
    """
    if group == 1:
        return 1, c, k
    width, outputs = c // group, k // group
    fits = [
        m
        for m in range(1, group + 1)
        if group % m == 0
        and (m * outputs) % BLOCK == 0
        and (m == 1 or (m * width <= chip.array.rows and m * outputs <= chip.array.cols))
    ]
    legal = [m for m in range(1, group + 1) if group % m == 0 and (m * outputs) % BLOCK == 0]
    join = max(fits) if fits else (min(legal) if legal else group)
    return group // join, width * join, outputs * join


def weight_parts(graph: Graph, layer: Layer) -> int:
    """Return how many int8 tensors the layer's weights less their zero points split into; 16-bit weights are one."""
    tensor = graph.tensors[layer.inputs[1]]
    assert tensor.data is not None
    if tensor.dtype == WIDE:
        return 1
    low, high = centered_range(tensor.data, tensor.quant.zero_point if tensor.quant else np.int32(0))
    return max(1, math.ceil(max(high / 127, -low / 128)))


def centered_range(data: np.ndarray, zero_point: np.ndarray | np.int32) -> tuple[int, int]:
    """Return the least and greatest weight less zero point; the zero point may differ per output channel."""
    zero = np.asarray(zero_point, np.int32)
    if not zero.any():
        return int(data.min()), int(data.max())
    centered = data.astype(np.int32) - zero.reshape((-1,) + (1,) * (data.ndim - 1) if zero.ndim else ())
    return int(centered.min()), int(centered.max())


def is_depthwise(layer: Layer, weights: tuple[int, ...]) -> bool:
    """Return whether each input channel meets exactly one filter of its own."""
    return layer.op == "conv" and layer.attrs["group"] > 1 and weights[1] == 1 and weights[0] == layer.attrs["group"]


def fold_batch(view: View) -> View:
    """Return the view with its images as rows of one image."""
    n, _, _, c = view.extents
    return replace(view, extents=(1, n, 1, c), strides=(n * view.strides[0], view.strides[0], view.pitch))


def is_whole_map(graph: Graph, layer: Layer, view: View) -> bool:
    """Return whether a convolution reads each map as one vector: kernel as large as the map, bytes contiguous."""
    if layer.op != "conv" or layer.attrs["group"] != 1 or any(layer.attrs["pads"]):
        return False
    _, h, w, _ = view.extents
    kernel = graph.tensors[layer.inputs[1]].shape[2:]
    return (h, w) == tuple(kernel) and h * w > 1 and layer.attrs["dilations"] == (1, 1) and view.contiguous


def flatten_map(view: View) -> View:
    """Return the view of a contiguous map as one pixel with all its elements as channels, images as rows."""
    n, h, w, _ = view.extents
    size = h * w * view.pitch
    strides = (n * view.strides[0], view.strides[0], size)
    return replace(view, extents=(1, n, 1, size // view.element_bytes), strides=strides)


def geometry_of(graph: Graph, stage: Stage, views: Mapping[str, View], chip: Chip) -> Geometry:
    """Return the geometry of a tile stage."""
    view = views[stage.source]
    n, h, w, c = view.extents
    _, mh, mw, mc = nhwc(graph.tensors[stage.head.outputs[0] if stage.head else stage.source].shape)
    _, oh, ow, oc = nhwc(graph.tensors[stage.output].shape)
    head = _head(graph, stage, view, chip)
    if head.flattened:
        h, w, c = 1, 1, h * w * view.pitch // view.element_bytes
    pool = next((s for s in stage.steps if s.op in (*WINDOW_OPS, *GLOBAL_OPS)), None)
    early = stage.steps if pool is None else stage.steps[: stage.steps.index(pool)]
    folded = (oh, ow, mh, mw, h, w) == (1,) * 6 and pool is None and head.taps == 1
    if folded:
        n, h, mh, oh = 1, n, n, n
    return replace(
        head,
        batch=n,
        source=(h, w, c),
        mid=(mh, mw, mc),
        out=(oh, ow, oc),
        pool=None if pool is None else pool_windows(pool, (mh, mw, mc)),
        others=sum(s.op in ELEMENTWISE for s in stage.steps),
        whole_channels=any(s.op in CHANNEL_OPS for s in stage.steps),
        raw_output=graph.tensors[stage.output].dtype == "int32",
        step_work=sum(_step_work(s, chip) for s in early),
        late_work=sum(_step_work(s, chip) for s in stage.steps[len(early) :]),
        folded=folded,
        one_output=_outputs_claimed(stage) == 1,
        separate_taps=chip.array.organization in ("row_stationary", "neighbor"),
        element_bytes=view.element_bytes,
        private_out=_private_out(stage),
    )


def _private_out(stage: Stage) -> bool:
    """Return whether a step before the last leaves its tile where outputs are made, not where a pool takes it."""
    pools = [layer.op in (*WINDOW_OPS, *GLOBAL_OPS) for layer in stage.layers]
    return any(not any(pools[k + 1 :]) for k in range(len(pools) - 1))


def _outputs_claimed(stage: Stage) -> int:
    """Return how many output slots a tile takes: steps work in place, but for the first and those over channels."""
    across = [step.op in CHANNEL_OPS for step in stage.steps]
    return sum(across) + (stage.head is not None or not across[0])


def _step_work(step: Layer, chip: Chip) -> int:
    """Return a step's lane cycles an element; pools are counted by their windows."""
    if step.op in (*WINDOW_OPS, *GLOBAL_OPS):
        return 0
    if step.op not in CHANNEL_OPS:
        return 1
    size = step.attrs.get("size", 1)
    around = {"pixels": 1, "n": 1, "before": (size - 1) // 2, "after": size // 2}
    made = by_name(step.op if chip.array.operand_bits == 8 else f"{step.op}16")
    cycles: int = made.clauses["cycles"](chip.timing, **{n: around[n] for n in made.operand_names("cycles")})[0]
    return cycles


def _head(graph: Graph, stage: Stage, view: View, chip: Chip) -> Geometry:
    """Return a geometry with only what the head decides."""
    none = (0, 0, 0)
    bare = Geometry(
        stage.head is not None,
        False,
        1,
        none,
        none,
        none,
        (Window(), Window()),
        None,
        1,
        view.extents[3],
        1,
        1,
        0,
        False,
        False,
        0,
        0,
    )
    head = stage.head
    if head is None:
        return replace(bare, group_out=view.extents[3])
    weights, parts = graph.tensors[head.inputs[1]].shape, weight_parts(graph, head)
    if is_whole_map(graph, head, view):
        _, h, w, _ = view.extents
        inputs = h * w * view.pitch // view.element_bytes
        return replace(bare, group_in=inputs, group_out=weights[0], parts=parts, flattened=True)
    windows = _conv_windows(head, (weights[2], weights[3]) if len(weights) == 4 else (1, 1))
    depthwise = is_depthwise(head, weights) and parts == 1
    packed = (1, view.extents[3], weights[0]) if depthwise else _packed(head, weights, chip)
    groups, group_in, group_out = packed
    return replace(
        bare, conv=windows, depthwise=depthwise, groups=groups, group_in=group_in, group_out=group_out, parts=parts
    )


def _packed(head: Layer, weights: tuple[int, ...], chip: Chip) -> tuple[int, int, int]:
    group = head.attrs.get("group", 1)
    return pack_groups(group, weights[1] * group, weights[0], chip)
