"""Arithmetic on what 32-bit layers computed stays in 32 bits: it would lose bits and gain nothing in 8."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from accelc.graph import ELEMENTWISE, LAYOUT_OPS, REAL_OPS, Activation, Graph, Layer
from accelc.passes.rewrite import Sweep

_TABLES = ("relu", "leaky_relu", "clip", "sigmoid", "tanh")
Step = tuple[Any, ...]


def follow_real(graph: Graph) -> Graph:
    """Return the graph in which sums, products and simple functions of 32-bit results are maps.

    That is where every operand is a constant or comes, perhaps moved, from a 32-bit layer, and no scale is given.
    """
    sweep = Sweep(graph)
    for old in graph.layers:
        layer = sweep.resolved(old)
        sweep.keep(_mapped(sweep, layer) if _follows(sweep, layer) else layer)
    return sweep.result()


def _follows(sweep: Sweep, layer: Layer) -> bool:
    if layer.op not in (*ELEMENTWISE, *_TABLES) or sweep.tensors[layer.outputs[0]].quant is not None:
        return False
    dynamic = [n for n in layer.inputs if sweep.tensors[n].data is None]
    constants = [n for n in layer.inputs if sweep.tensors[n].data is not None]
    return all(sweep.tensors[n].quant is None for n in constants) and all(_is_real(sweep, n) for n in dynamic)


def _is_real(sweep: Sweep, name: str) -> bool:
    """Return whether a tensor comes, perhaps moved, from a layer on 32-bit numbers."""
    layer = sweep.producer(name)
    if layer is None or sweep.tensors[name].quant is not None:
        return False
    return layer.op in REAL_OPS or (layer.op in LAYOUT_OPS and all(_is_real(sweep, n) for n in layer.inputs))


def _mapped(sweep: Sweep, layer: Layer) -> Layer:
    """Return a layer as a map."""
    steps: list[Step] = []
    names = list(layer.inputs)

    def constant(value: float) -> int:
        names.append(sweep.constant(f"{layer.name}/number", np.full(1, value, np.float32)))
        return -len(names)  # a constant's index is known once all are there: see `_placed`

    if layer.op in ELEMENTWISE:
        steps.append((layer.op, 0, 1))
    _function(layer, steps, constant)
    _activated(layer.attrs.get("activation"), steps, constant)
    attrs = {"steps": tuple(_placed(step, len(names)) for step in steps)}
    return replace(layer, op="map", inputs=tuple(names), attrs=attrs)


def _last(steps: Sequence[Step]) -> Any:
    """Return the operand that stands for the result so far."""
    return ("step", len(steps) - 1) if steps else 0


def _function(layer: Layer, steps: list[Step], constant: Any) -> None:
    if layer.op in ("sigmoid", "tanh"):
        steps.append((layer.op, 0))
    elif layer.op == "relu":
        _activated(("relu",), steps, constant)
    elif layer.op == "clip":
        _activated(("clip", layer.attrs["min"], layer.attrs["max"]), steps, constant)
    elif layer.op == "leaky_relu":
        steps.append(("mul", 0, constant(layer.attrs["alpha"])))
        steps.append(("less", 0, constant(0.0)))
        steps.append(("where", ("step", 1), ("step", 0), 0))


def _activated(activation: Activation, steps: list[Step], constant: Any) -> None:
    if activation is None:
        return
    low, high = (0.0, np.inf) if activation[0] == "relu" else activation[1:3]
    if low != -np.inf:
        steps.append(("max", _last(steps), constant(low)))
    if high != np.inf:
        steps.append(("min", _last(steps), constant(high)))
    if not steps:
        steps.append(("identity", 0))


def _placed(step: Step, count: int) -> Step:
    """Return a step with operands as indices: inputs first, constants among them, then earlier steps."""
    name, *operands = step
    made = []
    for operand in operands:
        if isinstance(operand, tuple):
            made.append(count + operand[1])
        else:
            made.append(operand if operand >= 0 else -operand - 1)
    return (name, *made)

