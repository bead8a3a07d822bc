"""Programs made by hand for tests of the machine."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from accelc.chip import Chip, load_chip
from accelc.isa import Word, control, dma, encode, mac, make, vector
from accelc.program import LayerInfo, Port, Program

Array = npt.NDArray[Any]


def pack_weights(w: Array) -> npt.NDArray[np.int8]:
    """Return [outputs, inputs, taps_y, taps_x] weights as blocks [outputs/16][taps][inputs/4][16][4]."""
    n, depth, ky, kx = w.shape
    blocks = w.reshape(n // 16, 16, depth // 4, 4, ky * kx)
    return np.ascontiguousarray(blocks.transpose(0, 4, 2, 1, 3)).astype(np.int8)


def conv_program(w: Array, scale: float, side: int, chip: Chip | None = None, **changes: int) -> Program:
    """Return a 3x3 convolution with padding 1 of an int8 map; `changes` replaces operands of the store."""
    chip = chip or load_chip("edge")
    n, c = w.shape[:2]
    packed = pack_weights(w)
    bias = (-128 * w.astype(np.int64).sum((1, 2, 3))).astype(np.int32)
    parts = (packed, bias, np.full(n, scale, np.float32))
    constants = np.concatenate([p.view(np.uint8).ravel() for p in parts])
    x = Port("x", (1, c, side, side), "int8", "int8", 1.0, 0, -(-constants.size // 64) * 64, (1, side, side, c), c)
    y = Port("y", (1, n, side, side), "float32", "int8", 0.5, 0, x.address + x.bytes, (1, side, side, n), n)
    words = _conv_words(constants.size, packed.size, x, y, chip.timing.act_bytes // 4, changes)
    layer = LayerInfo("conv1", "conv", ("conv1",), 0, "ws", {}, 0, 0)
    return Program(
        "one conv", chip.name, chip.fingerprint, encode(words), constants, y.address + y.bytes, (x,), (y,), (layer,),
        np.zeros(len(words), np.int32),
    )  # fmt: skip


def _conv_words(constants: int, params: int, x: Port, y: Port, out: int, changes: dict[str, int]) -> list[Word]:
    side, c, n = x.extents[1], x.extents[3], y.extents[3]
    line, at = (side + 2) * c, out * 2
    whole = {"dst": y.address, "src": out, "rows": side, "cols": side, "bytes": n, "dst_row": side * n}
    whole |= {"src_row": side * n, "dst_col": n, "src_col": n}
    return [
        make(
            dma.load, src=x.address, dst=0, rows=side, cols=side, bytes=c, pad_value=128, src_row=side * c,
            dst_row=line, src_col=c, dst_col=c, pad_top=1, pad_left=1, pad_bottom=1, pad_right=1,
        ),
        make(dma.load_weights, src=0, dst=at, bytes=constants),
        make(
            mac.conv, act=0, act_row=line, act_col=c, rows=side, cols=side, taps_y=3, taps_x=3, depth=c, tap_row=line,
            tap_col=c, wgt=at, acc=0, acc_col=n, n=n, accumulate=0, dataflow=0, groups=1, act_group=0,
        ),
        make(
            vector.requantize, acc=0, acc_col=n, dst=out, dst_col=n, pixels=side * side, n=n, params=at + params,
            zero_point=128, low=0, high=255,
        ),
        make(dma.store, **(whole | changes)),
        make(control.halt),
    ]  # fmt: skip


def conv_by_numpy(w: Array, scale: float, x: Array) -> npt.NDArray[np.int8]:
    """Return the same convolution by einsum in int64 and one float32 product."""
    side = x.shape[-1]
    padded = np.pad(x[0].astype(np.int64), ((0, 0), (1, 1), (1, 1)))
    total = np.zeros((len(w), side, side), np.int64)
    for a in range(3):
        for b in range(3):
            total += np.einsum("oc,chw->ohw", w[:, :, a, b].astype(np.int64), padded[:, a : a + side, b : b + side])
    real = np.clip(total.astype(np.float32) * np.float32(scale), np.float32(-128), np.float32(127))
    return np.rint(real).astype(np.int8)[None]
