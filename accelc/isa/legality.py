"""Legality of encoded words: every operand's rule, over whole arrays of words."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from accelc.errors import IsaError
from accelc.isa.core import TABLE, Instruction
from accelc.isa.encoding import Words, check, decode_rows


def check_rules(words: Words) -> None:
    """Raise IsaError unless every word is well formed, its float operands finite and its instruction's rule kept."""
    check(words)
    rows = decode_rows(words)
    opcodes = (words[:, 0] & np.uint64(0xFF)).astype(np.int64)
    for opcode in np.unique(opcodes).tolist():
        at = np.flatnonzero(opcodes == opcode)
        _check_floats(TABLE[opcode], rows[at], at)
        _check_rule(TABLE[opcode], rows[at], at)


def _check_floats(made: Instruction, rows: npt.NDArray[np.int64], at: npt.NDArray[np.intp]) -> None:
    for j, f in enumerate(made.fields):
        if f.operand.real:
            values = rows[:, j].astype(np.uint32).view(np.float32)
            for k in np.flatnonzero(~np.isfinite(values))[:1].tolist():
                raise IsaError(f"word {at[k]} ({made.name}): {f.name}={values[k]} is not a finite float32")


def _check_rule(made: Instruction, rows: npt.NDArray[np.int64], at: npt.NDArray[np.intp]) -> None:
    if "rule" not in made.clauses:
        return
    names = [f.name for f in made.fields]
    columns = [names.index(n) for n in made.operand_names("rule")]
    seen: set[tuple[int, ...]] = set()
    for k, values in enumerate(map(tuple, rows[:, columns].tolist())):
        if values in seen:
            continue
        seen.add(values)
        if message := made.clauses["rule"](*values):
            raise IsaError(f"word {at[k]} ({made.name}): {message}")
