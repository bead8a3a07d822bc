"""Where a network's parameters come from: random numbers of a fixed seed, or shapes alone."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from onnx import TensorProto


@dataclass(frozen=True)
class Normal:
    """A normal distribution; He and Xavier scales are a choice of `std`."""

    std: float
    mean: float = 0.0


@dataclass(frozen=True)
class Uniform:
    """A uniform distribution over [low, high)."""

    low: float
    high: float


Distribution = Normal | Uniform


class Weights(Protocol):
    """Makes the parameters of a network."""

    def tensor(self, name: str, shape: Sequence[int], distribution: Distribution) -> TensorProto | None:
        """Return a float32 parameter, or None where the shape is all there is."""


@dataclass(frozen=True)
class RandomWeights:
    """Parameters drawn from a seed and their own name, so that one layer's weights do not depend on another's."""

    seed: int = 0

    def tensor(self, name: str, shape: Sequence[int], distribution: Distribution) -> TensorProto:
        """Return a float32 parameter drawn from a distribution."""
        rng = np.random.Generator(np.random.SFC64([self.seed, zlib.crc32(name.encode())]))
        if isinstance(distribution, Normal):
            values = rng.standard_normal(tuple(shape), dtype=np.float32)
            values *= np.float32(distribution.std)
            values += np.float32(distribution.mean)
        else:
            values = rng.random(tuple(shape), dtype=np.float32)
            values *= np.float32(distribution.high - distribution.low)
            values += np.float32(distribution.low)
        little_endian = values.astype("<f4", copy=False)
        return TensorProto(name=name, dims=shape, data_type=TensorProto.FLOAT, raw_data=little_endian.tobytes())


@dataclass(frozen=True)
class ShapesOnly:
    """No values: every parameter becomes a graph input of its shape, enough to check and to count a network."""

    def tensor(self, name: str, shape: Sequence[int], distribution: Distribution) -> None:
        """Return None: a shape needs no numbers."""
