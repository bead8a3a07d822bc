"""What a run's own values say of its energy: products with a zero activation, and the length of coded feature maps.

They change what counted events cost, never the counts: `spared` states the events that a chip does not pay for, layer
by layer, so that energy stays counts times rates. They change no cycle: transfers take the time of their raw bytes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from accelc.chip import Chip
from accelc.isa import events as ev

Ints = npt.NDArray[np.int64]

COLUMNS = ("macs", "zero_macs", "raw_read", "raw_write", "encoded_read", "encoded_write")
MACS, ZERO_MACS, RAW_READ, RAW_WRITE, ENCODED_READ, ENCODED_WRITE = range(len(COLUMNS))

# What a zero activation spares: the product, and what else the PEs of an organization do once for each product.
# Operands that pass through an array, or sums of a whole tree, move on whatever one product is.
GATED: dict[str, tuple[int, ...]] = {
    "systolic": (ev.MAC,),
    "adder_tree": (ev.MAC,),
    "row_stationary": (ev.MAC, ev.PE_WGT_READ, ev.PE_PSUM_READ, ev.PE_PSUM_WRITE),
    "neighbor": (ev.MAC, ev.PE_PSUM_READ, ev.PE_PSUM_WRITE),
}


@dataclass(frozen=True, eq=False)
class Activity:
    """The activity of a run, a row of COLUMNS for each layer: multiply-accumulates, and bytes of feature maps.

    `zero_macs` are those of `macs` whose activation is the stored zero. Raw bytes are those that transfers of feature
    maps moved, encoded bytes those of their run-length code; the network's input and constants are never coded.
    """

    layers: Ints

    @property
    def total(self) -> Ints:
        """Return the row of the whole run [COLUMNS]."""
        total: Ints = self.layers.sum(axis=0)
        return total


def spared(chip: Chip, activity: Ints) -> Ints:
    """Return the events [events.NAMES] that a chip does not pay for, by the row [COLUMNS] of a layer or a run.

    Bytes are negative where the code is longer than what it stands for.
    """
    events = np.zeros(len(ev.NAMES), np.int64)
    if chip.array.zero_gating:
        events[list(GATED[chip.array.organization])] = activity[ZERO_MACS]
    if chip.dma.compression == "rlc":
        events[ev.DRAM_READ_BYTES] = activity[RAW_READ] - activity[ENCODED_READ]
        events[ev.DRAM_WRITE_BYTES] = activity[RAW_WRITE] - activity[ENCODED_WRITE]
    return events
