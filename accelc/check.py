"""Is every bit right: the simulator's integers against the reference's, and those against ONNX Runtime's."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import onnx

from accelc.compiler import Compiled
from accelc.errors import InputError
from accelc.frontend.load import load
from accelc.graph import FLOAT, PLAIN, Array, Graph, is_wide
from accelc.program import Region
from accelc.quantize.accuracy import decibel, powers_of
from accelc.quantize.execute import FloatRunner
from accelc.reference import ends
from accelc.reference import pieces as reference_pieces
from accelc.report.result import Accuracy, Check, Distance, Ledger

if TYPE_CHECKING:
    from accelc.reference import ort

ORACLES = ("none", "reference", "ort")

# ONNX operators of which ONNX Runtime has one result whatever its optimization level.
_INTEGER_OPERATORS = ("QLinear", "ConvInteger", "MatMulInteger", "QGemm")


def check(
    compiled: Compiled,
    inputs: Mapping[str, Array],
    found: Mapping[str, Array],
    oracle: str,
    progress: Callable[[str], None] = lambda _: None,
) -> Check:
    """Return the comparison of a run's integers, by tensor name, with an oracle fed the same integer inputs.

    `progress` is told each tensor as it is compared.
    """
    if oracle not in ORACLES:
        raise InputError(f"check '{oracle}' is unknown; known: {', '.join(ORACLES)}")
    if oracle == "none":
        return Check("none")
    assert compiled.quantized is not None
    ours = compare_reference(compiled.quantized, inputs, found, compiled.chip.requantization, progress)
    return ours if oracle == "reference" else _with_ort(compiled, inputs, ours)


def accuracy_of(compiled: Compiled, inputs: Mapping[str, Array], found: Mapping[str, Array]) -> Accuracy | None:
    """Return how near the run's integers come to the float model on the same inputs; None for a quantized model."""
    graph, quantized = compiled.graph, compiled.quantized
    assert graph is not None
    assert quantized is not None
    names = [n for n in found if n in graph.tensors and graph.tensors[n].dtype == FLOAT]
    if not names or any(graph.tensors[n].dtype not in PLAIN for n in graph.inputs):
        return None
    sample = {n: x.astype(graph.tensors[n].dtype, copy=False) for n, x in inputs.items()}
    powers = powers_of(FloatRunner(graph, names), quantized, sample, found)
    ratios = {n: decibel(float(signal), float(noise)) for n, (signal, noise) in powers.items()}
    return Accuracy({n: ratios[n] for n in graph.outputs if n in ratios}, ratios)


def comparable(compiled: Compiled) -> list[Region]:
    """Return the program's regions that hold a tensor of the quantized graph as it is."""
    assert compiled.quantized is not None
    tensors, program = compiled.quantized.tensors, compiled.finished
    ports = [(region, region.port) for region in program.regions]
    return [r for r, p in ports if p is not None and r.name in tensors and tensors[r.name].shape == p.shape]


def compare_reference(
    graph: Graph,
    inputs: Mapping[str, Array],
    found: Mapping[str, Array],
    mode: str,
    progress: Callable[[str], None] = lambda _: None,
) -> Check:
    """Return where the simulator differs from the reference, over every tensor found, as the reference makes them."""
    expected = reference_pieces(graph, inputs, requantize="fixed" if mode == "fixed" else "float32", keep=found)
    rows: dict[str, Ledger] = {}
    for piece in expected:
        name, row = piece.name, _row(piece.name, found[piece.name][piece.part], piece.value)
        rows[name] = _both(rows[name], row) if name in rows else row
        if ends(graph, piece):
            progress(f"compared {len(rows)} of {len(found)} tensors: {name}")
    return _summed("reference", [rows[name] for name in found], f"{len(found)} tensors")


def _with_ort(compiled: Compiled, inputs: Mapping[str, Array], ours: Check) -> Check:
    """Add ONNX Runtime's judgment of every layer, fed its own inputs, and of the whole network's outputs."""
    from accelc.reference import ort  # onnxruntime is a large import

    assert compiled.quantized is not None
    if is_wide(compiled.quantized):
        return replace(ours, note=f"{ours.note}; ONNX Runtime has no operators of 16-bit operands to compare with")
    model = load(compiled.source)
    operators = {node.op_type for node in model.graph.node}
    integer = any(op.startswith(_INTEGER_OPERATORS) for op in operators)
    judged = ort.compare(model if integer else None, compiled.quantized, inputs)
    found = _summed("ort", [*ours.ledger, *_ledger(judged)], judged.oracle, ours)
    if integer or "DequantizeLinear" not in operators:
        return found
    levels: tuple[ort.Level, ...] = ("disable", "enable")
    return replace(found, distances=tuple(_distance(model, compiled.quantized, inputs, level) for level in levels))


def _distance(model: onnx.ModelProto, graph: Graph, inputs: Mapping[str, Array], level: ort.Level) -> Distance:
    """Return how far ONNX Runtime's own result of a QDQ model is at one optimization level."""
    from accelc.reference import ort

    judged = ort.compare(model, graph, inputs, level=level)
    return Distance(judged.oracle, tuple(r for r in _ledger(judged) if r.mismatches))


def _ledger(judged: ort.Ledger) -> list[Ledger]:
    return [
        Ledger(r.tensor, r.elements, r.mismatches, r.max_lsb, r.histogram, r.cause)
        for r in (*judged.layers, *judged.outputs)
    ]


def _row(name: str, ours: Array, theirs: Array) -> Ledger:
    if ours.dtype.kind == "f":
        return _real_row(name, ours, theirs)
    differ = ours != theirs
    difference = ours[differ].astype(np.int64) - theirs[differ].astype(np.int64)
    values, counts = np.unique(difference, return_counts=True)
    histogram = {int(v): int(c) for v, c in zip(values, counts, strict=True)}
    return Ledger(name, ours.size, int(counts.sum()), int(np.abs(values).max(initial=0)), histogram)


def _both(a: Ledger, b: Ledger) -> Ledger:
    """Return the differences of two parts of a tensor together."""
    counts = dict(sorted((Counter(a.histogram) + Counter(b.histogram)).items()))
    most = max(a.max_lsb, b.max_lsb)
    return Ledger(a.tensor, a.elements + b.elements, a.mismatches + b.mismatches, most, counts)


def _real_row(name: str, ours: Array, theirs: Array) -> Ledger:
    """Return where float32 numbers differ; the distance is that of their order among all float32 numbers."""
    differ = ~((ours == theirs) | (np.isnan(ours) & np.isnan(theirs)))
    steps = np.abs(_ordinal(ours[differ]) - _ordinal(theirs[differ]))
    return Ledger(name, ours.size, int(differ.sum()), int(steps.max(initial=0)), {})


def _ordinal(x: Array) -> Array:
    bits = x.astype(np.float32).view(np.int32).astype(np.int64)
    return np.where(bits < 0, -(bits & 0x7FFFFFFF), bits)


def _summed(oracle: str, rows: list[Ledger], note: str, also: Check | None = None) -> Check:
    """Return the check over all rows, keeping those that differ; `also` counts without being listed again."""
    return Check(
        oracle,
        sum(r.elements for r in rows) + (also.elements if also else 0),
        sum(r.mismatches for r in rows),
        max((r.max_lsb for r in rows), default=0),
        note,
        tuple(r for r in rows if r.mismatches),
    )
