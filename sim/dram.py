"""The external memory, burst by burst: banks with open rows, one data bus, refresh.

The rules, in clock cycles:

* Address `a` lies in line `a / row_bytes`. With `banks` = 2**b, its bank is `line XOR (line >> b)`, low b bits, and its
  row is `line >> b`: neighboring lines lie in different banks, and strides of banks * row_bytes are spread too.
* Requests are served in the order they are made. The first command for one made at `t` goes out at
  `t0 = max(t, ready[bank])`. If the bank's row is open already (a row hit), that is the column command. If no row is
  open, the row is activated first: `activate` cycles. If another is open, it is closed before that: `precharge` cycles.
* The data follow the column command by `access` cycles and hold the bus for `burst` cycles:
  `data = max(column + access, bus_free)`, `bus_free = data + burst`. The burst is over at `data + burst`. The column
  command is held back with its data, and the bank is ready for the next command `burst` cycles after it:
  `ready[bank] = data - access + burst`. So rows open in one bank while another bank's data are on the bus.
* A refresh starts at every multiple of `refresh_interval` but 0. It closes all rows, and a first command that would
  go out in its `refresh` cycles goes out at their end. What began before is not disturbed.

Reads and writes cost the same; the controller does not reorder. State and counters are one array of int64, so that a
step touches no other object (a compiled call with several arrays costs more than the step itself).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from accelc.chip.timing import Timing
from accelc.errors import ChipError
from accelc.sim.jit import step

State = npt.NDArray[np.int64]

# Parameters.
ROW_SHIFT = 0
BANK_BITS = 1
BURST = 2
ACTIVATE = 3
PRECHARGE = 4
ACCESS = 5
REFRESH_INTERVAL = 6
REFRESH = 7
BURST_SHIFT = 8
ROW_BURSTS = 9
# State.
BUS_FREE = 10
# Per bank: the open row (-1: none), the cycle of its next command, the next refresh it has not yet seen.
BANKS_AT = 16
BANK_WIDTH = 4
MAX_BANKS = 256
DRAM_END = BANKS_AT + BANK_WIDTH * MAX_BANKS


def set_up(state: State, c: Timing) -> None:
    """Write the parameters of a chip's DRAM and its state at cycle 0 into `state[:DRAM_END]`."""
    if c.dram_refresh_cycles >= c.dram_refresh_interval_cycles:
        raise ChipError(
            f"dram: in clock cycles a refresh takes {c.dram_refresh_cycles} and comes every "
            f"{c.dram_refresh_interval_cycles}; no access would ever find time"
        )
    state[:DRAM_END] = 0
    state[ROW_SHIFT] = c.dram_row_bytes.bit_length() - 1
    state[BANK_BITS] = c.dram_banks.bit_length() - 1
    state[BURST_SHIFT] = c.dram_burst_bytes.bit_length() - 1
    state[ROW_BURSTS] = c.dram_row_bytes // c.dram_burst_bytes
    state[BURST] = c.dram_burst_cycles
    state[ACTIVATE] = c.dram_activate_cycles
    state[PRECHARGE] = c.dram_precharge_cycles
    state[ACCESS] = c.dram_access_cycles
    state[REFRESH_INTERVAL] = c.dram_refresh_interval_cycles
    state[REFRESH] = c.dram_refresh_cycles
    banks = state[BANKS_AT:DRAM_END].reshape(-1, BANK_WIDTH)
    banks[:, 0] = -1
    banks[:, 2] = c.dram_refresh_interval_cycles


@step
def bank_of(s: State, line: int) -> int:
    """Return where the state of a line's bank begins."""
    bits = s[BANK_BITS]
    return BANKS_AT + BANK_WIDTH * ((line ^ (line >> bits)) & ((1 << bits) - 1))  # type: ignore[no-any-return]


@step
def access(s: State, address: int, t: int, bus: int) -> tuple[int, int]:
    """Serve the request for the burst at `address` made at cycle `t`, where the bus is free from cycle `bus` on.

    Return the cycle at which its data are over and the bus is free again, and how many rows it opened (0 or 1).
    """
    line = address >> s[ROW_SHIFT]
    bank, row = bank_of(s, line), line >> s[BANK_BITS]
    column, opened, s[bank + 2] = command(s, bank, row, t)
    s[bank] = row
    over = max(column + s[ACCESS], bus) + s[BURST]
    s[bank + 1] = over - s[ACCESS]
    return over, opened


@step
def command(s: State, bank: int, row: int, t: int) -> tuple[int, int, int]:
    """Return when a request of a row made at cycle `t` has its column command, unless that is held back for the bus.

    Also return how many rows that opens (0 or 1), and the next refresh that the bank has not yet seen then.
    """
    t0, held, refresh = max(t, s[bank + 1]), s[bank], s[bank + 2]
    if t0 >= refresh:
        since = refresh  # most often the last one before
        if t0 >= refresh + s[REFRESH_INTERVAL]:
            since = t0 // s[REFRESH_INTERVAL] * s[REFRESH_INTERVAL]
        t0, held, refresh = max(t0, since + s[REFRESH]), -1, since + s[REFRESH_INTERVAL]
    if held == row:
        return t0, 0, refresh
    return t0 + s[ACTIVATE] + (s[PRECHARGE] if held >= 0 else 0), 1, refresh
