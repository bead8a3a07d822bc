"""NVDLA's primer: ResNet-50 frames/s of seven configurations, by the vendor's formula and by our simulator.

The formula is that of the vendor's spreadsheet (nvdla/hw, perf/NVDLA_OpenSource_Performance.xlsx, sheet ResNet50): for
each layer the greater of DRAM and MAC cycles, Winograd on 3x3 kernels, nothing else. Its sizes are kB of 1,024 bytes.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

from accelc.chip import Chip, load_chip
from accelc.compiler import Compiled, Options, compile_stages, retarget
from accelc.graph import Graph, Layer
from accelc.sim.timing import time_program
from accelc.validate.row import FreeParameter, Replay, Row, Section

CLOCK_HZ = 1e9
FC_BATCH = 16


@dataclass(frozen=True)
class Configuration:
    """A row of the primer's table: int8 MACs at 1 GHz, convolution buffer, DRAM rate, ResNet-50 frames/s."""

    macs: int
    cbuf_kb: int
    dram_gb_s: float
    fps: float
    atomic_c: int  # inputs of an adder tree and number of trees; those of 2,048 and 64 MACs are nv_large and nv_small
    atomic_k: int

    @property
    def name(self) -> str:
        """Return the row's name."""
        return f"{self.macs} MACs, {self.cbuf_kb} kB, {self.dram_gb_s:g} GB/s"


PRIMER = (
    Configuration(2048, 512, 20, 269, 64, 32),
    Configuration(1024, 256, 15, 153, 64, 16),
    Configuration(512, 256, 10, 93, 32, 16),
    Configuration(256, 256, 5, 46, 32, 8),
    Configuration(128, 256, 2, 20, 16, 8),
    Configuration(64, 128, 1, 7.3, 8, 8),
    Configuration(32, 128, 0.5, 3.6, 8, 4),
)


@dataclass(frozen=True)
class Shape:
    """A row of the vendor's sheet: a convolution or FC layer with what is fused behind it."""

    name: str
    channels: int
    height: int
    width: int
    outputs: int
    kernel: int
    stride: int
    padded: bool
    out_height: int  # after fused pooling
    out_width: int
    added: bool = False  # an addition of another tensor of the output's shape is fused
    fc: bool = False


def shapes(graph: Graph) -> list[Shape]:
    """Return a graph's layers as the vendor's sheet lists them: pooling and addition fused into the layer before."""
    rows: list[Shape] = []
    for layer in graph.layers:
        if layer.op in ("conv", "fc"):
            rows.append(_shape(graph, layer))
        elif layer.op in ("max_pool", "global_avg_pool"):
            height, width = graph.tensors[layer.outputs[0]].shape[2:]
            rows[-1] = replace(rows[-1], out_height=height, out_width=width)
        elif layer.op == "add":
            # The shortcut's convolution comes after the one that the sheet adds to.
            last = -2 if rows[-1].name.endswith("shortcut") else -1
            rows[last] = replace(rows[last], added=True)
    return rows


def _shape(graph: Graph, layer: Layer) -> Shape:
    source, weights, out = (graph.tensors[name].shape for name in (*layer.inputs[:2], layer.outputs[0]))
    if layer.op == "fc":
        return Shape(layer.name, weights[1], 1, 1, weights[0], 1, 1, False, 1, 1, fc=True)
    _, channels, height, width = source
    padded, stride = any(layer.attrs["pads"]), layer.attrs["strides"][0]
    return Shape(layer.name, channels, height, width, weights[0], weights[2], stride, padded, out[2], out[3])


def sheet(rows: list[Shape]) -> list[Shape]:
    """Return the rows with the sheet's one oddity: the first 1x1 convolution of the first block reads 256 channels.

    It reads 64 in the network. With 256, as its two namesakes in the stage have, and with nothing else changed, the
    formula gives all seven published figures, and the three others that the sheet shows at 10 GB/s: 140.6 frames/s,
    7.114 ms and 0.232 of the MACs.
    """
    return [replace(r, channels=256) if r.name == "conv2_1/1x1_reduce" else r for r in rows]


def ceil_to(value: float, multiple: int) -> int:
    """Return a value rounded up to a multiple."""
    return math.ceil(value / multiple) * multiple


def dram_kb(s: Shape, cbuf_kb: int) -> float:
    """Return the kB that a layer moves: the smaller operand is kept, the greater is read again where that overflows."""
    height, width = math.ceil(s.height / s.stride), math.ceil(s.width / s.stride)
    folded = ceil_to(s.channels * s.stride**2, 16)
    taps = math.ceil(s.kernel / s.stride) ** 2
    inputs = folded * height * width / 1024
    least = folded * min(s.kernel, height) * width / 1024
    outputs = s.out_height * s.out_width * ceil_to(s.outputs, 16) / 1024
    group = folded * taps * 32 / 1024
    group = cbuf_kb / 2 if group >= cbuf_kb else group
    weights = folded * taps * s.outputs / 1024 * (16 / 9 if s.kernel == 3 else 1)
    kept, moved, room = (inputs, weights, cbuf_kb - group) if inputs < weights else (weights, inputs, cbuf_kb - least)
    times = math.ceil(kept / room) if kept > room else 1
    return kept + times * moved + outputs * (2 if s.added else 1)


def mac_cycles(s: Shape, macs: int) -> float:
    """Return the cycles of a layer's multiply-accumulates, channels rounded to 16 and outputs to 128."""
    edge = 0 if s.padded else s.kernel - 1
    pixels = math.ceil((s.height - edge) / s.stride) * math.ceil((s.width - edge) / s.stride)
    outputs = ceil_to(s.outputs * FC_BATCH, 128) / FC_BATCH if s.fc else ceil_to(s.outputs, 128)
    folded = ceil_to(s.channels * s.stride**2, 16)
    winograd = 2.25 if s.kernel == 3 else 1.0
    return folded * pixels * outputs * s.kernel**2 / s.stride**2 / macs / winograd


