"""Every fast kernel equals its plain definition: the same memories after the same operands, byte for byte."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from accelc import arithmetic
from accelc.isa import Instruction, Memory, by_name, normalize
from accelc.sim import dispatch

ACT, WGT, ACC, DRAM = 6000, 20000, 3000, 6000
Draw = Callable[[st.SearchStrategy[Any]], Any]
Operands = dict[str, Any]


def memory(seed: int, kind: str = "random") -> Memory:
    """Return small memories full of random bytes, or of the bytes whose products are extreme."""
    rng = np.random.default_rng(seed)
    act = {"low": (0, 1), "high": (255, 256)}.get(kind, (0, 256))
    wgt = {"low": (-128, -127), "high": (-128, -127)}.get(kind, (-128, 128))
    return Memory(
        rng.integers(0, 256, DRAM, dtype=np.uint8),
        rng.integers(*act, ACT).astype(np.uint8),
        rng.integers(*wgt, WGT).astype(np.int8),
        rng.integers(-(1 << 31), 1 << 31, ACC).astype(np.int32),
    )


def check(made: Instruction, m: Memory, operands: Operands) -> None:
    """Run both forms on copies and compare all memories; the operands must be legal and inside."""
    rule = made.clauses["rule"](**{n: operands[n] for n in made.operand_names("rule")})
    if rule:
        pytest.fail(f"the test drew illegal operands: {rule}")
    plain, fast = (Memory(*(a.copy() for a in m)) for _ in range(2))
    real = {f.name for f in made.fields if f.operand.real}
    made.action(plain, **operands)
    values = (np.float32(operands[f.name]) if f.name in real else operands[f.name] for f in made.fields)
    getattr(dispatch, made.name)(fast, *values)
    for name, want, got in zip(Memory._fields, plain, fast, strict=True):
        np.testing.assert_array_equal(got, want, err_msg=f"{made.name} {name} {operands}")


def small(low: int, high: int) -> st.SearchStrategy[int]:
    return st.integers(low, high)


KINDS = st.sampled_from(["random", "low", "high"])
SCALES = st.sampled_from([1e-9, 0.0003, 0.0117, 0.5, 1.0, 3.7, 1e4]).map(lambda v: float(np.float32(v)))
cases = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@st.composite
def convs(draw: Draw) -> Operands:
    rows, cols = draw(st.sampled_from([(1, 1), (1, 9), (2, 3), (3, 1), (5, 2), (1, 17), (2, 8)]))
    taps_y, taps_x = draw(small(1, 3)), draw(small(1, 3))
    depth, n, groups = 4 * draw(small(1, 5)), 16 * draw(small(1, 3)), draw(small(1, 2))
    act_col = draw(st.sampled_from([depth, depth * groups, 4, depth + 3]))
    act_row = draw(st.sampled_from([cols * act_col, (cols + taps_x - 1) * act_col, 0, 61]))
    tap_col = draw(st.sampled_from([depth, act_col, 0, 7]))
    return {
        "act": draw(small(0, 50)), "act_row": act_row, "act_col": act_col, "rows": rows, "cols": cols,
        "taps_y": taps_y, "taps_x": taps_x, "depth": depth, "tap_col": tap_col,
        "tap_row": draw(st.sampled_from([act_row, depth, depth * taps_x])),
        "wgt": draw(small(0, 200)), "acc": draw(small(0, 9)),
        "acc_col": groups * n + draw(st.sampled_from([0, 0, 5])), "n": n, "accumulate": draw(small(0, 1)),
        "dataflow": 0, "groups": groups, "act_group": depth,
    }  # fmt: skip


@cases
@given(convs(), KINDS)
def test_conv(operands: Operands, kind: str) -> None:
    """Strips, odd blocks, merged taps and lines, groups, accumulation, and a sum that wraps."""
    check(by_name("conv"), memory(1, kind), operands)


@pytest.mark.parametrize("kind", ["low", "high", "random"])
def test_conv_of_the_deepest_tile(kind: str) -> None:
    """255 x -128 over the largest depth a word can state never saturates on the way."""
    m = memory(2, kind)
    depth = 65532
    deep = m._replace(
        act=np.resize(m.act, depth), wgt=np.resize(m.wgt, depth * 16), acc=m.acc[:16].copy()
    )
    operands = dict.fromkeys((f.name for f in by_name("conv").fields), 0)
    operands |= {"rows": 1, "cols": 1, "taps_y": 1, "taps_x": 1, "depth": depth, "acc_col": 16, "n": 16, "groups": 1}
    check(by_name("conv"), deep, operands | {"tap_col": 4})


@st.composite
def depthwises(draw: Draw) -> Operands:
    n, rows, cols = draw(small(1, 70)), draw(small(1, 3)), draw(small(1, 4))
    act_col = n + draw(small(0, 3))
    act_row = act_col * (cols + 2)
    return {
        "act": draw(small(0, 9)), "act_row": act_row, "act_col": act_col, "rows": rows, "cols": cols,
        "taps_y": draw(small(1, 4)), "taps_x": draw(small(1, 3)), "tap_row": act_row, "tap_col": act_col,
        "wgt": draw(small(0, 9)), "acc": draw(small(0, 9)), "acc_col": n + draw(small(0, 2)), "n": n,
        "dataflow": draw(small(0, 5)),
    }  # fmt: skip


@cases
@given(depthwises(), KINDS)
def test_depthwise(operands: Operands, kind: str) -> None:
    """Any number of channels and taps."""
    check(by_name("depthwise"), memory(3, kind), operands)


@st.composite
def loads(draw: Draw) -> Operands:
    rows, cols, count = draw(small(1, 4)), draw(small(1, 4)), draw(small(1, 40))
    pads = {f"pad_{side}": draw(small(0, 2)) for side in ("top", "left", "bottom", "right")}
    dst_col = draw(st.sampled_from([count, count + 3]))
    src_col = draw(st.sampled_from([count, count + 5]))
    width = cols + pads["pad_left"] + pads["pad_right"]
    return {
        "src": draw(small(0, 9)), "dst": draw(small(0, 9)), "rows": rows, "cols": cols, "bytes": count,
        "pad_value": draw(small(0, 255)), "src_row": cols * src_col + draw(st.sampled_from([0, 4])),
        "dst_row": width * dst_col + draw(st.sampled_from([0, 4])), "src_col": src_col, "dst_col": dst_col, **pads,
    }  # fmt: skip


@cases
@given(loads())
def test_load(operands: Operands) -> None:
    """Padding frames, runs that merge and runs that do not; gaps stay as they were."""
    check(by_name("load"), memory(4), operands)


@cases
@given(loads())
def test_store(operands: Operands) -> None:
    """The same shapes the other way."""
    names = [f.name for f in by_name("store").fields]
    check(by_name("store"), memory(5), {name: operands[name] for name in names})


def test_load_weights() -> None:
    """Bytes arrive unchanged."""
    check(by_name("load_weights"), memory(6), {"src": 3, "dst": 5, "bytes": 901})


@st.composite
def requantizes(draw: Draw) -> Operands:
    n = draw(small(1, 40))
    return {
        "acc": draw(small(0, 9)), "acc_col": n + draw(small(0, 3)), "dst": draw(small(0, 9)),
        "dst_col": n + draw(small(0, 3)), "pixels": draw(small(1, 4)), "n": n, "params": 4 * draw(small(0, 3)),
        "zero_point": draw(small(0, 255)), "low": draw(small(0, 255)), "high": draw(small(0, 255)),
    }  # fmt: skip


@cases
@given(requantizes(), st.sampled_from([1e-9, 3e-9, 2e-7, 0.5, 1.0, 7.3]))
def test_requantize(operands: Operands, scale: float) -> None:
    """Sums that wrap, beyond 2**24 and on ties; any clamp, even an empty one."""
    m = memory(7)
    n, params = operands["n"], operands["params"]
    m.wgt[params + 4 * n : params + 8 * n] = np.full(n, scale, np.float32).view(np.int8)
    if scale >= 0.5:  # near zero, so that the result is not all clamped
        m.acc[:] %= 301
        m.wgt[params : params + 4 * n] = np.arange(-n, n, 2, dtype=np.int32).view(np.int8)
    check(by_name("requantize"), m, operands)


@cases
@given(requantizes(), st.lists(small(-34, 45), min_size=40, max_size=40), KINDS)
def test_requantize_fixed(operands: Operands, shifts: list[int], kind: str) -> None:
    """Every shift, also beyond the word's width; the most negative sum times the most negative multiplier."""
    m = memory(8)
    n, params = operands["n"], operands["params"]
    m.wgt[params + 8 * n : params + 12 * n] = np.array(shifts[:n], np.int32).view(np.int8)
    if kind != "random":
        m.acc[:] = -(1 << 31)
        m.wgt[params : params + 4 * n] = 0
        m.wgt[params + 4 * n : params + 8 * n] = np.full(n, -(1 << 31), np.int32).view(np.int8)
    check(by_name("requantize_fixed"), m, operands)


