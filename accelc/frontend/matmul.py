"""Matrix products with constant weights."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from accelc.frontend.builder import Builder, real
from accelc.frontend.conv import unit_scaled
from accelc.frontend.node import Lowering, Node
from accelc.graph import Array, Quant, Tensor


def gemm(b: Builder, node: Node) -> None:
    """alpha * A * B + beta * C with constant B; alpha and beta are folded into the constants."""
    if node.get("transA", 0):
        raise node.refuse("transA=1", "transA=0 would work")
    weights = b.weight(node, 1)
    if not node.get("transB", 0):
        weights = transposed(b, weights)
    weights = scaled(b, weights, node.get("alpha", 1.0))
    output = b.result(node)
    if not node.input(2):
        b.emit(node, "fc", (node.input(0), weights.name), output, activation=None)
        return
    _gemm_with_c(b, node, weights, output)


def _gemm_with_c(b: Builder, node: Node, weights: Tensor, output: Tensor) -> None:
    beta, units = node.get("beta", 1.0), weights.shape[0]
    c = b.tensor(node.input(2))
    if c.data is not None and (c.elements == 1 or c.shape[-1] == units == c.elements):
        bias = _bias(b, c, beta, units)
        b.emit(node, "fc", (node.input(0), weights.name, bias.name), output, activation=None)
        return
    if c.data is None and beta != 1.0:
        raise node.refuse(f"beta={beta} with C computed at run time", "beta=1 would work")
    if c.data is not None:
        c = scaled(b, c, beta)
    product = b.emit(node, "fc", (node.input(0), weights.name), replace(output, name=b.fresh(f"{output.name}/product")),
                     activation=None)  # fmt: skip
    b.emit(node, "add", (product.name, c.name), output, "add", activation=None)


def _bias(b: Builder, c: Tensor, beta: float, units: int) -> Tensor:
    c = scaled(b, c, beta)
    if c.shape == (units,):
        return c
    assert c.data is not None
    # One value for all units stays quantized per tensor; a (1, N) row loses its first axis.
    quant = c.quant if c.quant is None or c.quant.scale.ndim == 0 else replace(c.quant, axis=0)
    return b.constant(f"{c.name}/bias", np.broadcast_to(c.data.reshape(-1), (units,)), quant)


def scaled(b: Builder, tensor: Tensor, factor: float) -> Tensor:
    """Return a constant times a factor, the tensor itself when that is 1."""
    if factor == 1.0:
        return tensor
    value = np.float32(factor)
    return b.derived(tensor, f"scaled by {factor}", "scaled", lambda: ((real(tensor) * value).astype(np.float32), None))


def transposed(b: Builder, weights: Tensor) -> Tensor:
    """Return constant weights (K,N) as (N,K); a per-unit scale moves to axis 0, a per-row one is multiplied out."""
    return b.derived(weights, "transposed", "t", lambda: _transposed(weights))


def _transposed(weights: Tensor) -> tuple[Array, Quant | None]:
    assert weights.data is not None
    quant = weights.quant
    if quant is not None and quant.scale.ndim:
        if quant.axis != 1:
            return real(weights).T, None
        quant = Quant(quant.scale, quant.zero_point, 0)
    return weights.data.T, quant


def matmul(b: Builder, node: Node) -> None:
    """Product of activations (any leading axes) with a constant matrix (K,N)."""
    x, weights = b.tensor(node.input(0)), b.weight(node, 1, "right matrix")
    _matmul(b, node, x, weights)


def matmul_integer(b: Builder, node: Node) -> None:
    """Integer product whose int32 sums are a graph output; the scales count as 1."""
    x = unit_scaled(b, node, 0, 2)
    if len(x.shape) != 2:
        raise node.refuse(f"an input of rank {len(x.shape)}", "rank 2 would work")
    _matmul(b, node, x, unit_scaled(b, node, 1, 3))


def _matmul(b: Builder, node: Node, x: Tensor, weights: Tensor) -> None:
    output = b.result(node)
    if len(weights.shape) > 2 and weights.elements == weights.shape[-1] * weights.shape[-2]:
        weights = _flat(b, weights)
    if len(weights.shape) != 2 or not x.shape:
        raise node.refuse(f"a right matrix of shape {list(weights.shape)}", "a constant of two axes (K,N) would work")
    k, n = weights.shape
    weights = transposed(b, weights)
    if len(x.shape) == 2 == len(output.shape):
        b.emit(node, "fc", (x.name, weights.name), output, activation=None)
        return
    rows = x.elements // k
    flat = b.reshape(node, x, (rows, k), b.fresh(f"{x.name}/rows"), "rows")
    product = replace(output, name=b.fresh(f"{output.name}/rows"), shape=(rows, n))
    b.emit(node, "fc", (flat.name, weights.name), product, activation=None)
    b.reshape(node, product, output.shape, output.name, "unrows")


def _flat(b: Builder, weights: Tensor) -> Tensor:
    data = weights.data if weights.quant is None or weights.quant.scale.ndim == 0 else real(weights)
    assert data is not None
    quant = weights.quant if data is weights.data else None
    return b.constant(f"{weights.name}/matrix", data.reshape(weights.shape[-2:]), quant)


_DYNAMIC = "both matrices computed at run time"

LOWERINGS = (
    Lowering("Gemm", gemm, ("fc", "add"), ("alpha", "beta", "transA", "transB"), ("transA=1", _DYNAMIC)),
    Lowering("MatMul", matmul, ("fc", "reshape"), (), (_DYNAMIC, "a batch of constant matrices")),
    Lowering(
        "MatMulInteger",
        matmul_integer,
        ("fc",),
        (),
        (
            _DYNAMIC,
            "inputs of another rank than 2",
            "sums that are not a graph output (except behind DynamicQuantizeLinear)",
        ),
        integer=True,
    ),
)
