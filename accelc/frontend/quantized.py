"""Quantized models: QuantizeLinear, DequantizeLinear, and the operators defined in terms of them.

An operator of the QOperator kind (QLinearConv, QGemm, ...) is rewritten to the float operator between DequantizeLinear
and QuantizeLinear that defines it, so that both kinds of quantized model give the same layers. Here each of the two
becomes a `requantize` layer with one float side; `accelc.passes.absorb_quantization` then removes them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

import numpy as np

from accelc.frontend.builder import Builder, broadcast_quant
from accelc.frontend.node import Lowering, Node
from accelc.frontend.shape import describe_quant
from accelc.graph import BYTES, FLOAT, RANGE, Array, Quant, Tensor

_WIDER = {"int4": "int8", "uint4": "uint8", "int2": "int8", "uint2": "uint8"}


def read_quant(b: Builder, node: Node, scale: int, zero: int, rank: int) -> tuple[Quant, str]:
    """Return scale and zero point given by two operands, and the zero point's type ("" when it is left out)."""
    factor = b.require(node, scale, "scale").astype(np.float32)
    if not (np.isfinite(factor).all() and (factor > 0).all()):
        raise node.refuse(f"a scale of {factor.min()}", "positive finite scales would work")
    dtype, offset = "", np.zeros(factor.shape, np.int32)
    if node.input(zero):
        raw = b.require(node, zero, "zero point")
        dtype, offset = str(raw.dtype), raw.astype(np.int32)
    if node.get("block_size", 0) or factor.ndim > 1:
        raise node.refuse("quantization by blocks", "one scale per tensor or per channel would work")
    if factor.size == 1:
        return Quant(factor.reshape(()), offset.reshape(-1)[:1].reshape(())), dtype
    return Quant(factor, np.broadcast_to(offset.reshape(-1), factor.shape), node.get("axis", 1) % max(rank, 1)), dtype


def dequantize_linear(b: Builder, node: Node) -> None:
    """scale * (q - zero_point): gives the integer tensor before it its scale."""
    x = b.tensor(node.input(0))
    quant, _ = read_quant(b, node, 1, 2, len(x.shape))
    if x.data is not None:
        _dequantized_constant(b, node, x.data, quant)
        return
    if x.dtype not in BYTES or quant.scale.ndim:
        raise node.refuse(f"an activation of {x.dtype}, per channel: {bool(quant.scale.ndim)},", _ACTIVATION)
    declared = replace(x, quant=quant)
    if x.quant is None:
        b.tensors[x.name] = declared
    elif describe_quant(x) != describe_quant(declared):
        raise node.refuse("a scale or zero point other than the tensor was quantized by", "equal ones would work")
    b.emit(node, "requantize", (x.name,), Tensor(node.outputs[0], x.shape))


_ACTIVATION = "int8 or uint8 activations with one scale would work"


def _dequantized_constant(b: Builder, node: Node, data: Array, quant: Quant) -> None:
    dtype = _WIDER.get(str(data.dtype), str(data.dtype))
    if dtype not in (*BYTES, "int32"):
        raise node.refuse(f"a constant of {data.dtype}", "int8, uint8 or int32 would work")
    data = data.astype(dtype)
    b.tensors[node.outputs[0]] = Tensor(node.outputs[0], tuple(data.shape), dtype, quant, data)


def quantize_linear(b: Builder, node: Node) -> None:
    """saturate(rint(x / scale) + zero_point): gives the tensor before it its scale."""
    x = b.tensor(node.input(0))
    quant, dtype = read_quant(b, node, 1, 2, len(x.shape))
    dtype = dtype or str(b.result(node).dtype)
    if dtype not in BYTES:
        raise node.refuse(f"the type {dtype}", "int8 or uint8 would work")
    if x.data is not None:
        b.tensors[node.outputs[0]] = replace(
            Tensor(node.outputs[0], x.shape, dtype), data=quantize_array(b.require(node, 0, "x"), quant, dtype)
        )
        return
    if quant.scale.ndim or x.dtype != FLOAT:
        raise node.refuse(f"an activation of {x.dtype}, per channel: {bool(quant.scale.ndim)},", _ACTIVATION)
    b.emit(node, "requantize", (x.name,), Tensor(node.outputs[0], x.shape, dtype, quant))


def quantize_array(values: Array, quant: Quant, dtype: str) -> Array:
    """Return saturate(rint(values / scale) + zero_point) by the rule of ONNX Runtime's QuantizeLinear."""
    scale, zero = broadcast_quant(quant, values.ndim)
    low, high = RANGE[dtype]
    ratio = (values.astype(np.float32) / scale).astype(np.float32)
    return (np.rint(np.clip(ratio, low - zero, high - zero)) + zero).astype(dtype)


