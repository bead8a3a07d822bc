"""The model zoo: builders that write ONNX graphs of published architectures.

Importing this package lists the networks without loading ONNX; building one loads it.
"""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING, Any

from accelc.models.catalog import CATALOG
from accelc.models.entry import Entry

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import onnx

    from accelc.models.builder import Net

__all__ = ["Entry", "build", "catalog", "describe", "outline", "parts"]


def catalog() -> dict[str, Entry]:
    """Return every network of the zoo by name, in the order of the zoo."""
    return dict(CATALOG)


def build(name: str, *, tiny: bool = False, batch: int = 1, seed: int = 0, **options: Any) -> onnx.ModelProto:
    """Return a network as a checked float32 NCHW model with random weights drawn from `seed`.

    `tiny` keeps operators and topology and reduces extents; `options` are the builder's own, as `auxiliary=True`.
    """
    return _net(name, seed, tiny, batch, options).model()


def outline(name: str, *, tiny: bool = False, batch: int = 1, **options: Any) -> onnx.ModelProto:
    """Return a network whose parameters are graph inputs without values: enough to check and to count, and fast."""
    return _net(name, None, tiny, batch, options).model()


def parts(
    name: str, *, tiny: bool = False, batch: int = 1, seed: int = 0, **options: Any
) -> tuple[onnx.ModelProto, dict[str, npt.NDArray[np.float32]]]:
    """Return a network's `outline` and, by name, the parameters' values, the ones `build` puts into the model.

    Beside the model hundreds of megabytes are drawn where they are used; in it each reader would copy them.
    """
    net = _net(name, None, tiny, batch, options)
    return net.model(), dict(net.values(seed))


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


def _net(name: str, seed: int | None, tiny: bool, batch: int, options: dict[str, Any]) -> Net:
    entry = _entry(name)
    from accelc.models.builder import Net

    net = Net(name, seed=seed, tiny=tiny, batch=batch)
    entry.build(net, **options)
    return net


def _entry(name: str) -> Entry:
    if name in CATALOG:
        return CATALOG[name]
    near = difflib.get_close_matches(name, CATALOG, n=3)
    hint = f"did you mean {' or '.join(near)}?" if near else f"the zoo has {', '.join(CATALOG)}"
    raise LookupError(f"'{name}' is no network of the zoo; {hint}")
