"""Every integer operator of the reference against ONNX Runtime's, bit for bit."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from accelc.graph import Graph, Quant
from accelc.reference.ort import compare
from tests.reference.graphs import activation, constant, conv_graph, feeds, integers, one_layer, quant

TYPES = ("uint8", "int8")


def differing(graph: Graph, rng: np.random.Generator) -> tuple[int, int]:
    """Return (elements that differ, greatest difference) between the reference and ONNX Runtime."""
    ledger = compare(None, graph, feeds(rng, graph))
    return ledger.mismatches, ledger.max_lsb


@pytest.mark.parametrize("friendly", [False, True])
@pytest.mark.parametrize(("x_type", "w_type"), [("uint8", "int8"), ("uint8", "uint8"), ("int8", "int8")])
def test_convolution(x_type: str, w_type: str, friendly: bool) -> None:
    rng = np.random.default_rng(1)
    for _ in range(25):
        assert differing(conv_graph(rng, x_type, w_type, friendly=friendly), rng) == (0, 0)


@pytest.mark.parametrize("fused", [("relu",), ("clip", 0.0, 6.0), ("clip", -0.5, 0.25)])
@pytest.mark.parametrize("dtype", TYPES)
def test_convolution_with_activation(dtype: str, fused: tuple[Any, ...]) -> None:
    rng = np.random.default_rng(2)
    for _ in range(5):
        assert differing(conv_graph(rng, dtype, "int8", fused=fused), rng) == (0, 0)


@pytest.mark.parametrize("dtype", TYPES)
def test_convolution_over_one_dimension(dtype: str) -> None:
    rng = np.random.default_rng(3)
    for _ in range(5):
        assert differing(conv_graph(rng, dtype, "int8", rank=3), rng) == (0, 0)


def test_raw_sums_of_a_convolution() -> None:
    rng = np.random.default_rng(4)
    for _ in range(5):
        assert differing(conv_graph(rng, "uint8", "uint8", raw=True), rng) == (0, 0)


@pytest.mark.parametrize("raw", [False, True])
@pytest.mark.parametrize(("x_type", "w_type"), [("uint8", "int8"), ("uint8", "uint8"), ("int8", "int8")])
def test_fully_connected(x_type: str, w_type: str, raw: bool) -> None:
    rng = np.random.default_rng(5)
    for m, k, n in ((1, 300, 10), (7, 33, 65)):
        wq = Quant.per_tensor(0.004, 0) if raw else Quant(rng.uniform(0.001, 0.02, n).astype(np.float32),
                                                         np.zeros(n, np.int32), 0)  # fmt: skip
        x = activation("x", (m, k), x_type, quant(rng, x_type))
        w = constant("w", integers(rng, (n, k), w_type), wq)
        b = constant("b", rng.integers(-9999, 9999, n).astype(np.int32), wq)
        y = activation("y", (m, n), x_type, quant(rng, x_type, 1.3))
        y = type(y)("y", (m, n), "int32") if raw else y
        assert differing(one_layer("fc", [x, w, b], y, activation=None), rng) == (0, 0)


@pytest.mark.parametrize("fused", [None, ("relu",), ("clip", 0.0, 1.0)])
@pytest.mark.parametrize("friendly", [False, True])
@pytest.mark.parametrize("op", ["add", "mul"])
@pytest.mark.parametrize("dtype", TYPES)
def test_sum_and_product_of_all_pairs(op: str, dtype: str, friendly: bool, fused: Any) -> None:
    """All 65536 pairs of values, for scales where ties are rare and where they are common."""
    rng = np.random.default_rng(6)
    values = np.arange(256) + (0 if dtype == "uint8" else -128)
    for _ in range(12):
        a, b, y = (quant(rng, dtype, friendly=friendly) for _ in range(3))
        inputs = [activation("a", (256, 256), dtype, a), activation("b", (256, 256), dtype, b)]
        graph = one_layer(op, inputs, activation("y", (256, 256), dtype, y), activation=fused)
        left, right = np.meshgrid(values.astype(dtype), values.astype(dtype), indexing="ij")
        ledger = compare(None, graph, {"a": left, "b": right})
        assert (ledger.mismatches, ledger.elements) == (0, 65536)


@pytest.mark.parametrize("op", ["add", "mul"])
def test_constant_operand_is_broadcast(op: str) -> None:
    rng = np.random.default_rng(7)
    c = constant("c", integers(rng, (5, 1, 1), "int8"), quant(rng, "int8"))
    x, y = (activation(n, (2, 5, 4, 3), "int8", quant(rng, "int8")) for n in "xy")
    assert differing(one_layer(op, [x, c], y, activation=None), rng) == (0, 0)


def test_difference_is_within_one_step_of_the_float_result() -> None:
    """ONNX Runtime has no integer subtraction; ours may differ from its float one only in rare roundings."""
    rng = np.random.default_rng(8)
    for _ in range(10):
        a, b, y = (activation(n, (64, 64), "uint8", quant(rng, "uint8")) for n in "aby")
        count, most = differing(one_layer("sub", [a, b], y, activation=None), rng)
        assert most <= 1
        assert count <= 4


POOLS = [((2, 2), (2, 2), (0, 0, 0, 0)), ((3, 3), (2, 2), (1, 1, 1, 1)), ((3, 2), (1, 2), (1, 0, 0, 1))]


@pytest.mark.parametrize(("kernel", "strides", "pads"), POOLS)
@pytest.mark.parametrize("ceil", [False, True])
@pytest.mark.parametrize("op", ["max_pool", "avg_pool", "avg_pool_padded"])
@pytest.mark.parametrize("dtype", TYPES)
def test_pools(op: str, dtype: str, kernel: Any, strides: Any, pads: Any, ceil: bool) -> None:
    rng = np.random.default_rng(9)
    for h, w in ((7, 7), (8, 6), (12, 9)):
        room = (h + pads[0] + pads[2] - kernel[0], w + pads[1] + pads[3] - kernel[1])
        out = [-(-r // s) + 1 if ceil else r // s + 1 for r, s in zip(room, strides, strict=True)]
        # A window must begin inside the input or the pad before it.
        out = [o - ((o - 1) * s >= e + p) for o, s, e, p in zip(out, strides, (h, w), pads[:2], strict=True)]
        xq = quant(rng, dtype)
        yq = xq if op == "max_pool" or rng.integers(2) else quant(rng, dtype)
        attrs: dict[str, Any] = {"kernel": kernel, "strides": strides, "pads": pads, "dilations": (1, 1)}
        if op != "max_pool":
            attrs["count_include_pad"] = op.endswith("padded")
        x, y = activation("x", (2, 5, h, w), dtype, xq), activation("y", (2, 5, *out), dtype, yq)
        count, most = differing(one_layer(op.removesuffix("_padded"), [x], y, **attrs), rng)
        # Cut-off windows over counted pads: ONNX Runtime's integer operator miscounts, its float one rounds ties apart.
        allowed = (6, 1) if ceil and op.endswith("padded") else (0, 0)
        assert (count, most) <= allowed


@pytest.mark.parametrize("dtype", TYPES)
def test_global_pools(dtype: str) -> None:
    rng = np.random.default_rng(10)
    for h, w in ((7, 7), (4, 4), (13, 5)):
        x = activation("x", (2, 40, h, w), dtype, quant(rng, dtype))
        y = activation("y", (2, 40, 1, 1), dtype, quant(rng, dtype))
        assert differing(one_layer("global_avg_pool", [x], y), rng) == (0, 0)
        same = activation("y", (2, 40, 1, 1), dtype, x.quant)  # type: ignore[arg-type]
        assert differing(one_layer("global_max_pool", [x], same), rng) == (0, 0)


TABLES = {
    "relu": {},
    "leaky_relu": {"alpha": 0.1},
    "clip": {"min": -0.4, "max": 1.1},
    "sigmoid": {},
    "hard_sigmoid": {"alpha": 0.2, "beta": 0.5},
    "requantize": {},
    "tanh": {},
}


@pytest.mark.parametrize("op", TABLES)
@pytest.mark.parametrize("dtype", TYPES)
def test_tables(op: str, dtype: str) -> None:
    rng = np.random.default_rng(11)
    values = (np.arange(256) + (0 if dtype == "uint8" else -128)).astype(dtype)
    for _ in range(30):
        x, y = (activation(n, (256,), dtype, quant(rng, dtype)) for n in "xy")
        ledger = compare(None, one_layer(op, [x], y, **TABLES[op]), {"x": values})
        assert (ledger.mismatches, ledger.elements) == (0, 256)


@pytest.mark.parametrize("dtype", TYPES)
def test_tables_by_channel(dtype: str) -> None:
    rng = np.random.default_rng(12)
    for op, count in (("prelu", 1), ("affine", 2)):
        columns = [constant(f"c{i}", rng.normal(size=6).astype(np.float32)) for i in range(count)]
        x, y = (activation(n, (2, 6, 20, 20), dtype, quant(rng, dtype)) for n in "xy")
        assert differing(one_layer(op, [x, *columns], y), rng) == (0, 0)
        fused = {"activation": ("relu",)} if op == "affine" else {}
        assert differing(one_layer(op, [x, *columns], y, **fused), rng) == (0, 0)


@pytest.mark.parametrize("dtype", TYPES)
def test_concat_and_moves(dtype: str) -> None:
    rng = np.random.default_rng(13)
    a, b, y = (activation(n, (2, c, 3, 3), dtype, quant(rng, dtype)) for n, c in (("a", 3), ("b", 4), ("y", 7)))
    assert differing(one_layer("concat", [a, b], y, axis=1), rng) == (0, 0)
    q = quant(rng, dtype)
    moves: list[tuple[str, tuple[int, ...], dict[str, Any]]] = [
        ("slice", (1, 2, 3, 2), {"starts": (0, 1, 4, 0), "steps": (1, 2, -2, 2)}),
        ("pad", (3, 6, 8, 5), {"begin": (1, 0, 2, 0), "value": 0.05}),
        ("reshape", (4, 30), {}),
        ("transpose", (5, 2, 3, 4), {"perm": (2, 0, 3, 1)}),
    ]
    for op, shape, attrs in moves:
        x = activation("x", (2, 4, 5, 3), dtype, q)
        assert differing(one_layer(op, [x], activation("y", shape, dtype, q), **attrs), rng) == (0, 0), op


@pytest.mark.parametrize("dtype", TYPES)
def test_softmax_is_within_one_step_in_a_few_per_million(dtype: str) -> None:
    """ONNX Runtime sums a float32 table in float32, we integers exactly."""
    rng = np.random.default_rng(14)
    count = total = 0
    for n in (2, 10, 1000):
        # int8 at scale 1/256 overflows in ONNX Runtime where a probability is above 255.5/256: keep the inputs close.
        x = activation("x", (100_000 // n, n), dtype, quant(rng, dtype, 0.01))
        y = activation("y", x.shape, dtype, Quant.per_tensor(1 / 256, 0 if dtype == "uint8" else -128))
        ledger = compare(None, one_layer("softmax", [x], y, axis=1), {"x": integers(rng, x.shape, dtype)})
        assert ledger.max_lsb <= 1
        count, total = count + ledger.mismatches, total + ledger.elements
    assert count <= total * 1e-5


def test_softmax_along_an_inner_axis() -> None:
    rng = np.random.default_rng(15)
    x = activation("x", (2, 7, 5), "uint8", quant(rng, "uint8"))
    y = activation("y", x.shape, "uint8", Quant.per_tensor(1 / 256, 0))
    assert differing(one_layer("softmax", [x], y, axis=1), rng) == (0, 0)


@pytest.mark.parametrize("dtype", TYPES)
def test_normalization_is_within_one_step_in_a_few_per_million(dtype: str) -> None:
    """ONNX Runtime computes LRN in float32 with a running sum, we sum squares exactly."""
    rng = np.random.default_rng(16)
    count = total = 0
    for size, alpha, beta, bias in ((5, 1e-4, 0.75, 1.0), (3, 0.1, 0.5, 2.0), (9, 1e-3, 1.0, 1.0)):
        x = activation("x", (1, 64, 20, 20), dtype, quant(rng, dtype, 0.4))
        y = activation("y", x.shape, dtype, quant(rng, dtype, 0.3))
        graph = one_layer("lrn", [x], y, size=size, alpha=alpha, beta=beta, bias=bias)
        ledger = compare(None, graph, feeds(rng, graph))
        assert ledger.max_lsb <= 1
        count, total = count + ledger.mismatches, total + ledger.elements
    assert count <= total * 5e-5