@dataclass(frozen=True)
class Expansion:
    """How a QOperator becomes DequantizeLinear, a float operator and QuantizeLinear."""

    op: str
    expand: Callable[[Builder, Node], list[Node]]
    domain: str = "com.microsoft"
    attributes: tuple[str, ...] = ()
    refusals: tuple[str, ...] = ()


def _dq(b: Builder, node: Node, value: int, part: str) -> Node:
    """Return the DequantizeLinear of operands value, value + 1 (scale), value + 2 (zero point)."""
    return _dequantize(b, node, (node.input(value), node.input(value + 1), node.input(value + 2)), part)


def _dequantize(b: Builder, node: Node, operands: tuple[str, ...], part: str, axis: int = 0) -> Node:
    while not operands[-1]:
        operands = operands[:-1]
    output = b.fresh(f"{operands[0]}/{part}.{node.name}")
    return Node.make("DequantizeLinear", f"{node.name}/{part}", operands, (output,), b.opsets[""], axis=axis)


def _q(b: Builder, node: Node, source: str, scale: int) -> Node:
    """Return the QuantizeLinear, by operands scale and scale + 1, that writes the node's result."""
    operands = tuple(n for n in (source, node.input(scale), node.input(scale + 1)) if n)
    return Node.make("QuantizeLinear", f"{node.name}/y", operands, (node.outputs[0],), b.opsets[""])


def _float(b: Builder, node: Node, op: str, inputs: tuple[str, ...], version: int = 0, **attrs: Any) -> Node:
    """Return the float operator under the name of the quantized one."""
    output = b.fresh(f"{node.outputs[0]}/real")
    return Node.make(op, node.name, inputs, (output,), version or b.opsets[""], **attrs)


def _bias(b: Builder, node: Node, index: int, x: int, w: int) -> Node:
    """Return the DequantizeLinear of an int32 bias, whose scale is the product of the operands' scales."""
    scale = b.require(node, x, "scale").reshape(()) * b.require(node, w, "scale").reshape(-1)
    scale = scale.reshape(()) if scale.size == 1 else scale
    name = b.constant(f"{node.input(index)}/scale", scale.astype(np.float32)).name
    return _dequantize(b, node, (node.input(index), name, ""), "bias")


def _qlinear_conv(b: Builder, node: Node) -> list[Node]:
    """Convolution of quantized operands with an int32 bias."""
    operands = [_dq(b, node, 0, "x"), _dq(b, node, 3, "w")]
    if node.input(8):
        operands.append(_bias(b, node, 8, 1, 4))
    real = _float(b, node, "Conv", tuple(n.outputs[0] for n in operands), **_standard(node))
    return [*operands, real, _q(b, node, real.outputs[0], 6)]


def _qlinear_matmul(b: Builder, node: Node) -> list[Node]:
    """Product of a quantized tensor with a constant quantized matrix."""
    axis = max(len(b.shape(node.input(3))) - 1, 0)
    weights = _dequantize(b, node, node.inputs[3:6], "b", axis)
    operands = [_dq(b, node, 0, "a"), weights]
    real = _float(b, node, "MatMul", tuple(n.outputs[0] for n in operands))
    return [*operands, real, _q(b, node, real.outputs[0], 6)]


def _qgemm(b: Builder, node: Node) -> list[Node]:
    """Gemm of quantized operands with an int32 bias; without an output scale the result is float."""
    if node.get("alpha", 1.0) != 1.0 and node.input(6):
        raise node.refuse(f"alpha={node.get('alpha')} with a bias", "alpha=1 would work")
    axis = 0 if node.get("transB", 0) else 1
    operands = [_dq(b, node, 0, "a"), _dequantize(b, node, node.inputs[3:6], "b", axis)]
    if node.input(6):
        operands.append(_bias(b, node, 6, 1, 4))
    real = _float(b, node, "Gemm", tuple(n.outputs[0] for n in operands), **_standard(node))
    if node.input(7):
        return [*operands, real, _q(b, node, real.outputs[0], 7)]
    return [*operands, replace(real, outputs=node.outputs, proto=_renamed(real, node.outputs))]


def _renamed(node: Node, outputs: tuple[str, ...]) -> Any:
    proto = type(node.proto)()
    proto.CopyFrom(node.proto)
    proto.output[:] = outputs
    return proto


