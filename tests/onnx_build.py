"""Small ONNX models for tests, and the comparison of their import with ONNX Runtime."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

from accelc.frontend import import_onnx
from accelc.graph import Graph
from accelc.passes import simplify
from tests.ir_float import execute, run_ort

Array = npt.NDArray[Any]


def value(name: str, shape: Sequence[int | str | None] | None = None, kind: int = TensorProto.FLOAT) -> Any:
    return helper.make_tensor_value_info(name, kind, shape)


def model(
    nodes: Sequence[onnx.NodeProto],
    inputs: Mapping[str, Sequence[int | str | None]],
    outputs: Sequence[str] = ("y",),
    constants: Mapping[str, Array] | None = None,
    opset: int = 13,
    kind: int = TensorProto.FLOAT,
    out_kind: int = TensorProto.FLOAT,
    out_shape: Sequence[int | str] | None = None,
) -> onnx.ModelProto:
    """Return a model; inputs have one type, outputs another, output shapes are inferred or given."""
    graph = helper.make_graph(
        list(nodes),
        "test",
        [value(n, s, kind) for n, s in inputs.items()],
        [value(n, out_shape, out_kind) for n in outputs],
        [numpy_helper.from_array(np.asarray(c), n) for n, c in (constants or {}).items()],
    )
    opsets = [helper.make_opsetid("", opset), helper.make_opsetid("com.microsoft", 1)]
    built = helper.make_model(graph, opset_imports=opsets, ir_version=10)
    return built if out_shape is not None else onnx.shape_inference.infer_shapes(built, data_prop=True)


def node(op: str, inputs: str, outputs: str = "y", **attrs: Any) -> onnx.NodeProto:
    """Return a node; operands are given as one string of names, "_" for one left out."""
    names = ["" if n == "_" else n for n in inputs.split()]
    domain = attrs.pop("domain", "")
    results = outputs.split()
    return helper.make_node(op, names, results, name=f"{op.lower()}_{results[0]}", domain=domain, **attrs)


def feeds(built: onnx.ModelProto, graph: Graph, seed: int = 0) -> dict[str, Array]:
    """Return random inputs for a model, by the shapes of its import."""
    rng = np.random.default_rng(seed)
    return {n: rng.normal(size=graph.tensors[n].shape).astype(np.float32) for n in graph.inputs}


def check(built: onnx.ModelProto, *, allow_host: bool = False, rtol: float = 1e-5, atol: float = 1e-5) -> Graph:
    """Compare the imported and the simplified graph with ONNX Runtime on random inputs; return the simplified one."""
    graph = import_onnx(built, allow_host=allow_host)
    simple = simplify(graph)
    inputs = feeds(built, graph)
    expected = run_ort(built, inputs)
    assert tuple(expected) == graph.outputs == simple.outputs
    for variant in (graph, simple):
        found = execute(variant, inputs)
        for name, want in expected.items():
            np.testing.assert_allclose(found[name], want, rtol=rtol, atol=atol, err_msg=str(variant))
    return simple
