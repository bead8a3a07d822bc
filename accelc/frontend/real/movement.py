"""Selections and movements: gather, scatter, slices in any direction, pads of any mode, repetitions."""

from __future__ import annotations

from math import prod

import numpy as np

from accelc.frontend.builder import Builder
from accelc.frontend.node import Lowering, Node
from accelc.frontend.real.steps import Steps


def gather(b: Builder, node: Node) -> None:
    """Slices of x along an axis, by indices known or computed at run time; negative ones count from the end."""
    s = Steps(b, node)
    x, index = node.input(0), node.input(1)
    rank = len(s.shape(x))
    axis = node.get("axis", 0) % rank
    known = s.value(index)
    if known is not None:
        extent = s.shape(x)[axis]
        flat = [int(i) % extent for i in known.reshape(-1)]
        picked = s.take(x, {axis: flat})
    else:
        order = [axis, *(a for a in range(rank) if a != axis)]
        rows = s.gather(s.transpose(x, order), index)
        count = len(s.shape(index))
        back = [*range(count, count + axis), *range(count), *range(count + axis, count + rank - 1)]
        picked = s.transpose(rows, back)
    shape = (*s.shape(x)[:axis], *s.shape(index), *s.shape(x)[axis + 1 :])
    s.finish(s.reshape(picked, shape))


def gather_elements(b: Builder, node: Node) -> None:
    """Elements of x at the places that an index tensor names along one axis."""
    s = Steps(b, node)
    x, index = node.input(0), node.input(1)
    axis = node.get("axis", 0) % len(s.shape(x))
    flat = s.gather(s.reshape(x, (prod(s.shape(x)), 1)), _flat_places(s, x, index, axis))
    s.finish(s.reshape(flat, s.shape(index)))


def _flat_places(s: Steps, x: str, index: str, axis: int) -> str:
    """Return the row-major place in x of each element that `index` names along `axis`."""
    shape, picked = s.shape(x), s.shape(index)
    strides = [prod(shape[a + 1 :]) for a in range(len(shape))]
    grids = np.indices(picked)
    base = sum(grids[a] * strides[a] for a in range(len(shape)) if a != axis)
    wrapped = s.map("where", s.map("less", index, 0), s.map("add", index, shape[axis]), index)
    return s.map("add", s.map("mul", wrapped, strides[axis]), np.asarray(base, np.int64).reshape(picked))


def gather_nd(b: Builder, node: Node) -> None:
    """Slices of x at the places that the last axis of an index tensor names, batch by batch."""
    s = Steps(b, node)
    x, index, batches = node.input(0), node.input(1), node.get("batch_dims", 0)
    shape, deep = s.shape(x), s.shape(index)[-1]
    inner = shape[batches + deep :]
    rows = s.reshape(x, (prod(shape[: batches + deep]), *inner))
    s.finish(s.reshape(s.gather(rows, _nd_places(s, shape, index, batches)), (*s.shape(index)[:-1], *inner)))


def _nd_places(s: Steps, shape: tuple[int, ...], index: str, batches: int) -> str:
    """Return the row of the flattened leading axes that each index tuple names."""
    deep = s.shape(index)[-1]
    extents = shape[batches : batches + deep]
    places: str | None = None
    for k, extent in enumerate(extents):
        part = s.pick(index, -1, k)
        part = s.map("where", s.map("less", part, 0), s.map("add", part, extent), part)
        part = s.map("mul", part, prod(extents[k + 1 :]))
        places = part if places is None else s.map("add", places, part)
    assert places is not None
    if not batches:
        return places
    lead = s.shape(index)[:batches]
    base = np.arange(prod(lead)).reshape(lead) * prod(extents)
    spread = base.reshape(lead + (1,) * (len(s.shape(places)) - batches))
    return s.map("add", places, np.asarray(spread, np.int64))


_JOINS = ("none", "add", "mul", "max", "min")


def _join(node: Node) -> str:
    fn = str(node.get("reduction", "none"))
    if fn not in _JOINS:
        raise node.refuse(f"reduction={fn}", f"{', '.join(_JOINS)} would work")
    return fn


