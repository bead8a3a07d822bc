"""Fast forms of the instructions that move bytes; their plain definitions stand in accelc.isa.dma."""

from __future__ import annotations

from accelc.isa.core import Memory
from accelc.sim.jit import kernel
from accelc.sim.kernels.ir import address, copy, copy_byte, fill

SHORT = 16  # below this many bytes a loop beats a call of memcpy


@kernel
def copy_runs(to: int, to_step: int, source: int, source_step: int, count: int, bytes_: int) -> None:
    """Copy `count` runs of bytes between addresses; runs that follow each other on both sides are copied as one."""
    if to_step == bytes_ and source_step == bytes_:
        copy(to, source, count * bytes_)
    elif bytes_ >= SHORT:
        for x in range(count):
            copy(to + x * to_step, source + x * source_step, bytes_)
    else:
        for x in range(count):
            for b in range(bytes_):
                copy_byte(to + x * to_step + b, source + x * source_step + b)


@kernel
def fill_runs(to: int, to_step: int, value: int, count: int, bytes_: int) -> None:
    """Set `count` runs of bytes, which start `to_step` apart, to a value."""
    if to_step == bytes_:
        fill(to, value, count * bytes_)
    else:
        for x in range(count):
            fill(to + x * to_step, value, bytes_)


@kernel
def load(
    m: Memory, src: int, dst: int, rows: int, cols: int, bytes: int, pad_value: int, src_row: int, dst_row: int,  # noqa: A002
    src_col: int, dst_col: int, pad_top: int, pad_left: int, pad_bottom: int, pad_right: int,
) -> None:
    """DRAM to the activation buffer, with a frame of padding."""
    source = address(m.dram) + src
    to = address(m.act) + dst
    width = pad_left + cols + pad_right
    if width == cols and rows > 1 and cols * bytes == src_row == dst_row and src_col == bytes == dst_col:
        fill_runs(to, dst_col, pad_value, pad_top * cols, bytes)
        copy(to + pad_top * dst_row, source, rows * src_row)
        fill_runs(to + (pad_top + rows) * dst_row, dst_col, pad_value, pad_bottom * cols, bytes)
        return
    for y in range(pad_top + rows + pad_bottom):
        line = to + y * dst_row
        if pad_top <= y < pad_top + rows:
            fill_runs(line, dst_col, pad_value, pad_left, bytes)
            copy_runs(line + pad_left * dst_col, dst_col, source + (y - pad_top) * src_row, src_col, cols, bytes)
            fill_runs(line + (pad_left + cols) * dst_col, dst_col, pad_value, pad_right, bytes)
        else:
            fill_runs(line, dst_col, pad_value, width, bytes)


@kernel
def load_weights(m: Memory, src: int, dst: int, bytes: int) -> None:  # noqa: A002
    """DRAM to the weight buffer."""
    copy(address(m.wgt) + dst, address(m.dram) + src, bytes)


@kernel
def store(
    m: Memory, dst: int, src: int, rows: int, cols: int, bytes: int, dst_row: int, src_row: int, dst_col: int,  # noqa: A002
    src_col: int,
) -> None:
    """The activation buffer to DRAM."""
    to = address(m.dram) + dst
    source = address(m.act) + src
    if cols * bytes == src_row == dst_row and src_col == bytes == dst_col:
        copy(to, source, rows * cols * bytes)
        return
    for y in range(rows):
        copy_runs(to + y * dst_row, dst_col, source + y * src_row, src_col, cols, bytes)
