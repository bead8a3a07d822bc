"""Output files appear whole or not at all: each is written beside its place and renamed into it."""

from __future__ import annotations

import contextlib
import io
import os
import tempfile
import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from accelc.errors import InputError

Arrays = Mapping[str, npt.NDArray[Any]]


def atomic_write(path: str | Path, content: bytes | str) -> Path:
    """Write a file whole, replacing an old one only when done; raise InputError when the place is unwritable."""
    return write_pieces(path, [content])


def write_pieces(path: str | Path, pieces: Iterable[bytes | str]) -> Path:
    """Write a file as `atomic_write` does, piece by piece as they come: no more than one is in memory."""
    path = Path(path)
    data = (piece.encode() if isinstance(piece, str) else piece for piece in pieces)
    try:
        # A device or a pipe is written directly: renaming would put a file in its place.
        if path.exists() and not path.is_file():
            with path.open("wb") as file:
                file.writelines(data)
        else:
            _replace(path, data)
    except OSError as error:
        raise InputError(f"cannot write '{path}': {error.strerror}") from None
    return path


def _replace(path: Path, data: Iterable[bytes]) -> None:
    target = path.resolve()
    handle, name = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
    temporary = Path(name)
    try:
        with os.fdopen(handle, "wb") as file:
            file.writelines(data)
        # mkstemp makes a private file; the output gets the mode of the one it replaces, or of any new file.
        temporary.chmod(target.stat().st_mode & 0o777 if target.exists() else 0o666 & ~_umask())
        temporary.replace(target)
    except BaseException:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def check_writable(*paths: Path | None) -> None:
    """Raise InputError if an output's directory is missing or closed, before hours go into what would be written."""
    for path in paths:
        if path is None:
            continue
        if path.is_dir():
            raise InputError(f"cannot write '{path}': it is a directory")
        if not path.parent.is_dir():
            raise InputError(f"cannot write '{path}': the directory '{path.parent}' does not exist")
        if not os.access(path if path.exists() else path.parent, os.W_OK):
            raise InputError(f"cannot write '{path}': permission denied")


def write_arrays(path: str | Path, arrays: Arrays) -> Path:
    """Write arrays as an .npz file under their names; the same arrays always give the same bytes."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, array in arrays.items():
            # numpy.savez takes names as keywords, where "file" is taken, and stamps members with the clock.
            member = io.BytesIO()
            np.lib.format.write_array(member, np.asarray(array), allow_pickle=False)
            archive.writestr(zipfile.ZipInfo(f"{name}.npy"), member.getvalue())
    return atomic_write(path, buffer.getvalue())


def read_arrays(path: str | Path) -> dict[str, npt.NDArray[Any]]:
    """Return the arrays of an .npz file by name; raise InputError when it is not one."""
    try:
        with Path(path).open("rb") as file:
            stored = np.load(file, allow_pickle=False)
            if not isinstance(stored, np.lib.npyio.NpzFile):
                raise InputError(f"'{path}' holds one nameless array; an .npz file of named arrays is expected")
            return {name: stored[name] for name in stored.files}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise InputError(f"'{path}' cannot be read as an .npz file: {error}") from None
