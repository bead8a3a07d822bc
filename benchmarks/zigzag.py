"""Our scheduler beside ZigZag (Mei et al., IEEE Trans. Computers 2021): time of the search, latency and energy found.

Both get the same network, array, memories (sizes, widths) and energies per access and per multiply-accumulate: those of
chip `edge`. ZigZag searches each layer with multiply-accumulates alone, from DRAM to DRAM, and so does ours for the
comparison ("alone"). Each tool's mappings are then priced by both models: as loop orders by ZigZag's, as tilings by our
scheduler's model and by a simulation of the compiled layer.

Run: python -m benchmarks.zigzag [NETWORK ...] --python INTERPRETER [--objective latency] [--update-docs]
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from accelc.chip import Chip, load_chip
from accelc.compiler import Options, compile_stages
from accelc.energy.model import dram_entry
from accelc.energy.table import load_table
from accelc.graph import Graph
from accelc.run import run_program
from accelc.schedule import options, schedule, store
from accelc.schedule.cost import cost_of
from accelc.schedule.tiling import Tiling
from benchmarks.peers.process import ask, version
from benchmarks.speed import machine_facts, markdown_table, pin, text_table
from benchmarks.zigzag_mappings import (
    SHARED,
    Compared,
    Json,
    Layer,
    Price,
    accelerator,
    mapping,
    order_of,
    simulated,
    split,
    tile_of,
)  # fmt: skip

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "zigzag.md"
DISTRIBUTION = "zigzag-dse"
NETWORKS = ("resnet18", "alexnet")


@dataclass(frozen=True)
class Search:
    """Wall and processor seconds of one search."""

    what: str
    wall: float
    cpu: float


@dataclass(frozen=True)
class Network:
    """Everything measured of one network; `whole` are cycles, pJ of both models' events and the rest, by residency."""

    name: str
    searches: Sequence[Search]
    layers: Sequence[Compared]
    whole: Mapping[bool, tuple[float, float, float]]


def searched(what: str, graph: Sequence[Graph], chip: Chip, residency: bool, objective: str) -> Search:
    """Return the time that our scheduler takes for graphs, nothing remembered from before."""
    store.writable_folder = lambda *_: None  # mappings found before are not taken
    options.choices.cache_clear()
    options._known.cache_clear()
    store.store_of.cache_clear()
    start, cpu = time.perf_counter(), time.process_time()
    for g in graph:
        schedule(g, chip, objective=objective, residency=residency)
    return Search(what, time.perf_counter() - start, time.process_time() - cpu)


def whole(
    name: str, chip: Chip, residency: bool, given: argparse.Namespace
) -> tuple[Graph, tuple[float, float, float]]:
    """Return a network's quantized graph, and its cycles and energy compiled and simulated as a whole."""
    options = Options(residency=residency, objective=given.objective, tiny=given.tiny)
    compiled = compile_stages(name, chip, options)
    result = run_program(compiled.finished, values=False, chip=chip).result
    opened = result.events["dram_activate"] * dram_entry(chip, load_table(chip.energy)).activate.value
    both = 1e12 * sum(result.energy_by_component[part] for part in SHARED) - opened
    assert compiled.quantized is not None
    return compiled.quantized, (result.cycles, both, 1e12 * sum(result.energy_by_component.values()) - both)


