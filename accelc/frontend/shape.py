"""Operators that move or rename elements and compute nothing."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from accelc.frontend.builder import Builder, broadcast_quant
from accelc.frontend.node import Lowering, Node
from accelc.graph import Tensor


def moved(b: Builder, node: Node, index: int = 0, source: Tensor | None = None) -> Tensor:
    """Return a result with its inferred shape and the element type and quantization of the operand it comes from."""
    source = b.tensor(node.input(0)) if source is None else source
    return replace(b.infer(node)[index], dtype=source.dtype, quant=source.quant)


def reshape(b: Builder, node: Node) -> None:
    """The same elements in the same order under another shape."""
    b.emit(node, "reshape", (node.input(0),), moved(b, node))


def identity(b: Builder, node: Node) -> None:
    """The operand itself."""
    b.emit(node, "reshape", (node.input(0),), moved(b, node))


def dropout(b: Builder, node: Node) -> None:
    """The operand itself: inference drops nothing."""
    if node.output(1) and node.output(1) in b.needed:
        raise node.refuse("the result mask", "a Dropout whose mask nothing reads would work")
    if node.input(2) and bool(b.require(node, 2, "training_mode")):
        raise node.refuse("training_mode=1", "training_mode=0 would work")
    output = replace(b.tensor(node.input(0)), name=node.outputs[0])
    b.emit(node, "reshape", (node.input(0),), output)


def cast(b: Builder, node: Node) -> None:
    """A cast from float32 to float32, which changes nothing."""
    output = b.result(node)
    if output.dtype != b.tensor(node.input(0)).dtype:
        raise node.refuse(f"to={output.dtype} from {b.tensor(node.input(0)).dtype}", "casts of constants would work")
    b.emit(node, "reshape", (node.input(0),), moved(b, node))


def expand(b: Builder, node: Node) -> None:
    """An expansion that leaves the shape as it is."""
    output = moved(b, node)
    if output.shape != b.shape(node.input(0)):
        raise node.refuse(f"broadcasting {list(b.shape(node.input(0)))} to {list(output.shape)}", "equal shapes would")
    b.emit(node, "reshape", (node.input(0),), output)


def tile(b: Builder, node: Node) -> None:
    """Repetition along axes, as concatenations of the tensor with itself."""
    repeats = [int(r) for r in b.require(node, 1, "repeats")]
    output, current = moved(b, node), b.tensor(node.input(0))
    axes = [axis for axis, count in enumerate(repeats) if count > 1]
    for position, axis in enumerate(axes, start=1):
        shape = tuple(n * repeats[axis] if i == axis else n for i, n in enumerate(current.shape))
        name = output.name if position == len(axes) else b.fresh(f"{output.name}/axis{axis}")
        goal = replace(output, name=name, shape=shape)
        current = b.emit(node, "concat", (current.name,) * repeats[axis], goal, axis=axis)
    if not axes:
        b.emit(node, "reshape", (current.name,), output)


def transpose(b: Builder, node: Node) -> None:
    """Axes permuted, by default reversed."""
    rank = len(b.shape(node.input(0)))
    perm = tuple(node.get("perm", tuple(reversed(range(rank)))))
    b.emit(node, "transpose", (node.input(0),), moved(b, node), perm=perm)


def concat(b: Builder, node: Node) -> None:
    """Tensors side by side along one axis."""
    sources = [b.tensor(name) for name in node.inputs]
    output = moved(b, node)
    if output.dtype != "float32":
        kinds = {describe_quant(s) for s in sources}
        if len(kinds) > 1:
            raise node.refuse("integer operands of different scale or zero point", "QLinearConcat would work")
    b.emit(node, "concat", node.inputs, output, axis=node.get("axis", 1) % len(output.shape))


def describe_quant(tensor: Tensor) -> tuple[Any, ...]:
    """Return a tensor's element type, scale and zero point in a form that compares by value."""
    if tensor.quant is None:
        return (tensor.dtype, None)
    return (tensor.dtype, tensor.quant.scale.tobytes(), tensor.quant.zero_point.tobytes())


