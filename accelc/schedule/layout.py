"""Where things lie while a schedule runs, as far as time depends on it: slots, maps on chip, DRAM addresses.

It follows the rules by which lowering hands out places (`accelc.lower.emitter`), but places nothing: what it gives are
the ranges and addresses by which entries of Work wait for each other, meet in banks and cover bursts.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from accelc.isa import Space
from accelc.schedule.abreast import room_of_pair
from accelc.schedule.cascade import move_cycles, moves_of
from accelc.schedule.constants import ALIGN, Constants, constant_bytes
from accelc.schedule.frames import NO_HALO
from accelc.schedule.padding import Fill, around, beside, beyond
from accelc.schedule.search import step_table_bytes
from accelc.schedule.stripes import Part
from accelc.schedule.tiling import Footprint, footprint
from accelc.schedule.transfer import Runs
from accelc.schedule.views import View, round_up
from accelc.schedule.work import LOAD, NO_RUNS, VECTOR, Work

if TYPE_CHECKING:
    from accelc.schedule import Schedule

Span = tuple[int, int]


class Slots:
    """Equal places that hold the last few things loaded, each under a key."""

    def __init__(self, starts: Sequence[int]) -> None:
        self._starts = list(starts)
        self._keys: list[Hashable] = [object() for _ in starts]

    def find(self, key: Hashable) -> int | None:
        """Return the place that holds `key`, if one does; it counts as used last."""
        if key not in self._keys:
            return None
        at = self._keys.index(key)
        self._keys.append(self._keys.pop(at))
        self._starts.append(self._starts.pop(at))
        return self._starts[-1]

    def claim(self, key: Hashable) -> int:
        """Return the place that was used longest ago, now `key`'s."""
        self._starts.append(self._starts.pop(0))
        self._keys = [*self._keys[1:], key]
        return self._starts[-1]


class Ring:
    """A buffer handed out stage by stage, as lowering does."""

    def __init__(self, size: int) -> None:
        self.size, self.at = size, 0

    def make_room(self, amount: int, floor: int) -> None:
        """Begin anew unless `amount` units are left before `floor`."""
        if self.at + amount > floor:
            self.at = 0

    def take(self, amount: int, floor: int) -> int:
        """Return the start of `amount` units before `floor`."""
        self.make_room(amount, floor)
        start = self.at
        self.at += amount
        return start


@dataclass(frozen=True)
class Map:
    """A map that stages read or write: its view, and the address of the region it lies in, if `held` of the buffer.

    A stripe counts rows from `row` on; of a band on chip, row `first` comes first.
    """

    view: View
    address: int = 0
    held: bool = False
    row: int = 0
    first: int = 0

    def seen(self, view: View) -> Map:
        """Return the map as another view shows it."""
        return replace(self, view=view)

    @property
    def start(self) -> int:
        """Return the address of the first element."""
        return self.address + self.view.offset

    def adjoins(self, rows: int, cols: int) -> bool:
        """Return whether so many rows and columns are one run of bytes where they lie on chip."""
        if not self.held:
            return True
        return rows == 1 or self.view.strides[1] == cols * self.view.strides[2]

    def runs(self, tile: tuple[int, Span, Span], channel: int, pixel: int) -> Runs:
        """Return the runs of the rows and columns of an image, `pixel` bytes of each pixel from a channel on."""
        (image, rows, cols), view = tile, self.view
        sn, sh, sw = view.strides
        top, left = self.row - self.first + rows[0], cols[0]
        start = self.start + channel * view.element_bytes + image * sn + top * sh + left * sw
        return Runs(start, pixel, cols[1] - left, sw, rows[1] - rows[0], sh)


class Pinned:
    """An area of the weight buffer in which weights are loaded once, and where each of them lies."""

    def __init__(self, at: int) -> None:
        self.places: dict[Hashable, int] = {}
        self._at = at

    def claim(self, key: Hashable, size: int) -> int:
        """Return the place of weights that are loaded now."""
        place = self.places[key] = self._at
        self._at += round_up(size, ALIGN)
        return place


