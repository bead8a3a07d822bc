"""Running a graph in real numbers on ONNX Runtime, with any of its tensors as results.

Results come one after another, a large batch's in parts, and nothing is held longer than a later layer reads it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from functools import partial
from itertools import chain
from types import EllipsisType

import onnx
import onnxruntime as ort

from accelc.arithmetic import dequantize_array, quantize_array
from accelc.graph import FLOAT, LAYOUT_OPS, PLAIN, QUANTIZED, REAL_OPS, Array, Graph, Layer
from accelc.isa.evaluate import evaluate
from accelc.isa.hostops import run_node
from accelc.isa.rows import in_parts
from accelc.quantize.float_graph import to_float_onnx
from accelc.quantize.islands import stays_plain
from accelc.reference.images import fewer, images, parts
from accelc.reference.row_runs import WHOLE, Piece, in_rows, put, row_runs

Values = dict[str, Array]
PIECE_BYTES = 1 << 30
"""What the results of one ONNX model may take together; ONNX Runtime gives them all at once."""


class FloatRunner:
    """A graph ready to run in float32: `names` are the tensors to return."""

    def __init__(self, graph: Graph, names: Iterable[str]) -> None:
        self.graph = graph
        self.names = tuple(dict.fromkeys(names))
        plain = stays_plain(graph)
        found = list(_parts(replace(graph, layers=_needed(graph, self.names)), self.names, plain))
        self._steps = [_STEPS[_kind(part, part.layers[0], plain)](part) for part in found]
        self._last = {name: k for k, part in enumerate(found) for name in part.inputs}

    def run(self, sample: Mapping[str, Array]) -> Values:
        """Return the wanted tensors for one set of real inputs."""
        found: Values = {}
        for piece in self.each(sample):
            put(found, piece, self.graph.tensors[piece.name].shape)
        return {n: found[n] for n in self.names}

    def each(self, sample: Mapping[str, Array]) -> Iterator[Piece]:
        """Yield the wanted tensors in the order they are made; parts of one come in order."""
        values = {name: rounded(self.graph, name, value) for name, value in sample.items()}
        wanted = set(self.names)
        yield from (Piece(name, WHOLE, value) for name, value in values.items() if name in wanted)
        for k, step in enumerate(self._steps):
            for piece in step.run(values):
                if self._last.get(piece.name, -1) > k:
                    put(values, piece, self.graph.tensors[piece.name].shape)
                if piece.name in wanted:
                    yield piece
            for name in [n for n in values if self._last.get(n, -1) <= k]:
                del values[name]


def rounded(graph: Graph, name: str, value: Array) -> Array:
    """Return real values as the tensor can hold them: rounded to its scale if it has one."""
    tensor = graph.tensors[name]
    if tensor.quant is None or tensor.dtype not in QUANTIZED:
        return value
    return dequantize_array(quantize_array(value, tensor.quant, tensor.dtype), tensor.quant)


def _needed(graph: Graph, names: tuple[str, ...]) -> tuple[Layer, ...]:
    """Return the layers on which some of the tensors depend."""
    wanted, kept = set(names), list[Layer]()
    for layer in reversed(graph.layers):
        if wanted.intersection(layer.outputs):
            wanted.update(layer.inputs)
            kept.append(layer)
    return tuple(reversed(kept))


def _parts(graph: Graph, names: tuple[str, ...], plain: frozenset[str]) -> Iterator[Graph]:
    """Yield the graph in pieces: each host layer alone, runs of layers on 32-bit numbers, runs of others.

    A run of others ends where its batch is large and the next layer's is not, and where its results fill PIECE_BYTES.
    """
    pieces: list[list[Layer]] = []
    before, held = ("", 0), 0
    for layer in graph.layers:
        kind = _kind(graph, layer, plain)
        now = kind, images(graph, layer) if kind == "onnx" else 1
        size = 4 * sum(graph.tensors[n].elements for n in layer.outputs)
        full = now == ("onnx", 1) and held + size > PIECE_BYTES
        if now != before or kind == "host" or full:
            pieces.append([])
            held = 0
        pieces[-1].append(layer)
        before, held = now, held + size
    for index, piece in enumerate(pieces):
        later = {n for rest in pieces[index + 1 :] for layer in rest for n in layer.inputs}
        made = {n for layer in piece for n in layer.outputs}
        read = dict.fromkeys(n for layer in piece for n in layer.inputs if n and n not in made)
        inputs = tuple(n for n in read if graph.tensors[n].data is None)
        outputs = tuple(n for n in graph.tensors if n in made and (n in later or n in names))
        if outputs:
            yield replace(graph, inputs=inputs, outputs=outputs).with_layers(piece)


def _kind(graph: Graph, layer: Layer, plain: frozenset[str]) -> str:
    """Return how a layer runs: "host", "real" (as the reference evaluates it) or "onnx"."""
    output = layer.outputs[0]
    moved = layer.op in LAYOUT_OPS and (output in plain or graph.tensors[output].dtype not in (FLOAT, *QUANTIZED))
    return "host" if layer.op == "host" else "real" if layer.op in (*REAL_OPS, "interleave") or moved else "onnx"


class _Real:
    """Layers on 32-bit numbers."""

    def __init__(self, graph: Graph) -> None:
        self._graph = graph
        self._runs = list(row_runs(graph, graph.layers, lambda _: True))
        self._last = {name: k for k, run in enumerate(self._runs) for layer in run.layers for name in layer.inputs}

    def run(self, values: Values) -> Iterator[Piece]:
        held = {n: values[n] for n in self._graph.inputs}
        for k, run in enumerate(self._runs):
            whole = () if run.ranges else run.layers
            pieces = in_rows(self._graph, run, partial(self._operand, held), self._made)
            for piece in chain(pieces, (self._whole(held, layer) for layer in whole)):
                if piece.name in self._graph.outputs:
                    yield piece
                if piece.part is WHOLE or self._last.get(piece.name, -1) > k:
                    put(held, piece, self._graph.tensors[piece.name].shape)
            for name in [n for n in held if self._last.get(n, -1) <= k]:
                del held[name]

    def _whole(self, held: Values, layer: Layer) -> Piece:
        output = layer.outputs[0]
        made = self._made(layer, [self._operand(held, n) for n in layer.inputs], self._graph.tensors[output].shape)
        return Piece(output, WHOLE, made)

    def _made(self, layer: Layer, operands: list[Array], shape: tuple[int, ...]) -> Array:
        made = in_parts(layer.op, layer.attrs, operands, shape, evaluate)
        return rounded(self._graph, layer.outputs[0], made)

    def _operand(self, held: Values, name: str) -> Array:
        tensor = self._graph.tensors[name]
        if tensor.data is None:
            return held[name]
        return tensor.data if tensor.quant is None else dequantize_array(tensor.data, tensor.quant)


class _Segment:
    """Layers that run as one ONNX model, on some images of a large batch at a time."""

    def __init__(self, graph: Graph) -> None:
        self._graph = graph
        count = images(graph, graph.layers[0])
        ranges = parts(graph, graph.layers, count) if count > 1 else []
        narrow = fewer(graph, graph.layers, ranges[0].stop) if ranges else graph
        self._ranges: list[slice | EllipsisType] = [*ranges] or [WHOLE]
        model = to_float_onnx(narrow)
        self._weights = model.weights
        self._session = _session(model.proto.SerializeToString())

    def run(self, values: Values) -> Iterator[Piece]:
        names = list(self._graph.outputs)
        for part in self._ranges:
            feeds = {**{n: values[n][part] for n in self._graph.inputs}, **self._weights}
            for name, value in zip(names, self._session.run(names, feeds), strict=True):
                yield Piece(name, part, value)


def _session(model: bytes) -> ort.InferenceSession:
    options = ort.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    return ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])


class _Host:
    """One host layer."""

    def __init__(self, graph: Graph) -> None:
        self._graph, (self._layer,) = graph, graph.layers
        self._model = onnx.load_model_from_string(self._layer.attrs["model"])

    def run(self, values: Values) -> Iterator[Piece]:
        names, tensors = self._layer.outputs, self._graph.tensors
        results = run_node(self._model, [values[n] for n in self._layer.inputs], [tensors[n].shape for n in names])
        kinds = [tensors[n].dtype if tensors[n].dtype in PLAIN else FLOAT for n in names]
        for name, result, kind in zip(names, results, kinds, strict=True):
            yield Piece(name, WHOLE, rounded(self._graph, name, result.astype(kind)))


_STEPS: Mapping[str, Callable[[Graph], _Real | _Segment | _Host]] = {"real": _Real, "onnx": _Segment, "host": _Host}
