"""What a run costs as it grows: with the image, the batch, the array and the depth of the network.

Each point is a process of its own: a network of the ResNet family is compiled for `edge`, executed and timed; seconds
are of CPU time, so that others at work on the machine count little, and exclude the start of the process and the
loading of compiled kernels; mappings found before are not taken from disk. Along a curve nothing else changes. "per
product" and "per instruction" are relative to the first point: where they stay at 1, cost grows as the work does.

Run: python -m benchmarks.curves [image] [batch] [array] [depth] [--tiny] [--json OUT.json] [--update-docs]
"""

from __future__ import annotations

import argparse
import json
import math
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmarks.speed import machine_facts, markdown_table, text_table

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "curves.md"


@dataclass(frozen=True)
class Curve:
    """What changes along a curve, its values, and the setting of a point."""

    name: str
    what: str
    values: Sequence[int]
    setting: Callable[[int], Mapping[str, Any]]


CURVES = {
    curve.name: curve
    for curve in (
        Curve("image", "rows and columns of the image", (224, 320, 448, 640, 1024), lambda n: {"size": n}),
        Curve("batch", "images in a batch", (1, 4, 16, 64), lambda n: {"batch": n}),
        Curve("array", "rows and columns of the array", (8, 16, 32, 64, 128, 256), lambda n: {"array": n}),
        Curve("depth", "layers of the network", (18, 34, 50, 101, 152), lambda n: {"network": f"resnet{n}"}),
    )
}
TINY = {"image": (32, 64), "batch": (1, 2), "array": (8, 16), "depth": (18, 34)}


@dataclass(frozen=True)
class Point:
    """One point of a curve: its size, its work, and what it cost."""

    curve: str
    at: int
    macs: int
    instructions: int
    cycles: int
    compile_s: float
    values_s: float
    timing_s: float
    peak_mib: float

    @property
    def run_s(self) -> float:
        """Values and timing together."""
        return self.values_s + self.timing_s


def resized(model: Any, size: int) -> Any:
    """Return a convolutional model for images of another size; what was inferred for the old one is dropped."""
    shape = model.graph.input[0].type.tensor_type.shape
    shape.dim[2].dim_value = shape.dim[3].dim_value = size
    del model.graph.value_info[:]
    return model


def measure(network: str, tiny: bool, size: int = 0, batch: int = 1, array: int = 0) -> dict[str, float]:
    """Compile and run one point in this process; return its figures."""
    from accelc.chip import load_chip
    from accelc.chip.override import override
    from accelc.compiler import Options, compile_stages
    from accelc.models import build
    from accelc.run import random_inputs
    from accelc.schedule import store
    from accelc.sim.machine import Machine
    from accelc.sim.timing import time_program

    store.writable_folder = lambda *_: None  # mappings found before are not taken
    model = build(network, tiny=tiny, batch=batch)
    chip = override(load_chip("edge"), {"array.rows": array, "array.cols": array} if array else {})
    start = time.process_time()
    compiled = compile_stages(resized(model, size) if size else model, chip, Options())
    compile_s = time.process_time() - start
    program = compiled.finished
    machine, inputs = Machine(program, chip), random_inputs(program, 0)
    timeline = time_program(program, chip)
    per_mib = 1 << (20 if sys.platform == "darwin" else 10)
    return {
        "macs": sum(layer.macs for layer in program.layers), "instructions": len(program.words),
        "cycles": timeline.cycles, "compile_s": compile_s,
        "values_s": _seconds(lambda: machine.run(inputs)), "timing_s": _seconds(lambda: time_program(program, chip)),
        "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / per_mib,
    }  # fmt: skip


def _seconds(call: Callable[[], object]) -> float:
    """Return the least CPU time of three calls after one unmeasured."""
    call()
    taken = []
    for _ in range(3):
        start = time.process_time()
        call()
        taken.append(time.process_time() - start)
    return min(taken)


def point(curve: Curve, at: int, tiny: bool) -> Point:
    """Measure one point in a process of its own."""
    setting = {"network": "resnet18", "tiny": tiny, **curve.setting(at)}
    command = [sys.executable, "-m", "benchmarks.curves", "--one", json.dumps(setting)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False, cwd=ROOT)
    if done.returncode:
        raise SystemExit(f"{curve.name} {at} ended with status {done.returncode}")
    return Point(curve.name, at, **json.loads(done.stdout.splitlines()[-1]))


