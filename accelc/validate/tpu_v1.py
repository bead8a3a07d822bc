"""TPU v1's cycle split (Jouppi et al., ISCA 2017, Table 3) from a small explicit model of its matrix unit.

Tiles of 256 x 256 weights come from DRAM into a FIFO of four, are shifted into the array's second set of registers
while the first set computes, and are used for as many cycles as there are rows of activations. A layer's first matrix
multiply waits until the layer before has left the array, gone through the activation unit and been written back.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from accelc.chip import Chip, load_chip
from accelc.isa.dataflow.weight_stationary import folds
from accelc.validate.row import FreeParameter, Replay, Row, Section
from accelc.validate.tpu_v1_apps import APPS, App, Matrix, Vector

BUCKETS = ("array_active", "useful_macs", "unused_macs", "weight_stall", "weight_shift", "non_matrix")

# Percent of cycles; useful and unused split array_active, the rest and array_active sum to 100 (ISCA 2017, Table 3).
PUBLISHED: dict[str, tuple[float, ...]] = {
    "MLP0": (12.7, 12.5, 0.3, 53.9, 15.9, 17.5),
    "MLP1": (10.6, 9.4, 1.2, 44.2, 13.4, 31.9),
    "LSTM0": (8.2, 8.2, 0.0, 58.1, 15.8, 17.9),
    "LSTM1": (10.5, 6.3, 4.2, 62.1, 17.1, 10.3),
    "CNN0": (78.2, 78.2, 0.0, 0.0, 0.0, 21.8),
    "CNN1": (46.2, 22.5, 23.7, 28.1, 7.0, 18.7),
}

FIFO_TILES = 4
PATH_BYTES = 256  # the internal path between unified buffer, activation unit and matrix unit
WRITE_BACK_CYCLES = 2000
TURNAROUND_CYCLES = 20_000


@dataclass(frozen=True)
class Machine:
    """What the model reads of the chip file, in cycles; `chunk` is the rows of activations half the sums can hold."""

    chip: Chip
    tile_cycles: int
    shift_cycles: int
    drain_cycles: int
    chunk: int
    host_bytes_per_cycle: float

    @staticmethod
    def of(chip: Chip) -> Machine:
        """Return the figures of a chip."""
        c = chip.timing
        bursts = math.ceil(c.array_rows * c.array_cols / c.dram_burst_bytes)
        refresh = c.dram_refresh_interval_cycles / (c.dram_refresh_interval_cycles - c.dram_refresh_cycles)
        return Machine(
            chip,
            tile_cycles=math.ceil(bursts * c.dram_burst_cycles * refresh),
            shift_cycles=c.array_rows,
            drain_cycles=c.array_rows + c.array_cols - 2,
            chunk=c.acc_bytes // 4 // c.array_cols // 2,
            host_bytes_per_cycle=chip.host.bytes_per_second / (chip.clock_mhz * 1e6),
        )


@dataclass
class Clock:
    """The state of one batch: when the units are free, and the cycles of the matrix unit by cause."""

    now: int = 0  # the matrix unit is busy or accounted for up to here
    ready: int = 0  # the operands of the next layer are in the unified buffer
    started: int = 0  # the last tile began to compute: the second set of registers is free
    dram: int = 0
    shifted: list[int] = field(default_factory=lambda: [0] * FIFO_TILES)
    useful: float = 0.0
    cycles: Counter[str] = field(default_factory=Counter)

    def wait(self, until: int, cause: str) -> None:
        """Let the matrix unit idle up to a time."""
        self.cycles[cause] += max(0, until - self.now)
        self.now = max(self.now, until)


def tile(clock: Clock, machine: Machine, cycles: int, fill: float) -> None:
    """Bring one tile of weights through FIFO and shift, and compute with it; `fill` is the share of useful weights."""
    clock.dram = max(clock.dram, clock.shifted[-FIFO_TILES]) + machine.tile_cycles
    arrived = max(clock.dram, clock.started)
    in_place = arrived + machine.shift_cycles
    clock.wait(clock.ready, "non_matrix")
    clock.wait(arrived, "weight_stall")
    clock.wait(in_place, "weight_shift")
    clock.shifted.append(in_place)
    clock.started = clock.now
    clock.now += cycles
    clock.cycles["array_active"] += cycles
    clock.useful += cycles * fill


def chunks(rows: int, most: int) -> Iterator[int]:
    """Yield rows in equal parts of at most `most`."""
    parts = math.ceil(rows / most)
    for part in range(parts):
        yield rows * (part + 1) // parts - rows * part // parts


def matrix_layer(clock: Clock, machine: Machine, layer: Matrix, app: App) -> None:
    """Run a layer of the matrix unit: every chunk of rows passes all tiles of weights."""
    c = machine.chip.timing
    passes = folds(c, layer.taps, layer.depth) * math.ceil(layer.n / c.array_cols) * layer.copies
    fill = layer.weights / (passes * c.array_rows * c.array_cols)
    for rows in chunks(app.batch * layer.positions, machine.chunk):
        for _ in range(passes):
            tile(clock, machine, rows * app.activation_bytes, fill)
    # The last block of 256 outputs leaves the array and goes over the path; those before it overlapped with it.
    clock.ready = clock.now + machine.drain_cycles + rows * app.activation_bytes + WRITE_BACK_CYCLES


def vector_layer(clock: Clock, layer: Vector, app: App) -> None:
    """Run a layer of the activation unit, which reads and writes over the path."""
    values = app.batch * (layer.read + layer.written)
    work = math.ceil(values * app.activation_bytes / PATH_BYTES)
    clock.ready = max(clock.now, clock.ready) + work + WRITE_BACK_CYCLES


def split(app: App, machine: Machine) -> dict[str, float]:
    """Return the percent of a batch's cycles by cause."""
    upload = math.ceil(app.batch * app.input_bytes / machine.host_bytes_per_cycle)
    clock = Clock(ready=TURNAROUND_CYCLES + upload)
    for layer in app.layers:
        if isinstance(layer, Matrix):
            matrix_layer(clock, machine, layer, app)
        else:
            vector_layer(clock, layer, app)
    clock.wait(clock.ready, "non_matrix")
    share = {name: 100 * count / clock.now for name, count in clock.cycles.items()}
    useful = 100 * clock.useful / clock.now
    return {**share, "useful_macs": useful, "unused_macs": share["array_active"] - useful}


