"""How long our runs take beside ONNX Runtime's own inference of the same float model, measured together in one process.

One thread on one CPU. In every round each competitor runs once on the same input array, in turn; figures are medians
over rounds of the CPU time that the thread took. "values" executes the loaded program, "timing" plays its queues and
DRAM, "energy" counts events and attributes stalls per layer, whose rows a reader makes; "run" is the three together.
Loaded with a program, as a session of ONNX Runtime is made, is what its words and the chip tell before anything runs:
operands, memories, what instructions wait for and reach, and the cycles and events of their closed forms. "tables" is
what making the last of these anew takes, which the first run of a program on a chip does; "run" is without it.
Time and energy follow from program and chip: a program keeps them, and a run on further inputs takes "values" alone.
ONNX Runtime runs the float model, and the int8 model that its own `quantize_static` writes from it (QOperator, uint8
activations, int8 weights per channel). It has no static form of recurrent layers: of a network with any, the int8
model is what `quantize_dynamic` writes (uint8 activations, scaled anew at each layer and step, int8 weights).
`NETWORK:side=N` is a network on images of N x N, `NETWORK:batch=N` on N images at once.

Run: python -m benchmarks.speed [NETWORK ...] [--rounds N] [--tiny] [--json OUT.json] [--update-docs]
"""

from __future__ import annotations

import argparse
import contextlib
import json
import logging
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "speed.md"
NETWORKS = ("resnet50", "resnet18", "alexnet", "googlenet", "vgg16", "word_lm")
RECURRENT = {"LSTM", "GRU", "RNN"}
PARTS = ("values", "timing", "energy")
TABLES = "tables"
ORT = ("ort int8", "ort float32")
MIN_SQNR_DB = 10.0


@dataclass(frozen=True)
class Network:
    """Median milliseconds of one network; `load` is the machine's load average when its rounds began."""

    name: str
    instructions: int
    ms: Mapping[str, float]  # by competitor: PARTS, TABLES and ORT
    sqnr_db: Mapping[str, float]  # of our and of ONNX Runtime's int8 output, against its float output
    load: float

    @property
    def run_ms(self) -> float:
        """Values, timing and energy together."""
        return sum(self.ms[part] for part in PARTS)

    def ratio(self, ms: float, to: str = ORT[0]) -> float:
        """Return a time over that of one of ONNX Runtime's models."""
        return ms / self.ms[to]


@dataclass(frozen=True)
class Child:
    """A process of its own: wall seconds, peak memory, and seconds by stage where it tells them."""

    what: str
    seconds: float
    peak_mib: float
    stages: Mapping[str, float]


def pin() -> int | None:
    """Bind this process and its children to one CPU where the system allows; return its number."""
    if not hasattr(os, "sched_setaffinity"):
        return None
    cpu = max(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {cpu})
    return cpu


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Silence what ONNX Runtime's quantizer says while it works."""
    logging.disable(logging.WARNING)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
    logging.disable(logging.NOTSET)


def session(model: str | bytes, optimized: str | None = None, threads: int = 1) -> Any:
    """Return a session of so many threads; with `optimized` it also writes the model with its BatchNorms folded."""
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    options.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
    options.log_severity_level = 3
    if optimized is not None:
        options.optimized_model_filepath = optimized
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_BASIC
    return ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def built(name: str, tiny: bool) -> Any:
    """Return a model of the zoo, of another batch or image size where `name` says so."""
    from accelc.models import build

    network, _, changes = name.partition(":")
    sizes = dict(change.partition("=")[::2] for change in changes.split(",") if change)
    if set(sizes) - {"batch", "side"}:
        sys.exit(f"'{name}': sizes are batch=N and side=N")
    model = build(network, tiny=tiny, batch=int(sizes.get("batch", 1)))
    if "side" in sizes:
        for dim in model.graph.input[0].type.tensor_type.shape.dim[2:]:
            dim.dim_value = int(sizes["side"])
        del model.graph.value_info[:]
    return model


