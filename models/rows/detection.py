"""Networks that find, count and describe objects."""

from __future__ import annotations

from accelc.models.entry import Entry

ROWS: tuple[Entry, ...] = ()
