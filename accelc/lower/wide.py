"""Operands of the 16-bit instructions that differ from those of the 8-bit ones: no zero points, other tables."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from accelc.arithmetic import add_constants, clamp_bounds, lrn_constants, mul_scale
from accelc.arithmetic_wide import CURVE_OPS, curve_table, lines
from accelc.graph import RANGE, WIDE, Graph, Layer
from accelc.lower.pack import quant_of

Operands = dict[str, int | float]


def element_operands(graph: Graph, step: Layer) -> Operands:
    """Return the scales and bounds of add16 or mul16."""
    a, b, y = (graph.tensors[n] for n in (*step.inputs, step.outputs[0]))
    low, high = clamp_bounds(step.attrs.get("activation"), quant_of(y), WIDE)
    quants = quant_of(a), quant_of(b), quant_of(y)
    if step.op == "mul":
        return {"scale": float(mul_scale(*quants)), "low": low, "high": high}
    scale_a, scale_b, _ = add_constants(*quants, subtract=step.op == "sub")
    return {"scale_a": float(scale_a), "scale_b": float(scale_b), "low": low, "high": high}


def function_table(graph: Graph, step: Layer) -> npt.NDArray[np.uint8]:
    """Return the constants of lines16, [12] or [channels, 12] bytes, or of curve16, [1028] bytes."""
    if step.op in CURVE_OPS:
        return curve_table(graph, step).astype("<i4").view(np.uint8)
    made = lines(graph, step)
    rows = np.stack([made.above, made.below, made.offset], axis=1).astype("<f4").view(np.uint8)
    return rows if len(rows) > 1 else rows[0]


def function_bounds(graph: Graph, step: Layer) -> tuple[str, Operands]:
    """Return the instruction of a function of one element, and its bounds."""
    if step.op in CURVE_OPS:
        low, high = RANGE[WIDE]
        return "curve16", {"low": low, "high": high}
    made = lines(graph, step)
    return "lines16", {"low": made.low, "high": made.high}


def lrn_operands(graph: Graph, step: Layer) -> Operands:
    """Return the constants of lrn16."""
    x, y = (quant_of(graph.tensors[n]) for n in (step.inputs[0], step.outputs[0]))
    k = lrn_constants(step, x, y)
    return {
        "before": k.before,
        "after": k.after,
        "square_scale": float(k.square_scale),
        "bias": float(k.bias),
        "exponent": float(k.exponent),
        "scale_src": float(k.scale_in),
        "scale_dst": float(k.scale_out),
    }
