"""The micro-kernel of the MAC array: exact unsigned x signed products of a strip of pixels and some blocks."""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types

from accelc.sim.kernels.ir import (
    I8,
    I16,
    I32,
    I64,
    LANES,
    declare,
    emitted,
    features,
    load,
    repeat,
    splat,
    store,
    vector,
)

STRIP = 8  # most pixels of one call
BLOCKS = 2  # most blocks of one call
LONE_BLOCKS = 4  # most blocks of one pixel, whose sums would wait for each other with fewer
WORDS = vector(I32, LANES)
BYTES = vector(I8, 4 * LANES)
FETCH_TO_L2 = I32(0), I32(2), I32(1)  # to read, into the second level, data
HALVES = vector(I16, 2 * LANES)
ARGS = 15  # integers of a tile


@emitted
def dot(
    _typing: Any, _blocks: Any, _strip: Any, _to: Any, _to_col: Any, _act: Any, _act_col: Any, _taps_y: Any,
    _taps_x: Any, _tap_row: Any, _tap_col: Any, _quads: Any, _weights: Any, _block_bytes: Any, _fetch: Any, _gap: Any,
    _step: Any, _accumulate: Any,
) -> Any:
    """Accumulate `strip` (1 to STRIP) pixels x `blocks` (1 to BLOCKS, of one pixel LONE_BLOCKS) blocks of 16 channels.

    Then come integers: address of the sums, bytes between pixels' sums, address of the pixels, bytes between pixels,
    taps_y, taps_x, tap_row, tap_col, depth/4, address of the weights, bytes between blocks; of what is fetched from
    memory meanwhile the address, how far behind it there is more, and how far on it is at the next quad (one pixel
    fetches nothing: its products take no longer than its weights); accumulate (0 or 1).
    """

    def codegen(context: Any, bd: ir.IRBuilder, _sig: Any, args: Any) -> Any:
        vnni = {"+avx512f", "+avx512vnni"} <= features(context)
        done = bd.append_basic_block("strip_done")
        choice = bd.switch(bd.add(bd.mul(args[0], I64(STRIP)), args[1]), done)
        for blocks in range(1, LONE_BLOCKS + 1):
            for strip in range(1, STRIP + 1 if blocks <= BLOCKS else 2):
                case = bd.append_basic_block("strip")
                choice.add_case(I64(blocks * STRIP + strip), case)
                bd.position_at_end(case)
                _call(bd, strip, blocks, vnni, list(args[2:]))
                bd.branch(done)
        bd.position_at_end(done)
        return context.get_dummy_value()

    return types.void(*([types.int64] * (ARGS + 2))), codegen


def _call(bd: ir.IRBuilder, strip: int, blocks: int, vnni: bool, args: list[ir.Value]) -> None:
    """Call the tile function, in pieces that fit 16 registers of 256 bits where there is no VNNI."""
    if vnni:
        bd.call(_tile(bd.module, strip, blocks, vnni), args)
        return
    for block in range(blocks):
        for first in range(0, strip, 2):
            piece = list(args)
            piece[0] = bd.add(args[0], bd.add(bd.mul(args[1], I64(first)), I64(64 * block)))
            piece[2] = bd.add(args[2], bd.mul(args[3], I64(first)))
            piece[9] = bd.add(args[9], bd.mul(args[10], I64(block)))
            bd.call(_tile(bd.module, min(2, strip - first), 1, vnni), piece)


def _tile(module: ir.Module, strip: int, blocks: int, vnni: bool) -> ir.Function:
    """Return the function for one tile shape; it stands alone so that its registers are allocated alone."""
    name = f"accelc_dot_{strip}_{blocks}"
    if name in module.globals:
        return module.globals[name]
    fn = ir.Function(module, ir.FunctionType(ir.VoidType(), [I64] * ARGS), name)
    fn.linkage = "internal"
    fn.attributes.add("noinline")
    bd = ir.IRBuilder(fn.append_basic_block("entry"))
    to, to_col, *rest, accumulate = fn.args
    sums = [bd.alloca(WORDS) for _ in range(strip * blocks)]
    targets = [bd.add(bd.mul(to_col, I64(r)), bd.add(to, I64(64 * v))) for r in range(strip) for v in range(blocks)]
    for s in sums:
        bd.store(ir.Constant(WORDS, None), s)
    with bd.if_then(bd.icmp_signed("!=", accumulate, I64(0))):
        for s, target in zip(sums, targets, strict=True):
            bd.store(load(bd, target, WORDS), s)
    _walk(bd, strip, blocks, vnni, sums, rest)
    for s, target in zip(sums, targets, strict=True):
        store(bd, bd.load(s), target)
    bd.ret_void()
    return fn


