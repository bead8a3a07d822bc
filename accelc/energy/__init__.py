"""Energy: counted events times tables in which every value names its source."""

from accelc.energy.model import COMPONENTS, Prices, energy_of, prices_of
from accelc.energy.table import Entry, Table, load_table, tables

__all__ = ["COMPONENTS", "Entry", "Prices", "Table", "energy_of", "load_table", "prices_of", "tables"]
