"""One cycle of all PEs' registers in vector instructions: what `systolic_fast` does for a whole row at a time.

Registers lie row by row: passing words and held words as 16 bits, a row padded to LANES; sums as 32 bits. Addresses
and strides are in bytes. An activation and a weight are bytes, one of them signed, so that a product fits 16 bits.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from llvmlite import ir
from numba import types

from accelc.sim.kernels.ir import I16, I32, I64, emitted, load, repeat, splat, store, vector

LANES = 32
WORDS = vector(I16, LANES)
SUMS = vector(I32, LANES)
BEFORE = 2 * LANES  # bytes before a row of passing words; the last two hold the word that is to enter
WORD, SUM = 2, 4  # bytes


@contextmanager
def _upward(bd: ir.IRBuilder, count: ir.Value) -> Iterator[ir.Value]:
    """Emit a loop that counts from `count` - 1 down to 0: a register is overwritten after those that it feeds."""
    with repeat(bd, count) as i:
        yield bd.sub(bd.sub(count, I64(1)), i)


@emitted
def advance(_typing: Any, _words: Any, _held: Any, _sums: Any, _rows: Any, _chunks: Any) -> Any:
    """Move every passing word one PE to the right and every sum, with its product added, one PE down.

    Row r of `sums` is what row r of the PEs reads, row r + 1 what it writes; row 0 stays zero.
    """

    def codegen(context: Any, bd: ir.IRBuilder, _sig: Any, args: Any) -> Any:
        words, held, sums, rows, chunks = args
        width = bd.mul(chunks, I64(WORD * LANES))
        with _upward(bd, rows) as r, _upward(bd, chunks) as chunk:
            at = bd.mul(chunk, I64(WORD * LANES))
            row = bd.add(bd.mul(r, width), at)
            word = bd.add(bd.add(words, row), bd.mul(bd.add(r, I64(1)), I64(BEFORE)))
            x = load(bd, word, WORDS, -WORD)
            store(bd, x, word)
            product = bd.sext(bd.mul(x, load(bd, bd.add(held, row), WORDS)), SUMS)
            above = bd.add(sums, bd.mul(row, I64(SUM // WORD)))
            below = bd.add(above, bd.mul(width, I64(SUM // WORD)))
            store(bd, bd.add(load(bd, above, SUMS), product), below)
        return context.get_dummy_value()

    return types.void(*([types.int64] * 5)), codegen


@emitted
def descend(_typing: Any, _held: Any, _rows: Any, _chunks: Any, _age: Any) -> Any:
    """Move held words one PE down, `age` cycles after the first entered column 0.

    In row r of column c a word enters in cycles r + c to c + rows - 1; row 0 is left as it is.
    """

    def codegen(context: Any, bd: ir.IRBuilder, _sig: Any, args: Any) -> Any:
        held, rows, chunks, age = args
        width = bd.mul(chunks, I64(WORD * LANES))
        lanes = ir.Constant(WORDS, list(range(LANES)))
        first = bd.sub(age, bd.sub(rows, I64(1)))
        with _upward(bd, bd.sub(rows, I64(1))) as above, _upward(bd, chunks) as chunk:
            source = bd.add(held, bd.mul(bd.add(bd.mul(above, chunks), chunk), I64(WORD * LANES)))
            target = bd.add(source, width)
            column = bd.add(lanes, splat(bd, bd.trunc(bd.mul(chunk, I64(LANES)), I16), LANES))
            last = bd.sub(bd.sub(age, above), I64(1))
            chosen = bd.and_(
                bd.icmp_signed(">=", column, splat(bd, bd.trunc(first, I16), LANES)),
                bd.icmp_signed("<=", column, splat(bd, bd.trunc(last, I16), LANES)),
            )
            store(bd, bd.select(chosen, load(bd, source, WORDS), load(bd, target, WORDS)), target)
        return context.get_dummy_value()

    return types.void(*([types.int64] * 4)), codegen
