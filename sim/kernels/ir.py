"""Building blocks in LLVM's intermediate language: what Numba cannot say in Python, chosen by the target's features."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic
from numba.np.arrayobj import populate_array

I64, I32, I16, I8, I1 = (ir.IntType(bits) for bits in (64, 32, 16, 8, 1))
F32, F64 = ir.FloatType(), ir.DoubleType()
LANES = 16  # int32 lanes of one weight block


def emitted(function: Callable[..., Any]) -> Any:
    """Make a function that emits code callable from kernels, whose types are not those of its definition."""
    return intrinsic(function)


def features(context: Any) -> set[str]:
    """Return what Numba compiles for: the host's features unless the environment names another processor."""
    return set(context.codegen()._tm_features.split(","))


def vector(kind: ir.Type, lanes: int) -> ir.VectorType:
    """Return a vector type."""
    return ir.VectorType(kind, lanes)


def declare(module: ir.Module, name: str, result: ir.Type, args: list[ir.Type]) -> ir.Function:
    """Return the function of that name in the module, declared if it was not there."""
    return module.globals.get(name) or ir.Function(module, ir.FunctionType(result, args), name)


def load(bd: ir.IRBuilder, address: ir.Value, kind: ir.Type, offset: int = 0) -> ir.Value:
    """Load a value from an integer address, which need not be aligned."""
    value = bd.load(bd.inttoptr(bd.add(address, I64(offset)), kind.as_pointer()))
    value.align = 1
    return value


def store(bd: ir.IRBuilder, value: ir.Value, address: ir.Value, offset: int = 0) -> None:
    """Store a value to an integer address, which need not be aligned."""
    made = bd.store(value, bd.inttoptr(bd.add(address, I64(offset)), value.type.as_pointer()))
    made.align = 1


def splat(bd: ir.IRBuilder, scalar: ir.Value, lanes: int) -> ir.Value:
    """Return a vector with the scalar in every lane."""
    empty = ir.Constant(vector(scalar.type, lanes), ir.Undefined)
    first = bd.insert_element(empty, scalar, I32(0))
    return bd.shuffle_vector(first, empty, ir.Constant(vector(I32, lanes), [0] * lanes))


@contextmanager
def repeat(bd: ir.IRBuilder, count: ir.Value) -> Iterator[ir.Value]:
    """Emit a loop whose body, the `with` block, runs `count` >= 1 times; yields the counter."""
    before, head, after = bd.block, bd.append_basic_block("loop"), bd.append_basic_block("done")
    bd.branch(head)
    bd.position_at_end(head)
    index = bd.phi(I64)
    index.add_incoming(I64(0), before)
    yield index
    following = bd.add(index, I64(1))
    index.add_incoming(following, bd.block)
    bd.cbranch(bd.icmp_signed("<", following, count), head, after)
    bd.position_at_end(after)


