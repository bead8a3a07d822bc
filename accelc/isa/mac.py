"""Instructions of the MAC array: a tile of a convolution (a matrix product is a convolution of one row) and its depthwise form.

Activations are bytes in excess-128 form: an int8 value v is stored as v + 128, a uint8 value as itself. The array
multiplies stored bytes; the compiler folds zero points into the bias. Accumulation wraps at 32 bits.
"""

from __future__ import annotations

from accelc.chip.timing import Timing
from accelc.isa.core import U3, U8, U16, U24, AccAddr, ActAddr, Array, Flag, Memory, Queue, WgtAddr, instruction
from accelc.isa.dataflow import INPUT_STATIONARY, NAMES, NEIGHBOR, NO_LOCAL_REUSE, OUTPUT_STATIONARY, ROW_STATIONARY
from accelc.isa.dataflow.input_stationary import conv_cycles as is_conv_cycles
from accelc.isa.dataflow.input_stationary import conv_events as is_conv_events
from accelc.isa.dataflow.input_stationary import depthwise_cycles as is_depthwise_cycles
from accelc.isa.dataflow.input_stationary import depthwise_events as is_depthwise_events
from accelc.isa.dataflow.neighbor import conv_cycles as neighbor_conv_cycles
from accelc.isa.dataflow.neighbor import conv_events as neighbor_conv_events
from accelc.isa.dataflow.neighbor import depthwise_cycles as neighbor_depthwise_cycles
from accelc.isa.dataflow.neighbor import depthwise_events as neighbor_depthwise_events
from accelc.isa.dataflow.no_local_reuse import conv_cycles as nlr_conv_cycles
from accelc.isa.dataflow.no_local_reuse import conv_events as nlr_conv_events
from accelc.isa.dataflow.no_local_reuse import depthwise_cycles as nlr_depthwise_cycles
from accelc.isa.dataflow.no_local_reuse import depthwise_events as nlr_depthwise_events
from accelc.isa.dataflow.output_stationary import conv_cycles as os_conv_cycles
from accelc.isa.dataflow.output_stationary import conv_events as os_conv_events
from accelc.isa.dataflow.output_stationary import depthwise_cycles as os_depthwise_cycles
from accelc.isa.dataflow.output_stationary import depthwise_events as os_depthwise_events
from accelc.isa.dataflow.row_stationary import conv_cycles as rs_conv_cycles
from accelc.isa.dataflow.row_stationary import conv_events as rs_conv_events
from accelc.isa.dataflow.row_stationary import depthwise_cycles as rs_depthwise_cycles
from accelc.isa.dataflow.row_stationary import depthwise_events as rs_depthwise_events
from accelc.isa.dataflow.weight_stationary import conv_cycles as ws_conv_cycles
from accelc.isa.dataflow.weight_stationary import conv_events as ws_conv_events
from accelc.isa.dataflow.weight_stationary import depthwise_cycles as ws_depthwise_cycles
from accelc.isa.dataflow.weight_stationary import depthwise_events as ws_depthwise_events

BLOCK = 16  # output channels that share one weight block
GROUP = 4  # input channels that lie together in it


