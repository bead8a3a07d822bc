"""Static quantization: scales from calibration samples, and what they cost in accuracy."""

from accelc.quantize.accuracy import Accuracy, accuracy, quantize_inputs, sqnr
from accelc.quantize.static import quantize

__all__ = ["Accuracy", "accuracy", "quantize", "quantize_inputs", "sqnr"]
