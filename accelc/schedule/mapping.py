"""Mappings by hand: a TOML file pins any part of a stage's mapping, and the search chooses the rest."""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Iterable
from collections.abc import Mapping as Table
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError

from accelc.errors import MappingError

Count = Annotated[int, Field(ge=1, strict=True)]
Flag = Annotated[bool, Field(strict=True)]

EXTENTS = ("rows", "cols", "channels", "depth", "kernel_rows", "images")


@dataclass(frozen=True)
class Pin:
    """What is pinned of one stage's mapping; None leaves it to the search.

    `rows` x `cols` x `channels` outputs are made at a time from `depth` input channels and `kernel_rows` rows of the
    kernel. `order` names what stays on chip while the other passes: a block of weights or a tile of the map. `slots`
    is 2 where the next tile is loaded while one computes, `sums` where its sums have room beside those of one that is
    drained. So many `images` of the batch make one tile, which weights on chip meet in turn. `split` says how cores
    share the stage. `hold` keeps the stage's result on chip for its whole life, from byte `at` of the buffer on;
    `hold_weights` weights that several stages share, or so many tiles of them. `abreast` lets its tiles and the next
    stage's take turns. `stripes` cuts the run of stages from this one `through` that of another layer into so many
    stripes. `cut` ends a stage behind the layer.
    """

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")

    dataflow: Literal["ws", "os", "is", "nlr", "rs"] | None = None
    rows: Count | None = None
    cols: Count | None = None
    channels: Count | None = None
    depth: Count | None = None
    kernel_rows: Count | None = None
    order: Literal["weights", "map"] | None = None
    slots: Annotated[int, Field(ge=1, le=2, strict=True)] | None = None
    sums: Annotated[int, Field(ge=1, le=2, strict=True)] | None = None
    images: Count | None = None
    split: Literal["none", "rows", "channels", "batch"] | None = None
    hold: Flag | None = None
    at: Annotated[int, Field(ge=0, strict=True)] | None = None
    hold_weights: Flag | Count | None = None
    abreast: Flag | None = None
    stripes: Count | None = None
    through: Annotated[str, Field(strict=True)] | None = None
    cut: Flag | None = None

    def given(self) -> dict[str, Any]:
        """Return the keys that are pinned, with their values."""
        return {f.name: value for f in fields(self) if (value := getattr(self, f.name)) is not None}

    def over(self, other: Pin) -> Pin:
        """Return the pin with what it leaves open taken from another."""
        given = self.given()
        return replace(other, **given) if given else other

    @property
    def tile(self) -> Pin:
        """Return only what the search within one stage depends on."""
        return replace(self, hold=None, at=None, hold_weights=None, abreast=None, stripes=None, through=None, cut=None)

    def allows(self, split: str, rows: int, channels: int) -> bool:
        """Return whether a stage may be shared out in a way that leaves each core so many rows and channels."""
        return self.split in (None, split) and (self.rows or 0) <= rows and (self.channels or 0) <= channels

    @property
    def cuts_extents(self) -> bool:
        """Return whether any extent of the tile is pinned."""
        return any(getattr(self, key) is not None for key in EXTENTS)


FREE = Pin()


@dataclass(frozen=True)
class Mapping:
    """The pins of a network by the name of a layer, those that hold for all others, and where they were read."""

    layers: Table[str, Pin] = field(default_factory=dict)
    defaults: Pin = FREE
    origin: str = "mapping"

    def __bool__(self) -> bool:
        return bool(self.layers) or self.defaults != FREE

    def error(self, layer: str, message: str) -> MappingError:
        """Return the error of a layer's table."""
        return MappingError(f"{self.origin}: layer '{layer}': {message}")


def shown(pin: Pin) -> str:
    """Return what is pinned as text, in the file's words."""
    return ", ".join(f"{key} = {toml_value(value)}" for key, value in pin.given().items())


