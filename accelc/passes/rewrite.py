"""What passes share: one sweep over the layers in order, in which layers are kept, changed or bypassed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from accelc.graph import Array, Graph, Layer, Quant, Tensor


class Sweep:
    """A graph being rebuilt from its first layer to its last."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.tensors = dict(graph.tensors)
        self.layers: list[Layer] = []
        self._place: dict[str, int] = {}
        self._alias: dict[str, str] = {}
        self._uses = Counter(n for layer in graph.layers for n in layer.inputs) + Counter(graph.outputs)

    def at(self, name: str) -> str:
        """Return the tensor that now holds a value."""
        while name in self._alias:
            name = self._alias[name]
        return name

    def resolved(self, layer: Layer) -> Layer:
        """Return a layer of the old graph with its inputs as they are now."""
        return replace(layer, inputs=tuple(self.at(n) for n in layer.inputs))

    def keep(self, layer: Layer) -> None:
        """Append a layer."""
        for name in layer.outputs:
            self._place[name] = len(self.layers)
        self.layers.append(layer)

    def bypass(self, layer: Layer) -> None:
        """Drop a layer whose output is its first input."""
        source = self.at(layer.inputs[0])
        self._alias[layer.outputs[0]] = source
        self._uses[source] += self._uses[layer.outputs[0]] - 1

    def rename(self, old: str, new: str) -> None:
        """Let the layer that writes `old` write `new` instead, for all readers."""
        layer = self.layers[self._place[old]]
        self.change(old, replace(layer, outputs=tuple(new if n == old else n for n in layer.outputs)))
        self._alias[old] = new
        self._uses[new] += self._uses[old] - 1

    def producer(self, name: str) -> Layer | None:
        """Return the layer, kept so far, that writes a tensor."""
        return self.layers[self._place[name]] if name in self._place else None

    def change(self, name: str, layer: Layer) -> None:
        """Put another layer in the place of the one that writes `name`."""
        place = self._place.pop(name)
        self.layers[place] = layer
        for output in layer.outputs:
            self._place[output] = place

    def private(self, name: str) -> bool:
        """Return whether exactly one layer reads a tensor and it is no graph output."""
        return self._uses[name] == 1 and name not in self.graph.outputs

    def uses(self, name: str) -> int:
        """Return how many operands and graph outputs a tensor is."""
        return self._uses[name]

    def recount(self, gone: Iterable[Layer], made: Layer) -> None:
        """Count operands anew where one layer takes the place of others, which nothing reads any more."""
        for layer in gone:
            self._uses.subtract(layer.inputs)
        self._uses.update(made.inputs)

    def constant(self, name: str, data: Array, quant: Quant | None = None) -> str:
        """Add a constant under a fresh name derived from `name`; return that name."""
        fresh, number = name, 1
        while fresh in self.tensors:
            number += 1
            fresh = f"{name}.{number}"
        self.tensors[fresh] = Tensor(fresh, tuple(data.shape), str(data.dtype), quant, np.ascontiguousarray(data))
        return fresh

    def graph_output_names(self) -> dict[str, str]:
        """Return, for tensors that must take the name of a bypassed graph output, that name."""
        names: dict[str, str] = {}
        fixed = {*self.graph.inputs, *self.graph.outputs, *(n for n, t in self.tensors.items() if t.data is not None)}
        for output in self.graph.outputs:
            kept = self.at(output)
            if kept != output and kept not in fixed and kept not in names:
                names[kept] = output
        return names

    def result(self) -> Graph:
        """Return the new graph; outputs keep their names, by a copying layer where nothing else is possible."""
        names = self.graph_output_names()
        tensors = {names.get(n, n): replace(t, name=names.get(n, n)) for n, t in self.tensors.items() if n not in names}
        tensors |= {new: replace(self.tensors[old], name=new) for old, new in names.items()}
        layers = [_renamed(self.resolved(layer), names) for layer in self.layers]
        for output in self.graph.outputs:
            kept = names.get(self.at(output), self.at(output))
            if kept != output:
                tensors[output] = replace(tensors[kept], name=output)
                layers.append(Layer(f"{output}/copy", "reshape", (kept,), (output,)))
        return self.graph.with_layers(layers, tensors)


def _renamed(layer: Layer, names: Mapping[str, str]) -> Layer:
    inputs = tuple(names.get(n, n) for n in layer.inputs)
    return replace(layer, inputs=inputs, outputs=tuple(names.get(n, n) for n in layer.outputs))


def with_attrs(layer: Layer, **attrs: Any) -> Layer:
    """Return a layer with some attributes changed."""
    return replace(layer, attrs={**layer.attrs, **attrs})


def same_quant(a: Tensor, b: Tensor) -> bool:
    """Return whether two tensors have the same element type, scale and zero point."""
    if a.dtype != b.dtype or (a.quant is None) != (b.quant is None):
        return False
    if a.quant is None or b.quant is None:
        return True
    return (
        np.array_equal(a.quant.scale, b.quant.scale)
        and np.array_equal(a.quant.zero_point, b.quant.zero_point)
        and (a.quant.scale.ndim == 0 or a.quant.axis == b.quant.axis)
    )


def real(tensor: Tensor) -> npt.NDArray[np.float32]:
    """Return a constant's real value: float32((q - zero_point) * scale) if it is quantized."""
    assert tensor.data is not None
    if tensor.quant is None:
        return tensor.data.astype(np.float32)
    shape = [1] * len(tensor.shape)
    if tensor.quant.scale.ndim:
        shape[tensor.quant.axis or 0] = -1
    scale, zero = (v.reshape(shape) if v.ndim else v for v in (tensor.quant.scale, tensor.quant.zero_point))
    return ((tensor.data.astype(np.int64) - zero).astype(np.float32) * scale).astype(np.float32)


def product_before(sweep: Sweep, name: str) -> tuple[Layer, Layer | None] | None:
    """Return the conv or fc, and a reshape behind it, whose float result is `name` and is read only once.

    Through a reshape only when that keeps the last axis of an fc, so that its units stay where they are.
    """
    layer, between = sweep.producer(name), None
    if layer is not None and layer.op == "reshape" and _is_private_float(sweep, name):
        between, source = layer, sweep.at(layer.inputs[0])
        layer = sweep.producer(source)
        if layer is None or layer.op != "fc" or sweep.tensors[source].shape[-1:] != sweep.tensors[name].shape[-1:]:
            return None
        name = source
    if layer is None or layer.op not in ("conv", "fc") or not _is_private_float(sweep, name):
        return None
    return None if layer.attrs["activation"] is not None else (layer, between)


def _is_private_float(sweep: Sweep, name: str) -> bool:
    return sweep.private(name) and sweep.tensors[name].quant is None and sweep.tensors[name].dtype == "float32"


def absorb(sweep: Sweep, found: tuple[Layer, Layer | None], by: Layer, changed: Layer) -> None:
    """Let a product, in its changed form, write what the layer `by` wrote."""
    product, between = found
    changed = replace(changed, source=(*product.source, *by.source))
    if between is None:
        sweep.change(product.outputs[0], replace(changed, outputs=by.outputs))
    else:
        sweep.change(product.outputs[0], changed)
        sweep.change(between.outputs[0], replace(between, outputs=by.outputs))
