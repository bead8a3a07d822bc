"""Host layers: one ONNX node on whole arrays, between dequantized inputs and quantized outputs."""

from __future__ import annotations

import onnx

from accelc.arithmetic import dequantize_array, quantize_array
from accelc.graph import Array, Tensor
from accelc.isa.hostops import run_node
from accelc.reference.call import Call


def host(call: Call) -> dict[str, Array]:
    """Return the results of the node (see `isa.hostops`)."""
    model = onnx.load_model_from_string(call.attr("model"))
    operands = []
    for index, operand in enumerate(call.operands):
        quant = call.tensor(index).quant
        operands.append(operand if quant is None else dequantize_array(operand, quant))
    described = [call.graph.tensors[n] for n in call.layer.outputs]
    results = run_node(model, operands, [t.shape for t in described])
    return {t.name: _stored(t, r) for t, r in zip(described, results, strict=True)}


def _stored(tensor: Tensor, value: Array) -> Array:
    if tensor.quant is None:
        return value.astype(tensor.dtype)
    return quantize_array(value, tensor.quant, tensor.dtype)
