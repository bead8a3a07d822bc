"""A small compiled function, for tests of the cache."""

from __future__ import annotations

from typing import Any

from accelc.sim.jit import entry


@entry
def twice(values: Any) -> Any:
    """Return the values doubled."""
    return values * 2
