"""Sets of tensors that belong together, and the tensors that have no scale yet."""

from __future__ import annotations

from collections.abc import Iterable

from accelc.graph import FLOAT, Graph, Tensor


class Groups:
    """Sets of tensors that share one scale, by union of pairs."""

    def __init__(self, names: Iterable[str]) -> None:
        self._parent = {n: n for n in names}

    def __contains__(self, name: str) -> bool:
        return name in self._parent

    def root(self, name: str) -> str:
        """Return the representative of a tensor's set."""
        while self._parent[name] != name:
            name = self._parent[name]
        return name

    def join(self, a: str, b: str) -> None:
        """Unite two sets; the representative of the first stays."""
        a, b = self.root(a), self.root(b)
        if a != b:
            self._parent[b] = a


def open_tensors(graph: Graph) -> list[str]:
    """Return the activations that have no scale yet."""
    constants = {n for n, t in graph.tensors.items() if t.data is not None}
    made = {*graph.inputs, *(n for layer in graph.layers for n in layer.outputs)}
    return [n for n in graph.tensors if n in made - constants and _is_open(graph.tensors[n])]


def _is_open(tensor: Tensor) -> bool:
    return tensor.quant is None and tensor.dtype == FLOAT