def measure(name: str, chip: Chip, given: argparse.Namespace) -> Network:
    """Return the comparison of one network."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, f"{name}.onnx")
        small = ["--tiny"] if given.tiny else []
        subprocess.run([sys.executable, "-m", "accelc", "export", name, *small, "-o", str(path)], check=True, cwd=ROOT)
        layers = split(path, chip)
        request = {"model": str(path), "sum_bits": chip.array.accumulator_bits, "lpf_limit": given.lpf_limit,
                   "objective": given.objective, "accelerator": accelerator(chip)}  # fmt: skip
        theirs = ask(given.python, "zigzag_search.py", request | {"mapping": mapping(layers, chip)})
        found = {layer["name"]: layer for layer in theirs["layers"]}
        plans = {x.name: order_of(tiling(x, given.objective), found[x.name]) for x in layers}
        orders = {key: order for key, (order, _) in plans.items()}
        again = ask(given.python, "zigzag_search.py", request | {"mapping": mapping(layers, chip, orders)})
    priced = {layer["name"]: layer for layer in again["layers"]}
    compared = [compare(x, found[x.name], priced[x.name], plans[x.name][1], given.objective) for x in layers]
    graph, unheld = whole(name, chip, False, given)
    _, held = whole(name, chip, True, given)
    return Network(name, list(searches(theirs, layers, graph, chip, given)), compared, {False: unheld, True: held})


def tiling(layer: Layer, objective: str) -> Tiling:
    """Return our scheduler's tiling of a layer alone."""
    graph = layer.compiled.quantized
    assert graph is not None
    plan = schedule(graph, layer.compiled.chip, objective=objective, residency=False)
    (found,) = [p.tiling for p in plan.plans if p.geometry is not None and p.geometry.has_head]
    assert found is not None
    return found


def compare(layer: Layer, found: Json, priced: Json, rounded: str, objective: str) -> Compared:
    """Return a layer with both mappings priced by both tools."""
    chip = layer.compiled.chip
    tile, clipped = tile_of(found, layer.geometry, chip)
    own = tiling(layer, objective)
    return Compared(layer.name, price(layer, tile, found), price(layer, own, priced), tile, clipped, rounded)


def price(layer: Layer, tile: Tiling, evaluation: Json) -> Price:
    """Return the price of a tiling by our models beside ZigZag's evaluation of the same mapping."""
    predicted = cost_of(layer.geometry, tile, layer.compiled.chip).cycles
    return Price(evaluation["cycles"], evaluation["energy"], predicted, *simulated(layer, tile))


def searches(
    theirs: Json, layers: Sequence[Layer], graph: Graph, chip: Chip, given: argparse.Namespace
) -> Iterator[Search]:
    """Yield the times of ZigZag's search and of ours: of the same layers alone, and of the network."""
    yield Search("ZigZag, each layer alone", theirs["wall"], theirs["cpu"])
    alone = [x.compiled.quantized for x in layers if x.compiled.quantized is not None]
    yield searched("ours, each layer alone", alone, chip, False, given.objective)
    yield searched("ours, the network, residency off", [graph], chip, False, given.objective)
    yield searched("ours, the network, residency on", [graph], chip, True, given.objective)


# The page


def search_table(networks: Sequence[Network]) -> list[list[str]]:
    """Return the rows of search times; ratios are ZigZag's time over it."""
    rows = [["network", "search", "wall s", "ZigZag / it", "CPU s", "ZigZag / it, CPU"]]
    for n in networks:
        peer = n.searches[0]
        for s in n.searches:
            ratios = f"{peer.wall / s.wall:.1f}", f"{peer.cpu / s.cpu:.1f}"
            rows.append([n.name, s.what, f"{s.wall:.2f}", ratios[0], f"{s.cpu:.2f}", ratios[1]])
    return rows


def total_table(networks: Sequence[Network]) -> list[list[str]]:
    """Return, for each network and model, both tools' mappings summed over the layers, and ours over ZigZag's."""
    rows = [["network", "figure", "priced by", "ZigZag's mapping", "our mapping", "ours / ZigZag's"]]
    models = (
        ("Mcycles", "ZigZag", "zigzag"),
        ("Mcycles", "our scheduler", "predicted"),
        ("Mcycles", "our simulator", "simulated"),
        ("uJ", "ZigZag", "zigzag_pj"),
        ("uJ", "our simulator", "simulated_pj"),
    )
    for n in networks:
        for figure, model, key in models:
            peer, own = (sum(getattr(getattr(x, who), key) for x in n.layers) / 1e6 for who in ("peer", "own"))
            digits = 3 if figure == "Mcycles" else 0
            rows.append([n.name, figure, model, f"{peer:.{digits}f}", f"{own:.{digits}f}", f"{own / peer:.3f}"])
    return rows


