"""The instruction set: TABLE maps each opcode to its one definition."""

from accelc.isa import control, dma, mac, normalize, pool, stream, vector, wide, wide_vector, wide_window
from accelc.isa.core import TABLE, Instruction, Memory, Queue, Space, Word, by_name, make
from accelc.isa.encoding import decode, encode, from_bytes, to_bytes

__all__ = [
    "TABLE",
    "Instruction",
    "Memory",
    "Queue",
    "Space",
    "Word",
    "by_name",
    "control",
    "decode",
    "dma",
    "encode",
    "from_bytes",
    "mac",
    "make",
    "normalize",
    "pool",
    "stream",
    "to_bytes",
    "vector",
    "wide",
    "wide_vector",
    "wide_window",
]
