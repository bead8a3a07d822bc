"""Every network of the zoo at full size on one chip: a line each, into docs/zoo.md.

`python -m benchmarks.zoo [NAME ...] [--chip edge] [--check reference|none] [--output docs/zoo.md]`. A network runs in a
process of its own; a line that exists for the chip is replaced, the others stay, so that it may be run in pieces.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from accelc.files import atomic_write
from accelc.models import catalog
from accelc.report.units import quantity

DOCS = Path(__file__).parents[1] / "docs"
RESULTS = Path(__file__).parent / "zoo.json"
MEMORY_BYTES = 16 << 30  # a network that takes more fails with a message, not the machine


def main() -> None:
    """Run the networks asked for and write the page."""
    options = _arguments()
    if options.one:
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
        json.dump(measure(options.one, options.chip, options.check), sys.stdout)
        return
    rows = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    for name in options.names or catalog():
        choice = ["--one", name, "--chip", options.chip, "--check", options.check]
        command = [sys.executable, "-m", "benchmarks.zoo", *choice]
        rows[f"{name} {options.chip}"] = _row(name, command, options.limit)
        print(f"{name}: {rows[f'{name} {options.chip}']}", file=sys.stderr, flush=True)
        atomic_write(RESULTS, json.dumps(rows, indent=1).encode())
    atomic_write(options.output, page(rows, options.chip).encode())


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    parser.add_argument("--chip", default="edge")
    parser.add_argument("--check", default="reference")
    parser.add_argument("--limit", type=int, default=1800, help="seconds after which a network is given up")
    parser.add_argument("--output", type=Path, default=DOCS / "zoo.md")
    return parser.parse_args()


def _row(name: str, command: list[str], limit: int) -> dict[str, Any]:
    """Return the figures that a process of its own measures, or why there are none."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=limit)
    except subprocess.TimeoutExpired:
        return {"name": name, "failed": f"given up after {limit} s"}
    return json.loads(done.stdout) if not done.returncode else _failed(name, done.stderr)


def _failed(name: str, message: str) -> dict[str, Any]:
    lines = [line for line in message.splitlines() if line.strip()]
    return {"name": name, "failed": lines[-1][:200] if lines else "no message"}


def measure(name: str, chip: str, check: str) -> dict[str, Any]:
    """Return the figures of one network: compiled, executed, timed and checked."""
    from accelc.compiler import Options, compile_stages
    from accelc.run import run_compiled

    started = time.perf_counter()
    compiled = compile_stages(name, chip, Options())
    ready = time.perf_counter()
    result = run_compiled(compiled, check=check).result
    ratios = [] if result.accuracy is None else [r for r in result.accuracy.outputs.values() if r == r]
    return {
        "name": name, "macs": result.macs, "cycles": result.cycles, "seconds": result.seconds,
        "utilization": result.utilization, "energy_j": result.energy_j, "host": len(result.host_ops),
        "host_seconds": result.host_seconds, "streams": len(compiled.finished.streams),
        "elements": result.check.elements, "mismatches": result.check.mismatches,
        "sqnr_db": [round(min(max(r, -99.0), 99.0), 1) for r in (min(ratios), max(ratios))] if ratios else [],
        "compile_s": round(ready - started, 1), "run_s": round(time.perf_counter() - ready, 1),
        "memory_gb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6, 2),
    }  # fmt: skip


def page(rows: dict[str, Any], chip: str) -> str:
    """Return the page as Markdown."""
    return "\n".join(_lines([row for key, row in rows.items() if key.endswith(f" {chip}")], chip)) + "\n"


def _lines(rows: list[dict[str, Any]], chip: str) -> Iterator[str]:
    order = list(catalog())
    rows = sorted(rows, key=lambda row: order.index(row["name"]))
    yield from (
        f"# The zoo on `{chip}`, at full size", "",
        "Written by `python -m benchmarks.zoo`: each network at its published size, batch 1, random weights and",
        "inputs, compiled, executed, and every integer (and 32-bit number) it stores compared with the reference.", "",
        "* *streams*: layers of 32-bit numbers on the vector unit. *host*: operators left to the host processor, whose",
        "  time is part of the latency.",
        "* *SQNR*: signal to noise of the outputs against the float model, the worst and the best output. Weights are",
        "  random: greedy words, chosen boxes and places of maxima turn on differences far below any trained",
        "  network's, so outputs that are indices, or follow from them, compare badly; shares of many classes are",
        "  mostly 0 in 8 bits. On chips of 16-bit operands (`diannao`, `eyeriss`, ...) the networks run in int16.",
        "* *time*: seconds to compile and to run with the check, one process; *memory*: its peak.", "",
        "| network | MACs | cycles | latency | frames/s | utilization | energy | streams | host | compared | differ |"
        " SQNR | time | memory |",
        "|---|---|---|---|---|---|---|---|---|---|---|---|---|---|",
    )  # fmt: skip
    yield from (_line(row) for row in rows)


def _line(row: dict[str, Any]) -> str:
    if "failed" in row:
        return f"| {row['name']} | {row['failed']} |" + " |" * 12
    ratio = " to ".join(f"{r:.1f}" for r in dict.fromkeys(row["sqnr_db"])) + " dB" if row["sqnr_db"] else ""
    cells = (
        row["name"], quantity(row["macs"], "").rstrip(), f"{row['cycles']:,}", quantity(row["seconds"], "s"),
        f"{1 / row['seconds']:.1f}", f"{100 * row['utilization']:.1f} %", quantity(row["energy_j"], "J"),
        str(row["streams"]), str(row["host"]), f"{row['elements']:,}", str(row["mismatches"]), ratio,
        f"{row['compile_s']} + {row['run_s']} s", f"{row['memory_gb']} GB",
    )  # fmt: skip
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    main()
