"""Fast forms of the MAC array's instructions; their plain definitions stand in accelc.isa.mac."""

from __future__ import annotations

import numpy as np

from accelc.isa.core import Memory
from accelc.sim.jit import kernel
from accelc.sim.kernels.dot import BLOCKS, LONE_BLOCKS, STRIP, dot
from accelc.sim.kernels.ir import address

FETCHES = 8  # most strips that share in fetching the weights that follow: all at once would hold up other loads


@kernel
def conv(  # dataflow is a matter of time alone
    m: Memory, act: int, act_row: int, act_col: int, rows: int, cols: int, taps_y: int, taps_x: int, depth: int,
    tap_row: int, tap_col: int, wgt: int, acc: int, acc_col: int, n: int, accumulate: int, dataflow: int, groups: int,  # noqa: ARG001
    act_group: int,
) -> None:
    """Tile of a convolution: a few blocks of 16 channels stay in the cache while strips of pixels stream past."""
    if act_row == cols * act_col:  # lines follow each other: one long line
        cols *= rows
        rows = 1
    elif cols == 1:
        cols = rows
        act_col = act_row
        rows = 1
    if tap_col == depth:  # taps follow each other: one deep tap
        depth *= taps_x
        taps_x = 1
    block = taps_y * taps_x * depth * 16
    strips = (cols + STRIP - 1) // STRIP
    most = LONE_BLOCKS if cols == 1 else BLOCKS
    to = address(m.acc) + 4 * acc
    pixels = address(m.act) + act
    weights = address(m.wgt) + wgt
    pieces = max(1, min(rows * strips, FETCHES))
    gap = most * block // pieces // 2
    step = (gap * 64 + block - 1) // block
    for g in range(groups):
        for j in range(0, n // 16, most):
            at = weights + (g * (n // 16) + j) * block
            for y in range(rows):
                x = 0
                for s in range(strips):
                    after = cols * (s + 1) // strips
                    piece = y * strips + s
                    dot(
                        min(most, n // 16 - j), after - x,
                        to + 4 * ((y * cols + x) * acc_col + g * n + 16 * j), 4 * acc_col,
                        pixels + y * act_row + x * act_col + g * act_group, act_col,
                        taps_y, taps_x, tap_row, tap_col, depth // 4,
                        at, block, at + (most * block + 2 * piece * gap if piece < pieces else 0), gap,
                        step if piece < pieces else 0, accumulate,
                    )  # fmt: skip
                    x = after


@kernel
def depthwise(
    m: Memory, act: int, act_row: int, act_col: int, rows: int, cols: int, taps_y: int, taps_x: int, tap_row: int,
    tap_col: int, wgt: int, acc: int, acc_col: int, n: int, dataflow: int,  # noqa: ARG001
) -> None:
    """Tile of a depthwise convolution, all channels of a pixel side by side."""
    for y in range(rows):
        for x in range(cols):
            to = acc + (y * cols + x) * acc_col
            total = m.acc[to : to + n]
            for j in range(n):
                total[j] = 0
            for ty in range(taps_y):
                for tx in range(taps_x):
                    at = act + y * act_row + x * act_col + ty * tap_row + tx * tap_col
                    of = wgt + (ty * taps_x + tx) * n
                    values, weights = m.act[at : at + n], m.wgt[of : of + n]
                    for j in range(n):
                        total[j] = np.int32(total[j] + np.int32(np.int32(values[j]) * np.int32(weights[j])))
