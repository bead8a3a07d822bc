"""Reading images between their pixels: grid sampling, affine grids, regions of interest."""

from __future__ import annotations

from math import prod

import numpy as np

from accelc.frontend.builder import Builder
from accelc.frontend.node import Lowering, Node
from accelc.frontend.real.steps import Steps
from accelc.graph import Array


def _rows(s: Steps, x: str) -> str:
    """Return an image (N,C,H,W) as rows of channels, one for each pixel: (N*H*W, C)."""
    n, c, h, w = s.shape(x)
    return s.reshape(s.transpose(x, (0, 2, 3, 1)), (n * h * w, c))


def _pixel_rows(s: Steps, x: str, batch: str | Array, y: str, column: str) -> str:
    """Return the row number of pixels (y, x) of images numbered `batch`; y and x are integers held to the image."""
    _, _, h, w = s.shape(x)
    base = s.map("mul", batch, h * w) if isinstance(batch, str) else s.constant(batch * (h * w))
    return s.map("add", base, s.map("add", s.map("mul", y, w), column))


def _held(s: Steps, x: str, most: int) -> str:
    return s.map("min", s.map("max", x, 0), most)


def grid_sample(b: Builder, node: Node) -> None:
    """Pixels read at places that a grid names in -1..1, from one, four or sixteen neighbors; 4-D images."""
    s = Steps(b, node)
    x, grid = node.input(0), node.input(1)
    if len(s.shape(x)) != 4:
        raise node.refuse(f"an image of rank {len(s.shape(x))}", "rank 4 would work")
    n, c, h, w = s.shape(x)
    _, rows, cols, _ = s.shape(grid)
    align = bool(node.get("align_corners", 0))
    places = [_unnormalized(s, s.pick(grid, -1, k), extent, align) for k, extent in ((1, h), (0, w))]
    mode = {"bilinear": "linear", "bicubic": "cubic"}.get(node.get("mode", "linear"), node.get("mode", "linear"))
    flat = _rows(s, x)
    batch = np.arange(n).reshape(n, 1, 1)
    taps = [_taps(s, node, mode, place, extent, align) for place, extent in zip(places, (h, w), strict=True)]
    total: str | None = None
    for row, row_weight in taps[0]:
        for column, weight in taps[1]:
            pixel = s.gather(flat, _pixel_rows(s, x, batch, row, column))
            both = weight if row_weight is None else s.map("mul", row_weight, weight) if weight else None
            part = pixel if both is None else s.map("mul", pixel, s.reshape(both, (n, rows, cols, 1)))
            total = part if total is None else s.map("add", total, part)
    assert total is not None
    s.finish(s.transpose(s.reshape(total, (n, rows, cols, c)), (0, 3, 1, 2)))


def _unnormalized(s: Steps, place: str, extent: int, align: bool) -> str:
    """Return places in -1..1 as pixels: -1 and 1 are the centers of the outer pixels, or their outer edges."""
    shifted = s.map("add", place, 1.0)
    if align:
        return s.map("mul", shifted, (extent - 1) / 2)
    return s.map("sub", s.map("mul", shifted, extent / 2), 0.5)


def _taps(s: Steps, node: Node, mode: str, place: str, extent: int, align: bool) -> list[tuple[str, str | None]]:
    """Return (pixel, weight) for each neighbor along an axis; the weight is 0 outside where padding is zeros."""
    padding = node.get("padding_mode", "zeros")
    if padding == "border" and mode != "cubic":
        place = s.map("min", s.map("max", place, 0.0), float(extent - 1))
    if padding == "reflection" and mode != "cubic":
        place = _reflected(s, place, extent, align)
    if mode == "nearest":
        return [_tap(s, s.map("round", place), None, padding, extent, align)]
    low = s.map("floor", place)
    frac = s.map("sub", place, low)
    if mode == "linear":
        pairs = [(low, s.map("sub", 1.0, frac)), (s.map("add", low, 1.0), frac)]
        return [_tap(s, pixel, weight, padding, extent, align) for pixel, weight in pairs]
    steps = [s.map("add", low, float(k)) for k in (-1, 0, 1, 2)]
    shares = [_cubic_weight(s, frac, k) for k in (-1, 0, 1, 2)]
    return [_tap(s, pixel, share, padding, extent, align) for pixel, share in zip(steps, shares, strict=True)]