@cases
@given(requantizes())
def test_drain(operands: Operands) -> None:
    """Four bytes of each wrapped sum, at any address."""
    names = [f.name for f in by_name("drain").fields]
    check(by_name("drain"), memory(9), {k: operands[k] for k in names} | {"dst_col": 4 * operands["n"] + 1})


@pytest.mark.parametrize("ahead", [-4, 0, 4, 60, 64])
def test_drained_sums_may_overlap_their_bias(ahead: int) -> None:
    """In a unified scratchpad each sum takes the bias as the sums before it have left it."""
    made, filled = by_name("drain"), memory(19)
    operands = {"acc": 3, "acc_col": 50, "dst": 400 + ahead, "dst_col": 200, "pixels": 2, "n": 50, "params": 400}
    both = [Memory(filled.dram, act, act.view(np.int8), filled.acc) for act in (filled.act.copy(), filled.act.copy())]
    made.action(both[0], **operands)
    dispatch.drain(both[1], *(operands[f.name] for f in made.fields))
    np.testing.assert_array_equal(both[1].act, both[0].act)
    assert (both[0].act != filled.act).any()


@st.composite
def pairs(draw: Draw) -> Operands:
    n = draw(st.sampled_from([1, 3, 16, 63, 64, 65, 130]))
    a = draw(small(0, 9))
    return {
        "a": a, "a_col": n + draw(small(0, 2)), "b": draw(st.sampled_from([0, 700, 3000])),
        "b_col": draw(st.sampled_from([0, n, n + 1])),
        "dst": draw(st.sampled_from([a, a + 1, a + 63, a + 64, 0, 4500])),
        "dst_col": n + draw(small(0, 2)), "pixels": draw(small(1, 4)), "n": n, "excess_dst": draw(small(0, 255)),
        "low": draw(small(0, 255)), "high": draw(small(0, 255)),
    }  # fmt: skip


