"""Handwriting synthesis: Graves, "Generating sequences with recurrent neural networks", 2013, sections 4 and 5."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from onnx import TensorProto

from accelc.models.builder import Net
from accelc.models.recurrent import LstmCell, State, linear, lstm_cell, steps_first

Window = Callable[[str, str], tuple[str, str]]
"""The soft window: from the first layer's state and the last positions to the new positions and what is read."""


def handwriting(net: Net) -> None:
    """Build three layers of 400 LSTM cells with skip connections, a window of 10 Gaussians over the text, 20 mixtures.

    The text has 57 kinds of characters (section 5.3). The paper writes lines of any length; 100 points of a pen (two
    offsets and its lift) and 30 characters are taken. Points are given, as in training; states start from zeros.
    """
    points, hidden, steps = net.size(100, 4), net.size(400, 16), net.size(30, 5)
    pen = steps_first(net, net.input("pen", (points, 3)), "points_first")
    text = net.input("text", (steps,), TensorProto.INT64, span=(0, net.size(57, 8)))
    on = net.constant("off_on", [0, 1], np.float32)
    letters = net.op("OneHot", [text, net.constant("letters", net.size(57, 8)), on], "text_letters", axis=-1)
    rows = _write(net, pen, letters, hidden)
    net.output(net.reshape(steps_first(net, rows, "rows"), "mixture_rows", (net.batch, points, -1)), "outputs")


def _write(net: Net, pen: str, letters: str, hidden: int) -> str:
    """Add a Scan over the points; return the output layer's mixture parameters of each."""
    kinds = net.shape(letters)[2]
    window, mixtures = _window(net, letters, hidden), net.size(20, 3)
    cells = [lstm_cell(net, f"lstm{i}", 3 + kinds + (hidden if i > 1 else 0), hidden, peephole=True) for i in (1, 2, 3)]
    out = linear(net, "mixture", 3 * hidden, 6 * mixtures + 1, gain=2.0)

    def step(states: list[str], point: list[str]) -> tuple[list[str], list[str]]:
        first = cells[0](net.concat([*point, states[7]], "lstm1/in"), (states[0], states[1]), "lstm1")
        position, read = window(first[0], states[6])
        upper = _upper(net, cells, [*point, read], first, states)
        above = [first, *upper]
        row = _mixture(net, out(net.concat([h for h, _ in above], "skips"), "mixture"), mixtures)
        return [*(s for state in above for s in state), position, read], [row]

    batch, gaussians = net.batch, net.size(10, 3)
    extents = [(batch, hidden)] * 6 + [(batch, gaussians, 1), (batch, kinds)]
    starts = [net.constant(f"start{i}", np.zeros(e), "float32") for i, e in enumerate(extents)]
    return net.scan("write", starts, [pen], step)[-1]


def _upper(net: Net, cells: list[LstmCell], seen: list[str], state: State, states: list[str]) -> list[State]:
    """Add layers 2 and 3, which see the pen, the window and the layer below."""
    found = []
    for index in (1, 2):
        name = f"lstm{index + 1}"
        x = net.concat([*seen, state[0]], f"{name}/in")
        state = cells[index](x, (states[2 * index], states[2 * index + 1]), name)
        found.append(state)
    return found


def _window(net: Net, letters: str, hidden: int) -> Window:
    """Make the window of equations 46 to 51; positions, [batch, Gaussians, 1], only move on.

    The bias of their steps is log(1/25) or so: a letter takes about 25 points (section 5.1).
    """
    batch, steps, kinds = net.shape(letters)
    gaussians = net.size(10, 3)
    parts = [linear(net, f"window_{n}", hidden, gaussians, mean=m) for n, m in (("a", 0.0), ("b", 0.0), ("k", -3.2))]
    places = net.constant("places", np.arange(1, steps + 1).reshape(1, 1, steps), "float32")

    def window(state: str, before: str) -> tuple[str, str]:
        raw = [net.op("Exp", [p(state, f"window/{n}_in")], f"window/{n}") for n, p in zip("abk", parts, strict=True)]
        a, b, k = (net.reshape(r, f"{r}_column", (batch, gaussians, 1)) for r in raw)
        position = net.add(before, k, "window/position")
        away = net.op("Sub", [position, places], "window/away")
        square = net.mul(net.mul(away, away, "window/square"), b, "window/exponent")
        bell = net.mul(a, net.op("Exp", [net.op("Neg", [square], "window/minus")], "window/bell"), "window/gaussians")
        weights = net.op("ReduceSum", [bell, net.constant("window/axis", [1])], "window/weights", keepdims=1)
        return position, net.reshape(net.op("MatMul", [weights, letters], "window/sum"), "window/read", (batch, kinds))

    return window


def _mixture(net: Net, raw: str, mixtures: int) -> str:
    """Add equations 18 to 22: end of stroke, weights, means, deviations, correlations, as one row of 6 M + 1."""
    sizes = [1, mixtures, 2 * mixtures, 2 * mixtures, mixtures]
    net.op("Split", [raw, net.constant("mixture/sizes", sizes)], "mixture/parts", outputs=5, axis=1)
    end, weight, mean, deviation, correlation = ("mixture/parts", *(f"mixture/parts:{i}" for i in range(1, 5)))
    parts = [
        net.sigmoid(net.op("Neg", [end], "end_in"), "end"),
        net.softmax(weight, "weights"),
        net.op("Identity", [mean], "means"),
        net.op("Exp", [deviation], "deviations"),
        net.tanh(correlation, "correlations"),
    ]
    return net.concat(parts, "mixture_row")
