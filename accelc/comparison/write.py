"""The report's directory: written whole beside its place and moved into it."""

from __future__ import annotations

import json
import shutil
import tempfile
from pathlib import Path

from accelc.comparison.export import FORMAT, layers_csv, runs_csv, to_json
from accelc.comparison.model import Comparison
from accelc.errors import InputError
from accelc.files import check_writable

FILES = ("report.html", "report.json", "runs.csv", "layers.csv")


def check_place(directory: str | Path, force: bool = False) -> None:
    """Raise InputError if a report may not go there: something else lies there, or it cannot be written."""
    place = Path(directory)
    if not place.exists():
        check_writable(place)
        return
    if not place.is_dir():
        raise InputError(f"cannot write a report to '{place}': it is not a directory")
    if any(place.iterdir()) and not force and not _is_report(place):
        raise InputError(f"'{place}' holds files that are no report; choose another directory or give --force")
    check_writable(*(place / name for name in FILES))


def _is_report(place: Path) -> bool:
    try:
        held = json.loads((place / "report.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(held, dict) and held.get("format") == FORMAT


def write(comparison: Comparison, directory: str | Path, *, force: bool = False) -> Path:
    """Write the four files; those of an earlier report are replaced, no others are touched."""
    place = Path(directory)
    check_place(place, force)
    texts = (comparison.html(), json_text(comparison), runs_csv(comparison), layers_csv(comparison))
    try:
        with tempfile.TemporaryDirectory(prefix=f".{place.name}.", dir=place.resolve().parent) as made:
            _move(Path(made) / "report", place, dict(zip(FILES, texts, strict=True)))
    except OSError as error:
        raise InputError(f"cannot write '{place}': {error.strerror}") from None
    return place


def _move(made: Path, place: Path, texts: dict[str, str]) -> None:
    made.mkdir()
    for name, text in texts.items():
        (made / name).write_text(text, encoding="utf-8", newline="\n")
    if not place.exists():
        made.rename(place)
        return
    for name in texts:
        shutil.move(made / name, place / name)


def json_text(comparison: Comparison) -> str:
    """Return the comparison as JSON text."""
    return json.dumps(to_json(comparison), indent=1, allow_nan=False) + "\n"
