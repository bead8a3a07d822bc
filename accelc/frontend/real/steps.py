"""`Steps`: what lowering to 32-bit numbers is written in; a method appends a layer and returns its tensor's name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from math import prod
from typing import Any

import numpy as np
import numpy.typing as npt

from accelc.errors import ModelError
from accelc.frontend.builder import Builder, real
from accelc.frontend.node import Node
from accelc.graph import FLOAT, Array, Tensor
from accelc.isa.evaluate import evaluate
from accelc.isa.real import FUNCTIONS, result_type

Value = str | float | int | npt.NDArray[Any]
Table = Sequence[int] | npt.NDArray[Any]


class Steps:
    """The layers of one ONNX node, on tensors whose dtype is the ONNX one (int64, bool, ... become int32 later)."""

    def __init__(self, b: Builder, node: Node) -> None:
        self.b = b
        self.node = node

    def shape(self, x: str) -> tuple[int, ...]:
        """Return a tensor's shape."""
        return self.b.shape(x)

    def dtype(self, x: str) -> str:
        """Return a tensor's ONNX element type."""
        tensor = self.b.tensor(x)
        return FLOAT if tensor.quant is not None else tensor.dtype

    def is_float(self, x: str) -> bool:
        """Return whether a tensor holds real numbers."""
        return self.dtype(x) in (FLOAT, "float64", "float16")

    def constant(self, value: npt.ArrayLike, like: str | None = None) -> str:
        """Return a constant's name: float32 or int64 by its own kind, or of the kind of the tensor `like`."""
        data = np.asarray(value)
        if like is not None:
            data = data.astype(np.float32 if self.is_float(like) else np.int64)
        elif data.dtype.kind == "f":
            data = data.astype(np.float32)
        elif data.dtype.kind == "b":
            data = data.astype(np.int64)
        return self.b.shared(f"{self.node.name}/constant", data).name

    def value(self, x: str) -> Array | None:
        """Return a constant's real value, or None."""
        return self.b.value(x)

    # Layers

    def map(self, fn: str, *operands: Value, dtype: str | None = None) -> str:
        """Append one function of elements; Python numbers take the type of the first tensor among the operands.

        `dtype` is the result's ONNX type where it is not that of the operands: "bool" for truth values, "int64", ...
        """
        if len(operands) != FUNCTIONS[fn].operands:
            raise ValueError(f"{fn} takes {FUNCTIONS[fn].operands} operands, not {len(operands)}")
        first = next((x for x in (operands[1:] if fn == "where" else operands) if isinstance(x, str)), None)
        names = [x if isinstance(x, str) else self.constant(x, first) for x in operands]
        shape = np.broadcast_shapes(*(self.shape(n) for n in names))
        kinds = tuple("float" if self.is_float(n) else "int" for n in names)
        result = result_type(fn, kinds)
        if dtype is None:
            same = self.dtype(names[-1])
            dtype = FLOAT if result == "float" else same if kinds[-1] == "int" else "int64"
        steps = ((fn, *range(len(names))),)
        return self._emit("map", names, shape, dtype, fn, steps=steps)

    def reduce(self, fn: str, x: str, axes: Sequence[int], *, keep: bool = False) -> str:
        """Append a reduction over axes, which are dropped unless `keep`."""
        rank = len(self.shape(x))
        chosen = tuple(sorted({a % rank for a in axes})) if rank else ()
        if not chosen:
            return x
        shape = tuple(1 if a in chosen else n for a, n in enumerate(self.shape(x)))
        dtype = "int64" if fn.startswith("arg") else self.dtype(x)
        y = self._emit("reduce", [x], shape, dtype, fn, fn=fn, axes=chosen)
        return y if keep else self.reshape(y, tuple(n for a, n in enumerate(shape) if a not in chosen))

    def contract(self, equation: str, a: str, b: str) -> str:
        """Append a sum of products, as `einsum(equation, a, b)`; no letter twice in one operand."""
        operands, result = equation.split("->")
        left, right = operands.split(",")
        extents = dict(zip(left + right, self.shape(a) + self.shape(b), strict=True))
        return self._emit("contract", [a, b], tuple(extents[c] for c in result), self.dtype(a), equation=equation)

    def take(self, x: str, tables: Mapping[int, Table], value: float = 0.0) -> str:
        """Append a selection by constant index tables, one for each axis given; -1 gives `value`."""
        rank = len(self.shape(x))
        chosen = {a % rank: tuple(int(i) for i in t) for a, t in tables.items()}
        shape = tuple(len(chosen[a]) if a in chosen else n for a, n in enumerate(self.shape(x)))
        listed = tuple(chosen.get(a) for a in range(rank))
        return self._emit("take", [x], shape, self.dtype(x), tables=listed, value=float(value))

    def gather(self, x: str, index: str) -> str:
        """Append a selection of slices of x's first axis by indices computed at run time (or a constant)."""
        return self._emit("gather", [x, index], self.shape(index) + self.shape(x)[1:], self.dtype(x))

    def scatter(self, x: str, index: str, updates: str, fn: str = "none") -> str:
        """Append x with slices `updates` (index's shape + x's without its first axis) joined in at `index`."""
        return self._emit("scatter", [x, index, updates], self.shape(x), self.dtype(x), fn=fn)

    def reshape(self, x: str, shape: Sequence[int]) -> str:
        """Append a reshape, or nothing when the shape is x's own."""
        shape = tuple(int(n) for n in shape)
        if prod(shape) != prod(self.shape(x)):
            raise ValueError(f"{self.shape(x)} does not reshape to {shape}")
        return x if shape == self.shape(x) else self._emit("reshape", [x], shape, self.dtype(x))

    def transpose(self, x: str, perm: Sequence[int]) -> str:
        """Append a transpose, or nothing when it moves nothing."""
        if list(perm) == list(range(len(perm))):
            return x
        return self._emit("transpose", [x], tuple(self.shape(x)[p] for p in perm), self.dtype(x), perm=tuple(perm))

    def concat(self, tensors: Sequence[str], axis: int) -> str:
        """Append tensors side by side along an axis; those without elements are left out."""
        parts = [t for t in tensors if prod(self.shape(t))]
        if len(parts) == 1:
            return parts[0]
        rank = len(self.shape(parts[0]))
        axis %= rank
        total = sum(self.shape(t)[axis] for t in parts)
        shape = tuple(total if a == axis else n for a, n in enumerate(self.shape(parts[0])))
        return self._emit("concat", parts, shape, self.dtype(parts[0]), axis=axis)

    def broadcast(self, x: str, shape: Sequence[int]) -> str:
        """Append a repetition along axes of extent 1 (and new leading axes), as ONNX Expand."""
        goal = np.broadcast_shapes(self.shape(x), tuple(shape))
        x = self.reshape(x, (1,) * (len(goal) - len(self.shape(x))) + self.shape(x))
        grown = {a: [0] * n for a, n in enumerate(goal) if self.shape(x)[a] != n}
        return self.take(x, grown) if grown else x

    def pick(self, x: str, axis: int, index: int) -> str:
        """Append the slice of x at one index of an axis, the axis dropped."""
        axis %= len(self.shape(x))
        part = self.take(x, {axis: [index]})
        return self.reshape(part, tuple(n for a, n in enumerate(self.shape(x)) if a != axis))

    def span(self, x: str, axis: int, start: int, stop: int) -> str:
        """Append the slice start..stop of an axis."""
        return self.take(x, {axis: range(start, stop)})

    # Results

    def finish(self, x: Value, index: int = 0) -> None:
        """Give a value the name, shape and type of the node's result number `index`; an unread result is dropped."""
        output = self.node.outputs[index] if index < len(self.node.outputs) else ""
        if not output:
            return
        name = x if isinstance(x, str) else self.constant(x)
        try:
            described = self.b.result(self.node, index)
        except ModelError:  # some operators have no shape inference
            described = self.b.tensor(name)
        value = self.value(name)
        if value is not None:
            data = value.astype(described.dtype)
            self.b.tensors[output] = replace(described, name=output, quant=None, data=data)
            return
        self.b.emit(self.node, "reshape", (name,), replace(described, name=output, quant=None), "result")

    def finish_as(self, x: str, shape: Sequence[int], dtype: str, index: int = 0) -> None:
        """Do the same for a result of a size that depends on values, which gets a fixed maximum."""
        output = self.node.outputs[index] if index < len(self.node.outputs) else ""
        if output:
            self.b.emit(self.node, "reshape", (x,), Tensor(output, tuple(shape), dtype), "result")

    def _emit(
        self, op: str, names: Sequence[str], shape: tuple[int, ...], dtype: str, part: str = "", **attrs: Any
    ) -> str:
        if op != "contract" and all(self.b.is_constant(n) for n in names):
            return self._folded(op, names, shape, attrs)
        name = self.b.fresh(f"{self.node.name}/{part or op}")
        return self.b.emit(self.node, op, tuple(names), Tensor(name, tuple(shape), dtype), part or op, **attrs).name

    def _folded(self, op: str, names: Sequence[str], shape: tuple[int, ...], attrs: Mapping[str, Any]) -> str:
        """Return the constant result of a layer whose operands are constant."""
        values = [real(self.b.tensor(n)) for n in names]
        held = [v.astype(np.float32 if v.dtype.kind == "f" else np.int32) for v in values]
        made = evaluate(op, attrs, held, shape)
        return self.constant(made.astype(np.int64) if made.dtype.kind in "iu" else made)
