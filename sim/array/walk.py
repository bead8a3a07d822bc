"""Some cycles of all PEs at a time, in vector instructions: how the fast literal arrays walk a column of rows.

Row r is walked r cycles behind row 0: in step s it does what the PEs of row r do in cycle s + r. What goes one PE down
in a cycle is then there in the same step, so that a row needs its own registers and what the row above handed down in
the same steps. Rows are walked from top to bottom, each through STEPS steps while the registers of its PEs are in the
processor's: every PE computes in every cycle, on its own registers.

Registers of LANES columns lie row by row, 32 bits each. Addresses and strides are in bytes. An activation and a
weight are bytes, one of them signed, so that both fit 16 bits; those of held words have upper bits of zero.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types

from accelc.sim.kernels.dot import HALVES, WORDS, pairs
from accelc.sim.kernels.ir import I32, I64, LANES, emitted, features, load, repeat, splat, store

STEPS = 16  # of each row in a walk
WORD = 4  # bytes
ROW = WORD * LANES  # bytes of a row's registers of one kind in LANES columns

Slots = list[ir.Value]


@emitted
def walk(
    _typing: Any, _entering: Any, _entering_row: Any, _entering_step: Any, _words: Any, _used: Any, _above: Any,
    _below: Any, _rows: Any,
) -> Any:
    """Walk LANES columns of `rows` >= 1 rows: every word moves right, every sum, with its product added, down.

    The word of row r that enters the first column in step s lies at entering + r*entering_row + s*entering_step.
    `words` (passing) and `used` (held) are [rows, LANES], `above` (sums that enter the first row) and `below` (sums of
    the last row) [STEPS, LANES].
    """

    def codegen(context: Any, bd: ir.IRBuilder, _sig: Any, args: Any) -> Any:
        for first, count in _pieces(4 if "+avx512f" in features(context) else 2):
            bd.call(_walk(bd.module, count), _from_step(bd, args, first))
        return context.get_dummy_value()

    return types.void(*([types.int64] * 8)), codegen


@emitted
def walk_loading(
    _typing: Any, _entering: Any, _entering_row: Any, _entering_step: Any, _words: Any, _used: Any, _above: Any,
    _below: Any, _rows: Any, _filling: Any, _falling: Any, _changing: Any, _remaining: Any,
) -> Any:
    """Do the work of `walk` from row 0 on while held words move.

    In step s a column takes over its held words (`filling`, [rows, LANES]) in all rows where the word at changing +
    column - s is -1, and then its rows less than the word at remaining + column - s take the held word from the row
    above, row 0 from `falling` [STEPS, LANES].
    """

    def codegen(context: Any, bd: ir.IRBuilder, _sig: Any, args: Any) -> Any:
        for first, count in _pieces(4 if "+avx512f" in features(context) else 1):
            piece = _from_step(bd, args[:8], first)
            filling, falling, changing, remaining = args[8:]
            falling = bd.add(falling, I64(ROW * first))
            marks = [bd.sub(at, I64(WORD * first)) for at in (changing, remaining)]
            bd.call(_walk_loading(bd.module, count), [*piece, filling, falling, *marks])
        return context.get_dummy_value()

    return types.void(*([types.int64] * 12)), codegen


@emitted
def walk_both(
    _typing: Any, _entering: Any, _entering_row: Any, _entering_step: Any, _words: Any, _falling: Any, _sums: Any,
    _rows: Any,
) -> Any:
    """Walk LANES columns of `rows` >= 1 rows: words move right as in `walk`, others down, sums [rows, LANES] stay.

    `falling` [STEPS, LANES] are the words that enter the first row from above.
    """

    def codegen(context: Any, bd: ir.IRBuilder, _sig: Any, args: Any) -> Any:
        for first, count in _pieces(8 if "+avx512f" in features(context) else 2):
            bd.call(_walk_both(bd.module, count, ending=False), _both_from_step(bd, args, first))
        return context.get_dummy_value()

    return types.void(*([types.int64] * 7)), codegen


@emitted
def walk_ending(
    _typing: Any, _entering: Any, _entering_row: Any, _entering_step: Any, _words: Any, _falling: Any, _sums: Any,
    _rows: Any, _ending: Any, _left: Any,
) -> Any:
    """Do the work of `walk_both` while sums are completed.

    After step s the sums of all rows in a column begin anew at zero where the word at ending + column - s is -1; row
    r's before that is left in `left` [rows, STEPS, LANES].
    """

    def codegen(context: Any, bd: ir.IRBuilder, _sig: Any, args: Any) -> Any:
        for first, count in _pieces(8 if "+avx512f" in features(context) else 2):
            piece = _both_from_step(bd, args[:7], first)
            marks = [bd.sub(args[7], I64(WORD * first)), bd.add(args[8], I64(ROW * first))]
            bd.call(_walk_both(bd.module, count, ending=True), [*piece, *marks])
        return context.get_dummy_value()

    return types.void(*([types.int64] * 9)), codegen


def _pieces(size: int) -> list[tuple[int, int]]:
    """Return first step and number of the steps that are walked together: as many as registers suffice for."""
    return [(first, size) for first in range(0, STEPS, size)]


def _from_step(bd: ir.IRBuilder, args: list[ir.Value], step: int) -> list[ir.Value]:
    """Return the arguments of `walk` from a step on."""
    entering, row, step_bytes, words, used, above, below, rows = args
    entering = bd.add(entering, bd.mul(step_bytes, I64(step)))
    above, below = (bd.add(at, I64(ROW * step)) for at in (above, below))
    return [entering, row, step_bytes, words, used, above, below, rows]


def _walk(module: ir.Module, steps: int) -> ir.Function:
    """Return the function that walks some steps; it stands alone so that its registers are allocated alone."""
    name = f"accelc_walk_{steps}"
    if name in module.globals:
        return module.globals[name]
    bd = function(module, name, 8)
    entering, entering_row, entering_step, words, used, above, below, rows = bd.function.args
    sums = _slots(bd, above, steps)
    with repeat(bd, rows) as r:
        row = bd.mul(r, I64(ROW))
        at, enters = bd.add(words, row), bd.add(entering, bd.mul(r, entering_row))
        x, w = load(bd, at, WORDS), load(bd, bd.add(used, row), WORDS)
        for k, total in enumerate(sums):
            x = _shifted(bd, x, load(bd, bd.add(enters, bd.mul(entering_step, I64(k))), I32))
            bd.store(_plus_product(bd, bd.load(total), x, w), total)
        store(bd, x, at)
    _finish(bd, sums, below)
    return bd.function


def _walk_loading(module: ir.Module, steps: int) -> ir.Function:
    """Return the function that walks some steps while held words move."""
    name = f"accelc_walk_loading_{steps}"
    if name in module.globals:
        return module.globals[name]
    bd = function(module, name, 12)
    entering, entering_row, entering_step, words, used, above, below, rows = bd.function.args[:8]
    filling, falling, changing, remaining = bd.function.args[8:]
    sums, falls = _slots(bd, above, steps), _slots(bd, falling, steps)
    remain, change = ([load(bd, at, WORDS, -WORD * k) for k in range(steps)] for at in (remaining, changing))
    change = [bd.icmp_signed("<", mark, ir.Constant(WORDS, None)) for mark in change]
    with repeat(bd, rows) as r:
        row, lane_r = bd.mul(r, I64(ROW)), splat(bd, bd.trunc(r, I32), LANES)
        at, enters = bd.add(words, row), bd.add(entering, bd.mul(r, entering_row))
        x, w, f = (load(bd, bd.add(registers, row), WORDS) for registers in (words, used, filling))
        for k, (total, fall) in enumerate(zip(sums, falls, strict=True)):
            x = _shifted(bd, x, load(bd, bd.add(enters, bd.mul(entering_step, I64(k))), I32))
            w = bd.select(change[k], f, w)
            bd.store(_plus_product(bd, bd.load(total), x, w), total)
            f = bd.select(bd.icmp_signed(">", remain[k], lane_r), bd.load(fall), f)
            bd.store(f, fall)
        store(bd, x, at)
        store(bd, w, bd.add(used, row))
        store(bd, f, bd.add(filling, row))
    _finish(bd, sums, below)
    return bd.function


def _both_from_step(bd: ir.IRBuilder, args: list[ir.Value], step: int) -> list[ir.Value]:
    """Return the arguments of `walk_both` from a step on."""
    entering, row, step_bytes, words, falling, sums, rows = args
    entering = bd.add(entering, bd.mul(step_bytes, I64(step)))
    return [entering, row, step_bytes, words, bd.add(falling, I64(ROW * step)), sums, rows]


def _walk_both(module: ir.Module, steps: int, *, ending: bool) -> ir.Function:
    """Return the function that walks some steps while sums stay."""
    name = f"accelc_walk_{'ending' if ending else 'both'}_{steps}"
    if name in module.globals:
        return module.globals[name]
    bd = function(module, name, 9 if ending else 7)
    entering, entering_row, entering_step, words, falling, sums, rows = bd.function.args[:7]
    falls = [load(bd, falling, WORDS, ROW * k) for k in range(steps)]
    stay = [bd.not_(load(bd, bd.function.args[7], WORDS, -WORD * k)) for k in range(steps)] if ending else []
    with repeat(bd, rows) as r:
        row, enters = bd.mul(r, I64(ROW)), bd.add(entering, bd.mul(r, entering_row))
        x, total = load(bd, bd.add(words, row), WORDS), load(bd, bd.add(sums, row), WORDS)
        for k, w in enumerate(falls):
            x = _shifted(bd, x, load(bd, bd.add(enters, bd.mul(entering_step, I64(k))), I32))
            total = _plus_product(bd, total, x, w)
            if ending:
                store(bd, total, bd.add(bd.function.args[8], bd.mul(r, I64(STEPS * ROW))), ROW * k)
                total = bd.and_(total, stay[k])
        store(bd, x, bd.add(words, row))
        store(bd, total, bd.add(sums, row))
    bd.ret_void()
    return bd.function


def function(module: ir.Module, name: str, args: int) -> ir.IRBuilder:
    """Return a builder in a new function of integers."""
    fn = ir.Function(module, ir.FunctionType(ir.VoidType(), [I64] * args), name)
    fn.linkage = "internal"
    fn.attributes.add("noinline")
    return ir.IRBuilder(fn.append_basic_block("entry"))


def _slots(bd: ir.IRBuilder, at: ir.Value, count: int) -> Slots:
    """Return variables with `count` vectors from an address on."""
    slots = [bd.alloca(WORDS) for _ in range(count)]
    for k, slot in enumerate(slots):
        bd.store(load(bd, at, WORDS, ROW * k), slot)
    return slots


def _finish(bd: ir.IRBuilder, slots: Slots, at: ir.Value) -> None:
    """Store the vectors of variables from an address on, and return."""
    for k, slot in enumerate(slots):
        store(bd, bd.load(slot), at, ROW * k)
    bd.ret_void()


def _shifted(bd: ir.IRBuilder, old: ir.Value, entering: ir.Value) -> ir.Value:
    """Return the lanes moved up by one, with another word in lane 0."""
    order = ir.Constant(WORDS, [LANES, *range(LANES - 1)])
    return bd.shuffle_vector(old, splat(bd, entering, LANES), order)


def _plus_product(bd: ir.IRBuilder, total: ir.Value, x: ir.Value, w: ir.Value) -> ir.Value:
    """Return the sums with x * w added; w's upper halves are zero, so that x's, its sign, count nothing."""
    return bd.add(total, pairs(bd, bd.bitcast(x, HALVES), bd.bitcast(w, HALVES)))
