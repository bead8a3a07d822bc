"""Instructions that hand work to the host processor and end the program."""

from __future__ import annotations

from accelc.isa.core import U16, Array, Memory, Queue, instruction


@instruction(0x40, Queue.HOST)
def host(m: Memory, index: U16) -> None:
    """Run entry `index` of the program's list of host operators on tensors in DRAM (see the program's header)."""


@instruction(0x7F, Queue.HOST)
def halt(m: Memory) -> None:
    """End the program once every queue is empty."""


def _no_cycles(c: object) -> tuple[int, int, int]:
    return 0, 0, 0


def _no_rows(t: Array) -> int:
    return 0


def _no_events(e: Array, c: object) -> None:
    return


for _made in (host, halt):
    _made.cycles(_no_cycles)
    _made.touches(_no_rows)
    _made.events(_no_events)
