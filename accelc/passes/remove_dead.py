"""Remove layers whose results reach no graph output."""

from __future__ import annotations

from accelc.graph import Graph


def remove_dead(graph: Graph) -> Graph:
    """Return the graph with only the layers, and constants, that its outputs depend on."""
    wanted, kept = set(graph.outputs), []
    for layer in reversed(graph.layers):
        if wanted & set(layer.outputs):
            wanted |= set(layer.inputs)
            kept.append(layer)
    return graph.with_layers(reversed(kept))
