"""Published networks as outlines: counts, maps, kernels, constants, and what a place of a map sees."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy.typing as npt
import onnx
from onnx import numpy_helper

from accelc import models
from accelc.models.count import Counts, Shape, count

Array = npt.NDArray[Any]


@cache
def outline(name: str) -> onnx.ModelProto:
    """Return a network at its published size, without weight values; shared by the tests, so not to be changed."""
    return models.outline(name)


@cache
def published(name: str) -> Counts:
    """Return the counts of a network at its published size."""
    return count(outline(name))


def maps(name: str, *nodes: str) -> list[Shape]:
    """Return the shapes of nodes' results without the batch."""
    found = {n.name: n.shape[1:] for n in published(name).nodes}
    return [found[n] for n in nodes]


def rows(name: str, node: str) -> int:
    """Return the first extent of a node's first result: how many regions it holds."""
    return next(n.shape[0] for n in published(name).nodes if n.name == node)


def outputs(name: str) -> dict[str, Shape]:
    """Return the shapes of a network's outputs."""
    return {o.name: tuple(d.dim_value for d in o.type.tensor_type.shape.dim) for o in outline(name).graph.output}


def number_of(name: str, *operators: str) -> int:
    """Return how many nodes of these operators a network has."""
    return sum(n.op in operators for n in published(name).nodes)


def weight(name: str, layer: str) -> Shape:
    """Return the shape of a layer's weights."""
    parameters = {i.name: i for i in outline(name).graph.input}
    return tuple(d.dim_value for d in parameters[f"{layer}/weight"].type.tensor_type.shape.dim)


def constant(name: str, node: str) -> Array:
    """Return a constant of the architecture."""
    return numpy_helper.to_array(_nodes(name)[node].attribute[0].t)


def attributes(name: str, node: str) -> dict[str, list[int]]:
    """Return the lists among a node's attributes."""
    return {a.name: list(a.ints) for a in _nodes(name)[node].attribute}


def dilated(name: str, node: str) -> int:
    """Return how many pixels of its input a convolution's kernel spans: 1 + rate * (kernel - 1)."""
    found = attributes(name, node)
    return 1 + found["dilations"][0] * (found["kernel_shape"][0] - 1)


def field(name: str, node: str) -> tuple[int, int]:
    """Return the extent of the image that one place of a map sees, and how far neighboring places are apart."""
    nodes, path = _nodes(name), [node]
    while nodes[path[-1]].input[0] in nodes:
        path.append(nodes[path[-1]].input[0])
    extent = stride = 1
    for step in reversed(path):
        found = attributes(name, step)
        if "kernel_shape" in found:
            extent += stride * found.get("dilations", [1])[0] * (found["kernel_shape"][0] - 1)
            stride *= found["strides"][0]
    return extent, stride


def _nodes(name: str) -> dict[str, onnx.NodeProto]:
    return {n.name: n for n in outline(name).graph.node}
