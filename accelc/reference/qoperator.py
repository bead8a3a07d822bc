"""A quantized Graph as an ONNX model of integer operators, for ONNX Runtime to judge.

Tensors keep their names. Where ONNX Runtime has no integer operator, the twin is Dequantize, the float operator,
Quantize.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper

from accelc.arithmetic import clamp_bounds
from accelc.errors import UnsupportedError
from accelc.graph import Array, Graph, Layer, Quant, Tensor, nhwc
from accelc.reference.onnx_operands import pad_widths, pool_attributes, slice_operands

_CONTRIB = "com.microsoft"
OPSET = 19


@dataclass
class Twin:
    """An ONNX model under construction from a graph."""

    graph: Graph
    nodes: list[onnx.NodeProto] = field(default_factory=list)
    constants: dict[str, Array] = field(default_factory=dict)

    def constant(self, name: str, value: Array) -> str:
        """Add an initializer; return its name."""
        self.constants[name] = np.ascontiguousarray(value) if np.ndim(value) else np.asarray(value)
        return name

    def node(self, op: str, inputs: list[str], output: str, *, domain: str = "", **attrs: Any) -> str:
        """Append a node; return its result's name."""
        name = f"{output}/{op}"
        self.nodes.append(helper.make_node(op, inputs, [output], name=name, domain=domain, **attrs))
        return output

    def tensor(self, name: str) -> Tensor:
        """Return a tensor's description."""
        return self.graph.tensors[name]

    def parameters(self, name: str, *, axis_free: bool = False) -> list[str]:
        """Return the names of a tensor's scale and zero point as constants."""
        tensor = self.tensor(name)
        quant = _quant(tensor)
        scale, zero = quant.scale, quant.zero_point.astype(tensor.dtype)
        if axis_free and scale.size == 1:
            scale, zero = scale.reshape(()), zero.reshape(())
        elif scale.ndim and not zero.ndim:
            zero = np.full(scale.shape, zero, tensor.dtype)
        return [self.constant(f"{name}/scale", scale), self.constant(f"{name}/zero", zero)]

    def operand(self, name: str, *, axis_free: bool = False) -> list[str]:
        """Return the names of a tensor, its scale and its zero point."""
        data = self.tensor(name).data
        if data is not None:
            self.constant(name, data)
        return [name, *self.parameters(name, axis_free=axis_free)]

    def real(self, name: str) -> str:
        """Return the name of a tensor's real value: dequantized, or a float constant itself."""
        tensor = self.tensor(name)
        if tensor.quant is None:
            assert tensor.data is not None
            return self.constant(name, tensor.data)
        return self.node("DequantizeLinear", self.operand(name), f"{name}/real@{len(self.nodes)}")

    def quantized(self, real: str, output: str) -> None:
        """Quantize a real value to a tensor of the graph."""
        self.node("QuantizeLinear", [real, *self.parameters(output)], output)


def to_qoperator(graph: Graph) -> onnx.ModelProto:
    """Return the ONNX twin of a quantized graph; graph inputs and outputs are its integers."""
    twin = Twin(graph)
    for layer in graph.layers:
        emit = TWINS.get(layer.op)
        if emit is None:
            raise UnsupportedError(f"layer '{layer.name}': op '{layer.op}' has no twin in ONNX Runtime")
        emit(twin, layer)
    proto = helper.make_graph(
        twin.nodes,
        graph.name or "graph",
        [_info(graph.tensors[n]) for n in graph.inputs],
        [_info(graph.tensors[n]) for n in graph.outputs],
        [numpy_helper.from_array(value, name) for name, value in twin.constants.items()],
    )
    opsets = [helper.make_opsetid("", OPSET), helper.make_opsetid(_CONTRIB, 1)]
    return helper.make_model(proto, opset_imports=opsets, ir_version=9)


def _info(tensor: Tensor) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(
        tensor.name, helper.np_dtype_to_tensor_dtype(np.dtype(tensor.dtype)), tensor.shape
    )


def _quant(tensor: Tensor) -> Quant:
    if tensor.quant is None:
        raise UnsupportedError(f"tensor '{tensor.name}' has no quantization")
    return tensor.quant


def _clamped(twin: Twin, layer: Layer, emit: Callable[[str], object]) -> None:
    """Let `emit` write the layer's result, held between the bounds of a fused activation."""
    output = twin.tensor(layer.outputs[0])
    activation = layer.attrs.get("activation")
    if activation is None:
        emit(output.name)
        return
    wide = f"{output.name}/unclamped"
    low, high = clamp_bounds(activation, _quant(output), output.dtype)
    emit(wide)
    held = {"low": np.asarray(low, output.dtype), "high": np.asarray(high, output.dtype)}
    bounds = [twin.constant(f"{output.name}/{side}", value) for side, value in held.items()]
    twin.node("Clip", [wide, *bounds], output.name)


