"""Which maps stay on chip from the stage that makes them to the last that reads them: chosen for the whole network.

The choice is exact over this space: each map that qualifies (see `frames`) is held for its whole life or not at all,
the maps alive together and the tiles of the running stage share the activation buffer, and each stage then has its
best mapping in the room that is left. Stages run in their order, so the only thing one stage leaves to the next is
which maps are held: the search walks the stages and keeps, for each set of maps held, the least total cost so far.
Two sets that differ only in the past are one, so nothing is lost. Where more than `MOST_STATES` sets are open, the
costliest are dropped, and `Residency.exact` says so.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from accelc.schedule.allocate import Life, place
from accelc.schedule.cost import Cost
from accelc.schedule.frames import Frame

MOST_STATES = 256

Names = frozenset[str]
Price = Callable[[int, Names, int], Cost | None]
"""(stage, names of the maps held, bytes they take) -> cost of the stage in the room left, None if nothing fits."""
Weigh = Callable[[Cost], float]


@dataclass(frozen=True)
class Map:
    """A map that may be held, and the map it may be made over: a sum takes the place of the operand that dies in it."""

    name: str
    bytes: int
    first: int
    last: int
    over: str = ""


@dataclass(frozen=True)
class Residency:
    """The maps held, each with its place in the activation buffer; `exact` if no better choice exists for sure."""

    frames: Mapping[str, Frame]
    places: Mapping[str, int]
    turns: Mapping[str, str]  # the first of the maps that take one place in turn
    floors: tuple[int, ...]  # per stage: bytes of the buffer, from its start, that are free for its tiles
    exact: bool = True

    def held(self, region: str) -> bool:
        """Return whether a region is on chip."""
        return region in self.places


@dataclass(frozen=True)
class _State:
    cost: float
    held: tuple[Map, ...]  # all maps held so far
    alive: frozenset[Map]


def maps_of(frames: Mapping[str, Frame], lives: Sequence[Life], overwrites: Mapping[str, str]) -> list[Map]:
    """Return the frames as maps; `overwrites` names for a map the one in whose place it may be made."""
    found = []
    for life in lives:
        if life.name in frames:
            over = overwrites.get(life.name, "")
            alike = over in frames and _alike(frames[life.name], frames[over])
            found.append(Map(life.name, frames[life.name].bytes, life.first, life.last, over if alike else ""))
    return found


def _alike(a: Frame, b: Frame) -> bool:
    """Return whether two maps lie alike on chip, byte for byte."""
    same = a.owner.extents == b.owner.extents and a.owner.strides == b.owner.strides
    return same and a.halo == b.halo and (a.zero == b.zero or max(a.halo) == 0)


class NoChoiceError(Exception):
    """No choice of maps leaves a stage a mapping; `maps` are those alive there in the choice that came furthest."""

    def __init__(self, stage: int, maps: Names) -> None:
        super().__init__(stage, maps)
        self.stage, self.maps = stage, maps


def choose(
    maps: Sequence[Map], stages: int, room: int, price: Price, weigh: Weigh, must: Names = frozenset()
) -> tuple[list[Map], bool]:
    """Return the maps to hold, `must` among them, and whether no choice is better; raise NoChoiceError if none is."""
    states = [_State(0.0, (), frozenset())]
    exact = True
    for k in range(stages):
        born = [m for m in maps if m.first == k and m.bytes <= room]
        after = _merged(_after(states, born, k, room, price, weigh, must))
        if not after:
            alive = {m.name for m in (*states[0].alive, *born) if m.name in must}
            raise NoChoiceError(k, frozenset(alive))
        states = after
        exact &= len(states) <= MOST_STATES
        states = states[:MOST_STATES]
    return list(states[0].held), exact


def _after(
    states: Sequence[_State], born: Sequence[Map], k: int, room: int, price: Price, weigh: Weigh, must: Names
) -> list[_State]:
    """Return the states after stage k for every choice among the maps born there."""
    found = []
    for state in states:
        for chosen in _subsets(born, must):
            alive = state.alive | chosen
            names = frozenset(m.name for m in alive)
            taken = sum(m.bytes for m in alive) - sum(m.bytes for m in chosen if m.over in names)
            cost = price(k, names, taken) if taken <= room else None
            if cost is not None:
                rest = frozenset(m for m in alive if m.last > k)
                held = (*state.held, *sorted(chosen, key=lambda m: m.name))
                found.append(_State(state.cost + weigh(cost), held, rest))
    return found


def _subsets(maps: Sequence[Map], must: Names) -> list[frozenset[Map]]:
    found = [frozenset(m for m in maps if m.name in must)]
    for one in maps:
        if one.name not in must:
            found += [chosen | {one} for chosen in found]
    return found


def _merged(states: Sequence[_State]) -> list[_State]:
    """Keep the cheapest of the states that leave the same maps to the stages that follow, cheapest first."""
    best: dict[frozenset[Map], _State] = {}
    for state in states:
        if state.alive not in best or state.cost < best[state.alive].cost:
            best[state.alive] = state
    return sorted(best.values(), key=lambda s: s.cost)


def arrange(
    held: Sequence[Map],
    frames: Mapping[str, Frame],
    stages: int,
    room: int,
    exact: bool,
    asked: Mapping[str, int],
) -> Residency | int:
    """Return the residency of the maps held, from the end of the buffer down, or a stage where gaps overflow it.

    Where a place is asked for every map, these are taken.
    """
    turns = _turns(held)
    spans = turn_lives(held, turns)
    if spans and all(span.name in asked for span in spans):
        starts, over = {span.name: asked[span.name] for span in spans}, _colliding(spans, asked, room)
    else:
        placement = place(spans)
        starts = {span.name: room - placement.offsets[span.name] - span.bytes for span in spans}
        over = [span.first for span in spans if starts[span.name] < 0]
    if over:
        return over[0]
    alive = [[span for span in spans if span.first <= k <= span.last] for k in range(stages)]
    floors = tuple(min((starts[span.name] for span in here), default=room) for here in alive)
    # A gap leaves a stage less room than the choice reckoned with.
    tight = all(floor == room - sum(span.bytes for span in here) for floor, here in zip(floors, alive, strict=True))
    places = {name: starts[owner] for name, owner in turns.items()}
    return Residency({name: frames[name] for name in places}, places, turns, floors, exact and tight)


def _colliding(spans: Sequence[Life], starts: Mapping[str, int], room: int) -> list[int]:
    """Return the stages at which a map begins that lies outside the buffer or on bytes of another that is alive."""
    found = []
    for k, b in enumerate(spans):
        low, high = starts[b.name], starts[b.name] + b.bytes
        before = (a for a in spans[:k] if a.first <= b.last and b.first <= a.last)
        if high > room or any(starts[a.name] < high and low < starts[a.name] + a.bytes for a in before):
            found.append(b.first)
    return found


def _turns(held: Sequence[Map]) -> dict[str, str]:
    """Return for each map the first of those whose place it takes in turn."""
    turns: dict[str, str] = {}
    for m in sorted(held, key=lambda m: m.first):
        turns[m.name] = turns.get(m.over, m.name)
    return turns


def turn_lives(held: Sequence[Map], turns: Mapping[str, str]) -> list[Life]:
    """Return the life of each place that maps take in turn, under the name of the first of them."""
    alike = {owner: [m for m in held if turns[m.name] == owner] for owner in dict.fromkeys(turns.values())}
    return [
        Life(owner, max(m.bytes for m in turn), min(m.first for m in turn), max(m.last for m in turn))
        for owner, turn in alike.items()
    ]


def nothing(stages: int, room: int) -> Residency:
    """Return the residency that holds no map."""
    return Residency({}, {}, {}, (room,) * stages)
