"""A Graph in real numbers, as ONNX: what calibration and accuracy reports run on ONNX Runtime.

Tensors keep their names. Quantized constants enter as their real values; a tensor that already has a scale is rounded
to it where it is written, so a partly quantized graph behaves as it will.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from accelc.arithmetic import dequantize_array
from accelc.errors import UnsupportedError
from accelc.graph import QUANTIZED, Array, Graph, Layer, Tensor, nhwc
from accelc.reference.onnx_operands import pad_widths, pool_attributes, slice_operands

OPSET = 19
LARGE = 1 << 16  # elements from which a constant is fed rather than copied


@dataclass
class FloatTwin:
    """A float ONNX model under construction from a graph."""

    graph: Graph
    nodes: list[onnx.NodeProto] = field(default_factory=list)
    constants: dict[str, Array] = field(default_factory=dict)

    def constant(self, name: str, value: Array) -> str:
        """Add an initializer; return its name."""
        self.constants[name] = np.ascontiguousarray(value) if np.ndim(value) else np.asarray(value)
        return name

    def node(self, op: str, inputs: list[str], output: str, **attrs: Any) -> str:
        """Append a node; return its result's name."""
        self.nodes.append(helper.make_node(op, inputs, [output], name=f"{output}/{op}", **attrs))
        return output

    def shape(self, name: str) -> tuple[int, ...]:
        """Return a tensor's shape."""
        return self.graph.tensors[name].shape

    def operand(self, name: str) -> str:
        """Return the name of a tensor's real value; constants are added on the way."""
        tensor = self.graph.tensors[name]
        return name if tensor.data is None else self.constant(name, real_constant(tensor))

    def activated(self, layer: Layer, emit: Callable[[str], object]) -> None:
        """Let `emit` write the layer's result before its fused activation."""
        output, activation = layer.outputs[0], layer.attrs.get("activation")
        if activation is None:
            emit(output)
            return
        emit(f"{output}/linear")
        if activation[0] == "relu":
            self.node("Relu", [f"{output}/linear"], output)
        else:
            self.clip(f"{output}/linear", output, activation[1], activation[2])

    def clip(self, source: str, output: str, low: float, high: float) -> None:
        """Hold a value between two numbers."""
        names = [self.constant(f"{output}/{k}", np.asarray(v, np.float32)) for k, v in (("min", low), ("max", high))]
        self.node("Clip", [source, *names], output)

    def reshaped(self, source: str, output: str, shape: tuple[int, ...]) -> str:
        """Give a value another shape."""
        return self.node("Reshape", [source, self.constant(f"{output}/shape", np.array(shape, np.int64))], output)


def real_constant(tensor: Tensor) -> Array:
    """Return a constant's real value, float32."""
    assert tensor.data is not None
    if tensor.quant is None:
        return tensor.data.astype(np.float32, copy=False)
    return dequantize_array(tensor.data, tensor.quant)


@dataclass(frozen=True, eq=False)
class FloatModel:
    """A float model and its large constants, which are inputs of it: copying them into the model would cost seconds."""

    proto: onnx.ModelProto
    weights: Mapping[str, Array]


def to_float_onnx(graph: Graph) -> FloatModel:
    """Return the float model of a graph without host layers; its inputs and outputs are real numbers."""
    twin = FloatTwin(graph)
    for layer in graph.layers:
        emit = EMITTERS.get(layer.op)
        if emit is None:
            raise UnsupportedError(f"layer '{layer.name}': op '{layer.op}' has no float form here")
        emit(twin, layer)
        _round_to_scale(twin, layer.outputs[0])
    large = {n: v for n, v in twin.constants.items() if v.dtype == np.float32 and v.size >= LARGE}
    shapes = {n: graph.tensors[n].shape for n in graph.inputs} | {n: v.shape for n, v in large.items()}
    proto = helper.make_graph(
        twin.nodes,
        graph.name or "graph",
        [helper.make_tensor_value_info(n, TensorProto.FLOAT, shape) for n, shape in shapes.items()],
        [helper.make_tensor_value_info(n, TensorProto.FLOAT, graph.tensors[n].shape) for n in graph.outputs],
        [numpy_helper.from_array(value, name) for name, value in twin.constants.items() if name not in large],
    )
    model = helper.make_model(proto, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=9)
    return FloatModel(model, large)


