"""Random tiles for the systolic arrays' property tests."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np

from accelc.chip import load_chip
from accelc.chip.timing import Timing
from accelc.isa import Memory, by_name
from accelc.isa import events as ev
from accelc.sim.jit import entry

_conv, _depthwise = entry(by_name("conv").action), entry(by_name("depthwise").action)
EDGE = load_chip("edge").timing


class Conv(NamedTuple):
    """A tile of a convolution, as the operands of the literal models in their order."""

    act: int
    act_row: int
    act_col: int
    rows: int
    cols: int
    taps_y: int
    taps_x: int
    depth: int
    tap_row: int
    tap_col: int
    wgt: int
    acc: int
    acc_col: int
    n: int
    accumulate: int
    groups: int
    act_group: int


OPERANDS = Conv._fields


class Depthwise(NamedTuple):
    """A tile of a depthwise convolution, as the operands of the literal models in their order."""

    act: int
    act_row: int
    act_col: int
    rows: int
    cols: int
    taps_y: int
    taps_x: int
    tap_row: int
    tap_col: int
    wgt: int
    acc: int
    acc_col: int
    n: int


def chip(rows: int, cols: int, double: int = 1, overlap: int = 1, spans: int = 0, last_index: int = 0) -> Timing:
    """Return a chip with a systolic array of that size and kind."""
    return EDGE._replace(
        array_rows=rows, array_cols=cols, double_buffered_weights=double, overlapped_tiles=overlap,
        spans_taps=spans, last_index=last_index,
    )


def random_chip(rng: np.random.Generator) -> Timing:
    """Return an array of up to 9x9 PEs, now and then one of a single row, column or PE, with any settings."""
    rows, cols = (int(rng.choice([1, *range(1, 10), 4, 8])) for _ in range(2))
    double = int(rng.integers(2))
    overlap = double and int(rng.integers(2))
    return chip(rows, cols, double, overlap, int(rng.integers(2)), int(rng.integers(2)))


DEPTHS = 4, 4, 8, 12
DEEP = 16, 16, 20  # enough for vectors of words


def random_conv(rng: np.random.Generator, depths: tuple[int, ...] = DEPTHS) -> Conv:
    """Return a small tile: any stride, dilation and groups, often one pixel or one kernel position."""
    rows, cols = (int(rng.choice([1, 1, 2, 3, 5])) for _ in range(2))
    taps_y, taps_x = (int(rng.choice([1, 1, 2, 3])) for _ in range(2))
    stride_y, stride_x, dilation_y, dilation_x = (int(v) for v in rng.integers(1, 4, 4))
    depth, n, groups = int(rng.choice(depths)), int(rng.choice([16, 16, 32])), int(rng.choice([1, 1, 2, 3]))
    pixel = groups * depth + int(rng.choice([0, 4]))
    line = ((cols - 1) * stride_x + (taps_x - 1) * dilation_x + 1) * pixel
    return Conv(
        int(rng.integers(9)), line * stride_y, pixel * stride_x, rows, cols, taps_y, taps_x, depth,
        line * dilation_y, pixel * dilation_x, int(rng.integers(9)), int(rng.integers(9)),
        groups * n + int(rng.integers(3)), n, int(rng.integers(2)), groups, depth,
    )


def random_depthwise(rng: np.random.Generator) -> Depthwise:
    """Return a small depthwise tile of any number of channels."""
    t, n = random_conv(rng), int(rng.integers(1, 21))
    per_pixel = (t.act_col, t.act_row, t.tap_row, t.tap_col)
    pixel = int(np.gcd.reduce(per_pixel))
    act_col, act_row, tap_row, tap_col = (v // pixel * n for v in per_pixel)
    return Depthwise(
        t.act, act_row, act_col, t.rows, t.cols, t.taps_y, t.taps_x, tap_row, tap_col, t.wgt, t.acc, n + 2, n
    )


def random_memory(rng: np.random.Generator) -> Memory:
    """Return buffers that hold any of those tiles, full of random words whose sums wrap now and then."""
    return Memory(
        np.zeros(1, np.uint8), rng.integers(0, 256, 1 << 15, dtype=np.uint8),
        rng.integers(-128, 128, 1 << 15).astype(np.int8),
        rng.choice([0, 5, -9999, (1 << 31) - 1, -(1 << 31)], 1 << 13).astype(np.int32),
    )


def defined(m: Memory, tile: Conv | Depthwise) -> np.ndarray[Any, Any]:
    """Return the accumulator buffer after the instruction's plain definition."""
    copy = m._replace(acc=m.acc.copy())
    if isinstance(tile, Conv):
        _conv(copy, *tile[: OPERANDS.index("accumulate") + 1], 0, tile.groups, tile.act_group)
    else:
        _depthwise(copy, *tile, 0)
    return copy.acc


def _closed(tile: Conv | Depthwise) -> dict[str, int]:
    """Return a tile's operands that the closed forms read."""
    return {k: v for k, v in tile._asdict().items() if k not in ("act", "wgt", "acc", "acc_col", "act_group")}


def check(c: Timing, m: Memory, tile: Conv | Depthwise, literal: Callable[..., int], closed: Any) -> None:
    """Require equal values, cycles and access counts of the literal model, the definition and the closed forms."""
    name = "conv" if isinstance(tile, Conv) else "depthwise"
    operands, expected = _closed(tile), defined(m, tile)
    counts = np.zeros((2, len(ev.NAMES)), np.int64)
    copy = m._replace(acc=m.acc.copy())
    cycles = literal(copy, c, counts[0], *tile)
    getattr(closed, f"{name}_events")(counts[1], c, **operands)
    operands.pop("accumulate", None)
    where = f"{tile} on {c}"
    np.testing.assert_array_equal(copy.acc, expected, where)
    assert cycles == sum(getattr(closed, f"{name}_cycles")(c, **operands)), where
    assert dict(zip(ev.NAMES, counts[0], strict=True)) == dict(zip(ev.NAMES, counts[1], strict=True)), where


def cases(seed: int, count: int) -> Iterator[tuple[np.random.Generator, Timing, Memory]]:
    """Return random chips and memories."""
    rng = np.random.default_rng(seed)
    for _ in range(count):
        yield rng, random_chip(rng), random_memory(rng)
