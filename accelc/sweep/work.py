"""One point of a sweep: scheduled, lowered, timed and priced; a model's front half is compiled once in a process."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import lru_cache
from typing import Any

from accelc.chip import Chip, load_chip
from accelc.chip.override import override
from accelc.compiler import Compiled, Options, compile_stages, retarget
from accelc.errors import ChipError, ScheduleError, UnsupportedError
from accelc.run import run_compiled
from accelc.sweep.spec import Point

Row = dict[str, Any]

BACK = ("dataflow", "objective", "residency")
"""The options that only scheduling and lowering read."""


def evaluate(point: Point) -> Row:
    """Return the point and its figures, or under `failed` why it has none: a chip against a rule, no tile that fits."""
    row: Row = {
        "key": point.key, "model": point.model, "chip": point.chip,
        "changes": dict(point.changes), "options": dict(point.options),
    }  # fmt: skip
    try:
        return row | _figures(point)
    except (ChipError, ScheduleError, UnsupportedError) as error:
        return row | {"failed": str(error)}


def _figures(point: Point) -> Row:
    chip = override(load_chip(point.chip), point.changes)
    ahead = {name: value for name, value in point.options.items() if name not in BACK}
    back: dict[str, Any] = {"dataflow": "auto", "objective": "latency", "residency": True}
    back |= {name: value for name, value in point.options.items() if name in BACK}
    front = _front(point.model, json.dumps(ahead, sort_keys=True), chip.array.operand_bits)
    front = replace(front, options=replace(front.options, residency=back["residency"]))
    compiled = retarget(front, chip, dataflow=back["dataflow"], objective=back["objective"])
    result = run_compiled(compiled, values=False).result
    held = result.to_json()
    names = ("cycles", "array_cycles", "seconds", "macs", "utilization", "lower_bound_cycles", "predicted_cycles",
             "stalls", "dram_bytes", "energy_j")  # fmt: skip
    return {"instructions": len(compiled.finished.words), **{name: held[name] for name in names}}


@lru_cache(maxsize=2)
def _front(model: str, options: str, operand_bits: int) -> Compiled:
    """Return a model compiled as far as it does not depend on the chip but for the bits of its operands."""
    return compile_stages(model, _any_chip(operand_bits), Options(**json.loads(options)), stop_after="quantize")


def _any_chip(operand_bits: int) -> Chip:
    """Return a chip whose operands have that many bits: no more of it is asked before scheduling."""
    return load_chip("edge" if operand_bits == 8 else "diannao")
