"""Masks: constants so low that a softmax leaves nothing of what they are added to or chosen for."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from accelc.frontend.builder import Builder
from accelc.graph import LAYOUT_OPS, Layer, Tensor

_NOTHING = -1e4  # exp(-10,000) is 0 in 32-bit numbers
_DEPTH = 8
_KEEP = {"add", "sub", "mul", "where", "min"}


def masked(b: Builder, *names: str) -> bool:
    """Return whether a mask went into one of some values that have no scale of their own.

    Beside a mask, 8 bits would tell nothing else apart.
    """
    return all(b.tensor(n).quant is None for n in names) and any(_masked(b, n, _DEPTH) for n in names)


def _masked(b: Builder, name: str, depth: int) -> bool:
    held = b.value(name)
    if held is not None:
        return held.dtype.kind == "f" and held.size > 0 and bool(held.min() <= _NOTHING)
    layer = next((layer for layer in reversed(b.layers) if name in layer.outputs), None) if depth else None
    return layer is not None and _keeps(layer) and any(_masked(b, n, depth - 1) for n in layer.inputs if n)


def _keeps(layer: Layer) -> bool:
    """Return whether a layer passes a mask on."""
    return layer.op in LAYOUT_OPS or all(step[0] in _KEEP for step in layer.attrs.get("steps", ((layer.op,),)))


def bounded(tensor: Tensor) -> Tensor:
    """Return a constant in which -inf is the lowest finite number, as calibration needs; any other tensor as it is."""
    data = tensor.data
    if data is None or data.dtype.kind != "f" or data.min(initial=0) > -np.inf:
        return tensor
    return replace(tensor, data=np.maximum(data, np.finfo(data.dtype).min))
