"""How long our simulation of a network takes beside SCALE-Sim's, on the same layers and array, and both's cycles.

SCALE-Sim gets a topology made from our network: its convolutions and matrix products, inputs with their padding. It
runs without stalls from memory (`InterfaceBandwidth = CALC`), writes no traces and prints nothing. It moves addresses
and computes no values. Ours is chip `scalesim_32`, whose array is SCALE-Sim's; it computes
every value of the whole network, vector work included, plays queues and DRAM, and counts events and energy: "fast" by
closed forms, "literal" with every register of every PE moving in every cycle.

Run: python -m benchmarks.scalesim [NETWORK] --python INTERPRETER [--dataflow ws] [--rounds N] [--update-docs]
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

import accelc
from accelc.api import Program
from accelc.chip import Chip, load_chip
from accelc.compiler import Compiled, Options, compile_stages
from accelc.isa import Queue
from accelc.lower import lower
from accelc.schedule import Schedule
from accelc.schedule.geometry import BLOCK, GRANULE
from accelc.schedule.search import StagePlan
from accelc.schedule.tiling import WHOLE_KERNEL
from accelc.schedule.views import round_up
from benchmarks.peers.process import ask, version
from benchmarks.speed import Child, child, machine_facts, markdown_table, pin, text_table

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "scalesim.md"
DISTRIBUTION = "scalesim"
HEAD = "Layer name, IFMAP Height, IFMAP Width, Filter Height, Filter Width, Channels, Num Filter, Strides,"
ROOM = 1 << 24  # bytes of each buffer of the chip on which every layer is one instruction


@dataclass(frozen=True)
class Row:
    """A layer as SCALE-Sim's topology has it: the input with its padding, as far as windows reach."""

    name: str
    height: int
    width: int
    kernel_y: int
    kernel_x: int
    channels: int
    filters: int
    stride: int

    @property
    def shape(self) -> tuple[int, ...]:
        """Return all but the name."""
        return (self.height, self.width, self.kernel_y, self.kernel_x, self.channels, self.filters, self.stride)


@dataclass(frozen=True)
class Layer:
    """The array's cycles for one layer: SCALE-Sim's, ours as one instruction, ours in the tiles the compiler cuts."""

    row: Row
    theirs: int
    whole: int
    tiled: int
    tiles: int
    seconds: float


@dataclass(frozen=True)
class Taken:
    """Wall and processor seconds of one simulation of the network."""

    what: str
    wall: float
    cpu: float


def row_of(plan: StagePlan) -> Row:
    """Return a stage's convolution or matrix product as a row; raise ValueError for one that SCALE-Sim has not."""
    g, head = plan.geometry, plan.stage.head
    assert g is not None
    assert head is not None
    y, x = g.conv
    grouped = head.attrs.get("group", 1) > 1 or g.parts > 1
    if grouped or y.stride != x.stride or max(y.dilation, x.dilation) > 1:
        raise ValueError(f"{head.name}: groups, dilation or unequal strides have no row in a topology")
    channels = g.group_in if g.flattened else g.source[2]
    extents = y.span(g.mid[0]), x.span(g.mid[1])
    return Row(head.name.replace("/", "."), *extents, y.kernel, x.kernel, channels, g.mid[2], y.stride)


def topology(plan: Schedule) -> list[Row]:
    """Return the rows of a network's layers with multiply-accumulates, in the order in which they run."""
    return [row_of(p) for p in plan.plans if p.geometry is not None and p.geometry.has_head]


def csv_text(rows: Sequence[Row]) -> str:
    """Return rows as a topology file."""
    lines = (", ".join([row.name, *map(str, row.shape)]) + "," for row in rows)
    return "\n".join([HEAD, *lines]) + "\n"


def padded(row: Row) -> Row:
    """Return a row with its channels and filters filled up to what lies together on chip."""
    channels, filters = round_up(row.channels, GRANULE), round_up(row.filters, BLOCK)
    return replace(row, name=f"{row.name}.padded", channels=channels, filters=filters)


