"""The micro-kernel of the MAC array on 16-bit operands: exact products of a strip of pixels and one block, in 64 bits.

Two products of 16 bits add up to 32 bits but in one case, -32768 * -32768 twice, which wraps to the one value that no
other pair gives. Less one, every pair's sum is the right 32-bit integer; the ones are added again at the end.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types

from accelc.sim.kernels.dot import HALVES, WORDS, pairs
from accelc.sim.kernels.ir import I32, I64, LANES, emitted, load, repeat, splat, store, vector

STRIP = 4  # most pixels of one call
HALF = LANES // 2
SUMS = vector(I64, HALF)
ARGS = 11  # to, to_col, act, act_col, taps_y, taps_x, tap_row, tap_col, pairs, weights, accumulate


@emitted
def dot16(
    _typing: Any, _strip: Any, _to: Any, _to_col: Any, _act: Any, _act_col: Any, _taps_y: Any, _taps_x: Any,
    _tap_row: Any, _tap_col: Any, _pairs: Any, _weights: Any, _accumulate: Any,
) -> Any:
    """Accumulate `strip` (1 to 4) pixels x 16 channels.

    Then come integers: address of the sums, bytes between pixels' sums, address of the pixels, bytes between pixels,
    taps_y, taps_x, tap_row, tap_col, depth/2, address of the weights, accumulate (0 or 1).
    """

    def codegen(context: Any, bd: ir.IRBuilder, _sig: Any, args: Any) -> Any:
        done = bd.append_basic_block("strip_done")
        choice = bd.switch(args[0], done)
        for strip in range(1, STRIP + 1):
            case = bd.append_basic_block("strip")
            choice.add_case(I64(strip), case)
            bd.position_at_end(case)
            bd.call(_tile(bd.module, strip), list(args[1:]))
            bd.branch(done)
        bd.position_at_end(done)
        return context.get_dummy_value()

    return types.void(*([types.int64] * (ARGS + 1))), codegen


def _tile(module: ir.Module, strip: int) -> ir.Function:
    """Return the function for one strip; it stands alone so that its registers are allocated alone."""
    name = f"accelc_dot16_{strip}"
    if name in module.globals:
        return module.globals[name]
    fn = ir.Function(module, ir.FunctionType(ir.VoidType(), [I64] * ARGS), name)
    fn.linkage = "internal"
    fn.attributes.add("noinline")
    bd = ir.IRBuilder(fn.append_basic_block("entry"))
    to, to_col, *rest, accumulate = fn.args
    targets = [bd.add(bd.mul(to_col, I64(r)), bd.add(to, I64(8 * HALF * h))) for r in range(strip) for h in (0, 1)]
    sums = [bd.alloca(SUMS) for _ in targets]
    count = bd.mul(bd.mul(rest[2], rest[3]), rest[6])
    for s in sums:
        bd.store(splat(bd, count, HALF), s)
    with bd.if_then(bd.icmp_signed("!=", accumulate, I64(0))):
        for s, target in zip(sums, targets, strict=True):
            bd.store(bd.add(bd.load(s), load(bd, target, SUMS)), s)
    _walk(bd, strip, sums, rest)
    for s, target in zip(sums, targets, strict=True):
        store(bd, bd.load(s), target)
    bd.ret_void()
    return fn


def _walk(bd: ir.IRBuilder, strip: int, sums: list[ir.Value], args: list[ir.Value]) -> None:
    """Emit the loops over taps and depth."""
    act, act_col, taps_y, taps_x, tap_row, tap_col, depth, weights = args
    at_weights = bd.alloca(I64)
    bd.store(weights, at_weights)
    rows = [bd.mul(act_col, I64(r)) for r in range(strip)]
    with repeat(bd, taps_y) as ty:
        line = bd.add(act, bd.mul(ty, tap_row))
        with repeat(bd, taps_x) as tx:
            tap = bd.add(line, bd.mul(tx, tap_col))
            with repeat(bd, depth) as k:
                at = bd.load(at_weights)
                w = load(bd, at, HALVES)
                here = bd.add(tap, bd.shl(k, I64(2)))
                for r in range(strip):
                    both = bd.bitcast(splat(bd, load(bd, bd.add(here, rows[r]), I32), LANES), HALVES)
                    _add(bd, pairs(bd, both, w), sums[2 * r : 2 * r + 2])
                bd.store(bd.add(at, I64(4 * LANES)), at_weights)


def _add(bd: ir.IRBuilder, products: ir.Value, sums: list[ir.Value]) -> None:
    """Emit the addition of 16 pairs' sums, each less one, to two vectors of 64-bit sums."""
    less = bd.sub(products, ir.Constant(WORDS, [1] * LANES))
    empty = ir.Constant(WORDS, ir.Undefined)
    for h, s in enumerate(sums):
        order = ir.Constant(vector(I32, HALF), list(range(HALF * h, HALF * (h + 1))))
        bd.store(bd.add(bd.load(s), bd.sext(bd.shuffle_vector(less, empty, order), SUMS)), s)
