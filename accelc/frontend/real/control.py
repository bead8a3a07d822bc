"""Control flow that is known at compile time: bodies are written out once for each turn."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import onnx

from accelc.frontend.builder import Builder
from accelc.frontend.node import Lowering, Node
from accelc.frontend.real.steps import Steps
from accelc.graph import Tensor

MOST_TURNS = 4096


def inline(b: Builder, graph: onnx.GraphProto, values: Mapping[str, str], tag: str) -> list[str]:
    """Append the nodes of a body under fresh names; `values` are its inputs. Return the names of its outputs."""
    from accelc.frontend.fold import checked
    from accelc.frontend.lowering import lower_nodes

    renamed = dict(values)
    for initializer in graph.initializer:
        data = onnx.numpy_helper.to_array(initializer)
        renamed[initializer.name] = name = b.fresh(f"{tag}/{initializer.name}")
        b.tensors[name] = replace(checked(data, name), name=name)
    made = []
    for proto in graph.node:
        node = onnx.NodeProto()
        node.CopyFrom(proto)
        node.name = f"{tag}/{proto.name or proto.op_type}"
        _rename(node, renamed)
        for k, name in enumerate(proto.output):
            if name:
                renamed[name] = node.output[k] = f"{tag}/{name}"
        made.append(node)
    outputs = [renamed.get(o.name, o.name) for o in graph.output]
    read = {n for node in made for n in _read(node)} | set(outputs)
    before = b.needed
    b.needed = before | read
    lower_nodes(b, made)
    b.needed = before
    return outputs


def _rename(node: onnx.NodeProto, renamed: Mapping[str, str]) -> None:
    """Give the operands of a node, and what its own bodies read from outside, their new names."""
    node.input[:] = [renamed.get(n, n) for n in node.input]
    for attribute in node.attribute:
        for graph in (attribute.g, *attribute.graphs):
            own = {i.name for i in graph.input} | {t.name for t in graph.initializer}
            inner = {old: new for old, new in renamed.items() if old not in own}
            for part in graph.node:
                _rename(part, inner)
                inner = {old: new for old, new in inner.items() if old not in part.output}
            for output in graph.output:
                output.name = inner.get(output.name, output.name)


def _read(node: onnx.NodeProto) -> set[str]:
    found = set(node.input)
    for attribute in node.attribute:
        for graph in (attribute.g, *attribute.graphs):
            found |= {n for part in graph.node for n in _read(part)} | {o.name for o in graph.output}
    return found


def _named(s: Steps, name: str, index: int) -> None:
    """Give a value the name of result number `index`."""
    output = s.node.output(index)
    if not output:
        return
    held = s.b.tensor(name)
    if held.data is not None:
        s.b.tensors[output] = replace(held, name=output)
        return
    s.b.emit(s.node, "reshape", (name,), replace(held, name=output), "result")


def scan(b: Builder, node: Node) -> None:
    """A body for each slice of the scanned inputs, states carried from turn to turn."""
    s = Steps(b, node)
    if node.version < 9:
        raise node.refuse("Scan with a batch axis (opset 8)", "opset 9 or newer would work")
    body, count = node.get("body"), node.get("num_scan_inputs")
    states = list(node.inputs[: len(node.inputs) - count])
    scanned = list(node.inputs[len(node.inputs) - count :])
    axes = [a % len(s.shape(x)) for a, x in zip(node.get("scan_input_axes", (0,) * count), scanned, strict=True)]
    backward = node.get("scan_input_directions", (0,) * count)
    turns = s.shape(scanned[0])[axes[0]]
    _check_turns(node, turns)
    collected: list[list[str]] = []
    for turn in range(turns):
        parts = [
            s.pick(x, axis, turns - 1 - turn if back else turn)
            for x, axis, back in zip(scanned, axes, backward, strict=True)
        ]
        values = dict(zip((i.name for i in body.input), [*states, *parts], strict=True))
        outputs = inline(b, body, values, b.fresh(f"{node.name}/turn{turn}"))
        states, rest = outputs[: len(states)], outputs[len(states) :]
        collected.append(rest)
    for k, name in enumerate(states):
        _named(s, name, k)
    given = len(body.output) - len(states)
    directions = node.get("scan_output_directions", (0,) * given)
    places = node.get("scan_output_axes", (0,) * given)
    for k in range(given):
        rows = [row[k] for row in collected]
        stacked = _stacked(s, rows[::-1] if directions[k] else rows, places[k])
        _named(s, stacked, len(states) + k)


def _check_turns(node: Node, turns: int) -> None:
    if turns > MOST_TURNS:
        raise node.refuse(f"{turns} turns", f"up to {MOST_TURNS} would work")


def _stacked(s: Steps, parts: Sequence[str], axis: int) -> str:
    """Return tensors of one shape along a new axis."""
    shape = s.shape(parts[0])
    axis %= len(shape) + 1
    wide = (*shape[:axis], 1, *shape[axis:])
    return s.concat([s.reshape(p, wide) for p in parts], axis)


def loop(b: Builder, node: Node) -> None:
    """A body for each turn of a loop whose number of turns is known at compile time."""
    s = Steps(b, node)
    body = node.get("body")
    most = int(b.require(node, 0, "trip count").reshape(())) if node.input(0) else None
    alive = bool(b.require(node, 1, "condition").reshape(())) if node.input(1) else True
    states = list(node.inputs[2:])
    collected: list[list[str]] = []
    turn = 0
    while alive and (most is None or turn < most):
        _check_turns(node, turn + 1)
        given = [_number(b, node, turn), _truth(b, node), *states]
        values = dict(zip((i.name for i in body.input), given, strict=True))
        condition, *outputs = inline(b, body, values, b.fresh(f"{node.name}/turn{turn}"))
        states, rest = outputs[: len(states)], outputs[len(states) :]
        collected.append(rest)
        turn += 1
        known = s.value(condition)
        if known is None:
            raise node.refuse("a loop that ends by values computed at run time", "a condition known then would work")
        alive = bool(known.reshape(()))
    for k, name in enumerate(states):
        _named(s, name, k)
    for k in range(len(body.output) - 1 - len(states)):
        if not collected:
            raise node.refuse("a loop of no turns that collects values", "at least one turn would work")
        _named(s, _stacked(s, [row[k] for row in collected], 0), len(states) + k)


def _number(b: Builder, node: Node, value: int) -> str:
    return b.constant(f"{node.name}/turn", np.asarray(value, np.int64)).name


def _truth(b: Builder, node: Node) -> str:
    return b.constant(f"{node.name}/condition", np.asarray(True)).name


def choice(b: Builder, node: Node) -> None:
    """The branch that a constant condition names; of a condition computed at run time both, and one is selected."""
    s = Steps(b, node)
    known = s.value(node.input(0))
    branches = (node.get("then_branch"), node.get("else_branch"))
    if known is not None:
        taken = branches[0] if bool(known.reshape(-1)[0]) else branches[1]
        for k, name in enumerate(inline(b, taken, {}, b.fresh(f"{node.name}/branch"))):
            _named(s, name, k)
        return
    both = [inline(b, graph, {}, b.fresh(f"{node.name}/branch")) for graph in branches]
    for k, (yes, no) in enumerate(zip(*both, strict=True)):
        if s.shape(yes) != s.shape(no):
            raise node.refuse("branches of different shapes", "equal shapes, or a constant condition, would work")
        condition = s.reshape(node.input(0), (1,) * len(s.shape(yes)))
        made = s.map("where", condition, yes, no)
        held = b.tensor(made)
        b.tensors[made] = Tensor(made, held.shape, s.dtype(yes))
        _named(s, made, k)


LOWERINGS = (
    Lowering(
        "Scan", scan, ("take", "concat"),
        ("body", "num_scan_inputs", "scan_input_axes", "scan_input_directions", "scan_output_axes",
         "scan_output_directions"),
        ("opset 8",),
    ),
    Lowering("Loop", loop, ("concat",), ("body",), ("a number of turns that depends on values",)),
    Lowering("If", choice, ("map",), ("else_branch", "then_branch"), ("branches of different shapes",)),
)  # fmt: skip
