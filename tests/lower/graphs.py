"""Small quantized graphs of every layer kind, with random shapes and constants, for tests of lowering."""

from __future__ import annotations

from typing import Any

import numpy as np

from accelc.graph import Graph, Layer, Quant, Tensor

Pair = tuple[int, int]


class Net:
    """Builds a quantized graph layer by layer from a seed."""

    def __init__(self, seed: int, dtype: str = "uint8") -> None:
        self.rng = np.random.default_rng(seed)
        self.dtype = dtype
        self.tensors: dict[str, Tensor] = {}
        self.layers: list[Layer] = []
        self.inputs: list[str] = []

    @property
    def wide(self) -> bool:
        return self.dtype == "int16"

    def quant(self) -> Quant:
        if self.wide:
            return Quant.per_tensor(float(np.float32(self.rng.uniform(0.01, 0.1) / 256)), 0)
        zero = int(self.rng.integers(100, 156)) - (128 if self.dtype == "int8" else 0)
        return Quant.per_tensor(float(np.float32(self.rng.uniform(0.01, 0.1))), zero)

    def tensor(self, shape: tuple[int, ...], quant: Quant | None = None, dtype: str | None = None) -> str:
        name = f"t{len(self.tensors)}"
        self.tensors[name] = Tensor(name, shape, dtype or self.dtype, quant or self.quant())
        return name

    def input(self, *shape: int) -> str:
        name = self.tensor(shape)
        self.inputs.append(name)
        return name

    def constant(self, data: np.ndarray, dtype: str, quant: Quant | None) -> str:
        name = f"k{len(self.tensors)}"
        self.tensors[name] = Tensor(name, data.shape, dtype, quant, data)
        return name

    def shape(self, name: str) -> tuple[int, ...]:
        return self.tensors[name].shape

    def layer(
        self, op: str, inputs: tuple[str, ...], shape: tuple[int, ...], quant: Quant | None = None, **attrs: Any
    ) -> str:
        if op in ("add", "sub", "mul"):
            attrs.setdefault("activation", None)
        out = self.tensor(shape, quant)
        self.layers.append(Layer(f"{op}{len(self.layers)}", op, inputs, (out,), attrs, (f"node{len(self.layers)}",)))
        return out

    def weights(self, shape: tuple[int, ...], dtype: str = "int8") -> str:
        k = shape[0]
        if self.wide:
            scale = self.rng.uniform(0.5, 2, k) * 4e-5 / np.sqrt(np.prod(shape[1:]))
            data = self.rng.integers(-32768, 32768, shape).astype(np.int16)
            return self.constant(data, "int16", Quant(scale.astype(np.float32), np.zeros(k, np.int32), 0))
        low, high = (-128, 128) if dtype == "int8" else (0, 256)
        zero = np.zeros(k, np.int32) if dtype == "int8" else np.full(k, int(self.rng.integers(0, 256)), np.int32)
        scale = self.rng.uniform(0.5, 2, k) * 0.02 / np.sqrt(np.prod(shape[1:]))
        data = self.rng.integers(low, high, shape).astype(dtype)
        return self.constant(data, dtype, Quant(scale.astype(np.float32), zero, 0))

    def bias(self, k: int) -> str:
        if self.wide:
            return self.constant(self.rng.integers(-(1 << 33), 1 << 33, k), "int64", None)
        return self.constant(self.rng.integers(-2000, 2000, k).astype(np.int32), "int32", None)

    def conv(
        self,
        x: str,
        k: int,
        kernel: Pair = (3, 3),
        strides: Pair = (1, 1),
        pads: tuple[int, ...] = (0, 0, 0, 0),
        dilations: Pair = (1, 1),
        group: int = 1,
        activation: Any = None,
        weights: str = "int8",
    ) -> str:
        n, c, *size = self.shape(x)
        h, w = size if len(size) == 2 else (1, *size)
        oh = (h + pads[0] + pads[2] - dilations[0] * (kernel[0] - 1) - 1) // strides[0] + 1
        ow = (w + pads[1] + pads[3] - dilations[1] * (kernel[1] - 1) - 1) // strides[1] + 1
        wt = self.weights((k, c // group, *kernel), weights)
        bias = self.bias(k)
        shape = (n, k, oh, ow) if len(size) == 2 else (n, k, ow)
        return self.layer(
            "conv",
            (x, wt, bias),
            shape,
            strides=strides,
            pads=pads,
            dilations=dilations,
            group=group,
            activation=activation,
        )

    def fc(self, x: str, n: int, activation: Any = None) -> str:
        m, k = self.shape(x)
        bias = self.bias(n)
        return self.layer("fc", (x, self.weights((n, k)), bias), (m, n), activation=activation)

    def pool(
        self,
        op: str,
        x: str,
        kernel: Pair,
        strides: Pair,
        pads: tuple[int, ...] = (0, 0, 0, 0),
        include: int = 0,
        ceil: bool = False,
        dilations: Pair = (1, 1),
    ) -> str:
        n, c, h, w = self.shape(x)
        extents = []
        for axis, extent in enumerate((h, w)):
            room = extent + pads[axis] + pads[axis + 2] - (kernel[axis] - 1) * dilations[axis] - 1
            count = -(-room // strides[axis]) + 1 if ceil else room // strides[axis] + 1
            if (count - 1) * strides[axis] >= extent + pads[axis]:
                count -= 1
            extents.append(count)
        quant = self.tensors[x].quant if op == "max_pool" else None
        extra = {"count_include_pad": include} if op == "avg_pool" else {}
        return self.layer(
            op, (x,), (n, c, *extents), quant, kernel=kernel, strides=strides, pads=pads, dilations=dilations, **extra
        )

    def graph(self, *outputs: str) -> Graph:
        return Graph("net", self.tensors, tuple(self.layers), tuple(self.inputs), outputs)