def _conv(twin: Twin, layer: Layer) -> None:
    x, w, *bias = [n for n in layer.inputs if n]
    output = twin.tensor(layer.outputs[0])
    attrs = {k: list(layer.attrs[k]) for k in ("strides", "pads", "dilations")} | {"group": layer.attrs["group"]}
    source, shape = _as_planes(twin, x)
    if output.quant is None:
        _raw_sums(twin, "ConvInteger", [source, *_integer(twin, x, w)], bias, output, attrs)
        return
    constants = [_constant(twin, name) for name in bias]
    operands = [source, *twin.operand(x)[1:], *twin.operand(w, axis_free=True)]

    def emit(name: str) -> None:
        result = name if shape is None else f"{name}/planes"
        twin.node("QLinearConv", [*operands, *twin.parameters(output.name), *constants], result, **attrs)
        _from_planes(twin, result, name, output.shape)

    _clamped(twin, layer, emit)


def _as_planes(twin: Twin, name: str) -> tuple[str, tuple[int, ...] | None]:
    """Return an activation with four axes, and its shape if that took a reshape."""
    shape = twin.tensor(name).shape
    if len(shape) == 4:
        return name, None
    n, h, w, c = nhwc(shape)
    into = twin.constant(f"{name}/planes/shape", np.array([n, c, h, w], np.int64))
    return twin.node("Reshape", [name, into], f"{name}/planes@{len(twin.nodes)}"), shape


def _from_planes(twin: Twin, result: str, name: str, shape: tuple[int, ...]) -> None:
    if result != name:
        into = twin.constant(f"{name}/shape", np.array(shape, np.int64))
        twin.node("Reshape", [result, into], name)


def _constant(twin: Twin, name: str) -> str:
    data = twin.tensor(name).data
    assert data is not None
    return twin.constant(name, data)


def _integer(twin: Twin, x: str, w: str) -> list[str]:
    return [_constant(twin, w), twin.parameters(x)[1], twin.parameters(w, axis_free=True)[1]]


def _raw_sums(
    twin: Twin, op: str, operands: list[str], bias: list[str], output: Tensor, attrs: Mapping[str, Any]
) -> None:
    if not bias:
        twin.node(op, operands, output.name, **attrs)
        return
    sums = twin.node(op, operands, f"{output.name}/sums", **attrs)
    data = twin.tensor(bias[0]).data
    assert data is not None
    shape = (-1,) if op == "MatMulInteger" else (-1, 1, 1)
    twin.node("Add", [sums, twin.constant(f"{bias[0]}/wide", data.reshape(shape))], output.name)


def _fc(twin: Twin, layer: Layer) -> None:
    x, w, *bias = [n for n in layer.inputs if n]
    output, weights = twin.tensor(layer.outputs[0]), twin.tensor(w)
    if output.quant is None:
        assert weights.data is not None
        flat = twin.constant(f"{w}/t", weights.data.T)
        _raw_sums(twin, "MatMulInteger", [x, flat, *_integer(twin, x, w)[1:]], bias, output, {})
        return
    operands = [*twin.operand(x), *twin.operand(w, axis_free=True), *(_constant(twin, n) for n in bias)]
    operands += [""] * (7 - len(operands))
    operands += twin.parameters(output.name)
    _clamped(twin, layer, lambda name: twin.node("QGemm", operands, name, domain=_CONTRIB, transB=1))


def _binary(op: str) -> Callable[[Twin, Layer], None]:
    def emit(twin: Twin, layer: Layer) -> None:
        operands = [part for name in layer.inputs for part in twin.operand(name)] + twin.parameters(layer.outputs[0])
        _clamped(twin, layer, lambda name: twin.node(op, operands, name, domain=_CONTRIB))

    return emit


def _sub(twin: Twin, layer: Layer) -> None:
    output = layer.outputs[0]
    real = twin.node("Sub", [twin.real(n) for n in layer.inputs], f"{output}/real")
    parameters = twin.parameters(output)
    _clamped(twin, layer, lambda name: twin.node("QuantizeLinear", [real, *parameters], name))


def _float(op: str, *names: str) -> Callable[[Twin, Layer], None]:
    """Return the twin Dequantize, `op` with some attributes of the layer, Quantize."""

    def emit(twin: Twin, layer: Layer) -> None:
        output = layer.outputs[0]
        attrs = {name: layer.attrs[name] for name in names}
        twin.quantized(twin.node(op, [twin.real(layer.inputs[0])], f"{output}/real", **attrs), output)

    return emit


