"""The adder-tree array without local reuse: Tn = array_cols trees, each with Ti = array_rows multipliers.

In a cycle the buffers give Ti activations, broadcast to all trees, and Ti weights to each tree. Products go into the
first of `pipeline_stages` ranks of registers; every rank holds half as many words as the one before (at least one),
each the sum of two; the accumulator register of the tree adds what the last rank holds (with no rank, the products
themselves). A tag travels with the words: which output they belong to, whether they begin or complete its sum. The
beginning replaces the accumulator by zero or, where sums accumulate, by the buffer's word, which is one write of the
register; completing writes the register's sum to the buffer.

Order: groups, blocks of Tn outputs, pixels, kernel positions, chunks of Ti inputs; one a cycle. Where tiles do not
overlap, the ranks empty before the next block. In a depthwise convolution a tree takes only its own channel, one
product a cycle.

The ranks' registers are not counted: the figure for a multiply-accumulate has them in it.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from accelc.chip.timing import Timing
from accelc.isa import Memory
from accelc.isa import events as ev
from accelc.sim.array.tables import group
from accelc.sim.jit import kernel

Ints = npt.NDArray[np.int64]

VALID, PIXEL, FIRST, LAST, USED, TAGS = 0, 1, 2, 3, 4, 5


class Trees(NamedTuple):
    """Registers: ranks [stages, trees, inputs], tags [stages, TAGS], accumulators [trees]; entering products."""

    ranks: Ints
    tags: Ints
    sums: Ints
    entering: Ints
    tag: Ints


@kernel
def _trees(c: Timing) -> Trees:
    stages = c.pipeline_stages
    return Trees(
        np.zeros((stages, c.array_cols, c.array_rows), np.int64),
        np.zeros((stages, TAGS), np.int64),
        np.zeros(c.array_cols, np.int64),
        np.zeros((c.array_cols, c.array_rows), np.int64),
        np.zeros(TAGS, np.int64),
    )


@kernel
def _clock(m: Memory, c: Timing, e: Ints, s: Trees, accumulate: int) -> int:
    """Let one cycle pass: accumulate what the last rank holds, move the ranks on, take in what enters."""
    stages = len(s.tags)
    if stages == 0:
        _accumulate(m, e, s, s.entering, s.tag, c.array_rows, accumulate)
    else:
        _accumulate(m, e, s, s.ranks[stages - 1], s.tags[stages - 1], _width(c.array_rows, stages - 1), accumulate)
        for k in range(stages - 1, 0, -1):
            s.tags[k] = s.tags[k - 1]
            _add_pairs(s.ranks[k - 1], s.ranks[k], _width(c.array_rows, k - 1))
        s.tags[0] = s.tag
        s.ranks[0] = s.entering
    s.tag[VALID] = 0
    s.entering[:] = 0
    return 1


@kernel
def _width(inputs: int, rank: int) -> int:
    """Return the words of a rank: the inputs halved, rounded up, `rank` times."""
    for _ in range(rank):
        inputs = (inputs + 1) // 2
    return inputs


@kernel
def _add_pairs(before: Ints, after: Ints, width: int) -> None:
    for tree in range(len(before)):
        for i in range((width + 1) // 2):
            after[tree, i] = before[tree, 2 * i] + (before[tree, 2 * i + 1] if 2 * i + 1 < width else 0)


@kernel
def _accumulate(m: Memory, e: Ints, s: Trees, words: Ints, tag: Ints, width: int, accumulate: int) -> None:
    if not tag[VALID]:
        return
    for tree in range(tag[USED]):
        if tag[FIRST]:
            s.sums[tree] = m.acc[tag[PIXEL] + tree] if accumulate else 0
            e[ev.ACC_READ_WORDS] += accumulate
            e[ev.PE_PSUM_WRITE] += accumulate
        for i in range(width):
            s.sums[tree] += words[tree, i]
        e[ev.PE_PSUM_READ] += 1
        e[ev.PE_PSUM_WRITE] += 1
        if tag[LAST]:
            m.acc[tag[PIXEL] + tree] = s.sums[tree]  # wraps to the width of a sum
            e[ev.ACC_WRITE_WORDS] += 1


@kernel
def _drain(m: Memory, c: Timing, e: Ints, s: Trees, accumulate: int) -> int:
    cycles = 0
    for _ in range(c.pipeline_stages):
        cycles += _clock(m, c, e, s, accumulate)
    return cycles


@kernel
def conv(
    m: Memory, c: Timing, e: Ints, act: int, act_row: int, act_col: int, rows: int, cols: int, taps_y: int,
    taps_x: int, depth: int, tap_row: int, tap_col: int, wgt: int, acc: int, acc_col: int, n: int, accumulate: int,
    groups: int, act_group: int,
) -> int:
    """Execute `conv`; add its access counts to `e` and return its cycles."""
    s = _trees(c)
    taps = taps_y * taps_x
    cycles = 0
    for g in range(groups):
        for j in range(0, n, c.array_cols):
            used = min(c.array_cols, n - j)
            for pixel in range(rows * cols):
                at = act + pixel // cols * act_row + pixel % cols * act_col + g * act_group
                for tap in range(taps):
                    from_ = at + tap // taps_x * tap_row + tap % taps_x * tap_col
                    for k in range(0, depth, c.array_rows):
                        inputs = min(c.array_rows, depth - k)
                        _multiply(m, e, s, from_ + k, wgt + g * n * taps * depth, j, used, tap, k, inputs, taps, depth)
                        s.tag[VALID], s.tag[USED] = 1, used
                        s.tag[PIXEL] = acc + pixel * acc_col + g * n + j
                        s.tag[FIRST], s.tag[LAST] = tap == 0 and k == 0, tap == taps - 1 and k + inputs == depth
                        cycles += _clock(m, c, e, s, accumulate)
            if not c.overlapped_tiles:
                cycles += _drain(m, c, e, s, accumulate)
    if c.overlapped_tiles:
        cycles += _drain(m, c, e, s, accumulate)
    return cycles - c.last_index


@kernel
def _multiply(
    m: Memory, e: Ints, s: Trees, at: int, wgt: int, first: int, used: int, tap: int, k: int, inputs: int, taps: int,
    depth: int,
) -> None:
    """Put a chunk of inputs' products at the trees' entrance; weights lie in blocks of 16 outputs x `group` inputs."""
    quad = group(m)
    e[ev.ACT_READ_BYTES] += inputs
    for tree in range(used):
        j = first + tree
        block = wgt + (j // 16 * taps + tap) * depth * 16 + j % 16 * quad
        for i in range(inputs):
            weight = m.wgt[block + (k + i) // quad * 16 * quad + (k + i) % quad]
            s.entering[tree, i] = np.int64(m.act[at + i]) * np.int64(weight)
            e[ev.WGT_READ_BYTES] += 1
            e[ev.MAC] += 1


@kernel
def depthwise(
    m: Memory, c: Timing, e: Ints, act: int, act_row: int, act_col: int, rows: int, cols: int, taps_y: int,
    taps_x: int, tap_row: int, tap_col: int, wgt: int, acc: int, acc_col: int, n: int,
) -> int:
    """Execute `depthwise`; add its access counts to `e` and return its cycles."""
    s = _trees(c)
    taps = taps_y * taps_x
    cycles = 0
    for j in range(0, n, c.array_cols):
        used = min(c.array_cols, n - j)
        for pixel in range(rows * cols):
            at = act + pixel // cols * act_row + pixel % cols * act_col + j
            for tap in range(taps):
                from_ = at + tap // taps_x * tap_row + tap % taps_x * tap_col
                for tree in range(used):
                    weight = m.wgt[wgt + tap * n + j + tree]
                    s.entering[tree, 0] = np.int64(m.act[from_ + tree]) * np.int64(weight)
                e[ev.MAC] += used
                e[ev.ACT_READ_BYTES] += used
                e[ev.WGT_READ_BYTES] += used
                s.tag[VALID], s.tag[USED], s.tag[PIXEL] = 1, used, acc + pixel * acc_col + j
                s.tag[FIRST], s.tag[LAST] = tap == 0, tap == taps - 1
                cycles += _clock(m, c, e, s, 0)
        if not c.overlapped_tiles:
            cycles += _drain(m, c, e, s, 0)
    if c.overlapped_tiles:
        cycles += _drain(m, c, e, s, 0)
    return cycles - c.last_index
