"""A chip and its mappings as ZigZag takes them, ZigZag's mappings as tiles of ours, and the price of a tile."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product as product_of
from pathlib import Path
from typing import Any

import numpy as np

from accelc.chip import Chip
from accelc.compiler import Compiled, Options, compile_stages
from accelc.energy import energy_of
from accelc.energy.model import dram_entry
from accelc.energy.rates import storage
from accelc.energy.table import load_table
from accelc.isa import by_name
from accelc.isa import events as ev
from accelc.lower import lower
from accelc.run import run_program
from accelc.schedule import Schedule, StagePlan
from accelc.schedule.cost import cost_of
from accelc.schedule.geometry import GRANULE, Geometry
from accelc.schedule.tiling import WHOLE_KERNEL, Tiling, fits, footprint

SEARCHED = ("Conv", "Gemm", "MatMul")
IN_PE = ("mac", "registers", "hops")
SHARED = (*IN_PE, "act_buffer", "wgt_buffer", "acc_buffer", "dram")  # what both models price, but rows of DRAM opened
DRAM_BITS = 10**12
EXTENTS = ("rows", "cols", "channels", "depth")
LINKS = {"O": "O", "W": "I2", "I": "I1"}
Json = dict[str, Any]
Orders = Mapping[str, Sequence[tuple[str, int]]]


# What ZigZag is given


def pe_energy(chip: Chip) -> tuple[float, float]:
    """Return the pJ that a full array spends per multiply-accumulate, and per weight that it loads."""
    once, twice = (_array_pj(chip, pixels) for pixels in (1000, 2000))
    size = chip.array.rows * chip.array.cols
    slope = (twice - once) / 1000
    return slope / size, (once - 1000 * slope) / size


def _array_pj(chip: Chip, pixels: int) -> float:
    """Return the pJ of the PEs for one full tile of weights and so many pixels."""
    made, counts = by_name("conv"), np.zeros(len(ev.NAMES), np.int64)
    rows, cols = chip.array.rows, chip.array.cols
    tile = {"rows": 1, "cols": pixels, "taps_y": 1, "taps_x": 1, "depth": rows, "n": cols, "groups": 1, "accumulate": 1}
    rest = {"act_row": 1, "act_col": rows, "tap_row": 1, "tap_col": 1, "dataflow": 0}
    given = tile | rest
    made.clauses["events"](counts, chip.timing, **{name: given[name] for name in made.operand_names("events")})
    joules = energy_of(chip, counts, 0)
    return 1e12 * sum(joules[name] for name in IN_PE)


def port(name: str, kind: str, bits: tuple[int, int], *served: str) -> Json:
    """Return a memory port that moves from bits[0] to bits[1] a cycle for the given operands and directions."""
    return {"name": name, "type": kind, "bandwidth_min": bits[0], "bandwidth_max": bits[1], "allocation": list(served)}


def memory(bits: int, pj: tuple[float, float], operands: Sequence[str], ports: Sequence[Json], twice: bool) -> Json:
    """Return a memory of so many bits, its pJ of reading and writing; `twice` holds what it works on and the next."""
    served = [] if bits <= 64 else ["D1", "D2"]
    cost = {"r_cost": pj[0], "w_cost": pj[1], "area": 0.0, "latency": 1}
    return {
        "size": bits, **cost, "operands": list(operands), "ports": list(ports), "served_dimensions": served,
        "force_double_buffering": twice,
    }  # fmt: skip


def buffers(chip: Chip) -> Json:
    """Return the chip's three buffers: every one has a port for each thing that ours moves at a time."""
    held = {name.split()[0]: (8 * size, bits, (pj, pj)) for name, size, bits, pj in storage(chip) if "buffer" in name}
    acc, act, wgt = held["acc"], held["act"], held["wgt"]
    word = chip.array.accumulator_bits
    acc_ports = [
        port("r_port_1", "read", (word, acc[1]), "O, tl"), port("r_port_2", "read", (word, acc[1]), "O, th"),
        port("w_port_1", "write", (word, acc[1]), "O, fh"), port("w_port_2", "write", (word, acc[1]), "O, fl"),
    ]  # fmt: skip
    act_ports = [
        port("r_port_1", "read", (8, act[1]), "I1, tl"), port("r_port_2", "read", (8, act[1]), "O, tl", "O, th"),
        port("w_port_1", "write", (8, act[1]), "I1, fh", "O, fh"), port("w_port_2", "write", (8, act[1]), "O, fl"),
    ]  # fmt: skip
    wgt_ports = [port("r_port_1", "read", (8, wgt[1]), "I2, tl"), port("w_port_1", "write", (8, wgt[1]), "I2, fh")]
    return {
        "acc": memory(acc[0], acc[2], ["O"], acc_ports, True),
        "act": memory(act[0], act[2], ["I1", "O"], act_ports, True),
        "wgt": memory(wgt[0], wgt[2], ["I2"], wgt_ports, True),
    }


