"""Tensors kept from a run: in memory, the large ones in a temporary file that is mapped where they are read."""

from __future__ import annotations

import tempfile
import weakref
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import IO, Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

LARGE_BYTES = 1 << 26
_ALIGN = 64


@dataclass(frozen=True)
class _Place:
    offset: int
    dtype: np.dtype[Any]
    shape: tuple[int, ...]


class Kept(Mapping[str, Array]):
    """Arrays by name; those of LARGE_BYTES or more are written to a file that vanishes with this object."""

    def __init__(self) -> None:
        self._held: dict[str, Array | _Place] = {}
        self._file: IO[bytes] | None = None

    def add(self, name: str, value: Array) -> None:
        """Keep an array; raise OSError where the file system of temporary files is full."""
        self._held[name] = self._written(value) if value.nbytes >= LARGE_BYTES else value

    def _written(self, value: Array) -> _Place:
        if self._file is None:
            self._file = tempfile.TemporaryFile(prefix="accelc-")  # noqa: SIM115 - it lives as long as this object
            weakref.finalize(self, self._file.close)
        self._file.seek(0, 2)
        self._file.write(bytes(-self._file.tell() % _ALIGN))
        place = _Place(self._file.tell(), value.dtype, value.shape)
        value.tofile(self._file)
        return place

    def __getitem__(self, name: str) -> Array:
        held = self._held[name]
        if not isinstance(held, _Place):
            return held
        assert self._file is not None
        return np.memmap(self._file, held.dtype, "r", held.offset, held.shape)

    def __iter__(self) -> Iterator[str]:
        return iter(self._held)

    def __len__(self) -> int:
        return len(self._held)
