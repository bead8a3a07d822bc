"""Fast forms of the instructions on 16-bit operands with 64-bit sums, which accelc.isa.wide defines."""

from __future__ import annotations

import numpy as np

from accelc.isa.core import Memory
from accelc.sim.jit import kernel
from accelc.sim.kernels.dot16 import BLOCKS, STRIP, dot16
from accelc.sim.kernels.ir import LANES, address


@kernel
def conv16(  # dataflow is a matter of time alone
    m: Memory, act: int, act_row: int, act_col: int, rows: int, cols: int, taps_y: int, taps_x: int, depth: int,
    tap_row: int, tap_col: int, wgt: int, acc: int, acc_col: int, n: int, accumulate: int, dataflow: int, groups: int,  # noqa: ARG001
    act_group: int,
) -> None:
    """Tile of a convolution: two blocks of 16 channels stay in the cache while strips of pixels stream past."""
    if act_row == cols * act_col:  # lines follow each other: one long line
        cols *= rows
        rows = 1
    elif cols == 1:
        cols = rows
        act_col = act_row
        rows = 1
    if tap_col == 2 * depth:  # taps follow each other: one deep tap
        depth *= taps_x
        taps_x = 1
    block = 2 * taps_y * taps_x * depth * LANES
    to = address(m.acc) + 4 * acc
    pixels = address(m.act) + act
    weights = address(m.wgt) + wgt
    for g in range(groups):
        for j in range(0, n // LANES, BLOCKS):
            for y in range(rows):
                for x in range(0, cols, STRIP):
                    dot16(
                        min(BLOCKS, n // LANES - j), min(STRIP, cols - x),
                        to + 4 * ((y * cols + x) * acc_col + 2 * (g * n + LANES * j)), 4 * acc_col,
                        pixels + y * act_row + x * act_col + g * act_group, act_col,
                        taps_y, taps_x, tap_row, tap_col, depth // 2,
                        weights + (g * (n // LANES) + j) * block, block, accumulate,
                    )  # fmt: skip


@kernel
def depthwise16(
    m: Memory, act: int, act_row: int, act_col: int, rows: int, cols: int, taps_y: int, taps_x: int, tap_row: int,
    tap_col: int, wgt: int, acc: int, acc_col: int, n: int, dataflow: int,  # noqa: ARG001
) -> None:
    """Tile of a depthwise convolution, all channels of a pixel side by side."""
    for y in range(rows):
        for x in range(cols):
            to = acc + (y * cols + x) * acc_col
            total = m.acc[to : to + 2 * n].view(np.int64)
            for j in range(n):
                total[j] = 0
            for ty in range(taps_y):
                for tx in range(taps_x):
                    at = act + y * act_row + x * act_col + ty * tap_row + tx * tap_col
                    of = wgt + 2 * (ty * taps_x + tx) * n
                    values, weights = m.act[at : at + 2 * n].view(np.int16), m.wgt[of : of + 2 * n].view(np.int16)
                    for j in range(n):
                        total[j] += np.int64(np.int32(np.int32(values[j]) * np.int32(weights[j])))


@kernel
def requantize16(
    m: Memory, acc: int, acc_col: int, dst: int, dst_col: int, pixels: int, n: int, params: int, low: int, high: int
) -> None:
    """64-bit sums to int16 by one float64 product."""
    bias = m.wgt[params : params + 8 * n].view(np.int64)
    scale = m.wgt[params + 8 * n : params + 12 * n].view(np.float32)
    least, most = np.float64(low), np.float64(high)
    for p in range(pixels):
        total = m.acc[acc + p * acc_col : acc + p * acc_col + 2 * n].view(np.int64)
        out = m.act[dst + p * dst_col : dst + p * dst_col + 2 * n].view(np.int16)
        for j in range(n):
            real = np.float64(total[j] + bias[j]) * np.float64(scale[j])
            out[j] = np.int16(np.rint(min(max(real, least), most)))
