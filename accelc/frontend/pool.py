"""Pooling and means over positions."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from accelc.frontend.builder import Builder
from accelc.frontend.geometry import pair, window
from accelc.frontend.node import Lowering, Node
from accelc.graph import Tensor


def max_pool(b: Builder, node: Node) -> None:
    """Maximum over 1-D or 2-D windows, padding ignored."""
    if node.output(1) in b.needed and node.output(1):
        raise node.refuse("the result Indices", "a MaxPool whose Indices nothing reads would work")
    x = b.tensor(node.input(0))
    output = replace(_result(b, node), dtype=x.dtype, quant=x.quant)
    b.emit(node, "max_pool", (x.name,), output, **_windows(node, x))


def avg_pool(b: Builder, node: Node) -> None:
    """Mean over 1-D or 2-D windows; cut-off parts of windows never count, pads do if count_include_pad."""
    x = b.tensor(node.input(0))
    include = bool(node.get("count_include_pad", 0))
    b.emit(node, "avg_pool", (x.name,), _result(b, node), **_windows(node, x), count_include_pad=include)


def _result(b: Builder, node: Node) -> Tensor:
    # Since opset 22 shape inference leaves out, as ONNX Runtime always did, windows that begin behind the input.
    return b.result(replace(node, version=max(node.version, 22)))


def _windows(node: Node, x: Tensor) -> dict[str, Any]:
    kernel = tuple(node.get("kernel_shape"))
    return {"kernel": pair(kernel, 1), **window(node, x.shape[2:], kernel)}


def global_pool(b: Builder, node: Node) -> None:
    """Mean or maximum over all positions of each channel."""
    op = "global_avg_pool" if node.op == "GlobalAveragePool" else "global_max_pool"
    x = b.tensor(node.input(0))
    if len(x.shape) not in (3, 4):
        raise node.refuse(f"an input of rank {len(x.shape)}", "rank 3 or 4 would work")
    b.emit(node, op, (x.name,), b.result(node))


def reduce_spatial(b: Builder, node: Node) -> None:
    """Mean or maximum over exactly the spatial axes, as a global pool."""
    op = "global_avg_pool" if node.op == "ReduceMean" else "global_max_pool"
    x, output = b.tensor(node.input(0)), b.result(node)
    axes = _axes(b, node, len(x.shape))
    if axes == () and node.get("noop_with_empty_axes", 0):
        b.reshape(node, x, output.shape, output.name)
        return
    rank = len(x.shape)
    if rank not in (3, 4) or axes != tuple(range(2, rank)):
        raise node.refuse(f"axes={list(axes)} of an input of rank {rank}", "all axes behind the channels would work")
    kept = (*x.shape[:2], *(1,) * (rank - 2))
    pooled = Tensor(output.name if output.shape == kept else b.fresh(f"{output.name}/kept"), kept)
    b.emit(node, op, (x.name,), pooled)
    if output.shape != kept:
        b.reshape(node, pooled, output.shape, output.name, "squeeze")


def _axes(b: Builder, node: Node, rank: int) -> tuple[int, ...]:
    """Return the sorted non-negative axes of a reduction: attribute or, in newer opsets, operand."""
    axes = tuple(node.get("axes", ()))
    if node.input(1):
        axes = tuple(int(a) for a in b.require(node, 1, "axes").reshape(-1))
    if not axes and not node.get("noop_with_empty_axes", 0):
        return tuple(range(rank))
    return tuple(sorted(a % rank for a in axes))


_WINDOW = ("auto_pad", "ceil_mode", "dilations", "kernel_shape", "pads", "strides")
_REDUCE = ("axes", "keepdims", "noop_with_empty_axes")
_NOT_SPATIAL = ("axes other than all axes behind the channels",)

LOWERINGS = (
    Lowering(
        "MaxPool",
        max_pool,
        ("max_pool",),
        (*_WINDOW, "storage_order"),
        ("the result Indices in use", "3 or more spatial dimensions"),
        integer=True,
    ),
    Lowering(
        "AveragePool", avg_pool, ("avg_pool",), (*_WINDOW, "count_include_pad"), ("3 or more spatial dimensions",)
    ),
    Lowering("GlobalAveragePool", global_pool, ("global_avg_pool",), (), ("3 or more spatial dimensions",)),
    Lowering("GlobalMaxPool", global_pool, ("global_max_pool",), (), ("3 or more spatial dimensions",)),
    Lowering("ReduceMean", reduce_spatial, ("global_avg_pool", "reshape"), _REDUCE, _NOT_SPATIAL),
    Lowering("ReduceMax", reduce_spatial, ("global_max_pool", "reshape"), _REDUCE, _NOT_SPATIAL),
)
