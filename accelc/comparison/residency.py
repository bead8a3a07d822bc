"""Which activations go to DRAM and which never leave the chip, from the schedule that a program follows."""

from __future__ import annotations

from collections.abc import Iterator

from accelc.comparison.model import Residency, TensorPlace
from accelc.graph import Tensor
from accelc.program import Program
from accelc.schedule import Schedule

ELEMENT_BYTES = {"int32": 4}


def residency_of(schedule: Schedule, program: Program) -> Residency:
    """Return the residency of a program's activations, in the order they are made."""
    return Residency(
        constant_bytes=int(program.constants.size),
        activation_bytes=schedule.placement.bytes,
        peak_live_bytes=schedule.placement.peak_live_bytes,
        tensors=tuple(_places(schedule)),
    )


def _places(schedule: Schedule) -> Iterator[TensorPlace]:
    graph = schedule.graph
    producers = {name: layer.name for layer in graph.layers for name in layer.outputs}
    readers = {name: layer.name for layer in graph.layers for name in layer.inputs}
    fused = {name for plan in schedule.plans for layer in plan.stage.layers[:-1] for name in layer.outputs}
    banded = {name for plan in schedule.plans if plan.part is not None for name in plan.part.bands}
    for name in (*graph.inputs, *producers):
        first = producers.get(name, "the host")
        last = "the host" if name in graph.outputs else readers.get(name, first)
        place = "chip" if name in fused else _place(schedule, name, banded)
        yield TensorPlace(name, place, _bytes(graph.tensors[name]), first, last)


def _place(schedule: Schedule, name: str, banded: set[str]) -> str:
    """Return the place of a tensor that a stage makes."""
    view = schedule.views.get(name)
    if view is not None and view.region != name:
        return "view"
    if not schedule.residency.held(name):
        return "dram"
    return "bands" if name in banded else "held"


def _bytes(tensor: Tensor) -> int:
    return tensor.elements * ELEMENT_BYTES.get(tensor.dtype, 1)
