"""Which combinations of chip and dataflow run, and which are left out and why."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import get_args

from accelc.chip import Chip
from accelc.chip.model import Dataflow
from accelc.comparison.model import BEST, NotRun
from accelc.errors import InputError

ALL = "all"
SYNONYMS = {"best": BEST}


@dataclass(frozen=True, eq=False)
class Matrix:
    """The chip and dataflow of every run of each model, and what is left out."""

    cells: tuple[tuple[Chip, str], ...]
    left_out: tuple[NotRun, ...]

    @property
    def chips(self) -> tuple[Chip, ...]:
        """Return the chips, each once."""
        return tuple({chip.name: chip for chip, _ in self.cells}.values())

    @property
    def room(self) -> int:
        """Return the bytes of accumulators of the chip with the fewest: a measure of how small tiles are."""
        return min(chip.buffers.acc.bytes for chip in self.chips)

    def of(self, chip: Chip) -> Matrix:
        """Return the part of one chip, without what is left out."""
        return Matrix(tuple(cell for cell in self.cells if cell[0].name == chip.name), ())


def plan(chips: Sequence[Chip], dataflows: Sequence[str]) -> Matrix:
    """Return the matrix; raise InputError for an unknown dataflow, or one that none of the chips offers.

    "all" means for each chip what it offers, and leaves nothing out.
    """
    if doubles := {chip.name for chip in chips if sum(chip.name == other.name for other in chips) > 1}:
        raise InputError(f"two chips are named '{min(doubles)}'; each chip of a comparison needs a name of its own")
    wanted = tuple(dict.fromkeys(SYNONYMS.get(name, name) for name in dataflows))
    everything = ALL in wanted
    _check_known(chips, [name for name in wanted if name != ALL])
    if everything:
        wanted = (*dict.fromkeys(name for chip in chips for name in chip.array.dataflows), BEST)
    cells, left_out = [], []
    for chip in chips:
        for name in wanted:
            reason = _refusal(chip, name, everything)
            if reason is None:
                cells.append((chip, name))
            elif not everything:
                left_out.append(NotRun("every model", chip.name, name, reason))
    return Matrix(tuple(cells), tuple(left_out))


def _check_known(chips: Sequence[Chip], names: Sequence[str]) -> None:
    for name in names:
        if name == BEST or any(name in chip.array.dataflows for chip in chips):
            continue
        if name not in get_args(Dataflow):
            raise InputError(f"dataflow '{name}' is unknown; known: {', '.join([*get_args(Dataflow), 'best', ALL])}")
        offers = "; ".join(f"{chip.name} offers {', '.join(chip.array.dataflows)}" for chip in chips)
        raise InputError(f"dataflow '{name}' is offered by none of the chips: {offers}")


def _refusal(chip: Chip, dataflow: str, everything: bool) -> str | None:
    """Return why a chip does not run a dataflow, or None if it does."""
    offered = ", ".join(chip.array.dataflows)
    if dataflow == BEST:
        one = everything and len(chip.array.dataflows) == 1
        return f"the chip offers only {offered}, so there is nothing to choose layer by layer" if one else None
    return None if dataflow in chip.array.dataflows else f"the chip does not offer it (it offers {offered})"


def key_of(model: str, chip: Chip, dataflow: str) -> str:
    """Return the name of a run in a comparison."""
    return f"{model}/{chip.name}/{dataflow}"


def cells_of(models: Sequence[str], matrix: Matrix) -> Iterator[tuple[str, Chip, str]]:
    """Yield (model, chip, dataflow) of every run in order."""
    for model in models:
        for chip, dataflow in matrix.cells:
            yield model, chip, dataflow
