"""LSTM, GRU and RNN layers, a time step after the other.

The products with constant weights are integer layers on the MAC array (with `precision` float32, sums of products on
the vector unit): one for the inputs of all steps, one for the hidden state of each step. Gates and memory are float32.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from accelc.frontend.builder import Builder
from accelc.frontend.node import Lowering, Node
from accelc.frontend.real.steps import Steps
from accelc.graph import Tensor

Function = Callable[[str], str]


@dataclass(frozen=True)
class Cell:
    """One direction of a recurrent layer: its operands by name ("" where left out) and its functions."""

    s: Steps
    hidden: int
    functions: tuple[Function, ...]
    clip: float
    weights: str  # (gates * hidden, inputs)
    recurrence: str  # (gates * hidden, hidden)
    bias: str  # (2 * gates * hidden,)
    peepholes: str = ""  # (3 * hidden,)

    def held(self, x: str) -> str:
        """Return the input of a function, held to the clip range if there is one."""
        if not self.clip:
            return x
        return self.s.map("max", self.s.map("min", x, self.clip), -self.clip)

    def part(self, x: str, k: int) -> str:
        """Return gate number k of a matrix (batch, gates * hidden)."""
        return self.s.span(x, -1, k * self.hidden, (k + 1) * self.hidden)


def product(s: Steps, x: str, weights: str) -> str:
    """Return x (rows, K) times constant weights (N, K): an integer layer where the model is quantized."""
    held, known = s.b.tensor(weights), s.value(x)
    if known is not None and held.data is not None:
        return s.constant((known.astype(np.float64) @ held.data.T.astype(np.float64)).astype(np.float32))
    if s.b.real or held.data is None:
        return s.contract("rk,nk->rn", x, weights)
    name = s.b.fresh(f"{s.node.name}/product")
    output = Tensor(name, (s.shape(x)[0], held.shape[0]))
    return s.b.emit(s.node, "fc", (x, weights), output, "product", activation=None).name


def recurrent(b: Builder, node: Node) -> None:
    """The layer over all steps, in one or both directions, from given or zero states; each step waits for the last."""
    s = Steps(b, node)
    x, kind = node.input(0), node.op
    hidden = s.shape(node.input(2))[2]
    if node.get("layout", 0):
        x = s.transpose(x, (1, 0, 2))
    steps, batch, _ = s.shape(x)
    direction = node.get("direction", "forward")
    turns = {"forward": (False,), "reverse": (True,), "bidirectional": (False, True)}.get(direction)
    if turns is None:
        raise node.refuse(f"direction={direction}", "forward, reverse or bidirectional would work")
    runs = []
    for d, backward in enumerate(turns):
        cell = _cell(s, node, d, hidden)
        states = [_state(s, node, index, d, batch, hidden) for index in ((5, 6) if kind == "LSTM" else (5,))]
        runs.append(_run(s, node, cell, x, states, backward))
    _finish(s, node, runs, steps, batch, hidden)


def _cell(s: Steps, node: Node, d: int, hidden: int) -> Cell:
    """Return the operands of direction d."""
    names = [node.input(k) for k in range(8)]
    weights, recurrence = (_slice(s, names[k], d) for k in (1, 2))
    bias = _slice(s, names[3], d) if names[3] else ""
    peepholes = _slice(s, names[7], d) if node.op == "LSTM" and names[7] else ""
    count = {"LSTM": 3, "GRU": 2, "RNN": 1}[node.op]
    chosen = _functions(s, node, d, count)
    return Cell(s, hidden, chosen, float(node.get("clip", 0.0)), weights, recurrence, bias, peepholes)


def _slice(s: Steps, name: str, d: int) -> str:
    """Return direction d of an operand; a constant stays one."""
    value = s.value(name)
    return s.pick(name, 0, d) if value is None else s.constant(np.ascontiguousarray(value[d]))


def _state(s: Steps, node: Node, index: int, d: int, batch: int, hidden: int) -> str:
    if not node.input(index):
        return s.constant(np.zeros((batch, hidden), np.float32))
    name = node.input(index)
    return s.pick(s.transpose(name, (1, 0, 2)) if node.get("layout", 0) else name, 0, d)


_DEFAULTS = {"LSTM": ("Sigmoid", "Tanh", "Tanh"), "GRU": ("Sigmoid", "Tanh"), "RNN": ("Tanh",)}
_ALPHA = {"LeakyRelu": 0.01, "ThresholdedRelu": 1.0, "HardSigmoid": 0.2, "Elu": 1.0, "Affine": 1.0, "ScaledTanh": 1.0}
_BETA = {"HardSigmoid": 0.5, "Affine": 0.0, "ScaledTanh": 1.0}


def _functions(s: Steps, node: Node, d: int, count: int) -> tuple[Function, ...]:
    """Return the functions of direction d; parameters are listed for those that take them, in order."""
    given = node.get("activations", ())
    names = [n.decode() if isinstance(n, bytes) else str(n) for n in given]
    directions = 2 if node.get("direction", "forward") == "bidirectional" else 1
    names = names or list(_DEFAULTS[node.op]) * directions
    alphas, betas = list(node.get("activation_alpha", ())), list(node.get("activation_beta", ()))
    made = []
    for name in names:
        known = {k.lower(): k for k in _FUNCTIONS}
        if name.lower() not in known:
            raise node.refuse(f"activation {name}", f"{', '.join(_FUNCTIONS)} would work")
        plain = known[name.lower()]
        alpha = float(alphas.pop(0)) if plain in _ALPHA and alphas else _ALPHA.get(plain, 0.0)
        beta = float(betas.pop(0)) if plain in _BETA and betas else _BETA.get(plain, 0.0)
        made.append(_function(s, plain, alpha, beta))
    return tuple(made[d * count : (d + 1) * count])


def _function(s: Steps, name: str, alpha: float, beta: float) -> Function:
    return lambda x: _FUNCTIONS[name](s, x, alpha, beta)


def _hard(s: Steps, x: str, alpha: float, beta: float) -> str:
    return s.map("max", s.map("min", s.map("add", s.map("mul", x, alpha), beta), 1.0), 0.0)


def _elu(s: Steps, x: str, alpha: float, _: float) -> str:
    low = s.map("mul", s.map("sub", s.map("exp", s.map("min", x, 0.0)), 1.0), alpha)
    return s.map("where", s.map("greater", x, 0.0), x, low)


_FUNCTIONS: dict[str, Callable[[Steps, str, float, float], str]] = {
    "Sigmoid": lambda s, x, _a, _b: s.map("sigmoid", x),
    "Tanh": lambda s, x, _a, _b: s.map("tanh", x),
    "Relu": lambda s, x, _a, _b: s.map("max", x, 0.0),
    "Softsign": lambda s, x, _a, _b: s.map("div", x, s.map("add", s.map("abs", x), 1.0)),
    "Softplus": lambda s, x, _a, _b: s.map("softplus", x),
    "LeakyRelu": lambda s, x, a, _b: s.map("where", s.map("less", x, 0.0), s.map("mul", x, a), x),
    "ThresholdedRelu": lambda s, x, a, _b: s.map("where", s.map("greater", x, a), x, s.map("mul", x, 0.0)),
    "HardSigmoid": _hard,
    "Elu": _elu,
    "Affine": lambda s, x, a, b: s.map("add", s.map("mul", x, a), b),
    "ScaledTanh": lambda s, x, a, b: s.map("mul", s.map("tanh", s.map("mul", x, b)), a),
}


def _run(
    s: Steps, node: Node, cell: Cell, x: str, states: list[str], backward: bool
) -> tuple[list[str], list[str]]:
    """Return the hidden state after each step, in the order of the steps, and the last states."""
    steps, batch, width = s.shape(x)
    rows = product(s, s.reshape(x, (steps * batch, width)), cell.weights)
    inputs = s.reshape(rows, (steps, batch, s.shape(rows)[1]))
    step = {"LSTM": _lstm, "GRU": _gru, "RNN": _rnn}[node.op]
    lengths = node.input(4)
    outputs = [""] * steps
    for t in reversed(range(steps)) if backward else range(steps):
        made = step(s, node, cell, s.pick(inputs, 0, t), states)
        outputs[t] = made[0]
        if lengths:
            alive = s.map("greater", s.reshape(lengths, (batch, 1)), t)
            outputs[t] = s.map("where", alive, made[0], s.map("mul", made[0], 0.0))
            made = [s.map("where", alive, new, old) for new, old in zip(made, states, strict=True)]
        states = made
    return outputs, states


def _bias(s: Steps, cell: Cell, gates: int, part: int | None = None) -> str:
    """Return the sum of input and recurrent bias (gates * hidden,), or of one gate, or ""."""
    if not cell.bias:
        return ""
    size = gates * cell.hidden
    value = s.value(cell.bias)
    if value is not None:
        total = value[:size] + value[size:]
        chosen = total if part is None else total[part * cell.hidden : (part + 1) * cell.hidden]
        return s.constant(chosen.astype(np.float32))
    total_name = s.map("add", s.span(cell.bias, 0, 0, size), s.span(cell.bias, 0, size, 2 * size))
    return total_name if part is None else s.span(total_name, 0, part * cell.hidden, (part + 1) * cell.hidden)


def _rnn(s: Steps, _: Node, cell: Cell, x: str, states: list[str]) -> list[str]:
    """h = f(x W + h R + b)."""
    z = s.map("add", x, product(s, states[0], cell.recurrence))
    bias = _bias(s, cell, 1)
    return [cell.functions[0](cell.held(s.map("add", z, bias) if bias else z))]


def _lstm(s: Steps, node: Node, cell: Cell, x: str, states: list[str]) -> list[str]:
    """Gates i, o, f and the candidate; c = f c + i g, h = o tanh(c); peepholes add c to the gates."""
    hidden, memory = states
    z = s.map("add", x, product(s, hidden, cell.recurrence))
    bias = _bias(s, cell, 4)
    z = s.map("add", z, bias) if bias else z
    gate, candidate, squash = cell.functions
    i, o, f, g = (cell.part(z, k) for k in range(4))
    i = gate(cell.held(_peeped(s, cell, i, memory, 0)))
    g = candidate(cell.held(g))
    if node.get("input_forget", 0):
        f = s.map("sub", 1.0, i)
    else:
        f = gate(cell.held(_peeped(s, cell, f, memory, 2)))
    new = s.map("add", s.map("mul", f, memory), s.map("mul", i, g))
    o = gate(cell.held(_peeped(s, cell, o, new, 1)))
    return [s.map("mul", o, squash(cell.held(new))), new]


def _peeped(s: Steps, cell: Cell, gate: str, memory: str, k: int) -> str:
    if not cell.peepholes:
        return gate
    value = s.value(cell.peepholes)
    span = slice(k * cell.hidden, (k + 1) * cell.hidden)
    own = s.span(cell.peepholes, 0, span.start, span.stop) if value is None else s.constant(value[span])
    return s.map("add", gate, s.map("mul", own, memory))


def _gru(s: Steps, node: Node, cell: Cell, x: str, states: list[str]) -> list[str]:
    """Gates z and r, candidate; h = (1 - z) g + z h; r acts before or after the recurrent product."""
    (hidden,) = states
    gate, candidate = cell.functions
    weights = s.value(cell.recurrence)
    after = bool(node.get("linear_before_reset", 0))
    if after:
        whole = product(s, hidden, cell.recurrence)
        pair, last = s.span(whole, -1, 0, 2 * cell.hidden), cell.part(whole, 2)
    else:
        first = _rows(s, cell.recurrence, weights, 0, 2 * cell.hidden)
        pair, last = product(s, hidden, first), ""
    z, r = (
        gate(cell.held(_with(s, s.map("add", cell.part(x, k), cell.part(pair, k)), _bias(s, cell, 3, k))))
        for k in range(2)
    )
    if after:
        inner = _with(s, last, _part_of_bias(s, cell, recurrent_half=True))
        outer = s.map("add", cell.part(x, 2), s.map("mul", r, inner))
        g = _with(s, outer, _part_of_bias(s, cell, recurrent_half=False))
    else:
        third = _rows(s, cell.recurrence, weights, 2 * cell.hidden, 3 * cell.hidden)
        inner = product(s, s.map("mul", r, hidden), third)
        g = _with(s, s.map("add", cell.part(x, 2), inner), _bias(s, cell, 3, 2))
    g = candidate(cell.held(g))
    return [s.map("add", s.map("mul", s.map("sub", 1.0, z), g), s.map("mul", z, hidden))]


def _with(s: Steps, x: str, bias: str) -> str:
    return s.map("add", x, bias) if bias else x


def _rows(s: Steps, name: str, value: Any, first: int, end: int) -> str:
    if value is None:
        return s.span(name, 0, first, end)
    return s.constant(np.ascontiguousarray(value[first:end]))


def _part_of_bias(s: Steps, cell: Cell, *, recurrent_half: bool) -> str:
    """Return a GRU candidate's bias of the inputs or of the recurrence."""
    if not cell.bias:
        return ""
    first = (5 if recurrent_half else 2) * cell.hidden
    return _rows(s, cell.bias, s.value(cell.bias), first, first + cell.hidden)


