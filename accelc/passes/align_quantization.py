"""Let layers that only move elements keep the scale: what changes it becomes a requantize layer of its own."""

from __future__ import annotations

from dataclasses import replace

from accelc.graph import JOIN_OPS, QUANTIZED, Graph, Layer
from accelc.passes.rewrite import Sweep, same_quant

_AFTER = ("reshape", "transpose", "slice", "max_pool", "global_max_pool")
_BEFORE = ("pad", *JOIN_OPS)


def align_quantization(graph: Graph) -> Graph:
    """Return the graph in which selecting layers, pad and concat have inputs and output of one scale.

    Selecting commutes with requantizing exactly, so it comes first, on the scale of its input; pad and concat write the
    scale of their output, so their inputs are requantized.
    """
    sweep = Sweep(graph)
    for layer in graph.layers:
        if layer.op in _AFTER and _differs(sweep, layer.inputs[0], layer.outputs[0]):
            _requantize_after(sweep, layer)
        elif layer.op in _BEFORE:
            _requantize_before(sweep, layer)
        else:
            sweep.keep(layer)
    return sweep.result()


def _differs(sweep: Sweep, source: str, output: str) -> bool:
    a, b = sweep.tensors[source], sweep.tensors[output]
    return a.dtype in QUANTIZED and b.dtype in QUANTIZED and None not in (a.quant, b.quant) and not same_quant(a, b)


def _fresh(sweep: Sweep, name: str) -> str:
    while name in sweep.tensors:
        name += "'"
    return name


def _requantize_after(sweep: Sweep, layer: Layer) -> None:
    source, output = sweep.tensors[layer.inputs[0]], sweep.tensors[layer.outputs[0]]
    middle = _fresh(sweep, f"{output.name}/unscaled")
    sweep.tensors[middle] = replace(output, name=middle, dtype=source.dtype, quant=source.quant)
    sweep.keep(replace(layer, outputs=(middle,)))
    sweep.keep(Layer(f"{layer.name}/requantize", "requantize", (middle,), (output.name,), {}, layer.source))


def _requantize_before(sweep: Sweep, layer: Layer) -> None:
    output = sweep.tensors[layer.outputs[0]]
    inputs: list[str] = []
    for index, name in enumerate(layer.inputs):
        if not _differs(sweep, name, output.name):
            inputs.append(name)
            continue
        scaled = _fresh(sweep, f"{name}/for.{layer.name}.{index}")
        sweep.tensors[scaled] = replace(sweep.tensors[name], name=scaled, dtype=output.dtype, quant=output.quant)
        sweep.keep(Layer(f"{layer.name}/requantize{index}", "requantize", (name,), (scaled,), {}, layer.source))
        inputs.append(scaled)
    sweep.keep(replace(layer, inputs=tuple(inputs)))


