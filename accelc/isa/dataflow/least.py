"""What a multiply-accumulate takes at least under each dataflow: the part of the closed forms that no tile escapes.

Every tile of every shape counts at least so many events for each of its multiply-accumulates: `R` and `C` are the
array's rows and columns. What depends on a tile's edges, on filling or on how often operands return is left out.
"""

from __future__ import annotations

from collections.abc import Mapping

from accelc.chip.timing import Timing
from accelc.isa import dataflow as df
from accelc.isa import events as ev

_SUMS = (ev.PE_PSUM_READ, ev.PE_PSUM_WRITE)
_ACTS = (ev.PE_ACT_READ, ev.PE_ACT_WRITE)
_WEIGHTS = (ev.PE_WGT_READ, ev.PE_WGT_WRITE)

# Events that come once for each multiply-accumulate.
_ONCE: Mapping[int, tuple[int, ...]] = {
    df.WEIGHT_STATIONARY: (ev.MAC, *_ACTS, ev.PE_WGT_READ, *_SUMS),
    df.OUTPUT_STATIONARY: (ev.MAC, *_ACTS, *_WEIGHTS, *_SUMS),
    df.INPUT_STATIONARY: (ev.MAC, ev.PE_ACT_READ, *_WEIGHTS, *_SUMS),
    df.NO_LOCAL_REUSE: (ev.MAC, ev.WGT_READ_BYTES),
    df.ROW_STATIONARY: (ev.MAC, ev.PE_ACT_READ, ev.PE_WGT_READ, *_SUMS),
    df.NEIGHBOR: (ev.MAC, *_ACTS, *_SUMS),
}
# Events that come once for each row or column of PEs (`_PER_`), or between each two of them (`_HOPS_`).
_PER_ROW: Mapping[int, tuple[int, ...]] = {
    df.WEIGHT_STATIONARY: (ev.ACC_WRITE_WORDS,),
    df.OUTPUT_STATIONARY: (ev.WGT_READ_BYTES,),
    df.INPUT_STATIONARY: (ev.ACC_WRITE_WORDS,),
    df.NO_LOCAL_REUSE: _SUMS,
}
_PER_COLUMN: Mapping[int, tuple[int, ...]] = {
    df.WEIGHT_STATIONARY: (ev.ACT_READ_BYTES,),
    df.OUTPUT_STATIONARY: (ev.ACT_READ_BYTES,),
    df.INPUT_STATIONARY: (ev.WGT_READ_BYTES,),
    df.NO_LOCAL_REUSE: (ev.ACT_READ_BYTES,),
}
_HOPS_DOWN: Mapping[int, tuple[int, ...]] = {
    df.WEIGHT_STATIONARY: (ev.HOP_PSUM,),
    df.OUTPUT_STATIONARY: (ev.HOP_WGT,),
    df.INPUT_STATIONARY: (ev.HOP_PSUM,),
}
_HOPS_ACROSS: Mapping[int, tuple[int, ...]] = {
    df.WEIGHT_STATIONARY: (ev.HOP_ACT,),
    df.OUTPUT_STATIONARY: (ev.HOP_ACT,),
    df.INPUT_STATIONARY: (ev.HOP_WGT,),
}


def least_events(code: int, c: Timing) -> dict[int, float]:
    """Return, by event, the least count for one multiply-accumulate under a dataflow of `dataflow.CODES`."""
    rows, cols = c.array_rows, c.array_cols
    parts = (
        (_ONCE, 1.0), (_PER_ROW, 1 / rows), (_PER_COLUMN, 1 / cols), (_HOPS_DOWN, 1 - 1 / rows),
        (_HOPS_ACROSS, 1 - 1 / cols),
    )  # fmt: skip
    return {event: count for table, count in parts for event in table.get(code, ())}
