"""What quantization costs: the signal-to-noise ratio of each layer and output against the float graph."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from accelc.arithmetic import dequantize_array, quantize_array
from accelc.graph import Array, Graph
from accelc.isa.rows import row_ranges
from accelc.quantize.execute import FloatRunner
from accelc.quantize.samples import Samples, prepare
from accelc.reference import run


@dataclass(frozen=True)
class Accuracy:
    """Signal-to-quantization-noise ratios in dB by tensor, over all samples; infinite where nothing differs."""

    layers: Mapping[str, float]
    outputs: Mapping[str, float]

    def __str__(self) -> str:
        worst = sorted(self.layers.items(), key=lambda item: item[1])[:5]
        lines = [f"output {name}: {value:.1f} dB" for name, value in self.outputs.items()]
        return "\n".join(lines + [f"lowest: {name}: {value:.1f} dB" for name, value in worst])


def sqnr(values: Array, dequantized: Array) -> float:
    """Return 10 * log10(sum values**2 / sum (values - dequantized)**2) in dB."""
    return decibel(*_powers(values, dequantized))


def accuracy(graph: Graph, quantized: Graph, samples: Samples | None = None, *, seed: int = 0) -> Accuracy:
    """Return how near the quantized graph, run by the reference, comes to the float graph on some samples."""
    runs = prepare(graph, samples, seed)
    made = {n for layer in quantized.layers for n in layer.outputs}
    names = [n for layer in graph.layers for n in layer.outputs if n in made and quantized.tensors[n].quant is not None]
    total = _total(FloatRunner(graph, names), quantized, runs)
    ratios = {n: decibel(float(signal), float(noise)) for n, (signal, noise) in total.items()}
    return Accuracy(ratios, {n: ratios[n] for n in graph.outputs if n in ratios})


def _total(runner: FloatRunner, quantized: Graph, runs: Iterable[Mapping[str, Array]]) -> dict[str, Array]:
    """Return (signal, noise) power per tensor, summed over the runs."""
    total = {n: np.zeros(2) for n in runner.names}
    for sample in runs:
        integers = run(quantized, quantize_inputs(quantized, sample), keep=runner.names)
        for name, powers in powers_of(runner, quantized, sample, integers).items():
            total[name] += powers
    return total


def powers_of(
    runner: FloatRunner, quantized: Graph, sample: Mapping[str, Array], integers: Mapping[str, Array]
) -> dict[str, Array]:
    """Return (signal, noise) power of each of the runner's tensors for one sample, given their integers."""
    total = {n: np.zeros(2) for n in runner.names}
    for piece in runner.each(sample):
        quant, exact, found = quantized.tensors[piece.name].quant, piece.value, integers[piece.name][piece.part]
        for rows in row_ranges([], exact.shape):
            held = found if exact.ndim == 0 else found[rows]
            real = held if quant is None else dequantize_array(held, quant)
            total[piece.name] += _powers(exact if exact.ndim == 0 else exact[rows], real)
    return total


def quantize_inputs(graph: Graph, sample: Mapping[str, Array]) -> dict[str, Array]:
    """Return real inputs as the integers of a quantized graph's inputs."""
    found = {}
    for name in graph.inputs:
        tensor = graph.tensors[name]
        found[name] = sample[name] if tensor.quant is None else quantize_array(sample[name], tensor.quant, tensor.dtype)
    return found


def _powers(values: Array, dequantized: Array) -> tuple[float, float]:
    kept = np.isfinite(values)  # a mask may hold minus infinity
    wide = values[kept].astype(np.float64)
    return float(np.sum(wide**2)), float(np.sum((wide - dequantized[kept]) ** 2))


def decibel(signal: float, noise: float) -> float:
    """Return the ratio of two powers in dB; infinite where there is no noise."""
    if noise == 0.0:
        return math.inf
    return 10 * math.log10(signal / noise) if signal > 0 else -math.inf
