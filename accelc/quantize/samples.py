"""Calibration samples: checked against the graph's inputs, split into single runs, or drawn at random."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from accelc.arithmetic import dequantize_array
from accelc.errors import InputError
from accelc.graph import FLOAT, PLAIN, QUANTIZED, Array, Graph, Tensor

Samples = Mapping[str, Array] | Sequence[Mapping[str, Array]]
RANDOM_SAMPLES = 4  # at most
ENOUGH = 1 << 20  # numbers of inputs, after which no further sample is drawn: large images hold many windows each


def prepare(graph: Graph, samples: Samples | None, seed: int) -> Iterable[dict[str, Array]]:
    """Return one dict of real inputs per run; without samples, a few of standard normal numbers by `seed`.

    A few are four, or as many as hold a million numbers together if that is fewer. Random ones are drawn as they are
    asked for, and the same again the next time.
    """
    if samples is None:
        return _Drawn(graph, seed)
    given = [samples] if isinstance(samples, Mapping) else list(samples)
    if not given:
        raise InputError("there are no calibration samples; at least one is needed")
    return [run for one in given for run in _split(graph, one)]


@dataclass(frozen=True, eq=False)
class _Drawn:
    """Random samples of a graph's inputs, none of which is kept."""

    graph: Graph
    seed: int

    def __iter__(self) -> Iterator[dict[str, Array]]:
        rng, spans = np.random.default_rng(self.seed), self.graph.spans
        inputs = [self.graph.tensors[n] for n in self.graph.inputs]
        for _ in range(random_samples(self.graph)):
            yield {t.name: drawn(rng, t.shape, t.dtype, spans.get(t.name)) for t in inputs}


def random_samples(graph: Graph) -> int:
    """Return how many random samples of a graph's inputs are drawn."""
    each = max(1, sum(math.prod(graph.tensors[n].shape) for n in graph.inputs))
    return min(RANDOM_SAMPLES, -(-ENOUGH // each))


def drawn(rng: np.random.Generator, shape: tuple[int, ...], dtype: str, span: tuple[float, float] | None) -> Array:
    """Return a random sample: evenly from [low, below high) where a span is given, else standard normal.

    Integers without a span are 0 or 1.
    """
    if dtype in PLAIN[1:]:
        low, high = span or (0, 2)
        return rng.integers(int(low), int(high), shape, np.int32)
    if span is not None:
        return _filled(shape, lambda part: rng.uniform(*span, part))
    return _filled(shape, rng.standard_normal)


def _filled(shape: tuple[int, ...], draw: Callable[[tuple[int, ...]], Array]) -> Array:
    """Return random numbers as float32, drawn row after row: all at once they would take twice as much in float64."""
    if not shape:
        return np.asarray(draw(shape)).astype(np.float32)
    found = np.empty(shape, np.float32)
    for row in range(shape[0]):
        found[row] = draw(shape[1:])
    return found


def _split(graph: Graph, samples: Mapping[str, Array]) -> Iterator[dict[str, Array]]:
    listing = ", ".join(graph.inputs)
    for name in graph.inputs:
        if name not in samples:
            raise InputError(f"calibration samples lack the input '{name}'; the inputs are {listing}")
    for name in samples:
        if name not in graph.inputs:
            raise InputError(f"calibration samples name '{name}', which is no input; the inputs are {listing}")
    stacks = {n: _stacked(graph.tensors[n], np.asarray(samples[n])) for n in graph.inputs}
    counts = {n: len(stack) for n, stack in stacks.items()}
    if len(set(counts.values())) > 1:
        raise InputError(f"calibration samples differ in number: {counts}")
    for index in range(max(counts.values(), default=0)):
        yield {n: stack[index] for n, stack in stacks.items()}


def _stacked(tensor: Tensor, value: Array) -> Array:
    """Return samples of one input as (count, *shape) real numbers.

    Accepted: one sample, several along a new first axis, or several batches along the tensor's own first axis.
    """
    shape = tensor.shape
    if value.shape[1:] == shape and value.ndim:
        stack = value
    elif value.ndim == len(shape) and shape and value.shape[1:] == shape[1:] and value.shape[0] % shape[0] == 0:
        stack = value.reshape(-1, *shape)
    elif value.shape == shape:
        stack = value[None]
    else:
        raise InputError(
            f"calibration samples of '{tensor.name}' have shape {list(value.shape)}; "
            f"{list(shape)} or {[-1, *shape]} would work"
        )
    if not len(stack):
        raise InputError(f"there are no calibration samples of '{tensor.name}'; at least one is needed")
    return _real(tensor, stack)


def _real(tensor: Tensor, stack: Array) -> Array:
    if tensor.dtype in QUANTIZED and str(stack.dtype) == tensor.dtype and tensor.quant is not None:
        return dequantize_array(stack, tensor.quant)
    if tensor.dtype == "int32" and stack.dtype.kind in "iub":
        return stack.astype(np.int32)
    if str(stack.dtype) not in (FLOAT, "float64"):
        raise InputError(f"calibration samples of '{tensor.name}' are {stack.dtype}; float32 would work")
    if not np.isfinite(stack).all():
        raise InputError(f"calibration samples of '{tensor.name}' hold NaN or infinity")
    return stack.astype(np.float32)
