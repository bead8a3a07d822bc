"""What several threads save, ours and ONNX Runtime's, on the same int8 network in one process.

Wall times: in every round each competitor runs once on the same input array, in turn, after a pause in which threads
that spin come to rest; figures are medians over rounds. "values" executes the loaded program, "run" adds its timing and
its energy, which take one thread. ONNX Runtime runs the int8 model that its own `quantize_static` writes (see
docs/speed.md).

Run: python -m benchmarks.threads [NETWORK ...] [--threads N] [--rounds N] [--tiny] [--json OUT.json] [--update-docs]
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from benchmarks.speed import (
    built,
    machine_facts,
    markdown_table,
    quantized_by_ort,
    quiet,
    sample_of,
    session,
    text_table,
)

NETWORKS = ("resnet50", "resnet18", "alexnet", "googlenet", "vgg16")
PAGE = Path(__file__).parents[1] / "docs" / "threads.md"
REST = 0.02  # seconds
Milliseconds = Mapping[str, float]


def medians(competitors: Mapping[str, Callable[[], object]], rounds: int) -> Milliseconds:
    """Return the median wall milliseconds of each competitor over interleaved rounds, after one unmeasured round."""
    taken: dict[str, list[float]] = {name: [] for name in competitors}
    for k in range(rounds + 1):
        for name, call in competitors.items():
            time.sleep(REST)
            start = time.perf_counter()
            call()
            if k:
                taken[name].append(1e3 * (time.perf_counter() - start))
    return {name: statistics.median(values) for name, values in taken.items()}


def measure(name: str, threads: int, rounds: int, tiny: bool) -> Milliseconds:
    """Return the milliseconds of one network by competitor."""
    import accelc
    from accelc.chip import load_chip
    from accelc.report.result import Check
    from accelc.results import result_of
    from accelc.sim.machine import Machine
    from accelc.sim.timing import time_program

    model, chip = built(name, tiny), load_chip("edge")
    sample = sample_of(model)
    program = accelc.compile(model, chip, samples=sample)
    one, several = Machine(program, chip), Machine(program, chip, threads)
    with quiet():
        int8 = quantized_by_ort(model, sample)
    ort = [session(int8, threads=count) for count in (1, threads)]
    timeline = time_program(program, chip)
    return medians(
        {
            "ORT 1": lambda: ort[0].run(None, sample),
            f"ORT {threads}": lambda: ort[1].run(None, sample),
            "values 1": lambda: one.run(sample),
            f"values {threads}": lambda: several.run(sample),
            "timing": lambda: time_program(program, chip),
            "energy": lambda: result_of(program, chip, timeline, Check("none"), None),
        },
        rounds,
    )


def rows_of(found: Mapping[str, Milliseconds], threads: int) -> list[list[str]]:
    """Return the table: times of one thread over those of several, and our run over ONNX Runtime's inference."""
    head = ["network", f"ORT {threads} ms", f"ORT 1 / ORT {threads}"]
    head += [f"values 1 / values {threads}", f"values {threads} / ORT {threads}", f"run {threads} / ORT {threads}"]
    rows = [head]
    for name, ms in found.items():
        many, ours = ms[f"ORT {threads}"], ms[f"values {threads}"]
        ratios = ms["ORT 1"] / many, ms["values 1"] / ours, ours / many, (ours + ms["timing"] + ms["energy"]) / many
        rows.append([name, f"{many:.2f}", *(f"{ratio:.2f}" for ratio in ratios)])
    return rows


def page(facts: Mapping[str, str], rows: Sequence[Sequence[str]], rounds: int) -> str:
    """Return docs/threads.md."""
    about = (__doc__ or "").split("\n\n")
    machine = "\n".join(f"* {key}: {value}" for key, value in facts.items())
    more = (
        "`accelc run --threads N` (`threads=N` in Python) cuts each instruction in parts, by rows, pixels or output "
        "channels, of which each thread does one ([`threads.py`](../sim/threads.py)); the values are those of one "
        "thread. Threads wait for each other hundreds of times in a run: on a machine with other work, where they are "
        "not always all awake, several may be slower than one."
    )
    again = f"Measured over {rounds} rounds by `python -m benchmarks.threads --update-docs`."
    return "\n\n".join(["# Threads", about[0], more, about[1], machine, markdown_table(rows), again]) + "\n"


def main(argv: Sequence[str] | None = None) -> None:
    """Measure, print, and write what was asked for."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("networks", nargs="*", default=list(NETWORKS))
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--tiny", action="store_true", help="the reduced networks")
    parser.add_argument("--json", type=Path, metavar="OUT.json")
    parser.add_argument("--update-docs", action="store_true", help="write docs/threads.md")
    given = parser.parse_args(argv)
    load = os.getloadavg()[0]
    found = {name: measure(name, given.threads, given.rounds, given.tiny) for name in given.networks}
    facts = {k: v for k, v in machine_facts(None).items() if v != "None"} | {"load before": f"{load:.1f}"}
    rows = rows_of(found, given.threads)
    print(text_table(rows))
    if given.json is not None:
        given.json.write_text(json.dumps({"threads": given.threads, "networks": found}, indent=1) + "\n")
    if given.update_docs:
        PAGE.write_text(page(facts, rows, given.rounds), encoding="utf-8")


if __name__ == "__main__":
    main()
