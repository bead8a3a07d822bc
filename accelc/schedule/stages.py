"""Stages: runs of layers that share a tile on chip, so that only the last result goes to DRAM."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from accelc.errors import ScheduleError
from accelc.graph import ELEMENTWISE, JOIN_OPS, TABLE_OPS, Graph, Layer, Tensor, nhwc
from accelc.schedule.plain import is_plain, streams
from accelc.schedule.views import View, plan_views

MAC_OPS = ("conv", "fc")
WINDOW_OPS = ("max_pool", "avg_pool")
GLOBAL_OPS = ("global_avg_pool", "global_max_pool")
CHANNEL_OPS = ("lrn", "softmax")
VECTOR_OPS = (*TABLE_OPS, *ELEMENTWISE, *WINDOW_OPS, *GLOBAL_OPS, *CHANNEL_OPS)


@dataclass(frozen=True)
class Stage:
    """A head on the MAC array (or None) and the vector steps that follow on the same tile; or one layer by itself.

    `kind` is "tile", "copy" (bytes move), "stream" (32-bit numbers) or "host"; `position` is the index of its last
    layer in the graph; `source` is the tensor whose tile opens the stage.
    """

    kind: str
    head: Layer | None
    steps: tuple[Layer, ...]
    position: int
    source: str

    @property
    def layers(self) -> tuple[Layer, ...]:
        """Return the head and the steps."""
        return (() if self.head is None else (self.head,)) + self.steps

    @property
    def output(self) -> str:
        """Return the name of the tensor the stage stores."""
        return self.layers[-1].outputs[0]


def main_input(graph: Graph, layer: Layer) -> str:
    """Return the operand a layer's tile follows: the first, or if elementwise the one as large as the result."""
    if layer.op not in ELEMENTWISE:
        return layer.inputs[0]
    extents = nhwc(graph.tensors[layer.outputs[0]].shape)
    for name in layer.inputs:
        if graph.tensors[name].data is None and nhwc(graph.tensors[name].shape) == extents:
            return name
    shapes = " and ".join(str(list(graph.tensors[name].shape)) for name in layer.inputs)
    raise ScheduleError(f"layer '{layer.name}' ({layer.op}): {shapes}: one operand must have the result's shape")


def machine_form(graph: Graph) -> Graph:
    """Return the graph with each fc over a flattened map written as a convolution of the whole map."""
    producers, consumers = graph.producers(), graph.consumers()
    tensors = dict(graph.tensors)
    layers = []
    for layer in graph.layers:
        flat = producers.get(layer.inputs[0]) if layer.op == "fc" else None
        if flat is not None and flat.op == "reshape" and _is_flatten(graph, flat):
            layer = _whole_map_conv(layer, flat, tensors)
        layers.append(layer)
    used = {name for layer in layers for name in layer.inputs} | set(graph.outputs)
    dead = {id(p) for p in layers if p.op == "reshape" and p.outputs[0] not in used and consumers[p.outputs[0]]}
    return graph.with_layers([layer for layer in layers if id(layer) not in dead], tensors)


def _is_flatten(graph: Graph, layer: Layer) -> bool:
    before, after = graph.tensors[layer.inputs[0]].shape, graph.tensors[layer.outputs[0]].shape
    return len(before) == 4 and len(after) == 2 and before[0] == after[0]


def _whole_map_conv(layer: Layer, flat: Layer, tensors: dict[str, Tensor]) -> Layer:
    _, channels, height, width = tensors[flat.inputs[0]].shape
    weights = tensors[layer.inputs[1]]
    assert weights.data is not None
    shape = (weights.shape[0], channels, height, width)
    reshaped = replace(weights, name=f"{weights.name}::map", shape=shape, data=weights.data.reshape(shape))
    tensors[reshaped.name] = reshaped
    attrs = {
        **layer.attrs,
        "strides": (1, 1),
        "pads": (0, 0, 0, 0),
        "dilations": (1, 1),
        "group": 1,
    }
    inputs = (flat.inputs[0], reshaped.name, *layer.inputs[2:])
    return replace(layer, op="conv", inputs=inputs, attrs=attrs)