def _cubic_weight(s: Steps, frac: str, k: int) -> str:
    """Return the weight of the neighbor k pixels from the one below, for the share `frac` above it (a = -0.75)."""
    a = -0.75
    x = s.map("abs", s.map("sub", frac, float(k)))
    square = s.map("mul", x, x)
    cube = s.map("mul", square, x)
    if k in (0, 1):
        parts = s.map("sub", s.map("mul", cube, a + 2), s.map("mul", square, a + 3))
        return s.map("add", parts, 1.0)
    parts = s.map("sub", s.map("mul", cube, a), s.map("mul", square, 5 * a))
    return s.map("sub", s.map("add", parts, s.map("mul", x, 8 * a)), 4 * a)


def _reflected(s: Steps, place: str, extent: int, align: bool) -> str:
    """Return places thrown back at the edges: at the outer pixels' centers, or at their outer edges."""
    low, high = (0.0, extent - 1.0) if align else (-0.5, extent - 0.5)
    span = high - low
    if span == 0:
        return s.map("mul", place, 0.0)
    away = s.map("abs", s.map("sub", place, low))
    turned = s.map("fmod", away, 2 * span)
    back = s.map("where", s.map("greater", turned, span), s.map("sub", 2 * span, turned), turned)
    return s.map("min", s.map("max", s.map("add", back, low), 0.0), extent - 1.0)


def _tap(s: Steps, pixel: str, weight: str | None, padding: str, extent: int, align: bool) -> tuple[str, str | None]:
    if padding == "reflection":
        pixel = s.map("round", _reflected(s, pixel, extent, align))
    if padding == "zeros":
        above = s.map("greater_equal", pixel, 0.0)
        inside = s.map("and", above, s.map("less_equal", pixel, extent - 1.0))
        share = s.map("to_float", inside)
        weight = share if weight is None else s.map("mul", weight, share)
    return _held(s, s.map("to_int", pixel), extent - 1), weight


def affine_grid(b: Builder, node: Node) -> None:
    """The places that 2-D or 3-D affine transforms give a regular grid of a constant size."""
    s = Steps(b, node)
    theta, size = node.input(0), [int(n) for n in b.require(node, 1, "size").reshape(-1)]
    align = bool(node.get("align_corners", 0))
    axes = []
    for extent in size[2:]:
        step = np.arange(extent, dtype=np.float64)
        axes.append(step * 2 / max(extent - 1, 1) - 1 if align else (step * 2 + 1) / extent - 1)
    grids = np.meshgrid(*axes, indexing="ij")
    points = np.stack([*reversed(grids), np.ones(grids[0].shape)], -1).reshape(-1, len(axes) + 1).astype(np.float32)
    found = s.contract("pk,njk->npj", s.constant(points), theta)
    s.finish(s.reshape(found, (size[0], *size[2:], len(axes))))


