"""Eyeriss v1 (Chen et al., JSSC 52(1), 2017, Tables V and VI): 18 layers, six measured metrics.

Latency and traffic of the global buffer come from the closed forms of the row-stationary array, held equal to a
literal model elsewhere, with the mappings of accelc.validate.eyeriss_layers; traffic to DRAM from the order of the
loops and the expected length of the run-length code; power from counted events.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import pairwise

from accelc.chip import Chip, load_chip
from accelc.energy import load_table
from accelc.energy.model import register_pj_per_bit, sram_pj_per_byte
from accelc.isa.dataflow.row_mapping import Mapping, Tile
from accelc.isa.dataflow.row_stationary import layer_cycles, layer_words
from accelc.validate.eyeriss_layers import LAYERS, METRICS, Layer
from accelc.validate.row import FreeParameter, Replay, Row, Section

WORD_BYTES = 2
RUN_LIMIT = 31  # zeros that the 5 bits of a run can count
PAIRS_PER_LINE = 3  # of a run and a 16-bit level, in 64 bits
LINE_BYTES = 8
# Share of zeros before a pooling, as a power of the share after it: 1/4 if the pixels of a 2x2 window were zero
# independently of each other, 1 if all or none were.
BEFORE_POOLING = 0.5

# pJ of a 16-bit word at 65 nm; a word over the array's network costs what a hop from one PE to the next does.
_TABLE = load_table("65nm")
MAC_PJ = _TABLE.mac.value
REGISTER_PJ = 16 * register_pj_per_bit(_TABLE, 224, 16)
ARRAY_PJ = 16 * _TABLE.hop_bit.value
BUFFER_PJ = 2 * sram_pj_per_byte(_TABLE, 108 * 1024)


@dataclass(frozen=True)
class Work:
    """What the closed forms count of a layer's whole batch: cycles, and words moved."""

    cycles: int
    acts: int
    weights: int
    psums: int
    act_writes: int
    weight_writes: int
    hops: int

    @property
    def buffer_bytes(self) -> int:
        """Return the traffic of the global buffer: inputs read, sums written and read; filters bypass it."""
        return (self.acts + 2 * self.psums) * WORD_BYTES


@dataclass(frozen=True)
class Traffic:
    """The bytes that a layer's batch moves to and from DRAM."""

    inputs: float
    outputs: float
    filters: int

    @property
    def exposed(self) -> float:
        """Return the bytes that move while the array waits; filters are loaded ahead."""
        return self.inputs + self.outputs

    @property
    def total(self) -> float:
        """Return all bytes."""
        return self.inputs + self.outputs + self.filters


def work(chip: Chip, layer: Layer) -> Work:
    """Return the cycles and words of a layer, pass by pass, in the placement given."""
    place = layer.placement
    tile = Tile(
        layer.extent, layer.extent // place.halves, place.images, layer.taps, layer.taps, layer.channels,
        layer.filters, layer.stride, layer.stride, 1, 1, 0,
    )  # fmt: skip
    times = layer.batch // place.images * place.halves
    cycles = sum(layer_cycles(chip.timing, tile, place.mapping, layer.groups)) - chip.timing.last_index
    return Work(*(times * value for value in (cycles, *layer_words(tile, place.mapping, layer.groups))))


def active_pes(m: Mapping) -> int:
    """Return the PEs that a mapping gives work to."""
    return m.taps_y * m.e * m.r * m.t


def _lines(layer: Layer, part: int) -> int:
    """Return the input rows (or columns) read when the outputs are made in parts of `part`, halos counted twice."""
    read = 0
    for first in range(0, layer.extent, part):
        last = min(first + part, layer.extent) - 1
        begin, end = first * layer.stride - layer.padding, last * layer.stride - layer.padding + layer.taps
        read += min(end, layer.input_extent) - max(begin, 0)
    return read


