"""The layer IR: a Graph of Layers over Tensors, float or quantized, and the rules that `verify` holds after every pass.

Shapes are the ONNX ones (activations N,C,H,W or N,C,L or N,C; convolution weights K,C/group,R,S; fc weights N,K).
A Graph is an immutable value: a pass builds a new one.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, fields, is_dataclass, replace
from functools import cached_property
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt

from accelc.errors import ModelError

Array = npt.NDArray[Any]

FLOAT = "float32"
BYTES = ("int8", "uint8")
WIDE = "int16"  # always symmetric: zero point 0
QUANTIZED = (*BYTES, WIDE)
RANGE: Mapping[str, tuple[int, int]] = MappingProxyType(
    {"int8": (-128, 127), "uint8": (0, 255), "int16": (-32768, 32767)}
)


@dataclass(frozen=True, eq=False)
class Quant:
    """Affine quantization, real = scale * (q - zero_point); arrays of shape () or, along `axis`, (channels,)."""

    scale: npt.NDArray[np.float32]
    zero_point: npt.NDArray[np.int32]
    axis: int | None = None

    @staticmethod
    def per_tensor(scale: float, zero_point: int) -> Quant:
        """Return the quantization of a whole tensor by one scale and zero point."""
        return Quant(np.asarray(scale, np.float32), np.asarray(zero_point, np.int32))


@dataclass(frozen=True, eq=False)
class Tensor:
    """A named value: its ONNX shape, its element type, its quantization if any, and its data if constant."""

    name: str
    shape: tuple[int, ...]
    dtype: str = FLOAT
    quant: Quant | None = None
    data: Array | None = None

    @property
    def elements(self) -> int:
        """Return the number of elements."""
        return int(np.prod(self.shape, dtype=np.int64))


@dataclass(frozen=True, eq=False)
class Layer:
    """One operation of the IR; `source` names the ONNX nodes it came from, in order."""

    name: str
    op: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attrs: Mapping[str, Any] = field(default_factory=dict)
    source: tuple[str, ...] = ()


def _parts(value: object) -> Iterator[bytes | memoryview]:
    """Yield what tells a value from others: its texts and its arrays."""
    if isinstance(value, np.ndarray):
        yield f"{value.dtype}{value.shape}".encode()
        yield np.ascontiguousarray(value).data
    elif is_dataclass(value):
        for f in fields(value):
            yield from _parts(getattr(value, f.name))
    elif isinstance(value, (tuple, list, Mapping)):
        yield f"{type(value).__name__} {len(value)}:".encode()
        for each in value.items() if isinstance(value, Mapping) else value:
            yield from _parts(each)
    else:
        yield repr(sorted(value) if isinstance(value, frozenset) else value).encode()


@dataclass(frozen=True, eq=False)
class Graph:
    """Layers in execution order over named tensors; `inputs` excludes constants.

    A quantized input or output is float outside the graph unless `integer_io` names it. `io_types` are the model's own
    types of inputs and outputs that are held as float32 or int32: int64, bool, float64, ... `spans` are the ranges
    (low, below high) from which samples of inputs are drawn; others are standard normal.
    """

    name: str
    tensors: Mapping[str, Tensor]
    layers: tuple[Layer, ...]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    integer_io: frozenset[str] = frozenset()
    io_types: Mapping[str, str] = field(default_factory=dict)
    spans: Mapping[str, tuple[float, float]] = field(default_factory=dict)

    @cached_property
    def wide(self) -> bool:
        """Whether any activation has 16 bits."""
        return any(t.dtype == WIDE and t.data is None for t in self.tensors.values())

    @cached_property
    def fingerprint(self) -> str:
        """A digest of all there is to the graph, its constants included."""
        digest = hashlib.sha256()
        for part in _parts(self):
            digest.update(part)
        return digest.hexdigest()[:32]

    def with_layers(self, layers: Iterable[Layer], tensors: Mapping[str, Tensor] | None = None) -> Graph:
        """Return the graph with other layers (and tensors), unused tensors dropped."""
        layers = tuple(layers)
        pool = self.tensors if tensors is None else tensors
        used = {*self.inputs, *self.outputs, *(t for layer in layers for t in (*layer.inputs, *layer.outputs))}
        return replace(self, layers=layers, tensors={n: t for n, t in pool.items() if n in used})

    def producers(self) -> dict[str, Layer]:
        """Return, per tensor name, the layer that writes it."""
        return {t: layer for layer in self.layers for t in layer.outputs}

    def consumers(self) -> Mapping[str, list[Layer]]:
        """Return, per tensor name, the layers that read it in order (a layer once per operand)."""
        return self._uses

    @cached_property
    def _uses(self) -> Mapping[str, list[Layer]]:
        uses: dict[str, list[Layer]] = {name: [] for name in self.tensors}
        for layer in self.layers:
            for name in layer.inputs:
                if name:
                    uses[name].append(layer)
        return uses

    def __str__(self) -> str:
        return "\n".join(_lines(self))


@dataclass(frozen=True)
class OpRule:
    """What a layer of one op must look like: operand counts, required attributes, and its meaning in one line."""

    inputs: tuple[int, int]
    attrs: tuple[str, ...]
    meaning: str


_SPATIAL = ("strides", "pads", "dilations")

# attrs: strides, dilations, kernel are (height, width); pads are (top, left, bottom, right); a 1-D layer has height 1.
OPS: Mapping[str, OpRule] = MappingProxyType(
    {
        "conv": OpRule((2, 3), (*_SPATIAL, "group", "activation"), "convolution of x by w (K,C/group,R,S) plus bias"),
        "fc": OpRule((2, 3), ("activation",), "x (M,K) times w (N,K) transposed, plus bias"),
        "add": OpRule((2, 2), ("activation",), "a + b with ONNX broadcasting"),
        "sub": OpRule((2, 2), ("activation",), "a - b with ONNX broadcasting"),
        "mul": OpRule((2, 2), ("activation",), "a * b with ONNX broadcasting"),
        "relu": OpRule((1, 1), (), "max(x, 0)"),
        "leaky_relu": OpRule((1, 1), ("alpha",), "x if x >= 0 else alpha * x"),
        "prelu": OpRule((2, 2), (), "x if x >= 0 else slope * x; slope is constant, one per channel (axis 1) or one"),
        "clip": OpRule((1, 1), ("min", "max"), "min(max(x, min), max)"),
        "sigmoid": OpRule((1, 1), (), "1 / (1 + exp(-x))"),
        "tanh": OpRule((1, 1), (), "tanh(x)"),
        "hard_sigmoid": OpRule((1, 1), ("alpha", "beta"), "max(0, min(1, alpha * x + beta))"),
        "affine": OpRule((3, 3), (), "x * scale[c] + shift[c], constants along axis 1 (a lone batch normalization)"),
        "requantize": OpRule((1, 1), (), "x under another scale and zero point (identity while float)"),
        "max_pool": OpRule((1, 1), ("kernel", *_SPATIAL), "maximum over windows, padding ignored"),
        "avg_pool": OpRule((1, 1), ("kernel", *_SPATIAL, "count_include_pad"), "mean over windows"),
        "global_avg_pool": OpRule((1, 1), (), "mean over all positions"),
        "global_max_pool": OpRule((1, 1), (), "maximum over all positions"),
        "lrn": OpRule((1, 1), ("size", "alpha", "beta", "bias"), "local response normalization across channels"),
        "softmax": OpRule((1, 1), ("axis",), "exp(x) / sum(exp(x)) along one axis"),
        "concat": OpRule((1, 1 << 20), ("axis",), "inputs side by side along one axis"),
        "interleave": OpRule(
            (1, 1 << 20), ("starts", "strides"), "input k at every `strides`-th row and column from its `starts`"
        ),
        "slice": OpRule((1, 1), ("starts", "steps"), "x[starts : : steps] of the output's shape, all axes given"),
        "pad": OpRule((1, 1), ("begin", "value"), "x at offset `begin` in a field of the real number `value`"),
        "reshape": OpRule((1, 1), (), "the same elements in row-major order under the output's shape"),
        "transpose": OpRule((1, 1), ("perm",), "axes permuted"),
        # The vector unit on 32-bit numbers (see isa.real); a quantized operand enters as real numbers.
        "map": OpRule((1, 16), ("steps",), "functions of elements, ONNX broadcasting; gives the last step"),
        "reduce": OpRule((1, 1), ("fn", "axes"), "elements along axes taken together; those axes keep extent 1"),
        "contract": OpRule((2, 2), ("equation",), "sum of products over the letters that the result lacks, as einsum"),
        "take": OpRule((1, 1), ("tables", "value"), "x[t0[i], t1[j], ...], axes without table whole; -1: `value`"),
        "gather": OpRule((2, 2), (), "x[index], slices of the first axis; a negative index counts back"),
        "scatter": OpRule((3, 3), ("fn",), "x with rows of a third operand joined in at x[index], in order"),
        "host": OpRule((0, 1 << 20), ("op_type", "model", "reason"), "one ONNX node run by the host in float32"),
    }
)

# activation: None, ("relu",) or ("clip", minimum, maximum); applied to the real result before it is quantized.
Activation = tuple[Any, ...] | None

ELEMENTWISE = ("add", "sub", "mul")
# Functions of one element (and perhaps its channel): quantized to 8 bits, they are tables of 256 entries.
TABLE_OPS = ("relu", "leaky_relu", "prelu", "clip", "sigmoid", "tanh", "hard_sigmoid", "affine", "requantize")
POOL_OPS = ("max_pool", "avg_pool", "global_avg_pool", "global_max_pool")
REAL_OPS = ("map", "reduce", "contract", "take", "gather", "scatter")
PLAIN = (FLOAT, "int32")  # what the vector unit's 32-bit numbers are stored as, in row-major order
JOIN_OPS = ("concat", "interleave")
LAYOUT_OPS = (*JOIN_OPS, "slice", "pad", "reshape", "transpose")


def verify(graph: Graph) -> Graph:
    """Return the graph unchanged; raise ModelError when it breaks a rule of the IR."""
    written = {*graph.inputs, *(t.name for t in graph.tensors.values() if t.data is not None)}
    for layer in graph.layers:
        _verify_layer(graph, layer, written)
        written |= set(layer.outputs)
    for name in graph.outputs:
        if name not in written:
            raise ModelError(f"graph output '{name}' is written by no layer")
    for tensor in graph.tensors.values():
        _verify_tensor(tensor)
    return graph


def verify_quantized(graph: Graph) -> Graph:
    """Return the graph unchanged; raise ModelError unless every activation is quantized per tensor, all of one width.

    Graph outputs of an integer operator may be int32 without scale; a float constant may feed prelu and affine. Layers
    on 32-bit numbers, those that move elements and those of the host may have plain tensors.
    """
    _verify_width(graph)
    for layer in verify(graph).layers:
        may_be_plain = layer.op in (*REAL_OPS, *LAYOUT_OPS, "host")
        for name in (*layer.inputs[:1], *layer.outputs):
            tensor = graph.tensors[name]
            sums = tensor.dtype == "int32" and (name in graph.outputs or layer.op in ("conv", "fc"))
            if sums or (may_be_plain and tensor.dtype in PLAIN):
                continue
            if tensor.dtype not in QUANTIZED or tensor.quant is None or tensor.quant.scale.ndim:
                raise ModelError(f"layer '{layer.name}': tensor '{name}' is {tensor.dtype}, not quantized per tensor")
    return graph


def is_wide(graph: Graph) -> bool:
    """Return whether any activation has 16 bits."""
    return graph.wide


def _verify_width(graph: Graph) -> None:
    """Raise ModelError if 16-bit and 8-bit tensors meet, or a 16-bit one has a zero point."""
    kinds: dict[bool, Tensor] = {}
    for tensor in graph.tensors.values():
        if tensor.dtype in QUANTIZED:
            kinds[tensor.dtype == WIDE] = tensor
        if tensor.dtype == WIDE and tensor.quant is not None and np.any(tensor.quant.zero_point):
            raise ModelError(f"tensor '{tensor.name}': an int16 tensor's zero point must be 0")
    if len(kinds) > 1:
        narrow, wide = kinds[False], kinds[True]
        raise ModelError(
            f"tensor '{narrow.name}' is {narrow.dtype} and '{wide.name}' is {wide.dtype}; one width in all would work"
        )


def _verify_layer(graph: Graph, layer: Layer, written: set[str]) -> None:
    rule = OPS.get(layer.op)
    if rule is None:
        raise ModelError(f"layer '{layer.name}': unknown op '{layer.op}'")
    low, high = rule.inputs
    if not low <= len(layer.inputs) <= high:
        raise ModelError(f"layer '{layer.name}' ({layer.op}): {len(layer.inputs)} inputs, expected {low} to {high}")
    for attr in rule.attrs:
        if attr not in layer.attrs:
            raise ModelError(f"layer '{layer.name}' ({layer.op}): attribute '{attr}' is missing")
    for name in layer.inputs:
        if name and name not in written:
            raise ModelError(f"layer '{layer.name}' ({layer.op}): input '{name}' is read before it is written")
    for name in layer.outputs:
        if name in written:
            raise ModelError(f"layer '{layer.name}' ({layer.op}): output '{name}' is written twice")
        if name not in graph.tensors:
            raise ModelError(f"layer '{layer.name}' ({layer.op}): output '{name}' has no description")


def _verify_tensor(tensor: Tensor) -> None:
    if any(extent < 1 for extent in tensor.shape):
        raise ModelError(f"tensor '{tensor.name}': shape {tensor.shape} has an extent below 1")
    if tensor.data is not None and tuple(tensor.data.shape) != tensor.shape:
        raise ModelError(f"tensor '{tensor.name}': data of shape {tensor.data.shape} under shape {tensor.shape}")


def _lines(graph: Graph) -> Iterator[str]:
    yield f"graph {graph.name}({', '.join(describe(graph.tensors[n]) for n in graph.inputs)})"
    for layer in graph.layers:
        results = ", ".join(describe(graph.tensors[n]) for n in layer.outputs)
        attrs = "".join(f" {k}={v}" for k, v in layer.attrs.items() if k != "model" and v is not None)
        yield f"  {layer.op} {layer.name}: ({', '.join(layer.inputs)}) -> {results}{attrs}"
    yield f"  return {', '.join(graph.outputs)}"


def describe(tensor: Tensor) -> str:
    """Return a tensor as text: name, type, shape and, if quantized per tensor, scale and zero point."""
    text = f"{tensor.name}: {tensor.dtype}{list(tensor.shape)}"
    if tensor.quant is not None and not tensor.quant.scale.ndim:
        text += f" scale={float(tensor.quant.scale):.6g} zero_point={int(tensor.quant.zero_point)}"
    return text


def nhwc(shape: tuple[int, ...]) -> tuple[int, int, int, int]:
    """Return (batch, height, width, channels) of an activation's ONNX shape; missing extents are 1.

    Rank 1 is one row of channels; rank 2 is (batch, channels); rank 3 is (batch, channels, width); of more than four
    axes the leading ones together are the batch.
    """
    if len(shape) >= 4:
        (*lead, c, h, w), n = shape, 1
        for extent in lead:
            n *= extent
    elif len(shape) == 3:
        (n, c, w), h = shape, 1
    elif len(shape) == 2:
        (n, c), h, w = shape, 1, 1
    elif len(shape) == 1:
        (c,), n, h, w = shape, 1, 1, 1
    else:
        n = c = h = w = 1
    return n, h, w, c


def macs(graph: Graph, layer: Layer) -> int:
    """Return the multiply-accumulates a layer asks for (zero for all but conv and fc)."""
    if layer.op not in ("conv", "fc"):
        return 0
    weights = graph.tensors[layer.inputs[1]].shape
    return graph.tensors[layer.outputs[0]].elements * int(np.prod(weights[1:], dtype=np.int64))
