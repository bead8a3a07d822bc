"""The six applications of the TPU paper: what its Table 1 states, and layer shapes inferred to satisfy it.

The paper publishes no layer shape. These satisfy Table 1 (layers by kind, weights, batch, multiply-accumulates a
weight) and what the text says of them: LSTM1 holds 600 x 600 matrices, CNN0 plays on 19 x 19 boards (2,888 = 8 x 361),
half of CNN1's array is unused because of shallow feature maps.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise


@dataclass(frozen=True)
class Matrix:
    """A layer on the matrix unit: `copies` matrices, each taps * depth x n and padded to whole tiles by itself."""

    depth: int
    n: int
    taps: int = 1
    positions: int = 1  # rows of activations an example: pixels of a convolution
    copies: int = 1
    kind: str = "fc"

    @property
    def weights(self) -> int:
        """Return the layer's weights."""
        return self.taps * self.depth * self.n * self.copies

    @property
    def text(self) -> str:
        """Return the shape as text."""
        side = {1: "", 9: "3x3 ", 25: "5x5 "}[self.taps]
        copies = f"{self.copies} of " if self.copies > 1 else ""
        return f"{self.kind} {copies}{side}{self.depth} x {self.n}"


@dataclass(frozen=True)
class Vector:
    """A layer on the activation unit: values an example read and written over the 256-byte path."""

    read: int
    written: int
    kind: str = "vector"

    @property
    def text(self) -> str:
        """Return the sizes as text."""
        return f"{self.kind} {self.read} in, {self.written} out"


Layer = Matrix | Vector


@dataclass(frozen=True)
class App:
    """An application: Table 1's figures, the inferred layers in order, and the bytes of an example's input."""

    name: str
    batch: int
    weights_m: float
    macs_per_weight: float
    activation_bytes: int  # 2 where the published TOPS is half of the useful share: 8 x 16 bits runs at half rate
    input_bytes: int
    layers: tuple[Layer, ...]

    @property
    def matrices(self) -> tuple[Matrix, ...]:
        """Return the layers on the matrix unit."""
        return tuple(layer for layer in self.layers if isinstance(layer, Matrix))

    @property
    def weights(self) -> int:
        """Return the weights of the inferred layers."""
        return sum(m.weights for m in self.matrices)

    @property
    def intensity(self) -> float:
        """Return the multiply-accumulates of a batch for each weight, of the inferred layers."""
        return sum(m.weights * m.positions for m in self.matrices) * self.batch / self.weights


def _fc(*widths: int) -> tuple[Matrix, ...]:
    return tuple(Matrix(k, n) for k, n in pairwise(widths))


def _lstm0() -> tuple[Layer, ...]:
    """24 gate matrices from 512 inputs and 512 states (two of them wider), 34 vector layers between them."""
    layers: list[Layer] = []
    for step in range(24):
        n = 3072 if step >= 22 else 2048
        layers += [Matrix(1024, n), Vector(n, 512)]
        if step < 10:
            layers.append(Vector(1024, 512))
    return tuple(layers)


def _lstm1() -> tuple[Layer, ...]:
    """19 cells of four 600 x 600 gate matrices and a vector layer, 18 projections of 600 x 600 between them."""
    gates, cell, projection = Matrix(600, 600, copies=4), Vector(2400, 600), Matrix(600, 600)
    return (*(gates, cell, projection) * 18, gates, cell)


def _cnn0() -> tuple[Layer, ...]:
    """16 convolutions of 256 channels on a board of 361 points."""
    point, wide = Matrix(256, 256, 1, 361, kind="conv"), Matrix(256, 256, 9, 361, kind="conv")
    return (point, *(wide,) * 14, point)


def _cnn1() -> tuple[Layer, ...]:
    """72 convolutions of 180 channels on 16 x 16 maps with 13 pooling layers among them, and four wide FC layers."""
    conv, pool = Matrix(180, 180, 9, 256, kind="conv"), Vector(256 * 180, 256 * 180, kind="pool")
    layers: list[Layer] = []
    for index in range(72):
        layers.append(conv)
        if index % 6 == 5 or index == 0:
            layers.append(pool)
    return (*layers, *_fc(4480, 4480, 4480, 4480, 4480))


APPS = (
    App("MLP0", 200, 20, 200, 1, 2048, _fc(2048, 2048, 2048, 2048, 2048, 1536)),
    App("MLP1", 168, 5, 168, 1, 1024, _fc(1024, 1200, 1200, 1200, 768)),
    App("LSTM0", 64, 52, 64, 2, 2 * 1024, _lstm0()),
    App("LSTM1", 96, 34, 96, 2, 2 * 600, _lstm1()),
    App("CNN0", 8, 8, 2888, 1, 361 * 256, _cnn0()),
    App("CNN1", 32, 100, 1750, 1, 112 * 112 * 3, _cnn1()),
)
