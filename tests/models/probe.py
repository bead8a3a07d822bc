"""Every intermediate tensor of a model, as ONNX Runtime computes it."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime as ort

from accelc.models.graph import SPAN

Array = npt.NDArray[Any]


def activations(model: onnx.ModelProto, seed: int = 0) -> dict[str, Array]:
    """Return the result of every node but constants, for samples of the inputs."""
    observed = onnx.ModelProto()
    observed.CopyFrom(model)
    known = {v.name: v for v in model.graph.value_info}
    results = [n.output[0] for n in model.graph.node if n.op_type != "Constant"]
    observed.graph.output.extend(known[r] for r in results if r in known)
    session = ort.InferenceSession(observed.SerializeToString(), providers=["CPUExecutionProvider"])
    names = [o.name for o in session.get_outputs()]
    return dict(zip(names, session.run(names, samples(model, seed)), strict=True))


def samples(model: onnx.ModelProto, seed: int = 0) -> dict[str, Array]:
    """Return an array for each input: standard normal, or even over the span the input's note gives."""
    rng = np.random.default_rng(seed)
    return {i.name: _sample(i, rng) for i in model.graph.input}


def _sample(value: onnx.ValueInfoProto, rng: np.random.Generator) -> Array:
    kind = value.type.tensor_type
    shape = [d.dim_value for d in kind.shape.dim]
    if not value.doc_string.startswith(SPAN):
        return rng.standard_normal(shape, np.float32)
    low, high = (float(bound) for bound in value.doc_string.removeprefix(SPAN).split())
    dtype = onnx.helper.tensor_dtype_to_np_dtype(kind.elem_type)
    if np.issubdtype(dtype, np.integer):
        return rng.integers(int(low), int(high), shape, dtype)
    return rng.uniform(low, high, shape).astype(dtype)
