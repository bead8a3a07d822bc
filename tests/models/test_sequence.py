"""Recurrent networks against what their papers print, and cells and layers against plain NumPy."""

from __future__ import annotations

import numpy as np
import pytest
from onnx import numpy_helper

from accelc import models
from accelc.models.builder import Net
from accelc.models.count import Counts, Shape, count
from accelc.models.recurrent import gru_cell, lstm_cell
from accelc.models.weights import Normal
from tests.models.probe import Array, activations, samples


def published(name: str) -> Counts:
    return count(models.outline(name))


def shapes(name: str) -> dict[str, Shape]:
    return {n.name: n.shape for n in published(name).nodes}


def sigmoid(x: Array) -> Array:
    return 1 / (1 + np.exp(-x))


def test_word_lm_parameters() -> None:
    """PyTorch's word_language_model with 650 units has 19 780 400 parameters at 10000 words (two biases a gate)."""
    assert published("word_lm").params == 2 * 6_500_000 + 10_000 + 2 * (8 * 650 * 650 + 8 * 650)
    assert shapes("word_lm")["prob"] == (1, 35, 10_000)


@pytest.mark.parametrize(("name", "millions"), [("lstm_multilayer", 3.8), ("lstm_bidirectional", 3.8)])
def test_speech_networks_have_the_printed_weights(name: str, millions: float) -> None:
    """Graves et al. 2013, table 1: CTC-3l-421h-uni and CTC-3l-250h have 3.8 M weights."""
    assert round(published(name).params / 1e6, 1) == millions


def test_variants_of_the_lstm_cost_what_they_say() -> None:
    """Peepholes add three vectors, coupling changes no extent, a GRU has three of four gates."""
    plain = published("lstm").params
    assert published("lstm_peephole").params == plain + 3 * 250
    assert published("lstm_coupled").params == plain
    head = 250 * 62 + 62
    assert (published("gru").params - head) * 4 == (plain - head) * 3


@pytest.mark.parametrize(
    ("name", "given", "made"),
    [
        ("rnn_1_1", 1, 1),
        ("rnn_1_n", 1, 25),
        ("rnn_n_1", 25, 1),
        ("rnn_n_n_delayed", 25, 25),
        ("rnn_n_n", 25, 25),
    ],
)
def test_the_five_shapes_of_recurrence(name: str, given: int, made: int) -> None:
    """One or many inputs, one or many outputs."""
    graph = models.outline(name).graph
    extents = [[d.dim_value for d in v.type.tensor_type.shape.dim] for v in (graph.input[0], graph.output[0])]
    assert extents == [[1, given, 65], [1, made, 65]]


def test_recurrence_follows_its_equation() -> None:
    """h = tanh(W_hh h + W_xh x + b), y = W_hy h + c; with delay the answer starts when the question has ended."""
    model = models.build("rnn_n_n_delayed", tiny=True)
    w = {t.name: numpy_helper.to_array(t).astype(np.float64) for t in model.graph.initializer}
    x = samples(model)["input"][0]
    h, answer = np.zeros(16), []
    for row in [*x, *np.zeros_like(x)]:
        h = np.tanh(w["rnn/W"][0] @ row + w["rnn/R"][0] @ h + w["rnn/B"][0].reshape(2, -1).sum(0))
        answer.append(h @ w["y/weight"] + w["y/bias"])
    np.testing.assert_allclose(activations(model)["output"][0], answer[len(x) :], rtol=1e-4, atol=1e-5)


def test_a_bidirectional_network_ignores_what_follows_the_utterance() -> None:
    """Frames behind an utterance's length leave nothing in the layers."""
    found = activations(models.build("lstm_bidirectional", tiny=True, batch=3))
    lengths = samples(models.build("lstm_bidirectional", tiny=True, batch=3))["lengths"]
    assert lengths.min() < 5
    for utterance, length in enumerate(lengths):
        assert not found["layer3"][length:, :, utterance].any()
        assert found["layer3"][:length, :, utterance].all()


def test_the_cell_written_out_is_the_lstm_of_the_notes() -> None:
    """c = f c + i g, h = o tanh(c), with peepholes; the first step is one from zeros."""
    net = Net("cell", seed=0)
    cell = lstm_cell(net, "cell", 3, 4, peephole=True)
    x = net.input("x", (3,))
    h, c = cell(x, cell(x, None, "first"), "second")
    net.output(net.concat([h, c], "state"))
    model = net.model()
    w = {t.name: numpy_helper.to_array(t).astype(np.float64) for t in model.graph.initializer}
    row, hidden, memory = samples(model)["x"][0], np.zeros(4), np.zeros(4)
    for _ in range(2):
        gates = row @ w["cell/x/weight"] + w["cell/x/bias"] + hidden @ w["cell/h/weight"]
        i, f, o, g = gates.reshape(4, 4)
        i, f = sigmoid(i + w["cell/peep_i"] * memory), sigmoid(f + w["cell/peep_f"] * memory)
        memory = f * memory + i * np.tanh(g)
        hidden = sigmoid(o + w["cell/peep_o"] * memory) * np.tanh(memory)
    np.testing.assert_allclose(activations(model)["state"][0], [*hidden, *memory], rtol=1e-4, atol=1e-6)


def test_the_gru_written_out_is_the_papers() -> None:
    """h = (1 - z) h + z tanh(W x + U (r h)): z lets in the new, where ONNX's z keeps the old."""
    net = Net("cell", seed=0)
    net.output(gru_cell(net, "cell", 3, 4)(net.input("x", (3,)), net.input("h", (4,)), "step"), "next")
    model = net.model()
    w = {t.name.removeprefix("cell/"): numpy_helper.to_array(t).astype(np.float64) for t in model.graph.initializer}
    x, h = (samples(model)[n][0] for n in "xh")
    z, r = sigmoid(x @ w["gates_x/weight"] + w["gates_x/bias"] + h @ w["gates_h/weight"]).reshape(2, 4)
    new = np.tanh(x @ w["new_x/weight"] + w["new_x/bias"] + (r * h) @ w["new_h/weight"])
    np.testing.assert_allclose(activations(model)["next"][0], (1 - z) * h + z * new, rtol=1e-4, atol=1e-6)


def test_a_scan_shares_weights_and_counts_every_step() -> None:
    """Five steps of one 4x4 product: 16 parameters, 80 multiply-adds, and the values of the loop written out."""
    net = Net("loop", seed=0)
    weight = net.parameter("weight", [4, 4], Normal(0.5))

    def body(states: list[str], inputs: list[str]) -> tuple[list[str], list[str]]:
        y = net.tanh(net.add(net.op("MatMul", [states[0], weight], "product"), inputs[0], "sum"), "y")
        return [y], [net.op("Identity", [y], "row")]

    rows = net.transpose(net.input("rows", (5, 4)), "steps_first", (1, 0, 2))
    assert net.scan("loop", [net.input("start", (4,))], [rows], body) == ["loop", "loop:1"]
    net.output("loop:1", "path")
    model = net.model()
    assert (count(model).params, count(model).macs) == (16, 5 * 16)
    given, w = samples(model), numpy_helper.to_array(model.graph.initializer[0])
    h = given["start"]
    for step, row in enumerate(activations(model)["path"]):
        h = np.tanh(h @ w + given["rows"][:, step])
        np.testing.assert_allclose(row, h, rtol=1e-5, atol=1e-6)