def _round_to_scale(twin: FloatTwin, name: str) -> None:
    """Round a tensor that has a scale: its value under its own name is Dequantize(Quantize(value))."""
    tensor = twin.graph.tensors[name]
    if tensor.quant is None or tensor.dtype not in QUANTIZED:
        return
    node = twin.nodes[-1]
    node.output[0] = f"{name}/exact"
    scale = twin.constant(f"{name}/scale", tensor.quant.scale)
    zero = twin.constant(f"{name}/zero", tensor.quant.zero_point.astype(tensor.dtype))
    twin.node("QuantizeLinear", [f"{name}/exact", scale, zero], f"{name}/integer")
    twin.node("DequantizeLinear", [f"{name}/integer", scale, zero], name)


def _conv(twin: FloatTwin, layer: Layer) -> None:
    x, *constants = [n for n in layer.inputs if n]
    attrs = {k: list(layer.attrs[k]) for k in ("strides", "pads", "dilations")} | {"group": layer.attrs["group"]}
    names = [twin.operand(n) for n in constants]
    _on_planes(twin, layer, x, lambda source, to: twin.node("Conv", [source, *names], to, **attrs))


def _on_planes(twin: FloatTwin, layer: Layer, x: str, emit: Callable[[str, str], object]) -> None:
    """Emit a two-dimensional operator; activations of fewer axes get and lose axes around it."""
    shape = twin.shape(x)
    if len(shape) == 4:
        twin.activated(layer, lambda name: emit(x, name))
        return
    n, h, w, c = nhwc(shape)
    source = twin.reshaped(x, f"{layer.outputs[0]}/x", (n, c, h, w))

    def flat(name: str) -> None:
        emit(source, f"{name}/planes")
        twin.reshaped(f"{name}/planes", name, twin.shape(layer.outputs[0]))

    twin.activated(layer, flat)


def _fc(twin: FloatTwin, layer: Layer) -> None:
    names = [twin.operand(n) for n in layer.inputs if n]
    twin.activated(layer, lambda name: twin.node("Gemm", names, name, transB=1))


def _binary(op: str) -> Callable[[FloatTwin, Layer], None]:
    def emit(twin: FloatTwin, layer: Layer) -> None:
        names = [twin.operand(n) for n in layer.inputs]
        twin.activated(layer, lambda name: twin.node(op, names, name))

    return emit


def _plain(op: str, *attrs: str) -> Callable[[FloatTwin, Layer], None]:
    """Return the emitter of an ONNX operator with the same attributes."""

    def emit(twin: FloatTwin, layer: Layer) -> None:
        values = {k: list(v) if isinstance(v := layer.attrs[k], tuple) else v for k in attrs}
        twin.node(op, [twin.operand(n) for n in layer.inputs], layer.outputs[0], **values)

    return emit


def _clip(twin: FloatTwin, layer: Layer) -> None:
    twin.clip(layer.inputs[0], layer.outputs[0], layer.attrs["min"], layer.attrs["max"])


def _by_channel(twin: FloatTwin, layer: Layer, index: int) -> str:
    """Return a constant operand shaped to broadcast along axis 1."""
    rank = len(twin.shape(layer.inputs[0]))
    value = real_constant(twin.graph.tensors[layer.inputs[index]]).reshape(-1, *(1,) * max(rank - 2, 0))
    return twin.constant(f"{layer.outputs[0]}/{index}", value)


def _prelu(twin: FloatTwin, layer: Layer) -> None:
    twin.node("PRelu", [layer.inputs[0], _by_channel(twin, layer, 1)], layer.outputs[0])


def _affine(twin: FloatTwin, layer: Layer) -> None:
    scaled = twin.node("Mul", [layer.inputs[0], _by_channel(twin, layer, 1)], f"{layer.outputs[0]}/scaled")
    shift = _by_channel(twin, layer, 2)
    twin.activated(layer, lambda name: twin.node("Add", [scaled, shift], name))


