"""How fast the simulator's kernels execute tiles: a table of GMAC/s or Gelement/s, best of several rounds, one thread.

Run: python benchmarks/kernels.py [conv] [vector]
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from accelc.isa import Memory, by_name
from accelc.sim import dispatch

ROUNDS = 7
ROUND_SECONDS = 0.02

# rows, cols, taps, stride, depth, n: tiles of ResNet-50 whose inputs take at most 256 KiB and sums at most 128 KiB.
CONVS = {
    "7x7/2 4->64 @112 (4 channels a pixel)": (4, 112, 7, 2, 4, 64),
    "1x1 64->64 @56": (9, 56, 1, 1, 64, 64),
    "3x3 64->64 @56": (9, 56, 3, 1, 64, 64),
    "1x1 64->256 @56": (2, 56, 1, 1, 64, 256),
    "1x1 256->64 @56": (9, 56, 1, 1, 256, 64),
    "3x3/2 128->128 @28": (9, 28, 3, 2, 128, 128),
    "3x3 128->128 @28": (9, 28, 3, 1, 128, 128),
    "1x1 128->512 @28": (2, 28, 1, 1, 128, 512),
    "1x1 512->128 @28": (9, 28, 1, 1, 512, 128),
    "3x3 256->128 @14": (14, 14, 3, 1, 256, 128),
    "1x1 256->128 @14": (14, 14, 1, 1, 256, 128),
    "1x1 1024->128 @14": (14, 14, 1, 1, 1024, 128),
    "3x3 512->96 @7": (7, 7, 3, 1, 512, 96),
    "1x1 512->512 @7": (7, 7, 1, 1, 512, 512),
    "1x1 2048->224 @7": (7, 7, 1, 1, 2048, 224),
    "fully connected 4096->112": (1, 1, 1, 1, 4096, 112),
}


def memory() -> Memory:
    """Return buffers of an edge chip's sizes, full of random bytes."""
    rng = np.random.default_rng(0)
    return Memory(
        rng.integers(0, 256, 1 << 20, dtype=np.uint8),
        rng.integers(0, 256, 1 << 19, dtype=np.uint8),
        rng.integers(-128, 128, 1 << 19).astype(np.int8),
        rng.integers(-9999, 9999, 1 << 15).astype(np.int32),
    )


def seconds(call: Callable[[], Any]) -> float:
    """Return the shortest time of a call over rounds of many calls."""
    call()
    best, count = float("inf"), 1
    for _ in range(ROUNDS):
        start = time.perf_counter()
        for _ in range(count):
            call()
        taken = (time.perf_counter() - start) / count
        best = min(best, taken)
        count = max(1, int(ROUND_SECONDS / max(taken, 1e-9)))
    return best


def run(name: str, m: Memory, values: dict[str, Any]) -> float:
    """Return the seconds of one instruction; operands that are not given are 0."""
    fields = by_name(name).fields
    kind = {f.name: np.float32 if f.operand.real else int for f in fields}
    operands = [kind[f.name](values.get(f.name, 0)) for f in fields]
    kernel = getattr(dispatch, name)
    return seconds(lambda: kernel(m, *operands))


def conv_table(m: Memory) -> None:
    """Print the rate of every tile, and of ResNet-50's mix: total products over total time."""
    products, spent = 0, 0.0
    for name, (rows, cols, taps, stride, depth, n) in CONVS.items():
        line = (stride * (cols - 1) + taps) * depth
        shape = {"rows": rows, "cols": cols, "taps_y": taps, "taps_x": taps, "depth": depth, "n": n, "groups": 1}
        steps = {"act_row": stride * line, "act_col": stride * depth, "tap_row": line, "tap_col": depth, "acc_col": n}
        assert line * (stride * (rows - 1) + taps) <= m.act.size
        assert rows * cols * n <= m.acc.size
        taken = run("conv", m, shape | steps)
        macs = rows * cols * taps * taps * depth * n
        products, spent = products + macs, spent + taken
        print(f"conv  {name:40s} {taken * 1e6:8.1f} us {macs / taken / 1e9:7.0f} GMAC/s")
    print(f"conv  {'all':40s} {spent * 1e6:8.1f} us {products / spent / 1e9:7.0f} GMAC/s")


