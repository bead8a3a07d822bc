"""ONNX's backend interface: models and nodes on a simulated chip, in 32-bit numbers.

`prepare` compiles; an operand that decides a shape (a target shape, pads, repeats, ...) must be known to compile, so a
model with such inputs is compiled when it is run, for the values given.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import helper, numpy_helper
from onnx.backend.base import Backend, BackendRep

from accelc import api
from accelc.api import Program
from accelc.errors import ModelError

Array = npt.NDArray[Any]

CHIP = "edge"

SHAPING: Mapping[str, tuple[int, ...]] = MappingProxyType(
    {
        "AffineGrid": (1,), "BlackmanWindow": (0,), "CenterCropPad": (1,), "Col2Im": (1, 2), "Compress": (1,),
        "ConstantOfShape": (0,), "ConvInteger": (1, 2, 3), "CumSum": (1,), "DequantizeLinear": (1, 2),
        "Expand": (1,), "HammingWindow": (0,), "HannWindow": (0,), "If": (0,), "Loop": (0, 1),
        "MatMulInteger": (1, 2, 3), "MaxUnpool": (2,), "NonMaxSuppression": (2, 3, 4), "OneHot": (1,),
        "Pad": (1, 2, 3), "QLinearConv": (1, 2, 3, 4, 5, 6, 7, 8), "QLinearMatMul": (1, 2, 3, 4, 5, 6, 7),
        "QuantizeLinear": (1, 2), "Range": (0, 1, 2), "ReduceL1": (1,), "ReduceL2": (1,), "ReduceLogSum": (1,),
        "ReduceLogSumExp": (1,), "ReduceMax": (1,), "ReduceMean": (1,), "ReduceMin": (1,), "ReduceProd": (1,),
        "ReduceSum": (1,), "ReduceSumSquare": (1,), "Reshape": (1,), "Resize": (1, 2, 3), "Slice": (1, 2, 3, 4),
        "Split": (1,), "SplitToSequence": (1,), "Squeeze": (1,), "Tile": (1, 2), "TopK": (1,), "Trilu": (1,),
        "Unsqueeze": (1,), "Upsample": (1,),
    }
)  # fmt: skip
"""Operands that must be known to compile, by operator."""


def shaping_inputs(model: onnx.ModelProto) -> list[str]:
    """Return the graph inputs that decide shapes."""
    named = {node.input[k] for node in model.graph.node for k in SHAPING.get(node.op_type, ()) if k < len(node.input)}
    return [i.name for i in model.graph.input if i.name in named]


def bound(model: onnx.ModelProto, values: Mapping[str, Array]) -> onnx.ModelProto:
    """Return the model with some inputs replaced by constants, all shapes inferred again."""
    made = onnx.ModelProto()
    made.CopyFrom(model)
    kept = [i for i in made.graph.input if i.name not in values]
    del made.graph.input[:]
    made.graph.input.extend(kept)
    made.graph.initializer.extend(numpy_helper.from_array(np.asarray(v), n) for n, v in values.items())
    return made


def with_shapes(model: onnx.ModelProto, inputs: Mapping[str, Array]) -> onnx.ModelProto:
    """Return the model with the shapes of the inputs given instead of open ones."""
    made = onnx.ModelProto()
    made.CopyFrom(model)
    for value in made.graph.input:
        if value.name in inputs and value.type.HasField("tensor_type"):
            kind = value.type.tensor_type.elem_type
            value.type.CopyFrom(helper.make_tensor_type_proto(kind, np.shape(inputs[value.name])))
    return made


class Rep(BackendRep):
    """A model ready to run on one chip."""

    def __init__(self, model: onnx.ModelProto, chip: str) -> None:
        self._model = model
        self._chip = chip
        self._shaping = shaping_inputs(model)
        self._programs: dict[Any, Program] = {}

    def run(self, inputs: Any, **_: Any) -> tuple[Array, ...]:
        """Return the outputs for inputs in the graph's order (or by name)."""
        names = [i.name for i in self._model.graph.input if i.name not in self._initialized()]
        given = dict(inputs) if isinstance(inputs, Mapping) else dict(zip(names, _listed(inputs, names), strict=True))
        arrays = {name: np.asarray(value) for name, value in given.items()}
        program = self._program(arrays)
        outputs = program.run({p.name: arrays[p.name] for p in program.inputs}).outputs
        return tuple(outputs[o.name] for o in self._model.graph.output)

    def _initialized(self) -> set[str]:
        return {t.name for t in self._model.graph.initializer}

    def _program(self, arrays: Mapping[str, Array]) -> Program:
        fixed = {n: a for n, a in arrays.items() if n in self._shaping or not a.size}
        key = (
            tuple((n, a.shape) for n, a in arrays.items()),
            tuple((n, a.tobytes()) for n, a in fixed.items()),
        )
        if key not in self._programs:
            model = bound(with_shapes(self._model, arrays), fixed)
            self._programs[key] = api.compile(model, self._chip, precision="float32")
        return self._programs[key]


