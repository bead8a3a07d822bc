"""Which scale each tensor gets: from its range, from its operator, or shared with its neighbors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from accelc.graph import JOIN_OPS, RANGE, WIDE, Array, Graph, Layer, Quant
from accelc.quantize.calibrate import Range
from accelc.quantize.groups import Groups

# Operators whose output holds its input's integers.
MOVES = ("max_pool", "global_max_pool", "reshape", "transpose", "slice", "pad", *JOIN_OPS, "take")

_FULL_RANGE = {"softmax": (0.0, 1.0), "sigmoid": (0.0, 1.0), "tanh": (-1.0, 1.0)}


def range_quant(limits: Range, dtype: str) -> Quant:
    """Return scale and zero point that cover a range and hold 0 exactly; a range of nothing but 0 gets scale 1."""
    low, high = min(limits[0], 0.0), max(limits[1], 0.0)
    if dtype == WIDE:
        return _symmetric(max(-low, high))
    least, greatest = RANGE[dtype]
    scale = np.float32((high - low) / (greatest - least))
    if scale < np.finfo(np.float32).tiny:
        return Quant.per_tensor(1.0, least if low == 0.0 else greatest)
    zero = round(least - low / float(scale))
    return Quant.per_tensor(float(scale), min(max(zero, least), greatest))


def _symmetric(reach: float) -> Quant:
    """Return the 16-bit quantization of magnitudes up to `reach`."""
    scale = np.float32(reach / RANGE[WIDE][1])
    return Quant.per_tensor(1.0 if scale < np.finfo(np.float32).tiny else float(scale), 0)


def fixed_quant(layer: Layer, dtype: str) -> Quant | None:
    """Return the scale of an output whose range the operator fixes: 1/256 for softmax and sigmoid, 1/128 for tanh.

    In 16 bits it is 1/32768 for all three.
    """
    if layer.op not in _FULL_RANGE:
        return None
    if dtype == WIDE:
        return Quant.per_tensor(1 / 32768, 0)
    low, high = _FULL_RANGE[layer.op]
    least, greatest = RANGE[dtype]
    zero = least if low == 0.0 else (least + greatest + 1) // 2
    return Quant.per_tensor((high - low) / 256, zero)


def choose(graph: Graph, limits: Mapping[str, Range], dtype: str, free: Sequence[str]) -> dict[str, Quant]:
    """Return the quantization of the tensors in `free`.

    Products by the same weights share a scale. Layers that move elements pass theirs on. A concat shares its own with
    every input whose scale is still free; an input whose scale is fixed (by the model, or as a softmax, sigmoid or
    tanh) will be requantized.
    """
    groups = Groups(free)
    fixed = _fixed(graph, free, dtype)
    for layer in graph.layers:
        if layer.op in MOVES:
            _join_moved(groups, fixed, layer)
    for k in (0, -1):
        _join_steps(graph, groups, fixed, output=k < 0)
    merged: dict[str, Range] = {}
    for name in free:
        merged[groups.root(name)] = _hull(merged.get(groups.root(name)), _with_padding(graph, name, limits[name]))
    return {n: fixed.get(groups.root(n)) or range_quant(merged[groups.root(n)], dtype) for n in free}


def _fixed(graph: Graph, free: Sequence[str], dtype: str) -> dict[str, Quant]:
    found = {}
    for layer in graph.layers:
        quant = fixed_quant(layer, dtype)
        if quant is not None and layer.outputs[0] in free:
            found[layer.outputs[0]] = quant
    return found


def _join_moved(groups: Groups, fixed: dict[str, Quant], layer: Layer) -> None:
    """Join a moving layer's output with its inputs; a fixed scale comes along except into a concat."""
    output = layer.outputs[0]
    if output not in groups:
        return
    for name in dict.fromkeys(layer.inputs):
        if name not in groups or (layer.op in JOIN_OPS and groups.root(name) in fixed):
            continue
        groups.join(name, output)


def _join_steps(graph: Graph, groups: Groups, fixed: Mapping[str, Quant], *, output: bool) -> None:
    """Join what matrix products by the same weights read, or what they make: they are steps of one recurrence.

    Their weights, with the parameters that follow from both scales, are then the same bytes in every step.
    """
    first: dict[str, str] = {}
    for layer in graph.layers:
        name = layer.outputs[0] if output else layer.inputs[0]
        if layer.op == "fc" and name in groups and groups.root(name) not in fixed:
            groups.join(first.setdefault(layer.inputs[1], name), name)


def _hull(a: Range | None, b: Range) -> Range:
    return b if a is None else (min(a[0], b[0]), max(a[1], b[1]))


def _with_padding(graph: Graph, name: str, limits: Range) -> Range:
    for layer in graph.layers:
        if layer.op in ("pad", "take") and name in layer.outputs and np.isfinite(layer.attrs["value"]):
            limits = _hull(limits, (float(layer.attrs["value"]),) * 2)
    return limits


def constant_quant(data: Array, dtype: str) -> Quant:
    """Return the quantization of a constant operand, per tensor."""
    return range_quant((float(data.min(initial=0.0)), float(data.max(initial=0.0))), dtype)
