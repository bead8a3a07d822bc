"""The graph under construction: tensors and layers by ONNX name, and the questions lowering functions ask."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TypeProto, helper, numpy_helper, shape_inference

from accelc.errors import ModelError
from accelc.frontend.node import Node
from accelc.graph import FLOAT, Array, Layer, Quant, Tensor

# Operands up to this many elements are shown to shape inference; only shapes, axes, pads, ... matter there.
_SMALL = 1024
_LARGE = 1 << 16


@dataclass
class Builder:
    """The state of one import: all tensors seen (constants with data), the layers so far, the opset in force."""

    opsets: Mapping[str, int]
    tensors: dict[str, Tensor] = field(default_factory=dict)
    layers: list[Layer] = field(default_factory=list)
    _names: dict[str, int] = field(default_factory=dict)
    _derived: dict[tuple[str, str], tuple[Tensor, Tensor]] = field(default_factory=dict)
    needed: frozenset[str] = frozenset()  # values that some node reads or the model returns
    allow_host: bool = False
    real: bool = False  # everything on 32-bit numbers

    def mark(self) -> tuple[int, frozenset[str]]:
        """Return what `back_to` needs to undo all that is appended from now on."""
        return len(self.layers), frozenset(self.tensors)

    def back_to(self, mark: tuple[int, frozenset[str]]) -> None:
        """Remove the layers and tensors that came after a mark."""
        count, tensors = mark
        del self.layers[count:]
        self.tensors = {n: t for n, t in self.tensors.items() if n in tensors}

    def tensor(self, name: str) -> Tensor:
        """Return a tensor by its ONNX name."""
        if name not in self.tensors:
            raise ModelError(f"tensor '{name}' is read before it is written")
        return self.tensors[name]

    def shape(self, name: str) -> tuple[int, ...]:
        """Return a tensor's shape."""
        return self.tensor(name).shape

    def is_constant(self, name: str) -> bool:
        """Return whether a value is known at compile time."""
        return name in self.tensors and self.tensors[name].data is not None

    def value(self, name: str) -> Array | None:
        """Return a constant's real value (dequantized if it is quantized), or None."""
        return real(self.tensors[name]) if self.is_constant(name) else None

    def require(self, node: Node, index: int, role: str) -> Array:
        """Return the value of a constant operand; refuse the node when it is computed at run time."""
        value = self.value(node.input(index))
        if value is None:
            raise node.refuse(f"{role} computed at run time ('{node.input(index)}')", f"a constant {role} would work")
        return value

    def weight(self, node: Node, index: int, role: str = "weight") -> Tensor:
        """Return a constant operand as a tensor, quantized as it came; refuse the node when it is not constant."""
        self.require(node, index, role)
        return self.tensor(node.input(index))

    def constant(self, name: str, data: Array, quant: Quant | None = None) -> Tensor:
        """Add a constant under a fresh name derived from `name`; return it."""
        data = np.ascontiguousarray(data) if np.ndim(data) else np.asarray(data)
        tensor = Tensor(self.fresh(name), tuple(data.shape), str(data.dtype), quant, data)
        self.tensors[tensor.name] = tensor
        return tensor

    def derived(
        self, source: Tensor, what: str, part: str, make: Callable[[], tuple[Array, Quant | None]]
    ) -> Tensor:
        """Return a constant made from another; asked for the same again, as in each turn of a loop, the same one."""
        known, made = self._derived.get((source.name, what), (None, None))
        if made is None or known is not source or self.tensors.get(made.name) is not made:
            made = self.constant(f"{source.name}/{part}", *make())
            self._derived[source.name, what] = source, made
        return made

    def shared(self, name: str, data: Array) -> Tensor:
        """Return a constant; a large one equal to an earlier one is that one, for each turn of a loop makes its own."""
        if data.size < _LARGE:
            return self.constant(name, data)
        key = f"{data.dtype}{data.shape}", hashlib.sha256(np.ascontiguousarray(data).data).hexdigest()
        _, made = self._derived.get(key, (None, None))
        if made is None or self.tensors.get(made.name) is not made:
            made = self.constant(name, data)
            self._derived[key] = made, made
        return made

    def fresh(self, name: str) -> str:
        """Return `name`, or `name` with the first free number behind it."""
        candidate, number = name, 1
        while candidate in self.tensors:
            number += 1
            candidate = f"{name}.{number}"
        return candidate

    def result(self, node: Node, index: int = 0) -> Tensor:
        """Return the description (shape, type) of a node's result by shape inference."""
        return self.infer(node)[index]

    def infer(self, node: Node) -> list[Tensor]:
        """Return the descriptions of all results of a node; refuse it when a shape depends on values."""
        types = self._types(node)
        found = []
        for name in node.outputs:
            kind = types.get(name)
            if not name:
                found.append(Tensor("", ()))
            elif kind is None or not _static(kind):
                raise node.refuse(f"the shape of '{name}', which depends on values,", "a static shape would work")
            else:
                found.append(_described(name, kind))
        return found

    def _types(self, node: Node) -> dict[str, TypeProto]:
        try:
            schema = onnx.defs.get_schema(node.op, node.version, node.domain)
        except onnx.defs.SchemaError:
            raise node.refuse(f"domain '{node.domain}'", "standard operators would work") from None
        present = [self.tensor(n) for n in node.inputs if n]
        data = {t.name: _proto(t) for t in present if t.data is not None and t.elements <= _SMALL and not t.quant}
        opsets = [helper.make_opsetid(node.domain, node.version)]
        try:
            return shape_inference.infer_node_outputs(
                schema, node.proto, {t.name: onnx_type(t) for t in present}, data, opset_imports=opsets
            )
        except Exception as error:  # the library raises its own InferenceError and bare ValueError
            raise ModelError(f"node '{node.name}' ({node.op}): {one_line(error)}") from None

    def emit(
        self, node: Node, op: str, inputs: tuple[str, ...], output: Tensor, part: str = "", **attrs: Any
    ) -> Tensor:
        """Append a layer that writes `output`; `part` tells the layers of one node apart."""
        self.append(node, op, inputs, (output.name,), attrs, part)
        self.tensors[output.name] = output
        return output

    def append(
        self,
        node: Node,
        op: str,
        inputs: tuple[str, ...],
        outputs: tuple[str, ...],
        attrs: Mapping[str, Any],
        part: str = "",
    ) -> None:
        """Append a layer under the node's name, numbered if that is taken."""
        name = f"{node.name}/{part}" if part else node.name
        self._names[name] = number = self._names.get(name, 0) + 1
        unique = name if number == 1 else f"{name}.{number}"
        self.layers.append(Layer(unique, op, inputs, outputs, dict(attrs), (node.name,)))

    def reshape(self, node: Node, source: Tensor, shape: tuple[int, ...], name: str, part: str = "") -> Tensor:
        """Append a reshape of an activation to a tensor called `name`."""
        return self.emit(node, "reshape", (source.name,), replace(source, name=name, shape=shape), part)


