"""The 18 layers of Eyeriss v1's published tables: shapes, mappings, and what was measured."""

from __future__ import annotations

from dataclasses import dataclass

from accelc.isa.dataflow.row_mapping import Mapping

METRICS = {
    "processing_latency": "ms",
    "total_latency": "ms",
    "active_pes": "PEs",
    "glb_bytes": "MB",
    "dram_bytes": "MB",
    "power": "mW",
}
"""The metrics of the tables and their units; MB are 10^6 bytes."""


@dataclass(frozen=True)
class Placement:
    """How a layer is laid on the chip; `mapping` as in the paper, m filters whose sums the global buffer holds.

    `images` share a pass. `halves`: the output columns are computed in that many parts. `strips_per_load`: strips of
    rows that use the filters of one transfer from DRAM.
    """

    m: int
    images: int
    mapping: Mapping
    inferred: bool = False
    halves: int = 1
    strips_per_load: int = 1


@dataclass(frozen=True)
class Layer:
    """A convolution of a network at batch size `batch`; channels and filters are those of one group.

    `zeros` is the measured share of zeros in its input. `published` follows METRICS.
    """

    network: str
    name: str
    batch: int
    extent: int  # output rows and columns
    taps: int
    channels: int
    filters: int
    stride: int
    padding: int
    groups: int
    pooled: bool  # a pooling follows
    zeros: float
    placement: Placement
    published: tuple[float, ...]

    @property
    def input_extent(self) -> int:
        """Return the input's rows and columns, without padding."""
        return (self.extent - 1) * self.stride + self.taps - 2 * self.padding

    @property
    def macs(self) -> int:
        """Return the multiply-accumulates of the batch."""
        return self.batch * self.groups * self.filters * self.channels * (self.extent * self.taps) ** 2


def _alexnet(
    name: str, shape: tuple[int, ...], zeros: float, pooled: bool, placed: Placement, published: tuple[float, ...]
) -> Layer:
    extent, taps, channels, filters, stride, padding, groups = shape
    return Layer(
        "AlexNet", name, 4, extent, taps, channels, filters, stride, padding, groups, pooled, zeros / 100, placed,
        published,
    )


def _vgg(
    name: str, channels: int, filters: int, extent: int, zeros: float, published: tuple[float, ...],
    pooled: bool = False,
) -> Layer:
    placed = _VGG[extent]
    return Layer("VGG-16", name, 3, extent, 3, channels, filters, 1, 1, 1, pooled, zeros / 100, placed, published)


# e, p, q, r, t, and the whole kernel. AlexNet's are published (JSSC 52(1) 2017, Table III).
_CONV1 = Placement(96, 1, Mapping(7, 16, 1, 1, 2, 11, 11))
_CONV2 = Placement(64, 1, Mapping(27, 16, 2, 1, 1, 5, 5))
_CONV3 = Placement(64, 4, Mapping(13, 16, 4, 1, 4, 3, 3))
_CONV4 = Placement(64, 4, Mapping(13, 16, 3, 2, 2, 3, 3))

# VGG-16's are not; these agree with the active PEs, the passes that the buffer's traffic shows, the traffic to DRAM,
# and a buffer of 25 banks of 4 kB: m x rows x columns sums of 2 bytes beside two sets of a pass's inputs.
_VGG = {
    224: Placement(32, 1, Mapping(13, 8, 1, 1, 4, 3, 3), inferred=True, halves=2),
    112: Placement(32, 1, Mapping(13, 8, 1, 1, 4, 3, 3), inferred=True),
    56: Placement(64, 1, Mapping(13, 16, 2, 1, 4, 3, 3), inferred=True),
    28: Placement(32, 1, Mapping(14, 16, 2, 2, 2, 3, 3), inferred=True, strips_per_load=2),
    14: Placement(64, 3, Mapping(14, 16, 4, 2, 2, 3, 3), inferred=True),
}

LAYERS = (
    # Output, kernel, channels, filters, stride, padding, groups (VGG-16: channels, filters, output); zeros; measured:
    # processing and total latency (ms), active PEs, traffic of global buffer and DRAM (MB), power (mW).
    # JSSC 52(1) 2017, Tables V and VI: 1.0 V, core at 200 MHz, link at 60 MHz.
    _alexnet("CONV1", (55, 11, 3, 96, 4, 0, 1), 0.01, True, _CONV1, (16.5, 20.9, 154, 18.5, 5.0, 332)),
    _alexnet("CONV2", (27, 5, 48, 128, 1, 2, 2), 38.7, True, _CONV2, (39.2, 41.9, 135, 77.6, 4.0, 288)),
    _alexnet("CONV3", (13, 3, 256, 384, 1, 1, 1), 72.5, False, _CONV3, (21.8, 23.6, 156, 50.2, 3.0, 266)),
    _alexnet("CONV4", (13, 3, 192, 192, 1, 1, 2), 79.3, False, _CONV4, (16.0, 18.4, 156, 37.4, 2.1, 235)),
    _alexnet("CONV5", (13, 3, 192, 128, 1, 1, 2), 77.6, True, _CONV4, (10.0, 10.5, 156, 24.9, 1.3, 236)),
    _vgg("CONV1-1", 3, 64, 224, 1.6, (38.0, 76.2, 156, 112.6, 15.4, 247)),
    _vgg("CONV1-2", 64, 64, 224, 47.7, (810.6, 910.3, 156, 2402.8, 54.0, 218), pooled=True),
    _vgg("CONV2-1", 64, 128, 112, 24.8, (405.3, 470.3, 156, 1201.4, 33.4, 242)),
    _vgg("CONV2-2", 128, 128, 112, 38.7, (810.8, 894.3, 156, 2402.8, 48.5, 231), pooled=True),
    _vgg("CONV3-1", 128, 256, 56, 39.7, (204.0, 241.1, 156, 607.4, 20.2, 254)),
    _vgg("CONV3-2", 256, 256, 56, 58.1, (408.1, 460.9, 156, 1214.8, 32.2, 235)),
    _vgg("CONV3-3", 256, 256, 56, 58.7, (408.1, 457.7, 156, 1214.8, 30.8, 233), pooled=True),
    _vgg("CONV4-1", 256, 512, 28, 64.3, (105.1, 135.8, 168, 321.8, 17.8, 278)),
    _vgg("CONV4-2", 512, 512, 28, 74.7, (210.0, 254.8, 168, 643.7, 28.6, 261)),
    _vgg("CONV4-3", 512, 512, 28, 85.4, (210.0, 246.3, 168, 643.7, 22.8, 240), pooled=True),
    _vgg("CONV5-1", 512, 512, 14, 79.4, (48.3, 54.3, 168, 90.0, 6.3, 258)),
    _vgg("CONV5-2", 512, 512, 14, 87.4, (48.5, 53.7, 168, 90.0, 5.7, 236)),
    _vgg("CONV5-3", 512, 512, 14, 88.5, (48.5, 53.7, 168, 90.0, 5.6, 230), pooled=True),
)
