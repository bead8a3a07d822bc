"""Runs of layers on 32-bit numbers, rows at a time: the same numbers as each layer whole, and nothing whole between."""

from __future__ import annotations

import numpy as np
import pytest

from accelc.compiler import Options, compile_stages
from accelc.graph import PLAIN, Graph
from accelc.quantize.execute import FloatRunner
from accelc.quantize.samples import drawn, prepare
from accelc.reference import ends, pieces, row_runs, run

NETWORKS = ("rcnn", "sds", "mask_rcnn")


def front(name: str) -> tuple[Graph, Graph]:
    """Return a tiny network's graph and its quantized graph."""
    done = compile_stages(name, "edge", Options(tiny=True), stop_after="quantize")
    assert done.graph is not None
    assert done.quantized is not None
    return done.graph, done.quantized


def integers(graph: Graph) -> dict[str, np.ndarray]:
    """Return random inputs of a quantized graph."""
    rng, found = np.random.default_rng(1), {}
    for tensor in (graph.tensors[n] for n in graph.inputs):
        if tensor.dtype in PLAIN:
            found[tensor.name] = drawn(rng, tensor.shape, tensor.dtype, graph.spans.get(tensor.name))
        else:
            limits = np.iinfo(tensor.dtype)
            found[tensor.name] = rng.integers(limits.min, limits.max, tensor.shape, tensor.dtype, endpoint=True)
    return found


@pytest.mark.parametrize("name", NETWORKS)
def test_the_reference_has_the_same_bits_and_gives_pieces_in_order(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    _, graph = front(name)
    inputs = integers(graph)
    whole = run(graph, inputs, keep="all")
    monkeypatch.setattr(row_runs, "LARGE_BYTES", 1)
    found: dict[str, list[np.ndarray]] = {}
    closed = set()
    for piece in pieces(graph, inputs, keep="all"):
        assert piece.name not in closed
        found.setdefault(piece.name, []).append(piece.value)
        closed |= {piece.name} if ends(graph, piece) else set()
    assert closed == set(found) == set(whole)
    assert any(len(parts) > 1 for parts in found.values())
    for key, value in whole.items():
        parts = found[key]
        np.testing.assert_array_equal(parts[0] if len(parts) == 1 else np.concatenate(parts), value, strict=True)
    again = run(graph, inputs, keep="all")
    assert all(np.array_equal(again[key], value, equal_nan=value.dtype.kind == "f") for key, value in whole.items())


def test_the_float_run_has_the_same_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    graph, _ = front("rcnn")
    names = [n for layer in graph.layers for n in layer.outputs]
    sample = next(iter(prepare(graph, None, 0)))
    whole = FloatRunner(graph, names).run(sample)
    monkeypatch.setattr(row_runs, "LARGE_BYTES", 1)
    runner = FloatRunner(graph, names)
    assert any(isinstance(piece.part, slice) for piece in runner.each(sample))
    found = runner.run(sample)
    for name, value in whole.items():
        np.testing.assert_array_equal(found[name], value, strict=True)
