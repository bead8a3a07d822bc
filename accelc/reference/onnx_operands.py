"""Attributes and operands of ONNX nodes, from layers of the IR; shared by the integer and the float twin."""

from __future__ import annotations

from typing import Any

import numpy as np

from accelc.graph import Array, Graph, Layer, Tensor, nhwc


def pool_attributes(graph: Graph, layer: Layer) -> dict[str, Any]:
    """Return a pool's ONNX attributes; ceil_mode is 1 when there are more windows than whole ones fit."""
    attrs = {k: list(layer.attrs[k]) for k in ("strides", "pads", "dilations")}
    kernel = list(layer.attrs["kernel"])
    extents = nhwc(graph.tensors[layer.inputs[0]].shape)[1:3]
    windows = nhwc(graph.tensors[layer.outputs[0]].shape)[1:3]
    ceil = False
    for axis in (0, 1):
        room = extents[axis] + attrs["pads"][axis] + attrs["pads"][axis + 2]
        span = (kernel[axis] - 1) * attrs["dilations"][axis] + 1
        ceil |= windows[axis] > (room - span) // attrs["strides"][axis] + 1
    return attrs | {"kernel_shape": kernel, "ceil_mode": int(ceil)}


def slice_operands(layer: Layer, output: Tensor) -> dict[str, Array]:
    """Return the starts, ends, axes and steps of an ONNX Slice, int64."""
    starts, steps = (np.array(layer.attrs[k], np.int64) for k in ("starts", "steps"))
    ends = starts + steps * np.array(output.shape, np.int64)
    # An end before the first element is written as a very negative number: -1 would mean the last one.
    ends = np.where(ends < 0, np.iinfo(np.int64).min, ends)
    return {"starts": starts, "ends": ends, "axes": np.arange(starts.size, dtype=np.int64), "steps": steps}


def pad_widths(layer: Layer, x: Tensor, output: Tensor) -> Array:
    """Return the pads of an ONNX Pad: before each axis, then behind each, int64."""
    begin = np.array(layer.attrs["begin"], np.int64)
    return np.concatenate([begin, np.array(output.shape, np.int64) - begin - np.array(x.shape, np.int64)])
