"""The fast form of what a float32 input becomes in DRAM; its plain definition stands in accelc.sim.ports."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from accelc.sim.jit import entry
from accelc.sim.kernels.ir import rint

Floats = npt.NDArray[np.float32]


@entry
def quantize_into(
    real: Floats, scale: float, low: int, high: int, zero_point: int, excess: int, dram: npt.NDArray[np.uint8],
    address: int, image: int, line: int, pixel: int,
) -> None:
    """Quantize an array [n, c, h, w] and put its bytes, plus `excess`, at `address` as [n, h, w, c] with strides."""
    images, channels, rows, cols = real.shape
    least, most = np.float32(low - zero_point), np.float32(high - zero_point)
    shift, step = np.int32(zero_point + excess), np.float32(scale)
    row = np.empty(cols, np.uint8)
    for n in range(images):
        for h in range(rows):
            at = address + n * image + h * line
            for c in range(channels):
                values = real[n, c, h]
                for w in range(cols):
                    row[w] = np.uint8(np.int32(rint(min(max(values[w] / step, least), most))) + shift)
                out = dram[at + c :]
                for w in range(cols):
                    out[w * pixel] = row[w]
