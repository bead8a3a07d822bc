"""The command line. Exit status: 0 done and checks hold, 1 a check failed, 2 bad input (one message, no traceback).

Commands import what they need when they run, so that `accelc --help` answers at once.
"""

from __future__ import annotations

import io
import json
import os
import signal
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, NoReturn

import typer

from accelc import __version__
from accelc.comparison.command import compare
from accelc.errors import AccelcError, InputError
from accelc.sweep.command import sweep

if TYPE_CHECKING:
    from accelc.compiler import Compiled, Options
    from accelc.program import Program
    from accelc.run import Arrays, Run

app = typer.Typer(
    name="accelc",
    help="Compile ONNX models to an NPU instruction stream; simulate it bit by bit and cycle by cycle.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

app.command()(compare)
app.command()(sweep)

Model = Annotated[str, typer.Argument(help="An ONNX file or the name of a zoo network (see `accelc models`).")]
ProgramFile = Annotated[Path, typer.Argument(metavar="F.npu", help="A program file.")]
ChipName = Annotated[str | None, typer.Option("--chip", help="A shipped chip or a TOML file.  [default: edge]")]
Dims = Annotated[list[str], typer.Option("--dim", metavar="NAME=N", help="Fix an open dimension; may be repeated.")]
AllowHost = Annotated[bool, typer.Option("--allow-host", help="Run what is unsupported on the host, at a price.")]
Tiny = Annotated[bool, typer.Option("--tiny", help="The reduced variant of a zoo network.")]
Batch = Annotated[int, typer.Option("--batch", min=1, help="Batch of a zoo network.")]
Calib = Annotated[Path | None, typer.Option("--calib", metavar="X.npz", help="Calibration samples by input name.")]
Activations = Annotated[Literal["uint8", "int8"], typer.Option(help="Of a float model; on 16-bit chips, int16.")]
Calibration = Annotated[Literal["minmax", "percentile", "entropy"], typer.Option(help="How ranges are chosen.")]
Seed = Annotated[int, typer.Option("--seed", min=0, help="Draws random inputs, samples and zoo weights.")]
Dataflow = Annotated[Literal["ws", "os", "is", "nlr", "rs", "auto"], typer.Option(help="What stays in the array.")]
Objective = Annotated[Literal["latency", "energy", "edp", "dram"], typer.Option(help="What the schedule minimizes.")]
Residency = Annotated[
    bool, typer.Option("--residency/--no-residency", help="Keep maps and shared weights on chip between layers.")
]
Precision = Annotated[
    Literal["int8", "float32"], typer.Option(help="float32: all layers on the vector unit, in 32-bit numbers.")
]
MappingFile = Annotated[
    str | None,
    typer.Option(
        "--mapping",
        metavar="F.toml",
        help="Parts of the mapping pinned by hand; or [LAYER=]F.yaml, a layer's mapping for ZigZag or Timeloop.",
    ),
]
DumpMapping = Annotated[
    Path | None, typer.Option("--dump-mapping", metavar="OUT.toml", help="Write the chosen mapping as such a file.")
]
Stage = Literal["import", "passes", "quantize", "schedule", "lower"]
JsonFile = Annotated[Path | None, typer.Option("--json", metavar="OUT.json", help="Also write JSON.")]


def main() -> NoReturn:
    """Run the command line and exit with its status."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # a terminal that knows no box-drawing characters
    signal.signal(signal.SIGTERM, _terminated)
    # Read when NumPy loads: clearing huge pages for arrays that live shortly takes up to a third of a compilation.
    os.environ.setdefault("NUMPY_MADVISE_HUGEPAGE", "0")
    try:
        app()
    except (AccelcError, OSError) as error:
        _fail(str(error))
    except KeyboardInterrupt:
        sys.exit(130)
    sys.exit(0)


def _terminated(number: int, _: object) -> NoReturn:
    sys.exit(128 + number)  # on the way out, processes that were started end, and files half written go


def _print_lines(lines: Iterable[str]) -> None:
    """Print a long text; end as other programs do when its reader has gone: `head` has what it wanted."""
    try:
        for line in lines:
            print(line)
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # what is still buffered has nowhere to go
        sys.exit(128 + signal.SIGPIPE)


def _fail(message: str) -> NoReturn:
    print("error:", " ".join(message.split()), file=sys.stderr)
    sys.exit(2)


@app.callback(invoke_without_command=True)
def _version(version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False) -> None:
    if version:
        print(f"accelc {__version__}")
        raise typer.Exit


@app.command("compile")
def compile_(
    model: Model,
    chip: ChipName = None,
    output: Annotated[Path | None, typer.Option("-o", metavar="F.npu", help="Where the program goes.")] = None,
    dataflow: Dataflow = "auto",
    objective: Objective = "latency",
    stop_after: Annotated[Stage | None, typer.Option(help="Stop after a stage and print what it made.")] = None,
    dim: Dims = [],  # noqa: B006 - typer copies it
    allow_host: AllowHost = False,
    tiny: Tiny = False,
    batch: Batch = 1,
    calib: Calib = None,
    activations: Activations = "uint8",
    calibration: Calibration = "minmax",
    seed: Seed = 0,
    precision: Precision = "int8",
    residency: Residency = True,
    mapping: MappingFile = None,
    dump_mapping: DumpMapping = None,
) -> None:
    """Compile a model to a program file, or print a stage."""
    from accelc.files import check_writable

    if stop_after is None and output is None:
        output = Path(f"{Path(model).stem}.npu")
    check_writable(output, dump_mapping)
    options = _options(
        dim, allow_host, tiny, batch, calib, activations, calibration, seed, dataflow, objective, precision, residency,
        mapping,
    )  # fmt: skip
    compiled = _compile(model, chip, options, stop_after, oracle=None)
    _dump_mapping(compiled, dump_mapping)
    if compiled.program is None or (stop_after is not None and output is None):
        _print_stage(compiled, stop_after or "lower")
        return
    assert output is not None
    compiled.program.save(output)
    size = f"{len(compiled.program.words):,} instructions, {output.stat().st_size:,} bytes"
    print(f"{output}: {compiled.name} for {compiled.chip.name}, {size}")


def _print_stage(compiled: Compiled, stage: str) -> None:
    """Print the value of a stage; a program is printed as its listing."""
    value = compiled.stage(stage)
    if stage != "lower":
        _print_lines([str(value)])
        return
    from accelc.program_text import disassemble_program

    _print_lines(disassemble_program(compiled.finished, constants=False))


@app.command()
def run(
    model: Annotated[str, typer.Argument(metavar="MODEL|F.npu", help="An ONNX file, a zoo network or a program file.")],
    chip: ChipName = None,
    inputs: Annotated[Path | None, typer.Option("--input", metavar="X.npz", help="Inputs by ONNX name.")] = None,
    seed: Seed = 0,
    check: Annotated[
        Literal["none", "reference", "ort"] | None,
        typer.Option(help="The oracle every integer is compared with.  [default: reference; none for a program file]"),
    ] = None,
    fidelity: Annotated[
        str, typer.Option(help="How the MAC array is simulated: fast, by closed forms; literal, PE by PE.")
    ] = "fast",
    timing_only: Annotated[bool, typer.Option("--timing-only", help="Time and energy, no values.")] = False,
    activity: Annotated[
        bool, typer.Option("--activity", help="Count zero products and coded feature maps on any chip.")
    ] = False,
    threads: Annotated[int, typer.Option(metavar="N", help="Compute values on so many threads.")] = 1,
    json_: JsonFile = None,
    trace: Annotated[Path | None, typer.Option(metavar="OUT.json", help="Write a trace for Perfetto.")] = None,
    outputs: Annotated[Path | None, typer.Option(metavar="OUT.npz", help="Write outputs by ONNX name.")] = None,
    dataflow: Dataflow = "auto",
    objective: Objective = "latency",
    dim: Dims = [],  # noqa: B006 - typer copies it
    allow_host: AllowHost = False,
    tiny: Tiny = False,
    batch: Batch = 1,
    calib: Calib = None,
    activations: Activations = "uint8",
    calibration: Calibration = "minmax",
    precision: Precision = "int8",
    residency: Residency = True,
    mapping: MappingFile = None,
    dump_mapping: DumpMapping = None,
) -> None:
    """Compile a model (or load a program), execute it, check every integer, and report time and energy."""
    from accelc.files import check_writable, read_arrays

    check_writable(json_, trace, outputs, dump_mapping)
    if timing_only and (outputs or check not in (None, "none")):
        raise InputError("--timing-only computes no values: --outputs and --check need them")
    given = None if inputs is None else read_arrays(inputs)
    how = {"fidelity": fidelity, "seed": seed, "values": not timing_only, "activity": activity, "threads": threads}
    if Path(model).suffix == ".npu":
        if check not in (None, "none"):
            raise InputError(f"--check {check} needs the model: a program file does not hold its graph")
        if mapping is not None or dump_mapping is not None:
            raise InputError("--mapping and --dump-mapping need the model: a program file is mapped already")
        result = _run_file(Path(model), given, chip, how)
    else:
        options = _options(
            dim, allow_host, tiny, batch, calib, activations, calibration, seed, dataflow, objective, precision,
            residency, mapping,
        )  # fmt: skip
        oracle = "none" if timing_only else check or "reference"
        compiled = _compile(model, chip, options, oracle=None if timing_only else oracle)
        _dump_mapping(compiled, dump_mapping)
        result = _run_compiled(compiled, given, oracle, how)
    _write_results(result, json_, trace, outputs)
    if not result.check.passed:
        raise typer.Exit(1)


def _run_file(path: Path, given: Arrays | None, chip: str | None, how: dict[str, Any]) -> Run:
    from accelc.run import run_program

    program = _load(path)
    with _progress() as tell:
        tell("executing")
        return run_program(program, given, chip=chip, **how)


def _run_compiled(compiled: Compiled, given: Arrays | None, oracle: str, how: dict[str, Any]) -> Run:
    from accelc.run import run_compiled

    with _progress() as tell:
        return run_compiled(compiled, given, check=oracle, progress=tell, **how)


def _write_results(result: Run, json_: Path | None, trace: Path | None, outputs: Path | None) -> None:
    from accelc.files import atomic_write, write_arrays
    from accelc.report import print_report

    print_report(result.result)
    if json_ is not None:
        atomic_write(json_, json.dumps(result.to_json(), indent=1, allow_nan=False) + "\n")
    if trace is not None:
        result.write_trace(trace)
    if outputs is not None:
        write_arrays(outputs, result.outputs)


@app.command()
def disasm(
    program: ProgramFile,
    output: Annotated[Path | None, typer.Option("-o", metavar="F.s", help="Write to a file.")] = None,
    code_only: Annotated[bool, typer.Option("--code-only", help="Leave the constants out; not for `asm`.")] = False,
) -> None:
    """Print a program as assembler text, each instruction under its layer."""
    from accelc.files import write_pieces
    from accelc.program_text import disassemble_program

    lines = disassemble_program(_load(program), constants=not code_only)
    if output is not None:
        write_pieces(output, (f"{line}\n" for line in lines))
        return
    _print_lines(lines)


@app.command()
def asm(
    text: Annotated[Path, typer.Argument(metavar="F.s", help="Assembler text, as `disasm` prints it.")],
    output: Annotated[Path | None, typer.Option("-o", metavar="F.npu", help="Where the program goes.")] = None,
) -> None:
    """Assemble text to a program file; the text of a program gives the same bytes again."""
    from accelc.program_text import assemble_program

    try:
        with text.open(encoding="utf-8") as lines:
            program = assemble_program(lines)
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"'{text}' cannot be read: {error}") from None
    program.save(output or text.with_suffix(".npu"))


@app.command()
def verify(program: ProgramFile) -> None:
    """Load a program file and hold it to every rule: checksums, encoding, operands, memory map, chip, tokens."""
    from accelc.run import chip_of
    from accelc.sim.hazards import check_hazards

    loaded = _load(program)
    chip = chip_of(loaded)
    check_hazards(loaded, chip)
    size = sum(port.bytes for port in (*loaded.inputs, *loaded.outputs))
    print(
        f"{program}: {loaded.name} for {chip.name}, {len(loaded.words):,} instructions in {len(loaded.layers)} layers,"
        f" {len(loaded.constants):,} bytes of constants, {size:,} bytes of inputs and outputs: correct"
    )


@app.command()
def isa() -> None:
    """Print the instruction set as Markdown, generated from its definitions."""
    from accelc.isa.page import markdown

    _print_lines([markdown()])


@app.command()
def chips(
    name: Annotated[str | None, typer.Argument(help="A shipped chip or a TOML file.")] = None, json_: JsonFile = None
) -> None:
    """List the shipped chips, or print one with the source of each value and of each energy figure it uses."""
    from accelc.chip import load_chip, shipped
    from accelc.chip.page import describe
    from accelc.energy.page import describe_energy

    loaded = [load_chip(each) for each in ([name] if name else shipped())]
    _write_json(json_, [chip.model_dump(mode="json") for chip in loaded])
    for chip in loaded:
        print(f"{describe(chip)}\n{describe_energy(chip)}" if name else f"{chip.name:10} {chip.description}")


@app.command()
def models(
    name: Annotated[str | None, typer.Argument(help="A network.")] = None, tiny: Tiny = False, json_: JsonFile = None
) -> None:
    """List the zoo's networks with their parameters and multiply-accumulates, or describe one."""
    from accelc.models import catalog, describe
    from accelc.report.zoo import describe_text, list_text

    names = [_known(name)] if name else list(catalog())
    with _progress() as tell:
        rows = []
        for each in names:
            tell(each)
            rows.append(describe(each, tiny))
    _write_json(json_, rows)
    print(describe_text(rows[0]) if name else list_text(rows))


def _known(name: str) -> str:
    """Return a network's name; raise InputError with near ones if the zoo has none of it."""
    from accelc.compiler import not_in_zoo
    from accelc.models import catalog

    if name not in catalog():
        raise InputError(not_in_zoo(name))
    return name


@app.command()
def validate(
    name: Annotated[str | None, typer.Argument(help="A published table.  [default: all]")] = None,
    json_: JsonFile = None,
) -> None:
    """Replay published tables of chips; print each figure beside ours, its error, and what had to be assumed."""
    from accelc.files import check_writable
    from accelc.validate import names, replay
    from accelc.validate.report import print_replays, to_json

    check_writable(json_)
    with _progress() as tell:
        replays = {}
        for each in [name] if name else names():
            tell(f"replaying {each}")
            replays[each] = replay(each)
    _write_json(json_, to_json(replays))
    print_replays(replays)


@app.command()
def export(
    name: Annotated[str, typer.Argument(help="A network of the zoo.")],
    output: Annotated[Path, typer.Option("-o", metavar="F.onnx", help="Where the model goes.")],
    tiny: Tiny = False,
    batch: Batch = 1,
    seed: Seed = 0,
) -> None:
    """Write a zoo network as an ONNX file."""
    from accelc.files import atomic_write, check_writable
    from accelc.models import build

    check_writable(output)
    atomic_write(output, build(_known(name), tiny=tiny, batch=batch, seed=seed).SerializeToString())


def _write_json(path: Path | None, value: Any) -> None:
    if path is not None:
        from accelc.files import atomic_write

        atomic_write(path, json.dumps(value, indent=1) + "\n")


def _compile(
    model: str, chip: str | None, options: Options, stop_after: str | None = None, oracle: str | None = "none"
) -> Compiled:
    """Compile a model; long work is announced. `oracle` is that of the run to come, None if it computes no values."""
    from accelc.compiler import compile_stages

    with _progress() as tell:
        return compile_stages(
            model, chip or "edge", options, stop_after=stop_after, progress=tell,
            observe=lambda done: _announce(done, stop_after, oracle),
        )  # fmt: skip


def _announce(done: Compiled, stop_after: str | None, oracle: str | None) -> None:
    """Say on stderr what long work will take, as soon as that can be told."""
    from accelc.estimate import LONG_SECONDS, estimate

    if done.graph is None or done.quantized is not None or stop_after == "passes":
        return
    work = estimate(done.graph, values=oracle is not None, oracle=oracle or "none")
    if work.seconds >= LONG_SECONDS:
        print(f"{done.name}: {work}", file=sys.stderr)


def _dump_mapping(compiled: Compiled, path: Path | None) -> None:
    """Write the mapping of a compilation, if a file is asked for."""
    if path is None:
        return
    from accelc.files import atomic_write
    from accelc.schedule.dump import dump_mapping

    if compiled.schedule is None:
        raise InputError("--dump-mapping needs the schedule; --stop-after schedule or lower would work")
    atomic_write(path, dump_mapping(compiled.schedule))


def _load(path: Path) -> Program:
    from accelc.program import Program

    return Program.load(path)


def _options(
    dim: list[str], allow_host: bool, tiny: bool, batch: int, calib: Path | None, activations: str, calibration: str,
    seed: int, dataflow: str, objective: str, precision: str, residency: bool, mapping: str | None,
) -> Options:  # fmt: skip
    from accelc.compiler import Options
    from accelc.files import read_arrays
    from accelc.schedule.foreign import read_by_hand

    samples = None if calib is None else read_arrays(calib)
    dims = dict(_dimension(text) for text in dim)
    return Options(
        dims, allow_host, tiny, batch, seed, samples, activations, calibration, dataflow, objective, precision,
        residency, None if mapping is None else read_by_hand(mapping),
    )  # fmt: skip


def _dimension(text: str) -> tuple[str, int]:
    name, equals, value = text.rpartition("=")
    if not equals or not name or not value.isdecimal():
        raise InputError(f"--dim {text} is not of the form NAME=N with a whole number N")
    return name, int(value)


@contextmanager
def _progress() -> Iterator[Callable[[str], None]]:
    """Show the current step on a terminal's stderr; say nothing when it is a file or a pipe."""
    if not sys.stderr.isatty():
        yield lambda _: None
        return
    from rich.console import Console

    with Console(stderr=True).status("") as status:
        yield lambda step: status.update(step)
