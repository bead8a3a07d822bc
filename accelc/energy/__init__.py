"""Energy: counted events times tables in which every value names its source."""

from accelc.energy.model import COMPONENTS, energy_of
from accelc.energy.table import Entry, Table, load_table, tables

__all__ = ["COMPONENTS", "Entry", "Table", "energy_of", "load_table", "tables"]