class Machine:
    """What stages share: the buffers, the maps on chip and in DRAM, pinned weights."""

    def __init__(self, plan: Schedule, most: int) -> None:
        self.most = most  # pieces of a stage that are written out
        self.plan, self.constants = plan, Constants(plan)
        self.base = constant_bytes(plan)  # of the activations in DRAM
        self.work = Work(plan.chip, self.base)
        self._rings = [self._made() for _ in range(plan.chip.cores)]
        self._active: set[int] = set()  # cores that have worked since they last met
        self.pinned: dict[tuple[int, int, int], Pinned] = {}
        self._filled: set[Hashable] = set()

    def _made(self) -> tuple[Ring, Ring, Ring]:
        """Return a core's buffers: act, wgt (the same one if they are unified) and acc."""
        c = self.plan.chip.timing
        act = Ring(c.act_bytes)
        return act, act if c.unified else Ring(c.wgt_bytes), Ring(c.acc_bytes // 4)

    @property
    def act(self) -> Ring:
        """Return the activation buffer of the core that is written out."""
        return self._rings[self.work.core][0]

    @property
    def wgt(self) -> Ring:
        """Return its weight buffer."""
        return self._rings[self.work.core][1]

    @property
    def acc(self) -> Ring:
        """Return its accumulator buffer."""
        return self._rings[self.work.core][2]

    def begin_stage(self, cores: int) -> None:
        """Let the cores meet if a stage that so many share follows work of others than the first alone."""
        together = self._active | set(range(cores))
        if self._active and len(together) > 1:
            self.work.meet()
            together = set(range(cores))
        self._active = together

    def room(self, index: int) -> tuple[Footprint, int, int]:
        """Return what a stage takes on chip, and the bytes it claims of the activation and the weight buffer."""
        entry = self.plan.plans[index]
        assert entry.geometry is not None
        assert entry.tiling is not None
        rooms = (step_table_bytes(self.plan.graph, step) for step in entry.stage.steps)
        tables = sum(round_up(shared + each * entry.tiling.channels, ALIGN) for shared, each in rooms)
        f = footprint(entry.geometry, entry.tiling, tables)
        return f, round_up(f.act_bytes(entry.geometry), ALIGN), round_up(f.wgt_bytes, ALIGN)

    def floors(self, *stages: int) -> tuple[int, int]:
        """Return the bytes from the start of the activation and the weight buffer that stages may claim."""
        pins, c = self.plan.pins.floors, self.plan.chip.timing
        act = min(self.plan.residency.floors[k] for k in stages)
        return act, min(pins.get(k, c.wgt_bytes) for k in stages)

    def claim(self, act: int, wgt: int, floors: tuple[int, int]) -> tuple[int, int]:
        """Return the starts of bytes of the activation and of the weight buffer; in one buffer they adjoin."""
        if self.act is self.wgt:
            at = self.act.take(act + wgt, floors[0])
            return at, at + act
        return self.act.take(act, floors[0]), self.wgt.take(wgt, floors[1])

    def make_room(self, *stages: int) -> None:
        """Let the parts of stages that run abreast lie side by side."""
        floor, wgt_floor = self.floors(*stages)
        act, wgt = room_of_pair(self.plan.graph, [self.plan.plans[k] for k in stages])
        if self.act is self.wgt:
            self.act.make_room(act + wgt, floor)
        else:
            self.act.make_room(act, floor)
            self.wgt.make_room(wgt, wgt_floor)

    def map_of(self, name: str, part: Part | None = None, row: int = 0, channels: int = 0) -> Map:
        """Return the map that a tensor is or lies in, as a stripe sees it that counts its rows from `row` on.

        A constant has no less than `channels`.
        """
        view, kept = self.plan.views.get(name), self.plan.residency
        if view is None:
            return Map(self.constants.operand(self.plan.graph.tensors[name], channels))
        if not kept.held(view.region):
            return Map(view, self.base + self.plan.placement.offsets[view.region], row=row)
        band = None if part is None else part.bands.get(view.region)
        first, frame = 0 if band is None else band.first, kept.frames[view.region]
        return Map(frame.view(view), kept.places[view.region], held=True, row=row, first=first)

    def padding(self, name: str) -> Map:
        """Return a pixel of padding for a map."""
        return Map(self.constants.padding(self.plan.views[name]))

    def fill_halo(self, name: str, part: Part | None) -> None:
        """Write the padding around a map on chip, if it has some and no map in its place had."""
        region, kept = self.plan.views[name].region, self.plan.residency
        if not kept.held(region) or (part is not None and region in part.bands):
            return
        frame, turn = kept.frames[region], kept.turns[region]
        if frame.halo != NO_HALO and turn not in self._filled:
            self._filled.add(turn)
            self._fill(around(frame, kept.places[region]))

    def prepare_band(self, name: str, part: Part) -> None:
        """Make the band of a map ready for a stripe: rows that stay move up, padding is written (see `lower.band`)."""
        region, kept = self.plan.views[name].region, self.plan.residency
        band = part.bands.get(region)
        if band is None or (region, part.stripe) in self._filled:
            return
        self._filled.add((region, part.stripe))
        frame, at = kept.frames[region], kept.places[region]
        if band.before is None:
            self._fill(beside(frame, at))
        up = 0 if band.before is None else band.first - band.before
        for row, end in moves_of(band):
            low, high = at + row * frame.row, at + end * frame.row
            moved = (Space.ACT, low - up * frame.row, high - up * frame.row)
            cycles = sum(move_cycles(self.plan.chip.timing, frame, (row, end)))
            self.work.compute(VECTOR, cycles, [(Space.ACT, low, high)], [moved])
        self._fill(beyond(frame, at, band, self.plan.views[name].extents[1]))

    def _fill(self, fills: Iterable[Fill]) -> None:
        """Write padding by loads that move nothing."""
        for fill in fills:
            self.work.move(LOAD, NO_RUNS, (Space.ACT, fill.at, fill.end))
