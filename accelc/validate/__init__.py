"""Published tables of chips, replayed: each figure beside ours, its error, and what had to be assumed."""

from accelc.validate.row import FreeParameter, Kind, Replay, Row, Section, Summary, summaries
from accelc.validate.tables import TABLES, names, replay

__all__ = [
    "TABLES",
    "FreeParameter",
    "Kind",
    "Replay",
    "Row",
    "Section",
    "Summary",
    "names",
    "replay",
    "summaries",
]