def _listed(inputs: Any, names: Sequence[str]) -> list[Any]:
    values = list(inputs) if isinstance(inputs, (list, tuple)) else [inputs]
    if len(values) != len(names):
        raise ModelError(f"{len(values)} inputs for a model that takes {len(names)}: {', '.join(names)}")
    return values


class AccelcBackend(Backend):
    """Models on the chip `edge`, or on the one that `device` names as in `CPU` or a shipped chip's name."""

    @classmethod
    def is_compatible(cls, model: onnx.ModelProto, device: str = "CPU", **_: Any) -> bool:
        """Return whether the model compiles as it stands."""
        try:
            Rep(model, _chip(device))
            api.compile(model, _chip(device), precision="float32")
        except ModelError:
            return False
        return True

    @classmethod
    def prepare(cls, model: onnx.ModelProto, device: str = "CPU", **_: Any) -> Rep:
        """Return the model ready to run; raise ModelError if it is not valid."""
        onnx.checker.check_model(model)
        return Rep(model, _chip(device))

    @classmethod
    def run_model(cls, model: onnx.ModelProto, inputs: Any, device: str = "CPU", **options: Any) -> tuple[Array, ...]:
        """Compile and run a model once."""
        return cls.prepare(model, device, **options).run(inputs)

    @classmethod
    def run_node(
        cls,
        node: onnx.NodeProto,
        inputs: Any,
        device: str = "CPU",
        outputs_info: Any = None,  # noqa: ARG003 - part of the interface; shapes are inferred here
        **options: Any,
    ) -> tuple[Array, ...]:
        """Run one node; its inputs are arrays in the node's order."""
        arrays = [np.asarray(x) for x in _listed(inputs, [n for n in node.input if n])]
        names = [n for n in node.input if n]
        values = [
            helper.make_tensor_value_info(n, helper.np_dtype_to_tensor_dtype(a.dtype), a.shape)
            for n, a in zip(names, arrays, strict=True)
        ]
        made = [helper.make_empty_tensor_value_info(n) for n in node.output if n]
        graph = helper.make_graph([node], "node", values, made)
        version = options.get("opset_version", onnx.defs.onnx_opset_version())
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid(node.domain, version)])
        return Rep(onnx.shape_inference.infer_shapes(model), _chip(device)).run(arrays)

    @classmethod
    def supports_device(cls, device: str) -> bool:
        """Return whether a device is "CPU" (the chip `edge`) or a shipped chip."""
        from accelc.chip import shipped

        return device == "CPU" or device in shipped()


def _chip(device: str) -> str:
    return CHIP if device == "CPU" else device


is_compatible = AccelcBackend.is_compatible
prepare = AccelcBackend.prepare
run_model = AccelcBackend.run_model
run_node = AccelcBackend.run_node
supports_device = AccelcBackend.supports_device
