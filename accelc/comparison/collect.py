"""From models, chips and dataflows to a Comparison: each model is quantized once, then run on every chip."""

from __future__ import annotations

import platform
import shlex
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from importlib import metadata
from itertools import product
from pathlib import Path
from typing import Any

import onnx

import accelc
from accelc.chip import Chip, load_chip
from accelc.comparison.energy import facts_of, figures_of
from accelc.comparison.matrix import Matrix, key_of, plan
from accelc.comparison.model import Comparison, Environment, LayerRow, NotRun, RunRow
from accelc.comparison.parallel import spread
from accelc.comparison.residency import residency_of
from accelc.comparison.winners import winners_of
from accelc.compiler import Compiled, Model, Options, compile_stages, retarget
from accelc.errors import InputError, ScheduleError, UnsupportedError
from accelc.report.result import LayerResult
from accelc.run import Run, run_compiled

PACKAGES = ("numpy", "numba", "llvmlite", "onnx", "onnxruntime")

Progress = Callable[[str], None]


def compare(
    models: Sequence[Model] | Model,
    chips: Sequence[str | Path | Chip] | str | Path | Chip = ("edge",),
    dataflows: Sequence[str] | str = "all",
    *,
    options: Options | None = None,
    check: bool = False,
    command: str | None = None,
    jobs: int = 1,
    progress: Progress = lambda _: None,
) -> Comparison:
    """Run models on chips under dataflows ("all", "best" or names) and return the figures side by side.

    Without `check` only time and energy are computed; with it, values too, and every integer is compared with the
    reference. With several `jobs`, models and chips are spread over as many processes. `progress` is told each step.
    """
    options = options or Options()
    targets = [load_chip(chip) for chip in _several(chips)]
    words = {chip.name: _chip_word(given) for chip, given in zip(targets, _several(chips), strict=True)}
    matrix = plan(targets, _several(dataflows))
    rows, failed = _run_all(_several(models), matrix, options, check, jobs, progress)
    rows = tuple(replace(row, command=_run_command(row, words[row.chip], options, check)) for row in rows)
    if not rows:
        raise InputError("nothing could be run: " + "; ".join(f"{f.model} on {f.chip}: {f.reason}" for f in failed))
    names = tuple(dict.fromkeys(row.model for row in rows))
    return Comparison(
        models=names,
        chips=tuple(facts_of(chip) for chip in targets),
        runs=rows,
        not_run=(*matrix.left_out, *failed),
        winners=tuple(winners_of(rows, targets)),
        figures=figures_of(targets),
        environment=_environment(command, _several(models), words.values(), _several(dataflows), options),
    )


def _several(value: Any) -> list[Any]:
    """Return the members of a list or tuple, or the value alone."""
    return list(value) if isinstance(value, list | tuple) else [value]


def _run_all(
    models: Sequence[Model], matrix: Matrix, options: Options, check: bool, jobs: int, progress: Progress
) -> tuple[tuple[RunRow, ...], tuple[NotRun, ...]]:
    rows: list[RunRow] = []
    failed: list[NotRun] = []
    for row in _each(models, matrix, options, check, jobs, progress):
        if isinstance(row, NotRun):
            failed.append(row)
        elif any(other.key == row.key for other in rows):
            raise InputError(f"two models are named '{row.model}'; each needs a name of its own")
        else:
            rows.append(row)
    return tuple(rows), tuple(failed)


def _each(
    models: Sequence[Model], matrix: Matrix, options: Options, check: bool, jobs: int, progress: Progress
) -> Iterator[RunRow | NotRun]:
    """Yield every run's row in the order of models, then cells, from this process or from several."""
    chips = [matrix.of(chip) for chip in matrix.chips]
    if jobs == 1 or len(models) * len(chips) == 1:
        for model in models:
            yield from _runs(model, matrix, options, check, progress)
        return
    # The chips with the least room take the most instructions, hence the longest: they start first.
    tasks = [(k, j) for j in sorted(range(len(chips)), key=lambda j: chips[j].room) for k in range(len(models))]
    named = [
        (f"{_model_word(models[k])} on {chips[j].chips[0].name}", (models[k], chips[j], options, check))
        for k, j in tasks
    ]
    found = dict(zip(tasks, spread(_task, named, jobs, progress), strict=True))
    for k, j in product(range(len(models)), range(len(chips))):
        yield from found[k, j]


