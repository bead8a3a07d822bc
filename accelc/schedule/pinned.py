"""Pins as the stages of a network take them: which layer's pins a stage follows, and whether they are legal there."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace

from accelc.chip import Chip
from accelc.errors import MappingError
from accelc.graph import Graph
from accelc.schedule.geometry import GRANULE, Geometry, Held
from accelc.schedule.mapping import FREE, Mapping, Pin, near, toml_value
from accelc.schedule.split import NO_SPLIT, splits
from accelc.schedule.stages import Stage

SAYING_NO = ("hold", "hold_weights", "abreast", "cut")  # keys whose `false` is true of any layer


@dataclass(frozen=True)
class Pinned:
    """The pins of a mapping, asked for by stage."""

    mapping: Mapping = field(default_factory=Mapping)

    def named(self, stage: Stage) -> Pin:
        """Return what the file pins for the layers of a stage by name; raise MappingError where they contradict."""
        if not self.mapping.layers:
            return FREE
        merged, by = FREE, dict[str, str]()
        for layer in stage.layers:
            pin = replace(self.mapping.layers.get(layer.name, FREE), cut=None)
            for key, value in pin.given().items():
                if key in by and getattr(merged, key) != value:
                    raise self.mapping.error(
                        layer.name,
                        f"{key} = {toml_value(value)}: '{by[key]}' of the same stage has {key} = "
                        f"{toml_value(getattr(merged, key))}; cut = true for '{by[key]}' would run them apart",
                    )
                by[key] = layer.name
            merged = pin.over(merged)
        return merged

    def of(self, stage: Stage) -> Pin:
        """Return what is pinned for a stage, by name or by default."""
        return self.named(stage).over(self.mapping.defaults)

    def cuts(self, stage: Stage) -> list[int] | None:
        """Return the indices of the layers behind which a stage is cut, None if that is free.

        A stage of which one layer has `cut` is cut where that is true and nowhere else; one whose tile is pinned is
        not cut, since the tile's extents mean something in the whole stage only.
        """
        given = [self.mapping.layers.get(layer.name, FREE).over(self.mapping.defaults).cut for layer in stage.layers]
        if any(each is not None for each in given):
            return [k for k, each in enumerate(given[:-1]) if each]
        own = [self.mapping.layers.get(layer.name, FREE) for layer in stage.layers]
        return [] if any(pin.cuts_extents for pin in own) else None

    def tile(self, stage: Stage, g: Geometry, chip: Chip) -> Pin:
        """Return what is pinned of a stage's tile; raise MappingError naming the key, its value and the rule."""
        if not self.mapping:
            return FREE
        named = self.named(stage).tile
        for key, rule in broken(named, g, chip):
            layer = next(layer.name for layer in stage.layers if key in self._given(layer.name))
            raise self.mapping.error(layer, f"{key} = {toml_value(getattr(named, key))}: {rule}")
        return named.over(fitted(self.mapping.defaults.tile, g, chip))

    def _given(self, layer: str) -> dict[str, object]:
        return self.mapping.layers.get(layer, FREE).given()


def broken(pin: Pin, g: Geometry, chip: Chip) -> Iterator[tuple[str, str]]:
    """Yield each key of a pin that a stage of some geometry cannot follow, with the rule it breaks."""
    for key, most, what in (
        ("rows", g.out[0], "rows of the result"),
        ("cols", g.out[1], "columns of the result"),
        ("channels", g.mid[2], "output channels"),
        ("depth", g.group_in, "input channels of a group"),
        ("kernel_rows", g.conv[0].kernel, "rows of the kernel"),
        ("images", g.out[0] if g.folded else g.batch, "images in the batch"),
    ):
        if (getattr(pin, key) or 0) > most:
            yield key, f"there are {most} {what}"
    yield from _broken_channels(pin, g)
    yield from _broken_depth(pin, g)
    if pin.dataflow is not None and pin.dataflow not in chip.array.dataflows:
        yield "dataflow", f"chip '{chip.name}' offers {', '.join(chip.array.dataflows)}"
    if pin.split is not None and pin.split not in (ways := dict(splits(replace(g, held=Held()), chip))):
        yield "split", _no_split(ways, chip)
    if pin.slots == 1 and not g.one_output:
        yield "slots", "its steps need two slots of the output; 2 would work"
    if pin.sums is not None and not g.has_head:
        yield "sums", "the stage does no multiply-accumulates"
    if (pin.images or 1) > 1 and g.folded:
        yield "images", "its images are the rows of one map; rows would work"
    elif (pin.images or 1) > 1 and (g.depthwise or not g.has_head):
        yield "images", "only images of a convolution that is not depthwise meet in one tile"