def config_text(chip: Chip, dataflow: str) -> str:
    """Return SCALE-Sim's configuration of a chip's array and buffers."""
    kib = {name: getattr(chip.buffers, name).bytes >> 10 for name in ("act", "wgt", "acc")}
    sections: dict[str, dict[str, Any]] = {
        "general": {"run_name": "peer"},
        "run_presets": {"InterfaceBandwidth": "CALC", "UseRamulatorTrace": False},
        "architecture_presets": {
            "ArrayHeight": chip.array.rows, "ArrayWidth": chip.array.cols,
            "IfmapSramSzkB": kib["act"], "FilterSramSzkB": kib["wgt"], "OfmapSramSzkB": kib["acc"],
            "IfmapOffset": 0, "FilterOffset": 10000000, "OfmapOffset": 20000000, "Dataflow": dataflow,
            "Bandwidth": chip.dma.bytes_per_cycle, "ReadRequestBuffer": 512, "WriteRequestBuffer": 512,
        },
        "layout": {
            f"{operand}{key}": value
            for operand in ("Ifmap", "Filter")
            for key, value in
            {"CustomLayout": False, "SRAMBankBandwidth": 10, "SRAMBankNum": 10, "SRAMBankPort": 2}.items()
        },
        "sparsity": {"SparsitySupport": False},
    }  # fmt: skip
    return "\n".join(
        "\n".join([f"[{name}]", *(f"{k} = {v}" for k, v in keys.items())]) for name, keys in sections.items()
    )


def roomy(chip: Chip) -> Chip:
    """Return a chip with buffers in which every layer fits whole; its array is the same."""
    sizes = {name: getattr(chip.buffers, name).model_copy(update={"bytes": ROOM}) for name in ("act", "wgt", "acc")}
    return chip.model_copy(update={"buffers": chip.buffers.model_copy(update=sizes)})


def whole(plan: StagePlan) -> StagePlan:
    """Return a stage's plan with a single tile: the whole map, all channels, the whole kernel."""
    g, t = plan.geometry, plan.tiling
    if g is None or t is None or not g.has_head:
        return plan
    slots = 1 if g.one_output else t.slots
    cut = replace(t, rows=g.out[0], cols=g.out[1], channels=g.mid[2], depth=g.group_in)
    return replace(plan, tiling=replace(cut, kernel_rows=WHOLE_KERNEL, slots=slots))


def one_instruction_each(network: str, chip: Chip, dataflow: str, tiny: bool) -> tuple[Compiled, Program]:
    """Return the network compiled, and its program in which each layer is one instruction of the array."""
    options = Options(dataflow=dataflow, residency=False, tiny=tiny)
    compiled = compile_stages(network, roomy(chip), options, stop_after="schedule")
    plan = compiled.schedule
    assert plan is not None
    program = lower(replace(plan, plans=tuple(map(whole, plan.plans))), compiled.chip)
    notes = {**program.notes, "chip": compiled.chip.model_dump(mode="json")}
    return compiled, Program.of(replace(program, notes=notes))


def array_cycles(program: Program) -> dict[str, tuple[int, int]]:
    """Return, by layer, the array's cycles and how many instructions they are of, as the literal array counts them."""
    timeline = program.run(fidelity="literal").timeline
    found: dict[str, tuple[int, int]] = {}
    for at in np.flatnonzero(timeline.queue == Queue.MAC):
        name = program.layers[program.layer_of[at]].name
        cycles, count = found.get(name, (0, 0))
        found[name] = cycles + int(timeline.parts[at].sum()), count + 1
    return found


def repeated(what: str, call: Callable[[], object], rounds: int) -> list[Taken]:
    """Return the seconds of each of several calls."""
    taken = []
    for _ in range(rounds):
        start, cpu = time.perf_counter(), time.process_time()
        call()
        taken.append(Taken(what, time.perf_counter() - start, time.process_time() - cpu))
    return taken


def ours(programs: Mapping[str, Program], rounds: int) -> list[Taken]:
    """Return the seconds of each program at each fidelity, over some rounds."""
    return [
        taken
        for name, program in programs.items()
        for fidelity in ("fast", "literal")
        for taken in repeated(f"{fidelity}, {name}", lambda: program.run(fidelity=fidelity), rounds)  # noqa: B023
    ]


def median(taken: Sequence[Taken]) -> list[Taken]:
    """Return the medians by what was run."""
    kinds = dict.fromkeys(t.what for t in taken)
    groups = {what: [t for t in taken if t.what == what] for what in kinds}
    return [
        Taken(what, statistics.median(t.wall for t in same), statistics.median(t.cpu for t in same))
        for what, same in groups.items()
    ]