def split(b: Builder, node: Node) -> None:
    """Consecutive pieces along one axis, each as a slice."""
    x = b.tensor(node.input(0))
    axis, start = node.get("axis", 0) % len(x.shape), 0
    for index, piece in enumerate(b.infer(node)):
        output = replace(piece, dtype=x.dtype, quant=x.quant)
        extent = output.shape[axis] if output.name else 0
        if not output.name:
            raise node.refuse("a result without a name", "naming every result would work")
        starts = tuple(start if i == axis else 0 for i in range(len(x.shape)))
        b.emit(node, "slice", (x.name,), output, str(index), starts=starts, steps=(1,) * len(x.shape))
        start += extent


def slice_(b: Builder, node: Node) -> None:
    """A strided part along any axes, forwards."""
    x, output = b.tensor(node.input(0)), moved(b, node)
    begin = _operand(b, node, "starts", 1)
    axes = _operand(b, node, "axes", 3) or tuple(range(len(begin)))
    step = _operand(b, node, "steps", 4) or (1,) * len(begin)
    starts, steps = [0] * len(x.shape), [1] * len(x.shape)
    for start, axis, stride in zip(begin, axes, step, strict=True):
        extent = x.shape[axis]
        single = output.shape[axis] == 1
        if stride < 0 and not single:
            raise node.refuse(f"steps={list(step)}", "positive steps would work")
        start = start + extent if start < 0 else start
        starts[axis] = min(max(start, 0), extent - 1 if stride < 0 else extent)
        steps[axis] = 1 if single else stride
    b.emit(node, "slice", (x.name,), output, starts=tuple(starts), steps=tuple(steps))


def _operand(b: Builder, node: Node, key: str, index: int) -> tuple[int, ...]:
    """Return a list of integers given as an attribute (older opsets) or as an operand."""
    if node.input(index):
        return tuple(int(v) for v in b.require(node, index, key).reshape(-1))
    return tuple(node.get(key, ()))


def gather(b: Builder, node: Node) -> None:
    """Constant indices at an even distance along one axis, as a slice."""
    if b.is_constant(node.input(0)):
        raise node.refuse("a table looked up by indices computed at run time", "constant indices would work")
    x, output = b.tensor(node.input(0)), moved(b, node)
    axis = node.get("axis", 0) % len(x.shape)
    raw = b.require(node, 1, "index")
    indices = raw.reshape(-1) % x.shape[axis]
    distance = int(indices[1] - indices[0]) if indices.size > 1 else 1
    if raw.ndim > 1 or distance < 1 or np.any(np.diff(indices) != distance):
        raise node.refuse(f"indices={raw.tolist()}", "rising indices at an even distance would work")
    starts = tuple(int(indices[0]) if i == axis else 0 for i in range(len(x.shape)))
    steps = tuple(distance if i == axis else 1 for i in range(len(x.shape)))
    shape = tuple(indices.size if i == axis else n for i, n in enumerate(x.shape))
    part = replace(output, shape=shape, name=output.name if raw.ndim else b.fresh(f"{output.name}/kept"))
    b.emit(node, "slice", (x.name,), part, starts=starts, steps=steps)
    if not raw.ndim:
        b.emit(node, "reshape", (part.name,), output, "squeeze")


def pad(b: Builder, node: Node) -> None:
    """Constant padding around any axes; negative pads cut off."""
    x, output = b.tensor(node.input(0)), moved(b, node)
    rank = len(x.shape)
    given = _operand(b, node, "pads", 1)
    axes = [a % rank for a in _operand(b, node, "axes", 3)] or list(range(rank))
    begin, end = [0] * rank, [0] * rank
    for position, axis in enumerate(axes):
        begin[axis], end[axis] = given[position], given[position + len(axes)]
    if node.get("mode", "constant") != "constant" and any(given):
        raise node.refuse(f"mode={node.get('mode')}", "mode=constant would work")
    value = _pad_value(b, node, x)
    if min(begin + end) < 0:
        x = _cropped(b, node, x, begin, end)
    b.emit(node, "pad", (x.name,), output, begin=tuple(max(n, 0) for n in begin), value=value)


def _cropped(b: Builder, node: Node, x: Tensor, begin: list[int], end: list[int]) -> Tensor:
    starts = tuple(max(-n, 0) for n in begin)
    shape = tuple(n - first - max(-e, 0) for n, first, e in zip(x.shape, starts, end, strict=True))
    cut = replace(x, name=b.fresh(f"{x.name}/cut"), shape=shape)
    return b.emit(node, "slice", (x.name,), cut, "cut", starts=starts, steps=(1,) * len(shape))


