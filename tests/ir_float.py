"""A plain float executor of the layer IR, to compare imported graphs with ONNX Runtime; independent of accelc's own."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
from onnx.reference import ReferenceEvaluator

from accelc.graph import RANGE, Graph, Layer, Tensor
from accelc.isa.evaluate import evaluate

Array = npt.NDArray[Any]


def execute(graph: Graph, inputs: Mapping[str, Array]) -> dict[str, Array]:
    """Return the graph's outputs as real numbers; a quantized tensor is rounded to its grid when written."""
    values = {n: real(t) for n, t in graph.tensors.items() if t.data is not None}
    values |= {n: on_grid(np.asarray(v, np.float32), graph.tensors[n]) for n, v in inputs.items()}
    for layer in graph.layers:
        operands = [values[n] for n in layer.inputs]
        outputs = [graph.tensors[n] for n in layer.outputs]
        if layer.op == "host":
            results = host(layer, operands)
        elif layer.op in OPS:
            results = [OPS[layer.op](layer, outputs[0].shape, *operands)]
        else:
            results = [evaluate(layer.op, layer.attrs, operands, outputs[0].shape)]
        for tensor, value in zip(outputs, results, strict=True):
            assert value.shape == tensor.shape, (layer.name, value.shape, tensor.shape)
            values[tensor.name] = on_grid(value.astype(np.float32), tensor)
    return {n: values[n] for n in graph.outputs}


def real(t: Tensor) -> Array:
    if t.quant is None:
        return np.asarray(t.data, np.float32)
    scale, zero = t.quant.scale, t.quant.zero_point
    if scale.ndim:
        shape = [1] * len(t.shape)
        shape[t.quant.axis or 0] = -1
        scale, zero = scale.reshape(shape), zero.reshape(shape)
    return ((np.asarray(t.data, np.int64) - zero) * scale.astype(np.float64)).astype(np.float32)


def on_grid(value: Array, t: Tensor) -> Array:
    if t.quant is None or t.dtype not in RANGE:
        return value
    low, high = RANGE[t.dtype]
    q = np.clip(np.rint(value / t.quant.scale) + t.quant.zero_point, low, high)
    return ((q - t.quant.zero_point) * t.quant.scale).astype(np.float32)


def act(layer: Layer, y: Array) -> Array:
    kind = layer.attrs.get("activation")
    if kind is None:
        return y
    return np.maximum(y, 0) if kind[0] == "relu" else np.clip(y, kind[1], kind[2])


def as_4d(x: Array) -> Array:
    return x[:, :, None, :] if x.ndim == 3 else x


def windows(x: Array, layer: Layer, kernel: tuple[int, int], shape: tuple[int, ...], fill: float) -> Array:
    """Return (n, c, out_h, out_w, kernel_h, kernel_w); what lies outside the input is `fill`."""
    (sh, sw), (dh, dw), (top, left, _, _) = (layer.attrs[k] for k in ("strides", "dilations", "pads"))
    oh, ow = (1, shape[2]) if len(shape) == 3 else shape[2:]
    height, width = (oh - 1) * sh + (kernel[0] - 1) * dh + 1, (ow - 1) * sw + (kernel[1] - 1) * dw + 1
    field = np.full((*x.shape[:2], max(height, top + x.shape[2]), max(width, left + x.shape[3])), fill, np.float64)
    field[:, :, top : top + x.shape[2], left : left + x.shape[3]] = x
    rows = np.arange(oh)[:, None] * sh + np.arange(kernel[0]) * dh
    columns = np.arange(ow)[:, None] * sw + np.arange(kernel[1]) * dw
    return field[:, :, rows[:, None, :, None], columns[None, :, None, :]]