@cases
@given(pairs(), SCALES, SCALES, st.sampled_from([0.0, 0.5, -17.25, 1e9, -1e9]), small(0, 255), small(0, 128))
def test_add(operands: Operands, sa: float, sb: float, offset: float, xa: int, xb: int) -> None:
    """One rounding for each fma; tiles that overlap the result in every way; one row of b for all pixels."""
    more = {"scale_a": sa, "scale_b": -sb, "offset": offset, "excess_a": xa, "excess_b": xb}
    check(by_name("add"), memory(10), operands | more)


@cases
@given(pairs(), SCALES, st.sampled_from([0.0, 3.0, -1e9, 1e9]), small(0, 255), small(0, 255))
def test_mul(operands: Operands, scale: float, zero: float, za: int, zb: int) -> None:
    """Two roundings and no fma."""
    more = {"scale": scale, "zero_point": zero, "zero_a": za, "zero_b": zb}
    check(by_name("mul"), memory(11), operands | more)


@pytest.mark.parametrize("name", ["add", "mul"])
@pytest.mark.parametrize("ahead", [-1, 0, 1, 15, 63, 64])
@pytest.mark.parametrize("source", ["a", "b"])
def test_a_result_that_overlaps_an_operand(name: str, ahead: int, source: str) -> None:
    """Where the result lies a little ahead, each element sees those written before it."""
    fields = by_name(name).fields
    operands = {f.name: 1.0 if f.operand.real else 0 for f in fields}
    operands |= {"a": 3000, "b": 3000, "a_col": 200, "b_col": 200, "dst_col": 200, "pixels": 2, "n": 200, "high": 255}
    operands |= {source: 100, "dst": 100 + ahead}
    if name == "mul":
        operands["scale"] = 0.0078125
    check(by_name(name), memory(18), operands)


@cases
@given(pairs(), small(0, 1))
def test_lookup(operands: Operands, per_channel: int) -> None:
    """One table for all channels or one for each; in place too."""
    n = min(operands["n"], 64)
    taken = {"src": operands["a"], "src_col": operands["a_col"], "dst": operands["dst"], "dst_col": operands["dst_col"]}
    rest = {"pixels": operands["pixels"], "n": n, "table": 3, "per_channel": per_channel}
    check(by_name("lookup"), memory(12), taken | rest)


@st.composite
def windows(draw: Draw) -> Operands:
    n = draw(st.one_of(small(1, 70), st.sampled_from([32, 64])))  # whole vectors, too
    in_rows, in_cols = draw(small(1, 4)), draw(small(1, 5))
    return {
        "src": draw(small(0, 9)), "src_row": in_cols * (n + 1), "src_col": n + 1, "in_rows": in_rows,
        "in_cols": in_cols,
        "rows": draw(small(1, 3)), "cols": draw(small(1, 3)), "top": draw(small(-2, 3)), "left": draw(small(-2, 3)),
        "kernel_y": draw(small(1, 3)), "kernel_x": draw(small(1, 3)), "stride_y": draw(small(1, 2)),
        "stride_x": draw(small(1, 3)), "dilation_y": draw(small(1, 2)), "dilation_x": draw(small(1, 2)), "n": n,
        "dst": 3000, "dst_col": n + draw(small(0, 2)),
    }  # fmt: skip


