"""Rows that are made when somebody reads them: figures of hundreds of layers of which most runs show the totals."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any, TypeVar, overload

Row = TypeVar("Row")


class Later(Sequence[Row]):
    """An immutable sequence of `count` rows that are made, all at once, when the first of them is read.

    It equals any sequence of equal rows, and is copied and pickled as a tuple.
    """

    def __init__(self, count: int, make: Callable[[], tuple[Row, ...]]) -> None:
        self._count = count
        self._make: Callable[[], tuple[Row, ...]] = make

    @cached_property
    def _rows(self) -> tuple[Row, ...]:
        made = self._make()
        self._make = tuple  # what the rows were made of may go
        return made

    def __len__(self) -> int:
        """Return the number of rows, which makes none."""
        return self._count

    @overload
    def __getitem__(self, index: int) -> Row: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[Row, ...]: ...
    def __getitem__(self, index: int | slice) -> Row | tuple[Row, ...]:
        """Return one row, or a tuple of some."""
        return self._rows[index]

    def __eq__(self, other: object) -> bool:
        """Return whether the other sequence has equal rows."""
        return isinstance(other, Sequence) and self._rows == tuple(other)

    def __hash__(self) -> int:
        """Return the hash of the tuple of rows."""
        return hash(self._rows)

    def __repr__(self) -> str:
        """Return the text of the tuple of rows."""
        return repr(self._rows)

    def __reduce__(self) -> tuple[Any, ...]:
        """Return what makes the tuple of rows."""
        return tuple, (self._rows,)
