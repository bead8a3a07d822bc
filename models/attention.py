"""Additive attention: Bahdanau, Cho, Bengio, ICLR 2015; Xu et al., ICML 2015."""

from __future__ import annotations

from dataclasses import dataclass

from accelc.models.builder import Net
from accelc.models.recurrent import Linear, linear


@dataclass(frozen=True)
class Attention:
    """Looks at [batch, places, features] through a state: scores v . tanh(W value + U state), softmax over places."""

    net: Net
    values: str
    keys: str
    query: Linear
    score: Linear

    def weights(self, state: str, name: str) -> str:
        """Add the softmax over the places, [batch, 1, places]."""
        net = self.net
        batch, places, _ = net.shape(self.values)
        axis = net.constant(f"{name}/axis", [1])
        query = net.op("Unsqueeze", [self.query(state, f"{name}/query"), axis], f"{name}/query_row")
        seen = net.tanh(net.add(self.keys, query, f"{name}/seen"))
        scores = net.reshape(self.score(seen, f"{name}/score"), f"{name}/scores", (batch, 1, places))
        return net.softmax(scores, f"{name}/weights", axis=2)

    def soft(self, state: str, name: str) -> str:
        """Add the mean of the values by the weights, [batch, features]."""
        return weighted(self.net, self.weights(state, name), self.values, name)

    def hard(self, state: str, name: str) -> str:
        """Add the value at the place of the largest weight, [batch, features]."""
        place = self.net.op("ArgMax", [self.weights(state, name)], f"{name}/place", axis=2, keepdims=0)
        return self.net.op("GatherND", [self.values, place], name, batch_dims=1)


def attention(net: Net, name: str, values: str, state: int, width: int, *, gain: float = 3.0) -> Attention:
    """Make an attention's parameters and its keys, W value, which are the same at every step.

    `gain` is the scale of v; values that differ little need a larger one to be told apart.
    """
    features = net.shape(values)[2]
    keys = linear(net, f"{name}/key", features, width)(values, f"{name}/keys")
    query = linear(net, f"{name}/query", state, width, bias=False)
    return Attention(net, values, keys, query, linear(net, f"{name}/score", width, 1, bias=False, gain=gain))


def weighted(net: Net, weights: str, values: str, name: str) -> str:
    """Add the sum of values [batch, places, features] by weights [batch, 1, places]."""
    batch, _, features = net.shape(values)
    return net.reshape(net.op("MatMul", [weights, values], f"{name}/mean"), name, (batch, features))
