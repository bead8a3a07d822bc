"""What the vector unit takes for a layer's work on a tile, by the cycle clauses of the instructions that do it."""

from __future__ import annotations

from functools import lru_cache

from accelc.chip import Chip, Timing
from accelc.graph import ELEMENTWISE, TABLE_OPS, Layer
from accelc.isa import by_name
from accelc.schedule.stages import MAC_OPS, WINDOW_OPS

GLOBAL_CLAUSES = {"global_avg_pool": "mean", "global_max_pool": "max_pool"}


def vector_cycles(
    chip: Chip, layer: Layer, pixels: int, channels: int, window: tuple[int, int] = (1, 1), *, raw: bool = False
) -> tuple[int, int]:
    """Return the cycles of a layer's instruction on `pixels` of its result, and of these those of its latency.

    `window` is what a pool reads for a pixel, `raw` a head's result in 32-bit sums. Layers that the vector unit does
    not do on tiles take none.
    """
    found = _clause(layer, raw)
    if found is None:
        return 0, 0
    wide = "16" if chip.array.operand_bits == 16 and found != "drain" else ""
    size = layer.attrs.get("size", 1)
    around = ((size - 1) // 2, size // 2) if found == "lrn" else (0, 0)
    if found == "mean":
        pixels *= window[0] * window[1]
    return _cycles(chip.timing, f"{found}{wide}", pixels, channels, window, around)


def _clause(layer: Layer, raw: bool) -> str | None:
    """Return the instruction, in its form for 8-bit operands, that does a layer's vector work."""
    if layer.op in MAC_OPS:
        return "drain" if raw else "requantize"
    if layer.op in (*TABLE_OPS, *ELEMENTWISE):
        return "add"  # as lookups and products take
    if layer.op in GLOBAL_CLAUSES:
        return GLOBAL_CLAUSES[layer.op]
    return layer.op if layer.op in (*WINDOW_OPS, "softmax", "lrn") else None


@lru_cache(maxsize=16384)
def _cycles(
    c: Timing, name: str, pixels: int, channels: int, window: tuple[int, int], around: tuple[int, int]
) -> tuple[int, int]:
    known = {
        "pixels": pixels, "n": channels, "rows": pixels, "cols": 1, "kernel_y": window[0], "kernel_x": window[1],
        "before": around[0], "after": around[1],
    }  # fmt: skip
    made = by_name(name)
    work, latency, rest = made.clauses["cycles"](c, **{n: known[n] for n in made.operand_names("cycles")})
    return work + latency + rest, latency
