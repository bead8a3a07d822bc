"""Large layers on 32-bit numbers, some rows of their first axis at a time: what is cut, and what stays whole."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
Attrs = Mapping[str, Any]
Shape = tuple[int, ...]

LARGE_BYTES = 1 << 28
"""What a layer's operands and result take together from which on it is worked off in parts."""


def row_ranges(shapes: Sequence[Shape], result: Shape) -> list[slice]:
    """Return ranges of the result's first axis, so many that none has more than LARGE_BYTES of 4-byte numbers."""
    whole = 4 * sum(math.prod(s) for s in (*shapes, result))
    if not result or whole < LARGE_BYTES:
        return [slice(None)]
    size = max(1, result[0] * LARGE_BYTES // whole)
    return [slice(first, min(first + size, result[0])) for first in range(0, result[0], size)]


def cut_operands(op: str, attrs: Attrs, shapes: Sequence[Shape], result: Shape) -> tuple[bool, ...] | None:
    """Return which operands are cut where the result's first axis is; None where its rows need more than theirs."""
    if not result:
        return None
    if op == "map":
        return tuple(len(s) == len(result) and s[0] == result[0] for s in shapes)
    if op == "gather":
        return (False, True) if shapes[1] else None
    return (True,) if _rows_alone(op, attrs, shapes, result) else None


def _rows_alone(op: str, attrs: Attrs, shapes: Sequence[Shape], result: Shape) -> bool:
    """Return whether a row of the result comes from the same row of the one operand."""
    if op == "reduce":
        return 0 not in attrs["axes"]
    if op == "reshape":
        return shapes[0][:1] == result[:1]
    if op == "transpose":
        return bool(attrs["perm"][0] == 0)
    return op == "take" and attrs["tables"][0] is None


def in_parts(
    op: str,
    attrs: Attrs,
    operands: Sequence[Array],
    shape: Shape,
    run: Callable[[str, Attrs, Sequence[Array], Shape], Array],
) -> Array:
    """Return a layer's result, computed by `run` part after part if it is large and its rows stand alone."""
    shapes = [x.shape for x in operands]
    parts, cut = row_ranges(shapes, shape), cut_operands(op, attrs, shapes, shape)
    if len(parts) == 1 or cut is None:
        return run(op, attrs, operands, shape)
    found: Array | None = None
    for rows in parts:
        chosen = [x[rows] if c else x for x, c in zip(operands, cut, strict=True)]
        part = run(op, attrs, chosen, (rows.stop - rows.start, *shape[1:]))
        found = np.empty(shape, part.dtype) if found is None else found
        found[rows] = part
    assert found is not None
    return found
