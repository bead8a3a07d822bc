"""Maps that may stay on chip: which regions qualify, and how each would lie in the activation buffer.

A region qualifies if every stage that touches it works on tiles, and it is neither an input nor an output of the
network. On chip it lies as in DRAM, except that a map which a convolution pads has its padding around it (the halo).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from accelc.graph import ELEMENTWISE, Graph
from accelc.schedule.allocate import Life
from accelc.schedule.geometry import Geometry, Window
from accelc.schedule.stages import Stage
from accelc.schedule.tiling import SLACK
from accelc.schedule.views import View, round_up

FIELD = 1 << 16  # a pixel's step must fit the instructions' 16-bit fields
MOST_HALO = 255  # cells; more padding than that is not worth its place on chip

Halo = tuple[int, int, int, int]
"""Cells of padding above, left of, below and right of a map."""
NO_HALO: Halo = (0, 0, 0, 0)


@dataclass(frozen=True)
class Frame:
    """How a region lies on chip: its owner's view, the halo around each image, and the stored byte of the padding."""

    owner: View
    halo: Halo
    zero: int
    bytes: int

    @property
    def row(self) -> int:
        """Return the bytes from row to row."""
        return (self.owner.extents[2] + self.halo[1] + self.halo[3]) * self.owner.pitch

    @property
    def image(self) -> int:
        """Return the bytes from image to image."""
        return (self.owner.extents[1] + self.halo[0] + self.halo[2]) * self.row

    def view(self, view: View) -> View:
        """Return a view of the region as it lies on chip; its offset counts from the frame's first byte."""
        if self.halo == NO_HALO:
            return view
        offset = self.halo[0] * self.row + self.halo[1] * self.owner.pitch + view.offset
        return replace(view, offset=offset, strides=(self.image, self.row, self.owner.pitch))


@dataclass(frozen=True)
class Use:
    """A stage's use of a region through one tensor; `role` is "source", "other" or "out"."""

    stage: int
    name: str
    role: str


def other_names(stage: Stage) -> list[str]:
    """Return the second operand of each elementwise step of a stage, in order."""
    found, at = [], stage.source if stage.head is None else stage.head.outputs[0]
    for step in stage.steps:
        if step.op in ELEMENTWISE:
            found.append(step.inputs[1 - step.inputs.index(at)])
        at = step.outputs[0]
    return found


def uses_of(stages: Sequence[Stage], views: Mapping[str, View]) -> dict[str, list[Use]]:
    """Return the uses of each region by tile stages."""
    found: dict[str, list[Use]] = {}
    for k, stage in enumerate(stages):
        if stage.kind != "tile":
            continue
        roles = [(stage.source, "source"), *((n, "other") for n in other_names(stage)), (stage.output, "out")]
        for name, role in roles:
            if name in views:
                found.setdefault(views[name].region, []).append(Use(k, name, role))
    return found


def frames_of(
    graph: Graph,
    views: Mapping[str, View],
    stages: Sequence[Stage],
    geometries: Sequence[Geometry | None],
    lives: Sequence[Life],
) -> dict[str, Frame | str]:
    """Return the frame of every region, or why it does not qualify."""
    uses, barred = uses_of(stages, views), _barred(graph, views, stages)
    found: dict[str, Frame | str] = {}
    for life in lives:
        if life.name in barred:
            found[life.name] = barred[life.name]
        elif life.name in uses and life.name in views:
            found[life.name] = _frame(graph, views, life, uses[life.name], geometries)
        else:
            found[life.name] = "no stage works on tiles of it"
    return found


def _barred(graph: Graph, views: Mapping[str, View], stages: Sequence[Stage]) -> dict[str, str]:
    """Return for the regions that others than tile stages touch who it is."""
    found: dict[str, str] = {}
    for stage in stages:
        if stage.kind != "tile":
            layer = stage.layers[0]
            reason = f"{_KINDS[stage.kind]}, layer '{layer.name}' ({layer.op}), touches it in DRAM"
            found |= {views[n].region: reason for n in _touched(stage) if n in views}
    for kind, names in (("an input", graph.inputs), ("an output", graph.outputs)):
        found |= {views[n].region: f"it is {kind} of the network" for n in names if n in views}
    return found


_KINDS = {"copy": "a copy", "stream": "work on 32-bit numbers", "host": "work of the host"}


def _touched(stage: Stage) -> list[str]:
    return [name for layer in stage.layers for name in (*layer.inputs, *layer.outputs)]


def _frame(
    graph: Graph, views: Mapping[str, View], life: Life, uses: Sequence[Use], geometries: Sequence[Geometry | None]
) -> Frame | str:
    """Return how a region would lie on chip, or why it does not qualify."""
    owner, halo, flattened = views[life.name], NO_HALO, False
    for use in uses:
        view, g = views[use.name], geometries[use.stage]
        assert g is not None
        if view.plain or view.element_bytes != g.element_bytes or (use.role == "out" and g.raw_output):
            return "it holds 32-bit numbers"
        if use.role == "source" and g.has_head:
            halo = _widest(halo, _padding(g))
            flattened |= g.flattened
            if g.conv[1].stride * (g.source[2] if g.flattened else view.pitch) >= FIELD:
                return f"the step from one of its pixels to the next that is read exceeds {FIELD - 1} bytes"
    if halo == NO_HALO:
        return Frame(owner, halo, 0, round_up(life.bytes + SLACK, SLACK))
    whole = all(same_map(views[use.name], owner) for use in uses)
    if flattened or not whole:
        return "one stage pads it, another reads it as a vector or touches a part of it"
    if max(halo) > MOST_HALO:
        return f"its padding of {max(halo)} cells exceeds {MOST_HALO}"
    frame = Frame(owner, halo, _zero(graph, uses), 0)
    return replace(frame, bytes=round_up(owner.extents[0] * frame.image + SLACK, SLACK))


def _zero(graph: Graph, uses: Sequence[Use]) -> int:
    tensor = graph.tensors[uses[0].name]
    assert tensor.quant is not None
    return int(tensor.quant.zero_point) + (128 if tensor.dtype == "int8" else 0)


def same_map(view: View, owner: View) -> bool:
    """Return whether a view differs from the region's owner in its channels alone."""
    return view.extents[:3] == owner.extents[:3] and view.strides == owner.strides and view.offset < owner.pitch


def _padding(g: Geometry) -> Halo:
    """Return the padding that a head reads around its source."""
    below, right = (_after(w, out, extent) for w, out, extent in zip(g.conv, g.mid[:2], g.source[:2], strict=True))
    return g.conv[0].before, g.conv[1].before, below, right


def _after(window: Window, count: int, extent: int) -> int:
    return max(0, (count - 1) * window.stride - window.before + window.reach - extent)


def _widest(a: Halo, b: Halo) -> Halo:
    return max(a[0], b[0]), max(a[1], b[1]), max(a[2], b[2]), max(a[3], b[3])
