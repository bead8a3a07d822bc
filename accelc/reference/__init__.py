"""The reference executor: a quantized Graph in plain NumPy, a whole layer at a time, independent of the simulator."""

from accelc.arithmetic import dequantize_array, quantize_array
from accelc.reference.execute import ends, pieces, run, run_layer, stream

__all__ = ["dequantize_array", "ends", "pieces", "quantize_array", "run", "run_layer", "stream"]
