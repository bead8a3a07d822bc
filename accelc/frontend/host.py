"""Host layers: an ONNX node that no layer expresses, kept whole to be run in float32 by the host processor."""

from __future__ import annotations

import numpy as np
import onnx
from onnx import helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from accelc.frontend.builder import Builder, one_line, real
from accelc.frontend.node import Node, RefusedError
from accelc.graph import FLOAT, Array, Tensor


def lower_to_host(b: Builder, node: Node, refusal: RefusedError) -> None:
    """Append the node as a host layer; raise the refusal, with the reason, when the host cannot run it either."""
    dynamic = tuple(dict.fromkeys(n for n in node.inputs if n and not b.is_constant(n)))
    strange = [n for n in dynamic if b.tensor(n).dtype != FLOAT]
    if strange:
        raise _impossible(refusal, f"it reads '{strange[0]}' of {b.tensor(strange[0]).dtype}, not float32")
    outputs = tuple(n for n in node.outputs if n and n in b.needed)
    if not outputs:
        return  # nobody reads it
    model = _model(b, node, dynamic, outputs)
    for name, value in zip(outputs, _run(model, b, dynamic, refusal), strict=True):
        if value.dtype != np.float32:
            raise _impossible(refusal, f"it writes '{name}' of {value.dtype}, not float32")
        b.tensors[name] = Tensor(name, tuple(value.shape))
    _declare(model, b, outputs)
    attrs = {"op_type": node.op, "model": model.SerializeToString(), "reason": str(refusal)}
    b.append(node, "host", dynamic, outputs, attrs)


def _impossible(refusal: RefusedError, why: str) -> RefusedError:
    return refusal.extended(f"the host cannot run it either: {why}")


def _model(b: Builder, node: Node, inputs: tuple[str, ...], outputs: tuple[str, ...]) -> onnx.ModelProto:
    constants = [
        numpy_helper.from_array(real(b.tensor(n)), n) for n in dict.fromkeys(node.inputs) if n and b.is_constant(n)
    ]
    graph = helper.make_graph(
        [node.proto],
        node.name,
        [helper.make_tensor_value_info(n, onnx.TensorProto.FLOAT, b.shape(n)) for n in inputs],
        [helper.make_tensor_value_info(n, onnx.TensorProto.FLOAT, None) for n in outputs],
        constants,
    )
    opsets = [helper.make_opsetid(node.domain, node.version)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=helper.find_min_ir_version_for(opsets, True))


def _declare(model: onnx.ModelProto, b: Builder, outputs: tuple[str, ...]) -> None:
    del model.graph.output[:]
    model.graph.output.extend(
        helper.make_tensor_value_info(n, onnx.TensorProto.FLOAT, b.shape(n)) for n in outputs
    )


def _run(model: onnx.ModelProto, b: Builder, inputs: tuple[str, ...], refusal: RefusedError) -> list[Array]:
    # One run with ones proves that the host can do it, and gives the shapes.
    try:
        results = ReferenceEvaluator(model).run(None, {n: np.ones(b.shape(n), np.float32) for n in inputs})
    except Exception as error:  # whatever the operator's Python code raises means the same here
        raise _impossible(refusal, one_line(error)) from None
    return [np.asarray(r) for r in results]
