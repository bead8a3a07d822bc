"""An ONNX graph under construction: nodes, parameters, constants, and the shape of every tensor so far."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

from accelc.models.weights import Distribution, draw

OPSET = 17
IR_VERSION = 8
PARAMETER = "parameter"
"""The note on a graph input that stands for a parameter whose values were not made."""
SPAN = "span"
"""The first word of the note on a graph input whose samples are drawn evenly: `span LOW HIGH`."""

Body = Callable[[list[str], list[str]], tuple[Sequence[str], Sequence[str]]]
"""What a Scan repeats: from the states and a step's inputs to the next states and the step's results."""

_OPSETS = [helper.make_opsetid("", OPSET)]
_FLOAT = TensorProto.FLOAT


class GraphBuilder:
    """Collects the nodes of a network; every method returns the name of the tensor it makes.

    Without a seed parameters stay graph inputs of their shapes: enough to check and to count a network.
    """

    def __init__(self, name: str, *, seed: int | None, batch: int = 1) -> None:
        self.name = name
        self.seed = seed
        self.batch = batch
        self._nodes: list[onnx.NodeProto] = []
        self._types: dict[str, onnx.TypeProto] = {}
        self._inputs: list[str] = []
        self._outputs: list[str] = []
        self._spans: dict[str, str] = {}
        self._parameters: dict[str, Distribution] = {}
        self._constants: dict[str, TensorProto] = {}

    def shape(self, tensor: str) -> tuple[int, ...]:
        """Return a tensor's shape, batch first; a shape that depends on values has none."""
        dims = self._types[tensor].tensor_type.shape.dim
        if not all(d.HasField("dim_value") for d in dims):
            raise ValueError(f"the shape of '{tensor}' in '{self.name}' depends on values")
        return tuple(d.dim_value for d in dims)

    def channels(self, tensor: str) -> int:
        """Return the extent of axis 1."""
        return self.shape(tensor)[1]

    def input(
        self, name: str, shape: Sequence[int], kind: int = _FLOAT, *, span: tuple[float, float] | None = None
    ) -> str:
        """Declare a graph input; the batch comes before the shape.

        `span` (low, high) notes that samples are drawn evenly from [low, high), integers below high; without it they
        are standard normal.
        """
        self._declare(name, helper.make_tensor_type_proto(kind, (self.batch, *shape)))
        self._inputs.append(name)
        if span is not None:
            self._spans[name] = f"{SPAN} {span[0]} {span[1]}"
        return name

    def output(self, tensor: str, name: str | None = None) -> str:
        """Declare a tensor a graph output, renaming it when a name is given."""
        if name is not None and name != tensor:
            self._rename(tensor, name)
        self._outputs.append(name or tensor)
        return self._outputs[-1]

    def _rename(self, old: str, new: str) -> None:
        if new in self._types:
            raise ValueError(f"'{self.name}' has a tensor '{new}' already")
        for node in self._nodes:
            for names in (node.input, node.output):
                names[:] = [new if n == old else n for n in names]
        self._types[new] = self._types.pop(old)

    def parameter(self, name: str, shape: Sequence[int], distribution: Distribution) -> str:
        """Add a trained float32 tensor."""
        self._declare(name, helper.make_tensor_type_proto(_FLOAT, shape))
        self._parameters[name] = distribution
        return name

    def constant(self, name: str, values: npt.ArrayLike, dtype: npt.DTypeLike = np.int64) -> str:
        """Add a tensor that is part of the architecture: a Constant node, not a parameter."""
        tensor = numpy_helper.from_array(np.asarray(values, dtype), name)
        self._constants[name] = tensor
        return self.op("Constant", [], name, value=tensor)

    def op(self, kind: str, inputs: Sequence[str], name: str, outputs: int = 1, **attributes: Any) -> str:
        """Add any ONNX operator; its first result carries the node's name, the others `name:1`, `name:2`, ..."""
        results = [name, *(f"{name}:{i}" for i in range(1, outputs))]
        node = helper.make_node(kind, list(inputs), results, name=name, **attributes)
        for result, found in zip(results, self._infer(node), strict=True):
            self._declare(result, found)
        self._nodes.append(node)
        return name

    def scan(self, name: str, states: Sequence[str], inputs: Sequence[str], body: Body) -> list[str]:
        """Add a Scan over axis 0 of the inputs; return the last states and, one row a step, the body's results.

        `body` gets the names of the states and of one step's inputs and returns the next states and the step's results.
        What it builds goes into the Scan's graph; parameters stay with the network, so that all steps share them.
        """
        outer, self._nodes = self._nodes, []
        state = [self._inside(f"{name}/state:{i}", self._types[s].tensor_type.elem_type, self.shape(s))
                 for i, s in enumerate(states)]  # fmt: skip
        step = [self._inside(f"{name}/input:{i}", self._types[s].tensor_type.elem_type, self.shape(s)[1:])
                for i, s in enumerate(inputs)]  # fmt: skip
        following, results = body(state, step)
        given, made = ([helper.make_value_info(n, self._types[n]) for n in names]
                       for names in ((*state, *step), (*following, *results)))  # fmt: skip
        graph, self._nodes = helper.make_graph(self._nodes, f"{name}/body", given, made), outer
        self.op("Scan", [*states, *inputs], name, outputs=len(made), body=graph, num_scan_inputs=len(inputs))
        return [name, *(f"{name}:{i}" for i in range(1, len(made)))]

    def _inside(self, name: str, kind: int, shape: Sequence[int]) -> str:
        """Declare an input of a Scan's body."""
        self._declare(name, helper.make_tensor_type_proto(kind, shape))
        return name

    def _declare(self, name: str, kind: onnx.TypeProto) -> None:
        if name in self._types:
            raise ValueError(f"'{self.name}' has a tensor '{name}' already")
        self._types[name] = kind

    def _infer(self, node: onnx.NodeProto) -> list[onnx.TypeProto]:
        schema = onnx.defs.get_schema(node.op_type, OPSET, node.domain)
        known = {n: self._types[n] for n in node.input if n}
        data = {n: self._constants[n] for n in node.input if n in self._constants}
        try:
            found = onnx.shape_inference.infer_node_outputs(
                schema, node, known, data, opset_imports=_OPSETS, ir_version=IR_VERSION
            )
        except onnx.shape_inference.InferenceError as error:
            raise ValueError(f"{node.op_type} '{node.name}' in '{self.name}': {error}") from error
        return [found[n] for n in node.output]

    def model(self) -> onnx.ModelProto:
        """Return the checked model with the shape of every tensor.

        Checking and inference see parameters as inputs, so that hundreds of megabytes are not copied to look at shapes.
        """
        skeleton = self._skeleton()
        model = helper.make_model(skeleton, opset_imports=_OPSETS, ir_version=IR_VERSION, producer_name="accelc")
        onnx.checker.check_model(model)
        model = onnx.shape_inference.infer_shapes(model, check_type=True, strict_mode=True, data_prop=True)
        if self.seed is not None:
            self._fill(model.graph, self.seed)
        return model

    def values(self, seed: int) -> Iterator[tuple[str, npt.NDArray[np.float32]]]:
        """Yield the parameters in order, each with its values drawn by a seed."""
        for name, distribution in self._parameters.items():
            yield name, draw(seed, name, self.shape(name), distribution)

    def _fill(self, graph: onnx.GraphProto, seed: int) -> None:
        """Make the parameters initializers; each is drawn in place, for large ones are slow to copy."""
        kept = [i for i in graph.input if i.name not in self._parameters]
        del graph.input[:]
        graph.input.extend(kept)
        for name, values in self.values(seed):
            tensor = graph.initializer.add(name=name, dims=values.shape, data_type=_FLOAT)
            tensor.raw_data = values.astype("<f4", copy=False).tobytes()

    def _skeleton(self) -> onnx.GraphProto:
        inputs = [helper.make_value_info(n, self._types[n], doc_string=self._spans.get(n, "")) for n in self._inputs]
        parameters = [helper.make_value_info(n, self._types[n], doc_string=PARAMETER) for n in self._parameters]
        outputs = [helper.make_value_info(n, self._types[n]) for n in self._outputs]
        return helper.make_graph(self._nodes, self.name, [*inputs, *parameters], outputs)
