"""The time to compile the convolutional networks of the zoo at full size, cold and warm, into docs/compile_time.md.

`python -m benchmarks.compile_time [NAME ...] [--chip edge] [--output docs/compile_time.md]`. Each figure is the CPU
time of one `accelc compile`, a process of its own: cold with an empty folder of mappings found before, then warm with
what that left. The simulator's timing, which predictions use, is compiled before and not part of it. A line that exists
for the chip is replaced, the others stay, so that it may be run in pieces.
"""

from __future__ import annotations

import argparse
import functools
import json
import os
import resource
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from accelc.chip import load_chip
from accelc.files import atomic_write
from accelc.isa import Space
from accelc.models import build, catalog
from accelc.models.rows import sequence
from accelc.schedule.replay import replay
from accelc.schedule.work import VECTOR, Work
from accelc.sim.jit import cache_folder
from benchmarks.speed import machine_facts

DOCS = Path(__file__).parents[1] / "docs"
RESULTS = Path(__file__).parent / "compile_time.json"
LEFT_OUT = ("rcnn", "sds")  # a family and a network that compute thousands of regions
LOOPS = {"LSTM", "GRU", "RNN", "Scan", "Loop"}

Row = dict[str, float | str]


def networks() -> list[str]:
    """Return the convolutional networks of the zoo, less those left out: a convolution, no recurrent layer."""
    sequences = {row.name for row in sequence.ROWS}
    names = [e.name for e in catalog().values() if e.family not in LEFT_OUT and e.name not in (*LEFT_OUT, *sequences)]
    return [name for name in names if _is_convolutional(name)]


def _is_convolutional(name: str) -> bool:
    ops = {node.op_type for node in build(name, tiny=True).graph.node}
    return bool(ops & {"Conv", "ConvTranspose"}) and not ops & LOOPS


def measure(name: str, chip: str) -> Row:
    """Return the CPU seconds of one compilation with nothing found before, and of another with what it found."""
    with tempfile.TemporaryDirectory() as folder:
        _keep_kernels(Path(folder))
        cold, warm = (_cpu_seconds(name, chip, Path(folder)) for _ in range(2))
    return {"name": name, "chip": chip, "cold": round(cold, 2), "warm": round(warm, 2)}


@functools.cache
def _bytecode() -> tempfile.TemporaryDirectory[str]:
    """Return a folder with the bytecode of what a compilation imports, as an installed package has it."""
    folder = tempfile.TemporaryDirectory()
    _keep_kernels(Path(folder.name))
    _compile("mlp", "edge", Path(folder.name), Path(folder.name))
    return folder


def _keep_kernels(folder: Path) -> None:
    """Let compilations with a folder of caches find the code that Numba has compiled, of all that a prediction runs."""
    replay(_one_entry())
    kernels = cache_folder()
    if kernels is not None:
        (folder / "accelc").mkdir()
        (folder / "accelc" / kernels.name).symlink_to(kernels)


def _one_entry() -> Work:
    work = Work(load_chip("edge"))
    work.compute(VECTOR, 1, [], [(Space.ACT, 0, 1)])
    return work


def _cpu_seconds(name: str, chip: str, folder: Path) -> float:
    """Return the CPU time of `accelc compile` with a folder of caches."""
    bytecode = Path(_bytecode().name)
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    _compile(name, chip, folder, bytecode)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def _compile(name: str, chip: str, folder: Path, bytecode: Path) -> None:
    command = [sys.executable, "-m", "accelc", "compile", name, "--chip", chip, "-o", str(folder / "out.npu")]
    caches = {"XDG_CACHE_HOME": str(folder), "NUMBA_CACHE_DIR": ""}
    python = {"PYTHONDONTWRITEBYTECODE": "", "PYTHONPYCACHEPREFIX": str(bytecode)}
    subprocess.run(command, env={**os.environ, **caches, **python}, stdout=subprocess.DEVNULL, check=True)


def page(rows: list[Row], chip: str) -> str:
    """Return the page as Markdown."""
    return "\n".join(_lines(rows, chip)) + "\n"


def _lines(rows: list[Row], chip: str) -> Iterator[str]:
    cold, warm = (sum(float(row[key]) for row in rows) for key in ("cold", "warm"))
    facts = machine_facts(None)
    yield from (
        f"# Time to compile, on `{chip}`", "",
        "Written by `python -m benchmarks.compile_time`: the CPU seconds of `accelc compile`, the whole process from",
        "the start of Python to the file on disk, random weights drawn and the network quantized. *cold*: no mapping",
        "was found before; *warm*: with what the cold run left on disk. Networks are the zoo's convolutional ones at",
        "full size, batch 1, but for the R-CNN family and `sds`. Python finds its modules as bytecode, as those of an",
        "installed package are, and the code that Numba compiles in some seconds when first it is used.", "",
        f"{len(rows)} networks take {cold:.0f} s cold and {warm:.0f} s warm: on two cores {cold / 2:.0f} and"
        f" {warm / 2:.0f} s.", "", *(f"* {key}: {facts[key]}" for key in ("cpu", "versions")), "",
        "| network | cold s | warm s |", "|---|---:|---:|",
    )  # fmt: skip
    yield from (f"| {row['name']} | {float(row['cold']):.1f} | {float(row['warm']):.1f} |" for row in rows)


def main() -> None:
    """Measure the networks asked for and write the page."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("names", nargs="*")
    parser.add_argument("--chip", default="edge")
    parser.add_argument("--output", type=Path, default=DOCS / "compile_time.md")
    given = parser.parse_args()
    held = json.loads(RESULTS.read_text()) if RESULTS.exists() else []
    rows = {(row["name"], row["chip"]): row for row in held}
    for name in given.names or networks():
        rows[name, given.chip] = measure(name, given.chip)
        print(rows[name, given.chip], file=sys.stderr, flush=True)
        atomic_write(RESULTS, json.dumps(list(rows.values()), indent=1) + "\n")
    shown = [rows[name, given.chip] for name in catalog() if (name, given.chip) in rows]
    atomic_write(given.output, page(shown, given.chip))


if __name__ == "__main__":
    main()
