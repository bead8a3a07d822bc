"""Rows that are made late: none before it is read, none twice, and readers cannot tell them from a tuple."""

from __future__ import annotations

import pickle

from accelc.report.later import Later


def test_rows_are_made_once_and_only_when_read() -> None:
    """Asking for the number of rows makes none; reading rows makes all of them, once."""
    made: list[int] = []

    def make() -> tuple[str, ...]:
        made.append(1)
        return ("a", "b", "c")

    rows = Later(3, make)
    assert len(rows) == 3
    assert not made
    assert [rows[0], *rows[1:], *rows] == ["a", "b", "c", "a", "b", "c"]
    assert len(made) == 1


def test_late_rows_are_equal_to_their_tuple_and_pickled_as_it() -> None:
    """Equality, hash, text and pickled form are those of the tuple of rows."""
    rows = Later(2, lambda: (1, 2))
    assert rows == (1, 2)
    assert rows == Later(2, lambda: (1, 2))
    assert rows != (1, 3)
    assert hash(rows) == hash((1, 2))
    assert repr(rows) == "(1, 2)"
    assert type(pickle.loads(pickle.dumps(rows))) is tuple
