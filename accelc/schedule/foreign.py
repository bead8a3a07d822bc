"""Mappings of one layer in the files of ZigZag (YAML) and Timeloop (v0.3 and v0.4), read as pins of that layer."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

from accelc.chip import Chip
from accelc.errors import MappingError
from accelc.graph import Graph, Layer
from accelc.schedule.geometry import Geometry, geometry_of
from accelc.schedule.mapping import Mapping as ByHand
from accelc.schedule.mapping import Pin, near, read_mapping
from accelc.schedule.nest import Loop, Nest, extents, longest_inner, pin_of
from accelc.schedule.options import Tables
from accelc.schedule.pinned import broken
from accelc.schedule.search import table_bytes
from accelc.schedule.stages import MAC_OPS, cut_behind, prepare
from accelc.schedule.tiling import tilings

ZIGZAG = {"B": "N", "K": "K", "G": "K", "C": "C", "OY": "Y", "OX": "X", "FY": "R", "FX": "S"}
TIMELOOP = {"N": "N", "K": "K", "M": "K", "G": "K", "C": "C", "Q": "Y", "P": "X", "S": "R", "R": "S"}
OUTERMOST = ("dram", "mainmemory", "offchip", "backing")  # names of Timeloop's outermost level, letters only
FACTOR = re.compile(r"([A-Za-z]+)\s*=?\s*(\d+)")
REST = ("*", "all")

Entries = list[dict[str, Any]]


@dataclass(frozen=True)
class Foreign:
    """A mapping in another tool's file: its content, and the layer it is for if that was said."""

    origin: str
    content: Any
    layer: str | None = None

    def by_hand(self, graph: Graph, chip: Chip) -> ByHand:
        """Return the mapping as pins of a quantized graph's layer."""
        layer = _layer(graph, self.layer, self.origin)
        try:
            return ByHand({layer.name: self._pin(layer, graph, chip)}, origin=self.origin)
        except MappingError as error:
            raise MappingError(f"{self.origin}: layer '{layer.name}': {error}") from None

    def _pin(self, layer: Layer, graph: Graph, chip: Chip) -> Pin:
        machine, views, stages = prepare(graph)
        stage = next(stage for stage in stages if layer.name in [each.name for each in stage.layers])
        whole = geometry_of(machine, stage, views, chip)
        alone = whole.pool is not None or whole.whole_channels
        part = cut_behind(machine, stage, [0])[0] if alone else stage
        g = geometry_of(machine, part, views, chip)
        if g.grouped:
            raise MappingError("the groups of a grouped convolution are packed to fill the array, which no file says")
        pin = self._read(layer, g, chip, Tables(*table_bytes(machine, part)))
        return Pin(cut=True).over(pin) if alone else pin

    def _read(self, layer: Layer, g: Geometry, chip: Chip, tables: Tables) -> Pin:
        content = self.content
        if isinstance(content, dict) and "mapping" in content:
            return pin_of(timeloop_nest(content["mapping"], g), g, chip)
        if isinstance(content, list) and all(isinstance(entry, dict) for entry in content):
            nest = zigzag_nest(_entry(content, layer), g)
            return pin_of(longest_inner(nest, g, lambda pin: _fits(pin, g, chip, tables)), g, chip)
        raise MappingError("neither a list of ZigZag's mappings nor Timeloop's 'mapping:'")


def read_by_hand(text: str | Path) -> ByHand | Foreign:
    """Return the mapping in a file: F.toml, or another tool's F.yaml or LAYER=F.yaml."""
    layer, _, name = ("", "", str(text)) if Path(text).is_file() else str(text).rpartition("=")
    if Path(name).suffix in (".yaml", ".yml"):
        return Foreign(name, _yaml(name), layer or None)
    if layer:
        raise MappingError(f"{text}: LAYER= goes before another tool's .yaml file; a .toml file names its layers")
    return read_mapping(name)


def _yaml(path: str) -> Any:
    import yaml

    try:
        return yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise MappingError(f"{path}: cannot be read: {error}") from None
    except yaml.YAMLError as error:
        raise MappingError(f"{path}: not YAML: {' '.join(str(error).split())}") from None


def _layer(graph: Graph, name: str | None, origin: str) -> Layer:
    """Return the layer that a file is for: the one named, or the only one with multiply-accumulates."""
    found = {layer.name: layer for layer in graph.layers if layer.op in MAC_OPS}
    if name is None:
        if len(found) != 1:
            raise MappingError(
                f"{origin}: the network has {len(found)} layers it may be for; LAYER={origin} would work"
            )
        return next(iter(found.values()))
    if name not in found:
        raise MappingError(f"{origin}: layer '{name}' is no convolution or matrix product{near(name, found)}")
    return found[name]


def _fits(pin: Pin, g: Geometry, chip: Chip, tables: Tables) -> bool:
    """Return whether a tile of just these extents fits the chip."""
    legal = not any(broken(pin, g, chip))
    return legal and tilings(g, chip, tables.room, pin=pin) is not None


# --- ZigZag


def _entry(entries: Entries, layer: Layer) -> dict[str, Any]:
    """Return the entry for a layer: by its name, by its ONNX operator, or the default."""
    operators = {"conv": ("Conv",), "fc": ("Gemm", "MatMul")}[layer.op]
    by_name = {str(entry.get("name", entry.get("operator_type", ""))): entry for entry in entries}
    for name in (layer.name, *layer.source, *operators, "default"):
        if name in by_name:
            return by_name[name]
    raise MappingError(f"no entry of this name, of {' or '.join(operators)}, and none named 'default'")


