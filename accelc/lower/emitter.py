"""The Emitter: collects instructions with their tokens and layers, constants, and slots of the on-chip buffers."""

from __future__ import annotations

import hashlib
from collections.abc import Hashable, Iterable
from dataclasses import dataclass, field

import numpy as np

from accelc.chip import Chip
from accelc.errors import ScheduleError
from accelc.graph import Array
from accelc.isa import Word, by_name, make
from accelc.lower.tokens import TokenTracker
from accelc.schedule.views import round_up

ALIGN = 64


@dataclass
class Ring:
    """A buffer handed out stage by stage, each starting where the last ended, so that neighbors may overlap in time."""

    name: str
    size: int
    at: int = 0

    def make_room(self, amount: int, floor: int) -> None:
        """Begin anew unless `amount` units are left before `floor`, so that what is taken next lies together."""
        if self.at + amount > floor:
            self.at = 0

    def take(self, amount: int, floor: int | None = None) -> int:
        """Return the start of `amount` free units, all before `floor` if there is one."""
        size = self.size if floor is None else floor
        if amount > size:
            raise ScheduleError(f"a stage takes {amount} units of {self.name}, which has {size}")
        if self.at + amount > size:
            self.at = 0
        start = self.at
        self.at += amount
        return start


@dataclass
class Slots:
    """Equal places in a buffer that hold the last few things loaded, each under a key."""

    starts: list[int]
    keys: list[Hashable] = field(default_factory=list)

    def find(self, key: Hashable) -> int | None:
        """Return where `key` lies, if it does; it counts as used last."""
        if key not in self.keys:
            return None
        place = self.keys.index(key)
        self.keys.append(self.keys.pop(place))
        self.starts.append(self.starts.pop(place))
        return self.starts[-1]

    def claim(self, key: Hashable) -> int:
        """Return the place of what was used longest ago, now `key`'s."""
        self.starts.append(self.starts.pop(0))
        self.keys = [*self.keys[-(len(self.starts) - 1) :], key] if len(self.starts) > 1 else [key]
        while len(self.keys) < len(self.starts):
            self.keys.insert(0, object())
        return self.starts[-1]


def slots(start: int, count: int, size: int) -> Slots:
    """Return `count` slots of `size` units from `start`."""
    return Slots([start + k * size for k in range(count)], [object() for _ in range(count)])


class Constants:
    """The constant bytes of a program, each blob aligned; equal blobs are kept once."""

    def __init__(self) -> None:
        self._blobs: list[bytes] = []
        self._places: dict[bytes, int] = {}
        self.bytes = 0

    def add(self, data: Array) -> int:
        """Return the address of the bytes of `data`."""
        return self.add_bytes(np.ascontiguousarray(data).tobytes())

    def add_bytes(self, blob: bytes) -> int:
        """Return the address of a blob."""
        key = hashlib.blake2b(blob, digest_size=20).digest()
        if key in self._places:
            return self._places[key]
        address = self.bytes
        padding = round_up(len(blob), ALIGN) - len(blob)
        self._blobs.append(blob + bytes(padding))
        self.bytes += len(blob) + padding
        self._places[key] = address
        return address

    def array(self) -> Array:
        """Return all constants as bytes."""
        return np.frombuffer(b"".join(self._blobs), np.uint8)


def _rings(chip: Chip) -> tuple[Ring, Ring, Ring]:
    """Return one core's buffers: act, wgt (the same one if they are unified) and acc."""
    c = chip.timing
    act = Ring("act", c.act_bytes)
    return act, act if c.unified else Ring("wgt", c.wgt_bytes), Ring("acc", c.acc_bytes // 4)


class Emitter:
    """Collects the instructions of a program in an order that, executed one by one, gives the right values."""

    def __init__(self, chip: Chip) -> None:
        self.chip = chip
        self.constants = Constants()
        self.words: list[Word] = []
        self.layer_of: list[int] = []
        self.layer = 0
        self._tokens = TokenTracker(bool(chip.timing.unified), chip.cores)
        c = chip.timing
        self.core = 0  # whose instructions are emitted
        self._rings = [_rings(chip) for _ in range(chip.cores)]
        self.floor = c.act_bytes  # from here on, the activation buffer holds maps
        self.wgt_floor = c.wgt_bytes  # from here on, the weight buffer holds pinned weights

    @property
    def act(self) -> Ring:
        """Return the core's activation buffer."""
        return self._rings[self.core][0]

    @property
    def wgt(self) -> Ring:
        """Return the core's weight buffer, the activation buffer if it is one with that."""
        return self._rings[self.core][1]

    @property
    def acc(self) -> Ring:
        """Return the core's buffer of partial sums."""
        return self._rings[self.core][2]

    def begin_stage(self, cores: Iterable[int]) -> None:
        """Let what these cores do next be able to wait for what others did before; a single core needs no sync."""
        if not self._tokens.met(cores):
            self._tokens.sync()
            self._append(make(by_name("sync")))
        self._tokens.begin_stage()

    def claim(self, act_bytes: int, wgt_bytes: int) -> tuple[int, int]:
        """Return the starts of a stage's part of the activation and of the weight buffer; in one buffer they adjoin."""
        act_bytes, wgt_bytes = round_up(act_bytes, ALIGN), round_up(wgt_bytes, ALIGN)
        if self.act is self.wgt:
            at = self.act.take(act_bytes + wgt_bytes, self.floor)
            return at, at + act_bytes
        return self.act.take(act_bytes, self.floor), self.wgt.take(wgt_bytes, self.wgt_floor)

    def make_room(self, act_bytes: int, wgt_bytes: int) -> None:
        """Let the claims that follow, of so many bytes together, lie side by side."""
        if self.act is self.wgt:
            self.act.make_room(act_bytes + wgt_bytes, self.floor)
        else:
            self.act.make_room(act_bytes, self.floor)
            self.wgt.make_room(wgt_bytes, self.wgt_floor)

    def emit(self, name: str, **operands: int | float) -> None:
        """Append an instruction; its waits follow from the bytes it touches."""
        made = by_name(name)
        word = make(made, None, self.core, **operands)
        syncs = self._tokens.syncs
        waits = self._tokens.issue(made, word.operands, self.core)
        self._sync_since(syncs)
        self._append(Word(word.opcode, word.operands, waits, self.core))

    def barrier(self, name: str, **operands: int | float) -> None:
        """Append an instruction that waits for everything before it."""
        made, syncs = by_name(name), self._tokens.syncs
        waits = self._tokens.everything(made.queue)
        self._tokens.issue(made, dict(operands))
        self._sync_since(syncs)
        self._append(make(made, waits, 0, **operands))

    def end(self) -> None:
        """Append the `halt`, which waits for every queue of every core by itself; its tokens say so of the first's."""
        made = by_name("halt")
        self._append(make(made, self._tokens.own(made.queue)))

    def _sync_since(self, before: int) -> None:
        """Append the sync that the tokens have asked for since there were so many."""
        if self._tokens.syncs > before:
            self._append(make(by_name("sync")))

    def _append(self, word: Word) -> None:
        self.words.append(word)
        self.layer_of.append(self.layer)