def replay() -> Replay:
    """Return the cycle split of the six applications beside Table 3."""
    machine = Machine.of(load_chip("tpu_v1"))
    rows = tuple(row for app in APPS for row in _rows(app, split(app, machine)))
    return Replay(rows, _free_parameters(), _PROSE, (_table_1(), _shapes()))


def _rows(app: App, ours: dict[str, float]) -> Iterator[Row]:
    for bucket, published in zip(BUCKETS, PUBLISHED[app.name], strict=True):
        name = f"{app.name} {bucket}"
        yield Row("tpu_v1", name, "cycle_split", published, ours.get(bucket, 0.0), "% of cycles", "silicon")


def _free_parameters() -> tuple[FreeParameter, ...]:
    return (
        FreeParameter(
            "write_back_cycles",
            WRITE_BACK_CYCLES,
            "from the last result of a layer to its use by the next, one value for all applications: the published RAW"
            " stalls of both MLPs and both LSTMs come to 2,500 to 3,200 cycles a layer, less drain and activation",
        ),
        FreeParameter(
            "turnaround_cycles",
            TURNAROUND_CYCLES,
            "between two batches, one value for all applications: what MLP1's published non-matrix share leaves after"
            " its RAW and input stalls (29 us)",
        ),
        *(_inferred(app) for app in APPS),
    )


def _inferred(app: App) -> FreeParameter:
    shapes = len(set(app.layers))
    text = f"{shapes} distinct layers, {8 * app.activation_bytes}-bit activations, {app.input_bytes:,} B of input"
    return FreeParameter(f"{app.name}", text, "inferred; the layers are listed below")


def _table_1() -> Section:
    head = ("app", "layers", "weights, Table 1", "ours", "MACs a weight, Table 1", "ours", "input B an example")
    return Section(
        "tpu_v1: the inferred layers against the paper's Table 1",
        head,
        tuple(
            (
                app.name,
                str(len(app.layers)),
                f"{app.weights_m:.0f} M",
                f"{app.weights / 1e6:.1f} M",
                f"{app.macs_per_weight:,.0f}",
                f"{app.intensity:,.0f}",
                f"{app.input_bytes:,}",
            )
            for app in APPS
        ),
    )


def _shapes() -> Section:
    cells = []
    for app in APPS:
        counts = Counter(layer.text for layer in app.layers)
        cells.append((app.name, "; ".join(f"{count} x {text}" for text, count in counts.items())))
    return Section("tpu_v1: the inferred layers", ("app", "layers (depth x outputs)"), tuple(cells))


_PROSE = (
    "Source: Jouppi et al., *In-datacenter performance analysis of a tensor processing unit*, ISCA 2017, Tables 1 and"
    " 3; the chip is `accelc/chip/tpu_v1.toml`. Useful and unused split the active share; active, weight stall, weight"
    " shift and non-matrix sum to 100.",
    "The model, `accelc/validate/tpu_v1.py`: a 64 KiB tile takes the chip file's DRAM burst time and refresh (29 GiB/s;"
    " the paper's Table 2 says 34 GB/s peak, its Figure 1 30 GiB/s); four tiles fit in the FIFO; shifting a tile takes"
    " 256 cycles, beside the computation of the tile before. Activations of 16 bits run at half rate, which both LSTMs"
    " are taken to have because their published TOPS are half of what their useful share makes at 8 bits.",
    "Non-matrix cycles have four causes here: the first input comes over PCIe at 14 GB/s before anything runs; a fixed"
    " turnaround a batch; draining and activation of a layer's last block before the next layer may read it; vector and"
    " pooling layers. While the unit waits for operands the FIFO fills up, so that up to four tiles' stalls vanish.",
    "The hardware has no constant for one application, but this is no blind prediction. The paper publishes no shape:"
    " **every layer shape is inferred**, to satisfy Table 1 (within 5 %) with Table 3 in view. LSTM1's matrices of"
    " 600 x 600 padded one by one, and CNN1's 180 channels, answer the unused share; the two constants above come from"
    " Table 3's RAW and non-matrix rows. Read the agreement as 'such networks would split like this'.",
    "CNN1 does not agree. Its counters and its row of Table 1 do not meet in any network with well-filled FC tiles:"
    " 175 G multiply-accumulates at a useful share of 22.5 % make 11.9 M cycles; the 28.1 % of them that stall are as"
    " many as three thousand tiles of FC weights wait, but 100 M weights fill half as many tiles.",
)