def zigzag_nest(entry: Mapping[str, Any], g: Geometry) -> Nest:
    """Return the loops of one of ZigZag's mappings, all over tiles: where memories come between, it does not say."""
    if not entry.get("temporal_ordering"):
        raise MappingError("it has no temporal_ordering; without one it pins nothing that is free here")
    spatial = entry.get("spatial_mapping") or {}
    unrolled = tuple(_zigzag_loop(pair) for pairs in spatial.values() for pair in _pairs(pairs))
    loops = [_zigzag_loop(pair) for pair in entry["temporal_ordering"]]
    return Nest(unrolled, (), tuple(completed(loops, unrolled, extents(g))))


def _pairs(value: Any) -> list[Any]:
    """Return the pairs unrolled along one side of the array: a list of pairs, or one pair."""
    one = not isinstance(value, list) or (len(value) == 2 and isinstance(value[1], int))
    return [value] if one else value


def _zigzag_loop(pair: Any) -> Loop:
    """Return a loop written as [K, 32] or "K, 32"; size 0 stands for all that the other loops leave."""
    parts = pair.replace(",", " ").split() if isinstance(pair, str) else list(pair) if isinstance(pair, list) else []
    if len(parts) != 2:
        raise MappingError(f"{pair!r} is not a loop; [K, 32] would work")
    name, size = str(parts[0]), str(parts[1])
    if name not in ZIGZAG:
        raise MappingError(f"{pair!r}: dimension '{name}' is none of {', '.join(ZIGZAG)}")
    if size not in REST and not size.isdecimal():
        raise MappingError(f"{pair!r}: size '{size}' is neither a whole number nor '*'")
    return Loop(ZIGZAG[name], 0 if size in REST else int(size), name)


def completed(loops: Sequence[Loop], spatial: Sequence[Loop], most: Mapping[str, int]) -> Iterator[Loop]:
    """Yield the loops with what is left of their dimension in place of size 0."""
    for loop in loops:
        if loop.size:
            yield loop
            continue
        taken = prod(each.size for each in (*spatial, *loops) if each.dim == loop.dim and each.size)
        yield Loop(loop.dim, -(-most[loop.dim] // taken), loop.name)


# --- Timeloop


@dataclass(frozen=True)
class Level:
    """A memory of a Timeloop mapping: its loops, innermost first, and the tensors that pass it by."""

    name: str
    loops: tuple[Loop, ...]
    bypass: tuple[str, ...]


def timeloop_nest(directives: Any, g: Geometry) -> Nest:
    """Return the loops of a Timeloop mapping: those of its outermost level are over tiles."""
    directives = directives.get("nodes", directives) if isinstance(directives, dict) else directives
    if not isinstance(directives, list) or not all(isinstance(d, dict) and "target" in d for d in directives):
        raise MappingError("'mapping:' is not a list of directives, each with a target")
    spatial = tuple(loop for d in directives if d.get("type") == "spatial" for loop in _timeloop_loops(d))
    levels = _levels(directives)
    _check_bypass(levels[1:])
    inner = [loop for level in reversed(levels[1:]) for loop in level.loops]
    every = list(completed([*inner, *levels[0].loops], spatial, extents(g)))
    return Nest(spatial, tuple(every[: len(inner)]), tuple(every[len(inner) :]))


def _levels(directives: Entries) -> list[Level]:
    """Return the levels, outermost first."""
    temporal = [d for d in directives if d.get("type") == "temporal"]
    names = [str(d["target"]) for d in temporal]
    known = [any(word in re.sub("[^a-z]", "", name.lower()) for word in OUTERMOST) for name in names]
    if not temporal or known.count(True) != 1 or not (known[0] or known[-1]):
        listed = ", ".join(names) or "no temporal directive"
        raise MappingError(f"no outermost level in {listed}; DRAM or MainMemory as the first or last would work")
    ordered = temporal if known[0] else temporal[::-1]
    passed = {str(d["target"]): tuple(map(str, d.get("bypass") or ())) for d in directives if d.get("bypass")}
    return [Level(str(d["target"]), tuple(_timeloop_loops(d)), passed.get(str(d["target"]), ())) for d in ordered]


def _check_bypass(levels: Sequence[Level]) -> None:
    """Raise MappingError if a tensor passes by a level with loops: its tile is then cut otherwise than the others'."""
    for tensor in dict.fromkeys(name for level in levels for name in level.bypass):
        for level in levels:
            loops = [str(loop) for loop in level.loops if loop.size != 1]
            if tensor not in level.bypass:
                break
            if loops:
                raise MappingError(
                    f"{tensor} pass by '{level.name}', which loops over {', '.join(loops)}; here the extents of a tile "
                    "are the same for inputs, weights and outputs"
                )


def _timeloop_loops(directive: Mapping[str, Any]) -> list[Loop]:
    """Return the loops of a directive in the order of its permutation, innermost first."""
    target, factors = directive["target"], directive.get("factors") or []
    words = re.split(r"[\s]+", factors.strip()) if isinstance(factors, str) else [str(f) for f in factors]
    found = {}
    for word in words:
        match = FACTOR.fullmatch(word.rstrip(","))
        if match is None or match[1] not in TIMELOOP:
            raise MappingError(f"'{target}': factor '{word}' is not a dimension ({', '.join(TIMELOOP)}) and a number")
        found[match[1]] = int(match[2])
    listed = directive.get("permutation") or ""
    order = re.findall("[A-Za-z]", listed) if isinstance(listed, str) else [str(d) for d in listed]
    open_ = [name for name, size in found.items() if size != 1 and name not in order]
    if open_ and sum(size != 1 for size in found.values()) > 1 and directive.get("type") == "temporal":
        raise MappingError(f"'{target}': the permutation does not say where {', '.join(open_)} stands")
    return [Loop(TIMELOOP[name], found[name], name) for name in (*order, *open_) if name in found]