def measure(given: argparse.Namespace) -> dict[str, Any]:
    """Return all figures: ours half before SCALE-Sim's one run and half after it."""
    chip = load_chip("scalesim_32")
    compiled, single = one_instruction_each(given.network, chip, given.dataflow, given.tiny)
    assert compiled.schedule is not None
    rows = topology(compiled.schedule)
    tiled = accelc.compile(given.network, chip, dataflow=given.dataflow, tiny=given.tiny)
    programs = {"as compiled": tiled, "a layer an instruction": single}
    cycles = {name: array_cycles(program) for name, program in programs.items()}
    loads, taken = [os.getloadavg()[0]], ours(programs, given.rounds)
    request = {"config": config_text(chip, given.dataflow), "topology": csv_text([*rows, padded(rows[0])])}
    theirs = ask(given.python, "scalesim_layers.py", request)
    loads, taken = [*loads, os.getloadavg()[0]], taken + ours(programs, given.rounds)
    layers = joined(compiled.schedule, rows, cycles, theirs["layers"])
    last = theirs["layers"][-1]
    seconds = [a - b for a, b in zip(theirs["seconds"], last["seconds"], strict=True)]
    return {
        "layers": layers, "extra": last["cycles"], "taken": [Taken("SCALE-Sim", *seconds), *median(taken)],
        "loads": loads, "stalls": sum(layer["stalls"] for layer in theirs["layers"]),
    }  # fmt: skip


def joined(
    plan: Schedule, rows: Sequence[Row], cycles: Mapping[str, Mapping[str, tuple[int, int]]], theirs: Sequence[Any]
) -> list[Layer]:
    """Return our cycles and SCALE-Sim's by layer."""
    names = [p.stage.head.name for p in plan.plans if p.stage.head is not None]
    single, tiled = cycles["a layer an instruction"], cycles["as compiled"]
    assert all(single[name][1] == 1 for name in names), "a layer is more than one instruction"
    return [
        Layer(row, found["cycles"], single[name][0], *tiled[name], found["seconds"][0])
        for name, row, found in zip(names, rows, theirs, strict=False)
    ]


def time_table(taken: Sequence[Taken]) -> list[list[str]]:
    """Return the rows of times, each with how many times longer SCALE-Sim takes."""
    wall, cpu = taken[0].wall, taken[0].cpu
    head = ["simulation", "wall s", "SCALE-Sim / it", "CPU s", "SCALE-Sim / it, CPU"]
    rows = ([t.what, f"{t.wall:.3f}", f"{wall / t.wall:.0f}", f"{t.cpu:.3f}", f"{cpu / t.cpu:.0f}"] for t in taken)
    return [head, *rows]


def layer_table(layers: Sequence[Layer]) -> list[list[str]]:
    """Return a row for each shape: the first layer of it, how many there are, and all cycles of one."""
    head = ["layer", "times", "input", "kernel", "channels", "filters", "stride", "SCALE-Sim", "ours", "difference",
            "as compiled", "tiles"]  # fmt: skip
    kinds: dict[tuple[int, ...], list[Layer]] = {}
    for layer in layers:
        kinds.setdefault((*layer.row.shape, layer.whole - layer.theirs, layer.tiled), []).append(layer)
    return [head, *(_cells(same[0], len(same)) for same in kinds.values()), _totals(layers)]


def _cells(layer: Layer, times: int) -> list[str]:
    r = layer.row
    extents = [f"{r.height}x{r.width}", f"{r.kernel_y}x{r.kernel_x}", r.channels, r.filters, r.stride]
    cycles = [layer.theirs, layer.whole, layer.whole - layer.theirs, layer.tiled, layer.tiles]
    return [r.name, str(times), *map(str, extents), *map(str, cycles)]


def _totals(layers: Sequence[Layer]) -> list[str]:
    theirs, single, tiled, tiles = (sum(getattr(x, k) for x in layers) for k in ("theirs", "whole", "tiled", "tiles"))
    return ["all", str(len(layers)), *[""] * 5, str(theirs), str(single), str(single - theirs), str(tiled), str(tiles)]


def differences(layers: Sequence[Layer], extra: int) -> str:
    """Return in words where cycles differ and why."""
    unequal = [layer for layer in layers if layer.whole != layer.theirs]
    text = f"As one instruction, {len(layers) - len(unequal)} of {len(layers)} layers take SCALE-Sim's cycles exactly."
    text += "".join(f" {_unequal(layer)}" for layer in unequal)
    if unequal and unequal[0] is layers[0]:
        same = "the same" if extra == layers[0].whole else f"{extra}"
        text += f" Given the layer with those extents, SCALE-Sim counts {same}."
    return text


