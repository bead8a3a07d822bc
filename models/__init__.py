"""The model zoo: builders that write ONNX graphs of published architectures.

Importing this package lists the networks without loading ONNX; building one loads it.
"""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING, Any

from accelc.models.catalog import CATALOG
from accelc.models.entry import Entry

if TYPE_CHECKING:
    import onnx

__all__ = ["Entry", "build", "catalog", "describe", "outline"]


def catalog() -> dict[str, Entry]:
    """Return every network of the zoo by name, in the order of the zoo."""
    return dict(CATALOG)


def build(name: str, *, tiny: bool = False, batch: int = 1, seed: int = 0, **options: Any) -> onnx.ModelProto:
    """Return a network as a checked float32 NCHW model with random weights drawn from `seed`.

    `tiny` keeps operators and topology and reduces extents; `options` are the builder's own, as `auxiliary=True`.
    """
    return _model(name, seed, tiny, batch, options)


def outline(name: str, *, tiny: bool = False, batch: int = 1, **options: Any) -> onnx.ModelProto:
    """Return a network whose parameters are graph inputs without values: enough to check and to count, and fast."""
    return _model(name, None, tiny, batch, options)


def describe(name: str, tiny: bool = False) -> dict[str, str | int]:
    """Return name, family, params, macs (at batch 1) and source, counted from the graph itself."""
    from accelc.models.count import count

    entry, counts = _entry(name), count(outline(name, tiny=tiny))
    return {
        "name": name,
        "family": entry.family,
        "params": counts.params,
        "macs": counts.macs,
        "source": entry.source,
    }


def _model(name: str, seed: int | None, tiny: bool, batch: int, options: dict[str, Any]) -> onnx.ModelProto:
    entry = _entry(name)
    from accelc.models.builder import Net

    net = Net(name, seed=seed, tiny=tiny, batch=batch)
    entry.build(net, **options)
    return net.model()


def _entry(name: str) -> Entry:
    if name in CATALOG:
        return CATALOG[name]
    near = difflib.get_close_matches(name, CATALOG, n=3)
    hint = f"did you mean {' or '.join(near)}?" if near else f"the zoo has {', '.join(CATALOG)}"
    raise LookupError(f"'{name}' is no network of the zoo; {hint}")
