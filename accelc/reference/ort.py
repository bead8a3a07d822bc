"""ONNX Runtime as the judge of the reference: the same integers into both, and the difference layer by layer.

A model of integer operators (QLinearConv, ...) has one result in ONNX Runtime; a model of Dequantize, float operator,
Quantize has several, by optimization level. Differences go into a ledger, in units of the last place (LSB).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np
import onnx
import onnxruntime as ort

from accelc.arithmetic import dequantize_array, quantize_array
from accelc.errors import InputError
from accelc.graph import QUANTIZED, REAL_OPS, Array, Graph, Layer, Tensor
from accelc.reference.execute import run, run_layer
from accelc.reference.qoperator import FLOAT_TWINS, to_qoperator

Level = Literal["disable", "enable"]

_LEVELS = {
    "disable": ort.GraphOptimizationLevel.ORT_DISABLE_ALL,
    "enable": ort.GraphOptimizationLevel.ORT_ENABLE_ALL,
}
_SPREAD = "carried on from an earlier layer"
_FLOAT = "computed in float between Dequantize and Quantize"


@dataclass(frozen=True)
class Row:
    """The differences of one tensor: how many elements differ, by how many LSB at most, and a histogram of them."""

    layer: str
    op: str
    tensor: str
    elements: int
    mismatches: int
    max_lsb: int
    histogram: Mapping[int, int] = field(default_factory=dict)  # our value less theirs -> elements, 0 left out
    cause: str = ""


@dataclass(frozen=True)
class Ledger:
    """All differences from one oracle: `layers` each fed the oracle's own inputs, `outputs` of the whole network."""

    oracle: str
    layers: tuple[Row, ...]
    outputs: tuple[Row, ...]

    @property
    def elements(self) -> int:
        """Elements of the graph outputs compared."""
        return sum(row.elements for row in self.outputs)

    @property
    def mismatches(self) -> int:
        """Elements of the graph outputs that differ."""
        return sum(row.mismatches for row in self.outputs)

    @property
    def max_lsb(self) -> int:
        """The greatest difference in the graph outputs."""
        return max((row.max_lsb for row in self.outputs), default=0)

    def __str__(self) -> str:
        rows = [("layer", r) for r in self.layers if r.mismatches] + [("output", r) for r in self.outputs]
        lines = [
            f"{kind} {r.layer} ({r.op}): {r.mismatches} of {r.elements} differ, at most {r.max_lsb} LSB"
            f"{' ' + str(dict(r.histogram)) if r.histogram else ''}{': ' + r.cause if r.cause else ''}"
            for kind, r in rows
        ]
        agree = sum(not r.mismatches for r in self.layers)
        return "\n".join([f"oracle: {self.oracle}", f"{agree} of {len(self.layers)} layers agree in every bit", *lines])


def compare(
    model: onnx.ModelProto | None, graph: Graph, inputs: Mapping[str, Array], *, level: Level = "disable"
) -> Ledger:
    """Return where the reference and ONNX Runtime differ on integer inputs (by the graph's input names).

    `model` is what the graph was imported from, or None for the graph's own twin of integer operators. Layers are
    compared by tensor name where the model has a tensor of that name; with level "enable" only outputs are, since
    exposing a tensor changes what ONNX Runtime fuses.
    """
    twin = model is None
    if twin and any(layer.op in REAL_OPS for layer in graph.layers):
        return _by_parts(graph, inputs, level)
    proto = to_qoperator(graph) if model is None else model
    names = list(graph.outputs) if level == "enable" else _shared(proto, graph)
    made = evaluate(proto, _feeds(proto, graph, inputs), names, level=level, signed=_signed(graph))
    theirs = _integers(graph, made)
    theirs |= {n: np.asarray(v) for n, v in inputs.items()}
    rows = tuple(_layer_rows(graph, theirs, twin)) if level != "enable" else ()
    ours = run(graph, inputs)
    exact = not any(r.mismatches for r in rows)
    outputs = tuple(_output_row(graph, n, ours[n], theirs[n], exact) for n in graph.outputs if n in theirs)
    oracle = f"onnxruntime {ort.__version__}, {'twin of integer operators' if twin else 'the model'}, {level}"
    return Ledger(oracle, rows, outputs)


def _by_parts(graph: Graph, inputs: Mapping[str, Array], level: Level) -> Ledger:
    """Return the same for each run of integer layers, fed the reference's values: 32-bit layers have no twin."""
    values = run(graph, inputs, keep="all")
    rows: list[Row] = []
    for part in _integer_parts(graph):
        found = compare(None, part, {n: values[n] for n in part.inputs}, level=level)
        rows += found.layers
    oracle = f"onnxruntime {ort.__version__}, twins of the integer layers between 32-bit ones, {level}"
    return Ledger(oracle, tuple(rows), ())