def scatter_elements(b: Builder, node: Node) -> None:
    """x with elements replaced or joined at the places that an index tensor names along one axis, in order."""
    s = Steps(b, node)
    x, index, updates = (node.input(k) for k in range(3))
    axis, size = node.get("axis", 0) % len(s.shape(x)), prod(s.shape(x))
    places = _flat_places(s, x, index, axis)
    flat = s.scatter(
        s.reshape(x, (size, 1)), s.reshape(places, (prod(s.shape(index)),)),
        s.reshape(updates, (prod(s.shape(index)), 1)), _join(node),
    )  # fmt: skip
    s.finish(s.reshape(flat, s.shape(x)))


def scatter_nd(b: Builder, node: Node) -> None:
    """x with slices replaced or joined at the places that the last axis of an index tensor names, in order."""
    s = Steps(b, node)
    x, index, updates = (node.input(k) for k in range(3))
    shape, deep = s.shape(x), s.shape(index)[-1]
    inner = shape[deep:]
    count = prod(s.shape(index)[:-1])
    places = s.reshape(_nd_places(s, shape, index, 0), (count,))
    rows = s.reshape(x, (prod(shape[:deep]), *inner))
    s.finish(s.reshape(s.scatter(rows, places, s.reshape(updates, (count, *inner)), _join(node)), shape))


def one_hot(b: Builder, node: Node) -> None:
    """A new axis in which the place an index names holds one value and all others another."""
    s = Steps(b, node)
    index, values = node.input(0), node.input(2)
    depth = int(b.require(node, 1, "depth").reshape(()))
    rank = len(s.shape(index)) + 1
    axis = node.get("axis", -1) % rank
    wide = s.reshape(index, (*s.shape(index)[:axis], 1, *s.shape(index)[axis:]))
    if s.is_float(wide):
        wide = s.map("to_int", wide)
    wide = s.map("where", s.map("less", wide, 0), s.map("add", wide, depth), wide)
    places = np.arange(depth).reshape([-1 if a == axis else 1 for a in range(rank)])
    off, on = (s.pick(values, 0, k) for k in range(2))
    s.finish(s.map("where", s.map("equal", wide, places), on, off))


def slice_(b: Builder, node: Node) -> None:
    """A strided part along any axes, forwards or backwards."""
    s = Steps(b, node)
    x = node.input(0)
    rank = len(s.shape(x))
    starts, ends = (_numbers(b, node, key, k) for k, key in ((1, "starts"), (2, "ends")))
    assert starts is not None
    assert ends is not None
    axes = _numbers(b, node, "axes", 3) or list(range(len(starts)))
    steps = _numbers(b, node, "steps", 4) or [1] * len(starts)
    tables = {}
    for start, end, axis, step in zip(starts, ends, axes, steps, strict=True):
        extent = s.shape(x)[axis % rank]
        tables[axis % rank] = range(extent)[slice(start, end if abs(end) < 1 << 40 else None, step)]
    s.finish(s.take(x, tables))


def _numbers(b: Builder, node: Node, key: str, index: int) -> list[int] | None:
    """Return a list of integers given as an operand or, in older opsets, as an attribute."""
    if node.input(index):
        return [int(v) for v in b.require(node, index, key).reshape(-1)]
    given = node.get(key)
    return None if given is None else [int(v) for v in given]


def pad(b: Builder, node: Node) -> None:
    """Padding by a value, by reflection, by the edge or by wrapping around; negative pads cut off."""
    s = Steps(b, node)
    x, mode = node.input(0), node.get("mode", "constant")
    rank = len(s.shape(x))
    given = _numbers(b, node, "pads", 1) or []
    axes = [a % rank for a in (_numbers(b, node, "axes", 3) or range(rank))]
    value = float(node.get("value", 0.0))
    if node.input(2):
        value = float(b.require(node, 2, "constant_value").reshape(()))
    tables = {}
    for k, axis in enumerate(axes):
        before, after = given[k], given[k + len(axes)]
        if before or after:
            tables[axis] = _padded(node, mode, s.shape(x)[axis], before, after)
    s.finish(s.take(x, tables, value) if tables else x)