def plan_stages(graph: Graph, views: Mapping[str, View]) -> tuple[Stage, ...]:
    """Return the stages in execution order; a stage runs where its last layer stands."""
    position = {layer.name: k for k, layer in enumerate(graph.layers)}
    consumers = graph.consumers()
    taken: set[str] = set()
    stages = []
    for layer in graph.layers:
        if layer.name in taken or _moves_nothing(layer, views):
            continue
        chain = _chain(graph, layer, consumers, taken)
        taken |= {member.name for member in chain}
        stages.append(_stage(graph, chain, position[chain[-1].name]))
    return tuple(sorted(stages, key=lambda stage: stage.position))


def _stage(graph: Graph, chain: list[Layer], position: int) -> Stage:
    first = chain[0]
    if first.op in MAC_OPS:
        return Stage("tile", first, tuple(chain[1:]), position, first.inputs[0])
    if first.op in VECTOR_OPS:
        return Stage("tile", None, tuple(chain), position, main_input(graph, first))
    near = frozenset(n for n in (*first.inputs, *first.outputs) if n and is_plain(graph.tensors[n]))
    kind = "host" if first.op == "host" else "stream" if streams(first, near) else "copy"
    return Stage(kind, None, (first,), position, next(iter(first.inputs), ""))


def _moves_nothing(layer: Layer, views: Mapping[str, View]) -> bool:
    """Return whether the layer's outputs are already where its inputs lie."""
    if layer.op not in ("slice", "reshape", "transpose", "take"):
        return layer.op in JOIN_OPS and not copied_inputs(layer, views)
    source = views.get(layer.inputs[0])
    return source is not None and views[layer.outputs[0]].region == source.region


def copied_inputs(layer: Layer, views: Mapping[str, View]) -> list[str]:
    """Return the inputs of a concat or interleave that do not lie inside its result."""
    region = views[layer.outputs[0]].region
    return [name for name in layer.inputs if name not in views or views[name].region != region]


def _chain(graph: Graph, first: Layer, consumers: Mapping[str, list[Layer]], taken: set[str]) -> list[Layer]:
    chain = [first]
    if first.op not in (*MAC_OPS, *VECTOR_OPS) or graph.tensors[first.outputs[0]].dtype == "int32":
        return chain
    while True:
        name = chain[-1].outputs[0]
        following = consumers[name]
        if name in graph.outputs or len(following) != 1 or following[0].name in taken:
            return chain
        if not _may_follow(graph, chain, following[0]):
            return chain
        chain.append(following[0])


def _may_follow(graph: Graph, chain: list[Layer], layer: Layer) -> bool:
    name = chain[-1].outputs[0]
    pooled = any(member.op in (*WINDOW_OPS, *GLOBAL_OPS) for member in chain)
    if layer.op in TABLE_OPS:
        return layer.inputs[0] == name
    if layer.op in ELEMENTWISE:
        other = [n for n in layer.inputs if n != name]
        return len(other) == 1 and nhwc(graph.tensors[name].shape) == nhwc(graph.tensors[layer.outputs[0]].shape)
    if layer.op in (*WINDOW_OPS, *GLOBAL_OPS):
        return not pooled and not any(member.op in CHANNEL_OPS for member in chain)
    return layer.op in CHANNEL_OPS and not any(member.op in CHANNEL_OPS for member in chain)


def cut_stage(graph: Graph, stage: Stage) -> tuple[Stage, Stage] | None:
    """Return a stage cut in two, before its pool if it has one, else before its last step; None if it is one layer."""
    layers = stage.layers
    if len(layers) == 1:
        return None
    at = next((k for k, layer in enumerate(layers) if layer.op in (*WINDOW_OPS, *GLOBAL_OPS) and k), len(layers) - 1)
    first, second = cut_behind(graph, stage, [at - 1])
    return first, second


def cut_behind(graph: Graph, stage: Stage, ends: Sequence[int]) -> list[Stage]:
    """Return a stage cut behind its layers of these indices."""
    position = {layer.name: k for k, layer in enumerate(graph.layers)}
    bounds = [0, *(k + 1 for k in ends), len(stage.layers)]
    parts = [list(stage.layers[first:end]) for first, end in pairwise(bounds)]
    return [_stage(graph, part, position[part[-1].name]) for part in parts]


def prepare(graph: Graph) -> tuple[Graph, dict[str, View], tuple[Stage, ...]]:
    """Return the graph in machine form, its views and its stages."""
    graph = machine_form(graph)
    views = plan_views(graph)
    return graph, views, plan_stages(graph, views)
