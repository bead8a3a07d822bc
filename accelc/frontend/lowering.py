"""One node after another: evaluated, expanded, lowered to integer layers or to 32-bit numbers, or kept for the host."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import onnx

from accelc.errors import UnsupportedError
from accelc.frontend.builder import Builder
from accelc.frontend.fold import fold
from accelc.frontend.host import lower_to_host
from accelc.frontend.node import Lowering, Node, RefusedError
from accelc.frontend.real.table import REAL_LOWERINGS
from accelc.frontend.table import EXPANSIONS, LOWERINGS
from accelc.graph import FLOAT, LAYOUT_OPS, QUANTIZED

_HINT = "or pass --allow-host to run it on the host"
_MOST_AXES = 4  # of a tensor that integer layers work on


def lower_nodes(b: Builder, nodes: Iterable[onnx.NodeProto]) -> None:
    """Append the layers of nodes in execution order."""
    for proto in nodes:
        version = b.opsets.get("" if proto.domain == "ai.onnx" else proto.domain, 1)
        _lower_node(b, Node.of(proto, version))


def _lower_node(b: Builder, node: Node) -> None:
    """Lower one node of the model; a refused one goes to the host or ends the import."""
    before = b.mark()
    try:
        parts = list(_expanded(b, node))
    except RefusedError as refusal:
        raise UnsupportedError(str(refusal)) from None
    for part in parts:
        try:
            if not fold(b, part):
                _lower(b, part)
        except RefusedError as refusal:
            if not b.allow_host:
                raise UnsupportedError(f"{refusal}, {_HINT}") from None
            if part is node:
                b.back_to(before)
            lower_to_host(b, part, refusal)


def _expanded(b: Builder, node: Node) -> Iterator[Node]:
    expansion = EXPANSIONS.get((node.domain, node.op))
    return iter([node] if expansion is None else expansion.expand(b, node))


def _lower(b: Builder, node: Node) -> None:
    """Lower by the integer form if there is one that takes the node, else on 32-bit numbers."""
    entry, real = LOWERINGS.get((node.domain, node.op)), REAL_LOWERINGS.get((node.domain, node.op))
    if entry is None and real is None:
        domain = f" of domain '{node.domain}'" if node.domain else ""
        raise node.refuse(f"operator {node.op}{domain}", "rewrite the model with supported operators")
    if entry is None or (real is not None and (b.real or not _fits(b, node, entry))):
        assert real is not None
        real.lower(b, node)
        return
    before = b.mark()
    try:
        _check_types(b, node, entry)
        entry.lower(b, node)
    except RefusedError:
        if real is None:
            raise
        b.back_to(before)
        real.lower(b, node)


def _fits(b: Builder, node: Node, entry: Lowering) -> bool:
    """Return whether the operands computed at run time have few enough axes for integer layers."""
    if all(op in LAYOUT_OPS for op in entry.layers):
        return True
    return all(len(b.shape(n)) <= _MOST_AXES for n in node.inputs if n and not b.is_constant(n))


def _check_types(b: Builder, node: Node, entry: Lowering) -> None:
    if all(op in LAYOUT_OPS for op in entry.layers):
        return
    allowed = (FLOAT, *QUANTIZED) if entry.integer else (FLOAT,)
    for name in node.inputs:
        if name and not b.is_constant(name) and b.tensor(name).dtype not in allowed:
            works = f"{' or '.join(allowed)} would work"
            raise node.refuse(f"an input '{name}' of {b.tensor(name).dtype}", works)
