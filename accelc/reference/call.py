"""One layer at work: its descriptions and its operands, as the families of operators see them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from accelc.arithmetic import clamp_bounds
from accelc.errors import ModelError
from accelc.graph import RANGE, Array, Graph, Layer, Quant, Tensor, nhwc


@dataclass(frozen=True, eq=False)
class Call:
    """A layer of a graph with its operands' integers; `fixed` selects multiplier-and-shift requantization."""

    graph: Graph
    layer: Layer
    operands: tuple[Array, ...]
    fixed: bool = False

    @property
    def x(self) -> Array:
        """The first operand."""
        return self.operands[0]

    @property
    def output(self) -> Tensor:
        """The description of the result."""
        return self.graph.tensors[self.layer.outputs[0]]

    def tensor(self, index: int) -> Tensor:
        """Return the description of an operand."""
        return self.graph.tensors[self.layer.inputs[index]]

    def quant(self, index: int) -> Quant:
        """Return the quantization of an operand."""
        return _quant(self.layer, self.tensor(index))

    def zero(self, index: int) -> int:
        """Return the zero point of an operand quantized per tensor."""
        return int(self.quant(index).zero_point)

    @property
    def output_quant(self) -> Quant:
        """The quantization of the result."""
        return _quant(self.layer, self.output)

    @property
    def range(self) -> tuple[int, int]:
        """The least and the greatest value of the result's type."""
        return RANGE[self.output.dtype]

    @property
    def bounds(self) -> tuple[int, int]:
        """The range of the result, narrowed by a fused activation."""
        return clamp_bounds(self.layer.attrs.get("activation"), self.output_quant, self.output.dtype)

    def attr(self, name: str) -> Any:
        """Return an attribute."""
        return self.layer.attrs[name]


def _quant(layer: Layer, tensor: Tensor) -> Quant:
    if tensor.quant is None:
        raise ModelError(f"layer '{layer.name}' ({layer.op}): tensor '{tensor.name}' has no quantization")
    return tensor.quant


def planes(x: Array) -> Array:
    """Return an activation as (batch, channels, height, width)."""
    n, h, w, c = nhwc(x.shape)
    return x.reshape(n, c, h, w)


def offset(x: Array) -> Array:
    """Return each value less its type's least value, as an index 0..255 (uint8)."""
    return x.view(np.uint8) ^ np.uint8(128) if x.dtype == np.int8 else x
