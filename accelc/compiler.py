"""The compiler's recipe: import, passes, quantize, schedule, lower; each step makes a new value that can be printed."""

from __future__ import annotations

import difflib
import itertools
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import onnx

from accelc import models
from accelc.chip import Chip, load_chip
from accelc.errors import InputError, ModelError
from accelc.frontend import import_onnx
from accelc.graph import BYTES, WIDE, Array, Graph
from accelc.lower import lower
from accelc.passes import simplify
from accelc.program import Program
from accelc.quantize import quantize
from accelc.quantize.samples import Samples
from accelc.schedule import Schedule, schedule
from accelc.schedule.foreign import Foreign
from accelc.schedule.mapping import Mapping as ByHand

STAGES = ("import", "passes", "quantize", "schedule", "lower")

Model = str | Path | onnx.ModelProto
Progress = Callable[[str], None]


@dataclass(frozen=True)
class Options:
    """Everything but model and chip that a compilation depends on; the defaults are the command line's.

    `dims` fixes open dimensions, `tiny` and `batch` choose a zoo network's variant, `seed` draws its weights and the
    calibration samples used when `samples` is None. `activations` is the type on chips of 8-bit operands. With
    `precision` "float32" all layers are work of the vector unit on 32-bit numbers, the array rests. Without `residency`
    every map goes to DRAM and comes back, layer by layer. What `mapping` pins is not searched.
    """

    dims: Mapping[str, int] = field(default_factory=dict)
    allow_host: bool = False
    tiny: bool = False
    batch: int = 1
    seed: int = 0
    samples: Samples | None = None
    activations: str = "uint8"
    calibration: str = "minmax"
    dataflow: str = "auto"
    objective: str = "latency"
    precision: str = "int8"
    residency: bool = True
    mapping: ByHand | Foreign | None = None


@dataclass(frozen=True, eq=False)
class Compiled:
    """What was compiled, and the value after each stage up to the last one asked for."""

    name: str
    chip: Chip
    model: Model
    options: Options
    imported: Graph
    graph: Graph | None = None
    quantized: Graph | None = None
    schedule: Schedule | None = None
    program: Program | None = None

    def stage(self, name: str) -> Graph | Schedule | Program | None:
        """Return the value that a stage made, None if compilation stopped before it."""
        made = (self.imported, self.graph, self.quantized, self.schedule, self.program)
        return made[STAGES.index(name)]

    @property
    def source(self) -> Path | onnx.ModelProto:
        """Return the ONNX model it was compiled from; a zoo network is built again."""
        return resolve(self.model, self.options)

    @property
    def finished(self) -> Program:
        """Return the program of a compilation that was not stopped."""
        if self.program is None:
            raise InputError(f"'{self.name}' was not compiled to the end; there is no program")
        return self.program


def compile_stages(
    model: Model,
    chip: str | Path | Chip = "edge",
    options: Options | None = None,
    *,
    stop_after: str | None = None,
    progress: Progress = lambda _: None,
    observe: Callable[[Compiled], None] = lambda _: None,
) -> Compiled:
    """Compile a model and keep what every stage made.

    `progress` is told each stage's name as it starts, `observe` shown what there is as it ends.
    """
    options = options or Options()
    if stop_after is not None and stop_after not in STAGES:
        raise InputError(f"stage '{stop_after}' is unknown; the stages are {', '.join(STAGES)}")
    recipe = _recipe(model, load_chip(chip), options, progress)
    wanted = len(STAGES) if stop_after is None else STAGES.index(stop_after) + 1
    for done in itertools.islice(recipe, wanted):
        observe(done)
    return done


def _recipe(model: Model, chip: Chip, options: Options, progress: Progress) -> Iterator[Compiled]:
    """Yield the compilation after each stage."""
    progress("import")
    imported = _imported(model, options)
    yield (done := Compiled(_name(model, options, imported), chip, model, options, imported))

    progress("passes")
    yield (done := replace(done, graph=(graph := simplify(imported))))

    progress("quantize")
    yield (done := replace(done, quantized=_quantized(graph, chip, options, progress)))

    yield from _target(done, progress)


def _imported(model: Model, options: Options) -> Graph:
    """Return the model as a graph; the model itself, as large as the weights, goes when this function does."""
    source, parameters = _parts(model, options)
    return import_onnx(
        source, dims=options.dims, allow_host=options.allow_host, precision=options.precision, parameters=parameters
    )