def table(points: Sequence[Point]) -> list[list[str]]:
    """Return the rows of one curve."""
    first = points[0]
    head = [
        CURVES[first.curve].what, "GMAC", "instructions", "cycles", "compile s", "values s", "timing s",
        "values per product", "timing per instruction", "peak MiB",
    ]  # fmt: skip
    rows = [head]
    for p in points:
        per_product = p.values_s / first.values_s / (p.macs / first.macs)
        per_instruction = p.timing_s / first.timing_s / (p.instructions / first.instructions)
        rows.append([
            str(p.at), f"{p.macs / 1e9:.2f}", f"{p.instructions:,}", f"{p.cycles:,}", f"{p.compile_s:.2f}",
            f"{p.values_s:.3f}", f"{p.timing_s:.3f}", f"{per_product:.2f}", f"{per_instruction:.2f}",
            f"{p.peak_mib:.0f}",
        ])  # fmt: skip
    return rows


COLORS = {"compile": "#0072B2", "values": "#D55E00", "timing": "#009E73"}
WIDTH, HEIGHT, EDGE = 480, 260, 44


def chart(points: Sequence[Point]) -> str:
    """Return a curve as SVG: seconds over size, both axes logarithmic."""
    lines = {"compile": [p.compile_s for p in points], "values": [p.values_s for p in points],
             "timing": [p.timing_s for p in points]}  # fmt: skip
    held = [max(v, 1e-4) for line in lines.values() for v in line]
    first, last = math.floor(math.log10(min(held))), math.floor(math.log10(max(held))) + 1

    def x(at: float) -> float:
        span = math.log(points[-1].at / points[0].at) or 1.0
        return EDGE + math.log(at / points[0].at) / span * (WIDTH - 2 * EDGE)

    def y(value: float) -> float:
        share = (math.log10(max(value, 1e-4)) - first) / (last - first)
        return HEIGHT - EDGE - share * (HEIGHT - 2 * EDGE)

    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif">',
             f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#fff"/>']  # fmt: skip
    for power in range(first, last + 1):
        at = y(10.0**power)
        parts.append(f'<path d="M{EDGE},{at:.1f} H{WIDTH - EDGE}" stroke="#ddd"/>')
        parts.append(_words(22, at + 4, f"{10.0**power:g} s"))
    parts += [_words(x(p.at), HEIGHT - EDGE + 16, str(p.at)) for p in points]
    for row, (name, values) in enumerate(lines.items()):
        way = " ".join(f"{x(p.at):.1f},{y(v):.1f}" for p, v in zip(points, values, strict=True))
        parts.append(f'<polyline points="{way}" fill="none" stroke="{COLORS[name]}" stroke-width="2"/>')
        parts.append(_words(EDGE + 30 + 80 * row, 16, name, COLORS[name]))
    parts += [_words(WIDTH / 2, HEIGHT - 8, CURVES[points[0].curve].what), "</svg>"]
    return "\n".join(parts) + "\n"


def _words(x: float, y: float, text: str, color: str = "#000") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" font-size="11" text-anchor="middle" fill="{color}">{text}</text>'


def write_page(found: Mapping[str, Sequence[Point]]) -> None:
    """Write docs/curves.md and a chart for each curve."""
    about = (__doc__ or "").split("\n\n")
    facts = "\n".join(f"* {key}: {value}" for key, value in machine_facts(None).items() if value != "None")
    parts = ["# Cost curves", about[0], about[1], facts]
    for name, points in found.items():
        (PAGE.parent / "curves").mkdir(exist_ok=True)
        (PAGE.parent / "curves" / f"{name}.svg").write_text(chart(points), encoding="utf-8")
        parts += [f"## {name.capitalize()}", markdown_table(table(points)), f"![{name}](curves/{name}.svg)"]
    parts.append("Measured by `python -m benchmarks.curves --update-docs`.")
    PAGE.write_text("\n\n".join(parts) + "\n", encoding="utf-8")


def main(argv: Sequence[str] | None = None) -> None:
    """Measure the curves asked for, print them, and write what was asked for."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("curves", nargs="*", metavar="CURVE", help=f"{', '.join(CURVES)}; all by default")
    parser.add_argument("--tiny", action="store_true", help="two small points of each")
    parser.add_argument("--json", type=Path, metavar="OUT.json")
    parser.add_argument("--update-docs", action="store_true", help="write docs/curves.md")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    given = parser.parse_args(argv)
    if given.one is not None:
        print(json.dumps(measure(**json.loads(given.one))))
        return
    if unknown := sorted(set(given.curves) - set(CURVES)):
        parser.error(f"curve '{unknown[0]}' is unknown; there are {', '.join(CURVES)}")
    found = {}
    for name in given.curves or CURVES:
        values = TINY[name] if given.tiny else CURVES[name].values
        found[name] = [point(CURVES[name], at, given.tiny) for at in values]
        print(f"{text_table(table(found[name]))}\n", flush=True)
    if given.json is not None:
        given.json.write_text(json.dumps({k: [asdict(p) for p in v] for k, v in found.items()}, indent=1) + "\n")
    if given.update_docs:
        write_page(found)


if __name__ == "__main__":
    main()
