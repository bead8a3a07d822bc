"""Views of tensors of 32-bit numbers: selections, transposes and reshapes that move nothing.

What streams read may lie anywhere at a constant distance along each axis, so such a layer needs no bytes of its own
where streams alone read its result.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import pairwise

from accelc.graph import Graph, Layer
from accelc.schedule.plain import row_major, streams
from accelc.schedule.views import View

MOVES = ("reshape", "transpose", "slice", "take")

Steps = tuple[int, ...]


def plain_alias(
    graph: Graph, layer: Layer, views: Mapping[str, View], readers: Sequence[Layer], plain: frozenset[str]
) -> View | None:
    """Return the result's view over the operand's bytes when streams alone read it, else None."""
    name = layer.outputs[0]
    if layer.op not in MOVES or name not in plain or layer.inputs[0] not in plain or layer.inputs[0] not in views:
        return None
    if not all(streams(reader, plain) for reader in readers):
        return None
    source, out, view = graph.tensors[layer.inputs[0]], graph.tensors[name], views[layer.inputs[0]]
    steps = view.steps or row_major(source.shape, 4)
    offset, found = 0, None
    if layer.op == "reshape":
        found = reshaped_steps(source.shape, steps, out.shape)
    elif layer.op == "transpose":
        found = tuple(steps[k] for k in layer.attrs["perm"])
    else:
        lines = _slice_lines(layer) if layer.op == "slice" else _take_lines(layer, source.shape)
        if lines is not None:
            offset = sum(first * step for (first, _), step in zip(lines, steps, strict=True))
            found = tuple(apart * step for (_, apart), step in zip(lines, steps, strict=True))
    if found is None:
        return None
    reach = sum((n - 1) * s for n, s in zip(out.shape, found, strict=True)) + 4
    return replace(
        view, offset=view.offset + offset, extents=(1, 1, 1, out.elements), strides=(reach, reach, reach), steps=found
    )


def _slice_lines(layer: Layer) -> list[tuple[int, int]]:
    return list(zip(layer.attrs["starts"], layer.attrs["steps"], strict=True))


def _take_lines(layer: Layer, shape: tuple[int, ...]) -> list[tuple[int, int]] | None:
    """Return (first, distance) of each axis's table, None if one has gaps, goes backwards or leaves the operand."""
    lines = []
    for table in layer.attrs["tables"]:
        if table is None:
            lines.append((0, 1))
            continue
        apart = table[1] - table[0] if len(table) > 1 else 1
        if table[0] < 0 or apart < 0 or any(b - a != apart for a, b in pairwise(table)):
            return None
        lines.append((table[0], apart))
    return lines if len(lines) == len(shape) else None


def reshaped_steps(shape: tuple[int, ...], steps: Steps, goal: tuple[int, ...]) -> Steps | None:
    """Return the steps under which a strided tensor has another shape, None where no steps do."""
    left = [(n, s) for n, s in zip(shape, steps, strict=True) if n > 1]
    found: list[int] = []
    for extent in reversed(goal):
        if extent == 1:
            found.append(4)
            continue
        while left and left[-1][0] % extent and len(left) > 1 and left[-2][1] == left[-1][0] * left[-1][1]:
            (a, _), (b, s) = left[-2:]
            left[-2:] = [(a * b, s)]
        if not left or left[-1][0] % extent:
            return None
        count, step = left.pop()
        found.append(step)
        if count > extent:
            left.append((count // extent, step * extent))
    return tuple(reversed(found))