def _pool(op: str) -> Callable[[FloatTwin, Layer], None]:
    def emit(twin: FloatTwin, layer: Layer) -> None:
        attrs = pool_attributes(twin.graph, layer)
        if op == "AveragePool":
            attrs["count_include_pad"] = int(layer.attrs["count_include_pad"])
        _on_planes(twin, layer, layer.inputs[0], lambda source, to: twin.node(op, [source], to, **attrs))

    return emit


def _slice(twin: FloatTwin, layer: Layer) -> None:
    output = layer.outputs[0]
    parts = slice_operands(layer, twin.graph.tensors[output])
    names = [twin.constant(f"{output}/{k}", v) for k, v in parts.items()]
    twin.node("Slice", [twin.operand(layer.inputs[0]), *names], output)


def _pad(twin: FloatTwin, layer: Layer) -> None:
    x, output = (twin.graph.tensors[n] for n in (layer.inputs[0], layer.outputs[0]))
    pads = twin.constant(f"{output.name}/pads", pad_widths(layer, x, output))
    value = twin.constant(f"{output.name}/value", np.asarray(layer.attrs["value"], np.float32))
    twin.node("Pad", [twin.operand(x.name), pads, value], output.name)


def _lrn(twin: FloatTwin, layer: Layer) -> None:
    x, output, size = layer.inputs[0], layer.outputs[0], int(layer.attrs["size"])
    if size % 2:
        _plain("LRN", "size", "alpha", "beta", "bias")(twin, layer)
        return
    # ONNX Runtime refuses even sizes: average the squares over a window of channels seen as rows.
    n, h, w, c = nhwc(twin.shape(x))
    squares = twin.reshaped(twin.node("Mul", [x, x], f"{output}/squares"), f"{output}/rows", (n, 1, c, h * w))
    pads = [(size - 1) // 2, 0, size // 2, 0]
    attrs = {"kernel_shape": [size, 1], "pads": pads, "count_include_pad": 1}
    twin.node("AveragePool", [squares], f"{output}/means", **attrs)
    mean = twin.reshaped(f"{output}/means", f"{output}/mean", twin.shape(x))
    values = {k: np.asarray(layer.attrs[k], np.float32) for k in ("alpha", "beta", "bias")}
    alpha, beta, bias = (twin.constant(f"{output}/{k}", v) for k, v in values.items())
    base = twin.node("Add", [twin.node("Mul", [mean, alpha], f"{output}/part"), bias], f"{output}/base")
    twin.node("Div", [x, twin.node("Pow", [base, beta], f"{output}/divisor")], output)


def _reshape(twin: FloatTwin, layer: Layer) -> None:
    twin.reshaped(twin.operand(layer.inputs[0]), layer.outputs[0], twin.shape(layer.outputs[0]))


EMITTERS: Mapping[str, Callable[[FloatTwin, Layer], None]] = MappingProxyType(
    {
        "conv": _conv,
        "fc": _fc,
        "add": _binary("Add"),
        "sub": _binary("Sub"),
        "mul": _binary("Mul"),
        "relu": _plain("Relu"),
        "leaky_relu": _plain("LeakyRelu", "alpha"),
        "prelu": _prelu,
        "clip": _clip,
        "sigmoid": _plain("Sigmoid"),
        "tanh": _plain("Tanh"),
        "hard_sigmoid": _plain("HardSigmoid", "alpha", "beta"),
        "affine": _affine,
        "requantize": _plain("Identity"),
        "max_pool": _pool("MaxPool"),
        "avg_pool": _pool("AveragePool"),
        "global_avg_pool": _plain("GlobalAveragePool"),
        "global_max_pool": _plain("GlobalMaxPool"),
        "lrn": _lrn,
        "softmax": _plain("Softmax", "axis"),
        "concat": _plain("Concat", "axis"),
        "slice": _slice,
        "pad": _pad,
        "reshape": _reshape,
        "transpose": _plain("Transpose", "perm"),
    }
)