def _lrn(twin: Twin, layer: Layer) -> None:
    if (size := layer.attrs["size"]) % 2 == 0:
        raise UnsupportedError(f"layer '{layer.name}': ONNX Runtime has no LRN of size={size}; odd sizes would work")
    _float("LRN", "size", "alpha", "beta", "bias")(twin, layer)


def _requantize(twin: Twin, layer: Layer) -> None:
    twin.quantized(twin.real(layer.inputs[0]), layer.outputs[0])


def _clip(twin: Twin, layer: Layer) -> None:
    output = layer.outputs[0]
    bounds = [twin.constant(f"{output}/{k}", np.asarray(layer.attrs[k], np.float32)) for k in ("min", "max")]
    twin.quantized(twin.node("Clip", [twin.real(layer.inputs[0]), *bounds], f"{output}/real"), output)


def _by_channel(twin: Twin, layer: Layer, index: int) -> str:
    """Return a constant operand shaped to broadcast along axis 1."""
    name = twin.real(layer.inputs[index])
    rank = len(twin.tensor(layer.inputs[0]).shape)
    into = twin.constant(f"{layer.name}/{index}/shape", np.array([-1, *(1,) * (rank - 2)], np.int64))
    return twin.node("Reshape", [name, into], f"{layer.name}/{index}/wide")


def _prelu(twin: Twin, layer: Layer) -> None:
    output = layer.outputs[0]
    operands = [twin.real(layer.inputs[0]), _by_channel(twin, layer, 1)]
    twin.quantized(twin.node("PRelu", operands, f"{output}/real"), output)


def _affine(twin: Twin, layer: Layer) -> None:
    output = layer.outputs[0]
    scaled = twin.node("Mul", [twin.real(layer.inputs[0]), _by_channel(twin, layer, 1)], f"{output}/scaled")
    real = twin.node("Add", [scaled, _by_channel(twin, layer, 2)], f"{output}/real")
    parameters = twin.parameters(output)
    _clamped(twin, layer, lambda name: twin.node("QuantizeLinear", [real, *parameters], name))


def _contrib_table(op: str, *names: str) -> Callable[[Twin, Layer], None]:
    def emit(twin: Twin, layer: Layer) -> None:
        operands = [*twin.operand(layer.inputs[0]), *twin.parameters(layer.outputs[0])]
        twin.node(op, operands, layer.outputs[0], domain=_CONTRIB, **{n: layer.attrs[n] for n in names})

    return emit


def _max_pool(twin: Twin, layer: Layer) -> None:
    source, shape = _as_planes(twin, layer.inputs[0])
    output = twin.tensor(layer.outputs[0])
    result = output.name if shape is None else f"{output.name}/planes"
    twin.node("MaxPool", [source], result, **pool_attributes(twin.graph, layer))
    _from_planes(twin, result, output.name, output.shape)


def _avg_pool(twin: Twin, layer: Layer) -> None:
    source, shape = _as_planes(twin, layer.inputs[0])
    output = twin.tensor(layer.outputs[0])
    result = output.name if shape is None else f"{output.name}/planes"
    attrs = pool_attributes(twin.graph, layer)
    if (dilations := attrs.pop("dilations")) != [1, 1]:
        raise UnsupportedError(f"layer '{layer.name}': ONNX Runtime's integer average pool lacks dilations={dilations}")
    attrs["count_include_pad"] = int(layer.attrs["count_include_pad"])
    source_quant, output_quant = twin.operand(layer.inputs[0])[1:], twin.parameters(output.name)
    if attrs["ceil_mode"] and attrs["count_include_pad"]:
        # The integer operator counts the part of a window beyond the padded input; ONNX, and the float one, do not.
        real = twin.node("DequantizeLinear", [source, *source_quant], f"{output.name}/x")
        mean = twin.node("AveragePool", [real], f"{output.name}/mean", **attrs)
        twin.node("QuantizeLinear", [mean, *output_quant], result)
    else:
        operands = [source, *source_quant, *output_quant]
        twin.node("QLinearAveragePool", operands, result, domain=_CONTRIB, **attrs)
    _from_planes(twin, result, output.name, output.shape)


def _global_avg_pool(twin: Twin, layer: Layer) -> None:
    operands = [*twin.operand(layer.inputs[0]), *twin.parameters(layer.outputs[0])]
    twin.node("QLinearGlobalAveragePool", operands, layer.outputs[0], domain=_CONTRIB, channels_last=0)


def _global_max_pool(twin: Twin, layer: Layer) -> None:
    axes = np.arange(2, len(twin.tensor(layer.inputs[0]).shape), dtype=np.int64)
    operands = [layer.inputs[0], twin.constant(f"{layer.outputs[0]}/axes", axes)]
    twin.node("ReduceMax", operands, layer.outputs[0], keepdims=1)


