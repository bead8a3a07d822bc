"""What enters and leaves the arrays that `walk` walks, on integer addresses; those and strides are in bytes."""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types

from accelc.sim.array.walk import ROW, STEPS, function
from accelc.sim.kernels.dot import WORDS
from accelc.sim.kernels.ir import I8, I16, I32, I64, LANES, emitted, load, splat, store, vector

DELAYS = 1, 2, 4, 8  # steps, that sum up to any delay of LANES columns
HISTORY = ROW * sum(DELAYS)  # bytes


@emitted
def get(_typing: Any, _address: Any) -> Any:
    """Return the 64-bit integer at an address."""

    def codegen(_context: Any, bd: ir.IRBuilder, _sig: Any, args: Any) -> Any:
        return load(bd, args[0], I64)

    return types.int64(types.int64), codegen


@emitted
def get_byte(_typing: Any, _address: Any, _bias: Any) -> Any:
    """Return the byte at an address: unsigned for a bias of 0, signed for one of 128."""

    def codegen(_context: Any, bd: ir.IRBuilder, _sig: Any, args: Any) -> Any:
        return bd.sub(bd.xor(bd.zext(load(bd, args[0], I8), I64), args[1]), args[1])

    return types.int64(types.int64, types.int64), codegen


@emitted
def put(_typing: Any, _address: Any, _value: Any) -> Any:
    """Store 16 bits at an address."""

    def codegen(context: Any, bd: ir.IRBuilder, _sig: Any, args: Any) -> Any:
        store(bd, bd.trunc(args[1], I16), args[0])
        return context.get_dummy_value()

    return types.void(types.int64, types.int64), codegen


@emitted
def put_word(_typing: Any, _address: Any, _value: Any) -> Any:
    """Store 32 bits at an address."""

    def codegen(context: Any, bd: ir.IRBuilder, _sig: Any, args: Any) -> Any:
        store(bd, bd.trunc(args[1], I32), args[0])
        return context.get_dummy_value()

    return types.void(types.int64, types.int64), codegen


@emitted
def widen(_typing: Any, _to: Any, _source: Any, _bias: Any) -> Any:
    """Store LANES bytes as words: unsigned for a bias of 0, signed for one of 128."""

    def codegen(context: Any, bd: ir.IRBuilder, _sig: Any, args: Any) -> Any:
        bias = splat(bd, bd.trunc(args[2], I32), LANES)
        wide = bd.zext(load(bd, args[1], vector(I8, LANES)), WORDS)
        store(bd, bd.sub(bd.xor(wide, bias), bias), args[0])
        return context.get_dummy_value()

    return types.void(types.int64, types.int64, types.int64), codegen


@emitted
def stagger(_typing: Any, _words: Any, _history: Any) -> Any:
    """Delay column c of LANES columns of words [STEPS, LANES] by c steps.

    `history` [HISTORY] has what is still on its way.
    """

    def codegen(context: Any, bd: ir.IRBuilder, _sig: Any, args: Any) -> Any:
        bd.call(_delay(bd.module, "stagger", list(range(LANES))), list(args))
        return context.get_dummy_value()

    return types.void(types.int64, types.int64), codegen


@emitted
def align(_typing: Any, _words: Any, _history: Any) -> Any:
    """Delay column c of LANES columns of words [STEPS, LANES] by LANES - 1 - c steps, like `stagger`."""

    def codegen(context: Any, bd: ir.IRBuilder, _sig: Any, args: Any) -> Any:
        bd.call(_delay(bd.module, "align", list(range(LANES - 1, -1, -1))), list(args))
        return context.get_dummy_value()

    return types.void(types.int64, types.int64), codegen


def _delay(module: ir.Module, name: str, steps: list[int]) -> ir.Function:
    """Return the function that delays columns by some steps: by each power of two those whose number has it."""
    if f"accelc_{name}" in module.globals:
        return module.globals[f"accelc_{name}"]
    bd = function(module, f"accelc_{name}", 2)
    words, history = bd.function.args
    now = [load(bd, words, WORDS, ROW * k) for k in range(STEPS)]
    for delay in DELAYS:
        before = [load(bd, history, WORDS, ROW * (delay - 1 + k)) for k in range(delay)]
        for k, late in enumerate(now[-delay:]):
            store(bd, late, history, ROW * (delay - 1 + k))
        order = ir.Constant(WORDS, [c + LANES * (steps[c] & delay != 0) for c in range(LANES)])
        now = [bd.shuffle_vector(new, old, order) for new, old in zip(now, before + now, strict=False)]
    for k, late in enumerate(now):
        store(bd, late, words, ROW * k)
    bd.ret_void()
    return bd.function


@emitted
def take_bytes(_typing: Any, _to: Any, _source: Any, _place: Any, _bias: Any) -> Any:
    """Store byte `place` (0 to 3) of LANES words as 16 bits in 32: unsigned for a bias of 0, signed for one of 128."""

    def codegen(context: Any, bd: ir.IRBuilder, _sig: Any, args: Any) -> Any:
        to, source, *scalars = args
        place, bias = (splat(bd, bd.trunc(v, I32), LANES) for v in scalars)
        byte, half = (ir.Constant(WORDS, [ones] * LANES) for ones in (0xFF, 0xFFFF))
        shifted = bd.lshr(load(bd, source, WORDS), bd.shl(place, ir.Constant(WORDS, [3] * LANES)))
        store(bd, bd.and_(bd.sub(bd.xor(bd.and_(shifted, byte), bias), bias), half), to)
        return context.get_dummy_value()

    return types.void(*([types.int64] * 4)), codegen


@emitted
def accumulate(_typing: Any, _to: Any, _source: Any, _keep: Any) -> Any:
    """Add the 32-bit sum at an address to that at another, of which the bits of `keep` (0 or -1) stay; wrap."""

    def codegen(context: Any, bd: ir.IRBuilder, _sig: Any, args: Any) -> Any:
        before = bd.and_(load(bd, args[0], I32), bd.trunc(args[2], I32))
        store(bd, bd.add(before, load(bd, args[1], I32)), args[0])
        return context.get_dummy_value()

    return types.void(types.int64, types.int64, types.int64), codegen


@emitted
def accumulate_row(_typing: Any, _to: Any, _source: Any, _keep: Any) -> Any:
    """Do the work of `accumulate` on LANES sums that lie one after the other."""

    def codegen(context: Any, bd: ir.IRBuilder, _sig: Any, args: Any) -> Any:
        to, source, keep = args
        before = bd.and_(load(bd, to, WORDS), splat(bd, bd.trunc(keep, I32), LANES))
        store(bd, bd.add(before, load(bd, source, WORDS)), to)
        return context.get_dummy_value()

    return types.void(types.int64, types.int64, types.int64), codegen
