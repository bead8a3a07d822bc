"""The float run and the reference give tensors as they are made and hold none longer than a layer reads it."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterable

import numpy as np
import pytest

from accelc.graph import Graph, Layer, Tensor
from accelc.quantize import execute
from accelc.quantize.execute import FloatRunner
from accelc.quantize.samples import RANDOM_SAMPLES, prepare
from accelc.reference import stream

LAYERS, SIZE = 20, 1 << 20


def chain(count: int = LAYERS, shape: tuple[int, ...] = (4, SIZE // 4), op: str = "map") -> Graph:
    """Return a chain of layers of one operand."""
    attrs = {"steps": (("neg", 0),)} if op == "map" else {}
    names = ["x", *(f"t{k}" for k in range(count))]
    layers = [Layer(f"l{k}", op, (names[k],), (names[k + 1],), attrs) for k in range(count)]
    return Graph("chain", {n: Tensor(n, shape) for n in names}, tuple(layers), ("x",), (names[-1],))


def peak_of(tensors: Iterable[object]) -> int:
    """Return the most bytes held while each tensor is made, looked at and let go."""
    tracemalloc.start()
    seen = sum(1 for _ in tensors)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert seen == LAYERS
    return peak


def test_neither_run_holds_what_no_later_layer_reads() -> None:
    """Each tensor has 4 MiB; one layer's operand, result and what it works with are a few of them, not 20."""
    graph, x = chain(), np.ones((4, SIZE // 4), np.float32)
    names = [layer.outputs[0] for layer in graph.layers]
    assert peak_of(FloatRunner(graph, names).each({"x": x})) < 6 * 4 * SIZE
    assert peak_of(stream(graph, {"x": x}, keep=names)) < 6 * 4 * SIZE


def test_the_results_of_one_model_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """ONNX Runtime gives all results of a model at once: a long run of layers becomes several models."""
    graph = chain(6, (1, 4, 8, 8), "relu")
    names, sample = [layer.outputs[0] for layer in graph.layers], next(iter(prepare(chain(6, (1, 4, 8, 8)), None, 0)))
    whole = FloatRunner(graph, names)
    monkeypatch.setattr(execute, "PIECE_BYTES", 2 * 4 * 4 * 8 * 8)
    cut = FloatRunner(graph, names)
    assert (len(whole._steps), len(cut._steps)) == (1, 3)
    for name, value in whole.run(sample).items():
        np.testing.assert_array_equal(cut.run(sample)[name], value, strict=True)


def test_random_samples_are_drawn_as_asked_for_and_the_same_again() -> None:
    """Row by row, as all at once: the numbers are those of the generator in one call."""
    graph = chain(1, (3, 5))
    samples = prepare(graph, None, 7)
    first, again = list(samples), list(samples)
    assert len(first) == len(again) == RANDOM_SAMPLES
    rng = np.random.default_rng(7)
    for one, other in zip(first, again, strict=True):
        np.testing.assert_array_equal(one["x"], other["x"], strict=True)
        np.testing.assert_array_equal(one["x"], rng.standard_normal((3, 5)).astype(np.float32), strict=True)


@pytest.mark.parametrize(("shape", "count"), [((1, 3, 224, 224), 4), ((1, 3, 512, 512), 2), ((2, 3, 1024, 1024), 1)])
def test_fewer_random_samples_are_drawn_of_large_inputs(shape: tuple[int, ...], count: int) -> None:
    assert len(list(prepare(chain(1, shape), None, 0))) == count


def test_layers_on_which_no_wanted_tensor_depends_are_not_run() -> None:
    """A chain of 32-bit layers runs as far as the tensor asked for, and no layer of it that leads elsewhere."""
    graph = chain(6, (1, 4))
    beside = Layer("beside", "map", ("t0",), ("unread",), {"steps": (("neg", 0),)})
    graph = graph.with_layers([*graph.layers, beside], {**graph.tensors, "unread": Tensor("unread", (1, 4))})
    runner = FloatRunner(graph, ["t2"])
    assert [layer.name for layer in execute._needed(graph, runner.names)] == ["l0", "l1", "l2"]
    x = np.ones((1, 4), np.float32)
    assert [(piece.name, piece.value.tolist()) for piece in runner.each({"x": x})] == [("t2", (-x).tolist())]
