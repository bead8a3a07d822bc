"""Where threads of one run wait for each other: each counts its meetings where the others see it."""

from __future__ import annotations

import os
from typing import Any

from llvmlite import ir
from numba import types

from accelc.sim.jit import kernel
from accelc.sim.kernels.ir import I32, I64, declare, emitted, features

LINE = 64  # bytes between two threads' counts, so that each lies in a cache line of its own
PATIENCE = 256  # looks before the processor is offered to others


@emitted
def _seen(_typing: Any, _address: Any) -> Any:
    """Return the count at an integer address, and with it all that its thread wrote before."""

    def codegen(_context: Any, bd: ir.IRBuilder, _sig: Any, args: Any) -> Any:
        return bd.load_atomic(bd.inttoptr(args[0], I64.as_pointer()), "acquire", 8)

    return types.int64(types.int64), codegen


@emitted
def _show(_typing: Any, _address: Any, _count: Any) -> Any:
    """Write a count to an integer address, for others to see after all that this thread wrote before."""

    def codegen(context: Any, bd: ir.IRBuilder, _sig: Any, args: Any) -> Any:
        bd.store_atomic(args[1], bd.inttoptr(args[0], I64.as_pointer()), "release", 8)
        return context.get_dummy_value()

    return types.void(types.int64, types.int64), codegen


@emitted
def _pause(_typing: Any) -> Any:
    """Tell the processor that this is a loop that waits, where it can be told."""

    def codegen(context: Any, bd: ir.IRBuilder, _sig: Any, _args: Any) -> Any:
        if "+sse2" in features(context):
            bd.call(declare(bd.module, "llvm.x86.sse2.pause", ir.VoidType(), []), [])
        return context.get_dummy_value()

    return types.void(), codegen


@emitted
def _give_way(_typing: Any) -> Any:
    """Offer the processor to another thread, where the system has a call for it."""

    def codegen(context: Any, bd: ir.IRBuilder, _sig: Any, _args: Any) -> Any:
        if hasattr(os, "sched_yield"):
            bd.call(declare(bd.module, "sched_yield", I32, []), [])
        return context.get_dummy_value()

    return types.void(), codegen


@kernel
def meet(counts: int, thread: int, count: int) -> None:
    """Go on once all `count` threads have come here as often as this one; `counts` is the address of the first's."""
    mine = counts + LINE * thread
    turn = _seen(mine) + 1
    _show(mine, turn)
    for other in range(count):
        looks = 0
        while _seen(counts + LINE * other) < turn:
            looks += 1
            if looks < PATIENCE:
                _pause()
            else:
                _give_way()
