"""Chain functions of elements: a map that only another map reads becomes steps of that one."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from accelc.graph import FLOAT, Graph, Layer
from accelc.passes.remove_dead import remove_dead
from accelc.passes.rewrite import Sweep, with_attrs

MOST_INPUTS = 16
MOST_STEPS = 64


def fuse_maps(graph: Graph) -> Graph:
    """Return the graph in which no map reads a map of its own size that nothing else reads."""
    sweep = Sweep(graph)
    for old in graph.layers:
        layer = sweep.resolved(old)
        while layer.op == "map" and (before := _fusible(sweep, layer)) is not None:
            fused = _fused(before, layer)
            sweep.recount((before, layer), fused)
            layer = fused
        sweep.keep(layer)
    return remove_dead(sweep.result())


def _fusible(sweep: Sweep, layer: Layer) -> Layer | None:
    """Return a map that a map may take in."""
    goal = sweep.tensors[layer.outputs[0]]
    for name in layer.inputs:
        before, tensor = sweep.producer(name), sweep.tensors[name]
        if before is None or before.op != "map" or tensor.quant is not None or not _alone(sweep, layer, name):
            continue
        narrow = tensor.dtype not in (FLOAT, "int32", "int64", "bool")  # a narrower integer wraps where it is stored
        inputs = {*before.inputs, *layer.inputs} - {name}
        steps = len(before.attrs["steps"]) + len(layer.attrs["steps"])
        if tensor.shape == goal.shape and not narrow and len(inputs) <= MOST_INPUTS and steps <= MOST_STEPS:
            return before
    return None


def _alone(sweep: Sweep, layer: Layer, name: str) -> bool:
    """Return whether a layer alone reads a tensor, as however many operands."""
    return name not in sweep.graph.outputs and sweep.uses(name) == layer.inputs.count(name)


def _fused(before: Layer, layer: Layer) -> Layer:
    """Return a map that first does the steps of the map before it."""
    middle = before.outputs[0]
    inputs = list(dict.fromkeys([*before.inputs, *(n for n in layer.inputs if n != middle)]))
    first = _renumbered(before, inputs, len(inputs), None)
    result = len(inputs) + len(first) - 1
    steps = [*first, *_renumbered(layer, inputs, result + 1, (middle, result))]
    source = tuple(dict.fromkeys((*before.source, *layer.source)))
    return replace(with_attrs(layer, steps=tuple(steps)), inputs=tuple(inputs), source=source)


def _renumbered(
    layer: Layer, inputs: list[str], base: int, made: tuple[str, int] | None
) -> list[tuple[Any, ...]]:
    """Return a layer's steps with operands as indices into `inputs`, its own steps counted from `base`."""
    places = [made[1] if made is not None and n == made[0] else inputs.index(n) for n in layer.inputs]
    at = [*places, *range(base, base + len(layer.attrs["steps"]))]
    return [(name, *(at[k] for k in used)) for name, *used in layer.attrs["steps"]]