def roi_align(b: Builder, node: Node) -> None:
    """Means or maxima of bilinear samples on a regular grid in each cell of each region."""
    s = Steps(b, node)
    x, rois, batch = (node.input(k) for k in range(3))
    high, wide, ratio = node.get("output_height", 1), node.get("output_width", 1), node.get("sampling_ratio", 0)
    if ratio == 0:
        raise node.refuse("sampling_ratio=0, a number of samples that depends on the regions,", "1 or more would work")
    half = node.version >= 16 and node.get("coordinate_transformation_mode", "half_pixel") == "half_pixel"
    _, c, h, w = s.shape(x)
    count = s.shape(rois)[0]
    scaled = s.map("mul", rois, float(node.get("spatial_scale", 1.0)))
    scaled = s.map("sub", scaled, 0.5) if half else scaled
    rows = _sample_places(s, s.pick(scaled, 1, 1), s.pick(scaled, 1, 3), high, ratio, half)
    cols = _sample_places(s, s.pick(scaled, 1, 0), s.pick(scaled, 1, 2), wide, ratio, half)
    flat, image = _rows(s, x), s.reshape(batch, (count, 1, 1))
    fn = "max" if node.get("mode", "avg") == "max" else "sum"
    values = _bilinear(s, x, flat, image, rows, cols, (count, high * ratio, wide * ratio, h, w), joined=fn == "sum")
    cells = s.reshape(values, (count, high, ratio, wide, ratio, c))
    pooled = s.reduce(fn, cells, (2, 4))
    pooled = s.map("div", pooled, float(ratio * ratio)) if fn == "sum" else pooled
    s.finish(s.transpose(pooled, (0, 3, 1, 2)))


def _sample_places(s: Steps, low: str, high: str, cells: int, ratio: int, half: bool) -> str:
    """Return the places (regions, cells * ratio) of samples along an axis; regions are at least 1 wide, or any."""
    extent = s.map("sub", high, low)
    extent = extent if half else s.map("max", extent, 1.0)
    size = s.reshape(s.map("div", extent, float(cells)), (s.shape(low)[0], 1))
    cell, sample = np.divmod(np.arange(cells * ratio), ratio)
    at = s.constant((cell + (sample + 0.5) / ratio).astype(np.float32).reshape(1, -1))
    return s.map("add", s.reshape(low, (s.shape(low)[0], 1)), s.map("mul", size, at))


def _bilinear(
    s: Steps, x: str, flat: str, image: str, rows: str, cols: str, sizes: tuple[int, ...], *, joined: bool
) -> str:
    """Return samples (count, rows, cols, channels); those more than 1 outside are 0. Not joined: the largest part."""
    count, high, wide, h, w = sizes
    down = _edges(s, s.reshape(rows, (count, high, 1)), h)
    right = _edges(s, s.reshape(cols, (count, 1, wide)), w)
    total: str | None = None
    for row, row_weight in down:
        for column, weight in right:
            pixel = s.gather(flat, _pixel_rows(s, x, image, row, column))
            share = s.reshape(s.map("mul", row_weight, weight), (count, high, wide, 1))
            part = s.map("mul", pixel, share)
            total = part if total is None else s.map("add" if joined else "max", total, part)
    assert total is not None
    return total


def _edges(s: Steps, place: str, extent: int) -> list[tuple[str, str]]:
    """Return both neighbors of places along an axis with their weights."""
    inside = s.map("and", s.map("greater_equal", place, -1.0), s.map("less_equal", place, float(extent)))
    held = s.map("max", place, 0.0)
    low = s.map("min", s.map("to_int", held), extent - 1)
    high = s.map("min", s.map("add", low, 1), extent - 1)
    # Beyond the last pixel's center the place is that center.
    last = s.map("greater_equal", s.map("to_int", held), extent - 1)
    frac = s.map("where", last, s.map("mul", held, 0.0), s.map("sub", held, s.map("to_float", low)))
    share = s.map("to_float", inside)
    return [(low, s.map("mul", s.map("sub", 1.0, frac), share)), (high, s.map("mul", frac, share))]