def _pad_value(b: Builder, node: Node, x: Tensor) -> float:
    """Return the padding as a real number, also when the operand is an integer tensor with a scale."""
    value = float(node.get("value", 0.0))
    if node.input(2):
        value = float(b.require(node, 2, "constant_value").reshape(()))
    if x.dtype == "float32":
        return value
    if x.quant is None:
        raise node.refuse("an integer input of unknown scale", "a quantized input would work")
    scale, zero = broadcast_quant(x.quant, 0)
    return float(np.float32(value - float(zero)) * np.float32(scale))


def depth_to_space(b: Builder, node: Node) -> None:
    """Blocks of channels spread over positions: one slice of channels for each place in a block, interleaved."""
    x, output, size = b.tensor(node.input(0)), moved(b, node), node.get("blocksize")
    n, c, h, w = x.shape
    inner, apart = c // (size * size), node.get("mode", "DCR") == "DCR"
    parts, starts = [], []
    for place in range(size * size):
        part = replace(output, name=b.fresh(f"{output.name}/place{place}"), shape=(n, inner, h, w))
        begin, step = (place * inner, 1) if apart else (place, size * size)
        attrs = {"starts": (0, begin, 0, 0), "steps": (1, step if inner > 1 else 1, 1, 1)}
        parts.append(b.emit(node, "slice", (x.name,), part, f"place{place}", **attrs).name)
        starts.append(divmod(place, size))
    b.emit(node, "interleave", tuple(parts), output, "join", starts=tuple(starts), strides=(size, size))


def space_to_depth(b: Builder, node: Node) -> None:
    """Blocks of positions gathered into channels: one strided slice for each place in a block, side by side."""
    x, output, size = b.tensor(node.input(0)), moved(b, node), node.get("blocksize")
    n, c, h, w = x.shape
    if node.get("mode", "DCR") != "DCR":
        raise node.refuse(f"mode={node.get('mode')}", "DCR would work")
    parts = []
    for place in range(size * size):
        shape = (n, c, h // size, w // size)
        part = replace(output, name=b.fresh(f"{output.name}/place{place}"), shape=shape)
        steps = (1, 1, size if shape[2] > 1 else 1, size if shape[3] > 1 else 1)
        attrs = {"starts": (0, 0, *divmod(place, size)), "steps": steps}
        parts.append(b.emit(node, "slice", (x.name,), part, f"place{place}", **attrs).name)
    b.emit(node, "concat", tuple(parts), output, "join", axis=1)


_RENAME = ("a shape computed at run time",)

LOWERINGS = (
    Lowering("Reshape", reshape, ("reshape",), ("allowzero",), _RENAME, integer=True),
    Lowering("Flatten", reshape, ("reshape",), ("axis",), integer=True),
    Lowering("Squeeze", reshape, ("reshape",), ("axes",), _RENAME, integer=True),
    Lowering("Unsqueeze", reshape, ("reshape",), ("axes",), _RENAME, integer=True),
    Lowering("Identity", identity, (), integer=True),
    Lowering("Dropout", dropout, (), ("ratio", "seed"), ("the result mask in use", "training_mode=1"), integer=True),
    Lowering("Cast", cast, (), ("to", "saturate"), ("casts of activations to another type",)),
    Lowering("Expand", expand, (), (), ("an expansion that changes the shape",), integer=True),
    Lowering("Tile", tile, ("concat",), (), ("repeats computed at run time",), integer=True),
    Lowering("Transpose", transpose, ("transpose",), ("perm",), integer=True),
    Lowering("Concat", concat, ("concat",), ("axis",), ("integer operands of different scale",), integer=True),
    Lowering("Split", split, ("slice",), ("axis", "split", "num_outputs"), ("unnamed results",), integer=True),
    Lowering("Slice", slice_, ("slice",), ("axes", "ends", "starts"), ("negative steps",), integer=True),
    Lowering("Gather", gather, ("slice", "reshape"), ("axis",), ("indices that are not evenly spaced",), integer=True),
    Lowering("Pad", pad, ("pad", "slice"), ("mode", "pads", "value"), ("mode other than constant",), integer=True),
    Lowering("DepthToSpace", depth_to_space, ("slice", "interleave"), ("blocksize", "mode"), integer=True),
    Lowering("SpaceToDepth", space_to_depth, ("slice", "concat"), ("blocksize",), integer=True),
)
