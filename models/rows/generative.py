"""Networks that make images or carry a style over."""

from __future__ import annotations

from accelc.models.entry import Entry

ROWS: tuple[Entry, ...] = ()
