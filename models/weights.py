"""The random numbers parameters are drawn from."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt


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


def draw(seed: int, name: str, shape: Sequence[int], distribution: Distribution) -> npt.NDArray[np.float32]:
    """Return a parameter drawn by the seed and its own name, so that no layer's weights depend on another's."""
    rng = np.random.Generator(np.random.SFC64([seed, zlib.crc32(name.encode())]))
    if isinstance(distribution, Normal):
        values = rng.standard_normal(tuple(shape), np.float32)
        scale, offset = distribution.std, distribution.mean
    else:
        values = rng.random(tuple(shape), np.float32)
        scale, offset = distribution.high - distribution.low, distribution.low
    values *= np.float32(scale)
    values += np.float32(offset)
    return values