def coded_bytes(words: int, zeros: float) -> float:
    """Return the expected bytes of `words` words in the run-length code, each being zero with probability `zeros`.

    A pair holds a run of up to 31 zeros and a level. Each other word ends a run, and takes one pair; each 32 zeros on
    the way take one more, whose level is zero: z^32 + z^64 + ... for a geometric run, so 1 / (1 - z^32) pairs in all.
    """
    pairs = words * (1 - zeros) / (1 - zeros ** (RUN_LIMIT + 1))
    return math.ceil(pairs / PAIRS_PER_LINE) * LINE_BYTES


def traffic(layer: Layer, following: Layer | None) -> Traffic:
    """Return the traffic to DRAM; the share of zeros written is that of the following layer's input.

    Each block of m filters reads the inputs of its strip. The first layer's input is not coded; the last one's output
    is taken to have as many zeros as its input.
    """
    place = layer.placement
    area = _lines(layer, place.mapping.e) * _lines(layer, layer.extent // place.halves)
    read = area * layer.channels * layer.groups * layer.batch * math.ceil(layer.filters / place.m)
    inputs = float(read * WORD_BYTES) if layer.channels == 3 else coded_bytes(read, layer.zeros)
    zeros = following.zeros if following else layer.zeros
    written = layer.batch * layer.groups * layer.filters * layer.extent**2
    outputs = coded_bytes(written, zeros**BEFORE_POOLING if layer.pooled else zeros)
    strips = math.ceil(layer.extent / place.mapping.e)
    loads = strips // place.strips_per_load * place.halves * layer.batch // place.images
    return Traffic(inputs, outputs, loads * layer.groups * layer.filters * layer.channels * layer.taps**2 * WORD_BYTES)


def event_pj(layer: Layer, done: Work) -> dict[str, float]:
    """Return the energy of a layer's events by place; a zero input is read and then skips filter, product and sum."""
    products = layer.macs * (1 - layer.zeros)
    words = done.acts + 2 * done.psums + done.weights
    registers = layer.macs + 3 * products + done.act_writes + done.weight_writes
    return {
        "mac": products * MAC_PJ,
        "registers": registers * REGISTER_PJ,
        "network": (words + done.hops) * ARRAY_PJ,
        "buffer": words * BUFFER_PJ,
    }


@dataclass(frozen=True)
class Result:
    """A layer replayed: latencies in ms, traffic in bytes, and the mW of its events over the total latency."""

    layer: Layer
    processing_ms: float
    total_ms: float
    done: Work
    moved: Traffic
    event_mw: dict[str, float]

    def metrics(self, clock_mw: float) -> tuple[float, ...]:
        """Return the values of METRICS, with a constant power for clock and idling."""
        power = sum(self.event_mw.values()) + clock_mw
        megabytes = self.done.buffer_bytes / 1e6, self.moved.total / 1e6
        return (self.processing_ms, self.total_ms, active_pes(self.layer.placement.mapping), *megabytes, power)


@cache
def results() -> tuple[Result, ...]:
    """Return all layers replayed on the chip as described."""
    chip = load_chip("eyeriss")
    following = [after if after.network == layer.network else None for layer, after in pairwise(LAYERS)]
    return tuple(_result(chip, *pair) for pair in zip(LAYERS, [*following, None], strict=True))


def _result(chip: Chip, layer: Layer, following: Layer | None) -> Result:
    done, moved = work(chip, layer), traffic(layer, following)
    processing_ms = done.cycles / chip.clock_mhz / 1e3
    total_ms = processing_ms + moved.exposed / (chip.dram.burst_bytes / chip.dram.burst_ns) / 1e6
    power = {name: pj / total_ms / 1e6 for name, pj in event_pj(layer, done).items()}
    return Result(layer, processing_ms, total_ms, done, moved, power)


def clock_mw(made: Sequence[Result]) -> float:
    """Return the constant power that, added to the events', has the least squared error over all layers."""
    power = list(METRICS).index("power")
    return sum(r.layer.published[power] - sum(r.event_mw.values()) for r in made) / len(made)


def _note(layer: Layer, metric: str) -> str:
    if layer.name == "CONV3" and metric == "glb_bytes":
        return "with the published mapping; q = 3, r = 2, t = 2, the next layers' mapping, would give 50.2 MB"
    return "inferred mapping" if layer.placement.inferred and metric != "power" else ""


def _rows(made: Sequence[Result], clock: float) -> Iterator[Row]:
    for i, (metric, unit) in enumerate(METRICS.items()):
        for r in made:
            name = f"{r.layer.network} {r.layer.name}"
            ours = r.metrics(clock)[i]
            yield Row("eyeriss", name, metric, r.layer.published[i], ours, unit, "silicon", _note(r.layer, metric))


def _mappings() -> Section:
    head = ("layer", "m", "n", "e", "p", "q", "r", "t", "halves", "strips per filter load", "origin")
    cells = []
    for layer in LAYERS:
        place, m = layer.placement, layer.placement.mapping
        numbers = (place.m, place.images, m.e, m.p, m.q, m.r, m.t, place.halves, place.strips_per_load)
        origin = "inferred" if place.inferred else "published"
        cells.append((f"{layer.network} {layer.name}", *map(str, numbers), origin))
    return Section("Mappings", head, tuple(cells))


def _power(made: Sequence[Result], clock: float) -> Section:
    places = ("mac", "registers", "network", "buffer")
    cells = [
        (f"{r.layer.network} {r.layer.name}", *(f"{r.event_mw[p]:.0f}" for p in places), f"{clock:.0f}") for r in made
    ]
    return Section("Power by place, mW", ("layer", *places, "clock and idling"), tuple(cells))


def replay() -> Replay:
    """Return the 18 layers by six metrics, what was chosen, and what was inferred."""
    made = results()
    clock = clock_mw(made)
    return Replay(tuple(_rows(made, clock)), _chosen(clock), _PROSE, (_mappings(), _power(made, clock)))


def _chosen(clock: float) -> tuple[FreeParameter, ...]:
    return (
        FreeParameter(
            "clock and idle power, mW", round(clock, 1),
            "one constant for the chip, the least squares over the 18 published powers, as counted events alone are far"
            " too low; fitted on one network it predicts the other's powers within 6 % on average",
        ),
        FreeParameter(
            "zeros before pooling", BEFORE_POOLING,
            "their share is that after pooling to this power, for all layers that a pooling follows; unpublished, and"
            " chosen by the DRAM column, whose mean error is 3.7 % with 1 and 4.6 % with 1/4",
        ),
        FreeParameter(
            "mappings of VGG-16", "5 rows",
            "unpublished; one per size of feature map, chosen among what the buffers hold by active PEs, traffic and"
            " latency. Those for maps of 28 rest on the DRAM column: with m = 64, filters loaded for each strip, it is"
            " 12 to 44 % off there",
        ),
    )  # fmt: skip


_PROSE = (
    "Processing latency: the closed form of the row-stationary array at 200 MHz, which equals a literal model of every"
    " PE and bus, with buses of 1 input, 4 filter words and 4 partial sums a cycle as published. No constant of it is"
    " fitted. A variant in which each PE spends one more cycle on a partial sum, to add its neighbor's, is within 1 %"
    " on AlexNet's CONV1 to CONV3 but 9 and 16 % high on CONV4 and CONV5; it is not used.",
    "Total latency: processing, and the inputs and outputs over the 480 MB/s link, as the chip does not compute while"
    " they move. Filters are loaded ahead.",
    "Global buffer: inputs read once a pass, partial sums written and read in every pass; filters bypass it.",
    "DRAM: inputs read once for each block of m filters and strip, with halos; outputs written once; both run-length"
    " coded with the published share of zeros, as if zeros were independent. Filters are not coded.",
    "Power: events at nn_dataflow's 65 nm energies (multiply-accumulate 2, register file 1, network 4, buffer 15 pJ per"
    " 16 bits) over the total latency, a zero input skipping all but its own read, and one constant for clock and"
    " idling.",
    "VGG-16: feature maps of 224 columns are taken to be computed in halves of 112, as both have the same ratio of"
    " latency to products. Maps of 224, 112, 56 and 14 fill the 25 banks of 4 kB exactly, with the sums of m filters"
    " and e rows and two sets of a pass's inputs.",
)