@instruction(0x10, Queue.MAC)
def conv(
    m: Memory,
    act: ActAddr,
    act_row: U24,
    act_col: U16,
    rows: U16,
    cols: U16,
    taps_y: U8,
    taps_x: U8,
    depth: U16,
    tap_row: U24,
    tap_col: U16,
    wgt: WgtAddr,
    acc: AccAddr,
    acc_col: U16,
    n: U16,
    accumulate: Flag,
    dataflow: U3,
    groups: U16,
    act_group: U16,
) -> None:
    """acc[acc + (y*cols+x)*acc_col + g*n + j] (+)= sum_{ty,tx,k} act[act + y*act_row + x*act_col + ty*tap_row + tx*tap_col + g*act_group + k] * w[g,j,ty,tx,k].

    Weights lie as [group][n/16][taps_y*taps_x][depth/4][16][4] bytes; depth is a multiple of 4, n of 16.
    """
    taps = taps_y * taps_x
    for g in range(groups):
        for y in range(rows):
            for x in range(cols):
                at = act + y * act_row + x * act_col + g * act_group
                for j in range(n):
                    to = acc + (y * cols + x) * acc_col + g * n + j
                    total = int(m.acc[to]) if accumulate else 0
                    block = wgt + g * n * taps * depth + (j // 16) * taps * depth * 16 + (j % 16) * 4
                    for tap in range(taps):
                        row = at + (tap // taps_x) * tap_row + (tap % taps_x) * tap_col
                        for k in range(depth):
                            w = m.wgt[block + tap * depth * 16 + (k // 4) * 64 + k % 4]
                            total += int(m.act[row + k]) * int(w)
                    m.acc[to] = ((total + 0x80000000) & 0xFFFFFFFF) - 0x80000000


@conv.rule
def _(
    rows: int, cols: int, taps_y: int, taps_x: int, depth: int, acc_col: int, n: int, groups: int, dataflow: int
) -> str:
    if not (rows and cols and taps_y and taps_x and depth and n and groups):
        return "rows, cols, taps_y, taps_x, depth, n and groups must be at least 1"
    if depth % 4:
        return f"depth={depth} must be a multiple of 4"
    if n % 16:
        return f"n={n} must be a multiple of 16"
    if rows * cols > 1 and acc_col < groups * n:
        return f"acc_col={acc_col} must be at least groups*n={groups * n}, or pixels overlap"
    return _unknown(dataflow)


def _unknown(dataflow: int) -> str:
    """Return what is wrong with a dataflow's code, or empty text."""
    known = ", ".join(f"{code} ({name})" for code, name in enumerate(NAMES))
    return "" if dataflow < len(NAMES) else f"dataflow={dataflow} is not one of {known}"


@conv.cycles
def _(
    c: Timing, act_row: int, act_col: int, rows: int, cols: int, taps_y: int, taps_x: int, depth: int, tap_row: int,
    tap_col: int, n: int, dataflow: int, groups: int,
) -> tuple[int, int, int]:
    if dataflow == INPUT_STATIONARY:
        return is_conv_cycles(c, rows, cols, taps_y, taps_x, depth, n, groups, act_row, act_col, tap_row, tap_col)
    if dataflow == NEIGHBOR:
        return neighbor_conv_cycles(c, rows, cols, taps_y, taps_x, depth, n, groups, act_row, act_col, tap_row, tap_col)
    if dataflow == NO_LOCAL_REUSE:
        return nlr_conv_cycles(c, rows, cols, taps_y, taps_x, depth, n, groups, act_row, act_col, tap_row, tap_col)
    if dataflow == OUTPUT_STATIONARY:
        return os_conv_cycles(c, rows, cols, taps_y, taps_x, depth, n, groups, act_row, act_col, tap_row, tap_col)
    if dataflow == ROW_STATIONARY:
        return rs_conv_cycles(c, rows, cols, taps_y, taps_x, depth, n, groups, act_row, act_col, tap_row, tap_col)
    return ws_conv_cycles(c, rows, cols, taps_y, taps_x, depth, n, groups, act_row, act_col, tap_row, tap_col)


@conv.touches
def _(
    t: Array, act: int, act_row: int, act_col: int, rows: int, cols: int, taps_y: int, taps_x: int, depth: int,
    tap_row: int, tap_col: int, wgt: int, acc: int, acc_col: int, n: int, groups: int, act_group: int,
) -> int:
    t[0, 0] = 1
    t[0, 1] = act
    t[0, 2] = (
        act + (rows - 1) * act_row + (cols - 1) * act_col + (taps_y - 1) * tap_row + (taps_x - 1) * tap_col
        + (groups - 1) * act_group + depth
    )
    t[0, 3] = 0
    t[1, 0] = 2
    t[1, 1] = wgt
    t[1, 2] = wgt + groups * n * taps_y * taps_x * depth
    t[1, 3] = 0
    t[2, 0] = 3
    t[2, 1] = acc
    t[2, 2] = acc + (rows * cols - 1) * acc_col + groups * n
    t[2, 3] = 1
    return 3


@conv.events
def _(
    e: Array, c: Timing, act_row: int, act_col: int, rows: int, cols: int, taps_y: int, taps_x: int, depth: int,
    tap_row: int, tap_col: int, n: int, accumulate: int, dataflow: int, groups: int,
) -> None:
    if dataflow == INPUT_STATIONARY:
        is_conv_events(e, c, rows, cols, taps_y, taps_x, depth, n, groups, accumulate, act_row, act_col, tap_row, tap_col)
    elif dataflow == NEIGHBOR:
        neighbor_conv_events(e, c, rows, cols, taps_y, taps_x, depth, n, groups, accumulate, act_row, act_col, tap_row, tap_col)
    elif dataflow == NO_LOCAL_REUSE:
        nlr_conv_events(e, c, rows, cols, taps_y, taps_x, depth, n, groups, accumulate, act_row, act_col, tap_row, tap_col)
    elif dataflow == OUTPUT_STATIONARY:
        os_conv_events(e, c, rows, cols, taps_y, taps_x, depth, n, groups, accumulate, act_row, act_col, tap_row, tap_col)
    elif dataflow == ROW_STATIONARY:
        rs_conv_events(e, c, rows, cols, taps_y, taps_x, depth, n, groups, accumulate, act_row, act_col, tap_row, tap_col)
    else:
        ws_conv_events(e, c, rows, cols, taps_y, taps_x, depth, n, groups, accumulate, act_row, act_col, tap_row, tap_col)


@instruction(0x11, Queue.MAC)
def depthwise(
    m: Memory,
    act: ActAddr,
    act_row: U24,
    act_col: U16,
    rows: U16,
    cols: U16,
    taps_y: U8,
    taps_x: U8,
    tap_row: U24,
    tap_col: U16,
    wgt: WgtAddr,
    acc: AccAddr,
    acc_col: U16,
    n: U16,
    dataflow: U3,
) -> None:
    """acc[acc + (y*cols+x)*acc_col + j] = sum_{ty,tx} act[act + y*act_row + x*act_col + ty*tap_row + tx*tap_col + j] * w[ty,tx,j].

    Each channel meets its own weight, on the diagonal of the array; weights lie as [taps_y*taps_x][n] bytes.
    """
    for y in range(rows):
        for x in range(cols):
            for j in range(n):
                total = 0
                for ty in range(taps_y):
                    for tx in range(taps_x):
                        at = act + y * act_row + x * act_col + ty * tap_row + tx * tap_col + j
                        total += int(m.act[at]) * int(m.wgt[wgt + (ty * taps_x + tx) * n + j])
                m.acc[acc + (y * cols + x) * acc_col + j] = ((total + 0x80000000) & 0xFFFFFFFF) - 0x80000000


@depthwise.rule
def _(rows: int, cols: int, taps_y: int, taps_x: int, acc_col: int, n: int, dataflow: int) -> str:
    if not (rows and cols and taps_y and taps_x and n):
        return "rows, cols, taps_y, taps_x and n must be at least 1"
    if rows * cols > 1 and acc_col < n:
        return f"acc_col={acc_col} must be at least n={n}, or pixels overlap"
    return _unknown(dataflow)


@depthwise.cycles
def _(
    c: Timing, act_row: int, act_col: int, rows: int, cols: int, taps_y: int, taps_x: int, tap_row: int,
    tap_col: int, n: int, dataflow: int,
) -> tuple[int, int, int]:
    if dataflow == INPUT_STATIONARY:
        return is_depthwise_cycles(c, rows, cols, taps_y, taps_x, n, act_row, act_col, tap_row, tap_col)
    if dataflow == NEIGHBOR:
        return neighbor_depthwise_cycles(c, rows, cols, taps_y, taps_x, n, act_row, act_col, tap_row, tap_col)
    if dataflow == NO_LOCAL_REUSE:
        return nlr_depthwise_cycles(c, rows, cols, taps_y, taps_x, n, act_row, act_col, tap_row, tap_col)
    if dataflow == OUTPUT_STATIONARY:
        return os_depthwise_cycles(c, rows, cols, taps_y, taps_x, n, act_row, act_col, tap_row, tap_col)
    if dataflow == ROW_STATIONARY:
        return rs_depthwise_cycles(c, rows, cols, taps_y, taps_x, n, act_row, act_col, tap_row, tap_col)
    return ws_depthwise_cycles(c, rows, cols, taps_y, taps_x, n, act_row, act_col, tap_row, tap_col)


@depthwise.touches
def _(
    t: Array, act: int, act_row: int, act_col: int, rows: int, cols: int, taps_y: int, taps_x: int,
    tap_row: int, tap_col: int, wgt: int, acc: int, acc_col: int, n: int,
) -> int:
    t[0, 0] = 1
    t[0, 1] = act
    t[0, 2] = act + (rows - 1) * act_row + (cols - 1) * act_col + (taps_y - 1) * tap_row + (taps_x - 1) * tap_col + n
    t[0, 3] = 0
    t[1, 0] = 2
    t[1, 1] = wgt
    t[1, 2] = wgt + taps_y * taps_x * n
    t[1, 3] = 0
    t[2, 0] = 3
    t[2, 1] = acc
    t[2, 2] = acc + (rows * cols - 1) * acc_col + n
    t[2, 3] = 1
    return 3


@depthwise.events
def _(
    e: Array, c: Timing, act_row: int, act_col: int, rows: int, cols: int, taps_y: int, taps_x: int, tap_row: int,
    tap_col: int, n: int, dataflow: int,
) -> None:
    if dataflow == INPUT_STATIONARY:
        is_depthwise_events(e, c, rows, cols, taps_y, taps_x, n, act_row, act_col, tap_row, tap_col)
    elif dataflow == NEIGHBOR:
        neighbor_depthwise_events(e, c, rows, cols, taps_y, taps_x, n, act_row, act_col, tap_row, tap_col)
    elif dataflow == NO_LOCAL_REUSE:
        nlr_depthwise_events(e, c, rows, cols, taps_y, taps_x, n, act_row, act_col, tap_row, tap_col)
    elif dataflow == OUTPUT_STATIONARY:
        os_depthwise_events(e, c, rows, cols, taps_y, taps_x, n, act_row, act_col, tap_row, tap_col)
    elif dataflow == ROW_STATIONARY:
        rs_depthwise_events(e, c, rows, cols, taps_y, taps_x, n, act_row, act_col, tap_row, tap_col)
    else:
        ws_depthwise_events(e, c, rows, cols, taps_y, taps_x, n, act_row, act_col, tap_row, tap_col)
