"""What a schedule is expected to take, stage by stage, before there is an instruction: its work replayed tile by tile.

The search ranks mappings by `cost`, which knows one stage at a time. This is evaluated once, on the schedule that was
chosen; docs/prediction.md holds it against execution.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from accelc.schedule.replay import CAUSES, Replay, charge
from accelc.schedule.unroll import unroll

if TYPE_CHECKING:
    from accelc.schedule import Schedule


@dataclass(frozen=True)
class Prediction:
    """The cycles of a stage by cause (`replay.CAUSES`): those in which the network waits for it or it keeps the array.

    Those of host work are called "host".
    """

    causes: Mapping[str, int] = field(default_factory=dict)

    @property
    def cycles(self) -> int:
        """Return the sum over the causes."""
        return sum(self.causes.values())


def predict(plan: Schedule) -> tuple[Prediction, ...]:
    """Return the prediction of each stage of a schedule, in the order of its plans."""
    work = unroll(plan)
    rows = charge(work, Replay(work).run(), len(plan.plans))
    return tuple(_made(entry.stage.kind, row) for entry, row in zip(plan.plans, rows, strict=True))


def _made(kind: str, row: Sequence[float]) -> Prediction:
    causes = dict(zip(CAUSES, map(round, row), strict=True))
    if kind == "host":
        causes["host"] = causes.pop("vector")
    return Prediction(causes)
