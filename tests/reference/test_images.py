"""Large batches some images at a time: the reference's bits and the float run's ranges are those of the whole batch."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from accelc.compiler import Options, compile_stages
from accelc.graph import Graph, Layer, Tensor
from accelc.quantize.execute import FloatRunner
from accelc.quantize.samples import prepare
from accelc.reference import execute, images, run
from accelc.reference.call import Call
from accelc.reference.images import fewer, parts

BATCH = 6


def front(name: str) -> tuple[Graph, Graph]:
    """Return a tiny network's graph and its quantized graph at a batch."""
    done = compile_stages(name, "edge", Options(tiny=True, batch=BATCH), stop_after="quantize")
    assert done.graph is not None
    assert done.quantized is not None
    return done.graph, done.quantized


@pytest.mark.parametrize("name", ["alexnet", "googlenet", "resnet18", "deeplab_v2_vgg16", "unet"])
def test_the_reference_in_parts_has_the_same_integers(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    graph, quantized = front(name)
    rng = np.random.default_rng(1)
    inputs = {n: rng.integers(0, 256, graph.tensors[n].shape).astype(np.uint8) for n in graph.inputs}
    whole = run(quantized, inputs, keep="all")
    seen: Counter[str] = Counter()
    true = execute.KERNELS

    def counting(op: str, call: Call) -> np.ndarray:
        seen[op] += call.output.shape[0] < BATCH
        return true[op](call)

    counted = {op: lambda call, op=op: counting(op, call) for op in true}  # type: ignore[misc]
    monkeypatch.setattr(execute, "KERNELS", counted)
    monkeypatch.setattr(images, "LARGE_BYTES", 1)
    cut = run(quantized, inputs, keep="all")
    assert set(cut) == set(whole)
    for key, value in whole.items():
        np.testing.assert_array_equal(cut[key], value, strict=True)
    assert seen["conv"] >= BATCH
    assert not {op for op in ("conv", "max_pool", "lrn", "add", "concat") if op in seen and not seen[op]}


def test_the_float_run_in_parts_has_the_same_values_and_gives_them_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    graph, _ = front("alexnet")
    names = [n for layer in graph.layers for n in layer.outputs]
    sample = next(iter(prepare(graph, None, 0)))
    whole = FloatRunner(graph, names).run(sample)
    monkeypatch.setattr(images, "LARGE_BYTES", 4 * sum(v.size for v in whole.values()) // 40)
    runner = FloatRunner(graph, names)
    pieces = [piece for piece in runner.each(sample) if piece.name == "conv1/relu"]
    assert [piece.part for piece in pieces] == [slice(k, k + 1) for k in range(BATCH)]
    found = runner.run(sample)
    for name, value in whole.items():
        np.testing.assert_allclose(found[name], value, rtol=1e-4, atol=1e-5)


def layered(op: str, shapes: dict[str, tuple[int, ...]], output: tuple[int, ...], **attrs: object) -> Graph:
    tensors = {n: Tensor(n, s) for n, s in shapes.items()} | {"y": Tensor("y", output)}
    return Graph("g", tensors, (Layer("l", op, tuple(shapes), ("y",), attrs),), tuple(shapes), ("y",))


@pytest.mark.parametrize(
    "graph",
    [
        layered("concat", {"a": (4, 2), "b": (4, 2)}, (8, 2), axis=0),
        layered("softmax", {"a": (4, 2)}, (4, 2), axis=-2),
        layered("transpose", {"a": (4, 4)}, (4, 4), perm=(1, 0)),
        layered("pad", {"a": (4, 2)}, (4, 2), begin=(1, 0), value=0.0),
        layered("slice", {"a": (8, 2)}, (4, 2), starts=(0, 0), steps=(2, 1)),
        layered("add", {"a": (4, 2), "b": (2,)}, (4, 2), activation=None),
    ],
)
def test_layers_that_join_images_stay_whole(graph: Graph, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(images, "LARGE_BYTES", 1)
    assert images.images(graph, graph.layers[0]) == 1


def test_parts_are_equal_and_cover_the_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    graph = layered("relu", {"a": (12, 10)}, (12, 10))
    monkeypatch.setattr(images, "LARGE_BYTES", 4 * 20 * 5)  # five images of operand and result
    ranges = parts(graph, graph.layers, 12)
    assert ranges == [slice(0, 4), slice(4, 8), slice(8, 12)]
    assert fewer(graph, graph.layers, 4).tensors["y"].shape == (4, 10)