def _unequal(layer: Layer) -> str:
    row, filled, taps = layer.row, padded(layer.row), layer.row.kernel_y * layer.row.kernel_x
    causes = []
    if filled.channels > row.channels:
        rows = f"the array multiplies {taps * filled.channels} rows and not {taps * row.channels}"
        causes.append(f"its {row.channels} channels lie on chip as {filled.channels}, so {rows}")
    if filled.filters > row.filters:
        causes.append(f"its {row.filters} filters lie on chip as {filled.filters}")
    why = "; ".join(causes) or "no cause is known"
    return f"{row.name} takes {layer.whole} against {layer.theirs}: {why}."


NOTES = f"""The program "as compiled" is cut into tiles that overlap transfers with work on the buffers of
`scalesim_32`: each tile fills and drains the array anew, which SCALE-Sim, whose folds span a whole layer, does not
count. "A layer an instruction" runs on the same array with buffers of {ROOM >> 20} MiB, so that nothing is cut, and is
what can be compared to the cycle. Cycles are those of the array alone, measured by the literal array; both count the
index of the last cycle, ours for each instruction: where tiles only part the output channels, "as compiled" has a cycle
less for each further tile. Times are of one simulation of the network, programs and topology loaded; ours are medians,
half of the rounds before SCALE-Sim's run and half after it, with random inputs drawn anew. All run on one CPU; where
others share the machine, CPU seconds say more than wall seconds."""


def page(
    facts: Mapping[str, str], found: Mapping[str, Any], processes: Sequence[Child], given: argparse.Namespace
) -> str:
    """Return docs/scalesim.md."""
    about = (__doc__ or "").split("\n\n")
    machine = "\n".join(f"* {key}: {value}" for key, value in facts.items())
    wall = found["taken"][0].wall
    cold = "\n".join(f"* `{p.what}`: {p.seconds:.2f} s, SCALE-Sim / it {wall / p.seconds:.0f}" for p in processes)
    command = f"python -m benchmarks.scalesim {given.network} --dataflow {given.dataflow} --update-docs"
    again = f"Measured over {2 * given.rounds} rounds by `{command}`."
    parts = [
        f"# Beside SCALE-Sim: {given.network}, {given.dataflow}, 32x32",
        about[0],
        about[1],
        machine,
        "## Time",
        markdown_table(time_table(found["taken"])),
        "A process of its own, which also imports, compiles the ONNX model and reports:",
        cold,
        "## Cycles",
        differences(found["layers"], found["extra"]),
        markdown_table(layer_table(found["layers"])),
        "## What is compared",
        NOTES,
        again,
    ]
    return "\n\n".join(parts) + "\n"


def arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    """Return the parsed command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("network", nargs="?", default="resnet50")
    parser.add_argument("--python", required=True, help="the interpreter of an environment that has scalesim")
    parser.add_argument("--dataflow", default="ws", choices=["ws", "os", "is"])
    parser.add_argument("--rounds", type=int, default=5, help="before SCALE-Sim's run, and again after it")
    parser.add_argument("--tiny", action="store_true", help="the reduced network")
    parser.add_argument("--json", type=Path, metavar="OUT.json")
    parser.add_argument("--update-docs", action="store_true", help="write docs/scalesim.md")
    return parser.parse_args(argv)


def cold(given: argparse.Namespace) -> Child:
    """Return the process that compiles and runs the network from its command line."""
    small = ["--tiny"] if given.tiny else []
    options = ["--chip", "scalesim_32", "--dataflow", given.dataflow, "--check", "none"]
    command = ["run", given.network, *small, *options]
    return child(f"accelc {' '.join(command)}", ["-m", "accelc", *command])


def main(argv: Sequence[str] | None = None) -> None:
    """Measure, print, and write what was asked for."""
    given = arguments(argv)
    peer, cpu = version(given.python, DISTRIBUTION), pin()
    processes = [cold(given)]
    found = measure(given)
    facts = {**machine_facts(cpu), "SCALE-Sim": peer, "NumPy of SCALE-Sim": version(given.python, "numpy"),
             "load before and after SCALE-Sim": " and ".join(f"{load:.1f}" for load in found["loads"]),
             "stall cycles that SCALE-Sim reports": str(found["stalls"])}  # fmt: skip
    print("\n".join(f"{key}: {value}" for key, value in facts.items()))
    tables = (time_table(found["taken"]), layer_table(found["layers"]))
    print("\n\n".join([*map(text_table, tables), differences(found["layers"], found["extra"])]))
    if given.json is not None:
        plain = {key: [asdict(x) for x in found[key]] for key in ("layers", "taken")}
        given.json.write_text(json.dumps({"machine": facts, **plain}, indent=1) + "\n")
    if given.update_docs:
        PAGE.write_text(page(facts, found, processes, given), encoding="utf-8")


if __name__ == "__main__":
    main()
