"""The tables that can be replayed, by name; each is imported when it is asked for."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib import import_module

from accelc.errors import InputError
from accelc.validate.row import Replay


@dataclass(frozen=True)
class Table:
    """A published table: a line about it, and the module whose `replay()` computes it."""

    title: str
    module: str


TABLES: dict[str, Table] = {
    "eyeriss": Table("Eyeriss v1: 18 layers of AlexNet and VGG-16, six measured metrics", "accelc.validate.eyeriss"),
    "tpu_v1": Table("TPU v1: cycles of six applications by cause", "accelc.validate.tpu_v1"),
    "nvdla": Table("NVDLA primer: ResNet-50 frames/s of seven configurations", "accelc.validate.nvdla"),
    "eyeriss_isca16": Table(
        "Row-stationary paper: energy by level, dataflows compared", "accelc.validate.eyeriss_isca16"
    ),
}


def names() -> tuple[str, ...]:
    """Return the tables' names."""
    return tuple(TABLES)


@cache
def replay(name: str) -> Replay:
    """Return a table replayed; raise InputError naming the known ones."""
    if name not in TABLES:
        raise InputError(f"no published table '{name}'; the known ones are {', '.join(TABLES)}")
    result = import_module(TABLES[name].module).replay()
    assert isinstance(result, Replay)
    return result