def sample_of(model: Any) -> dict[str, Array]:
    """Return random inputs of a model: standard normal, or as a note on an input says."""
    import onnx

    from accelc.quantize.samples import drawn

    rng = np.random.default_rng(0)
    sample = {}
    for given in model.graph.input:
        kind = onnx.helper.tensor_dtype_to_np_dtype(given.type.tensor_type.elem_type)
        shape = tuple(d.dim_value for d in given.type.tensor_type.shape.dim)
        span = [float(word) for word in given.doc_string.split()[1:3]]
        plain = "float32" if kind == np.float32 else "int32"
        sample[given.name] = drawn(rng, shape, plain, (span[0], span[1]) if span else None).astype(kind)
    return sample


def quantized_by_ort(model: Any, sample: Mapping[str, Array]) -> bytes:
    """Return the int8 model that ONNX Runtime writes from a float model, calibrated with one sample."""
    if RECURRENT & {node.op_type for node in model.graph.node}:
        return _quantized_dynamically(model)
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

    class Samples(CalibrationDataReader):  # type: ignore[misc]
        rest = iter([dict(sample)])

        def get_next(self) -> dict[str, Array] | None:
            return next(self.rest, None)

    with tempfile.TemporaryDirectory() as folder, quiet():
        folded, target = str(Path(folder, "folded.onnx")), Path(folder, "int8.onnx")
        session(model.SerializeToString(), optimized=folded)
        quantize_static(
            folded,
            target,
            Samples(),
            quant_format=QuantFormat.QOperator,
            per_channel=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
        )
        return target.read_bytes()


def _quantized_dynamically(model: Any) -> bytes:
    from onnxruntime.quantization import QuantType, quantize_dynamic

    with tempfile.TemporaryDirectory() as folder, quiet():
        source, target = Path(folder, "float.onnx"), Path(folder, "int8.onnx")
        source.write_bytes(model.SerializeToString())
        quantize_dynamic(source, target, weight_type=QuantType.QInt8)
        return target.read_bytes()


def sqnr_db(wanted: Array, got: Array) -> float:
    """Return the signal-to-noise ratio of an output in decibels."""
    noise = float(np.square(got.astype(np.float64) - wanted).sum())
    return float(10 * np.log10(float(np.square(wanted.astype(np.float64)).sum()) / max(noise, 1e-30)))


