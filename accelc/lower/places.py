"""What lowering knows of the whole program: DRAM addresses of views, layer numbers, constants."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from accelc.lower.emitter import Emitter
from accelc.lower.tokens import ACTIVATIONS
from accelc.schedule import Schedule
from accelc.schedule.views import PITCH, View, round_up

CONSTANTS = "constants"


class Places:
    """Addresses and numbers that every stage's lowering looks up."""

    def __init__(self, plan: Schedule, emitter: Emitter) -> None:
        self.emitter = emitter
        self.graph = plan.graph
        self.views = plan.views
        self.layer_index = {layer.name: k for k, layer in enumerate(plan.graph.layers)}
        self._offsets = plan.placement.offsets
        self._plain: dict[str, int] = {}
        self._constants: dict[tuple[str, int], View] = {}

    def address(self, view: View) -> int:
        """Return the address of a view's first element."""
        if view.region == CONSTANTS:
            return view.offset
        return ACTIVATIONS + self._offsets[view.region] + view.offset

    def plain_constant(self, name: str, data: npt.NDArray[np.generic]) -> int:
        """Return the address of a constant in row-major order, put in place on first use."""
        if name not in self._plain:
            self._plain[name] = self.emitter.constants.add(data)
        return self._plain[name]

    def constant_view(self, name: str, data: npt.NDArray[np.uint8 | np.int16]) -> View:
        """Return the view of a constant operand's stored elements [n, h, w, c], put in place on first use."""
        key = (name, data.shape[3])
        if key not in self._constants:
            n, h, w, c = data.shape
            pitch = round_up(c * data.itemsize, PITCH)
            padded = np.zeros((n, h, w, pitch), np.uint8)
            padded[..., : c * data.itemsize] = data.view(np.uint8)
            strides = (h * w * pitch, w * pitch, pitch)
            address = self.emitter.constants.add(padded)
            self._constants[key] = View(CONSTANTS, address, (n, h, w, c), strides, data.itemsize)
        return self._constants[key]
