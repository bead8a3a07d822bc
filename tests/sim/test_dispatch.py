"""The loop over instructions: programs of both widths, and of one after the other."""

from __future__ import annotations

import numpy as np

from accelc.isa import Memory, encode, make
from accelc.isa.core import by_name
from accelc.isa.encoding import decode_rows
from accelc.sim.dispatch import HALT, execute


def test_instructions_of_both_widths_may_follow_each_other() -> None:
    """What one compiled loop does not know, the other takes up, until the program halts."""
    wide = {"src": 0, "src_col": 8, "pixels": 1, "n": 4, "dst": 64, "scale": 1.0}
    narrow = {**wide, "n": 8, "dst": 96, "zero_src": 0, "zero_dst": 0}
    order = [("mean", narrow), ("mean16", wide), ("mean16", wide | {"dst": 72}), ("mean", narrow | {"dst": 104})]
    words = encode([*(make(by_name(name), None, **operands) for name, operands in order), make(by_name("halt"))])
    opcodes, rows = (words[:, 0] & np.uint64(0xFF)).astype(np.int64), decode_rows(words)
    act = np.arange(1, 129, dtype=np.uint8)
    m = Memory(np.zeros(8, np.uint8), act, np.zeros(8, np.int8), np.zeros(8, np.int32))
    assert execute(opcodes, rows, rows.view(np.float32), m, 0, len(words)) == (HALT, 4)
    for at in (64, 72, 96, 104):
        np.testing.assert_array_equal(act[at : at + 8], np.arange(1, 9))
