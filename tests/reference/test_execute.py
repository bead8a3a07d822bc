"""The reference executor as a whole: modes, what it keeps, what it refuses, wrap-around."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from accelc.errors import InputError, ModelError, UnsupportedError
from accelc.graph import Quant, Tensor
from accelc.reference import run
from accelc.reference.ort import compare
from tests.reference.graphs import activation, constant, conv_graph, feeds, one_layer, quant


def literal_conv(graph: Any, x: Any) -> Any:
    """Return the int32 sums of a convolution by plain loops."""
    layer = graph.layers[0]
    tensors = [graph.tensors[n] for n in layer.inputs]
    xz, w = int(tensors[0].quant.zero_point), tensors[1].data.astype(np.int64)
    zero = np.broadcast_to(tensors[1].quant.zero_point, w.shape[0])
    top, left = layer.attrs["pads"][:2]
    (sy, sx), (dy, dx), group = layer.attrs["strides"], layer.attrs["dilations"], layer.attrs["group"]
    out = np.zeros(graph.tensors[layer.outputs[0]].shape, np.int64)
    n, k, rows, columns = out.shape
    depth, per = w.shape[1], k // group
    for i, j, y, z in np.ndindex(n, k, rows, columns):
        for c, r, s in np.ndindex(depth, *w.shape[2:]):
            at = y * sy - top + r * dy, z * sx - left + s * dx
            if 0 <= at[0] < x.shape[2] and 0 <= at[1] < x.shape[3]:
                out[i, j, y, z] += (int(x[i, j // per * depth + c, at[0], at[1]]) - xz) * (w[j, c, r, s] - zero[j])
    return out + (tensors[2].data.reshape(-1, 1, 1) if len(tensors) > 2 else 0)


def test_sums_equal_plain_loops() -> None:
    rng = np.random.default_rng(3)
    for _ in range(4):
        graph = conv_graph(rng, "uint8", "uint8", raw=True)
        inputs = feeds(rng, graph)
        assert (run(graph, inputs)["y"] == literal_conv(graph, inputs["x"])).all()


def test_sums_wrap_at_32_bits() -> None:
    unit = Quant.per_tensor(1.0, 0)
    x = activation("x", (1, 2), "uint8", unit)
    w = constant("w", np.array([[127, 127]], np.int8), unit)
    b = constant("b", np.array([2**31 - 1], np.int32), unit)
    graph = one_layer("fc", [x, w, b], Tensor("y", (1, 1), "int32"), activation=None)
    assert run(graph, {"x": np.array([[1, 0]], np.uint8)})["y"].tolist() == [[-(2**31) + 126]]


def test_wide_sums_are_exact() -> None:
    """A sum beyond 2**24, which float32 could not hold."""
    unit = Quant.per_tensor(1.0, 0)
    x, w = activation("x", (1, 4096), "uint8", unit), constant("w", np.full((1, 4096), 127, np.int8), unit)
    graph = one_layer("fc", [x, w], Tensor("y", (1, 1), "int32"), activation=None)
    values = np.full((1, 4096), 255, np.uint8)
    values[0, 0] = 254
    assert run(graph, {"x": values})["y"].item() == 4096 * 255 * 127 - 127


def test_fixed_mode_is_within_one_of_the_float_mode() -> None:
    rng = np.random.default_rng(4)
    seen = 0
    for _ in range(20):
        graph = conv_graph(rng, "uint8", "int8", friendly=True, fused=("relu",))
        inputs = feeds(rng, graph)
        a, b = (run(graph, inputs, requantize=mode)["y"].astype(int) for mode in ("float32", "fixed"))
        assert np.abs(a - b).max() <= 1
        seen += np.count_nonzero(a - b)
    assert seen > 0, "ties are common at these scales: the two modes must show a difference"


def test_keeps_what_is_asked_for() -> None:
    rng = np.random.default_rng(5)
    graph = conv_graph(rng, "uint8", "int8")
    inputs = feeds(rng, graph)
    assert set(run(graph, inputs)) == {"y"}
    assert set(run(graph, inputs, keep="all")) == {"x", "y"}
    assert set(run(graph, inputs, keep=["x"])) == {"x"}


def test_refuses_wrong_inputs() -> None:
    rng = np.random.default_rng(6)
    graph = conv_graph(rng, "uint8", "int8")
    x = feeds(rng, graph)["x"]
    cases: list[tuple[dict[str, Any], str]] = [
        ({}, "'x'.*missing"),
        ({"x": x, "z": x}, "no input is called 'z'"),
        ({"x": x[..., :-1]}, "expected uint8"),
        ({"x": x.astype(np.int32)}, "is int32"),
    ]
    for inputs, message in cases:
        with pytest.raises(InputError, match=message):
            run(graph, inputs)


def test_refuses_unknown_mode_and_float_graph() -> None:
    rng = np.random.default_rng(7)
    graph = conv_graph(rng, "uint8", "int8")
    with pytest.raises(InputError, match="float32 or fixed would work"):
        run(graph, feeds(rng, graph), requantize="double")  # type: ignore[arg-type]
    plain = replace(graph, tensors={**graph.tensors, "x": Tensor("x", graph.tensors["x"].shape)})
    with pytest.raises(ModelError, match="not quantized"):
        run(plain, {"x": np.zeros(plain.tensors["x"].shape, np.float32)})


def test_ledger_counts_and_names_a_difference() -> None:
    """A wrong oracle must show: the twin of a graph with another bias differs from it in every affected element."""
    from accelc.reference.qoperator import to_qoperator

    rng = np.random.default_rng(8)
    x, y = (activation(n, (1, size), "uint8", quant(rng, "uint8", 1.0)) for n, size in (("x", 4), ("y", 3)))
    w = constant("w", np.eye(3, 4, dtype=np.int8), Quant.per_tensor(1.0, 0))
    b = constant("b", np.zeros(3, np.int32), Quant.per_tensor(1.0, 0))
    graph = one_layer("fc", [x, w, b], y, activation=None)
    other = one_layer("fc", [x, w, replace(b, data=np.array([0, 0, 5], np.int32))], y, activation=None)
    inputs = {"x": np.array([[int(x.quant.zero_point)] * 4], np.uint8)}  # type: ignore[union-attr]
    ledger = compare(to_qoperator(other), graph, inputs)
    room = min(5, 255 - int(y.quant.zero_point))  # type: ignore[union-attr]
    assert (ledger.mismatches, ledger.max_lsb, ledger.elements) == (1, room, 3)
    assert ledger.layers[0].histogram == {-room: 1}
    assert "1 of 3 differ" in str(ledger)


def test_no_twin_for_dilated_average() -> None:
    rng = np.random.default_rng(9)
    x, y = (activation(n, (1, 2, s, s), "uint8", quant(rng, "uint8")) for n, s in (("x", 6), ("y", 4)))
    graph = one_layer("avg_pool", [x], y, kernel=(2, 2), strides=(1, 1), pads=(0,) * 4, dilations=(2, 2),
                      count_include_pad=False)  # fmt: skip
    assert run(graph, feeds(rng, graph))["y"].shape == (1, 2, 4, 4)
    with pytest.raises(UnsupportedError, match="dilations"):
        compare(None, graph, feeds(rng, graph))