def _padded(node: Node, mode: str, extent: int, before: int, after: int) -> list[int]:
    """Return which element each place of a padded axis shows; -1 for the padding value."""
    low, high = max(-before, 0), extent - max(-after, 0)
    kept = list(range(low, high))
    places = range(-max(before, 0), len(kept) + max(after, 0))
    if mode == "constant":
        return [kept[p] if 0 <= p < len(kept) else -1 for p in places]
    if mode == "edge":
        return [kept[min(max(p, 0), len(kept) - 1)] for p in places]
    if mode == "wrap":
        return [kept[p % len(kept)] for p in places]
    if mode != "reflect":
        raise node.refuse(f"mode={mode}", "constant, reflect, edge or wrap would work")
    turn = max(2 * (len(kept) - 1), 1)
    return [kept[min(p % turn, turn - p % turn) if len(kept) > 1 else 0] for p in places]


def expand(b: Builder, node: Node) -> None:
    """Repetition along axes of extent 1 to a constant shape."""
    s = Steps(b, node)
    s.finish(s.broadcast(node.input(0), [int(n) for n in b.require(node, 1, "shape").reshape(-1)]))


def tile(b: Builder, node: Node) -> None:
    """Repetition of the whole along axes."""
    s = Steps(b, node)
    x, repeats = node.input(0), b.require(node, 1, "repeats").reshape(-1).tolist()
    if node.version < 6:
        raise node.refuse(f"opset {node.version}", "opset 6 or newer would work")
    tables = {a: list(range(s.shape(x)[a])) * int(n) for a, n in enumerate(repeats) if n != 1}
    s.finish(s.take(x, tables) if tables else x)


