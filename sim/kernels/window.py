"""The maximum of a window with whole vectors of channels, in LLVM's own language; `pool` has the plain loop."""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types

from accelc.sim.kernels.ir import I8, I64, emitted, load, repeat, store, vector

WIDE = 32  # bytes that a maximum takes at a time


@emitted
def maximum_of_window(
    _typing: Any, _to: Any, _source: Any, _taps_y: Any, _taps_x: Any, _tap_row: Any, _tap_col: Any, _wide: Any
) -> Any:
    """Write the maximum of taps_y x taps_x >= 1 pixels, for `wide` >= 1 times WIDE bytes of channels."""

    def codegen(context: Any, bd: ir.IRBuilder, _sig: Any, args: Any) -> Any:
        to, source, taps_y, taps_x, tap_row, tap_col, wide = args
        kind = vector(I8, WIDE)
        with bd.goto_entry_block():
            best = bd.alloca(kind)
        with repeat(bd, wide) as k:
            at = bd.add(source, bd.mul(k, I64(WIDE)))
            bd.store(ir.Constant(kind, None), best)
            with repeat(bd, taps_y) as y:
                line = bd.add(at, bd.mul(y, tap_row))
                with repeat(bd, taps_x) as x:
                    new, held = load(bd, bd.add(line, bd.mul(x, tap_col)), kind), bd.load(best)
                    bd.store(bd.select(bd.icmp_unsigned(">", new, held), new, held), best)
            store(bd, bd.load(best), bd.add(to, bd.mul(k, I64(WIDE))))
        return context.get_dummy_value()

    return types.void(*[types.int64] * 7), codegen