def whole_table(networks: Sequence[Network]) -> list[list[str]]:
    """Return what the network as a whole takes on our simulator, over ZigZag's own sum of its layers."""
    head = ["network", "ours, simulated", "Mcycles", "/ ZigZag's sum", "uJ of both models' events", "/ ZigZag's sum",
            "uJ of the rest"]  # fmt: skip
    rows = [head]
    for n in networks:
        cycles, pj = sum(x.peer.zigzag for x in n.layers), sum(x.peer.zigzag_pj for x in n.layers)
        alone = tuple(sum(getattr(x.own, k) for x in n.layers) for k in ("simulated", "simulated_pj", "rest_pj"))
        kinds = {"layers alone, summed": alone, "network, residency off": n.whole[False], "network": n.whole[True]}
        for what, (c, both, rest) in kinds.items():
            figures = (
                f"{c / 1e6:.3f}",
                f"{c / cycles:.3f}",
                f"{both / 1e6:.0f}",
                f"{both / pj:.3f}",
                f"{rest / 1e6:.0f}",
            )
            rows.append([n.name, what, *figures])
    return rows


def layer_table(network: Network) -> list[list[str]]:
    """Return a row for each layer: kilocycles of ZigZag's and of our mapping by each model."""
    head = ["layer", "ZigZag's: by ZigZag", "by our scheduler", "simulated", "ours: by ZigZag", "by our scheduler",
            "simulated", "ZigZag's as our tile", "not held", "our cuts moved for ZigZag"]  # fmt: skip
    return [head, *map(_cells, network.layers)]


def _cells(x: Compared) -> list[str]:
    keys = ("zigzag", "predicted", "simulated")
    figures = (f"{getattr(price, key) / 1e3:.1f}" for price in (x.peer, x.own) for key in keys)
    return [x.name, *figures, _tile_text(x.tile), x.clipped, x.rounded]


def _tile_text(t: Tiling) -> str:
    return f"{t.rows}x{t.cols}x{t.channels} of {t.depth}{', weights outer' if t.weights_outer else ''}"


DIFFERENCES = """\
* **What is searched.** ZigZag reads convolutions and matrix products of the ONNX file and skips all else:
normalization, activation, pooling, sums and softmax cost it nothing. "Alone" gives our scheduler the same layers, one
at a time. "Network" is the compiled network: vector work is in it, fused with the layer that feeds it.
* **On-chip residency.** Layers alone, and the network with `residency=False`, bring every map from DRAM and take it
back. By default ours keeps maps and weights on chip between layers. ZigZag's search was not asked to
(`exploit_data_locality` is off): no total of its layers has maps held.
* **Double buffering.** Ours keeps two slots of each tile on chip. In ZigZag `force_double_buffering` is set for all
three buffers: an operand that does not fit whole gets half. Weights in the PEs: two in both.
* **DRAM.** ZigZag's moves bits at a fixed rate (a burst's bits over its cycles, rounded down) and starts at once. Our
scheduler counts whole bursts and the latency of each transfer; the simulator plays rows, banks, refresh and the order
of transfers. Energy per bit read and written is the same; rows opened and closed cost energy in ours only, and are
left out of "both models' events".
* **The array.** ZigZag's energy per multiply-accumulate is what a full array of ours spends in its PEs (multiplier,
registers, hops); what a weight takes to be loaded is the write of the PE's register. Where the array is not full, ours
still moves partial sums through all rows and activations through all columns. Where input channels are few,
neighboring taps share the rows with them in both, in ours with the channels padded to four.
* **Loops.** ZigZag cuts only at divisors, and each operand where it likes ("uneven"); it may fetch a weight tile from
its buffer again for every column of a map. A tile of ours is one block of outputs, whose sums stay in the accumulators
until they are complete. ZigZag's mapping is carried over as what lies on chip for all operands together. Where two such
tiles do not fit, it is the largest of halved extents that does, the best of those by our scheduler ("not held"), so
this is no longer ZigZag's mapping but the nearest that a program of ours can say. A loop over the kernel outside of
that has no counterpart, the tile holds the whole kernel. Ours is carried over as an order of loops, a cut that does
not divide moved to the next smaller divisor; ZigZag then assigns loops to memories by itself, so a boundary between
memories need not be ours.
* **Energy by our scheduler** is not in the tables: it weighs cycles and DRAM bytes, energy comes from the simulator.
* **Vector unit.** Requantization in ours takes cycles and energy, on its own unit, also for layers alone. Its accesses
to the buffers count; its operations are in "the rest", as are instructions, leakage and rows of DRAM.
* **Search.** ZigZag's LOMA orders at most {limit} loop factors a layer, for one spatial mapping, and searches equal
layers again; our scheduler remembers them. Times are of the search alone, without imports and reading files."""


