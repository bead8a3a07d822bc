"""A chip with some parameters changed, each named by its sections: `array.rows`, `buffers.act.bytes`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from accelc.chip.model import Chip, explain
from accelc.errors import ChipError


def override(chip: Chip, changes: Mapping[str, Any]) -> Chip:
    """Return the chip with other values under dotted keys; raise ChipError naming the key, or the value and rule."""
    values = chip.model_dump(mode="json")
    for key, value in changes.items():
        section, name = _section(chip, values, key)
        section[name] = value
    try:
        return Chip.model_validate(values)
    except ValidationError as error:
        raise ChipError(f"chip '{chip.name}' with {label(changes)}: {explain(error)}") from None


def check_key(chip: Chip, key: str) -> None:
    """Raise ChipError unless the chip has a parameter of that dotted key."""
    section, name = _section(chip, chip.model_dump(mode="json"), key)
    if isinstance(section[name], dict):
        inside = ", ".join(f"{key}.{part}" for part in sorted(section[name]))
        raise ChipError(f"chip '{chip.name}': '{key}' is a section; its parameters are {inside}")


def label(changes: Mapping[str, Any]) -> str:
    """Return changes as text, `array.rows=16 array.cols=16`."""
    return " ".join(f"{key}={value}" for key, value in changes.items())


def _section(chip: Chip, values: dict[str, Any], key: str) -> tuple[dict[str, Any], str]:
    """Return the section a dotted key lies in, and its name there."""
    *sections, name = key.split(".")
    found: Any = values
    for part in sections:
        found = found.get(part) if isinstance(found, dict) else None
    if not isinstance(found, dict) or name not in found:
        known = ", ".join(sorted(found)) if isinstance(found, dict) else ", ".join(sorted(values))
        raise ChipError(f"chip '{chip.name}' has no parameter '{key}'; there are {known}")
    return found, name
