"""Products that only 32-bit layers read keep their exact sums: scaled to real numbers, not rounded to bytes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from accelc.graph import FLOAT, Graph, Layer, Tensor

PRODUCTS = ("conv", "fc")


def keep_sums(graph: Graph) -> Graph:
    """Return a quantized graph in which a product with a float32 result writes int32 sums, and a map scales them.

    real = f32(sum) * f32(sx * sw[c]) for each output channel c; the bias is in the sum already.
    """
    tensors, layers = dict(graph.tensors), []
    for layer in graph.layers:
        output = tensors[layer.outputs[0]]
        if layer.op not in PRODUCTS or output.dtype != FLOAT or output.quant is not None:
            layers.append(layer)
            continue
        sums = Tensor(f"{output.name}/sums", output.shape, "int32")
        scale = _scale(tensors, layer, len(output.shape))
        tensors |= {sums.name: sums, scale.name: scale}
        layers.append(replace(layer, outputs=(sums.name,)))
        steps = (("to_float", 0), ("mul", 2, 1))
        layers.append(
            Layer(f"{layer.name}/scale", "map", (sums.name, scale.name), layer.outputs, {"steps": steps}, layer.source)
        )
    return graph.with_layers(layers, tensors)


def _scale(tensors: dict[str, Tensor], layer: Layer, rank: int) -> Tensor:
    x, w = (tensors[n].quant for n in layer.inputs[:2])
    assert x is not None
    assert w is not None
    channels = tensors[layer.inputs[1]].shape[0]
    product = np.multiply(x.scale, np.broadcast_to(w.scale, (channels,)), dtype=np.float32)
    shape = (1, channels, *(1,) * (rank - 2))
    return Tensor(f"{layer.name}/scale", shape, FLOAT, None, np.ascontiguousarray(product.reshape(shape)))
