"""Where the words of a tile lie: an address is the sum of a pixel's or channel's part and a kernel row's part.

A kernel row is one input channel at one kernel position; row tap*depth + k is channel k at position `tap`.
"""

from __future__ import annotations

import numpy as np

from accelc.chip.timing import Timing
from accelc.isa import Memory
from accelc.sim.array.stationary import Ints, Passes
from accelc.sim.jit import kernel


@kernel
def group(m: Memory) -> int:
    """Return how many input channels lie together in a weight block: as many as take 4 bytes."""
    return 4 // m.wgt.itemsize


@kernel
def pixels(act: int, rows: int, cols: int, act_row: int, act_col: int) -> Ints:
    """Return the address of each pixel's first activation [rows*cols]."""
    at = np.empty((rows, cols), np.int64)
    for row in range(rows):
        for col in range(cols):
            at[row, col] = act + row * act_row + col * act_col
    return at.ravel()


@kernel
def act_depths(taps_y: int, taps_x: int, depth: int, tap_row: int, tap_col: int) -> Ints:
    """Return each kernel row's activation, from the pixel's first [taps*depth]."""
    at = np.empty((taps_y, taps_x, depth), np.int64)
    for tap_y in range(taps_y):
        for tap_x in range(taps_x):
            for k in range(depth):
                at[tap_y, tap_x, k] = tap_y * tap_row + tap_x * tap_col + k
    return at.ravel()


@kernel
def wgt_depths(taps: int, depth: int) -> Ints:
    """Return each kernel row's weight, from the output channel's first [taps*depth]."""
    at = np.empty((taps, depth), np.int64)
    for tap in range(taps):
        for k in range(depth):
            at[tap, k] = tap * depth * 16 + k // 4 * 64 + k % 4
    return at.ravel()


@kernel
def wgt_channels(wgt: int, kernel_rows: int, channels: int) -> Ints:
    """Return the address of each output channel's first weight [channels], groups one after the other."""
    at = np.empty(channels, np.int64)
    for j in range(channels):
        at[j] = wgt + j // 16 * kernel_rows * 16 + j % 16 * 4
    return at


@kernel
def spaced(first: int, count: int, step: int) -> Ints:
    """Return `count` addresses from `first` on, `step` apart."""
    at = np.empty(count, np.int64)
    for i in range(count):
        at[i] = first + i * step
    return at


@kernel
def folded(taps: int, depth: int, size: int, spans_taps: int) -> Ints:
    """Return first kernel row and row count of each fold [folds, 2]; a fold spans taps only where the chip lets it."""
    spans, length = (1, taps * depth) if spans_taps else (taps, depth)
    each = (length + size - 1) // size
    fold = np.empty((spans * each, 2), np.int64)
    for i in range(len(fold)):
        first = i % each * size
        fold[i, 0] = i // each * length + first
        fold[i, 1] = min(size, length - first)
    return fold


@kernel
def empty_passes(c: Timing, count: int, diagonal: int) -> Passes:
    """Return `count` passes to be filled in."""
    by_row, by_col, each = (count, c.array_rows), (count, c.array_cols), np.zeros((3, count), np.int64)
    none = np.zeros(0, np.int64)
    return Passes(
        each[0], each[1], each[2], np.zeros(by_row, np.int64), np.zeros(by_col, np.int64),
        np.zeros(by_row, np.int64), none, np.zeros(by_col, np.int64), none, diagonal,
    )
