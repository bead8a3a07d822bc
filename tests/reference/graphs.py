"""Graphs of one quantized layer over random integers, for tests of the reference."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from accelc.graph import RANGE, Graph, Layer, Quant, Tensor

Array = npt.NDArray[Any]
Rng = np.random.Generator


def integers(rng: Rng, shape: Sequence[int], dtype: str) -> Array:
    """Return random integers over the whole range of a type."""
    low, high = RANGE[dtype]
    return rng.integers(low, high + 1, tuple(shape)).astype(dtype)


def quant(rng: Rng, dtype: str, scale: float | None = None, *, friendly: bool = False) -> Quant:
    """Return a random quantization; `friendly` scales are powers of two, where ties are common."""
    low, high = RANGE[dtype]
    size = float(2.0 ** rng.integers(-7, -3)) if friendly else float(rng.uniform(0.005, 0.1))
    return Quant.per_tensor(scale if scale is not None else size, int(rng.integers(low, high + 1)))


def activation(name: str, shape: Sequence[int], dtype: str, q: Quant) -> Tensor:
    return Tensor(name, tuple(shape), dtype, q)


def constant(name: str, data: Array, q: Quant | None = None) -> Tensor:
    return Tensor(name, tuple(data.shape), str(data.dtype), q, data)


def one_layer(op: str, inputs: Sequence[Tensor], output: Tensor, **attrs: Any) -> Graph:
    """Return the graph of a single layer; inputs without data are graph inputs."""
    layer = Layer(op, op, tuple(t.name for t in inputs), (output.name,), attrs, (op,))
    free = tuple(dict.fromkeys(t.name for t in inputs if t.data is None))
    return Graph(op, {t.name: t for t in (*inputs, output)}, (layer,), free, (output.name,))


def feeds(rng: Rng, graph: Graph) -> dict[str, Array]:
    return {n: integers(rng, graph.tensors[n].shape, graph.tensors[n].dtype) for n in graph.inputs}


def conv_graph(rng: Rng, x_type: str, w_type: str, *, fused: Any = None, raw: bool = False, friendly: bool = False,
               rank: int = 4) -> Graph:  # fmt: skip
    """Return a random convolution: groups, strides, dilations, asymmetric pads, per channel or per tensor."""
    group = int(rng.choice([1, 1, 2, 4]))
    c, k = group * int(rng.integers(1, 6)), group * int(rng.integers(1, 6))
    kernel = (int(rng.integers(1, 4)) if rank == 4 else 1, int(rng.integers(1, 4)))
    strides = (int(rng.integers(1, 3)) if rank == 4 else 1, int(rng.integers(1, 3)))
    dilations = (1 if rank == 3 else int(rng.integers(1, 3)), int(rng.integers(1, 3)))
    pads = tuple(int(p) for p in rng.integers(0, 3, 4) * np.array([rank == 4, 1, rank == 4, 1]))
    h, w = (1 if rank == 3 else int(rng.integers(7, 12))), int(rng.integers(7, 12))
    rows = (h + pads[0] + pads[2] - (kernel[0] - 1) * dilations[0] - 1) // strides[0] + 1
    columns = (w + pads[1] + pads[3] - (kernel[1] - 1) * dilations[1] - 1) // strides[1] + 1
    n = int(rng.integers(1, 3))
    xq, yq = quant(rng, x_type, friendly=friendly), quant(rng, x_type, friendly=friendly)
    # Per-channel zero points differ from zero only for unsigned weights.
    zero = rng.integers(100, 156, k) if w_type == "uint8" and not raw else np.zeros(k, np.int64)
    wq = Quant(rng.uniform(0.001, 0.02, k).astype(np.float32), zero.astype(np.int32), 0)
    if rng.integers(2) or raw:
        wq = Quant(wq.scale[0], wq.zero_point[0])
    weights = constant("w", integers(rng, (k, c // group, *kernel), w_type), wq)
    inputs = [activation("x", (n, c, h, w) if rank == 4 else (n, c, w), x_type, xq), weights]
    if rng.integers(2):
        inputs.append(constant("b", rng.integers(-20000, 20000, k).astype(np.int32), wq))
    shape = (n, k, rows, columns) if rank == 4 else (n, k, columns)
    output = Tensor("y", shape, "int32") if raw else activation("y", shape, x_type, yq)
    attrs = {"strides": strides, "pads": pads, "dilations": dilations, "group": group, "activation": fused}
    return one_layer("conv", inputs, output, **attrs)
