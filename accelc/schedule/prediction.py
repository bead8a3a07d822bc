"""What a schedule is expected to take, stage by stage, before there is an instruction: its work replayed tile by tile.

The search ranks mappings by `cost`, which knows one stage at a time. This is evaluated once, on the schedule that was
chosen; docs/prediction.md holds it against execution.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from accelc.schedule import Schedule


BUDGET = 20000  # pieces of work


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


def predict(plan: Schedule, budget: int = BUDGET) -> tuple[Prediction, ...]:
    """Return the prediction of each stage of a schedule, in the order of its plans.

    Stages of many pieces of work are written out whole where those of all stay within the budget.
    """
    # Loads compiled code, which a schedule that was found before does without.
    from accelc.schedule.replay import CAUSES, charge, replay
    from accelc.schedule.unroll import unroll

    work = unroll(plan, budget)
    rows = charge(work, replay(work), len(plan.plans))
    named = (dict(zip(CAUSES, map(round, row), strict=True)) for row in rows)
    return tuple(_made(entry.stage.kind, causes) for entry, causes in zip(plan.plans, named, strict=True))


def _made(kind: str, causes: dict[str, int]) -> Prediction:
    if kind == "host":
        causes["host"] = causes.pop("vector")
    return Prediction(causes)