def formula_cycles(rows: list[Shape], macs: int, cbuf_kb: int, dram_gb_s: float) -> float:
    """Return the cycles of an image at 1 GHz; the sheet counts a kB as 1,000 bytes where it divides by the rate."""
    return sum(max(math.ceil(dram_kb(s, cbuf_kb) / dram_gb_s * 1000), mac_cycles(s, macs)) for s in rows)


def chip_of(row: Configuration) -> Chip:
    """Return nv_large with the array, the buffer and the DRAM rate of a row of the table."""
    base = load_chip("nvdla_large")
    array = base.array.model_copy(update={"rows": row.atomic_c, "cols": row.atomic_k})
    assert base.buffers.unified is not None
    unified = base.buffers.unified.model_copy(update={"bytes": row.cbuf_kb * 1024})
    buffers = base.buffers.model_copy(update={"unified": unified})
    dram = base.dram.model_copy(update={"burst_ns": base.dram.burst_bytes / row.dram_gb_s})
    changed = {"name": f"nvdla_{row.macs}", "array": array, "buffers": buffers, "dram": dram}
    return Chip.model_validate(base.model_copy(update=changed).model_dump())


def simulated_fps(front: Compiled, row: Configuration) -> float:
    """Return the frames/s of the compiled network on our simulator."""
    chip = chip_of(row)
    program = retarget(front, chip, dataflow="auto", objective="latency").finished
    return chip.clock_mhz * 1e6 / time_program(program, chip).cycles


def replay() -> Replay:
    """Return the seven rows by the formula, and the same configurations simulated."""
    front = compile_stages("resnet50", load_chip("nvdla_large"), Options(residency=False), stop_after="quantize")
    assert front.graph is not None
    network = shapes(front.graph)
    return Replay(tuple(_rows(front, network)), _FREE, _PROSE, (_oddity(network),))


def _rows(front: Compiled, network: list[Shape]) -> Iterator[Row]:
    for c in PRIMER:
        ours = CLOCK_HZ / formula_cycles(sheet(network), c.macs, c.cbuf_kb, c.dram_gb_s)
        yield Row("nvdla", c.name, "fps", c.fps, ours, "frames/s", "vendor-analytic")
    for c in PRIMER:
        note = f"{c.atomic_k} trees of {c.atomic_c} inputs"
        yield Row("nvdla", c.name, "fps_simulated", c.fps, simulated_fps(front, c), "frames/s", "vendor-analytic", note)


def _oddity(network: list[Shape]) -> Section:
    head = ("row", "published", "the network's own layers", "with the sheet's 256 channels")
    cells = []
    for c in PRIMER:
        found = (CLOCK_HZ / formula_cycles(rows, c.macs, c.cbuf_kb, c.dram_gb_s) for rows in (network, sheet(network)))
        cells.append((c.name, f"{c.fps:g}", *(f"{fps:.2f}" for fps in found)))
    return Section("nvdla: the formula with and without the sheet's oddity", head, tuple(cells))


_FREE = (
    FreeParameter(
        "conv2_1/1x1_reduce channels",
        256,
        "input channels of one row of the sheet, 64 in the network; inferred, see the text",
    ),
    FreeParameter(
        "arrays of the simulated rows",
        ", ".join(f"{c.atomic_c} x {c.atomic_k}" for c in PRIMER),
        "inputs of a tree x trees; assumed except the first (nv_large) and 8 x 8 (nv_small)",
    ),
)
_PROSE = (
    "Source: the table of NVDLA's primer (nvdla/doc, `doc/primer.rst`; 1 GHz, int8, no on-chip SRAM) and the formula of"
    " the vendor's spreadsheet (nvdla/hw, `perf/NVDLA_OpenSource_Performance.xlsx`): per layer the greater of DRAM and"
    " MAC cycles, with Winograd on 3x3 kernels, pooling and additions fused, FC weights read once an image. The vendor"
    " calls it optimal performance without software overhead. It is no measurement, and neither is a figure of it.",
    "`fps` applies that formula to the layers of our own ResNet-50. One row of the sheet must differ from the network:"
    " with 256 instead of 64 input channels in the first 1x1 convolution of the first block (as in the two blocks after"
    " it) all seven figures come out to rounding, and so do the three that the sheet shows for 2,048 MACs at 10 GB/s"
    " (140.6 frames/s, 7.114 ms, MAC utilization 0.232). Without it each figure is up to 2.4 % off;"
    " with it what remains is the published figures' rounding.",
    "`fps_simulated` is our compiler and simulator on the chip `nvdla_large` with the row's array, buffer and DRAM rate"
    " (a burst rounded up to whole cycles: 1.5 to 5 % slower than the row at 5 to 20 GB/s), layer by layer like the"
    " formula, no map kept on chip between layers. It departs from the formula in both directions. Slower: no Winograd,"
    " which is 2.25 times the MAC cycles of 3x3 kernels; the array's edges,"
    " fill and drain; additions and pooling as instructions of their own; DRAM latency and refresh. Faster, where DRAM"
    " bounds: weights are not Winograd's, which are 16/9 as large, and the tiling reads less than the formula's rule of"
    " keeping one whole operand. The primer tells no shape of array: that of 2,048 MACs is nv_large's, that of 64"
    " nv_small's, the others are assumed between them.",
)
