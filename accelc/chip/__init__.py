"""Chip descriptions: the model, the loader and the shipped chips."""

from accelc.chip.model import Chip, load_chip, parse_chip, shipped
from accelc.chip.timing import Timing

__all__ = ["Chip", "Timing", "load_chip", "parse_chip", "shipped"]
