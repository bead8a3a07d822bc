"""Host layers: one ONNX node in float32, between dequantized inputs and quantized outputs."""

from __future__ import annotations

import onnx
from onnx.reference import ReferenceEvaluator

from accelc.arithmetic import dequantize_array, quantize_array
from accelc.graph import Array, Tensor
from accelc.reference.call import Call


def host(call: Call) -> dict[str, Array]:
    """Return the results of the node by ONNX's own reference implementation."""
    model = onnx.load_model_from_string(call.attr("model"))
    feeds = {}
    for index, (value, operand) in enumerate(zip(model.graph.input, call.operands, strict=True)):
        quant = call.tensor(index).quant
        feeds[value.name] = operand if quant is None else dequantize_array(operand, quant)
    names = [o.name for o in model.graph.output]
    results = ReferenceEvaluator(model).run(names, feeds)
    described = [call.graph.tensors[n] for n in call.layer.outputs]
    return {t.name: _quantized(t, r) for t, r in zip(described, results, strict=True)}


def _quantized(tensor: Tensor, value: Array) -> Array:
    if tensor.quant is None:
        return value.astype(tensor.dtype).reshape(tensor.shape)
    return quantize_array(value, tensor.quant, tensor.dtype).reshape(tensor.shape)
