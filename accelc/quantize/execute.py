"""Running a graph in real numbers on ONNX Runtime, with any of its tensors as results."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace

import onnx
import onnxruntime as ort
from onnx.reference import ReferenceEvaluator

from accelc.arithmetic import dequantize_array, quantize_array
from accelc.graph import QUANTIZED, Array, Graph, Layer
from accelc.quantize.float_graph import to_float_onnx

Values = dict[str, Array]


class FloatRunner:
    """A graph ready to run in float32: `names` are the tensors to return."""

    def __init__(self, graph: Graph, names: Iterable[str]) -> None:
        self.graph = graph
        self.names = tuple(dict.fromkeys(names))
        self._steps = [_Segment(p) if p.layers[0].op != "host" else _Host(p) for p in _parts(graph, self.names)]

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


def _parts(graph: Graph, names: tuple[str, ...]) -> Iterator[Graph]:
    """Yield the graph in pieces: each host layer alone, the layers between them together."""
    pieces: list[list[Layer]] = []
    for layer in graph.layers:
        alone = layer.op == "host" or not pieces or pieces[-1][-1].op == "host"
        if alone:
            pieces.append([])
        pieces[-1].append(layer)
    for index, piece in enumerate(pieces):
        later = {n for rest in pieces[index + 1 :] for layer in rest for n in layer.inputs}
        made = {n for layer in piece for n in layer.outputs}
        read = dict.fromkeys(n for layer in piece for n in layer.inputs if n and n not in made)
        inputs = tuple(n for n in read if graph.tensors[n].data is None)
        outputs = tuple(n for n in graph.tensors if n in made and (n in later or n in names))
        yield replace(graph, inputs=inputs, outputs=outputs).with_layers(piece)


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
        operands = (values[n] for n in self._layer.inputs)
        feeds = {i.name: v for i, v in zip(self._model.graph.input, operands, strict=True)}
        names = [o.name for o in self._model.graph.output]
        results = ReferenceEvaluator(self._model).run(names, feeds)
        return {n: rounded(self._graph, n, r) for n, r in zip(self._layer.outputs, results, strict=True)}
