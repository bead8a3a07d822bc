"""Running a graph in real numbers on ONNX Runtime, with any of its tensors as results."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace

import onnx
import onnxruntime as ort

from accelc.arithmetic import dequantize_array, quantize_array
from accelc.graph import FLOAT, LAYOUT_OPS, PLAIN, QUANTIZED, REAL_OPS, Array, Graph, Layer
from accelc.isa.evaluate import evaluate
from accelc.isa.hostops import run_node
from accelc.quantize.float_graph import to_float_onnx
from accelc.quantize.islands import stays_plain

Values = dict[str, Array]


class FloatRunner:
    """A graph ready to run in float32: `names` are the tensors to return."""

    def __init__(self, graph: Graph, names: Iterable[str]) -> None:
        self.graph = graph
        self.names = tuple(dict.fromkeys(names))
        plain = stays_plain(graph)
        parts = _parts(graph, self.names, plain)
        self._steps = [_STEPS[_kind(part, part.layers[0], plain)](part) for part in parts]

    def run(self, sample: Mapping[str, Array]) -> Values:
        """Return the wanted tensors for one set of real inputs."""
        values = {name: rounded(self.graph, name, value) for name, value in sample.items()}
        for step in self._steps:
            values |= step.run(values)
        return {n: values[n] for n in self.names}


def rounded(graph: Graph, name: str, value: Array) -> Array:
    """Return real values as the tensor can hold them: rounded to its scale if it has one."""
    tensor = graph.tensors[name]
    if tensor.quant is None or tensor.dtype not in QUANTIZED:
        return value
    return dequantize_array(quantize_array(value, tensor.quant, tensor.dtype), tensor.quant)


def _parts(graph: Graph, names: tuple[str, ...], plain: frozenset[str]) -> Iterator[Graph]:
    """Yield the graph in pieces: each host layer alone, runs of layers on 32-bit numbers, runs of others."""
    pieces: list[list[Layer]] = []
    for layer in graph.layers:
        kinds = {_kind(graph, near, plain) for near in (layer, *(p[-1] for p in pieces[-1:]))}
        if not pieces or len(kinds) > 1 or "host" in kinds:
            pieces.append([])
        pieces[-1].append(layer)
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

    def run(self, values: Values) -> Values:
        held = dict(values)
        for layer in self._graph.layers:
            operands = [self._operand(held, n) for n in layer.inputs]
            output = self._graph.tensors[layer.outputs[0]]
            made = evaluate(layer.op, layer.attrs, operands, output.shape)
            held[output.name] = rounded(self._graph, output.name, made)
        return {n: held[n] for n in self._graph.outputs}

    def _operand(self, held: Values, name: str) -> Array:
        tensor = self._graph.tensors[name]
        if tensor.data is None:
            return held[name]
        return tensor.data if tensor.quant is None else dequantize_array(tensor.data, tensor.quant)


class _Segment:
    """Layers that run as one ONNX model."""

    def __init__(self, graph: Graph) -> None:
        options = ort.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = 3
        self._graph = graph
        model = to_float_onnx(graph)
        self._weights = model.weights
        serialized = model.proto.SerializeToString()
        self._session = ort.InferenceSession(serialized, options, providers=["CPUExecutionProvider"])

    def run(self, values: Values) -> Values:
        feeds = {**{n: values[n] for n in self._graph.inputs}, **self._weights}
        return dict(zip(self._graph.outputs, self._session.run(list(self._graph.outputs), feeds), strict=True))


class _Host:
    """One host layer."""

    def __init__(self, graph: Graph) -> None:
        self._graph, (self._layer,) = graph, graph.layers
        self._model = onnx.load_model_from_string(self._layer.attrs["model"])

    def run(self, values: Values) -> Values:
        names, tensors = self._layer.outputs, self._graph.tensors
        results = run_node(self._model, [values[n] for n in self._layer.inputs], [tensors[n].shape for n in names])
        kinds = [tensors[n].dtype if tensors[n].dtype in PLAIN else FLOAT for n in names]
        return {n: rounded(self._graph, n, r.astype(k)) for n, r, k in zip(names, results, kinds, strict=True)}


_STEPS: Mapping[str, Callable[[Graph], _Real | _Segment | _Host]] = {"real": _Real, "onnx": _Segment, "host": _Host}