def real(tensor: Tensor) -> Array:
    """Return a constant's real value: float32((q - zero_point) * scale) if it is quantized."""
    assert tensor.data is not None
    if tensor.quant is None:
        return tensor.data
    scale, zero = broadcast_quant(tensor.quant, len(tensor.shape))
    return ((tensor.data.astype(np.int64) - zero).astype(np.float32) * scale).astype(np.float32)


def broadcast_quant(quant: Quant, rank: int) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int32]]:
    """Return scale and zero point shaped to broadcast against a tensor of some rank."""
    if quant.axis is None or quant.scale.ndim == 0:
        return quant.scale, quant.zero_point
    shape = [1] * rank
    shape[quant.axis] = -1
    return quant.scale.reshape(shape), quant.zero_point.reshape(shape)


def one_line(error: Exception) -> str:
    """Return the first telling line of another library's error message."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0] if lines else type(error).__name__


def onnx_type(tensor: Tensor) -> TypeProto:
    """Return a tensor's type and shape as ONNX writes them."""
    # A quantized constant stands for its dequantized value.
    dtype = FLOAT if tensor.data is not None and tensor.quant is not None else tensor.dtype
    kind = onnx.TensorProto.STRING if dtype.startswith(("<U", "object", "str")) else None
    return helper.make_tensor_type_proto(kind or helper.np_dtype_to_tensor_dtype(np.dtype(dtype)), tensor.shape)


def _proto(tensor: Tensor) -> onnx.TensorProto:
    assert tensor.data is not None
    return numpy_helper.from_array(tensor.data, tensor.name)


def _static(kind: TypeProto) -> bool:
    if not kind.HasField("tensor_type") or not kind.tensor_type.HasField("shape"):
        return False
    return all(d.HasField("dim_value") for d in kind.tensor_type.shape.dim)


def _described(name: str, kind: TypeProto) -> Tensor:
    dtype = helper.tensor_dtype_to_np_dtype(kind.tensor_type.elem_type)
    return Tensor(name, tuple(d.dim_value for d in kind.tensor_type.shape.dim), str(dtype))
