"""Whole networks: imported quantized models and our own quantized graphs, against ONNX Runtime."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest

from accelc import models
from accelc.frontend import import_onnx
from accelc.graph import Graph, verify_quantized
from accelc.passes import simplify
from accelc.quantize import quantize
from accelc.reference.ort import Level, compare
from tests.onnx_build import model, node
from tests.quant_build import branched, quantized, residual
from tests.reference.graphs import feeds

SMALL = {"residual": residual, "branched": branched}
ZOO = ("alexnet", "googlenet", "vgg11_lrn")
FAMILIES = ("alexnet_grouped", "googlenet", "nin", "resnet18", "resnext50_32x4d", "vgg11_lrn")


def imported(built: onnx.ModelProto) -> Graph:
    return verify_quantized(quantize(simplify(import_onnx(built))))


@pytest.mark.parametrize("level", ["disable", "enable"])
@pytest.mark.parametrize("activations", ["uint8", "int8"])
@pytest.mark.parametrize("name", SMALL)
def test_operator_models_of_onnx_runtime_agree_in_every_bit(
    name: str, activations: str, level: Level, tmp_path: Path
) -> None:
    built = quantized(SMALL[name](), tmp_path, operators=True, activations=activations)
    graph = imported(built)
    for seed in range(3):
        ledger = compare(built, graph, feeds(np.random.default_rng(seed), graph), level=level)
        assert [row for row in (*ledger.layers, *ledger.outputs) if row.mismatches] == []
        assert ledger.elements > 0
        assert level == "enable" or len(ledger.layers) >= 8


@pytest.mark.parametrize("activations", ["uint8", "int8"])
@pytest.mark.parametrize("name", ZOO)
def test_zoo_networks_quantized_by_onnx_runtime(name: str, activations: str, tmp_path: Path) -> None:
    """Networks with LRN, which ONNX Runtime leaves in float, and with concats of different scales.

    Of a maximum that went before a joint, ONNX Runtime's model has the joined parts alone.
    """
    built = quantized(models.build(name, tiny=True), tmp_path, operators=True, activations=activations)
    graph = imported(built)
    ledger = compare(built, graph, feeds(np.random.default_rng(3), graph))
    joints = [layer for layer in graph.layers if layer.op == "concat"]
    parts = {name for layer in joints for name in layer.inputs if name.startswith(f"{layer.outputs[0]}/")}
    known = {layer.outputs[0] for layer in graph.layers if layer.op != "requantize"} - parts
    assert known == {r.tensor for r in ledger.layers}
    assert bool(parts) == (name == "googlenet")
    assert [r for r in ledger.layers if r.mismatches and (r.op not in ("lrn", "softmax") or r.max_lsb > 1)] == []


@pytest.mark.parametrize("activations", ["uint8", "int8"])
@pytest.mark.parametrize("name", FAMILIES)
def test_zoo_networks_agree_with_their_twin_of_integer_operators(name: str, activations: str) -> None:
    """Every layer that ONNX Runtime computes in integers agrees; float ones differ by one step at most."""
    graph = quantize(simplify(import_onnx(models.build(name, tiny=True))), activations=activations)
    ledger = compare(None, graph, feeds(np.random.default_rng(1), graph))
    assert len(ledger.layers) == len(graph.layers)
    assert [r for r in ledger.layers if r.mismatches and (r.op not in ("lrn", "softmax") or r.max_lsb > 1)] == []


def test_host_layers_are_judged_too() -> None:
    nodes = [node("Relu", "x", "r"), node("DFT", "r", "e", axis=1), node("Relu", "e", "y")]
    built = model(nodes, {"x": (1, 8, 1)}, opset=17, out_shape=[1, 8, 2])
    graph = quantize(simplify(import_onnx(built, allow_host=True)))
    ledger = compare(None, graph, feeds(np.random.default_rng(4), graph))
    assert "host" in {r.op for r in ledger.layers}
    assert ledger.max_lsb <= 1
    assert ledger.mismatches == 0


def test_a_model_of_float_operators_is_reported_not_hidden(tmp_path: Path) -> None:
    """Dequantize-float-Quantize models have several results; the ledger names the oracle and counts differences."""
    built = quantized(residual(), tmp_path, operators=False)
    graph = imported(built)
    for level in ("disable", "enable"):
        ledger = compare(built, graph, feeds(np.random.default_rng(2), graph), level=level)  # type: ignore[arg-type]
        assert level in ledger.oracle
        assert "the model" in ledger.oracle
        assert all(r.cause for r in ledger.layers if r.mismatches)
