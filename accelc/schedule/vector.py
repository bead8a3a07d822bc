"""What the vector unit takes for a layer's work on a tile, by the cycle clauses of the instructions that do it."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import numpy.typing as npt

from accelc.chip import Chip, Timing
from accelc.graph import ELEMENTWISE, TABLE_OPS, Layer
from accelc.isa import by_name
from accelc.isa import events as ev
from accelc.schedule.stages import MAC_OPS, WINDOW_OPS

Ints = npt.NDArray[np.int64]

GLOBAL_CLAUSES = {"global_avg_pool": "mean", "global_max_pool": "max_pool"}


def vector_cycles(
    chip: Chip, layer: Layer, pixels: int, channels: int, window: tuple[int, int] = (1, 1), *, raw: bool = False
) -> tuple[int, int]:
    """Return the cycles of a layer's instruction on `pixels` of its result, and of these those of its latency.

    `window` is what a pool reads for a pixel, `raw` a head's result in 32-bit sums. Layers that the vector unit does
    not do on tiles take none.
    """
    name = _clause(layer, chip, raw=raw)
    return (0, 0) if name is None else _cycles(chip.timing, name, _operands(layer, pixels, channels, window))


def line_cycles(chip: Chip, lines: int, line_bytes: int) -> int:
    """Return the cycles of a lookup, or of its form on 16 bits, over lines of bytes."""
    wide = chip.array.operand_bits == 16
    operands = (("pixels", lines), ("n", line_bytes // 2 if wide else line_bytes))
    return _cycles(chip.timing, "lines16" if wide else "lookup", operands)[0]


def vector_events(
    chip: Chip, layer: Layer, pixels: int, channels: int, window: tuple[int, int] = (1, 1), *, raw: bool = False
) -> Ints:
    """Return the energy events [events.NAMES] of the same; of tables and sums those that each of them has."""
    counts, name = np.zeros(len(ev.NAMES), np.int64), _clause(layer, chip, raw=raw)
    if name is None:
        return counts
    if name.startswith("add"):
        counts[[ev.VECTOR_OP, ev.ACT_READ_BYTES, ev.ACT_WRITE_BYTES]] = pixels * channels
        return counts
    made, known = by_name(name), dict(_operands(layer, pixels, channels, window))
    made.clauses["events"](counts, chip.timing, **{n: known[n] for n in made.operand_names("events")})
    return counts


def _clause(layer: Layer, chip: Chip, *, raw: bool) -> str | None:
    """Return the instruction that does a layer's vector work."""
    wide = "16" if chip.array.operand_bits == 16 else ""
    if layer.op in MAC_OPS:
        return "drain" if raw else f"requantize{wide}"
    if layer.op in (*TABLE_OPS, *ELEMENTWISE):
        return f"add{wide}"  # lookups and products take as long
    if layer.op in GLOBAL_CLAUSES:
        return GLOBAL_CLAUSES[layer.op] + wide
    return layer.op + wide if layer.op in (*WINDOW_OPS, "softmax", "lrn") else None


Operands = tuple[tuple[str, int], ...]


def _operands(layer: Layer, pixels: int, channels: int, window: tuple[int, int]) -> Operands:
    """Return the operands on which the clauses depend."""
    taken = pixels * window[0] * window[1] if layer.op == "global_avg_pool" else pixels
    size = layer.attrs.get("size", 1)
    return (
        ("pixels", taken), ("n", channels), ("rows", pixels), ("cols", 1), ("kernel_y", window[0]),
        ("kernel_x", window[1]), ("before", (size - 1) // 2), ("after", size // 2),
    )  # fmt: skip


@lru_cache(maxsize=16384)
def _cycles(c: Timing, name: str, operands: Operands) -> tuple[int, int]:
    made, known = by_name(name), dict(operands)
    work, latency, rest = made.clauses["cycles"](c, **{n: known[n] for n in made.operand_names("cycles")})
    return work + latency + rest, latency