def _integer_parts(graph: Graph) -> Iterator[Graph]:
    """Yield the runs of layers that have a twin: all but those on 32-bit numbers, raw sums and the host's."""
    pieces: list[list[Layer]] = [[]]
    for layer in graph.layers:
        if any(graph.tensors[n].dtype not in QUANTIZED for n in (*layer.inputs[:1], *layer.outputs)):
            pieces.append([])
        else:
            pieces[-1].append(layer)
    for piece in (p for p in pieces if p):
        made = {n for layer in piece for n in layer.outputs}
        read = dict.fromkeys(n for layer in piece for n in layer.inputs if n and n not in made)
        given = tuple(n for n in read if graph.tensors[n].data is None)
        yield replace(graph, inputs=given, outputs=tuple(made), io_types={}).with_layers(piece)


def evaluate(
    model: onnx.ModelProto,
    feeds: Mapping[str, Array],
    names: Iterable[str],
    *,
    level: Level = "disable",
    signed: bool = False,
) -> dict[str, Array]:
    """Return tensors of a model by ONNX Runtime on one thread; uint8 by int8 products never saturate.

    A model with `signed` (int8) activations is exact without the option that ensures this, and would not load with it.
    """
    wanted = list(names)
    if not wanted:
        return {}
    exposed = onnx.ModelProto()
    exposed.CopyFrom(model)
    declared = {o.name for o in exposed.graph.output}
    exposed.graph.output.extend(onnx.ValueInfoProto(name=n) for n in wanted if n not in declared)
    options, providers = _options(level, signed), ["CPUExecutionProvider"]
    session = ort.InferenceSession(exposed.SerializeToString(), options, providers=providers)
    return dict(zip(wanted, session.run(wanted, dict(feeds)), strict=True))


def _options(level: Level, signed: bool) -> ort.SessionOptions:
    options = ort.SessionOptions()
    options.graph_optimization_level = _LEVELS[level]
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    # Without VNNI, uint8 x int8 kernels saturate at 16 bits unless this is set.
    options.add_session_config_entry("session.x64quantprecision", "0" if signed else "1")
    return options


def _signed(graph: Graph) -> bool:
    return any(t.dtype == "int8" and t.data is None for t in graph.tensors.values())


def _shared(model: onnx.ModelProto, graph: Graph) -> list[str]:
    """Return the graph's activations that the model computes under the same name."""
    known = {name for node in model.graph.node for name in node.output}
    made = {n for layer in graph.layers for n in layer.outputs}
    return [n for n in graph.tensors if n in made and n in known]


def _feeds(model: onnx.ModelProto, graph: Graph, inputs: Mapping[str, Array]) -> dict[str, Array]:
    constants = {i.name for i in model.graph.initializer}
    feeds = {}
    for value in model.graph.input:
        if value.name in constants:
            continue
        if value.name not in inputs:
            raise InputError(f"input '{value.name}' is missing")
        q, tensor = inputs[value.name], graph.tensors[value.name]
        floating = value.type.tensor_type.elem_type == onnx.TensorProto.FLOAT
        feeds[value.name] = dequantize_array(q, tensor.quant) if floating and tensor.quant is not None else q
    return feeds


def _integers(graph: Graph, values: Mapping[str, Array]) -> dict[str, Array]:
    """Return the oracle's tensors as the graph's integers; float ones (before a QuantizeLinear) are quantized."""
    return {name: _as_integers(graph.tensors[name], value) for name, value in values.items()}


def _as_integers(tensor: Tensor, value: Array) -> Array:
    if tensor.quant is not None and np.issubdtype(value.dtype, np.floating):
        value = quantize_array(value, tensor.quant, tensor.dtype)
    return value.reshape(tensor.shape)


def _layer_rows(graph: Graph, theirs: Mapping[str, Array], twin: bool) -> Iterable[Row]:
    values = dict(theirs)
    for layer in graph.layers:
        ours = run_layer(graph, layer, values)
        cause = FLOAT_TWINS.get(layer.op, "") if twin else FLOAT_TWINS.get(layer.op, _FLOAT)
        yield from (_row(layer, n, ours[n], theirs[n], cause) for n in layer.outputs if n in theirs)
        # What the model has no tensor for (a scale changed before a concat) is judged through the next layer.
        values |= {n: v for n, v in ours.items() if n not in theirs}


def _output_row(graph: Graph, name: str, ours: Array, theirs: Array, exact: bool) -> Row:
    layer = graph.producers().get(name, Layer("input", "input", (), (name,)))
    return _row(layer, name, ours, theirs, "" if exact else _SPREAD)


def _row(layer: Layer, name: str, ours: Array, theirs: Array, cause: str) -> Row:
    difference = ours.astype(np.int64) - theirs.astype(np.int64)
    values, counts = np.unique(difference[difference != 0], return_counts=True)
    histogram = {int(v): int(c) for v, c in zip(values, counts, strict=True)}
    count = int(counts.sum())
    most = int(np.abs(values).max(initial=0))
    return Row(layer.name, layer.op, name, difference.size, count, most, histogram, cause if count else "")