def _binary(b: Builder, node: Node) -> list[Node]:
    """Sum or product of two quantized tensors."""
    operands = [_dq(b, node, 0, "a"), _dq(b, node, 3, "b")]
    real = _float(b, node, node.op.removeprefix("QLinear"), tuple(n.outputs[0] for n in operands))
    return [*operands, real, _q(b, node, real.outputs[0], 6)]


def _unary(b: Builder, node: Node) -> list[Node]:
    """A function or pool of one quantized tensor."""
    if node.get("channels_last", 0):
        raise node.refuse("channels_last=1", "channels_last=0 would work")
    operand = _dq(b, node, 0, "x")
    op = node.op.removeprefix("QLinear")
    version = node.get("opset", 0) if op == "Softmax" else 0
    if op == "ReduceMean":
        version = min(b.opsets[""], 13)  # the axes are an attribute, as they were before opset 18
    drop = ("channels_last", "opset")
    attrs = {k: v for k, v in node.attrs.items() if k not in drop}
    real = _float(b, node, op, operand.outputs, version, **attrs)
    return [operand, real, _q(b, node, real.outputs[0], 3)]


def _concat(b: Builder, node: Node) -> list[Node]:
    """Concatenation of tensors of different scales."""
    operands = [_dq(b, node, i, f"x{i}") for i in range(2, len(node.inputs), 3)]
    real = _float(b, node, "Concat", tuple(n.outputs[0] for n in operands), **_standard(node))
    return [*operands, real, _q(b, node, real.outputs[0], 0)]


def _dynamic_lstm(b: Builder, node: Node) -> list[Node]:
    """LSTM with constant quantized weights, on activations as they are."""
    weights = []
    for index, part in ((1, "W"), (2, "R")):
        data, scale, zero = (b.require(node, k, "weight") for k in (index, 6 + 2 * index, 7 + 2 * index))
        over = (scale.shape[0], 1, -1)
        real = (data.astype(np.float32) - zero.reshape(over)) * scale.reshape(over)
        weights.append(b.constant(f"{node.name}/{part}", real.transpose(0, 2, 1).astype(np.float32)).name)
    operands = (node.input(0), *weights, *node.inputs[3:8])
    return [Node.make("LSTM", node.name, operands, node.outputs, b.opsets[""], **_standard(node))]


def _standard(node: Node) -> dict[str, Any]:
    return dict(node.attrs)


_CONV = ("auto_pad", "dilations", "group", "kernel_shape", "pads", "strides")
_POOL = ("auto_pad", "ceil_mode", "count_include_pad", "kernel_shape", "pads", "strides")
_CELL = ("activations", "clip", "direction", "hidden_size", "input_forget")
_LAST = ("channels_last=1",)

EXPANSIONS: Mapping[tuple[str, str], Expansion] = MappingProxyType(
    {
        (e.domain, e.op): e
        for e in (
            Expansion("QLinearConv", _qlinear_conv, "", _CONV, ("weights computed at run time",)),
            Expansion("QLinearMatMul", _qlinear_matmul, "", (), ("both matrices computed at run time",)),
            Expansion("QGemm", _qgemm, attributes=("alpha", "transA", "transB"), refusals=("transA=1",)),
            Expansion("QLinearAdd", _binary),
            Expansion("QLinearMul", _binary),
            Expansion("QLinearAveragePool", _unary, attributes=(*_POOL, "channels_last"), refusals=_LAST),
            Expansion("QLinearGlobalAveragePool", _unary, attributes=("channels_last",), refusals=_LAST),
            Expansion("QLinearReduceMean", _unary, attributes=("axes", "keepdims"), refusals=("non-spatial axes",)),
            Expansion("QLinearLeakyRelu", _unary, attributes=("alpha",)),
            Expansion("QLinearSigmoid", _unary),
            Expansion("QLinearSoftmax", _unary, attributes=("axis", "opset")),
            Expansion("QLinearConcat", _concat, attributes=("axis",)),
            Expansion(
                "DynamicQuantizeLSTM", _dynamic_lstm, attributes=_CELL, refusals=("weights computed at run time",)
            ),
        )
    }
)

_PAIR = ("axis", "block_size", "output_dtype", "saturate", "precision")
_TYPES = ("activations of other types than int8 and uint8", "one scale per channel of an activation", "scales by block")

LOWERINGS = tuple(
    Lowering(op, lower, ("requantize",), _PAIR, _TYPES, domain, integer=True)
    for domain in ("", "com.microsoft")
    for op, lower in (("QuantizeLinear", quantize_linear), ("DequantizeLinear", dequantize_linear))
)
