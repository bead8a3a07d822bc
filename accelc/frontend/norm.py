"""Normalizations."""

from __future__ import annotations

from typing import Any

import numpy as np

from accelc.frontend.builder import Builder
from accelc.frontend.node import Lowering, Node


def batch_norm(b: Builder, node: Node) -> None:
    """Inference-mode batch normalization, as one scale and one shift per channel."""
    if node.get("training_mode", 0) or any(name in b.needed for name in node.outputs[1:] if name):
        raise node.refuse("training mode", "the inference form (training_mode=0, one result) would work")
    if node.get("spatial", 1) != 1:
        raise node.refuse("spatial=0", "spatial=1 would work")
    gamma, beta, mean, variance = (
        b.require(node, i, role).astype(np.float64)
        for i, role in enumerate(("scale", "shift", "mean", "variance"), start=1)
    )
    scale = gamma / np.sqrt(variance + node.get("epsilon", 1e-5))
    shift = beta - mean * scale
    if not (np.isfinite(scale).all() and np.isfinite(shift).all()):
        raise node.refuse("a variance below zero", "variances of 0 or more would work")
    name = node.outputs[0]
    constants = [b.constant(f"{name}/{part}", v.astype(np.float32)) for part, v in (("scale", scale), ("shift", shift))]
    b.emit(node, "affine", (node.input(0), *(c.name for c in constants)), b.infer(node)[0])


def lrn(b: Builder, node: Node) -> None:
    """Local response normalization across channels."""
    attrs: dict[str, Any] = {k: float(node.get(k, d)) for k, d in (("alpha", 1e-4), ("beta", 0.75), ("bias", 1.0))}
    if len(b.shape(node.input(0))) not in (3, 4):
        raise node.refuse(f"an input of rank {len(b.shape(node.input(0)))}", "rank 3 or 4 would work")
    b.emit(node, "lrn", (node.input(0),), b.result(node), size=node.get("size"), **attrs)


LOWERINGS = (
    Lowering(
        "BatchNormalization",
        batch_norm,
        ("affine",),
        ("epsilon", "momentum", "spatial", "training_mode"),
        ("training mode", "spatial=0", "parameters computed at run time"),
    ),
    Lowering("LRN", lrn, ("lrn",), ("alpha", "beta", "bias", "size"), ("ranks other than 3 and 4",)),
)
