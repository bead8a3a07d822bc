"""Convolutions."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from accelc.frontend.builder import Builder, real
from accelc.frontend.geometry import window
from accelc.frontend.node import Lowering, Node
from accelc.graph import Array, Quant, Tensor


def conv(b: Builder, node: Node) -> None:
    """1-D and 2-D convolution with constant weights; a 1-D one is a 2-D one of height 1."""
    weights = b.weight(node, 1)
    x = b.tensor(node.input(0))
    attrs = window(node, x.shape[2:], weights.shape[2:])
    inputs: tuple[str, ...] = (x.name, kernel_2d(b, weights).name)
    if node.input(2):
        inputs += (b.weight(node, 2, "bias").name,)
    b.emit(node, "conv", inputs, b.result(node), **attrs, group=node.get("group", 1), activation=None)


def kernel_2d(b: Builder, weights: Tensor) -> Tensor:
    """Return convolution weights with four axes, quantized per tensor or along axis 0."""
    quant = weights.quant
    if quant is not None and quant.scale.ndim and quant.axis != 0:
        weights = b.constant(f"{weights.name}/float", real(weights))
    if len(weights.shape) == 4:
        return weights
    assert weights.data is not None
    return b.constant(f"{weights.name}/2d", np.expand_dims(weights.data, 2), weights.quant)


def conv_integer(b: Builder, node: Node) -> None:
    """Integer convolution whose int32 sums are a graph output; the scales count as 1."""
    x = unit_scaled(b, node, 0, 2)
    weights = unit_scaled(b, node, 1, 3)
    attrs = window(node, x.shape[2:], weights.shape[2:])
    inputs = (x.name, kernel_2d(b, weights).name)
    b.emit(node, "conv", inputs, b.result(node), **attrs, group=node.get("group", 1), activation=None)


def unit_scaled(b: Builder, node: Node, index: int, zero_index: int) -> Tensor:
    """Return an integer operand with its zero point and, if it has no scale yet, the scale 1."""
    tensor = b.tensor(node.input(index))
    zero: Array = np.zeros((), np.int32)
    if node.input(zero_index):
        zero = b.require(node, zero_index, "zero point").astype(np.int32)
    zero = zero.reshape(()) if zero.size == 1 else zero.reshape(-1)
    if index == 1:
        data = b.require(node, 1, "weight")
        axis = None if zero.ndim == 0 else (0 if node.op == "ConvInteger" else 1)
        return b.constant(f"{tensor.name}/integer", data, Quant(np.ones(zero.shape, np.float32), zero, axis))
    if tensor.quant is None:
        tensor = replace(tensor, quant=Quant(np.ones((), np.float32), zero))
        b.tensors[tensor.name] = tensor
    elif zero.ndim or int(zero) != int(tensor.quant.zero_point):
        raise node.refuse(f"zero point {zero} over one of {tensor.quant.zero_point}", "equal ones would work")
    return tensor


LOWERINGS = (
    Lowering(
        "Conv",
        conv,
        ("conv",),
        ("auto_pad", "dilations", "group", "kernel_shape", "pads", "strides"),
        ("3 or more spatial dimensions", "weights or bias computed at run time", "negative pads"),
    ),
    Lowering(
        "ConvInteger",
        conv_integer,
        ("conv",),
        ("auto_pad", "dilations", "group", "kernel_shape", "pads", "strides"),
        ("weights computed at run time", "sums that are not a graph output (except behind DynamicQuantizeLinear)"),
        integer=True,
    ),
)