@cases
@given(windows())
def test_max_pool(operands: Operands) -> None:
    """Windows inside, across and outside the tile."""
    check(by_name("max_pool"), memory(13), operands)


@cases
@given(windows(), small(-1, 2), small(0, 2), SCALES, SCALES, small(0, 255), small(0, 255), st.sampled_from([0, 128]))
def test_avg_pool(
    operands: Operands, bottom: int, right: int, source: float, target: float, zero_src: int, zero_dst: int, excess: int
) -> None:
    """Sums in the order of the window, counts with and without the frame."""
    more = {"bottom": bottom, "right": right, "scale_src": source, "scale_dst": target, "zero_src": zero_src}
    check(by_name("avg_pool"), memory(14), operands | more | {"zero_dst": zero_dst, "excess_dst": excess})


@cases
@given(small(1, 60), small(1, 70), SCALES, small(0, 255), small(0, 255), KINDS)
def test_mean(pixels: int, n: int, scale: float, zero_src: int, zero_dst: int, kind: str) -> None:
    """An exact sum, one product, one rounding."""
    operands = {"src": 4, "src_col": n, "pixels": pixels, "n": n, "dst": 5000}
    more = {"scale": scale / 100, "zero_src": zero_src, "zero_dst": zero_dst}
    more["scale"] = float(np.float32(more["scale"]))
    check(by_name("mean"), memory(15, kind), operands | more)


@cases
@given(small(1, 60), small(1, 70), small(0, (1 << 31) - 1), small(-31, 31), small(0, 255), small(0, 255), KINDS)
def test_mean_fixed(
    pixels: int, n: int, multiplier: int, shift: int, zero_src: int, zero_dst: int, kind: str
) -> None:
    """An exact sum, one multiplier and shift."""
    operands = {"src": 4, "src_col": n, "pixels": pixels, "n": n, "dst": 5000, "multiplier": multiplier}
    more = {"shift": shift, "zero_src": zero_src, "zero_dst": zero_dst}
    check(by_name("mean_fixed"), memory(15, kind), operands | more)


NORMS = {"src": 3, "dst": 3001}


@cases
@given(small(1, 3), small(1, 200), SCALES, small(0, 255), KINDS)
def test_softmax(pixels: int, n: int, scale: float, zero: int, kind: str) -> None:
    """Ties and single winners."""
    m = memory(16, kind)
    m.wgt[8:1032] = np.rint(1e6 * np.exp(-np.arange(256) * 0.07)).astype(np.int32).view(np.int8)
    operands = {"src_col": n, "dst_col": n + 1, "pixels": pixels, "n": n, "table": 8, "zero_dst": zero}
    check(by_name("softmax"), m, NORMS | operands | {"scale_dst": scale})


@cases
@given(
    small(1, 3), small(1, 70), small(0, 5), small(0, 80), SCALES, SCALES,
    st.sampled_from([-0.75, -0.5, 0.0, 2.5, -9.0]), small(0, 255), small(0, 255),
)  # fmt: skip
def test_lrn(
    pixels: int, n: int, before: int, after: int, square: float, scale: float, exponent: float, zero_src: int,
    zero_dst: int,
) -> None:
    """The power row's bits equal the scalar power's; windows wider than the tile; a bias of zero with a sum of zero."""
    operands = {"src_col": n, "dst_col": n, "pixels": pixels, "n": n, "before": before, "after": after}
    base = {"square_scale": square, "bias": 2.0 if exponent < -1 or n % 2 else 0.0, "exponent": exponent}
    more = {"scale_src": scale, "scale_dst": 0.5, "zero_src": zero_src, "zero_dst": zero_dst}
    check(by_name("lrn"), memory(17), NORMS | operands | base | more)


@given(st.floats(2.0**-100, 2.0**100, width=32), st.floats(-4, 4, width=32))
def test_the_power_of_the_definition_is_the_power_of_the_rule(t: float, exponent: float) -> None:
    """Written twice, so that the reference and the machine share no code; the bits must be equal."""
    assert normalize.power(t, exponent) == arithmetic.power(t, exponent)


def test_every_instruction_of_the_chip_has_a_test() -> None:
    """A new instruction cannot come without its equality test; `stream` has its own file, `sync` moves nothing."""
    from accelc.isa import TABLE, Queue
    from tests.sim import test_kernels_wide

    names = {one.name for one in TABLE.values() if one.queue not in (Queue.HOST, Queue.SYNC) and one.name != "stream"}
    assert names <= {name.removeprefix("test_") for name in (*globals(), *vars(test_kernels_wide))}
