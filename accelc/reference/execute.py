"""Running a quantized graph, layer after layer."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from types import MappingProxyType
from typing import Literal

import numpy as np

from accelc.arithmetic import dequantize_array, quantize_array
from accelc.errors import InputError, ModelError, UnsupportedError
from accelc.graph import LAYOUT_OPS, PLAIN, REAL_OPS, TABLE_OPS, WIDE, Array, Graph, Layer, verify_quantized
from accelc.isa.evaluate import evaluate
from accelc.isa.rows import in_parts
from accelc.reference import conv, elementwise, layout, normalize, pool, table, wide
from accelc.reference.call import Call
from accelc.reference.host import host
from accelc.reference.images import fewer, images, parts
from accelc.reference.row_runs import WHOLE, Piece, RowRun, in_rows, put, row_runs

Mode = Literal["float32", "fixed"]

KERNELS: Mapping[str, Callable[[Call], Array]] = MappingProxyType(
    {
        "conv": conv.conv,
        "fc": conv.fc,
        "add": elementwise.add,
        "sub": elementwise.sub,
        "mul": elementwise.mul,
        "max_pool": pool.max_pool,
        "avg_pool": pool.avg_pool,
        "global_avg_pool": pool.global_avg_pool,
        "global_max_pool": pool.global_max_pool,
        "lrn": normalize.lrn,
        "softmax": normalize.softmax,
        "concat": layout.concat,
        "interleave": layout.interleave,
        "slice": layout.slice_,
        "pad": layout.pad,
        "reshape": layout.reshape,
        "transpose": layout.transpose,
        **dict.fromkeys(TABLE_OPS, table.lookup),
    }
)
# Layers of 16-bit operands whose rule is another one.
WIDE_KERNELS: Mapping[str, Callable[[Call], Array]] = MappingProxyType(
    {
        "add": wide.add,
        "sub": wide.sub,
        "mul": wide.mul,
        "global_avg_pool": wide.global_avg_pool,
        "softmax": wide.softmax,
        "lrn": wide.lrn,
        **dict.fromkeys(TABLE_OPS, wide.function),
    }
)


def run(
    graph: Graph,
    inputs: Mapping[str, Array],
    *,
    requantize: Mode = "float32",
    keep: Iterable[str] | Literal["outputs", "all"] = "outputs",
) -> dict[str, Array]:
    """Return the integers of a quantized graph's tensors by name: its outputs, those in `keep`, or "all" activations.

    `inputs` are integers of the graph inputs' types and shapes; `requantize` is the mode of conv, fc and
    global_avg_pool.
    """
    return dict(stream(graph, inputs, requantize=requantize, keep=keep))


def stream(
    graph: Graph,
    inputs: Mapping[str, Array],
    *,
    requantize: Mode = "float32",
    keep: Iterable[str] | Literal["outputs", "all"] = "outputs",
) -> Iterator[tuple[str, Array]]:
    """Yield what `run` returns, each tensor when its layer has run; nothing is held longer than a layer reads it."""
    held: dict[str, Array] = {}
    for piece in pieces(graph, inputs, requantize=requantize, keep=keep):
        put(held, piece, graph.tensors[piece.name].shape)
        if ends(graph, piece):
            yield piece.name, held.pop(piece.name)


def pieces(
    graph: Graph,
    inputs: Mapping[str, Array],
    *,
    requantize: Mode = "float32",
    keep: Iterable[str] | Literal["outputs", "all"] = "outputs",
) -> Iterator[Piece]:
    """Yield what `stream` does, large tensors of 32-bit numbers some rows at a time, in order."""
    verify_quantized(graph)
    wanted = _wanted(graph, keep)
    values = {name: _checked(graph, name, inputs) for name in graph.inputs}
    if extra := sorted(set(inputs) - set(graph.inputs)):
        raise InputError(f"no input is called '{extra[0]}'; the inputs are {', '.join(graph.inputs)}")
    yield from (Piece(name, WHOLE, value) for name, value in values.items() if name in wanted)
    runs = list(row_runs(graph, graph.layers, partial(_on_plain, graph)))
    last = {name: k for k, run in enumerate(runs) for layer in run.layers for name in layer.inputs}
    for k, run in enumerate(runs):
        for piece in _run_pieces(graph, run, values, requantize):
            if piece.name in wanted:
                yield piece
            if piece.part is WHOLE or last.get(piece.name, -1) > k:
                put(values, piece, graph.tensors[piece.name].shape)
        for name in [n for n in values if last.get(n, -1) <= k]:
            del values[name]
    yield from _constant_outputs(graph, wanted)


def ends(graph: Graph, piece: Piece) -> bool:
    """Return whether a piece is its tensor's last."""
    return not isinstance(piece.part, slice) or piece.part.stop == graph.tensors[piece.name].shape[0]


def _constant_outputs(graph: Graph, wanted: set[str]) -> Iterator[Piece]:
    made = {*graph.inputs, *(n for layer in graph.layers for n in layer.outputs)}
    for name in graph.outputs:
        data = graph.tensors[name].data
        if name in wanted and name not in made and data is not None:
            yield Piece(name, WHOLE, data)


