"""Let layers read and write integer tensors, where the model wrapped a float operator in Dequantize and Quantize."""

from __future__ import annotations

from dataclasses import replace

from accelc.graph import FLOAT, Graph, Layer, Tensor
from accelc.passes.rewrite import Sweep, same_quant
from accelc.passes.spread_quantization import spread_quantization


def absorb_quantization(graph: Graph) -> Graph:
    """Return the graph without the requantize layers that only turn float to integer or back.

    A float tensor takes the scale of the first QuantizeLinear that reads it, also for its other readers; a second,
    different one stays as a `requantize` layer, as does a Dequantize-Quantize pair that changes the scale. A
    quantized tensor has the name of the model's integer tensor, unless it is a graph input or output.
    """
    sweep = Sweep(graph)
    for old in graph.layers:
        layer = sweep.resolved(old)
        if layer.op != "requantize":
            sweep.keep(layer)
            continue
        source, output = sweep.tensors[layer.inputs[0]], sweep.tensors[layer.outputs[0]]
        if _is_float(output) or same_quant(source, output):
            sweep.bypass(layer)
        elif _is_float(source):
            _quantized(sweep, source, layer)
        else:
            sweep.keep(layer)
    return spread_quantization(sweep.result())


def _quantized(sweep: Sweep, source: Tensor, layer: Layer) -> None:
    """Let a float tensor be the integer one that `layer` makes of it, under that one's name if that is possible."""
    output = sweep.tensors[layer.outputs[0]]
    if sweep.producer(source.name) is None or source.name in sweep.graph.outputs:
        sweep.tensors[source.name] = replace(source, dtype=output.dtype, quant=output.quant)
        sweep.bypass(layer)
    else:
        sweep.rename(source.name, output.name)


def _is_float(tensor: Tensor) -> bool:
    return tensor.dtype == FLOAT and tensor.quant is None

