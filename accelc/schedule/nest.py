"""A loop nest over one layer, as other tools write mappings, put into this mapping space; what it lacks is refused."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from math import prod

from accelc.chip import Chip
from accelc.errors import MappingError
from accelc.schedule.geometry import Geometry
from accelc.schedule.mapping import Pin
from accelc.schedule.pinned import cuts_depth

DIMS = {
    "N": "image",
    "K": "output channel",
    "C": "input channel",
    "Y": "output row",
    "X": "output column",
    "R": "kernel row",
    "S": "kernel column",
}
ORDERS = {"weights": "RCXYNK", "map": "RCKXYN"}  # innermost first
STAYS = {"ws": "XYN", "os": "CRS", "is": "K"}  # the loops that run innermost while an operand stays in the PEs
UNROLLED = {"ws": ("CRS", "K"), "os": ("XYN", "K"), "is": ("CRS", "XYN"), "nlr": ("CRS", "K")}  # over rows, columns


@dataclass(frozen=True)
class Loop:
    """A loop over a dimension by its letter in DIMS; `name` is the file's word for it."""

    dim: str
    size: int
    name: str

    def __str__(self) -> str:
        return f"{self.name} {self.size}"


@dataclass(frozen=True)
class Nest:
    """The loops of one layer: unrolled over the array, over what is on chip, and over tiles, innermost first each."""

    spatial: tuple[Loop, ...]
    inner: tuple[Loop, ...]
    outer: tuple[Loop, ...]

    def tile(self) -> dict[str, int]:
        """Return the extent of a tile in each dimension."""
        return {dim: product_of(dim, (*self.spatial, *self.inner)) for dim in DIMS}

    def split(self, at: int) -> Nest:
        """Return the nest with its `at` innermost loops on chip and the others over tiles."""
        loops = (*self.inner, *self.outer)
        return replace(self, inner=loops[:at], outer=loops[at:])


def product_of(dim: str, loops: Iterable[Loop]) -> int:
    """Return the product of the sizes of the loops over a dimension."""
    return prod(loop.size for loop in loops if loop.dim == dim)


def extents(g: Geometry) -> dict[str, int]:
    """Return how far each dimension of a layer goes."""
    images, rows = (g.out[0], 1) if g.folded else (g.batch, g.out[0])
    depth = g.group_in if cuts_depth(g) else 1
    kernel = g.conv[0].kernel, g.conv[1].kernel
    return {"N": images, "K": g.mid[2], "C": depth, "Y": rows, "X": g.out[1], "R": kernel[0], "S": kernel[1]}


def check_covers(nest: Nest, g: Geometry) -> None:
    """Raise MappingError unless the loops over each dimension make just its extent."""
    loops = (*nest.inner, *nest.outer)
    for dim, extent in extents(g).items():
        unrolled, times = min(product_of(dim, nest.spatial), extent), product_of(dim, loops)
        if -(-extent // unrolled) != times:
            mine = [loop for loop in (*nest.spatial, *loops) if loop.dim == dim]
            made = " x ".join(str(loop) for loop in mine) or "no loop"
            raise MappingError(f"over its {extent} {DIMS[dim]}s it has {made}; loops that make {extent} would work")


def pin_of(nest: Nest, g: Geometry, chip: Chip) -> Pin:
    """Return the pin that says what a nest says; raise MappingError naming what this mapping space lacks."""
    check_covers(nest, g)
    dataflow = _dataflow(nest, chip)
    if not g.depthwise:
        _check_spatial(nest, dataflow, chip)
    return replace(_extents(nest, g), dataflow=dataflow, order=_order(nest))  # type: ignore[arg-type]


def _extents(nest: Nest, g: Geometry) -> Pin:
    """Return the pin of the tile's extents."""
    most = extents(g)
    tile = {dim: min(size, most[dim]) for dim, size in nest.tile().items()}
    deep = cuts_depth(g)
    return Pin(
        rows=tile["N"] if g.folded else tile["Y"],
        cols=tile["X"],
        channels=tile["K"],
        depth=tile["C"] if deep else None,
        kernel_rows=tile["R"] if deep else None,
        images=tile["N"] if g.batch > 1 else None,
    )


def longest_inner(nest: Nest, g: Geometry, fits: Callable[[Pin], bool]) -> Nest:
    """Return the nest with as many of its innermost loops on chip as fit there, none if nothing fits."""
    check_covers(nest, g)
    count = len(nest.inner) + len(nest.outer)
    for at in range(count, 0, -1):
        found = nest.split(at)
        if fits(_extents(found, g)):
            return found
    return nest.split(0)


def _order(nest: Nest) -> str | None:
    """Return the loop order over tiles, None where both are the same."""
    loops = [loop for loop in nest.outer if loop.size > 1]
    dims = [loop.dim for k, loop in enumerate(loops) if not k or loop.dim != loops[k - 1].dim]
    legal = [order for order, sequence in ORDERS.items() if _follows(dims, sequence)]
    if not legal:
        given = " > ".join(str(loop) for loop in reversed(loops))
        words = {loop.dim: loop.name for loop in loops}
        orders = (" > ".join(words[d] for d in reversed(sequence) if d in words) for sequence in ORDERS.values())
        known = " or ".join(dict.fromkeys(orders))
        if "S" in dims:
            known = "none that cuts the kernel's columns"
        raise MappingError(f"its loops over tiles, outermost first, are {given}; the orders there are: {known}")
    return legal[0] if len(legal) == 1 else None


def _follows(dims: Sequence[str], sequence: str) -> bool:
    """Return whether dimensions stand in the order of a sequence, each once."""
    at = [sequence.find(dim) for dim in dims]
    return -1 not in at and all(a < b for a, b in pairwise(at))


def _dataflow(nest: Nest, chip: Chip) -> str | None:
    """Return the operand that the innermost loop leaves in the PEs, None on an array that has its own way."""
    loop = next((loop for loop in (*nest.inner, *nest.outer) if loop.size > 1), None)
    if loop is None or not set(chip.array.dataflows) & set(STAYS):
        return None
    found = next(name for name, dims in STAYS.items() if loop.dim in dims)
    if found not in chip.array.dataflows:
        offered = ", ".join(chip.array.dataflows)
        raise MappingError(
            f"its innermost loop, {loop}, makes it dataflow {found}; chip '{chip.name}' offers {offered}"
        )
    return found


def _check_spatial(nest: Nest, dataflow: str | None, chip: Chip) -> None:
    """Raise MappingError if what is unrolled is not what the array unrolls, or more than it has PEs for."""
    loops = [loop for loop in nest.spatial if loop.size > 1]
    sides = UNROLLED.get(dataflow or chip.array.dataflows[0])
    if sides is None:
        return
    for loop in loops:
        if loop.dim not in "".join(sides):
            rows, cols = (", ".join(f"{DIMS[d]}s" for d in side) for side in sides)
            raise MappingError(f"it unrolls {loop} over the array, which unrolls {rows} by {cols}")
    for side, size, what in zip(sides, (chip.array.rows, chip.array.cols), ("rows", "columns"), strict=True):
        mine = [loop for loop in loops if loop.dim in side]
        if prod(loop.size for loop in mine) > size:
            raise MappingError(f"it unrolls {' x '.join(map(str, mine))} over the array's {size} {what}")
