"""Every fast kernel on 16-bit operands equals its plain definition, byte for byte, over many random operands."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from accelc.errors import IsaError
from accelc.isa import Instruction, Memory, by_name, make
from accelc.sim import dispatch

ACT, WGT, ACC, DRAM = 8000, 24000, 4000, 64
Rng = np.random.Generator
Operands = dict[str, Any]
KINDS = ("random", "low", "high", "near")


def memory(rng: Rng, kind: str) -> Memory:
    """Return small memories of random int16, of the least, of the greatest, or of small ones; sums likewise."""
    low, high = {"low": (-32768, -32767), "high": (32767, 32768), "near": (-300, 300)}.get(kind, (-32768, 32768))
    sums = rng.integers(-400, 400, ACC // 2) if kind == "near" else rng.integers(-(1 << 63), (1 << 63) - 1, ACC // 2)
    return Memory(
        np.zeros(DRAM, np.uint8),
        rng.integers(low, high, ACT // 2).astype(np.int16).view(np.uint8),
        rng.integers(low, high, WGT // 2).astype(np.int16).view(np.int8),
        sums.astype(np.int64).view(np.int32),
    )


def hold(name: str, draw: Callable[[Rng, Memory], Operands], count: int = 120) -> None:
    """Run both forms on `count` random cases; each kind of memory comes equally often."""
    made = by_name(name)
    kernel = _entry(made)
    rng = np.random.default_rng(16)
    for case in range(count):
        m = memory(rng, KINDS[case % len(KINDS)])
        check(made, kernel, m, draw(rng, m))


def _entry(made: Instruction) -> Callable[..., Any]:
    """Return the kernel as a function that Python may call, compiled once."""
    real = [f.operand.real for f in made.fields]
    kernel = getattr(dispatch, made.name)
    assert callable(kernel)
    return lambda m, *values: kernel(m, *(np.float32(v) if r else v for r, v in zip(real, values, strict=True)))


def check(made: Instruction, kernel: Callable[..., Any], m: Memory, operands: Operands) -> None:
    """Compare all memories after both forms; the operands must be legal."""
    make(made, None, **operands)
    plain, fast = (Memory(*(a.copy() for a in m)) for _ in range(2))
    made.action(plain, **operands)
    kernel(fast, *(operands[f.name] for f in made.fields))
    for name, want, got in zip(Memory._fields, plain, fast, strict=True):
        np.testing.assert_array_equal(got, want, err_msg=f"{made.name} {name} {operands}")


def whole(rng: Rng, low: int, high: int) -> int:
    return int(rng.integers(low, high + 1))


def scale(rng: Rng) -> float:
    return float(np.float32(rng.choice([1e-9, 0.0003, 0.0117, 0.5, 1.0, 3.7, 1e4])))


def clamp(rng: Rng) -> Operands:
    low = int(rng.choice([-32768, -100, 0]))
    return {"low": low, "high": int(rng.choice([32767, 100, 5]))}


def test_conv16() -> None:
    """Pixels apart and adjoining, merged taps, groups, accumulation, and sums that wrap at 64 bits."""

    def draw(rng: Rng, _: Memory) -> Operands:
        rows, cols = ((1, 1), (1, 5), (2, 3), (3, 1))[whole(rng, 0, 3)]
        taps_y, taps_x, depth = whole(rng, 1, 3), whole(rng, 1, 3), 2 * whole(rng, 1, 4)
        n, groups = 16 * whole(rng, 1, 2), whole(rng, 1, 2)
        act_col = int(rng.choice([2 * depth, 2 * depth * groups, 4, 2 * depth + 6]))
        return {
            "act": 2 * whole(rng, 0, 20), "act_row": 2 * whole(rng, 0, 40), "act_col": act_col, "rows": rows,
            "cols": cols, "taps_y": taps_y, "taps_x": taps_x, "depth": depth,
            "tap_row": 2 * whole(rng, 0, 30), "tap_col": int(rng.choice([2 * depth, act_col, 0])),
            "wgt": 2 * whole(rng, 0, 50), "acc": 2 * whole(rng, 0, 4), "acc_col": 2 * (groups * n + whole(rng, 0, 2)),
            "n": n, "accumulate": whole(rng, 0, 1), "dataflow": whole(rng, 0, 5), "groups": groups,
            "act_group": 2 * depth,
        }  # fmt: skip

    hold("conv16", draw, 48)


@pytest.mark.parametrize("depth", [2, 254, 256, 258, 512, 514, 1030])
@pytest.mark.parametrize("taps", [1, 3])
def test_conv16_sums_of_extremes_are_exact(depth: int, taps: int) -> None:
    """However deep, and whatever byte of an activation is full: the sums are those of 64-bit integers."""
    rng = np.random.default_rng(depth)
    conv16 = by_name("conv16")
    kernel = _entry(conv16)
    for value, weight in itertools.product((-32768, -32513, -256, -1, 255, 32512, 32767), (-32768, -1, 32767)):
        act = np.full((1, 5, taps * depth), value, np.int16)
        act[0, 3] = rng.choice([-32768, 255, 32767], taps * depth)
        w = np.full((48, taps * depth), weight, np.int16)
        w[17] = rng.choice([-32768, 32767], taps * depth)
        packed = np.ascontiguousarray(w.reshape(3, 16, taps * depth // 2, 2).transpose(0, 2, 1, 3))
        before = rng.integers(-(1 << 40), 1 << 40, 5 * 48)
        bytes_of = act.reshape(-1).view(np.uint8), packed.reshape(-1).view(np.int8)
        m = Memory(np.zeros(8, np.uint8), *bytes_of, before.copy().view(np.int32))
        operands = {"rows": 1, "cols": 5, "taps_y": 1, "taps_x": taps, "depth": depth, "tap_col": 2 * depth}
        operands |= {"act_row": 10 * taps * depth, "act_col": 2 * taps * depth, "acc_col": 96, "n": 48}
        operands |= {"accumulate": 1, "groups": 1}
        values = {f.name: operands.get(f.name, 0) for f in conv16.fields}
        make(conv16, None, **values)
        kernel(m, *values.values())
        want = before.reshape(5, 48) + act[0].astype(np.int64) @ w.T.astype(np.int64)
        np.testing.assert_array_equal(m.acc.view(np.int64).reshape(5, 48), want, err_msg=f"{value} {weight}")


def test_depthwise16() -> None:
    """Any number of channels and taps."""

    def draw(rng: Rng, _: Memory) -> Operands:
        n, cols = whole(rng, 1, 40), whole(rng, 1, 3)
        act_col = 2 * (n + whole(rng, 0, 2))
        return {
            "act": 2 * whole(rng, 0, 9), "act_row": act_col * (cols + 2), "act_col": act_col,
            "rows": whole(rng, 1, 3), "cols": cols, "taps_y": whole(rng, 1, 3), "taps_x": whole(rng, 1, 3),
            "tap_row": act_col * (cols + 2), "tap_col": act_col, "wgt": 2 * whole(rng, 0, 9),
            "acc": 2 * whole(rng, 0, 9), "acc_col": 2 * (n + whole(rng, 0, 2)), "n": n, "dataflow": whole(rng, 0, 5),
        }  # fmt: skip

    hold("depthwise16", draw)


def test_requantize16() -> None:
    """Sums that wrap with the bias, beyond 2**53 and on ties; any clamp."""

    def draw(rng: Rng, m: Memory) -> Operands:
        n, params = whole(rng, 1, 40), 8 * whole(rng, 0, 3)
        bias = rng.integers(-(1 << 62), 1 << 62, n) if whole(rng, 0, 1) else rng.integers(-50, 50, n)
        m.wgt[params : params + 8 * n] = bias.view(np.int8)
        scales = rng.choice([0.5, 1.0, 1e-15, 3e-18, 0.25], n).astype(np.float32)
        m.wgt[params + 8 * n : params + 12 * n] = scales.view(np.int8)
        return {
            "acc": 2 * whole(rng, 0, 9), "acc_col": 2 * (n + whole(rng, 0, 2)), "dst": 2 * whole(rng, 0, 9),
            "dst_col": 2 * (n + whole(rng, 0, 2)), "pixels": whole(rng, 1, 4), "n": n, "params": params, **clamp(rng),
        }  # fmt: skip

    hold("requantize16", draw)


def pair(rng: Rng) -> Operands:
    """Return tiles that overlap the result in every way, or one row of b for every pixel."""
    n = int(rng.choice([1, 3, 16, 63, 64, 65, 130]))
    a = 2 * whole(rng, 0, 5)
    return {
        "a": a, "a_col": 2 * (n + whole(rng, 0, 2)), "b": int(rng.choice([0, 1400, 3000])),
        "b_col": int(rng.choice([0, 2 * n, 2 * n + 2])),
        "dst": int(rng.choice([a, a + 2, a + 30, a + 126, a + 128, 0, 5000])), "dst_col": 2 * (n + whole(rng, 0, 2)),
        "pixels": whole(rng, 1, 4), "n": n,
    }  # fmt: skip


def one(rng: Rng) -> Operands:
    """Return the operands of an instruction of one tile, from those of two."""
    p = pair(rng)
    return {"src": p["a"], "src_col": p["a_col"], **{k: p[k] for k in ("dst", "dst_col", "pixels", "n")}}


def test_add16() -> None:
    """One rounding of the product of b, one of the fma."""
    hold("add16", lambda rng, _: pair(rng) | {"scale_a": scale(rng), "scale_b": -scale(rng)} | clamp(rng), 60)


def test_mul16() -> None:
    """An exact product, one float64 product, one rounding."""
    hold("mul16", lambda rng, _: pair(rng) | {"scale": scale(rng) / 1024} | clamp(rng))


def test_lines16() -> None:
    """Both sides of zero, one line for all channels or one for each."""

    def draw(rng: Rng, m: Memory) -> Operands:
        m.wgt[8 : 8 + 12 * 130] = rng.uniform(-2, 2, 390).astype(np.float32).view(np.int8)
        return one(rng) | {"params": 8, "per_channel": whole(rng, 0, 1)} | clamp(rng)

    hold("lines16", draw)


def test_curve16() -> None:
    """Corners and what lies between them, at both ends of the range."""

    def draw(rng: Rng, m: Memory) -> Operands:
        m.wgt[4:1032] = rng.integers(-(1 << 23), 1 << 23, 257).astype(np.int32).view(np.int8)
        return one(rng) | {"table": 4} | clamp(rng)

    hold("curve16", draw)


def window(rng: Rng) -> Operands:
    n, in_rows, in_cols = whole(rng, 1, 40), whole(rng, 1, 4), whole(rng, 1, 5)
    return {
        "src": 2 * whole(rng, 0, 9), "src_row": 2 * in_cols * (n + 1), "src_col": 2 * (n + 1), "in_rows": in_rows,
        "in_cols": in_cols, "rows": whole(rng, 1, 3), "cols": whole(rng, 1, 3), "top": whole(rng, -2, 3),
        "left": whole(rng, -2, 3), "kernel_y": whole(rng, 1, 3), "kernel_x": whole(rng, 1, 3),
        "stride_y": whole(rng, 1, 2), "stride_x": whole(rng, 1, 3), "dilation_y": whole(rng, 1, 2),
        "dilation_x": whole(rng, 1, 2), "n": n, "dst": 4000, "dst_col": 2 * (n + whole(rng, 0, 2)),
    }  # fmt: skip


def test_max_pool16() -> None:
    """Windows inside, across and outside the tile."""
    hold("max_pool16", lambda rng, _: window(rng))


def test_avg_pool16() -> None:
    """Sums in the order of the window, counts with and without the frame."""

    def draw(rng: Rng, _: Memory) -> Operands:
        frame = {"bottom": whole(rng, -1, 2), "right": whole(rng, 0, 2)}
        return window(rng) | frame | {"scale_src": scale(rng), "scale_dst": scale(rng)}

    hold("avg_pool16", draw)


def test_mean16() -> None:
    """An exact sum, one product, one rounding."""

    def draw(rng: Rng, _: Memory) -> Operands:
        n = whole(rng, 1, 60)
        small = float(np.float32(scale(rng) / 100))
        return {"src": 4, "src_col": 2 * n, "pixels": whole(rng, 1, 30), "n": n, "dst": 5000, "scale": small}

    hold("mean16", draw)


def test_softmax16() -> None:
    """Ties, single winners and distances whose exponential vanishes."""

    def draw(rng: Rng, _: Memory) -> Operands:
        n = whole(rng, 1, 100)
        scales = {"scale_src": float(np.float32(scale(rng) / 100)), "scale_dst": 2.0**-15}
        return {"src": 2, "src_col": 2 * n, "dst": 4000, "dst_col": 2 * n + 2, "pixels": 2, "n": n} | scales

    hold("softmax16", draw)


def test_lrn16() -> None:
    """Windows wider than the tile; sums of squares beyond 32 bits; a bias of zero with a sum of zero."""

    def draw(rng: Rng, _: Memory) -> Operands:
        n, exponent = whole(rng, 1, 40), float(rng.choice([-0.75, -0.5, 0.0, 2.5, -9.0]))
        tile = {"src": 2, "src_col": 2 * n, "dst": 4000, "dst_col": 2 * n, "pixels": 2, "n": n}
        bias = 2.0 if exponent < -1 or n % 2 else 0.0
        base = {"square_scale": scale(rng) / 2**40, "bias": bias, "exponent": exponent}
        more = {"scale_src": scale(rng), "scale_dst": 0.5}
        return tile | {"before": whole(rng, 0, 5), "after": whole(rng, 0, 50)} | base | more

    hold("lrn16", draw)


@pytest.mark.parametrize(
    ("name", "operand", "value", "message"),
    [
        ("conv16", "depth", 3, "multiple of 2"),
        ("conv16", "act_col", 7, "act_col=7 must be even"),
        ("conv16", "acc_col", 30, "2\\*groups\\*n=32"),
        ("conv16", "acc", 3, "acc=3 must be even"),
        ("conv16", "n", 24, "multiple of 16"),
        ("conv16", "dataflow", 7, "dataflow=7"),
    ],
)
def test_illegal_operands_are_named(name: str, operand: str, value: int, message: str) -> None:
    """Odd addresses, odd depths and overlapping sums are refused."""
    operands = dict.fromkeys((f.name for f in by_name(name).fields), 0)
    operands |= {"rows": 1, "cols": 2, "taps_y": 1, "taps_x": 1, "depth": 2, "acc_col": 32, "n": 16, "groups": 1}
    with pytest.raises(IsaError, match=message):
        make(by_name(name), None, **operands | {operand: value})
