"""All benchmarks, one after the other, each in a process of its own; their ratios go into the history.

Run: python -m benchmarks [PART ...] [--tiny] [--update-docs] [--no-history] [--scalesim PYTHON] [--zigzag PYTHON]

Parts: speed, threads, limits, kernels, literal, curves, allocation, sweep; scalesim and zigzag where an interpreter
that has them is given; agreement and zoo, which take long, only by name. A part that fails is told and the others go
on; the exit status is then 1.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.history import Entry, append, commit, judge, read, table
from benchmarks.speed import machine_facts, text_table

ROOT = Path(__file__).parents[1]
Ratios = dict[str, float]


def _of_speed(found: Mapping[str, Any]) -> Ratios:
    """Return each network's times over one int8 inference of ONNX Runtime, and the processes' over the first one's."""
    ratios: Ratios = {}
    for network in found["networks"]:
        ms = network["ms"]
        parts = ("values", "timing", "energy", "tables")
        ratios |= {f"{network['name']}: {part} / ORT int8": ms[part] / ms["ort int8"] for part in parts}
    unit = found["networks"][0]["ms"]["ort int8"]
    return ratios | {f"{p['what']} / ORT int8": 1e3 * p["seconds"] / unit for p in found["processes"]}


def _of_threads(found: Mapping[str, Any]) -> Ratios:
    """Return by network the times of one thread over those of several, ours and ONNX Runtime's."""
    many = found["threads"]
    return {
        f"{name}: {what} 1 / {many}": ms[f"{what} 1"] / ms[f"{what} {many}"]
        for name, ms in found["networks"].items()
        for what in ("values", "ORT")
    }


def _of_limits(found: Mapping[str, Any]) -> Ratios:
    return {f"{n['name']}: {name}": value for n in found["networks"] for name, value in n["ratios"].items()}


def _of_literal(found: Sequence[Mapping[str, Any]]) -> Ratios:
    """Return the time of each array over that of its products alone."""
    return {f"{m['network']} {m['side']}x{m['side']}": m["seconds"] / m["limit_seconds"] for m in found}


def _of_curves(found: Mapping[str, Any]) -> Ratios:
    """Return how much faster than the work each curve's cost grows, from its first point to its last."""
    ratios: Ratios = {}
    for name, points in found.items():
        first, last = points[0], points[-1]
        work = {"values_s": "macs", "timing_s": "instructions"}
        for cost, unit in work.items():
            if first[cost] > 0:
                ratios[f"{name}: {cost} per {unit}"] = last[cost] / first[cost] / (last[unit] / first[unit])
    return ratios


def _of_sweep(found: Mapping[str, Any]) -> Ratios:
    return {f"{found['network']}: a chip / its front half": found["chip_s"] / found["front_s"]}


@dataclass(frozen=True)
class Part:
    """One benchmark: its module, what it takes, and how its JSON becomes ratios, if it writes any."""

    module: str
    small: bool = True  # whether it knows --tiny
    docs: bool = True  # whether it knows --update-docs
    ratios: Callable[[Any], Ratios] | None = None
    python: str = ""  # the option that names the interpreter it needs
    by_name: bool = False
    words: Sequence[str] = field(default_factory=tuple)


PARTS = {
    "speed": Part("speed", ratios=_of_speed),
    "threads": Part("threads", ratios=_of_threads),
    "limits": Part("limits", ratios=_of_limits),
    "kernels": Part("kernels", small=False, docs=False),
    "literal": Part("literal", ratios=_of_literal),
    "curves": Part("curves", ratios=_of_curves),
    "sweep": Part("sweep", docs=False, ratios=_of_sweep),
    "allocation": Part("allocation", docs=False, words=("resnet50", "googlenet", "unet", "--output", "/dev/null")),
    "scalesim": Part("scalesim", python="scalesim"),
    "zigzag": Part("zigzag", python="zigzag"),
    "agreement": Part("agreement", by_name=True),
    "zoo": Part("zoo", small=False, docs=False, by_name=True),
}


def chosen(names: Sequence[str], interpreters: Mapping[str, str | None]) -> list[str]:
    """Return the parts to run: those named, or all that need no name and have what they need."""
    if names:
        return list(names)
    ready = [name for name, part in PARTS.items() if not part.python or interpreters.get(part.python)]
    return [name for name in ready if not PARTS[name].by_name]


def command(part: Part, given: argparse.Namespace, out: Path) -> list[str]:
    """Return the command of a part."""
    words = [sys.executable, "-m", f"benchmarks.{part.module}", *part.words]
    words += ["--tiny"] * (given.tiny and part.small) + ["--update-docs"] * (given.update_docs and part.docs)
    words += ["--json", str(out)] if part.ratios is not None else []
    return words + (["--python", getattr(given, part.python) or sys.executable] if part.python else [])


def run(name: str, given: argparse.Namespace) -> Ratios | None:
    """Run a part, its output on ours, and return its ratios; None if it failed."""
    print(f"\n== {name}", flush=True)
    part = PARTS[name]
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder, "out.json")
        if subprocess.run(command(part, given, out), check=False, cwd=ROOT).returncode:
            return None
        found = json.loads(out.read_text(encoding="utf-8")) if part.ratios is not None else None
    return {} if part.ratios is None else {f"{name}, {key}": value for key, value in part.ratios(found).items()}


def arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    """Return the parsed command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("parts", nargs="*", metavar="PART", help=", ".join(PARTS))
    parser.add_argument("--tiny", action="store_true", help="the reduced networks; nothing goes into the history")
    parser.add_argument("--update-docs", action="store_true", help="let each part write its page")
    parser.add_argument("--no-history", action="store_true", help="do not append to benchmarks/history.jsonl")
    for peer in ("scalesim", "zigzag"):
        parser.add_argument(f"--{peer}", metavar="PYTHON", help=f"an interpreter that has {peer}")
    given = parser.parse_args(argv)
    if unknown := sorted(set(given.parts) - set(PARTS)):
        parser.error(f"part '{unknown[0]}' is unknown; there are {', '.join(PARTS)}")
    return given


def main(argv: Sequence[str] | None = None) -> int:
    """Run the parts, print their ratios beside the history's, append them; return 1 if a part failed."""
    given = arguments(argv)
    interpreters = {"scalesim": given.scalesim, "zigzag": given.zigzag}
    found = {name: run(name, given) for name in chosen(given.parts, interpreters)}
    ratios = {key: value for part in found.values() for key, value in (part or {}).items()}
    machine = {key: value for key, value in machine_facts(None).items() if value != "None"}
    entry = Entry(commit(), machine, ratios)
    print("\n== ratios\n" + text_table(table(judge([*read(), entry]))))
    if ratios and not given.tiny and not given.no_history:
        append(entry)
    failed = [name for name, part in found.items() if part is None]
    if failed:
        print(f"failed: {', '.join(failed)}", file=sys.stderr)
    return int(bool(failed))


if __name__ == "__main__":
    raise SystemExit(main())
