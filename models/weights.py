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

_PART = 1 << 16  # numbers that stay in the processor's cache while they are drawn, scaled and moved


def draw(seed: int, name: str, shape: Sequence[int], distribution: Distribution) -> npt.NDArray[np.float32]:
    """Return a parameter drawn by the seed and its own name, so that no layer's weights depend on another's."""
    rng = np.random.Generator(np.random.SFC64([seed, zlib.crc32(name.encode())]))
    values = np.empty(tuple(shape), np.float32)
    flat = values.reshape(-1)
    for first in range(0, flat.size, _PART):
        _fill(rng, flat[first : first + _PART], distribution)
    return values


def _fill(rng: np.random.Generator, part: npt.NDArray[np.float32], distribution: Distribution) -> None:
    if isinstance(distribution, Normal):
        rng.standard_normal(out=part, dtype=np.float32)
        scale, offset = distribution.std, distribution.mean
    else:
        rng.random(out=part, dtype=np.float32)
        scale, offset = distribution.high - distribution.low, distribution.low
    part *= np.float32(scale)
    part += np.float32(offset)
