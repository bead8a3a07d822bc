"""How near our runs come to what the machine can do: one and two threads of ONNX Runtime, products, bytes copied.

In every round each competitor runs once, in turn; figures are the least over the rounds, which others at work on the
machine disturb least; `load` is the machine's load average before them. A run is values, timing and energy on one
thread. ONNX Runtime runs the int8 model that its own `quantize_static` writes. The limit of products is ONNX Runtime's
MatMulInteger of two 1024x1024 matrices on one thread, the limit of bytes a copy of 64 MiB: what a run's products, and
the bytes its program moves between DRAM and buffers, would take at those rates.

Run: python -m benchmarks.limits [NETWORK ...] [--rounds N] [--tiny] [--json OUT.json] [--update-docs]
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.speed import Array, machine_facts, markdown_table, quantized_by_ort, text_table

PAGE = Path(__file__).parents[1] / "docs" / "limits.md"
NETWORKS = ("resnet50", "resnet18", "alexnet", "vgg16")
SIDE = 1024
COPIED_BYTES = 64 << 20


@dataclass(frozen=True)
class Row:
    """Least milliseconds of one network, and what its products and bytes take at the machine's own rates."""

    name: str
    ms: Mapping[str, float]
    products_ms: float
    bytes_ms: float
    load: float

    def ratios(self) -> dict[str, float]:
        """Return a run's time over each competitor's, and its values' over each limit."""
        run = self.ms["values"] + self.ms["timing"] + self.ms["energy"]
        return {
            "run / ORT int8, 1 thread": run / self.ms["ort 1"],
            "run / ORT int8, 2 threads": run / self.ms["ort 2"],
            "values / limit of products": self.ms["values"] / self.products_ms,
            "values / limit of bytes": self.ms["values"] / self.bytes_ms,
        }


def session(model: bytes, threads: int) -> Any:
    """Return a session of so many threads."""
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    options.log_severity_level = 3
    return ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def product() -> Callable[[], object]:
    """Return a call that multiplies two int8 matrices of SIDE rows."""
    from onnx import TensorProto, helper

    kinds = {"a": TensorProto.UINT8, "b": TensorProto.INT8, "y": TensorProto.INT32}
    a, b, y = (helper.make_tensor_value_info(name, kind, [SIDE, SIDE]) for name, kind in kinds.items())
    graph = helper.make_graph([helper.make_node("MatMulInteger", ["a", "b"], ["y"])], "product", [a, b], [y])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    rng, runner = np.random.default_rng(0), session(model.SerializeToString(), 1)
    feeds = {n: rng.integers(0, 100, (SIDE, SIDE)).astype(k) for n, k in (("a", np.uint8), ("b", np.int8))}
    return lambda: runner.run(None, feeds)


def copy() -> Callable[[], object]:
    """Return a call that copies COPIED_BYTES."""
    source, target = np.ones(COPIED_BYTES, np.uint8), np.zeros(COPIED_BYTES, np.uint8)
    return lambda: np.copyto(target, source)


def competitors(name: str, tiny: bool) -> tuple[dict[str, Callable[[], object]], Any]:
    """Return what runs in each round, and the figures of a run."""
    import accelc
    from accelc.chip import load_chip
    from accelc.models import build
    from accelc.report.result import Check
    from accelc.results import result_of
    from accelc.sim.machine import Machine
    from accelc.sim.timing import time_program

    model, chip = build(name, tiny=tiny), load_chip("edge")
    shapes = {i.name: [d.dim_value for d in i.type.tensor_type.shape.dim] for i in model.graph.input}
    rng = np.random.default_rng(0)
    sample: dict[str, Array] = {key: rng.standard_normal(shape, np.float32) for key, shape in shapes.items()}
    program = accelc.compile(model, chip, samples=sample)
    machine, timeline = Machine(program, chip), time_program(program, chip)
    int8 = quantized_by_ort(model, sample)
    one, two = session(int8, 1), session(int8, 2)
    calls: dict[str, Callable[[], object]] = {
        "values": lambda: machine.run(sample),
        "timing": lambda: time_program(program, chip),
        "energy": lambda: result_of(program, chip, timeline, Check("none"), None),
        "ort 1": lambda: one.run(None, sample),
        "ort 2": lambda: two.run(None, sample),
    }
    return calls | {"product": product(), "copy": copy()}, result_of(program, chip, timeline, Check("none"), None)


def measure(name: str, rounds: int, tiny: bool) -> Row:
    """Return a network's figures."""
    calls, result = competitors(name, tiny)
    load, ms = os.getloadavg()[0], least(calls, rounds)
    products_ms = ms["product"] * result.macs / SIDE**3
    bytes_ms = ms["copy"] * (result.dram_read_bytes + result.dram_write_bytes) / COPIED_BYTES
    return Row(name, ms, products_ms, bytes_ms, load)


def least(calls: Mapping[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """Return the least milliseconds of each call; every round runs each once, after one round unmeasured."""
    found = dict.fromkeys(calls, float("inf"))
    for k in range(rounds + 1):
        for name, call in calls.items():
            start = time.perf_counter()
            call()
            found[name] = min(found[name], 1e3 * (time.perf_counter() - start)) if k else found[name]
    return found


def table(rows: Sequence[Row]) -> list[list[str]]:
    """Return the table of ratios, and the rates that the limits stand for."""
    head = ["network", *rows[0].ratios(), "GMAC/s of the limit", "GB/s of the limit", "load"]
    return [
        head,
        *(
            [
                row.name,
                *(f"{ratio:.2f}" for ratio in row.ratios().values()),
                f"{SIDE**3 / row.ms['product'] / 1e6:.0f}",
                f"{COPIED_BYTES / row.ms['copy'] / 1e6:.1f}",
                f"{row.load:.1f}",
            ]
            for row in rows
        ),
    ]


def main(argv: Sequence[str] | None = None) -> None:
    """Measure, print, and write what was asked for."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("networks", nargs="*", default=list(NETWORKS))
    parser.add_argument("--rounds", type=int, default=25)
    parser.add_argument("--tiny", action="store_true", help="the reduced networks")
    parser.add_argument("--json", type=Path, metavar="OUT.json")
    parser.add_argument("--update-docs", action="store_true", help="write docs/limits.md")
    given = parser.parse_args(argv)
    rows = [measure(name, given.rounds, given.tiny) for name in given.networks]
    print(text_table(table(rows)))
    if given.json is not None:
        found = [asdict(row) | {"ratios": row.ratios()} for row in rows]
        given.json.write_text(json.dumps({"rounds": given.rounds, "networks": found}, indent=1) + "\n")
    if given.update_docs:
        facts = "\n".join(f"* {key}: {value}" for key, value in machine_facts(None).items() if value != "None")
        about = (__doc__ or "").split("\n\n")
        again = f"Measured over {given.rounds} rounds by `python -m benchmarks.limits --update-docs`."
        page = ["# The machine's limits", about[0], about[1], facts, markdown_table(table(rows)), again]
        PAGE.write_text("\n\n".join(page) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
