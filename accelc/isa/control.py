"""Instructions that hand work to the host processor and end the program."""

from __future__ import annotations

from accelc.isa.core import U16, Memory, Queue, instruction


@instruction(0x40, Queue.HOST)
def host(m: Memory, index: U16) -> None:
    """Run entry `index` of the program's list of host operators on tensors in DRAM (see the program's header)."""


@instruction(0x7F, Queue.HOST)
def halt(m: Memory) -> None:
    """End the program once every queue is empty."""


for _made in (host, halt):
    _made.cycles(lambda c: (0, 0, 0))
    _made.touches(lambda t: 0)
    _made.events(lambda e, c: None)