def _lent(kind: Any) -> tuple[Any, Callable[..., Any]]:
    """Return signature and code of an array of a type at an address, which counts no references."""
    populate: Any = populate_array
    held = types.Array(kind, 1, "C")

    def codegen(context: Any, bd: ir.IRBuilder, _sig: Any, args: Any) -> Any:
        array, size = context.make_array(held)(context, bd), I64(kind.bitwidth // 8)
        data = bd.inttoptr(args[0], array.data.type)
        populate(array, data=data, shape=[args[1]], strides=[size], itemsize=size, meminfo=None)
        return array._getvalue()

    return held(types.int64, types.int64), codegen


@emitted
def reals_at(_typing: Any, _address: Any, _count: Any) -> Any:
    """Return `count` float32 at an integer address as an array that does not keep them alive."""
    return _lent(types.float32)


@emitted
def words_at(_typing: Any, _address: Any, _count: Any) -> Any:
    """Return `count` int32 at an integer address as an array that does not keep them alive."""
    return _lent(types.int32)


@emitted
def bytes_at(_typing: Any, _address: Any, _count: Any) -> Any:
    """Return `count` uint8 at an integer address as an array that does not keep them alive."""
    return _lent(types.uint8)


@emitted
def copy(_typing: Any, _to: Any, _source: Any, _count: Any) -> Any:
    """Copy `count` bytes between integer addresses; the ranges must not overlap."""

    def codegen(_context: Any, bd: ir.IRBuilder, _sig: Any, args: Any) -> Any:
        p8 = I8.as_pointer()
        fn = declare(bd.module, "llvm.memcpy.p0.p0.i64", ir.VoidType(), [p8, p8, I64, I1])
        bd.call(fn, [bd.inttoptr(args[0], p8), bd.inttoptr(args[1], p8), args[2], I1(0)])
        return _context.get_dummy_value()

    return types.void(types.int64, types.int64, types.int64), codegen


@emitted
def fill(_typing: Any, _to: Any, _value: Any, _count: Any) -> Any:
    """Set `count` bytes at an integer address to `value`."""

    def codegen(_context: Any, bd: ir.IRBuilder, _sig: Any, args: Any) -> Any:
        p8 = I8.as_pointer()
        fn = declare(bd.module, "llvm.memset.p0.i64", ir.VoidType(), [p8, I8, I64, I1])
        bd.call(fn, [bd.inttoptr(args[0], p8), bd.trunc(args[1], I8), args[2], I1(0)])
        return _context.get_dummy_value()

    return types.void(types.int64, types.int64, types.int64), codegen


@emitted
def rint(_typing: Any, _value: Any) -> Any:
    """Return a float32 rounded to an integer, half to even; becomes a vector instruction where there is one."""

    def codegen(_context: Any, bd: ir.IRBuilder, _sig: Any, args: Any) -> Any:
        return bd.call(declare(bd.module, "llvm.rint.f32", F32, [F32]), [args[0]])

    return types.float32(types.float32), codegen


@emitted
def fma(_typing: Any, _a: Any, _b: Any, _c: Any) -> Any:
    """Return a * b + c of float32 values, rounded once."""

    def codegen(context: Any, bd: ir.IRBuilder, _sig: Any, args: Any) -> Any:
        if "+fma" in features(context) or "+avx512f" in features(context):
            return bd.call(declare(bd.module, "llvm.fma.f32", F32, [F32] * 3), list(args))
        return _fma_by_odd_rounding(bd, *args)

    return types.float32(types.float32, types.float32, types.float32), codegen


def _fma_by_odd_rounding(bd: ir.IRBuilder, a: ir.Value, b: ir.Value, c: ir.Value) -> ir.Value:
    """Emit fma in float64: an exact product, a sum rounded to odd, which the rounding to float32 cannot misread."""
    p = bd.fmul(bd.fpext(a, F64), bd.fpext(b, F64))
    q = bd.fpext(c, F64)
    total = bd.fadd(p, q)
    part = bd.fsub(total, p)
    error = bd.fadd(bd.fsub(p, bd.fsub(total, part)), bd.fsub(q, part))
    bits = bd.bitcast(total, I64)
    same_sign = bd.icmp_signed("==", bd.fcmp_ordered(">", error, F64(0)), bd.icmp_signed(">=", bits, I64(0)))
    odd = bd.add(bits, bd.select(same_sign, I64(1), I64(-1)))
    inexact_even = bd.and_(bd.fcmp_ordered("!=", error, F64(0)), bd.icmp_signed("==", bd.and_(bits, I64(1)), I64(0)))
    return bd.fptrunc(bd.bitcast(bd.select(inexact_even, odd, bits), F64), F32)


@emitted
def fma64(_typing: Any, _a: Any, _b: Any, _c: Any) -> Any:
    """Return a * b + c of float64 values, rounded once where the processor can, else twice."""

    def codegen(context: Any, bd: ir.IRBuilder, _sig: Any, args: Any) -> Any:
        if "+fma" in features(context) or "+avx512f" in features(context):
            return bd.call(declare(bd.module, "llvm.fma.f64", F64, [F64] * 3), list(args))
        return bd.fadd(bd.fmul(args[0], args[1]), args[2])

    return types.float64(types.float64, types.float64, types.float64), codegen


@emitted
def power_of_two(_typing: Any, _exponent: Any) -> Any:
    """Return 2.0**n as a float64 for an integer -1022 <= n <= 1023."""

    def codegen(_context: Any, bd: ir.IRBuilder, _sig: Any, args: Any) -> Any:
        return bd.bitcast(bd.shl(bd.add(args[0], I64(1023)), I64(52)), F64)

    return types.float64(types.int64), codegen


@emitted
def raised(_typing: Any, _value: Any, _counter: Any) -> Any:
    """Return a float64 times 2**n, n being the lowest 12 bits of the counter's, signed; exact in the normal range."""

    def codegen(_context: Any, bd: ir.IRBuilder, _sig: Any, args: Any) -> Any:
        value, counter = (bd.bitcast(x, I64) for x in args)
        return bd.bitcast(bd.add(value, bd.shl(counter, I64(52))), F64)

    return types.float64(types.float64, types.float64), codegen


@emitted
def select(_typing: Any, _first: Any, _a: Any, _b: Any) -> Any:
    """Return float64 a where `first` holds, else b: both are computed, so that loops stay free of branches."""

    def codegen(_context: Any, bd: ir.IRBuilder, _sig: Any, args: Any) -> Any:
        return bd.select(args[0], args[1], args[2])

    return types.float64(types.boolean, types.float64, types.float64), codegen


@emitted
def add_words(_typing: Any, _to: Any, _a: Any, _b: Any, _count: Any) -> Any:
    """Write the sums of `count` int32 at integer addresses `a` and `b` to `to`, in order where that overlaps `b`."""

    def codegen(context: Any, bd: ir.IRBuilder, _sig: Any, args: Any) -> Any:
        to, a, b, count = args
        overlaps = bd.icmp_unsigned("<", bd.sub(bd.sub(to, b), I64(1)), I64(4 * LANES - 1))
        wide = bd.select(overlaps, I64(0), bd.sdiv(count, I64(LANES)))
        done = bd.mul(wide, I64(4 * LANES))
        rest = bd.sub(count, bd.mul(wide, I64(LANES)))
        _add_each(bd, vector(I32, LANES), wide, (to, a, b))
        _add_each(bd, I32, rest, (bd.add(to, done), bd.add(a, done), bd.add(b, done)))
        return context.get_dummy_value()

    return types.void(types.int64, types.int64, types.int64, types.int64), codegen


def _add_each(bd: ir.IRBuilder, kind: ir.Type, count: ir.Value, places: tuple[ir.Value, ir.Value, ir.Value]) -> None:
    """Emit a loop over `count` sums of one type at three addresses."""
    size = I64(4 if kind is I32 else 4 * LANES)
    to, a, b = places
    with bd.if_then(bd.icmp_signed(">", count, I64(0))), repeat(bd, count) as k:
        at = bd.mul(k, size)
        store(bd, bd.add(load(bd, bd.add(a, at), kind), load(bd, bd.add(b, at), kind)), bd.add(to, at))


@emitted
def copy_byte(_typing: Any, _to: Any, _source: Any) -> Any:
    """Copy one byte between integer addresses."""

    def codegen(_context: Any, bd: ir.IRBuilder, _sig: Any, args: Any) -> Any:
        store(bd, load(bd, args[1], I8), args[0])
        return _context.get_dummy_value()

    return types.void(types.int64, types.int64), codegen


@emitted
def address(_typing: Any, array: Any) -> Any:
    """Return the integer address of an array's first element."""

    def codegen(context: Any, bd: ir.IRBuilder, sig: Any, args: Any) -> Any:
        return bd.ptrtoint(context.make_array(sig.args[0])(context, bd, args[0]).data, I64)

    return types.int64(array), codegen