def _no_split(ways: Iterable[str], chip: Chip) -> str:
    """Return why a stage cannot be shared out in some way."""
    if chip.cores == 1:
        return f"chip '{chip.name}' has one core"
    return f"{', '.join(map(toml_value, ways))} would work"


def _broken_channels(pin: Pin, g: Geometry) -> Iterator[tuple[str, str]]:
    if pin.channels is None:
        return
    if g.whole_channels and pin.channels != g.mid[2]:
        yield "channels", f"a step over all channels needs the {g.mid[2]} of them in one tile"
    if g.grouped and pin.channels > g.group_out and pin.channels % g.group_out:
        yield "channels", f"several groups at a time take a multiple of the {g.group_out} channels of a group"


def _broken_depth(pin: Pin, g: Geometry) -> Iterator[tuple[str, str]]:
    if not cuts_depth(g):
        for key in ("depth", "kernel_rows"):
            if getattr(pin, key) is not None:
                yield key, "only a convolution that is not depthwise, or a matrix product, has input channels to cut"
        if pin.dataflow is not None and not g.has_head:
            yield "dataflow", "the stage does no multiply-accumulates"
        return
    if pin.depth is not None and pin.depth % GRANULE and pin.depth != g.group_in:
        yield "depth", f"a multiple of {GRANULE}, or all {g.group_in}, would work"
    if pin.depth is not None and pin.depth < g.group_in and (pin.channels or 0) > g.group_out:
        yield "depth", f"several groups at a time take all {g.group_in} input channels of each"


def cuts_depth(g: Geometry) -> bool:
    """Return whether a stage's input channels and kernel may be cut."""
    return g.has_head and not g.depthwise


def fitted(pin: Pin, g: Geometry, chip: Chip) -> Pin:
    """Return a default as a stage can follow it: extents cut to those there are, what has no meaning left out."""
    if pin == FREE:
        return pin
    most = {"rows": g.out[0], "cols": g.out[1], "channels": g.mid[2], "depth": g.group_in}
    most |= {"kernel_rows": g.conv[0].kernel, "images": g.batch}
    pin = replace(pin, **{key: min(getattr(pin, key), most[key]) for key in most if getattr(pin, key) is not None})
    if g.grouped and pin.channels is not None and pin.channels > g.group_out:
        pin = replace(pin, channels=pin.channels // g.group_out * g.group_out)
    return replace(pin, **{key: None for key, _ in broken(pin, g, chip)})


def check_names(mapping: Mapping, graph: Graph, stages: Sequence[Stage]) -> None:
    """Raise MappingError for a pin whose layer does not exist or has no mapping."""
    known = {layer.name: layer for layer in graph.layers}
    kinds = {layer.name: stage.kind for stage in stages for layer in stage.layers}
    for name, pin in mapping.layers.items():
        if name not in known:
            within = next((layer.name for layer in graph.layers if name in layer.source), None)
            hint = near(name, known) if within is None else f"; that node became part of layer '{within}'"
            raise MappingError(f"{mapping.origin}: layer '{name}' is unknown{hint}")
        kind = kinds.get(name, "nothing")
        asked = [key for key, value in pin.given().items() if value or key not in SAYING_NO]
        if kind != "tile" and asked:
            raise mapping.error(name, f"{asked[0]}: {_KINDS[kind]} ({known[name].op}) has no mapping to pin")
        held = [key for key in ("hold", "hold_weights", "abreast") if getattr(pin, key)]
        if held and pin.split not in (None, NO_SPLIT):
            asked_for = f"{held[0]} = {toml_value(getattr(pin, held[0]))}"
            raise mapping.error(name, f"{asked_for}: what one core holds or does in turn is not shared out; "
                                      f"split = \"{pin.split}\" without it would work")


def check_residency(mapping: Mapping, residency: bool) -> None:
    """Raise MappingError if something is to be held while nothing may be."""
    for name, pin in mapping.layers.items():
        for key in ("hold", "hold_weights", "abreast", "through"):
            if getattr(pin, key) and not residency:
                asked = f"{key} = {toml_value(getattr(pin, key))}"
                raise mapping.error(name, f"{asked}: without residency (--no-residency) {_WITHOUT[key]}")


_WITHOUT = {
    "hold": "nothing is held",
    "hold_weights": "nothing is held",
    "abreast": "no stages run abreast",
    "through": "no stages run in stripes",
}
_KINDS = {
    "copy": "a layer that only moves bytes",
    "stream": "work on 32-bit numbers",
    "host": "work of the host",
    "nothing": "a layer that costs nothing, not even a copy",
}
