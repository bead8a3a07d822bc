"""Instructions that hand work to the host processor, let cores wait for each other, and end the program."""

from __future__ import annotations

from accelc.isa.core import U16, Array, Memory, Queue, instruction


@instruction(0x40, Queue.HOST)
def host(m: Memory, index: U16) -> None:
    """Run entry `index` of the program's list of host operators on tensors in DRAM (see the program's header)."""


@instruction(0x7E, Queue.SYNC)
def sync(m: Memory) -> None:
    """Be complete once all that stands before it in the program is, on every core.

    It takes no time and orders nothing by itself: what must come after it waits for it (`[wait sync=1]`).
    """


@instruction(0x7F, Queue.HOST)
def halt(m: Memory) -> None:
    """End the program once every queue is empty."""


def _no_cycles(c: object) -> tuple[int, int, int]:
    return 0, 0, 0


def _no_rows(t: Array) -> int:
    return 0


def _no_events(e: Array, c: object) -> None:
    return


for _made in (host, sync, halt):
    _made.cycles(_no_cycles)
    _made.touches(_no_rows)
    _made.events(_no_events)
