"""The micro-kernel of the MAC array on 16-bit operands: exact products of pixels and blocks of channels, in 64 bits.

An activation is 256 times its high byte, which is signed, plus its low byte, which is not. Bytes times weights are at
most 255 * 32768 in size, so that PAIRS sums of two such products fit 32 bits, for which there are instructions
(vpmaddwd, vpdpwssd); then the sums of high and of low bytes are added to those of 64 bits.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from llvmlite import ir
from numba import types

from accelc.sim.kernels.dot import HALVES, WORDS, pairs
from accelc.sim.kernels.ir import I32, I64, LANES, emitted, load, repeat, splat, store, vector

STRIP = 4  # most pixels of one call
BLOCKS = 2  # most blocks of 16 channels of one call
PAIRS = 128  # most pairs before 32 bits are full: 128 * 2 * 255 * 32768 < 2**31
HALF = LANES // 2
SUMS = vector(I64, HALF)
ARGS = 12  # to, to_col, act, act_col, taps_y, taps_x, tap_row, tap_col, pairs, weights, block_bytes, accumulate

Partial = tuple[ir.Value, ir.Value]  # of high and low bytes, 32 bits each


@emitted
def dot16(
    _typing: Any, _blocks: Any, _strip: Any, _to: Any, _to_col: Any, _act: Any, _act_col: Any, _taps_y: Any,
    _taps_x: Any, _tap_row: Any, _tap_col: Any, _pairs: Any, _weights: Any, _block_bytes: Any, _accumulate: Any,
) -> Any:
    """Accumulate `strip` (1 to STRIP) pixels x `blocks` (1 to BLOCKS) blocks of 16 channels.

    Then come integers: address of the sums, bytes between pixels' sums, address of the pixels, bytes between pixels,
    taps_y, taps_x, tap_row, tap_col, depth/2, address of the weights, bytes between blocks, accumulate (0 or 1).
    """

    def codegen(context: Any, bd: ir.IRBuilder, _sig: Any, args: Any) -> Any:
        done = bd.append_basic_block("strip_done")
        choice = bd.switch(bd.add(bd.mul(args[0], I64(STRIP)), args[1]), done)
        for blocks in range(1, BLOCKS + 1):
            for strip in range(1, STRIP + 1):
                case = bd.append_basic_block("strip")
                choice.add_case(I64(blocks * STRIP + strip), case)
                bd.position_at_end(case)
                bd.call(_tile(bd.module, strip, blocks), list(args[2:]))
                bd.branch(done)
        bd.position_at_end(done)
        return context.get_dummy_value()

    return types.void(*([types.int64] * (ARGS + 2))), codegen


def _tile(module: ir.Module, strip: int, blocks: int) -> ir.Function:
    """Return the function for one tile shape; it stands alone so that its registers are allocated alone."""
    name = f"accelc_dot16_{strip}_{blocks}"
    if name in module.globals:
        return module.globals[name]
    fn = ir.Function(module, ir.FunctionType(ir.VoidType(), [I64] * ARGS), name)
    fn.linkage = "internal"
    fn.attributes.add("noinline")
    bd = ir.IRBuilder(fn.append_basic_block("entry"))
    to, to_col, *rest, accumulate = fn.args
    targets = [
        bd.add(bd.mul(to_col, I64(r)), bd.add(to, I64(8 * LANES * v))) for r in range(strip) for v in range(blocks)
    ]
    partial = [(bd.alloca(WORDS), bd.alloca(WORDS)) for _ in targets]
    for held in (one for both in partial for one in both):
        bd.store(ir.Constant(WORDS, None), held)
    with bd.if_then(bd.icmp_signed("==", accumulate, I64(0))):
        for target in targets:
            for h in (0, 1):
                store(bd, ir.Constant(SUMS, None), target, 8 * HALF * h)
    _walk(bd, strip, blocks, partial, targets, rest)
    _flush(bd, partial, targets)
    bd.ret_void()
    return fn


def _walk(
    bd: ir.IRBuilder, strip: int, blocks: int, partial: Sequence[Partial], targets: Sequence[ir.Value],
    args: Sequence[ir.Value],
) -> None:
    """Emit the loops over taps, and over pieces of the depth of at most PAIRS pairs."""
    act, act_col, taps_y, taps_x, tap_row, tap_col, depth, weights, block_bytes = args
    at_weights, used = bd.alloca(I64), bd.alloca(I64)
    bd.store(weights, at_weights)
    bd.store(I64(0), used)
    pieces = bd.sdiv(bd.add(depth, I64(PAIRS - 1)), I64(PAIRS))
    columns = [bd.mul(act_col, I64(r)) for r in range(strip)]
    blocks_at = [bd.mul(block_bytes, I64(v)) for v in range(blocks)]
    with repeat(bd, taps_y) as ty:
        line = bd.add(act, bd.mul(ty, tap_row))
        with repeat(bd, taps_x) as tx:
            tap = bd.add(line, bd.mul(tx, tap_col))
            with repeat(bd, pieces) as piece:
                first = bd.mul(piece, I64(PAIRS))
                left = bd.sub(depth, first)
                count = bd.select(bd.icmp_signed("<", left, I64(PAIRS)), left, I64(PAIRS))
                with bd.if_then(bd.icmp_signed(">", bd.add(bd.load(used), count), I64(PAIRS))):
                    _flush(bd, partial, targets)
                    bd.store(I64(0), used)
                bd.store(bd.add(bd.load(used), count), used)
                start = bd.add(tap, bd.shl(first, I64(2)))
                with repeat(bd, count) as k:
                    here = bd.add(start, bd.shl(k, I64(2)))
                    _step(bd, partial, [bd.add(here, c) for c in columns], blocks_at, at_weights)


def _step(
    bd: ir.IRBuilder, partial: Sequence[Partial], pixels: Sequence[ir.Value], blocks: Sequence[ir.Value],
    at_weights: ir.Value,
) -> None:
    """Emit the products of one pair of each pixel with that of each block."""
    at = bd.load(at_weights)
    weights = [load(bd, bd.add(at, block), HALVES) for block in blocks]
    for r, pixel in enumerate(pixels):
        both = bd.bitcast(splat(bd, load(bd, pixel, I32), LANES), HALVES)
        high = bd.ashr(both, ir.Constant(HALVES, [8] * (2 * LANES)))
        low = bd.and_(both, ir.Constant(HALVES, [255] * (2 * LANES)))
        for v, w in enumerate(weights):
            for part, held in zip((high, low), partial[r * len(blocks) + v], strict=True):
                bd.store(bd.add(bd.load(held), pairs(bd, part, w)), held)
    bd.store(bd.add(at, I64(4 * LANES)), at_weights)


def _flush(bd: ir.IRBuilder, partial: Sequence[Partial], targets: Sequence[ir.Value]) -> None:
    """Emit the addition of the 32-bit sums to those of 64 bits, after which they are zero again."""
    empty = ir.Constant(WORDS, ir.Undefined)
    for (high, low), target in zip(partial, targets, strict=True):
        for h in (0, 1):
            order = ir.Constant(vector(I32, HALF), list(range(HALF * h, HALF * (h + 1))))
            upper, lower = (
                bd.sext(bd.shuffle_vector(bd.load(part), empty, order), SUMS) for part in (high, low)
            )
            more = bd.add(bd.shl(upper, ir.Constant(SUMS, [8] * HALF)), lower)
            store(bd, bd.add(load(bd, target, SUMS, 8 * HALF * h), more), target, 8 * HALF * h)
        for part in (high, low):
            bd.store(ir.Constant(WORDS, None), part)
