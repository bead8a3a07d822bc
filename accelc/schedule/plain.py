"""Tensors of 32-bit numbers: which they are, and how they lie in DRAM: in row-major order, without a gap."""

from __future__ import annotations

from accelc.arithmetic import dequantize_array
from accelc.graph import LAYOUT_OPS, PLAIN, REAL_OPS, Array, Graph, Layer, Tensor

ACCUMULATED = ("conv", "fc")  # their int32 results are raw sums, which lie as the array leaves them


def plain_names(graph: Graph) -> frozenset[str]:
    """Return the activations that are float32 or int32 in row-major order."""
    sums = {layer.outputs[0] for layer in graph.layers if layer.op in ACCUMULATED}
    return frozenset(n for n, t in graph.tensors.items() if is_plain(t) and n not in sums)


def is_plain(tensor: Tensor) -> bool:
    """Return whether a tensor is neither quantized nor of an integer operand's type."""
    return tensor.quant is None and tensor.dtype in PLAIN


def streams(layer: Layer, plain: frozenset[str]) -> bool:
    """Return whether a layer is work on 32-bit numbers: by its op, or as it moves plain tensors."""
    moved = layer.op in LAYOUT_OPS and any(n in plain for n in (*layer.inputs, *layer.outputs))
    return layer.op in REAL_OPS or moved


def row_major(shape: tuple[int, ...], size: int) -> tuple[int, ...]:
    """Return the byte strides of a tensor in row-major order of elements of `size` bytes."""
    strides = [size]
    for extent in reversed(shape[1:]):
        strides.append(strides[-1] * extent)
    return tuple(reversed(strides)) if shape else ()


def numbers(tensor: Tensor) -> Array:
    """Return a constant as a stream reads it: 32-bit numbers, floats unless it is of integers."""
    assert tensor.data is not None
    data = tensor.data if tensor.quant is None else dequantize_array(tensor.data, tensor.quant)
    return data.astype(f"<{'f' if data.dtype.kind == 'f' else 'i'}4")