def medians(competitors: Mapping[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """Return the median milliseconds of each competitor; every round runs each once, after one round unmeasured.

    They are those of the processor's time that this thread took: nobody has another thread.
    """
    taken: dict[str, list[float]] = {name: [] for name in competitors}
    for k in range(rounds + 1):
        for name, call in competitors.items():
            start = time.thread_time()
            call()
            if k:
                taken[name].append(1e3 * (time.thread_time() - start))
    return {name: statistics.median(values) for name, values in taken.items()}


def measure(name: str, rounds: int, tiny: bool) -> Network:
    """Return the figures of one network; raise SystemExit where the int8 outputs do not resemble the float output."""
    import accelc
    from accelc.chip import load_chip
    from accelc.report.result import Check
    from accelc.results import result_of
    from accelc.sim.machine import Machine
    from accelc.sim.table import given_of
    from accelc.sim.timing import time_program

    def tables() -> None:
        program.given.clear()
        given_of(program, chip)

    model, chip = built(name, tiny), load_chip("edge")
    sample = sample_of(model)
    program = accelc.compile(model, chip, samples=sample)
    machine, timeline = Machine(program, chip), time_program(program, chip)
    int8, real = session(quantized_by_ort(model, sample)), session(model.SerializeToString())
    (wanted, *_), (theirs, *_) = real.run(None, sample), int8.run(None, sample)
    ours = machine.run(sample).outputs[program.outputs[0].name]
    quality = {"accelc": sqnr_db(wanted, ours), "ort int8": sqnr_db(wanted, theirs)}
    if min(quality.values()) < MIN_SQNR_DB:
        sys.exit(f"{name}: the competitors do not compute the same network: {quality}")
    load = os.getloadavg()[0]
    ms = medians(
        {
            "ort int8": lambda: int8.run(None, sample),
            "values": lambda: machine.run(sample),
            "timing": lambda: time_program(program, chip),
            "energy": lambda: result_of(program, chip, timeline, Check("none"), None),
            TABLES: tables,
            "ort float32": lambda: real.run(None, sample),
        },
        rounds,
    )
    return Network(name, len(program.words), ms, quality, load)


def child(what: str, command: Sequence[str]) -> Child:
    """Run a command in a process of its own; a last line of JSON that it prints is taken for its stages."""
    start = time.perf_counter()
    with subprocess.Popen([sys.executable, *command], stdout=subprocess.PIPE, text=True, cwd=ROOT) as process:
        assert process.stdout is not None
        lines = process.stdout.read().splitlines()
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    seconds = time.perf_counter() - start
    if process.returncode:
        sys.exit(f"{what} ended with status {process.returncode}")
    per_mib = 1 << 20 if sys.platform == "darwin" else 1 << 10
    stages = json.loads(lines[-1]) if lines[-1:] and lines[-1].startswith("{") else {}
    return Child(what, sum(stages.values()) or seconds, used.ru_maxrss / per_mib, stages)


def print_stages(name: str, tiny: bool) -> None:
    """Compile a network from its ModelProto in this process and print the seconds of each stage as JSON."""
    from accelc.models import build

    model = build(name, tiny=tiny)
    marks = [("load the compiler", time.perf_counter())]
    from accelc.compiler import STAGES, compile_stages

    compile_stages(model, progress=lambda step: step in STAGES and marks.append((step, time.perf_counter())))
    marks.append(("", time.perf_counter()))
    print(json.dumps({stage: after - at for (stage, at), (_, after) in pairwise(marks)}))


def children(name: str, tiny: bool) -> list[Child]:
    """Return the processes measured: compile from the built model; the command without check, without values, whole."""
    small = ["--tiny"] if tiny else []
    command = ["-m", "accelc", "run", name, *small]
    child(f"accelc run {name}", command)  # finds the mappings
    return [
        child(f"compile {name}", ["-m", "benchmarks.speed", name, *small, "--stages"]),
        child(f"accelc run {name} --check none", [*command, "--check", "none"]),
        child(f"accelc run {name} --timing-only", [*command, "--timing-only"]),
        child(f"accelc run {name}", command),
    ]


def machine_facts(cpu: int | None) -> dict[str, str]:
    """Return the processor and the versions that the figures depend on."""
    import numba
    import onnx
    import onnxruntime

    info = Path("/proc/cpuinfo").read_text(encoding="utf-8") if Path("/proc/cpuinfo").exists() else ""
    fields = dict(line.split(":", 1) for line in info.split("\n\n")[0].splitlines() if ":" in line)
    known = {key.strip(): value.strip() for key, value in fields.items()}
    flags = set(known.get("flags", "").split())
    wanted = ("avx2", "avx512_vnni", "avx_vnni", "amx_int8")
    return {
        "cpu": f"{known.get('model name', platform.processor())} (family {known.get('cpu family', '?')}, "
        f"model {known.get('model', '?')}), {os.cpu_count()} CPUs; {' '.join(f for f in wanted if f in flags)}",
        "pinned to CPU": str(cpu),
        "versions": f"Python {platform.python_version()}, NumPy {np.__version__}, Numba {numba.__version__}, "
        f"ONNX {onnx.__version__}, ONNX Runtime {onnxruntime.__version__}",
    }


def network_table(networks: Sequence[Network]) -> list[list[str]]:
    """Return the rows of ratios: each time over ONNX Runtime's int8 inference, and the run over its float inference."""
    head = ["network", "ORT int8 ms", "run / ORT int8", *PARTS, TABLES, "run / ORT float32", "run ms", "load"]
    rows = [
        [
            n.name,
            f"{n.ms[ORT[0]]:.2f}",
            f"{n.ratio(n.run_ms):.2f}",
            *(f"{n.ratio(n.ms[part]):.2f}" for part in (*PARTS, TABLES)),
            f"{n.ratio(n.run_ms, ORT[1]):.2f}",
            f"{n.run_ms:.2f}",
            f"{n.load:.1f}",
        ]
        for n in networks
    ]
    return [head, *rows]


def child_table(processes: Sequence[Child], unit: Network) -> list[list[str]]:
    """Return the rows of whole processes; ratios are to one int8 inference of the same network."""
    rows = [["process", "seconds", "ORT int8 inferences", "peak MiB"]]
    for p in processes:
        rows.append([p.what, f"{p.seconds:.2f}", f"{unit.ratio(1e3 * p.seconds):.0f}", f"{p.peak_mib:.0f}"])
        rows += [[f"  {s}", f"{t:.2f}", f"{unit.ratio(1e3 * t):.0f}", ""] for s, t in p.stages.items()]
    return rows


def text_table(rows: Sequence[Sequence[str]]) -> str:
    """Return rows as aligned columns, the first left, the others right."""
    widths = [max(len(row[k]) for row in rows) for k in range(len(rows[0]))]
    lines = [
        "  ".join([row[0].ljust(widths[0]), *(c.rjust(w) for c, w in zip(row[1:], widths[1:], strict=True))])
        for row in rows
    ]
    return "\n".join(line.rstrip() for line in lines)


def markdown_table(rows: Sequence[Sequence[str]]) -> str:
    """Return rows as a Markdown table."""
    lines = ["| " + " | ".join(cell.replace("  ", "&emsp;") for cell in row) + " |" for row in rows]
    return "\n".join([lines[0], "|" + "|".join(["---", *["---:"] * (len(rows[0]) - 1)]) + "|", *lines[1:]])


def page(facts: Mapping[str, str], rounds: int, tables: Sequence[Sequence[Sequence[str]]]) -> str:
    """Return docs/speed.md."""
    about = (__doc__ or "").split("\n\n")
    machine = "\n".join(f"* {key}: {value}" for key, value in facts.items())
    notes = (
        "Figures are times over one int8 inference of ONNX Runtime in the same process and the same rounds. "
        "Processes of their own start with compiled kernels and the mappings of an earlier one on disk (without "
        "those: docs/compile_time.md), on the same one CPU; a compilation starts from the built model in memory. "
        "`load` is the machine's load average before the rounds: near 0 nobody else was at work."
    )
    parts = ["# Speed", about[0], about[1], notes, machine, *map(markdown_table, tables)]
    again = f"Measured over {rounds} rounds by `python -m benchmarks.speed --update-docs`."
    return "\n\n".join([*parts, again]) + "\n"


def arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    """Return the parsed command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("networks", nargs="*", default=list(NETWORKS), help="zoo networks; the first is also run cold")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--tiny", action="store_true", help="the reduced networks")
    parser.add_argument("--json", type=Path, metavar="OUT.json")
    parser.add_argument("--update-docs", action="store_true", help="write docs/speed.md")
    parser.add_argument("--stages", action="store_true", help="only compile the first network, and print JSON")
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> None:
    """Measure, print, and write what was asked for."""
    given = arguments(argv)
    if given.stages:
        print_stages(given.networks[0], given.tiny)
        return
    cpu = pin()
    # First, while this process is small: Linux counts the memory of the process that starts a child as the child's.
    processes = children(given.networks[0], given.tiny)
    networks = [measure(name, given.rounds, given.tiny) for name in given.networks]
    facts = machine_facts(cpu)
    tables = [network_table(networks), child_table(processes, networks[0])]
    print("\n".join(f"{key}: {value}" for key, value in facts.items()))
    print("\n".join(f"\n{text_table(rows)}" for rows in tables))
    if given.json is not None:
        found = {"machine": facts, "rounds": given.rounds, "networks": [asdict(n) for n in networks]}
        given.json.write_text(json.dumps(found | {"processes": [asdict(p) for p in processes]}, indent=1) + "\n")
    if given.update_docs:
        PAGE.write_text(page(facts, given.rounds, tables), encoding="utf-8")


if __name__ == "__main__":
    main()