def toml_value(value: object) -> str:
    """Return a value as TOML writes it."""
    return str(value).lower() if isinstance(value, bool) else f'"{value}"' if isinstance(value, str) else str(value)


def near(name: str, known: Iterable[str]) -> str:
    """Return a hint at the names that resemble one."""
    found = difflib.get_close_matches(name, list(known), n=3)
    return f"; did you mean {' or '.join(repr(each) for each in found)}?" if found else ""


def read_mapping(path: str | Path) -> Mapping:
    """Return the mapping in a TOML file; raise MappingError naming the layer, the key, the value and the rule."""
    try:
        return parse_mapping(Path(path).read_text(encoding="utf-8"), str(path))
    except (OSError, UnicodeDecodeError) as error:
        raise MappingError(f"{path}: cannot be read: {error}") from None


def parse_mapping(text: str, origin: str = "mapping") -> Mapping:
    """Return the mapping that TOML text describes; `origin` names it in messages."""
    try:
        found = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise MappingError(f"{origin}: not TOML: {error}") from None
    for key in found.keys() - {"defaults", "layers"}:
        raise MappingError(f"{origin}: unknown table '{key}'; [defaults] and [layers.NAME] would work")
    layers = found.get("layers", {})
    if not isinstance(layers, dict):
        raise MappingError(f"{origin}: layers: tables [layers.NAME] would work")
    pins = {name: _pin(table, f"{origin}: layer '{name}'") for name, table in layers.items()}
    defaults = _pin(found.get("defaults", {}), f"{origin}: defaults")
    for key in ("hold", "hold_weights", "abreast"):
        if getattr(defaults, key):
            asked = f"{key} = {toml_value(getattr(defaults, key))}"
            raise MappingError(f"{origin}: defaults: {asked} is said layer by layer; false may be a default")
    _check_stripes(pins, defaults, origin)
    return Mapping(pins, defaults, origin)


def _check_stripes(pins: Table[str, Pin], defaults: Pin, origin: str) -> None:
    """Raise MappingError for stripes that do not say through which layer they go."""
    for name, pin in pins.items():
        if (pin.stripes or 1) > 1 and pin.through is None:
            raise MappingError(f"{origin}: layer '{name}': stripes = {pin.stripes}: through = LAYER must say how far")
        if pin.stripes == 1 and pin.through is not None:
            raise MappingError(f"{origin}: layer '{name}': stripes = 1 is no run, through = '{pin.through}' one")
    if defaults.through is not None or (defaults.stripes or 1) > 1:
        raise MappingError(f"{origin}: defaults: runs in stripes are said layer by layer; stripes = 1 may be a default")


def _pin(table: object, where: str) -> Pin:
    try:
        return _READER.validate_python(table)
    except ValidationError as error:
        raise MappingError(f"{where}: {_explain(error)}") from None


_READER = TypeAdapter(Pin)
_RULES = {
    **dict.fromkeys(EXTENTS, "a whole number of at least 1"),
    **dict.fromkeys(("hold", "abreast", "cut"), "true or false"),
    "hold_weights": "true, false or a number of weight tiles of at least 1",
    "dataflow": '"ws", "os", "is", "nlr" or "rs"',
    "order": '"weights" or "map"',
    "slots": "1 or 2",
    "sums": "1 or 2",
    "split": '"none", "rows", "channels" or "batch"',
    "at": "a whole number of bytes from the start of act",
    "stripes": "a whole number of at least 1",
    "through": "the name of a layer",
}


def _explain(error: ValidationError) -> str:
    """Return the first thing wrong with a table."""
    first = error.errors()[0]
    key = str(first["loc"][0]) if first["loc"] else ""
    if not key:
        return f"{first['input']!r} is not a table of keys ({', '.join(_RULES)})"
    if key not in _RULES:
        return f"unknown key '{key}'{near(key, _RULES)}"
    return f"{key} = {toml_value(first['input'])}: {_RULES[key]} would work"
