"""Recurrent networks of one kind of layer, and language models.

Elman, "Finding structure in time", Cognitive Science 1990; Hochreiter, Schmidhuber, "Long short-term memory", Neural
Computation 1997; Cho et al., "Learning phrase representations using RNN encoder-decoder", EMNLP 2014; Graves, Mohamed,
Hinton, "Speech recognition with deep recurrent neural networks", ICASSP 2013; Zaremba, Sutskever, Vinyals, "Recurrent
neural network regularization", 2014.
"""

from __future__ import annotations

import numpy as np
from onnx import TensorProto

from accelc.models.builder import Net
from accelc.models.recurrent import embedding, joined_directions, linear, lookup, recurrent, steps_first


def rnn(net: Net, *, shape: str = "n-n", activation: str = "Tanh") -> None:
    """Build h = tanh(W_hh h + W_xh x + b), y = W_hy h + c in one of its five shapes, inputs to outputs.

    `1-1`, `1-n`, `n-1`, `n-n delayed` (outputs begin when the inputs end), `n-n`. Hidden 100 and 25 steps are those of
    Karpathy's min-char-rnn, 65 the characters of its Shakespeare text.
    """
    steps, features, hidden = net.size(25, 4), net.size(65, 8), net.size(100, 16)
    given = 1 if shape in ("1-1", "1-n") else steps
    x = steps_first(net, net.input("input", (given, features)), "steps_first")
    after = {"1-n": steps - 1, "n-n delayed": steps}.get(shape, 0)
    if after:
        x = net.pad(x, "silence", (0, 0, 0), (after, 0, 0))
    h = joined_directions(net, recurrent(net, x, "rnn", hidden, kind="RNN", activation=activation), "hidden")
    first, last = {"n-1": (steps - 1, steps), "n-n delayed": (steps, 2 * steps)}.get(shape, (0, given + after))
    if first:
        h = net.slice(h, "answer", (first,), (last,), (0,), (1,))
    net.output(steps_first(net, linear(net, "y", hidden, features)(h, "y"), "batch_first"), "output")


def speech(
    net: Net,
    *,
    kind: str = "LSTM",
    hidden: int = 250,
    layers: int = 1,
    bidirectional: bool = False,
    peephole: bool = False,
    coupled: bool = False,
    reset_before: bool = True,
) -> None:
    """Build a phoneme recognizer of Graves et al. 2013, section 4: 123 filter-bank features to 61 phonemes or a blank.

    An utterance is cut to 100 frames of 10 ms, a second. A bidirectional network gets the length of each utterance.
    """
    frames, hidden = net.size(100, 5), net.size(hidden, 12)
    x = steps_first(net, net.input("input", (frames, net.size(123, 8))), "steps_first")
    lengths = net.input("lengths", (), TensorProto.INT32, span=(1, frames + 1)) if bidirectional else ""
    for layer in range(1, layers + 1):
        y = recurrent(
            net, x, f"layer{layer}", hidden, kind=kind, bidirectional=bidirectional, lengths=lengths,
            peephole=peephole, coupled=coupled, reset_before=reset_before,
        )  # fmt: skip
        x = joined_directions(net, y, f"layer{layer}/out")
    scores = linear(net, "phoneme", net.shape(x)[2], net.size(62, 6))(steps_first(net, x, "batch_first"), "phoneme")
    net.output(net.softmax(scores, "prob", axis=2))


def word_lm(net: Net) -> None:
    """Build the medium model of Zaremba et al. (section 4.1): 10000 words, two layers of 650, unrolled for 35 steps."""
    words, width, steps = net.size(10_000, 50), net.size(650, 16), net.size(35, 4)
    ids = steps_first(net, net.input("words", (steps,), TensorProto.INT64, span=(0, words)), "steps_first")
    x = net.dropout(lookup(net, embedding(net, "embedding", words, width), ids, "embedded"))
    for layer in (1, 2):
        y = recurrent(net, x, f"lstm{layer}", width)
        x = net.dropout(joined_directions(net, y, f"lstm{layer}/out"))
    scores = linear(net, "word", width, words, gain=4.0)(steps_first(net, x, "batch_first"), "word")
    net.output(net.softmax(scores, "prob", axis=2))


def char_rnn(net: Net) -> None:
    """Build one step of Karpathy's Shakespeare model: a character, three layers of 512, the next one's probabilities.

    The states go in and come out; who samples a character feeds it back with them.
    """
    characters, hidden = net.size(65, 10), net.size(512, 16)
    depth = net.constant("characters", characters)
    values = net.constant("off_on", [0, 1], np.float32)
    character = net.input("character", (), TensorProto.INT64, span=(0, characters))
    x = net.op("OneHot", [character, depth, values], "one_hot", axis=-1)
    for layer in (1, 2, 3):
        state = net.input(f"state{layer}", (hidden,))
        now = linear(net, f"xh{layer}", net.shape(x)[1], hidden)(x, f"layer{layer}/x")
        before = linear(net, f"hh{layer}", hidden, hidden, bias=False)(state, f"layer{layer}/h")
        x = net.output(net.tanh(net.add(now, before, f"layer{layer}/sum")), f"next{layer}")
    net.output(net.softmax(linear(net, "hy", hidden, characters)(x, "scores"), "prob"))
