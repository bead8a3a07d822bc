"""Ranges of a graph's tensors over calibration samples: minimum and maximum, percentile, or least entropy."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt

from accelc.errors import InputError
from accelc.graph import Array, Graph
from accelc.quantize.execute import FloatRunner

Range = tuple[float, float]
Histogram = npt.NDArray[np.int64]

BINS = 2048
PERCENTILE = 99.99
_PER_BIN = 64
LEVELS = 128  # of the magnitudes of an 8-bit value


def ranges(graph: Graph, samples: Iterable[Mapping[str, Array]], names: Iterable[str], method: str) -> dict[str, Range]:
    """Return (least, greatest) real value per tensor by a method: minmax, percentile (99.99 %) or entropy."""
    if method not in ("minmax", *_CUTS):
        raise InputError(f"calibration '{method}' is unknown; minmax, {', '.join(_CUTS)} would work")
    runner = FloatRunner(graph, names)
    found = _extremes(runner, samples)
    return found if method == "minmax" else _cut(runner, samples, found, _CUTS[method])


def _extremes(runner: FloatRunner, samples: Iterable[Mapping[str, Array]]) -> dict[str, Range]:
    found: dict[str, Range] = {}
    for sample in samples:
        for piece in runner.each(sample):
            name, low, high = piece.name, float(piece.value.min()), float(piece.value.max())
            if not (np.isfinite(low) and np.isfinite(high)):
                raise InputError(f"tensor '{name}' becomes NaN or infinite on a calibration sample")
            if name in found:
                low, high = min(low, found[name][0]), max(high, found[name][1])
            found[name] = low, high
    return found


def _cut(
    runner: FloatRunner,
    samples: Iterable[Mapping[str, Array]],
    found: Mapping[str, Range],
    cut: Callable[[Histogram, Range], Range],
) -> dict[str, Range]:
    """Return ranges narrowed by each tensor's histogram, gathered in a second pass over the samples."""
    counts = {name: np.zeros(BINS, np.int64) for name in found}
    for sample in samples:
        for piece in runner.each(sample):
            counts[piece.name] += np.histogram(piece.value, BINS, _histogram_range(found[piece.name]))[0]
    return {name: cut(counts[name], found[name]) for name in found}


def _histogram_range(limits: Range) -> Range:
    """Return limits symmetric around zero, so that a histogram of them folds into one of magnitudes."""
    reach = max(abs(limits[0]), abs(limits[1])) or 1.0
    return -reach, reach


def _percentile(counts: Histogram, limits: Range) -> Range:
    """Leave out the most extreme values, a half of the remainder at each end."""
    edges = np.linspace(*_histogram_range(limits), BINS + 1)
    share = np.cumsum(counts) / counts.sum()
    tail = (1 - PERCENTILE / 100) / 2
    low = edges[int(np.searchsorted(share, tail, side="right"))]
    high = edges[min(int(np.searchsorted(share, 1 - tail)) + 1, BINS)]
    return max(float(low), limits[0]), min(float(high), limits[1])


def _entropy(counts: Histogram, limits: Range) -> Range:
    """Clip magnitudes where the distribution rounded to 128 levels diverges least from the clipped one."""
    half = BINS // 2
    magnitudes = counts[half:] + counts[:half][::-1]
    # A sparse histogram diverges by chance wherever it is cut; coarser bins hold enough values to mean something.
    while len(magnitudes) > LEVELS and magnitudes.sum() < _PER_BIN * len(magnitudes):
        magnitudes = magnitudes.reshape(-1, 2).sum(axis=1)
    best = min(range(LEVELS, len(magnitudes) + 1), key=lambda kept: _divergence(magnitudes, kept))
    threshold = _histogram_range(limits)[1] * best / len(magnitudes)
    return max(limits[0], -threshold), min(limits[1], threshold)


def _divergence(magnitudes: Histogram, kept: int) -> float:
    """Return the Kullback-Leibler divergence of the first `kept` bins from their rounding to 128 levels."""
    inside = magnitudes[:kept].astype(np.float64)
    target = inside.copy()
    target[-1] += magnitudes[kept:].sum()
    level = np.arange(kept) * LEVELS // kept
    filled = inside > 0
    sums = np.bincount(level, inside, LEVELS)
    sizes = np.bincount(level, filled, LEVELS)
    model = np.where(filled, (sums / np.maximum(sizes, 1))[level], 0.0)
    p, q = target / max(target.sum(), 1.0), model / max(model.sum(), 1.0)
    both = (p > 0) & (q > 0)
    # Weight that the rounding leaves no place for is as bad as it can be.
    return float(np.sum(p[both] * np.log(p[both] / q[both])) + 10.0 * np.sum(p[(p > 0) & (q <= 0)]))


_CUTS: Mapping[str, Callable[[Histogram, Any], Range]] = MappingProxyType(
    {"percentile": _percentile, "entropy": _entropy}
)
