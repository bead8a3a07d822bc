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

from accelc.sim.kernels.ir import I8, I16, I32, I64, emitted, load, repeat, splat, store, vector

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


def _shifted(bd: ir.IRBuilder, old: ir.Value, entering: ir.Value) -> ir.Value:
    """Return the lanes moved up by one, with another word in lane 0.

    A load one word lower would say it shorter, but has to wait until the stores that it overlaps have left the core.
    """
    order = ir.Constant(vector(I32, LANES), [LANES, *range(LANES - 1)])
    return bd.shuffle_vector(old, splat(bd, entering, LANES), order)


@emitted
def advance(_typing: Any, _words: Any, _held: Any, _sums: Any, _rows: Any, _chunks: Any) -> Any:
    """Move every passing word one PE to the right and every sum, with its product added, one PE down.

    Row r of `sums` is what row r of the PEs reads, row r + 1 what it writes; row 0 stays zero.
    """

    def codegen(context: Any, bd: ir.IRBuilder, _sig: Any, args: Any) -> Any:
        rows, chunks = args[3:]
        with bd.if_else(bd.icmp_signed("==", chunks, I64(1))) as (single, several):
            with single, _upward(bd, rows) as r:
                _advance_chunk(bd, args[:3], r, I64(0), I64(1))
            with several, _upward(bd, rows) as r, _upward(bd, chunks) as chunk:
                _advance_chunk(bd, args[:3], r, chunk, chunks)
        return context.get_dummy_value()

    return types.void(*([types.int64] * 5)), codegen


def _advance_chunk(bd: ir.IRBuilder, at: list[ir.Value], r: ir.Value, chunk: ir.Value, chunks: ir.Value) -> None:
    """Emit the work of LANES PEs of row r."""
    words, held, sums = at
    width = bd.mul(chunks, I64(WORD * LANES))
    row = bd.add(bd.mul(r, width), bd.mul(chunk, I64(WORD * LANES)))
    word = bd.add(bd.add(words, row), bd.mul(bd.add(r, I64(1)), I64(BEFORE)))
    x = _shifted(bd, load(bd, word, WORDS), load(bd, word, I16, -WORD))
    store(bd, x, word)
    product = bd.sext(bd.mul(x, load(bd, bd.add(held, row), WORDS)), SUMS)
    above = bd.add(sums, bd.mul(row, I64(SUM // WORD)))
    below = bd.add(above, bd.mul(width, I64(SUM // WORD)))
    store(bd, bd.add(load(bd, above, SUMS), product), below)


@emitted
def advance_both(_typing: Any, _words: Any, _falling: Any, _sums: Any, _rows: Any, _chunks: Any) -> Any:
    """Move every passing word one PE to the right, every falling word one PE down, and add their product to the sums.

    Row 0 of `falling` holds the words that enter, row r + 1 what row r of the PEs has.
    """

    def codegen(context: Any, bd: ir.IRBuilder, _sig: Any, args: Any) -> Any:
        words, falling, sums, rows, chunks = args
        width = bd.mul(chunks, I64(WORD * LANES))
        with _upward(bd, rows) as r, _upward(bd, chunks) as chunk:
            row = bd.add(bd.mul(r, width), bd.mul(chunk, I64(WORD * LANES)))
            word = bd.add(bd.add(words, row), bd.mul(bd.add(r, I64(1)), I64(BEFORE)))
            x = _shifted(bd, load(bd, word, WORDS), load(bd, word, I16, -WORD))
            store(bd, x, word)
            above = bd.add(falling, row)
            w = load(bd, above, WORDS)
            store(bd, w, bd.add(above, width))
            to = bd.add(sums, bd.mul(row, I64(SUM // WORD)))
            store(bd, bd.add(load(bd, to, SUMS), bd.sext(bd.mul(x, w), SUMS)), to)
        return context.get_dummy_value()

    return types.void(*([types.int64] * 5)), codegen


@emitted
def descend(_typing: Any, _held: Any, _count: Any, _chunks: Any, _first: Any, _last: Any) -> Any:
    """Move held words from rows 0 to `count` - 1 one PE down, those of row r in columns `first` to `last` - r."""

    def codegen(context: Any, bd: ir.IRBuilder, _sig: Any, args: Any) -> Any:
        held, count, chunks, first, last = args
        lanes = ir.Constant(WORDS, list(range(LANES)))
        low = splat(bd, bd.trunc(first, I16), LANES)
        with _upward(bd, count) as r, _upward(bd, chunks) as chunk:
            source = bd.add(held, bd.mul(bd.add(bd.mul(r, chunks), chunk), I64(WORD * LANES)))
            target = bd.add(source, bd.mul(chunks, I64(WORD * LANES)))
            column = bd.add(lanes, splat(bd, bd.trunc(bd.mul(chunk, I64(LANES)), I16), LANES))
            high = splat(bd, bd.trunc(bd.sub(last, r), I16), LANES)
            chosen = bd.and_(bd.icmp_signed(">=", column, low), bd.icmp_signed("<=", column, high))
            store(bd, bd.select(chosen, load(bd, source, WORDS), load(bd, target, WORDS)), target)
        return context.get_dummy_value()

    return types.void(*([types.int64] * 5)), codegen


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
def move(_typing: Any, _to: Any, _source: Any) -> Any:
    """Copy 16 bits between addresses."""

    def codegen(context: Any, bd: ir.IRBuilder, _sig: Any, args: Any) -> Any:
        store(bd, load(bd, args[1], I16), args[0])
        return context.get_dummy_value()

    return types.void(types.int64, types.int64), codegen


@emitted
def accumulate(_typing: Any, _to: Any, _source: Any, _keep: Any) -> Any:
    """Add the 32-bit sum at an address to that at another, of which the bits of `keep` (0 or -1) stay; wrap."""

    def codegen(context: Any, bd: ir.IRBuilder, _sig: Any, args: Any) -> Any:
        before = bd.and_(load(bd, args[0], I32), bd.trunc(args[2], I32))
        store(bd, bd.add(before, load(bd, args[1], I32)), args[0])
        return context.get_dummy_value()

    return types.void(types.int64, types.int64, types.int64), codegen