def max_unpool(b: Builder, node: Node) -> None:
    """Values put back at the places their maxima came from, zeros elsewhere."""
    s = Steps(b, node)
    x, index = node.input(0), node.input(1)
    shape, rank = s.shape(x), len(s.shape(x)) - 2
    kernel = node.get("kernel_shape")
    strides, pads = node.get("strides", (1,) * rank), node.get("pads", (0,) * (2 * rank))
    grown = [
        (n - 1) * step + k - pads[a] - pads[a + rank]
        for a, (n, step, k) in enumerate(zip(shape[2:], strides, kernel, strict=True))
    ]
    goal = (*shape[:2], *grown)
    if node.input(2):
        goal = tuple(int(n) for n in b.require(node, 2, "output_shape").reshape(-1))
        index = _moved(s, index, (*shape[:2], *grown), goal)
    size = prod(goal)
    zeros = s.constant(np.zeros((size, 1), np.float32))
    filled = s.scatter(zeros, s.reshape(index, (prod(shape),)), s.reshape(x, (prod(shape), 1)))
    s.finish_as(s.reshape(filled, goal), goal, s.dtype(x))


def _moved(s: Steps, index: str, before: tuple[int, ...], after: tuple[int, ...]) -> str:
    """Return flat places of one shape as those of a larger one."""
    if before == after:
        return index
    rest, total = index, None
    for k in range(len(before)):
        inner = prod(before[k + 1 :])
        place = s.map("div", rest, inner)
        rest = s.map("sub", rest, s.map("mul", place, inner))
        part = s.map("mul", place, prod(after[k + 1 :]))
        total = part if total is None else s.map("add", total, part)
    assert total is not None
    return total


def col2im(b: Builder, node: Node) -> None:
    """Blocks of columns added back into an image."""
    s = Steps(b, node)
    x = node.input(0)
    image, block = ([int(v) for v in b.require(node, k, role).reshape(-1)] for k, role in ((1, "image"), (2, "block")))
    rank = len(image)
    strides, dilations = node.get("strides", (1,) * rank), node.get("dilations", (1,) * rank)
    pads = node.get("pads", (0,) * (2 * rank))
    counts = [
        (image[a] + pads[a] + pads[a + rank] - dilations[a] * (block[a] - 1) - 1) // strides[a] + 1 for a in range(rank)
    ]
    places = []
    for a in range(rank):
        k, p = np.arange(block[a])[:, None], np.arange(counts[a])[None]
        places.append(k * dilations[a] + p * strides[a] - pads[a])  # (block, count)
    flat, inside = np.zeros((1, 1), np.int64), np.ones((1, 1), bool)
    for a in range(rank):
        held = (places[a] >= 0) & (places[a] < image[a])
        flat = (flat[:, None, :, None] * image[a] + np.clip(places[a], 0, image[a] - 1)[None, :, None, :]).reshape(
            flat.shape[0] * block[a], flat.shape[1] * counts[a]
        )
        inside = (inside[:, None, :, None] & held[None, :, None, :]).reshape(flat.shape)
    n, c = s.shape(x)[0], s.shape(x)[1] // prod(block)
    size = prod(image)
    columns = s.transpose(s.reshape(x, (n, c, flat.size)), (2, 0, 1))
    zeros = s.constant(np.zeros((size, n, c), np.float32))
    # What falls outside goes past the end, where scatter leaves it out.
    index = s.constant(np.where(inside, flat, 2 * size).reshape(-1))
    s.finish(s.reshape(s.transpose(s.scatter(zeros, index, columns, "add"), (1, 2, 0)), (n, c, *image)))


LOWERINGS = (
    Lowering("GridSample", grid_sample, ("map", "gather"), ("align_corners", "mode", "padding_mode"), ("5-D images",)),
    Lowering("AffineGrid", affine_grid, ("contract",), ("align_corners",), ("a size computed at run time",)),
    Lowering(
        "RoiAlign",
        roi_align,
        ("map", "gather", "reduce"),
        ("coordinate_transformation_mode", "mode", "output_height", "output_width", "sampling_ratio", "spatial_scale"),
        ("sampling_ratio=0",),
    ),
    Lowering("MaxUnpool", max_unpool, ("scatter",), ("kernel_shape", "pads", "strides")),
    Lowering("Col2Im", col2im, ("scatter",), ("dilations", "pads", "strides"), ("sizes computed at run time",)),
)
