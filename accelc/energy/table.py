"""Energy tables: TOML files whose every value names its unit, node, bits, source and confidence; loaded and checked."""

from __future__ import annotations

import tomllib
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from accelc.errors import ChipError

DRAM_FILE = "dram.toml"


class _Part(BaseModel):
    """A section of a table: unknown keys are errors, values are fixed once read."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Entry(_Part):
    """One figure: `value` in `unit` per event.

    `confidence` is `published` (a source states it), `derived` (computed from published figures by a stated rule) or
    `assumed` (a stated guess).
    """

    value: Annotated[float, Field(ge=0, allow_inf_nan=False)]
    unit: Literal["pJ", "W"]
    per: Annotated[str, Field(min_length=1)]
    bits: Annotated[int, Field(ge=1)]
    node_nm: Annotated[float, Field(gt=0)] | None = None
    source: Annotated[str, Field(min_length=1)]
    confidence: Literal["published", "derived", "assumed"]


class SramEntry(Entry):
    """The energy of an access of `bits` bits to an SRAM of `capacity_bytes`."""

    capacity_bytes: Annotated[int, Field(ge=1)]


class DramEntry(_Part):
    """An external memory: per bit read, per bit written, per row activated."""

    read: Entry
    write: Entry
    activate: Entry


class Table(_Part):
    """The energies of one technology; `dram` adds to, or replaces, the external memories that come with accelc."""

    name: str
    description: str
    node_nm: Annotated[float, Field(gt=0)]
    voltage_v: Annotated[float, Field(gt=0)]
    mac: Entry
    register_bit: Entry
    register_file: list[SramEntry] = Field(default_factory=list)
    hop_bit: Entry
    vector_op: Entry
    instruction: Entry
    sram: Annotated[list[SramEntry], Field(min_length=1)]
    pe_leakage: Entry
    sram_leakage: Entry
    dram: dict[str, DramEntry] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _units(self) -> Table:
        for name, entry in _entries(self):
            unit = "W" if name.endswith("leakage") else "pJ"
            if entry.unit != unit:
                raise ValueError(f"{name}: unit '{entry.unit}' must be '{unit}'")
        for name, points in (("sram", self.sram), ("register_file", self.register_file)):
            sizes = [e.capacity_bytes for e in points]
            if sizes != sorted(set(sizes)):
                raise ValueError(f"{name}: the capacities {sizes} must grow")
        return self


def _entries(table: Table) -> list[tuple[str, Entry]]:
    """Return every figure of a table with its name."""
    single = ("mac", "register_bit", "hop_bit", "vector_op", "instruction", "pe_leakage", "sram_leakage")
    named: list[tuple[str, Entry]] = [(name, getattr(table, name)) for name in single]
    named += [("sram", entry) for entry in table.sram] + [("register_file", entry) for entry in table.register_file]
    for kind, dram in table.dram.items():
        named += [(f"dram.{kind}.{part}", getattr(dram, part)) for part in ("read", "write", "activate")]
    return named


def tables() -> tuple[str, ...]:
    """Return the names of the tables that come with accelc."""
    names = (f.name for f in resources.files("accelc.energy").iterdir())
    return tuple(sorted(n.removesuffix(".toml") for n in names if n.endswith(".toml") and n != DRAM_FILE))


@cache
def load_table(name: str) -> Table:
    """Return a table by shipped name or path to a TOML file; raise ChipError naming the value and the rule."""
    if name in tables():
        text = (resources.files("accelc.energy") / f"{name}.toml").read_text(encoding="utf-8")
    elif Path(name).is_file():
        text = Path(name).read_text(encoding="utf-8")
    else:
        raise ChipError(f"energy table '{name}' is neither a file nor a shipped table ({', '.join(tables())})")
    return parse_table(text, name)


def parse_table(text: str, origin: str) -> Table:
    """Return the table that TOML text describes, completed by the shipped external memories."""
    shipped = (resources.files("accelc.energy") / DRAM_FILE).read_text(encoding="utf-8")
    try:
        values = tomllib.loads(text)
        values["dram"] = {**tomllib.loads(shipped), **values.get("dram", {})}
        return Table.model_validate(values)
    except tomllib.TOMLDecodeError as error:
        raise ChipError(f"energy table '{origin}' is not TOML: {error}") from None
    except ValidationError as error:
        raise ChipError(f"energy table '{origin}': {_explain(error.errors()[0])}") from None


def _explain(first: Any) -> str:
    key = ".".join(str(part) for part in first["loc"]) or "table"
    if first["type"] == "extra_forbidden":
        return f"unknown key '{key}'"
    if first["type"] == "missing":
        return f"missing key '{key}'"
    message = first["msg"].removeprefix("Value error, ")
    return f"{key}: {message[0].lower()}{message[1:]}"