def page(facts: Mapping[str, str], networks: Sequence[Network], given: argparse.Namespace) -> str:
    """Return docs/zigzag.md."""
    about = (__doc__ or "").split("\n\n")
    machine = "\n".join(f"* {key}: {value}" for key, value in facts.items())
    parts = [
        f"# Beside ZigZag: objective {given.objective}",
        about[0],
        about[1],
        machine,
        "## Time of the search",
        markdown_table(search_table(networks)),
        "## What was found, layers alone",
        markdown_table(total_table(networks)),
        "## The network as a whole",
        markdown_table(whole_table(networks)),
        "## What differs",
        DIFFERENCES.replace("{limit}", str(given.lpf_limit)),
    ]
    for n in networks:
        parts += [f"## {n.name}, thousands of cycles", markdown_table(layer_table(n))]
    options = f"--objective {given.objective} --lpf-limit {given.lpf_limit}"
    again = f"Measured by `python -m benchmarks.zigzag {' '.join(given.networks)} {options} --update-docs`."
    return "\n\n".join([*parts, again]) + "\n"


def arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    """Return the parsed command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("networks", nargs="*", default=list(NETWORKS))
    parser.add_argument("--python", required=True, help="the interpreter of an environment that has zigzag-dse and six")
    parser.add_argument("--objective", default="latency", choices=["latency", "energy"])
    parser.add_argument("--lpf-limit", type=int, default=6, help="loop factors that ZigZag orders (its default: 6)")
    parser.add_argument("--tiny", action="store_true", help="the reduced networks")
    parser.add_argument("--json", type=Path, metavar="OUT.json")
    parser.add_argument("--update-docs", action="store_true", help="write docs/zigzag.md")
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> None:
    """Measure, print, and write what was asked for."""
    given = arguments(argv)
    peers = {name: version(given.python, name) for name in (DISTRIBUTION, "six")}
    cpu, chip = pin(), load_chip("edge")
    load = os.getloadavg()[0]
    networks = [measure(name, chip, given) for name in given.networks]
    loads = f"{load:.1f} and {os.getloadavg()[0]:.1f}"
    facts = {**machine_facts(cpu), "ZigZag": peers[DISTRIBUTION], "load before and after": loads}
    print("\n".join(f"{key}: {value}" for key, value in facts.items()))
    tables = [search_table(networks), total_table(networks), whole_table(networks), *map(layer_table, networks)]
    print("\n" + "\n\n".join(map(text_table, tables)))
    if given.json is not None:
        plain = [asdict(replace(n, whole={str(k): v for k, v in n.whole.items()})) for n in networks]  # type: ignore[misc]
        given.json.write_text(json.dumps({"machine": facts, "networks": plain}, indent=1) + "\n")
    if given.update_docs:
        PAGE.write_text(page(facts, networks, given), encoding="utf-8")


if __name__ == "__main__":
    main()