def conv(layer: Layer, shape: tuple[int, ...], x: Array, w: Array, bias: Array | None = None) -> Array:
    group = layer.attrs["group"]
    patches = windows(as_4d(x), layer, (w.shape[2], w.shape[3]), shape, 0.0)
    n, c = patches.shape[:2]
    patches = patches.reshape(n, group, c // group, *patches.shape[2:])
    kernels = w.reshape(group, w.shape[0] // group, *w.shape[1:])
    y = np.einsum("ngcyxrs,gkcrs->ngkyx", patches, kernels).reshape(n, w.shape[0], *patches.shape[3:5])
    y = y if bias is None else y + bias.reshape(1, -1, 1, 1)
    return act(layer, y).reshape(shape)


def fc(layer: Layer, shape: tuple[int, ...], x: Array, w: Array, bias: Array | float = 0.0) -> Array:
    return act(layer, x.astype(np.float64) @ w.T + bias)


def max_pool(layer: Layer, shape: tuple[int, ...], x: Array) -> Array:
    return windows(as_4d(x), layer, layer.attrs["kernel"], shape, -np.inf).max((-2, -1)).reshape(shape)


def avg_pool(layer: Layer, shape: tuple[int, ...], x: Array) -> Array:
    x = as_4d(x)
    total = windows(x, layer, layer.attrs["kernel"], shape, 0.0).sum((-2, -1))
    ones = np.ones_like(x)
    if layer.attrs["count_include_pad"]:
        top, left, bottom, right = layer.attrs["pads"]
        ones = np.ones((*x.shape[:2], x.shape[2] + top + bottom, x.shape[3] + left + right))
        layer = Layer("", "avg_pool", (), (), {**layer.attrs, "pads": (0, 0, 0, 0)})
    return (total / windows(ones, layer, layer.attrs["kernel"], shape, 0.0).sum((-2, -1))).reshape(shape)


def channelwise(x: Array, v: Array) -> Array:
    return v.reshape((1, -1) + (1,) * (x.ndim - 2)) if v.size > 1 else v.reshape(())


def lrn(layer: Layer, shape: tuple[int, ...], x: Array) -> Array:
    size, channels = layer.attrs["size"], x.shape[1]
    total = np.zeros(x.shape)
    for c in range(channels):
        low, high = max(0, c - (size - 1) // 2), min(channels - 1, c + size // 2)
        total[:, c] = (x[:, low : high + 1].astype(np.float64) ** 2).sum(1)
    return x / (layer.attrs["bias"] + layer.attrs["alpha"] / size * total) ** layer.attrs["beta"]


def softmax(layer: Layer, shape: tuple[int, ...], x: Array) -> Array:
    e = np.exp(x - x.max(layer.attrs["axis"], keepdims=True))
    return e / e.sum(layer.attrs["axis"], keepdims=True)


def slice_(layer: Layer, shape: tuple[int, ...], x: Array) -> Array:
    parts = zip(layer.attrs["starts"], layer.attrs["steps"], shape, strict=True)
    return x[tuple(slice(b, b + (n - 1) * s + 1, s) for b, s, n in parts)]


def pad(layer: Layer, shape: tuple[int, ...], x: Array) -> Array:
    y = np.full(shape, layer.attrs["value"], np.float32)
    y[tuple(slice(b, b + n) for b, n in zip(layer.attrs["begin"], x.shape, strict=True))] = x
    return y


def host(layer: Layer, operands: list[Array]) -> list[Array]:
    model = onnx.load(io.BytesIO(layer.attrs["model"]))
    return ReferenceEvaluator(model).run(None, dict(zip([i.name for i in model.graph.input], operands, strict=True)))


def interleave(layer: Layer, shape: tuple[int, ...], *parts: Array) -> Array:
    y = np.full(shape, np.nan, np.float32)
    down, right = layer.attrs["strides"]
    for (top, left), part in zip(layer.attrs["starts"], parts, strict=True):
        if len(shape) == 3:
            y[:, :, left::right] = part
        else:
            y[:, :, top::down, left::right] = part
    return y


OPS: Mapping[str, Callable[..., Array]] = {
    "interleave": interleave,
    "conv": conv,
    "fc": fc,
    "add": lambda layer, shape, a, b: act(layer, a + b),
    "sub": lambda layer, shape, a, b: act(layer, a - b),
    "mul": lambda layer, shape, a, b: act(layer, a * b),
    "relu": lambda layer, shape, x: np.maximum(x, 0),
    "leaky_relu": lambda layer, shape, x: np.where(x >= 0, x, layer.attrs["alpha"] * x),
    "prelu": lambda layer, shape, x, p: np.where(x >= 0, x, channelwise(x, p) * x),
    "clip": lambda layer, shape, x: np.minimum(np.maximum(x, layer.attrs["min"]), layer.attrs["max"]),
    "sigmoid": lambda layer, shape, x: 1 / (1 + np.exp(-x)),
    "tanh": lambda layer, shape, x: np.tanh(x),
    "hard_sigmoid": lambda layer, shape, x: np.clip(layer.attrs["alpha"] * x + layer.attrs["beta"], 0, 1),
    "affine": lambda layer, shape, x, a, b: act(layer, x * channelwise(x, a) + channelwise(x, b)),
    "requantize": lambda layer, shape, x: x,
    "max_pool": max_pool,
    "avg_pool": avg_pool,
    "global_avg_pool": lambda layer, shape, x: x.mean(tuple(range(2, x.ndim)), keepdims=True),
    "global_max_pool": lambda layer, shape, x: x.max(tuple(range(2, x.ndim)), keepdims=True),
    "lrn": lrn,
    "softmax": softmax,
    "concat": lambda layer, shape, *xs: np.concatenate(xs, layer.attrs["axis"]),
    "slice": slice_,
    "pad": pad,
    "reshape": lambda layer, shape, x: x.reshape(shape),
    "transpose": lambda layer, shape, x: x.transpose(layer.attrs["perm"]),
}


def run_ort(model: onnx.ModelProto, inputs: Mapping[str, Array]) -> dict[str, Array]:
    """Return ONNX Runtime's outputs, graph optimizations off."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return dict(zip([o.name for o in session.get_outputs()], session.run(None, dict(inputs)), strict=True))
