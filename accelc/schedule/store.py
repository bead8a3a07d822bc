"""Mappings found before, kept on disk between processes: one file for each chip and each state of the sources.

What a search gives follows from a geometry, the chip and the objective alone, so an entry never goes stale; a file that
cannot be read is forgotten. Two processes may write at once: each writes a whole file, and the last one stays.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Sequence
from functools import cache, lru_cache
from pathlib import Path

from accelc.caches import forget_oldest, writable_folder
from accelc.errors import InputError
from accelc.files import atomic_write

Row = Sequence[int | str | bool]

# Whose sources a mapping depends on.
PARTS = ("schedule/*.py", "isa/**/*.py", "chip/*.py", "energy/*", "graph.py", "arithmetic*.py")
MOST_BYTES = 64 << 20  # of one file; a larger one is begun anew


class Store:
    """The mappings found for one chip."""

    def __init__(self, fingerprint: str) -> None:
        self._path = path_of(fingerprint)
        self._found = _read(self._path)
        self._fresh = False

    def get(self, key: str) -> list[Row] | None:
        """Return the rows stored under a key, None if there are none."""
        return self._found.get(key)

    def put(self, key: str, rows: list[Row]) -> None:
        """Keep rows under a key."""
        self._found[key] = rows
        self._fresh = True

    def save(self) -> None:
        """Write what is new to disk, with what others wrote meanwhile."""
        if self._path is None or not self._fresh:
            return
        self._found = {**_read(self._path), **self._found}
        keep(self._path, json.dumps(self._found, separators=(",", ":")))
        self._fresh = False


def keep(path: Path, content: bytes | str) -> None:
    """Write what may be made again, as long as there is room for it."""
    with contextlib.suppress(InputError):
        atomic_write(path, content)
        forget_oldest(path.parent)


def _read(path: Path | None) -> dict[str, list[Row]]:
    try:
        if path is None or path.stat().st_size > MOST_BYTES:
            return {}
        found = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def path_of(name: str) -> Path | None:
    """Return the file that holds what is kept under a name, None if nothing may be written."""
    folder = writable_folder("mappings", _sources(), Path(__file__).parent / "__pycache__")
    return None if folder is None else folder / f"{name}.json"


@lru_cache(maxsize=8)
def store_of(fingerprint: str) -> Store:
    """Return the store of a chip."""
    return Store(fingerprint)


def key_of(*parts: object) -> str:
    """Return the key of what a search depends on; the parts' texts must tell all there is to them."""
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:32]


@cache
def _sources() -> str:
    digest = hashlib.sha256()
    for part in PARTS:
        for path in sorted(each for each in Path(__file__).parents[1].glob(part) if each.is_file()):
            digest.update(path.read_bytes())
    return digest.hexdigest()[:16]
