"""Quantization to 16 bits: types, zero points, how near the float model it stays, and what it refuses."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from accelc import models
from accelc.errors import ModelError
from accelc.frontend import import_onnx
from accelc.graph import Graph, Quant, verify_quantized
from accelc.passes import simplify
from accelc.quantize import accuracy, quantize

NETWORKS = ("mlp", "alexnet", "googlenet", "nin", "resnet18", "vgg11_lrn")


def graph_of(name: str) -> Graph:
    return simplify(import_onnx(models.build(name, tiny=True)))


@pytest.mark.parametrize("name", NETWORKS)
def test_sixteen_bits_are_far_nearer_the_float_model(name: str) -> None:
    """Each of 8 further bits is worth 6 dB; convolutions, pools, LRN and softmax by the reference."""
    graph = graph_of(name)
    result = quantize(graph, activations="int16")
    assert all(ratio > 70 for ratio in accuracy(graph, result).outputs.values())


def test_types_and_zero_points() -> None:
    """Everything is int16 around 0; biases are int64 in units of input times weight scale."""
    result = quantize(graph_of("resnet18"), activations="int16")
    assert {t.dtype for t in result.tensors.values() if t.data is None} == {"int16"}
    for layer in result.layers:
        if layer.op in ("conv", "fc"):
            _, w, bias = (result.tensors[n] for n in layer.inputs)
            assert (w.dtype, bias.dtype) == ("int16", "int64")
            assert w.data is not None
            assert np.abs(w.data.astype(np.int64)).max() == 32767
    assert not any(t.quant.zero_point.any() for t in result.tensors.values() if t.quant is not None)


def test_two_widths_in_one_graph_are_refused() -> None:
    """A graph is all of 8 bits or all of 16, and 16-bit tensors have no zero point."""
    graph = quantize(graph_of("mlp"), activations="int16")
    name = graph.inputs[0]
    narrow = replace(graph.tensors[name], dtype="int8")
    with pytest.raises(ModelError, match=f"'{name}' is int8 and .* is int16"):
        verify_quantized(replace(graph, tensors={**graph.tensors, name: narrow}))
    shifted = replace(graph.tensors[name], quant=Quant.per_tensor(0.1, 3))
    with pytest.raises(ModelError, match="zero point must be 0"):
        verify_quantized(replace(graph, tensors={**graph.tensors, name: shifted}))