def _parts(model: Model, options: Options) -> tuple[Path | onnx.ModelProto, Mapping[str, Array] | None]:
    """Return the model and, of a zoo network, the parameters beside it."""
    if _in_zoo(model):
        return models.parts(str(model), tiny=options.tiny, batch=options.batch, seed=options.seed)
    return resolve(model, options), None


def _in_zoo(model: Model) -> bool:
    """Return whether a model is a network of the zoo; a file of that name goes before it."""
    return not isinstance(model, onnx.ModelProto) and not Path(model).is_file() and str(model) in models.catalog()


def _quantized(graph: Graph, chip: Chip, options: Options, progress: Progress) -> Graph:
    """Return the graph quantized to the chip's operands; a chip of 16 bits takes int16 whatever the options ask."""
    wide = chip.array.operand_bits == 16
    if wide and (narrow := sorted({t.dtype for t in graph.tensors.values() if t.dtype in BYTES})):
        raise ModelError(
            f"model '{graph.name}' is quantized to {' and '.join(narrow)}, but chip '{chip.name}' multiplies 16-bit "
            "operands; the float model, which is quantized to int16 for it, would work"
        )
    return quantize(
        graph,
        options.samples,
        seed=options.seed,
        activations=WIDE if wide else options.activations,
        calibration=options.calibration,
        progress=progress,
    )


def retarget(
    compiled: Compiled, chip: Chip, *, dataflow: str, objective: str, progress: Progress = lambda _: None
) -> Compiled:
    """Return a quantized model scheduled and lowered for another chip or dataflow, its front half compiled once.

    For a chip of other operands it is quantized again.
    """
    options = replace(compiled.options, dataflow=dataflow, objective=objective)
    moved = replace(compiled, chip=chip, options=options)
    if compiled.graph is not None and chip.array.operand_bits != compiled.chip.array.operand_bits:
        moved = replace(moved, quantized=_quantized(compiled.graph, chip, options, progress))
    return list(_target(moved, progress))[-1]


def _target(done: Compiled, progress: Progress) -> Iterator[Compiled]:
    """Yield the compilation after each stage that depends on the chip."""
    if done.quantized is None:
        raise InputError(f"'{done.name}' was not compiled as far as 'quantize'; there is nothing to schedule")
    chip, options = done.chip, done.options
    progress("schedule")
    by_hand = options.mapping
    plan = schedule(
        done.quantized,
        chip,
        objective=options.objective,
        dataflow=options.dataflow,
        residency=options.residency,
        mapping=by_hand.by_hand(done.quantized, chip) if isinstance(by_hand, Foreign) else by_hand,
    )
    yield (done := replace(done, schedule=plan))

    progress("lower")
    yield replace(done, program=_annotate(lower(plan, chip), done, options))


def resolve(model: Model, options: Options) -> Path | onnx.ModelProto:
    """Return a model given by path or value as it is, and build one given by its zoo name."""
    if isinstance(model, onnx.ModelProto):
        return model
    path, name = Path(model), str(model)
    if _in_zoo(model):
        return models.build(name, tiny=options.tiny, batch=options.batch, seed=options.seed)
    if path.is_file():
        return path
    if path.suffix or path.parent != Path():
        raise ModelError(f"'{model}' does not exist or is not a file")
    raise ModelError(not_in_zoo(name))


def not_in_zoo(name: str) -> str:
    """Return the message that a name is neither a file nor a network, with the nearest networks."""
    near = difflib.get_close_matches(name, models.catalog(), n=3)
    hint = f"did you mean {' or '.join(near)}?" if near else "`accelc models` lists the networks"
    return f"'{name}' is neither a file nor a network of the zoo; {hint}"


def _name(model: Model, options: Options, graph: Graph) -> str:
    if isinstance(model, onnx.ModelProto):
        return graph.name
    name = Path(model).stem if Path(model).is_file() else str(model)
    return f"{name} (tiny)" if options.tiny and not Path(model).is_file() else name


def _annotate(program: Program, compiled: Compiled, options: Options) -> Program:
    """Return the program under the model's name, with the chip's description so that it runs wherever it is loaded."""
    notes = {
        **program.notes,
        "chip": compiled.chip.model_dump(mode="json"),
        "dataflow": options.dataflow,
        "objective": options.objective,
        "spans": {name: list(span) for name, span in compiled.imported.spans.items()},
    }
    return replace(program, name=compiled.name, notes=notes)