def dram(chip: Chip) -> Json:
    """Return the external memory at the speed of its bursts, its energy by the bit."""
    c, figures = chip.timing, dram_entry(chip, load_table(chip.energy))
    width = 8 * c.dram_burst_bytes // c.dram_burst_cycles
    moves = [f"{op}, {way}" for op in ("I1", "I2") for way in ("fh", "tl")]
    moves += [f"O, {way}" for way in ("fh", "tl", "fl", "th")]
    pj = figures.read.value * width, figures.write.value * width
    return memory(DRAM_BITS, pj, ["I1", "I2", "O"], [port("rw_port_1", "read_write", (1, width), *moves)], False)


def accelerator(chip: Chip) -> Json:
    """Return a chip with a weight-stationary systolic array as ZigZag's accelerator, the lowest memory first."""
    per_mac, per_weight = pe_energy(chip)
    bits = chip.array.operand_bits
    ports = [port("r_port_1", "read", (bits, bits), "I2, tl"), port("w_port_1", "write", (bits, bits), "I2, fh")]
    held = memory((1 + chip.array.double_buffered_weights) * bits, (0.0, per_weight), ["I2"], ports, False)
    array = {
        "unit_energy": per_mac, "unit_area": 1.0, "dimensions": ["D1", "D2"],
        "sizes": [chip.array.cols, chip.array.rows], "systolic_dimensions": ["D1", "D2"],
    }  # fmt: skip
    memories = {"weight": held, **buffers(chip), "dram": dram(chip)}
    return {"name": chip.name, "memories": memories, "operational_array": array}


