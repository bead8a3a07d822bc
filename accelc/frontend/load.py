"""Reading an ONNX model: the file, external data, the checker, and static input shapes."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import onnx
from onnx import checker, external_data_helper, helper, inliner

from accelc.errors import ModelError
from accelc.frontend.builder import one_line

_OLDEST = 7
_LARGE = 1 << 18  # elements
_BATCH = re.compile(r"(?i)(^n$|^b$|^bs$|batch)")


def load(source: str | Path | onnx.ModelProto) -> onnx.ModelProto:
    """Return a checked model of a known opset with its external data and with local functions inlined."""
    model = source if isinstance(source, onnx.ModelProto) else _read(Path(source))
    name = "the model" if isinstance(source, onnx.ModelProto) else f"'{source}'"
    if not model.ir_version or not model.opset_import:
        raise ModelError(f"{name} is not an ONNX model: it has no IR version or no opset")
    if not model.graph.output:
        raise ModelError(f"{name} holds no graph with outputs")
    opsets(model)
    try:
        checker.check_model(_without_weights(model))
    except Exception as error:  # ValidationError, or ValueError for models of 2 GB
        raise ModelError(f"{name} is not a valid ONNX model: {_last_line(error)}") from None
    if model.graph.sparse_initializer:
        raise ModelError(f"{name} has sparse initializers; dense ones would work")
    return inliner.inline_local_functions(model) if model.functions else model


def _without_weights(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return the model with its large initializers as inputs, each held to its size: the checker copies all it sees.

    A model without large ones is returned as it is.
    """
    large = {t.name: t for t in model.graph.initializer if math.prod(t.dims) >= _LARGE and t.HasField("raw_data")}
    if not large:
        return model
    for tensor in large.values():
        _check_size(tensor)
    skeleton, graph = onnx.ModelProto(), onnx.GraphProto()
    for whole, part in ((model, skeleton), (model.graph, graph)):
        for descriptor, value in whole.ListFields():
            if descriptor.name not in ("graph", "initializer"):
                _set(part, descriptor.name, value)
    declared = {i.name for i in graph.input}
    kinds = [(n, helper.make_tensor_type_proto(t.data_type, t.dims)) for n, t in large.items() if n not in declared]
    graph.input.extend(helper.make_value_info(name, kind) for name, kind in kinds)
    graph.initializer.extend(t for t in model.graph.initializer if t.name not in large)
    skeleton.graph.CopyFrom(graph)
    return skeleton


def _set(message: Any, field: str, value: Any) -> None:
    """Set a field of a message, of whatever kind it is."""
    held = getattr(message, field)
    if hasattr(held, "CopyFrom"):
        held.CopyFrom(value)
    elif hasattr(held, "extend"):
        held.extend(value)
    else:
        setattr(message, field, value)


def _check_size(tensor: onnx.TensorProto) -> None:
    """Raise ValueError unless a tensor has the bytes that its shape and type ask for."""
    kind = helper.tensor_dtype_to_np_dtype(tensor.data_type)
    bits = 4 if "4" in kind.name and kind.itemsize == 1 else 8 * kind.itemsize
    wanted = -(-math.prod(tensor.dims) * bits // 8)
    if len(tensor.raw_data) != wanted:
        given = f"{len(tensor.raw_data)} bytes, {wanted} by its shape {list(tensor.dims)} and type {kind}"
        raise ValueError(f"initializer '{tensor.name}' has {given}")


def _read(path: Path) -> onnx.ModelProto:
    if not path.is_file():
        raise ModelError(f"'{path}' does not exist or is not a file")
    try:
        model = onnx.load(path, format="protobuf", load_external_data=False)
    except Exception as error:  # protobuf's DecodeError, or ValueError
        raise ModelError(f"'{path}' is not an ONNX model, or is truncated: {one_line(error)}") from None
    _load_external(model, path)
    return model


def _load_external(model: onnx.ModelProto, path: Path) -> None:
    for tensor in model.graph.initializer:
        if not external_data_helper.uses_external_data(tensor):
            continue
        place = next((e.value for e in tensor.external_data if e.key == "location"), "")
        if not (path.parent / place).is_file():
            raise ModelError(f"'{path}': the data of '{tensor.name}' is in '{place}', which does not exist beside it")
    try:
        external_data_helper.load_external_data_for_model(model, str(path.parent))
    except Exception as error:  # damaged offsets and paths outside the folder raise various types
        raise ModelError(f"'{path}': external data cannot be read: {one_line(error)}") from None


def _last_line(error: Exception) -> str:
    text = " ".join(line.strip() for line in str(error).splitlines() if line.strip())
    return text[:300] or type(error).__name__


def opsets(model: onnx.ModelProto) -> dict[str, int]:
    """Return the opset version per domain; raise ModelError when the standard one is too old or too new."""
    versions = {"" if o.domain == "ai.onnx" else o.domain: int(o.version) for o in model.opset_import}
    standard = versions.get("", 0)
    newest = onnx.defs.onnx_opset_version()
    if standard and not _OLDEST <= standard <= newest:
        raise ModelError(f"the model's opset is {standard}; {_OLDEST} to {newest} are supported")
    # A model of com.microsoft operators alone names no standard opset; its expansion needs one.
    return {**versions, "": standard or 13}


def input_shapes(model: onnx.ModelProto, dims: Mapping[str, int]) -> dict[str, tuple[int, ...]]:
    """Return the static shape of each graph input: known extents, then `dims`, then 1 for the batch."""
    constants = {t.name for t in model.graph.initializer}
    inputs = [i for i in model.graph.input if i.name not in constants]
    known = {key for i in inputs for key, *_ in _symbols(i)}
    for name, value in dims.items():
        if name not in known:
            have = ", ".join(f"'{k}'" for k in sorted(known)) or "none"
            raise ModelError(f"the model has no open dimension '{name}' (it has: {have})")
        if value < 1:
            raise ModelError(f"dimension '{name}' is {value}, must be 1 or more")
    return {i.name: _shape(i, dims) for i in inputs}


def _symbols(value: onnx.ValueInfoProto) -> Iterator[tuple[str, int]]:
    """Yield (name, axis) of each open dimension; one without a name is called `input:axis`."""
    for axis, dim in enumerate(value.type.tensor_type.shape.dim):
        if not dim.HasField("dim_value") or dim.dim_value < 1:
            yield dim.dim_param or f"{value.name}:{axis}", axis


def _shape(value: onnx.ValueInfoProto, dims: Mapping[str, int]) -> tuple[int, ...]:
    if not value.type.HasField("tensor_type") or not value.type.tensor_type.HasField("shape"):
        raise ModelError(f"graph input '{value.name}' has no tensor shape; a shape with named dimensions would work")
    extents = [d.dim_value for d in value.type.tensor_type.shape.dim]
    for name, axis in _symbols(value):
        if name in dims:
            extents[axis] = dims[name]
        elif axis == 0 and (name == f"{value.name}:0" or _BATCH.search(name)):
            extents[axis] = 1
        else:
            raise ModelError(
                f"dimension '{name}' (axis {axis} of input '{value.name}') is unknown; set it with --dim {name}=VALUE"
            )
    return tuple(extents)
