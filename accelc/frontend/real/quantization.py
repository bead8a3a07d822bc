"""Quantization as arithmetic: where scales are computed at run time or vary, or no integer layer follows."""

from __future__ import annotations

import numpy as np

from accelc.frontend.builder import Builder
from accelc.frontend.node import Lowering, Node
from accelc.frontend.real.steps import Steps

_RANGES = {"uint8": (0, 255), "int8": (-128, 127), "uint16": (0, 65535), "int16": (-32768, 32767)}


def _spread(s: Steps, node: Node, name: str, shape: tuple[int, ...]) -> str:
    """Return a scale or zero point shaped to broadcast: one, one along an axis, or one for each block of an axis."""
    own, rank = s.shape(name), len(shape)
    if not own or own == (1,):
        return s.reshape(name, ())
    axis = node.get("axis", 1) % max(rank, 1)
    if len(own) == 1:
        return s.reshape(name, tuple(own[0] if a == axis else 1 for a in range(rank)))
    block = node.get("block_size", 0) or -(-shape[axis] // own[axis])
    return s.take(name, {axis: [k // block for k in range(shape[axis])]})


def quantize(b: Builder, node: Node) -> None:
    """round(x / scale) + zero point, held to the type's range."""
    s = Steps(b, node)
    x, kind = node.input(0), b.result(node).dtype
    if kind not in _RANGES:
        raise node.refuse(f"the type {kind}", f"{', '.join(_RANGES)} would work")
    ratio = s.map("round", s.map("div", x, _spread(s, node, node.input(1), s.shape(x))))
    low, high = _RANGES[kind]
    if node.input(2):
        zero = s.map("to_float", _spread(s, node, node.input(2), s.shape(x)))
        ratio = s.map("add", ratio, zero)
    held = s.map("min", s.map("max", ratio, float(low)), float(high))
    s.finish(s.map("to_int", held, dtype=kind))


def dequantize(b: Builder, node: Node) -> None:
    """(x - zero point) * scale."""
    s = Steps(b, node)
    x = node.input(0)
    if s.is_float(x):
        real = x
    elif s.dtype(x) in (*_RANGES, "int32"):
        real = s.map("to_float", x)
    else:
        raise node.refuse(f"an input of {s.dtype(x)}", f"{', '.join(_RANGES)} or int32 would work")
    if node.input(2):
        zero = _spread(s, node, node.input(2), s.shape(x))
        real = s.map("sub", real, zero if s.is_float(zero) else s.map("to_float", zero))
    s.finish(s.map("mul", real, _spread(s, node, node.input(1), s.shape(x)), dtype=str(np.dtype("float32"))))


_ATTRIBUTES = ("axis", "block_size", "output_dtype", "precision", "saturate")

LOWERINGS = (
    Lowering("QuantizeLinear", quantize, ("map",), _ATTRIBUTES, ("float8 and types below 8 bits",)),
    Lowering("DequantizeLinear", dequantize, ("map",), _ATTRIBUTES, ("float8 and types below 8 bits",)),
)