def _softmax(twin: Twin, layer: Layer) -> None:
    operands = [*twin.operand(layer.inputs[0]), *twin.parameters(layer.outputs[0])]
    twin.node("QLinearSoftmax", operands, layer.outputs[0], domain=_CONTRIB, axis=layer.attrs["axis"], opset=13)


def _concat(twin: Twin, layer: Layer) -> None:
    operands = twin.parameters(layer.outputs[0]) + [part for name in layer.inputs for part in twin.operand(name)]
    twin.node("QLinearConcat", operands, layer.outputs[0], domain=_CONTRIB, axis=layer.attrs["axis"])


def _slice(twin: Twin, layer: Layer) -> None:
    output = layer.outputs[0]
    parts = slice_operands(layer, twin.tensor(output))
    names = [twin.constant(f"{output}/{k}", v) for k, v in parts.items()]
    twin.node("Slice", [layer.inputs[0], *names], output)


def _pad(twin: Twin, layer: Layer) -> None:
    output, x = twin.tensor(layer.outputs[0]), twin.tensor(layer.inputs[0])
    pads = twin.constant(f"{output.name}/pads", pad_widths(layer, x, output))
    real = twin.constant(f"{output.name}/value/real", np.asarray(layer.attrs["value"], np.float32))
    value = twin.node("QuantizeLinear", [real, *twin.parameters(output.name)], f"{output.name}/value")
    twin.node("Pad", [x.name, pads, value], output.name)


def _reshape(twin: Twin, layer: Layer) -> None:
    output = twin.tensor(layer.outputs[0])
    into = twin.constant(f"{output.name}/shape", np.array(output.shape, np.int64))
    twin.node("Reshape", [layer.inputs[0], into], output.name)


def _transpose(twin: Twin, layer: Layer) -> None:
    twin.node("Transpose", [layer.inputs[0]], layer.outputs[0], perm=list(layer.attrs["perm"]))


def _host(twin: Twin, layer: Layer) -> None:
    model = onnx.load_model_from_string(layer.attrs["model"])
    (node,), version = model.graph.node, model.opset_import[0].version
    if node.domain or _since(node.op_type, version) != _since(node.op_type, OPSET):
        raise UnsupportedError(
            f"layer '{layer.name}': host operator {node.op_type} of opset {version} has no twin in opset {OPSET}"
        )
    names = {i.name: twin.real(n) for i, n in zip(model.graph.input, layer.inputs, strict=True)}
    for constant in model.graph.initializer:
        names[constant.name] = twin.constant(f"{layer.name}/{constant.name}", numpy_helper.to_array(constant))
    for value, output in zip(model.graph.output, layer.outputs, strict=True):
        names[value.name] = f"{output}/real"
    copy = onnx.NodeProto()
    copy.CopyFrom(node)
    copy.input[:] = [names.get(n, n) for n in node.input]
    copy.output[:] = [names.get(n, "") for n in node.output]
    twin.nodes.append(copy)
    for output in layer.outputs:
        twin.quantized(f"{output}/real", output)


def _since(op: str, version: int) -> int:
    return int(onnx.defs.get_schema(op, version).since_version)


TWINS: Mapping[str, Callable[[Twin, Layer], None]] = MappingProxyType(
    {
        "conv": _conv,
        "fc": _fc,
        "add": _binary("QLinearAdd"),
        "sub": _sub,
        "mul": _binary("QLinearMul"),
        "relu": _float("Relu"),
        "leaky_relu": _contrib_table("QLinearLeakyRelu", "alpha"),
        "sigmoid": _contrib_table("QLinearSigmoid"),
        "tanh": _float("Tanh"),
        "hard_sigmoid": _float("HardSigmoid", "alpha", "beta"),
        "clip": _clip,
        "prelu": _prelu,
        "affine": _affine,
        "requantize": _requantize,
        "max_pool": _max_pool,
        "avg_pool": _avg_pool,
        "global_avg_pool": _global_avg_pool,
        "global_max_pool": _global_max_pool,
        "lrn": _lrn,
        "softmax": _softmax,
        "concat": _concat,
        "slice": _slice,
        "pad": _pad,
        "reshape": _reshape,
        "transpose": _transpose,
        "host": _host,
    }
)

# Layers whose twin computes in float, with the reason their integers may differ by one.
FLOAT_TWINS: Mapping[str, str] = MappingProxyType(
    {
        "sub": "float subtraction: two more roundings than the integer rule",
        "lrn": "float32 running sums and powf: the integer rule sums squares exactly",
        "avg_pool": "float mean of padded windows cut off by ceil_mode, zero point added after the rounding",
        "host": "float operator of another implementation",
        "softmax": "float32 table and float32 sum: the integer rule sums exactly (int8 outputs above 127 wrap there)",
        "tanh": "float32 tanh approximation",
    }
)
