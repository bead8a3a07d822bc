"""Networks that read or write sequences."""

from __future__ import annotations

from accelc.models.entry import Entry

ROWS: tuple[Entry, ...] = ()