def _task(model: Model, matrix: Matrix, options: Options, check: bool) -> list[RunRow | NotRun]:
    return list(_runs(model, matrix, options, check, lambda _: None))


def _runs(
    model: Model, matrix: Matrix, options: Options, check: bool, progress: Progress
) -> Iterator[RunRow | NotRun]:
    """Yield a row for each cell of the matrix, or why there is none."""
    name = model if isinstance(model, str) else "model"
    front = compile_stages(
        model, matrix.cells[0][0], options, stop_after="quantize", progress=lambda step: progress(f"{name}: {step}")
    )
    for chip, dataflow in matrix.cells:
        progress(f"{front.name} on {chip.name}, {dataflow}")
        try:
            compiled = retarget(front, chip, dataflow=dataflow, objective=options.objective)
        except (ScheduleError, UnsupportedError) as error:
            yield NotRun(front.name, chip.name, dataflow, str(error))
            continue
        oracle = "reference" if check else "none"
        run = run_compiled(compiled, values=check, check=oracle, seed=options.seed)
        yield _row(compiled, run, dataflow)


def _row(compiled: Compiled, run: Run, dataflow: str) -> RunRow:
    program, chip = run.program, run.chip
    assert compiled.schedule is not None
    return RunRow(
        key=key_of(compiled.name, chip, dataflow),
        model=compiled.name,
        chip=chip.name,
        dataflow=dataflow,
        source=_model_word(compiled.model),
        command="",
        result=run.result,
        layers=tuple(_layer(layer, run.result.clock_hz) for layer in run.result.layers),
        events=run.result.events,
        instructions=len(program.words),
        residency=residency_of(compiled.schedule, program),
    )


def _layer(layer: LayerResult, clock_hz: float) -> LayerRow:
    return LayerRow(layer, layer.cycles / clock_hz, layer.events, layer.energy_by_component)


def _run_command(row: RunRow, chip: str, options: Options, check: bool) -> str:
    words = ["accelc", "run", row.source, "--chip", chip, "--dataflow", row.dataflow]
    return shlex.join([*words, *_option_words(options), *([] if check else ["--timing-only"])])


def _chip_word(chip: str | Path | Chip) -> str:
    return chip.name if isinstance(chip, Chip) else str(chip)


def _model_word(model: Model) -> str:
    return model.graph.name if isinstance(model, onnx.ModelProto) else str(model)


def _option_words(options: Options) -> list[str]:
    """Return the options of the command line that differ from its defaults, and the seed."""
    words = ["--seed", str(options.seed)]
    defaults = Options()
    for name in ("objective", "batch", "activations", "calibration"):
        if getattr(options, name) != getattr(defaults, name):
            words += [f"--{name}", str(getattr(options, name))]
    for name, size in options.dims.items():
        words += ["--dim", f"{name}={size}"]
    flags = {"--tiny": options.tiny, "--allow-host": options.allow_host}
    return words + [flag for flag, given in flags.items() if given]


def _environment(
    command: str | None, models: Iterable[Model], chips: Iterable[str], dataflows: Iterable[str], options: Options
) -> Environment:
    words = ["accelc", "compare", *map(_model_word, models), "--chips", ",".join(chips)]
    words += ["--dataflows", ",".join(dataflows), *_option_words(options)]
    versions = {"accelc": accelc.__version__, "python": platform.python_version()}
    versions |= {name: metadata.version(name) for name in PACKAGES}
    versions["platform"] = f"{platform.system()} {platform.machine()}"
    return Environment(command or shlex.join(words), options.seed, options.objective, versions)