def _walk(bd: ir.IRBuilder, strip: int, blocks: int, vnni: bool, sums: list[ir.Value], args: list[ir.Value]) -> None:
    """Emit the loops over taps and depth."""
    act, act_col, taps_y, taps_x, tap_row, tap_col, quads, weights, block_bytes, later, gap, step = args
    fetch = declare(bd.module, "llvm.prefetch.p0", ir.VoidType(), [I8.as_pointer(), I32, I32, I32])
    at_weights, at_later = bd.alloca(I64), bd.alloca(I64)
    bd.store(weights, at_weights)
    bd.store(later, at_later)
    rows = [bd.mul(act_col, I64(r)) for r in range(strip)]
    with repeat(bd, taps_y) as ty:
        row = bd.add(act, bd.mul(ty, tap_row))
        with repeat(bd, taps_x) as tx:
            tap = bd.add(row, bd.mul(tx, tap_col))
            with repeat(bd, quads) as k:
                at = bd.load(at_weights)
                w = [load(bd, bd.add(at, bd.mul(block_bytes, I64(v))), WORDS) for v in range(blocks)]
                if strip > 1:
                    first = bd.load(at_later)
                    for line in (first, bd.add(first, gap)):
                        bd.call(fetch, [bd.inttoptr(line, I8.as_pointer()), *FETCH_TO_L2])
                    bd.store(bd.add(first, step), at_later)
                here = bd.add(tap, bd.shl(k, I64(2)))
                for r in range(strip):
                    quad = load(bd, bd.add(here, rows[r]), I32)
                    for v in range(blocks):
                        s = sums[r * blocks + v]
                        bd.store(_dot4(bd, vnni, bd.load(s), quad, w[v]), s)
                bd.store(bd.add(at, I64(64)), at_weights)


def _dot4(bd: ir.IRBuilder, vnni: bool, total: ir.Value, quad: ir.Value, w: ir.Value) -> ir.Value:
    """Emit total[j] += sum of quad's four unsigned bytes times the four signed bytes of w[j]; never saturating."""
    if vnni:
        fn = declare(bd.module, "llvm.x86.avx512.vpdpbusd.512", WORDS, [WORDS, BYTES, BYTES])
        return bd.call(fn, [total, bd.bitcast(splat(bd, quad, LANES), BYTES), bd.bitcast(w, BYTES)])
    mask, eight = I32(0x00FF00FF), ir.Constant(HALVES, [8] * (2 * LANES))
    even = bd.bitcast(splat(bd, bd.and_(quad, mask), LANES), HALVES)
    odd = bd.bitcast(splat(bd, bd.and_(bd.lshr(quad, I32(8)), mask), LANES), HALVES)
    halves = bd.bitcast(w, HALVES)
    low = bd.ashr(bd.shl(halves, eight), eight)
    return bd.add(bd.add(total, pairs(bd, even, low)), pairs(bd, odd, bd.ashr(halves, eight)))


def pairs(bd: ir.IRBuilder, x: ir.Value, y: ir.Value) -> ir.Value:
    """Emit the sums of neighboring 16-bit products, which wrap (LLVM turns this into pmaddwd)."""
    wide = vector(I32, 2 * LANES)
    product = bd.mul(bd.sext(x, wide), bd.sext(y, wide))
    empty = ir.Constant(wide, ir.Undefined)
    pick = [ir.Constant(vector(I32, LANES), [first + 2 * j for j in range(LANES)]) for first in (0, 1)]
    return bd.add(bd.shuffle_vector(product, empty, pick[0]), bd.shuffle_vector(product, empty, pick[1]))
