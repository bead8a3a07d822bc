"""A layer that only moves bytes, written out box by box as Work: loads, a lookup where values change, stores."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from accelc.graph import Layer
from accelc.isa import Space
from accelc.schedule.constants import ALIGN
from accelc.schedule.copies import Copy, copies_of
from accelc.schedule.layout import Machine, Map
from accelc.schedule.moves import LINE, Move, Side, moves, room_of
from accelc.schedule.sampling import sampled
from accelc.schedule.transfer import Runs
from accelc.schedule.vector import line_cycles
from accelc.schedule.views import round_up
from accelc.schedule.work import LOAD, STORE, VECTOR

if TYPE_CHECKING:
    from accelc.schedule import Schedule

TRANSFERS = 2048  # of a copy that are written out at most


def write_copies(machine: Machine, plan: Schedule, index: int) -> None:
    """Write out all copies of a layer."""
    machine.begin_stage(1)
    layer = plan.plans[index].stage.steps[0]
    for copy in copies_of(plan.graph, plan.views, layer):
        most = min(machine.most, TRANSFERS)
        boxes = _Boxes(machine, index, layer, copy, most // 8)
        found = list(moves(plan.chip.timing, copy.loops, room_of(machine.floors(index)[0])))
        parts = sum(min(boxes.parts, len(side.starts)) for side in (found[0].load, found[0].store))
        for k, weight in sampled(len(found), max(4, most // parts)):
            boxes.write(found[k], weight)


@dataclass
class _Boxes:
    """Writes out the boxes of one copy; of a box's loads, and of its stores, so many `parts` at most."""

    machine: Machine
    index: int
    layer: Layer
    copy: Copy
    parts: int

    def write(self, move: Move, weight: float) -> None:
        """Write out a box that stands for `weight` like it."""
        m, work = self.machine, self.machine.work
        source = self._source().start + self.copy.start + move.source
        address, table = m.constants.change(self.layer, self.copy.source) if self.copy.changed else (0, 0)
        act, wgt = round_up(move.bytes + LINE, ALIGN), round_up(table, ALIGN)
        at, table_at = m.claim(act, wgt, m.floors(self.index))
        self._transfer(LOAD, move.load, at, source, weight)
        if table:
            work.now = (self.index, weight)
            held, lines = (Space.WGT, table_at, table_at + table), -(-move.bytes // LINE)
            work.move(LOAD, Runs(address, table), held)
            box = (Space.ACT, at, at + lines * LINE)
            work.compute(VECTOR, line_cycles(m.plan.chip, lines, LINE), [held, box], [box])
        target = m.map_of(self.layer.outputs[0]).start
        self._transfer(STORE, move.store, at, target + self.copy.into + move.target, weight)

    def _source(self) -> Map:
        """Return what is copied, a pixel of padding if it is no tensor."""
        m, name = self.machine, self.copy.source
        return m.map_of(name) if name else m.padding(self.layer.outputs[0])

    def _transfer(self, engine: int, side: Side, at: int, start: int, weight: float) -> None:
        """Write out a box's loads or stores, which begin at an address of the DRAM and one on chip."""
        for k, share in sampled(len(side.starts), self.parts):
            self.machine.work.now = (self.index, weight * share)
            begin, chip = side.starts[k]
            low = at + chip
            self.machine.work.move(engine, side.runs(start + begin), (Space.ACT, low, low + side.room))
