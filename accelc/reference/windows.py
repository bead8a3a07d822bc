"""Sliding windows over (batch, channels, height, width) arrays, one tap at a time or unrolled to columns."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from accelc.graph import Array, Layer, Tensor, nhwc


@dataclass(frozen=True)
class Windows:
    """The geometry of a layer's windows in elements; `out` is (rows, columns) of windows."""

    kernel: tuple[int, int]
    strides: tuple[int, int]
    dilations: tuple[int, int]
    pads: tuple[int, int, int, int]  # top, left, bottom, right
    out: tuple[int, int]

    @staticmethod
    def of(layer: Layer, kernel: tuple[int, int], output: Tensor) -> Windows:
        """Return the windows of a conv or pool layer; the result's shape says how many there are."""
        rows, columns = nhwc(output.shape)[1:3]
        attrs = layer.attrs
        return Windows(kernel, attrs["strides"], attrs["dilations"], attrs["pads"], (rows, columns))

    def reach(self) -> tuple[int, int]:
        """Return the extents of padded input that the windows touch."""
        return (
            (self.out[0] - 1) * self.strides[0] + (self.kernel[0] - 1) * self.dilations[0] + 1,
            (self.out[1] - 1) * self.strides[1] + (self.kernel[1] - 1) * self.dilations[1] + 1,
        )

    def padded(self, x: Array, fill: float) -> Array:
        """Return x with its pads, widened or cut on the far sides to what the windows touch."""
        n, c, h, w = x.shape
        top, left = self.pads[:2]
        rows, columns = self.reach()
        if (top, left, rows, columns) == (0, 0, h, w):
            return x
        result = np.full((n, c, rows, columns), fill, x.dtype)
        inside = result[:, :, top : top + h, left : left + w]
        inside[...] = x[:, :, : inside.shape[2], : inside.shape[3]]
        return result

    def taps(self, padded: Array) -> Iterator[tuple[int, int, Array]]:
        """Yield (kernel row, kernel column, the input element of every window there), in row-major order."""
        for ky in range(self.kernel[0]):
            for kx in range(self.kernel[1]):
                y, x = ky * self.dilations[0], kx * self.dilations[1]
                rows = slice(y, y + (self.out[0] - 1) * self.strides[0] + 1, self.strides[0])
                columns = slice(x, x + (self.out[1] - 1) * self.strides[1] + 1, self.strides[1])
                yield ky, kx, padded[:, :, rows, columns]

    def unrolled(self, padded: Array) -> Array:
        """Return a view (batch, channels, kernel rows, kernel columns, rows, columns) of every window's elements."""
        n, c = padded.shape[:2]
        sn, sc, sy, sx = padded.strides
        steps = (sy * self.dilations[0], sx * self.dilations[1], sy * self.strides[0], sx * self.strides[1])
        shape = (n, c, *self.kernel, *self.out)
        return np.lib.stride_tricks.as_strided(padded, shape, (sn, sc, *steps), writeable=False)

    def counts(self, extents: tuple[int, int], *, include_pads: bool) -> npt.NDArray[np.int64]:
        """Return per window the number of its positions inside the input (or the padded input)."""
        sides = []
        for axis in (0, 1):
            before, behind = (self.pads[axis], self.pads[axis + 2]) if include_pads else (0, 0)
            start = np.arange(self.out[axis]) * self.strides[axis] - self.pads[axis]
            at = start[:, None] + np.arange(self.kernel[axis]) * self.dilations[axis]
            sides.append(((at >= -before) & (at < extents[axis] + behind)).sum(axis=1))
        return np.asarray(np.multiply.outer(sides[0], sides[1]))
