"""Where the cycles went: each cycle of a program is charged to one layer and one cause, so the causes sum to the total.

* While the MAC queue runs an instruction, its cycles are that layer's `compute`, `fill_drain`, `weight_load`, and
  `bank_conflict` for those that DMA bursts stole.
* In a gap of the MAC queue, the cycles before the next MAC instruction (or the program's end) are charged backward, to
  what that instruction waited for: the instruction whose completion let it start, then the one whose completion let
  that one start, until the gap is covered. A load or store takes `dma_wait` (its issue latency: `dependency`), a
  vector instruction `vector` (stolen cycles: `bank_conflict`), a host call `host`. Where an instruction waited for a
  bank's port, that is `bank_conflict`. What is left when the chain ends is `dependency`.
* A charged cycle counts for the layer of the instruction that ran in it, or that waited where none ran.
* Each core is charged for all cycles of the program, from its own MAC queue. Where the chain leads over an instruction
  of another core, its cycles are `other_cores`. What a chip of several cores shows is the mean over its cores.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from accelc.chip import Chip
from accelc.isa import Queue
from accelc.program import Program
from accelc.sim.jit import entry, step
from accelc.sim.timing import BLOCKER, CYCLES_STOLEN, END, READY, START, Timeline

Ints = npt.NDArray[np.int64]

CAUSES = (
    "compute",
    "fill_drain",
    "weight_load",
    "dma_wait",
    "bank_conflict",
    "dependency",
    "vector",
    "host",
    "other_cores",
)
COMPUTE, FILL_DRAIN, WEIGHT_LOAD, DMA_WAIT, BANK_CONFLICT, DEPENDENCY, VECTOR_WORK, HOST_WORK, OTHER_CORES = range(9)

MAC_QUEUE, VECTOR_QUEUE, HOST_QUEUE = int(Queue.MAC), int(Queue.VECTOR), int(Queue.HOST)


class Ran(NamedTuple):
    """When instructions ran: an entry or a row for each."""

    queue: Ints
    core: Ints
    layer: Ints
    outcomes: Ints
    parts: Ints


def stalls(program: Program, chip: Chip, timeline: Timeline) -> Ints:
    """Return [layers, CAUSES] cycles, which sum to `timeline.cycles`; layers as `Program.layer_rows` has them."""
    return mean(stalls_of_cores(program, chip, timeline))


def mean(each: Ints) -> Ints:
    """Return the mean [layers, CAUSES] over cores in whole cycles that sum to the cycles of one."""
    if len(each) == 1:
        own: Ints = each[0]
        return own
    total = np.cumsum(each.sum(axis=0).ravel()) // len(each)
    return np.diff(total, prepend=0).reshape(each.shape[1:])


def stalls_of_cores(program: Program, chip: Chip, timeline: Timeline) -> Ints:
    """Return [cores, layers, CAUSES] cycles; those of each core sum to `timeline.cycles`."""
    out = np.zeros((chip.cores, max(len(program.layers), 1), len(CAUSES)), np.int64)
    if len(timeline.queue):
        ran = Ran(timeline.queue, timeline.core, program.layer_rows, timeline.outcomes, timeline.parts)
        for core in range(chip.cores):
            _charge_all(ran, core, chip.timing.dma_issue_cycles, out[core])
    return out


@entry
def _charge_all(t: Ran, core: int, issue: int, out: Ints) -> None:
    low = 0
    last = 0
    for i in range(len(t.queue)):
        if t.outcomes[i, END] >= t.outcomes[last, END]:
            last = i
        if t.queue[i] == MAC_QUEUE and t.core[i] == core:
            _charge_chain(t, i, core, low, t.outcomes[i, START], issue, out)
            for k in range(3):
                out[t.layer[i], COMPUTE + k] += t.parts[i, k]
            out[t.layer[i], BANK_CONFLICT] += t.outcomes[i, CYCLES_STOLEN]
            low = t.outcomes[i, END]
    high = _charge_one(t, last, core, low, t.outcomes[last, END], issue, out)
    _charge_chain(t, last, core, low, high, issue, out)


@step
def _charge_chain(t: Ran, i: int, core: int, low: int, high: int, issue: int, out: Ints) -> None:
    """Charge the cycles from `low` to `high`, where instruction `i` starts."""
    while high > low:
        ready = max(low, t.outcomes[i, READY])
        out[t.layer[i], BANK_CONFLICT if _is_own(t, i, core) else OTHER_CORES] += high - ready
        blocker = t.outcomes[i, BLOCKER]
        if blocker < 0:
            out[t.layer[i], DEPENDENCY if _is_own(t, i, core) else OTHER_CORES] += ready - low
            return
        high = _charge_one(t, blocker, core, low, ready, issue, out)
        i = blocker


@step
def _is_own(t: Ran, i: int, core: int) -> bool:
    """Say whether an instruction is of a core, or of all."""
    return t.queue[i] >= HOST_QUEUE or t.core[i] == core  # type: ignore[no-any-return]


@step
def _charge_one(t: Ran, i: int, core: int, low: int, high: int, issue: int, out: Ints) -> int:
    """Charge the cycles after `low` in which instruction `i` runs, which ends at `high`; return where it began."""
    began = max(low, t.outcomes[i, START])
    layer = t.layer[i]
    own = _is_own(t, i, core)
    if high <= began or (own and t.queue[i] == MAC_QUEUE):
        return began  # type: ignore[no-any-return]
    if not own:
        out[layer, OTHER_CORES] += high - began
    elif t.queue[i] == VECTOR_QUEUE:
        stolen = min(t.outcomes[i, CYCLES_STOLEN], high - began)
        out[layer, BANK_CONFLICT] += stolen
        out[layer, VECTOR_WORK] += high - began - stolen
    elif t.queue[i] >= HOST_QUEUE:
        out[layer, HOST_WORK] += high - began
    else:
        first = min(max(t.outcomes[i, START] + issue, began), high)
        out[layer, DEPENDENCY] += first - began
        out[layer, DMA_WAIT] += high - first
    return began  # type: ignore[no-any-return]
