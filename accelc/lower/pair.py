"""Lowering of two stages abreast: their tiles take turns, each as soon as the rows it reads are made."""

from __future__ import annotations

from itertools import product

from accelc.errors import ScheduleError
from accelc.lower.places import Places
from accelc.lower.tile import TileStage
from accelc.schedule import StagePlan
from accelc.schedule.abreast import follows, room_of_pair
from accelc.schedule.beside import Beside, host_of
from accelc.schedule.pieces import pieces_of


def lower_pair(places: Places, first: StagePlan, second: StagePlan) -> None:
    """Emit two stages, tile by tile in turn."""
    places.emitter.make_room(*room_of_pair(places.graph, (first, second)))
    a, b = TileStage(places, first), TileStage(places, second)
    if b.act_at < a.act_at or b.wgt_at < a.wgt_at:
        raise ScheduleError(f"stages of '{first.stage.output}' and '{second.stage.output}' do not lie side by side")
    a.begin()
    b.begin()
    host = host_of(first, second)
    if host is not None and not follows(first, second):
        _lower_beside(*((a, b) if host is first else (b, a)))
        return
    ahead, order, made = a.order(), b.order(), 0
    for index, (block, tile) in enumerate(order):
        rows, share = b.rows_read(tile), -(-len(ahead) * (index + 1) // len(order))
        # Before a tile of a stage that goes band by band, all rows above it are whole.
        while made < len(ahead) and (ahead[made][1].top < rows if follows(first, second) else made < share):
            a.lower_tile(*ahead[made])
            made += 1
        b.lower_tile(block, tile)
    for rest in ahead[made:]:
        a.lower_tile(*rest)


def _lower_beside(host: TileStage, guest: TileStage) -> None:
    """Emit a stage of array work, and one of vector work between its pieces."""
    turns = host.order()
    pieces = [turn for block, tile in turns for turn in product(pieces_of(host.g, host.t, block), tile.each())]
    walk = Beside(pieces, guest.order(), lambda turn: host.load_piece(*turn), lambda turn: guest.lower_tile(*turn))
    host.after_piece = walk.step
    for turn in turns:
        host.lower_tile(*turn)
