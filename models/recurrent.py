"""Recurrent layers over a whole sequence, and cells for networks whose steps feed back in ways those cannot.

Sequences are [steps, batch, features] as in ONNX; weights have Xavier scale, 1 / sqrt(inputs).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from accelc.models.builder import Net
from accelc.models.weights import Normal

State = tuple[str, str]
"""The hidden state and the memory of an LSTM, both [batch, hidden]."""


@dataclass(frozen=True)
class Linear:
    """A linear layer used at several places: its weights [inputs, outputs] and bias (or "")."""

    net: Net
    weight: str
    bias: str

    def __call__(self, x: str, name: str) -> str:
        """Add the layer to the last axis of a matrix or of a sequence."""
        if len(self.net.shape(x)) == 2:
            return self.net.op("Gemm", [x, self.weight, self.bias] if self.bias else [x, self.weight], name)
        if not self.bias:
            return self.net.op("MatMul", [x, self.weight], name)
        return self.net.add(self.net.op("MatMul", [x, self.weight], f"{name}/product"), self.bias, name)


def linear(
    net: Net, name: str, inputs: int, outputs: int, *, bias: bool = True, gain: float = 1.0, mean: float = 0.0
) -> Linear:
    """Make a linear layer's parameters; `mean` is that of the bias."""
    weight = net.parameter(f"{name}/weight", [inputs, outputs], Normal(gain / math.sqrt(inputs)))
    return Linear(net, weight, net.parameter(f"{name}/bias", [outputs], Normal(0.05, mean)) if bias else "")


def embedding(net: Net, name: str, vocabulary: int, width: int) -> str:
    """Make a table of one row of unit scale for each word."""
    return net.parameter(name, [vocabulary, width], Normal(1.0))


def lookup(net: Net, table: str, words: str, name: str) -> str:
    """Add the rows of a table at integer indices."""
    return net.op("Gather", [table, words], name, axis=0)


def steps_first(net: Net, x: str, name: str) -> str:
    """Turn [batch, steps, ...] into [steps, batch, ...] or back."""
    return net.transpose(x, name, (1, 0, *range(2, len(net.shape(x)))))


# Layers over a sequence


def recurrent(
    net: Net,
    x: str,
    name: str,
    hidden: int,
    *,
    kind: str = "LSTM",
    bidirectional: bool = False,
    lengths: str = "",
    peephole: bool = False,
    coupled: bool = False,
    reset_before: bool = True,
    activation: str = "Tanh",
) -> str:
    """Add an LSTM, GRU or RNN operator from a zero state; return [steps, directions, batch, hidden].

    `name:1` is the last state, an LSTM's `name:2` its last memory, both [directions, batch, hidden].
    """
    gates, directions = {"LSTM": 4, "GRU": 3, "RNN": 1}[kind], 1 + bidirectional
    parameters = _sequence_parameters(net, name, gates, directions, net.shape(x)[2], hidden)
    inputs = [x, *parameters, lengths]
    if peephole:
        p = net.parameter(f"{name}/P", [directions, 3 * hidden], Normal(0.1))
        inputs += ["", "", p]
    attributes: dict[str, object] = {"hidden_size": hidden}
    if bidirectional:
        attributes["direction"] = "bidirectional"
    if coupled:
        attributes["input_forget"] = 1
    if kind == "GRU":
        attributes["linear_before_reset"] = int(not reset_before)
    if kind == "RNN":
        attributes["activations"] = [activation] * directions
    while not inputs[-1]:
        inputs.pop()
    return net.op(kind, inputs, name, outputs=3 if kind == "LSTM" else 2, **attributes)


def _sequence_parameters(
    net: Net, name: str, gates: int, directions: int, features: int, hidden: int
) -> tuple[str, str, str]:
    """Make the input weights, the recurrent weights and the two biases of a recurrent operator."""
    rows = gates * hidden
    return (
        net.parameter(f"{name}/W", [directions, rows, features], Normal(1 / math.sqrt(features))),
        net.parameter(f"{name}/R", [directions, rows, hidden], Normal(1 / math.sqrt(hidden))),
        net.parameter(f"{name}/B", [directions, 2 * rows], Normal(0.05)),
    )