def rows_for(channels: int, kernel: int, rows: int) -> list[str]:
    """Return what lies along the array's rows: channels, and where they are few neighboring taps of the kernel too."""
    if channels >= rows:
        return [f"C, {rows}"]
    pairs = [(c, min(kernel, rows // c)) for c in range(1, channels + 1)]
    c, taps = min(pairs, key=lambda p: (math.ceil(channels / p[0]) * math.ceil(kernel / p[1]), kernel % p[1], -p[0]))
    return [f"C, {c}"] + ([f"FX, {taps}"] if taps > 1 else [])


def entry(name: str, rows: Sequence[str], cols: int, order: Sequence[tuple[str, int]] = ()) -> Json:
    """Return ZigZag's mapping of the layers of a name; without an order it searches one."""
    made = {"name": name, "spatial_mapping": {"D1": [f"K, {cols}"], "D2": list(rows)}, "memory_operand_links": LINKS}
    return made | ({"temporal_ordering": [list(loop) for loop in order]} if order else {})


def mapping(layers: Sequence[Layer], chip: Chip, orders: Orders | None = None) -> list[Json]:
    """Return ZigZag's mapping file: for each layer what lies along the rows, and the order of its loops if given."""
    rows, cols = chip.array.rows, chip.array.cols
    named = [entry(x.name, x.rows(rows), cols, (orders or {}).get(x.name, ())) for x in layers]
    return [entry("default", [f"C, {rows}"], cols), *named]


# Our side


@dataclass(frozen=True, eq=False)
class Layer:
    """One layer of the network compiled alone, from DRAM to DRAM."""

    name: str
    compiled: Compiled

    @property
    def plan(self) -> StagePlan:
        """Return the plan of the stage with the multiply-accumulates."""
        assert self.compiled.schedule is not None
        (found,) = [p for p in self.compiled.schedule.plans if p.geometry is not None and p.geometry.has_head]
        return found

    @property
    def geometry(self) -> Geometry:
        """Return its extents."""
        assert self.plan.geometry is not None
        return self.plan.geometry

    def rows(self, rows: int) -> list[str]:
        """Return what lies along the array's rows."""
        g = self.geometry
        return rows_for(g.group_in, g.conv[1].kernel, rows)


@dataclass(frozen=True)
class Price:
    """Cycles and pJ of one mapping of one layer: by ZigZag, by our scheduler (cycles only), by our simulator.

    Our energy is that of the events which both models have; `rest` is what ours adds to them.
    """

    zigzag: float
    zigzag_pj: float
    predicted: float
    simulated: float
    simulated_pj: float
    rest_pj: float


@dataclass(frozen=True)
class Compared:
    """A layer with the price of ZigZag's mapping and of ours, and how each was carried over to the other."""

    name: str
    peer: Price
    own: Price
    tile: Tiling
    clipped: str
    rounded: str


def split(path: Path, chip: Chip) -> list[Layer]:
    """Return the layers of an ONNX file that ZigZag searches, each compiled alone."""
    import onnx
    from onnx.utils import Extractor

    model = onnx.load(path)
    cutter = Extractor(model)
    nodes = [node for node in model.graph.node if node.op_type in SEARCHED]
    alone = ((n.name, cutter.extract_model([n.input[0]], [n.output[0]])) for n in nodes)
    return [Layer(name, compile_stages(m, chip, Options(residency=False), stop_after="schedule")) for name, m in alone]


def with_tile(layer: Layer, tile: Tiling) -> Schedule:
    """Return the layer's schedule with another tiling."""
    plan = layer.compiled.schedule
    assert plan is not None
    return replace(plan, plans=tuple(replace(p, tiling=tile) if p is layer.plan else p for p in plan.plans))


def simulated(layer: Layer, tile: Tiling) -> tuple[float, float, float]:
    """Return the cycles of a layer under a tiling on the machine, its pJ that ZigZag has too, and the others."""
    chip = layer.compiled.chip
    result = run_program(lower(with_tile(layer, tile), chip), values=False, chip=chip).result
    opened = result.events["dram_activate"] * dram_entry(chip, load_table(chip.energy)).activate.value
    parts = {name: 1e12 * joules for name, joules in result.energy_by_component.items()}
    both = sum(parts[name] for name in SHARED) - opened
    return result.cycles, both, sum(parts.values()) - both


# From one tool's mappings to the other's


def tile_of(found: Json, g: Geometry, chip: Chip) -> tuple[Tiling, str]:
    """Return ZigZag's mapping as a tiling, and what of it ours cannot hold.

    A tile is what the loops below the first that reaches DRAM, for any operand, leave on chip.
    """
    inner, outer = at_dram(found["loops"])
    size = {d: found["sizes"].get(d, 1) for d in ("OX", "OY", "K", "C")}
    spread = spatial(found["spatial"])
    reach = {d: min(n, math.ceil(product(inner, d) * spread.get(d, 1))) for d, n in size.items()}
    depth = g.group_in if g.flattened or reach["C"] >= size["C"] else max(reach["C"], min(GRANULE, g.group_in))
    maps = next((dim in ("OX", "OY") for dim, _ in outer if dim in ("OX", "OY", "K")), True)
    wanted = Tiling(reach["OY"], reach["OX"], reach["K"], depth, maps, "ws", WHOLE_KERNEL)
    tile = clip(wanted, g, chip)
    cut = [f"{n} {getattr(wanted, n)} to {getattr(tile, n)}" for n in EXTENTS if getattr(wanted, n) != getattr(tile, n)]
    cut += [f"{dim} outside" for dim in ("FX", "FY") if product(outer, dim) > 1]
    return tile, ", ".join(cut)


def at_dram(loops: Mapping[str, Sequence[Sequence[tuple[str, float]]]]) -> tuple[list[Any], list[Any]]:
    """Return the loops, from the inside out, that stay on chip for every operand, and the others."""
    order = [loop for level in loops["O"] for loop in level]
    inside = min(sum(len(level) for level in levels[:-1]) for levels in loops.values())
    return order[:inside], order[inside:]


def product(loops: Sequence[Any], dim: str) -> float:
    """Return the product of the sizes of a dimension's loops."""
    return float(math.prod(size for d, size in loops if d == dim))


def spatial(text: str) -> dict[str, float]:
    """Return the unrolling by dimension from ZigZag's text of it: "{D1: {K: 32}, D2: {C: 3, FX: 7}}"."""
    pairs = text.replace("{", ",").replace("}", ",").split(",")
    return {k.strip(): float(v) for k, _, v in (pair.partition(":") for pair in pairs) if v.strip()}


def clip(tile: Tiling, g: Geometry, chip: Chip) -> Tiling:
    """Return a tiling, if two of its tiles do not fit the best by our scheduler of the largest within it that do."""
    if _fits(tile, g, chip):
        return tile
    step = chip.array.rows
    extents = {"rows": _halves(tile.rows, 1), "cols": _halves(tile.cols, 1)}
    extents |= {"channels": _halves(tile.channels, step), "depth": _halves(tile.depth, step)}
    every = (dict(zip(extents, sizes, strict=True)) for sizes in product_of(*extents.values()))
    inside = [t for t in (_sized(tile, sizes) for sizes in every) if _fits(t, g, chip)]
    largest = [t for t in inside if not any(_within(t, other) for other in inside)]
    return min(largest, key=lambda t: cost_of(g, t, chip).cycles)


def _fits(tile: Tiling, g: Geometry, chip: Chip) -> bool:
    return fits(g, tile, footprint(g, tile, 0), chip)


def _sized(tile: Tiling, sizes: Mapping[str, int]) -> Tiling:
    rows, cols, channels, depth = (sizes[name] for name in EXTENTS)
    return replace(tile, rows=rows, cols=cols, channels=channels, depth=depth)


def _within(tile: Tiling, other: Tiling) -> bool:
    """Return whether another tiling holds one and more."""
    pairs = [(getattr(tile, name), getattr(other, name)) for name in EXTENTS]
    return all(a <= b for a, b in pairs) and tile != other


def _halves(extent: int, step: int) -> list[int]:
    """Return an extent, its half and so on, each a multiple of a step."""
    found = [extent]
    while found[-1] > step:
        found.append(-(-found[-1] // (2 * step)) * step)
    return found


def order_of(tile: Tiling, found: Json) -> tuple[list[tuple[str, int]], str]:
    """Return our tiling as an order of ZigZag's loops, inside out, and which cuts had to be moved to a divisor."""
    loops = [loop for level in found["loops"]["O"] for loop in level]
    spread = spatial(found["spatial"])
    total = {dim: round(product(loops, dim)) for dim in ("OX", "OY", "C", "FY", "FX", "K")}
    cut = {"OX": tile.cols, "OY": tile.rows, "C": tile.depth, "K": tile.channels}
    wanted = {
        dim: min(n, math.ceil(cut.get(dim, n * spread.get(dim, 1)) / spread.get(dim, 1))) for dim, n in total.items()
    }
    inner = {dim: divisor(n, wanted[dim]) for dim, n in total.items()}
    rest = {dim: n // inner[dim] for dim, n in total.items()}
    last = ("C", "OX", "OY", "K") if tile.weights_outer else ("C", "K", "OX", "OY")
    order = [*inner.items(), *((dim, rest[dim]) for dim in last)]
    moved = [f"{dim} {wanted[dim]} to {inner[dim]} of {n}" for dim, n in total.items() if inner[dim] != wanted[dim]]
    return [loop for loop in order if loop[1] > 1], ", ".join(moved)


def divisor(number: int, most: int) -> int:
    """Return the largest divisor of a number that is at most another."""
    return max(k for k in range(1, most + 1) if number % k == 0)


# The comparison
