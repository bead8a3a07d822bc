"""Runs of large layers on 32-bit numbers, some rows at a time through all of them: what is between is never whole."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from types import EllipsisType

import numpy as np

from accelc.graph import LAYOUT_OPS, REAL_OPS, Array, Graph, Layer
from accelc.isa.rows import LARGE_BYTES, cut_operands

WHOLE = ...


@dataclass(frozen=True, eq=False)
class Piece:
    """Rows `part` of a tensor's first axis, or all of them."""

    name: str
    part: slice | EllipsisType
    value: Array


def put(values: dict[str, Array], piece: Piece, shape: tuple[int, ...]) -> None:
    """Add a piece to the tensors held."""
    if piece.part is WHOLE:
        values[piece.name] = piece.value
        return
    if piece.name not in values:
        values[piece.name] = np.empty(shape, piece.value.dtype)
    values[piece.name][piece.part] = piece.value


@dataclass(frozen=True)
class RowRun:
    """Layers in a row, and the ranges of rows in which they are worked off together; none for a layer by itself."""

    layers: tuple[Layer, ...]
    ranges: tuple[slice, ...] = ()


def row_runs(graph: Graph, layers: Sequence[Layer], joins: Callable[[Layer], bool]) -> Iterator[RowRun]:
    """Yield layers in order, those together of which each row of every result needs that row of the others only.

    `joins` says which layers may be run so at all.
    """
    run: list[Layer] = []
    for layer in layers:
        if run and not (joins(run[0]) and joins(layer) and _follows(graph, run, layer)):
            yield from _runs(graph, run)
            run = []
        run.append(layer)
    yield from _runs(graph, run)


def in_rows(
    graph: Graph,
    run: RowRun,
    operand: Callable[[str], Array],
    make: Callable[[Layer, list[Array], tuple[int, ...]], Array],
) -> Iterator[Piece]:
    """Yield every result of a run in pieces; `make` gives some rows of a layer's result from those of its operands."""
    last = {n: k for k, layer in enumerate(run.layers) for n in layer.inputs}
    for rows in run.ranges:
        made: dict[str, Array] = {}
        for k, layer in enumerate(run.layers):
            names, (output,) = [n for n in layer.inputs if n], layer.outputs
            cut = zip(names, cut_inputs(graph, layer) or (), strict=True)
            operands = [made[n] if n in made else operand(n)[rows] if c else operand(n) for n, c in cut]
            shape = (rows.stop - rows.start, *graph.tensors[output].shape[1:])
            made[output] = make(layer, operands, shape)
            yield Piece(output, rows, made[output])
            for name in [n for n in made if last.get(n, -1) <= k]:
                del made[name]


def cut_inputs(graph: Graph, layer: Layer) -> tuple[bool, ...] | None:
    """Return which operands of a layer are cut where its result's rows are; None if its rows do not stand alone."""
    if layer.op not in (*REAL_OPS, *LAYOUT_OPS) or len(layer.outputs) != 1:
        return None
    shapes = [graph.tensors[n].shape for n in layer.inputs if n]
    return cut_operands(layer.op, layer.attrs, shapes, graph.tensors[layer.outputs[0]].shape)


def _follows(graph: Graph, run: Sequence[Layer], layer: Layer) -> bool:
    """Return whether a layer's rows come from the same rows of what the run makes."""
    cut = cut_inputs(graph, layer)
    if cut is None or cut_inputs(graph, run[0]) is None:
        return False
    rows = graph.tensors[run[0].outputs[0]].shape[0]
    made = {n for each in run for n in each.outputs}
    alike = graph.tensors[layer.outputs[0]].shape[0] == rows
    return alike and all(c for n, c in zip((n for n in layer.inputs if n), cut, strict=True) if n in made)


def _runs(graph: Graph, layers: Sequence[Layer]) -> Iterator[RowRun]:
    """Yield layers that go together as one run if they are large, else each alone: what is between may go at once."""
    names = {n for layer in layers for n in (*layer.inputs, *layer.outputs) if n}
    whole = 4 * sum(graph.tensors[n].elements for n in names)
    if len(layers) < 2 or whole < LARGE_BYTES:
        yield from (RowRun((layer,)) for layer in layers)
        return
    count = graph.tensors[layers[0].outputs[0]].shape[0]
    size = max(1, count * LARGE_BYTES // whole)
    yield RowRun(tuple(layers), tuple(slice(k, min(k + size, count)) for k in range(0, count, size)))