def joined_directions(net: Net, y: str, name: str) -> str:
    """Turn a recurrent operator's [steps, directions, batch, hidden] into [steps, batch, directions * hidden]."""
    steps, directions, batch, hidden = net.shape(y)
    if directions == 1:
        return net.op("Squeeze", [y, net.constant(f"{name}/axes", [1])], name)
    turned = net.transpose(y, f"{name}/turned", (0, 2, 1, 3))
    return net.reshape(turned, name, (steps, batch, directions * hidden))


# Cells


@dataclass(frozen=True)
class LstmCell:
    """One step of an LSTM with gates i, f, o, g, written out; `peepholes` are the vectors of i, f and o, or none."""

    net: Net
    inward: Linear
    recurrent: Linear
    peepholes: tuple[str, ...] = ()

    def __call__(self, x: str, state: State | None, name: str) -> State:
        """Add a step; without a state the step is the first, from zeros."""
        net = self.net
        gates = self.inward(x, f"{name}/x")
        if state:
            gates = net.add(gates, self.recurrent(state[0], f"{name}/h"), f"{name}/gates")
        net.op("Split", [gates], f"{name}/split", outputs=4, axis=1)
        split = [f"{name}/split", *(f"{name}/split:{i}" for i in (1, 2, 3))]
        memory = self._memory(split, state, name)
        o = net.sigmoid(self._peep(split[2], memory, 2, f"{name}/o/in"), f"{name}/o")
        return net.mul(o, net.tanh(memory, f"{name}/squashed"), f"{name}/hidden"), memory

    def _memory(self, split: list[str], state: State | None, name: str) -> str:
        """Add c = f * c + i * g."""
        net, old = self.net, state[1] if state else ""
        i = net.sigmoid(self._peep(split[0], old, 0, f"{name}/i/in"), f"{name}/i")
        new = net.mul(i, net.tanh(split[3], f"{name}/g"), f"{name}/new")
        if not old:
            return new
        f = net.sigmoid(self._peep(split[1], old, 1, f"{name}/f/in"), f"{name}/f")
        return net.add(net.mul(f, old, f"{name}/kept"), new, f"{name}/memory")

    def _peep(self, gate: str, memory: str, index: int, name: str) -> str:
        """Add what a gate sees of the memory."""
        if not self.peepholes or not memory:
            return gate
        return self.net.add(gate, self.net.mul(memory, self.peepholes[index], f"{name}/peep"), name)


def lstm_cell(net: Net, name: str, features: int, hidden: int, *, peephole: bool = False) -> LstmCell:
    """Make an LSTM cell's parameters."""
    inward = linear(net, f"{name}/x", features, 4 * hidden)
    back = linear(net, f"{name}/h", hidden, 4 * hidden, bias=False)
    gates = "ifo" if peephole else ""
    return LstmCell(net, inward, back, tuple(net.parameter(f"{name}/peep_{g}", [hidden], Normal(0.1)) for g in gates))


@dataclass(frozen=True)
class GruCell:
    """One step of a GRU as its paper writes it: h = (1 - z) h + z tanh(W x + U (r h))."""

    net: Net
    gates: Linear
    recurrent_gates: Linear
    candidate: Linear
    recurrent_candidate: Linear

    def __call__(self, x: str, h: str, name: str) -> str:
        """Add a step."""
        net = self.net
        gates = net.add(self.gates(x, f"{name}/gates_x"), self.recurrent_gates(h, f"{name}/gates_h"), f"{name}/gates")
        net.op("Split", [net.sigmoid(gates, f"{name}/zr")], f"{name}/z", outputs=2, axis=1)
        reset = net.mul(f"{name}/z:1", h, f"{name}/reset")
        new = net.add(
            self.candidate(x, f"{name}/new_x"), self.recurrent_candidate(reset, f"{name}/new_h"), f"{name}/new_in"
        )
        change = net.op("Sub", [net.tanh(new, f"{name}/new"), h], f"{name}/change")
        return net.add(h, net.mul(f"{name}/z", change, f"{name}/step"), f"{name}/hidden")


def gru_cell(net: Net, name: str, features: int, hidden: int) -> GruCell:
    """Make a GRU cell's parameters."""
    return GruCell(
        net,
        linear(net, f"{name}/gates_x", features, 2 * hidden),
        linear(net, f"{name}/gates_h", hidden, 2 * hidden, bias=False),
        linear(net, f"{name}/new_x", features, hidden),
        linear(net, f"{name}/new_h", hidden, hidden, bias=False),
    )
