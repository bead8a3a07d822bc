"""Models on chips under dataflows, side by side: figures, winners with their reasons, and a report to open."""

from accelc.comparison.collect import compare
from accelc.comparison.model import Comparison

__all__ = ["Comparison", "compare"]
