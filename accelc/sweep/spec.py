"""What a sweep runs: models, chips, changes of chip parameters and options, from TOML to a list of points."""

from __future__ import annotations

import hashlib
import json
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields
from itertools import product
from pathlib import Path
from typing import Any, get_args

import accelc
from accelc.chip import Chip, load_chip
from accelc.chip.model import Dataflow
from accelc.chip.override import check_key, label
from accelc.compiler import not_in_zoo
from accelc.errors import ChipError, InputError
from accelc.models import catalog
from accelc.schedule.objective import OBJECTIVES

SECTIONS = ("models", "chips", "grid", "points", "options")
CHOICES: Mapping[str, type] = {
    "dataflow": str, "objective": str, "batch": int, "tiny": bool, "seed": int, "precision": str, "activations": str,
    "calibration": str, "residency": bool, "allow_host": bool,
}  # fmt: skip
"""The options of a compilation that a sweep may vary, and their types."""
WORDS: Mapping[str, tuple[str, ...]] = {
    "dataflow": ("auto", *get_args(Dataflow)), "objective": tuple(OBJECTIVES), "precision": ("int8", "float32"),
    "activations": ("uint8", "int8"), "calibration": ("minmax", "percentile", "entropy"),
}  # fmt: skip
LEAST: Mapping[str, int] = {"batch": 1, "seed": 0}


@dataclass(frozen=True)
class Point:
    """One run: a model, a chip with some parameters changed, and options by name."""

    model: str
    chip: str
    changes: Mapping[str, Any] = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict)

    @property
    def key(self) -> str:
        """Return 16 hex digits of all that the result depends on: the point, the files it names, our version."""
        told = [getattr(self, part.name) for part in fields(self)]
        held = [accelc.__version__, *told, _content(self.model), _content(self.chip)]
        return hashlib.sha256(json.dumps(held, sort_keys=True).encode()).hexdigest()[:16]

    def __str__(self) -> str:
        return " ".join(filter(None, [self.model, "on", self.chip, label(self.changes), label(self.options)]))


def _content(name: str) -> str:
    """Return a digest of the file of that name, "" if there is none."""
    path = Path(name)
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""


def read_spec(path: Path) -> list[Point]:
    """Return the points of a sweep's TOML file; raise InputError or ChipError naming what is wrong in it."""
    try:
        given = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"'{path}' cannot be read: {error}") from None
    except tomllib.TOMLDecodeError as error:
        raise InputError(f"'{path}' is not TOML: {error}") from None
    try:
        return _distinct(_points(given))
    except (InputError, ChipError) as error:
        raise type(error)(f"'{path}': {error}") from None


def _distinct(points: Iterator[Point]) -> list[Point]:
    return list({json.dumps([p.model, p.chip, p.changes, p.options], sort_keys=True): p for p in points}.values())


def _points(given: Mapping[str, Any]) -> Iterator[Point]:
    """Yield the points, all chips of a model and its options together, so that its front half is compiled once."""
    for key in given:
        if key not in SECTIONS:
            raise InputError(f"unknown key '{key}'; there are {', '.join(SECTIONS)}")
    models, chips = _names(given, "models", []), _names(given, "chips", ["edge"])
    for model in models:
        if not Path(model).is_file() and model not in catalog():
            raise InputError(not_in_zoo(model))
    changes = list(_changes(given, [load_chip(chip) for chip in chips]))
    for model, options in product(models, list(_options(given.get("options", {})))):
        for chip, change in product(chips, changes):
            yield Point(model, chip, change, options)


def _names(given: Mapping[str, Any], key: str, default: list[str]) -> list[str]:
    found = given.get(key, default)
    if not isinstance(found, list) or not found or not all(isinstance(name, str) for name in found):
        raise InputError(f"{key}={found!r} must be a list of names or paths, at least one")
    return found


def _changes(given: Mapping[str, Any], chips: list[Chip]) -> Iterator[dict[str, Any]]:
    """Yield the changes of parameters: every combination of the grid's values, with each of the points."""
    grid, points = _flat(given.get("grid", {}), "grid"), given.get("points", [{}])
    if not isinstance(points, list) or not points:
        raise InputError(f"points={points!r} must be tables, [[points]], at least one")
    for key, values in grid.items():
        if not isinstance(values, list) or not values:
            raise InputError(f"grid: {key}={values!r} must be a list of values, at least one")
    for point in (_flat(p, "points") for p in points):
        for key in (*point, *grid):
            for chip in chips:
                check_key(chip, key)
        for values in product(*grid.values()):
            yield point | dict(zip(grid, values, strict=True))


def _flat(table: Any, where: str, prefix: str = "") -> dict[str, Any]:
    """Return a table with the keys of its sections joined by dots."""
    if not isinstance(table, dict):
        raise InputError(f"{where}={table!r} must be a table of chip parameters")
    found: dict[str, Any] = {}
    for key, value in table.items():
        found |= _flat(value, where, f"{prefix}{key}.") if isinstance(value, dict) else {f"{prefix}{key}": value}
    return found


def _options(given: Any) -> Iterator[dict[str, Any]]:
    """Yield every combination of the options' values; one value alone may stand without its list."""
    if not isinstance(given, dict):
        raise InputError(f"options={given!r} must be a table")
    lists = {}
    for key, value in given.items():
        lists[key] = value if isinstance(value, list) else [value]
        if key not in CHOICES:
            raise InputError(f"options: unknown key '{key}'; there are {', '.join(CHOICES)}")
        if not lists[key] or not all(type(v) is CHOICES[key] for v in lists[key]):
            raise InputError(f"options: {key}={value!r} must be of type {CHOICES[key].__name__}, or a list of such")
        for each in lists[key]:
            _check_option(key, each)
    for values in product(*lists.values()):
        yield dict(zip(lists, values, strict=True))


def _check_option(key: str, value: Any) -> None:
    """Raise InputError for a value that no compilation takes."""
    if key in WORDS and value not in WORDS[key]:
        raise InputError(f"options: {key}={value!r} is unknown; known: {', '.join(WORDS[key])}")
    if key in LEAST and value < LEAST[key]:
        raise InputError(f"options: {key}={value} must be at least {LEAST[key]}")
