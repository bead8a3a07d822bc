"""The energy that no mapping can beat: least event counts at the chip's rates, and what the least time leaks.

Energy is linear in counts and time, so a lower bound on each gives one on the sum. docs/bounds.md derives the counts.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from accelc.chip import Chip
from accelc.energy.activity import GATED
from accelc.energy.rates import rates_of
from accelc.graph import Graph, Layer, nhwc
from accelc.isa import events as ev
from accelc.isa.dataflow import CODES
from accelc.isa.dataflow.least import least_events
from accelc.schedule.compulsory import Moved, needed_pixels
from accelc.schedule.plain import is_plain
from accelc.schedule.stages import GLOBAL_OPS, MAC_OPS, WINDOW_OPS
from accelc.schedule.vector import vector_events

Counts = npt.NDArray[np.float64]


class EnergyBound:
    """The least energy, in picojoules, of layers on a chip."""

    def __init__(self, chip: Chip) -> None:
        rates = rates_of(chip)
        self.chip = chip
        self.rates = np.array([sum(rates.pj[name].values()) for name in ev.NAMES])
        self._watts = sum(rates.passing_w.values())

    def layer(self, graph: Graph, layer: Layer, moved: Moved) -> float:
        """Return the energy of a layer's least events, apart from those of a stream and from passing time."""
        counts = _traffic(self.chip, moved) + _vector(graph, layer, self.chip)
        return self.events(counts) + self._products(graph, layer)

    def events(self, counts: Counts) -> float:
        """Return the energy of counts [events.NAMES]."""
        return float(counts @ self.rates)

    def passing(self, cycles: int) -> float:
        """Return what clock and leakage take in so many cycles."""
        return self._watts * cycles / (self.chip.clock_mhz * 1e6) * 1e12

    def _products(self, graph: Graph, layer: Layer) -> float:
        """Return the least over the dataflows offered for a layer's multiply-accumulates, gated events for nothing."""
        if layer.op not in MAC_OPS:
            return 0.0
        weights, organization = graph.tensors[layer.inputs[1]].shape, self.chip.array.organization
        outputs, each = needed_pixels(graph, layer) * weights[0], math.prod(weights[1:])
        gated = GATED[organization] if self.chip.array.zero_gating else ()
        found = []
        for dataflow in self.chip.array.dataflows:
            least = least_events(CODES[organization, dataflow], self.chip.timing)
            stores = max(1.0, each * least.pop(ev.ACC_WRITE_WORDS, 0.0))  # of each sum, at least once
            product = sum(count * float(self.rates[k]) for k, count in least.items() if k not in gated)
            found.append(each * product + stores * float(self.rates[ev.ACC_WRITE_WORDS]))
        return outputs * min(found)


def _traffic(chip: Chip, moved: Moved) -> Counts:
    """Return the least events of the bytes that must cross the bus: in the DRAM, and in the buffer they go to or leave.

    A code may spare what is written, as the values decide; the network's input and its weights are never coded.
    """
    counts = np.zeros(len(ev.NAMES))
    counts[ev.DRAM_READ_BYTES] = moved.weights + moved.read
    counts[ev.DRAM_WRITE_BYTES] = 0 if chip.dma.compression != "none" else moved.written
    counts[ev.WGT_WRITE_BYTES], counts[ev.ACT_WRITE_BYTES] = moved.weights, moved.read
    counts[ev.ACT_READ_BYTES] = moved.written
    return counts


def _vector(graph: Graph, layer: Layer, chip: Chip) -> Counts:
    """Return the events of a layer's vector work, as one instruction on all that is needed of its result."""
    result = graph.tensors[layer.outputs[0]]
    if is_plain(result) and layer.op not in MAC_OPS:
        return np.zeros(len(ev.NAMES))
    window = layer.attrs["kernel"] if layer.op in WINDOW_OPS else (1, 1)
    if layer.op in GLOBAL_OPS:
        window = nhwc(graph.tensors[layer.inputs[0]].shape)[1:3]
    pixels, channels = needed_pixels(graph, layer), nhwc(result.shape)[3]
    found = vector_events(chip, layer, pixels, channels, window, raw=result.dtype == "int32")
    return found.astype(np.float64)
