"""Access counts of six dataflows on one layer at equal area, for the row-stationary paper's comparison."""

from accelc.validate.dataflows.counts import ENERGY, Counts, Layer
from accelc.validate.dataflows.others import DATAFLOWS
from accelc.validate.dataflows.row_stationary import best as row_stationary

__all__ = ["DATAFLOWS", "ENERGY", "Counts", "Layer", "row_stationary"]
