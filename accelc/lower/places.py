"""What lowering knows of the whole program: DRAM addresses of views, layer numbers, constants."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from accelc.errors import ScheduleError
from accelc.lower.emitter import Emitter
from accelc.lower.tokens import ACTIVATIONS
from accelc.schedule import Schedule
from accelc.schedule.stripes import Band, Part
from accelc.schedule.views import PITCH, View, round_up

CONSTANTS = "constants"
ON_CHIP = "on chip"  # names no tensor: the activation buffer


class Pinned:
    """An area of the weight buffer in which weights are loaded once, and where each of them lies."""

    def __init__(self, start: int, size: int) -> None:
        self.at, self.size, self.end = start, size, start + size
        self._found: dict[int, int] = {}

    def find(self, address: int) -> int | None:
        """Return where the weights from a DRAM address lie, None if they are not loaded yet."""
        return self._found.get(address)

    def claim(self, address: int, size: int) -> int:
        """Return the place of weights that are loaded now."""
        place = self._found[address] = self.at
        self.at += round_up(size, 64)
        if self.at > self.end:
            raise ScheduleError(f"pinned weights take {self.at - self.end} bytes more than planned")
        return place


class Places:
    """Addresses and numbers that every stage's lowering looks up."""

    def __init__(self, plan: Schedule, emitter: Emitter) -> None:
        self.emitter = emitter
        self.graph = plan.graph
        self.views = plan.views
        self.layer_index = {layer.name: k for k, layer in enumerate(plan.graph.layers)}
        self.residency = plan.residency
        self._offsets = plan.placement.offsets
        self.pinned: Pinned | None = None  # where the weights of the stage at hand stay, if they do
        self._pins: dict[tuple[int, int, int], Pinned] = {}
        self.filled: set[Hashable] = set()  # groups of maps on chip whose halo is written, bands by stripe
        self._banded = {name for entry in plan.plans if entry.part is not None for name in entry.part.bands}
        self.part: Part | None = None  # the stripe that the stage at hand makes
        self.blobs: dict[Hashable, dict[Hashable, tuple[int, int, int]]] = {}  # packed weights of stages
        self._plain: dict[str, int] = {}
        self._constants: dict[tuple[str, int], View] = {}

    def pin(self, area: tuple[int, int, int] | None) -> None:
        """Turn to a stage whose weights stay in an area (number, start, bytes) of the weight buffer, or nowhere."""
        self.pinned = None if area is None else self._pins.setdefault(area, Pinned(*area[1:]))

    def address(self, view: View) -> int:
        """Return the address of a view's first element."""
        if view.region == CONSTANTS:
            return view.offset
        return ACTIVATIONS + self._offsets[view.region] + view.offset

    def view(self, name: str) -> View:
        """Return where a tensor lies: its view in DRAM, or one of region ON_CHIP whose offset is an act address."""
        view = self.views[name]
        if not self.residency.held(view.region):
            return view
        frame = self.residency.frames[view.region]
        held, band = frame.view(view), self.band(view.region)
        above = 0 if band is None else band.first * held.strides[1]
        return replace(held, region=ON_CHIP, offset=held.offset + self.residency.places[view.region] - above)

    def band(self, region: str) -> Band | None:
        """Return the rows of a map that are on chip, None if it lies whole there or in DRAM."""
        return None if self.part is None else self.part.bands.get(region)

    def in_bands(self, name: str) -> bool:
        """Return whether a tensor is never whole, on chip or in DRAM."""
        region = self.views[name].region
        return self.residency.held(region) and region in self._banded

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