def _finish(
    s: Steps, node: Node, runs: Sequence[tuple[list[str], list[str]]], steps: int, batch: int, hidden: int
) -> None:
    """Give the results their names: all hidden states, the last one, an LSTM's last memory."""
    layout = bool(node.get("layout", 0))
    if node.output(0):
        # Joined as matrices: with steps and directions as axes, each hidden value would be a pixel of one channel.
        rows = s.concat([run[0][t] for t in range(steps) for run in runs], 0)
        whole = s.reshape(rows, (steps, len(runs), batch, hidden))
        s.finish(s.transpose(whole, (2, 0, 1, 3)) if layout else whole)
    for k in range(len(runs[0][1])):
        if node.output(1 + k):
            last = s.reshape(s.concat([run[1][k] for run in runs], 0), (len(runs), batch, hidden))
            s.finish(s.transpose(last, (1, 0, 2)) if layout else last, 1 + k)


_ATTRIBUTES = ("activation_alpha", "activation_beta", "activations", "clip", "direction", "hidden_size", "layout")

LOWERINGS = (
    Lowering("LSTM", recurrent, ("fc", "map", "take"), (*_ATTRIBUTES, "input_forget")),
    Lowering("GRU", recurrent, ("fc", "map", "take"), (*_ATTRIBUTES, "linear_before_reset")),
    Lowering("RNN", recurrent, ("fc", "map", "take"), _ATTRIBUTES),
)
