"""Networks that label every pixel."""

from __future__ import annotations

from accelc.models.entry import Entry

ROWS: tuple[Entry, ...] = ()