TILE = {"pixels": 448, "n": 64, "acc_col": 64, "dst_col": 64, "src_col": 64, "a_col": 64, "b_col": 64}
ONES = {"scale_a": 0.5, "scale_b": 0.25, "scale": 0.01, "scale_src": 0.5, "scale_dst": 0.5, "high": 255}
WINDOW = {"src_row": 58 * 64, "in_rows": 18, "in_cols": 58, "rows": 8, "cols": 28, "stride_y": 2, "stride_x": 2}
POOL = WINDOW | {"kernel_y": 3, "kernel_x": 3, "dilation_y": 1, "dilation_x": 1}
VECTORS: dict[str, tuple[str, dict[str, Any], int]] = {
    "requantize": ("requantize", {}, 448 * 64),
    "requantize_fixed": ("requantize_fixed", {}, 448 * 64),
    "drain": ("drain", {"dst_col": 256}, 448 * 64),
    "add": ("add", {"b": 1 << 16, "dst": 1 << 17}, 448 * 64),
    "add in place": ("add", {"b": 1 << 16}, 448 * 64),
    "mul": ("mul", {"b": 1 << 16, "dst": 1 << 17}, 448 * 64),
    "lookup": ("lookup", {"dst": 1 << 17}, 448 * 64),
    "max_pool 3x3/2": ("max_pool", POOL | {"dst": 1 << 17}, 224 * 64),
    "avg_pool 3x3/2": ("avg_pool", POOL | {"dst": 1 << 17}, 224 * 64),
    "mean 7x7x2048 (inputs)": ("mean", {"src_col": 2048, "pixels": 49, "n": 2048, "dst": 1 << 17}, 49 * 2048),
    "softmax 1000": ("softmax", {"pixels": 1, "n": 1000, "dst": 1 << 17}, 1000),
    "lrn 5": (
        "lrn",
        {"before": 2, "after": 2, "square_scale": 1e-4, "bias": 1, "exponent": -0.75, "dst": 1 << 17},
        448 * 64,
    ),
    "load padded rows": (
        "load",
        {"rows": 14, "cols": 56, "bytes": 64, "src_row": 3584, "src_col": 64, "dst_row": 3712, "dst_col": 64}
        | {"pad_top": 1, "pad_left": 1, "pad_bottom": 1, "pad_right": 1},
        14 * 56 * 64,
    ),
    "load 3 bytes to a pitch of 4": (
        "load",
        {"rows": 14, "cols": 224, "bytes": 3, "src_row": 672, "src_col": 3, "dst_row": 896, "dst_col": 4},
        14 * 224 * 3,
    ),
    "depthwise 3x3 (products)": (
        "depthwise",
        {"act_row": 58 * 64, "act_col": 64, "rows": 8, "cols": 56, "taps_y": 3, "taps_x": 3}
        | {"tap_row": 58 * 64, "tap_col": 64},
        448 * 64 * 9,
    ),
}


def vector_table(m: Memory) -> None:
    """Print the rate of the other instructions."""
    for label, (name, values, count) in VECTORS.items():
        taken = run(name, m, TILE | ONES | values)
        print(f"{label:46s} {taken * 1e6:8.1f} us {count / taken / 1e9:7.2f} G/s")


def main() -> None:
    """Print the tables asked for, or both."""
    wanted = sys.argv[1:] or ["conv", "vector"]
    m = memory()
    if "conv" in wanted:
        conv_table(m)
    if "vector" in wanted:
        vector_table(m)


if __name__ == "__main__":
    main()
