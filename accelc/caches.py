"""Folders for what may be made again: where they are, and what goes when they grow.

A folder is named after its kind and after what its files depend on, so that a new version begins a new one. Folders of
other versions go when they have not been used for long, single files when their folder has grown.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
import tempfile
import time
from functools import cache
from pathlib import Path

UNUSED_S = 14 * 24 * 3600.0  # after which a folder of another version goes
MOST_BYTES = 256 << 20  # of a folder's files; the oldest go first


def writable_folder(kind: str, key: str, last: Path) -> Path | None:
    """Return the folder `kind`-`key` for what may be made again, or None; `last` is tried after the user's own place.

    The environment's NUMBA_CACHE_DIR comes first, then the system's place for a user's caches.
    """
    for root in (*_cache_roots(), last):
        folder = root / "accelc" / f"{kind}-{key}"
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=folder):
                os.utime(folder)  # its time says when it was used last
        except OSError:
            continue
        _forget_unused(folder)
        return folder
    return None


@cache
def _forget_unused(folder: Path) -> None:
    """Remove the folders of the same kind, of other versions, that nothing has used for long."""
    kind = folder.name.rpartition("-")[0]
    for other in folder.parent.glob(f"{kind}-*"):
        with contextlib.suppress(OSError):
            if other != folder and time.time() - other.stat().st_mtime > UNUSED_S:
                shutil.rmtree(other)


@cache
def forget_oldest(folder: Path) -> None:
    """Remove a folder's oldest files as far as it holds more than MOST_BYTES; a process looks once."""
    with contextlib.suppress(OSError):
        files = [(path.stat(), path) for path in folder.iterdir() if path.is_file()]
        over = sum(facts.st_size for facts, _ in files) - MOST_BYTES
        for facts, path in sorted(files, key=lambda file: file[0].st_mtime):
            if over <= 0:
                break
            path.unlink()
            over -= facts.st_size


def _cache_roots() -> list[Path]:
    if chosen := os.environ.get("NUMBA_CACHE_DIR"):
        return [Path(chosen)]
    try:
        home = Path.home()
    except RuntimeError:
        return []
    if sys.platform == "darwin":
        return [home / "Library" / "Caches"]
    if sys.platform == "win32":
        return [Path(os.environ.get("LOCALAPPDATA") or home / "AppData" / "Local")]
    return [Path(os.environ.get("XDG_CACHE_HOME") or home / ".cache")]


