"""Instructions that move bytes between DRAM and the on-chip buffers."""

from __future__ import annotations

from accelc.isa import events as ev
from accelc.isa.core import U8, U12, U16, U24, U32, ActAddr, Array, DramAddr, Memory, Queue, WgtAddr, instruction


@instruction(0x01, Queue.LOAD)
def load(
    m: Memory,
    src: DramAddr,
    dst: ActAddr,
    rows: U16,
    cols: U16,
    bytes: U24,
    pad_value: U8,
    src_row: U32,
    dst_row: U24,
    src_col: U32,
    dst_col: U24,
    pad_top: U12,
    pad_left: U12,
    pad_bottom: U12,
    pad_right: U12,
) -> None:
    """act[dst + y*dst_row + x*dst_col + b] <- dram[src + (y-pad_top)*src_row + (x-pad_left)*src_col + b], or pad_value outside.

    y runs over pad_top + rows + pad_bottom, x over pad_left + cols + pad_right, b over `bytes`.
    """
    for y in range(pad_top + rows + pad_bottom):
        for x in range(pad_left + cols + pad_right):
            to = dst + y * dst_row + x * dst_col
            sy = y - pad_top
            sx = x - pad_left
            inside = 0 <= sy < rows and 0 <= sx < cols
            for b in range(bytes):
                m.act[to + b] = m.dram[src + sy * src_row + sx * src_col + b] if inside else pad_value


@load.rule
def _(
    rows: int, cols: int, bytes: int, pad_top: int, pad_left: int, pad_bottom: int, pad_right: int
) -> str:
    ok = bytes and pad_top + rows + pad_bottom and pad_left + cols + pad_right
    return "" if ok else f"rows={rows} and cols={cols} with their padding, and bytes={bytes}, must be at least 1"


@load.cycles
def _(c: object) -> tuple[int, int, int]:
    return 0, 0, 0  # the DRAM decides


@load.touches
def _(
    t: Array, src: int, dst: int, rows: int, cols: int, bytes: int, src_row: int, src_col: int,
    dst_row: int, dst_col: int, pad_top: int, pad_left: int, pad_bottom: int, pad_right: int,
) -> int:
    t[0, 0] = 0
    t[0, 1] = src
    # Nothing is read when all of the frame is padding; the clause also serves whole arrays of operands.
    t[0, 2] = src + ((rows - 1) * src_row + (cols - 1) * src_col + bytes) * (rows > 0) * (cols > 0)
    t[0, 3] = 0
    t[1, 0] = 1
    t[1, 1] = dst
    t[1, 2] = dst + (pad_top + rows + pad_bottom - 1) * dst_row + (pad_left + cols + pad_right - 1) * dst_col + bytes
    t[1, 3] = 1
    return 2


@load.events
def _(
    e: Array, c: object, rows: int, cols: int, bytes: int,
    pad_top: int, pad_left: int, pad_bottom: int, pad_right: int,
) -> None:
    e[ev.ACT_WRITE_BYTES] += (pad_top + rows + pad_bottom) * (pad_left + cols + pad_right) * bytes


@instruction(0x02, Queue.LOAD)
def load_weights(m: Memory, src: DramAddr, dst: WgtAddr, bytes: U24) -> None:
    """wgt[dst + b] <- dram[src + b] for b in 0..bytes."""
    for b in range(bytes):
        v = int(m.dram[src + b])
        m.wgt[dst + b] = v - 256 if v > 127 else v


@load_weights.rule
def _(bytes: int) -> str:
    return "" if bytes else "bytes=0 must be at least 1"


@load_weights.cycles
def _(c: object) -> tuple[int, int, int]:
    return 0, 0, 0


@load_weights.touches
def _(t: Array, src: int, dst: int, bytes: int) -> int:
    t[0, 0] = 0
    t[0, 1] = src
    t[0, 2] = src + bytes
    t[0, 3] = 0
    t[1, 0] = 2
    t[1, 1] = dst
    t[1, 2] = dst + bytes
    t[1, 3] = 1
    return 2


@load_weights.events
def _(e: Array, c: object, bytes: int) -> None:
    e[ev.WGT_WRITE_BYTES] += bytes


@instruction(0x03, Queue.STORE)
def store(
    m: Memory,
    dst: DramAddr,
    src: ActAddr,
    rows: U16,
    cols: U16,
    bytes: U24,
    dst_row: U32,
    src_row: U24,
    dst_col: U32,
    src_col: U24,
) -> None:
    """dram[dst + y*dst_row + x*dst_col + b] <- act[src + y*src_row + x*src_col + b] over rows, cols and bytes."""
    for y in range(rows):
        for x in range(cols):
            for b in range(bytes):
                m.dram[dst + y * dst_row + x * dst_col + b] = m.act[src + y * src_row + x * src_col + b]


@store.rule
def _(rows: int, cols: int, bytes: int) -> str:
    return "" if rows and cols and bytes else f"rows={rows}, cols={cols} and bytes={bytes} must be at least 1"


@store.cycles
def _(c: object) -> tuple[int, int, int]:
    return 0, 0, 0


@store.touches
def _(
    t: Array, dst: int, src: int, rows: int, cols: int, bytes: int,
    dst_row: int, src_row: int, dst_col: int, src_col: int,
) -> int:
    t[0, 0] = 0
    t[0, 1] = dst
    t[0, 2] = dst + (rows - 1) * dst_row + (cols - 1) * dst_col + bytes
    t[0, 3] = 1
    t[1, 0] = 1
    t[1, 1] = src
    t[1, 2] = src + (rows - 1) * src_row + (cols - 1) * src_col + bytes
    t[1, 3] = 0
    return 2


@store.events
def _(e: Array, c: object, rows: int, cols: int, bytes: int) -> None:
    e[ev.ACT_READ_BYTES] += rows * cols * bytes
