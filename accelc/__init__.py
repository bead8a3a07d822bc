"""accelc: compile ONNX models to an NPU instruction stream and simulate it bit by bit and cycle by cycle.

>>> program = accelc.compile("model.onnx", chip="edge")      # a path, an onnx.ModelProto or a zoo name
>>> run = program.run({"input": array})
>>> run.outputs["name"], run.cycles, run.seconds, run.energy_j
>>> print(run.report())
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from accelc.api import Program, compile  # noqa: A004 - the public name
    from accelc.chip import Chip, load_chip
    from accelc.comparison.collect import compare
    from accelc.comparison.model import Comparison
    from accelc.errors import AccelcError
    from accelc.loop import Steps, sampler
    from accelc.run import Run

__version__ = "0.1.0"

__all__ = ["AccelcError", "Chip", "Comparison", "Program", "Run", "Steps", "compare", "compile", "load_chip", "sampler"]

# Loaded on first use: importing accelc, or asking the command line for help, must not import onnx and numba.
_HOME = {
    "AccelcError": "accelc.errors",
    "Chip": "accelc.chip",
    "Comparison": "accelc.comparison.model",
    "Program": "accelc.api",
    "Run": "accelc.run",
    "Steps": "accelc.loop",
    "compare": "accelc.comparison.collect",
    "compile": "accelc.api",
    "load_chip": "accelc.chip",
    "sampler": "accelc.loop",
}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'accelc' has no attribute '{name}'")
    return getattr(import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
