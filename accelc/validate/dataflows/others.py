"""The five other dataflows of the paper's comparison, each with the most reuse its registers allow."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from accelc.validate.dataflows.counts import Block, Counts, Layer, best_blocks, ceil_div

Best = Callable[[Layer, int, int, int], Counts]


def _splits(pes: int) -> Iterator[tuple[int, int]]:
    """Yield channels x filters that fill the PEs."""
    channels = 1
    while channels <= pes:
        yield channels, pes // channels
        channels *= 2


def weight_stationary(layer: Layer, batch: int, pes: int, words: int) -> Counts:
    """Return WS: a PE keeps one weight of all taps x some channels x some filters; partial sums go to the buffer.

    A weight stays until all its products are made, for every pixel of the batch: its partial sums must fit. An
    activation is broadcast to every PE that multiplies it; partial sums add up from PE to PE over taps and channels.
    """
    macs, g = layer.macs(batch), layer.groups
    found = []
    for c, m in _splits(max(1, pes // layer.r**2)):
        for b in best_blocks(layer, batch, words, True, c, m, whole=True):
            reads = layer.weights * b.visits
            act = b.act + _strip_act(layer, batch, b) * ceil_div(layer.m, m)
            buffer = act + b.wgt + reads + 2 * ceil_div(layer.c, c) * b.out
            text = f"{c} channels x {m} filters; {b.text}"
            found.append(Counts(macs, macs, 2 * macs + g * reads, g * buffer, g * b.dram, text))
    return min(found, key=lambda k: k.total)


def _strip_act(layer: Layer, batch: int, b: Block) -> int:
    """Return the activations of one group, with the rows that strips share read by each."""
    return batch * layer.c * ceil_div(layer.e, b.rows) * layer.rows_in(b.rows) * layer.h


def _output_stationary(layer: Layer, batch: int, pes: int, words: int, edge: int) -> Counts:
    """Return OS with tiles of edge x edge pixels of as many filters as there are PEs for, a partial sum in each PE.

    A weight is broadcast to the tile; an activation to the filters, and moves from PE to PE inside the tile.
    """
    macs, g = layer.macs(batch), layer.groups
    edge = min(edge, layer.e)
    m = max(1, pes // edge**2)
    tiles = batch * ceil_div(layer.e, edge) ** 2
    act = tiles * layer.c * layer.rows_in(edge) ** 2 * ceil_div(layer.m, m)
    found = []
    for b in best_blocks(layer, batch, words, False, 1, m):
        buffer = b.act + act + b.wgt + layer.weights * tiles + 2 * b.out
        text = f"{edge} x {edge} pixels x {m} filters; {b.text}"
        found.append(Counts(macs, 2 * macs, 2 * macs, g * buffer, g * b.dram, text))
    return min(found, key=lambda k: k.total)


def output_stationary_a(layer: Layer, batch: int, pes: int, words: int) -> Counts:
    """Return OS_A: the pixels of one filter's output map (as ShiDianNao)."""
    return _output_stationary(layer, batch, pes, words, int(pes**0.5))


def output_stationary_b(layer: Layer, batch: int, pes: int, words: int) -> Counts:
    """Return OS_B: some pixels of several filters' maps, with the best edge."""
    edges = (edge for edge in (2, 3, 4, 5, 7, 8) if edge**2 <= pes)
    return min((_output_stationary(layer, batch, pes, words, edge) for edge in edges), key=lambda k: k.total)


def output_stationary_c(layer: Layer, batch: int, pes: int, words: int) -> Counts:
    """Return OS_C: one pixel of many filters' maps."""
    return _output_stationary(layer, batch, pes, words, 1)


def no_local_reuse(layer: Layer, batch: int, pes: int, words: int) -> Counts:
    """Return NLR: channels x filters, nothing kept in a PE; every weight and partial sum comes from the buffer."""
    macs, g = layer.macs(batch), layer.groups
    found = []
    for c, m in _splits(pes):
        act = macs // g // layer.m * ceil_div(layer.m, m)
        psums = 2 * layer.r**2 * ceil_div(layer.c, c)
        for b in best_blocks(layer, batch, words, True, c, m):
            buffer = b.act + act + b.wgt + macs // g + psums * b.out
            found.append(Counts(macs, 0, 3 * macs, g * buffer, g * b.dram, f"{c} channels x {m} filters; {b.text}"))
    return min(found, key=lambda k: k.total)


DATAFLOWS: dict[str, Best] = {
    "WS": weight_stationary,
    "OS_A": output_stationary_a,
    "OS_B": output_stationary_b,
    "OS_C": output_stationary_c,
    "NLR": no_local_reuse,
}
