"""Sequences that exporters write for `split`, `chunk` and `unbind`: pieces taken at constant places become slices."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
import onnx
from onnx import helper, numpy_helper

from accelc.graph import Array


def rewrite_sequences(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return the model with each `SequenceAt` a split's sequence at a constant place as a slice of what was split."""
    splits = {n.output[0]: n for n in model.graph.node if n.op_type == "SplitToSequence"}
    if not splits:
        return model
    known = dict(_constants(model.graph))
    result = onnx.ModelProto()
    result.CopyFrom(model)
    del result.graph.node[:]
    for node in model.graph.node:
        split = splits.get(node.input[0]) if node.op_type == "SequenceAt" else None
        result.graph.node.extend([node] if split is None else _slice(node, split, known) or [node])
    read = {name for node in result.graph.node for name in node.input} | {o.name for o in result.graph.output}
    kept = [n for n in result.graph.node if n.op_type != "SplitToSequence" or n.output[0] in read]
    del result.graph.node[:]
    result.graph.node.extend(kept)
    return result


def _constants(graph: onnx.GraphProto) -> Iterator[tuple[str, Array]]:
    """Yield the integers of a graph that are known as they stand."""
    yield from ((t.name, numpy_helper.to_array(t)) for t in graph.initializer if t.data_type == t.INT64)
    for node in graph.node:
        value = helper.get_node_attr_value(node, node.attribute[0].name) if node.op_type == "Constant" else None
        if isinstance(value, onnx.TensorProto):
            yield node.output[0], numpy_helper.to_array(value)
        elif value is not None and node.attribute[0].name in ("value_int", "value_ints"):
            yield node.output[0], np.asarray(value, np.int64)


def _slice(node: onnx.NodeProto, split: onnx.NodeProto, known: Mapping[str, Array]) -> list[onnx.NodeProto] | None:
    """Return the nodes that give one piece, None if it is not known which."""
    attrs = {a.name: helper.get_attribute_value(a) for a in split.attribute}
    sized = len(split.input) > 1 and bool(split.input[1])
    index, sizes = known.get(node.input[1]), known.get(split.input[1]) if sized else np.asarray(1)
    if index is None or sizes is None:
        return None
    axis, place, name = attrs.get("axis", 0), int(index.reshape(-1)[0]), node.output[0]
    if not (-sizes.size if sizes.ndim else 0) <= place < (sizes.size if sizes.ndim else np.inf):
        return None
    given: dict[str, int | list[int]] = {f"{name}/axis": [axis]}
    if not sized and not attrs.get("keepdims", 1):
        given = {f"{name}/place": place}
        last = helper.make_node("Gather", [split.input[0], *given], [name], name=node.name, axis=axis)
    else:
        start, stop = _span(sizes, place)
        given = {f"{name}/start": [start], f"{name}/stop": [stop], **given}
        last = helper.make_node("Slice", [split.input[0], *given], [name], name=node.name)
    made = [numpy_helper.from_array(np.asarray(value, np.int64)) for value in given.values()]
    return [*(helper.make_node("Constant", [], [n], value=v) for n, v in zip(given, made, strict=True)), last]


def _span(sizes: Array, place: int) -> tuple[int, int]:
    if not sizes.ndim:
        return place * int(sizes), (place + 1) * int(sizes)
    ends = np.cumsum(sizes)
    return int(ends[place] - sizes[place]), int(ends[place])
