"""Row-stationary: a PE keeps rows of filters and slides a row of activations past them; counts of an explicit mapping.

A PE set is r rows high (one for each kernel row) and `e` output rows wide; the array holds `sets_c` x `sets_m` sets,
for different channels and filters. A PE keeps `p` filters of `q` channels, one kernel row of each.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from accelc.validate.dataflows.counts import Block, Counts, Layer, best_blocks, ceil_div, parts


@dataclass(frozen=True)
class Mapping:
    """What the array holds in one pass."""

    p: int
    q: int
    e: int
    sets_c: int
    sets_m: int

    @property
    def text(self) -> str:
        """Return the mapping in the papers' letters."""
        return f"p {self.p}, q {self.q}, e {self.e}, r {self.sets_c}, t {self.sets_m}"

    @property
    def channels(self) -> int:
        """Return the input channels of a pass."""
        return self.q * self.sets_c

    @property
    def filters(self) -> int:
        """Return the filters of a pass."""
        return self.p * self.sets_m


def mappings(layer: Layer, pes: int, rf_words: int) -> Iterator[Mapping]:
    """Yield the mappings whose PEs and register files suffice; a set wider than the array is folded."""
    for q in (1, 2, 3, 4, 6, 8, 12, 16, 24, 32):
        p = min(layer.m, (rf_words - q * layer.r) // (q * layer.r + 1))
        if q > layer.c or p < 1:
            continue
        for filters in {p, min(p, 16), min(p, 32), min(p, 64)}:
            for e in (size for size in parts(layer.e) if size * layer.r <= pes):
                sets = pes // (layer.r * e)
                for sets_c in (size for size in (1, 2, 4, 8, 16, 32) if size <= sets):
                    yield Mapping(filters, q, e, min(sets_c, ceil_div(layer.c, q)), sets // sets_c)


def counts(layer: Layer, batch: int, mapping: Mapping, block: Block) -> Counts:
    """Return the accesses of a mapping under a blocking.

    Within a block the filters of a pass stay in the PEs while its images and strips go by. Register files: activation,
    weight and partial sum read, partial sum written, for each multiply-accumulate.
    """
    macs = layer.macs(batch)
    g = layer.groups
    out = block.out
    strips = ceil_div(block.rows, mapping.e)
    lines = strips * layer.rows_in(mapping.e) * ceil_div(layer.e, block.rows)
    act_reads = batch * layer.c * lines * layer.h * ceil_div(layer.m, mapping.filters)
    passes = ceil_div(layer.c, mapping.channels)
    wgt_reads = layer.weights * block.visits
    buffer = block.act + act_reads + block.wgt + wgt_reads + 2 * passes * out
    act_hops = macs / (mapping.p * layer.r) * min(layer.u, layer.r)
    psum_hops = macs / (mapping.q * layer.r)
    array = act_hops + psum_hops + g * wgt_reads * mapping.e
    return Counts(macs, 4 * macs, array, g * buffer, g * block.dram, f"{mapping.text}; {block.text}")


def best(layer: Layer, batch: int, pes: int, rf_words: int, buffer_words: int) -> Counts:
    """Return the accesses of the mapping of least energy."""
    found: list[Counts] = []
    fitting: dict[tuple[int, int], list[Block]] = {}
    for mapping in mappings(layer, pes, rf_words):
        key = (mapping.channels, mapping.filters)
        if key not in fitting:
            fitting[key] = best_blocks(layer, batch, buffer_words, True, *key)
        found += [counts(layer, batch, mapping, block) for block in fitting[key]]
    return min(found, key=lambda c: c.total)