def split(b: Builder, node: Node) -> None:
    """Consecutive pieces along one axis."""
    s = Steps(b, node)
    x, start = node.input(0), 0
    axis = node.get("axis", 0) % len(s.shape(x))
    for index, piece in enumerate(b.infer(node)):
        if not piece.name:
            sizes = _numbers(b, node, "split", 1)
            extent = sizes[index] if sizes else -(-s.shape(x)[axis] // len(node.outputs))
        else:
            extent = piece.shape[axis]
            s.finish(s.span(x, axis, start, start + extent), index)
        start += extent


def trilu(b: Builder, node: Node) -> None:
    """The upper or lower triangle of matrices, the rest 0."""
    s = Steps(b, node)
    x = node.input(0)
    k = int(b.require(node, 1, "k").reshape(())) if node.input(1) else 0
    rows, cols = s.shape(x)[-2:]
    whole = np.ones((rows, cols), np.int64)
    mask = np.triu(whole, k) if node.get("upper", 1) else np.tril(whole, k)
    s.finish(s.map("where", s.constant(mask), x, s.constant(0, x)))


def eye_like(b: Builder, node: Node) -> None:
    """A matrix of x's shape with ones on a diagonal."""
    s = Steps(b, node)
    rows, cols = s.shape(node.input(0))
    kind = b.result(node).dtype
    data = np.eye(rows, cols, int(node.get("k", 0)), np.float32 if kind.startswith("float") else np.int64)
    s.finish(data)


def reverse_sequence(b: Builder, node: Node) -> None:
    """The first `sequence_lens` steps of each sample in reverse order, the rest as it is."""
    s = Steps(b, node)
    x, lengths = node.input(0), node.input(1)
    batch, time = node.get("batch_axis", 1), node.get("time_axis", 0)
    rank, steps, samples = len(s.shape(x)), s.shape(x)[time], s.shape(x)[batch]
    order = [time, batch, *(a for a in range(rank) if a not in (time, batch))]
    moved = s.transpose(x, order)
    at = np.arange(steps).reshape(steps, 1)
    count = s.reshape(lengths, (1, samples))
    places = s.map("where", s.map("less", at, count), s.map("sub", s.map("sub", count, 1), at), at)
    rows = s.map("add", s.map("mul", places, samples), np.arange(samples).reshape(1, samples))
    flat = s.gather(s.reshape(moved, (steps * samples, *s.shape(moved)[2:])), rows)
    s.finish(s.transpose(s.reshape(flat, s.shape(moved)), [order.index(a) for a in range(rank)]))


def compress(b: Builder, node: Node) -> None:
    """The slices (or elements) that a constant condition names."""
    s = Steps(b, node)
    x, condition = node.input(0), b.require(node, 1, "condition").reshape(-1)
    if "axis" not in node.attrs:
        x, axis = s.reshape(x, (prod(s.shape(x)),)), 0
    else:
        axis = node.get("axis") % len(s.shape(x))
    picked = s.take(x, {axis: np.flatnonzero(condition)})
    s.finish_as(picked, s.shape(picked), s.dtype(picked))


def dropout(b: Builder, node: Node) -> None:
    """The operand itself, and a mask of ones: inference drops nothing."""
    s = Steps(b, node)
    if node.input(2) and bool(b.require(node, 2, "training mode").reshape(())):
        raise node.refuse("training_mode=1", "inference would work")
    s.finish(node.input(0))
    if node.output(1):
        s.finish(np.ones(s.shape(node.input(0)), np.int64), 1)


def space_to_depth(b: Builder, node: Node) -> None:
    """Blocks of positions gathered into channels, places first (DCR) or channels first (CRD)."""
    s = Steps(b, node)
    x, size = node.input(0), node.get("blocksize")
    n, c, h, w = s.shape(x)
    blocks = s.reshape(x, (n, c, h // size, size, w // size, size))
    order = (0, 3, 5, 1, 2, 4) if node.get("mode", "DCR") == "DCR" else (0, 1, 3, 5, 2, 4)
    s.finish(s.reshape(s.transpose(blocks, order), (n, c * size * size, h // size, w // size)))


def center_crop_pad(b: Builder, node: Node) -> None:
    """The middle of x, cut off or padded with zeros to a constant shape."""
    s = Steps(b, node)
    x, goal = node.input(0), b.require(node, 1, "shape").reshape(-1).tolist()
    axes = node.get("axes", tuple(range(len(s.shape(x)))))
    tables = {}
    for axis, size in zip(axes, goal, strict=True):
        extent = s.shape(x)[axis]
        shift = (extent - size) // 2 if size <= extent else -((size - extent) // 2)
        tables[axis] = [p + shift if 0 <= p + shift < extent else -1 for p in range(int(size))]
    s.finish(s.take(x, tables))


_INDEX = ("axis",)

LOWERINGS = (
    Lowering("Gather", gather, ("take", "gather", "transpose"), _INDEX),
    Lowering("GatherElements", gather_elements, ("map", "gather"), _INDEX),
    Lowering("GatherND", gather_nd, ("map", "gather"), ("batch_dims",)),
    Lowering("ScatterElements", scatter_elements, ("map", "scatter"), ("axis", "reduction")),
    Lowering("Scatter", scatter_elements, ("map", "scatter"), _INDEX),
    Lowering("ScatterND", scatter_nd, ("map", "scatter"), ("reduction",)),
    Lowering("OneHot", one_hot, ("map",), _INDEX, ("a depth computed at run time",)),
    Lowering("Slice", slice_, ("take",), ("axes", "ends", "starts"), ("bounds computed at run time",)),
    Lowering("Pad", pad, ("take",), ("mode", "pads", "value"), ("pads computed at run time",)),
    Lowering("Expand", expand, ("take",), (), ("a shape computed at run time",)),
    Lowering("Tile", tile, ("take",), (), ("repeats computed at run time",)),
    Lowering("Split", split, ("take",), ("axis", "split", "num_outputs")),
    Lowering("Trilu", trilu, ("map",), ("upper",)),
    Lowering("EyeLike", eye_like, ("map",), ("dtype", "k")),
    Lowering("ReverseSequence", reverse_sequence, ("map", "gather", "transpose"), ("batch_axis", "time_axis")),
    Lowering("Compress", compress, ("take",), _INDEX, ("a condition computed at run time",)),
    Lowering("Dropout", dropout, ("reshape",), ("ratio", "seed"), ("training_mode=1",)),
    Lowering("SpaceToDepth", space_to_depth, ("reshape", "transpose"), ("blocksize", "mode")),
    Lowering("CenterCropPad", center_crop_pad, ("take",), ("axes",), ("a shape computed at run time",)),
)