def _run_pieces(graph: Graph, run: RowRun, values: Mapping[str, Array], requantize: Mode) -> Iterator[Piece]:
    """Yield the results of layers that are run together, or of one after the other."""
    if run.ranges:
        yield from in_rows(graph, run, lambda name: _operand(graph, name, values), partial(_plain, graph))
        return
    for layer in run.layers:
        for name, value in run_layer(graph, layer, values, requantize=requantize).items():
            yield Piece(name, WHOLE, value)


def _on_plain(graph: Graph, layer: Layer) -> bool:
    """Return whether a layer works on 32-bit numbers, as the vector unit evaluates it."""
    return layer.op in REAL_OPS or (graph.tensors[layer.outputs[0]].dtype in PLAIN and layer.op in LAYOUT_OPS)


def run_layer(
    graph: Graph, layer: Layer, values: Mapping[str, Array], *, requantize: Mode = "float32"
) -> dict[str, Array]:
    """Return one layer's results from the integers of its inputs, by tensor name; constants come from the graph."""
    if requantize not in ("float32", "fixed"):
        raise InputError(f"requantize='{requantize}' is unknown; float32 or fixed would work")
    operands = tuple(_operand(graph, name, values) for name in layer.inputs if name)
    call = Call(graph, layer, operands, requantize == "fixed")
    if layer.op == "host":
        return host(call)
    if _on_plain(graph, layer):
        return {layer.outputs[0]: _plain(graph, layer, operands, call.output.shape)}
    if layer.op not in KERNELS:
        raise UnsupportedError(f"layer '{layer.name}': the reference has no integer rule for op '{layer.op}'")
    kernels = {**KERNELS, **WIDE_KERNELS} if graph.tensors[layer.inputs[0]].dtype == WIDE else KERNELS
    result, output = _by_images(call, kernels[layer.op]), graph.tensors[layer.outputs[0]]
    if result.shape != output.shape or str(result.dtype) != output.dtype:
        raise ModelError(
            f"layer '{layer.name}' ({layer.op}) gives {result.dtype}{list(result.shape)}, "
            f"but '{output.name}' is {output.dtype}{list(output.shape)}"
        )
    return {output.name: result}


def _by_images(call: Call, kernel: Callable[[Call], Array]) -> Array:
    """Return a layer's result, of a large batch worked off some images at a time."""
    count = images(call.graph, call.layer)
    if count == 1:
        return kernel(call)
    ranges = parts(call.graph, [call.layer], count)
    graph = fewer(call.graph, [call.layer], ranges[0].stop)
    names = [n for n in call.layer.inputs if n]
    cut = [graph.tensors[n].data is None for n in names]
    found: Array | None = None
    for part in ranges:
        operands = tuple(x[part] if c else x for x, c in zip(call.operands, cut, strict=True))
        made = kernel(Call(graph, call.layer, operands, call.fixed))
        found = np.empty((count, *made.shape[1:]), made.dtype) if found is None else found
        found[part] = made
    assert found is not None
    return found


def _plain(graph: Graph, layer: Layer, operands: Sequence[Array], shape: tuple[int, ...]) -> Array:
    """Return (rows of) the result of a layer of 32-bit numbers; operands become real, the result what its tensor is."""
    output, names = graph.tensors[layer.outputs[0]], [n for n in layer.inputs if n]
    quants = [graph.tensors[n].quant for n in names]
    real = [x if q is None else dequantize_array(x, q) for x, q in zip(operands, quants, strict=True)]
    result = in_parts(layer.op, layer.attrs, real, shape, evaluate)
    if output.quant is not None:
        result = quantize_array(result, output.quant, output.dtype)
    if result.shape != shape or str(result.dtype) != output.dtype:
        raise ModelError(
            f"layer '{layer.name}' ({layer.op}) gives {result.dtype}{list(result.shape)}, "
            f"but '{output.name}' is {output.dtype}{list(shape)}"
        )
    return result


def _operand(graph: Graph, name: str, values: Mapping[str, Array]) -> Array:
    data = graph.tensors[name].data
    return values[name] if data is None else data


def _wanted(graph: Graph, keep: Iterable[str] | str) -> set[str]:
    if keep == "all":
        return {*graph.inputs, *graph.outputs, *(n for layer in graph.layers for n in layer.outputs)}
    return set(graph.outputs) if keep == "outputs" else set(keep)


def _checked(graph: Graph, name: str, inputs: Mapping[str, Array]) -> Array:
    tensor = graph.tensors[name]
    if name not in inputs:
        raise InputError(f"input '{name}' ({tensor.dtype}{list(tensor.shape)}) is missing")
    value = np.asarray(inputs[name])
    if value.shape != tensor.shape or str(value.dtype) != tensor.dtype:
        raise InputError(
            f"input '{name}' is {value.dtype}{list(value.shape)}, expected {tensor.dtype}{list(tensor.shape)}"
        )
    return value
