"""RNNsearch, the attention translator.

Bahdanau, Cho, Bengio, "Neural machine translation by jointly learning to align and translate", ICLR 2015.
"""

from __future__ import annotations

import numpy as np
from onnx import TensorProto

from accelc.models.attention import attention
from accelc.models.builder import Net
from accelc.models.recurrent import embedding, gru_cell, joined_directions, linear, lookup, recurrent, steps_first


def seq2seq_attention(net: Net) -> None:
    """Build RNNsearch-50 (appendix A, B.2): 30000 words, embeddings of 620, 1000 GRU units, maxout of 500.

    A sentence of 50 words is read in both directions; the decoder, a Scan of 50 steps, takes the likeliest word each
    time and reads it back. It begins with word 0 and a state made of the backward pass's last one.
    """
    words, width, hidden, steps = net.size(30_000, 40), net.size(620, 12), net.size(1000, 16), net.size(50, 4)
    ids = steps_first(net, net.input("words", (steps,), TensorProto.INT64, span=(0, words)), "steps_first")
    x = lookup(net, embedding(net, "source_words", words, width), ids, "embedded")
    read = recurrent(net, x, "encoder", hidden, kind="GRU", bidirectional=True)
    notes = steps_first(net, joined_directions(net, read, "annotations"), "annotations_by_sentence")
    first = net.slice(read, "first", (0, 1), (1, 2), (0, 1), (1, 1))
    first = net.reshape(first, "backward", (net.batch, hidden))
    start = net.tanh(linear(net, "start", hidden, hidden)(first, "start"))
    net.output(*_decode(net, notes, start, words, width, steps))


def _decode(net: Net, notes: str, start: str, words: int, width: int, steps: int) -> tuple[str, str]:
    """Add the decoder; return the probabilities by sentence, step and word, and their name."""
    hidden, maxout = net.shape(start)[1], net.size(500, 8)
    table = embedding(net, "target_words", words, width)
    cell = gru_cell(net, "decoder", width + 2 * hidden, hidden)
    align = attention(net, "align", notes, hidden, hidden)
    deep = linear(net, "deep", 2 * hidden + hidden + width, 2 * maxout)
    scores = linear(net, "target", maxout, words, gain=4.0)

    def step(states: list[str], _: list[str]) -> tuple[list[str], list[str]]:
        state, word = states
        last, context = lookup(net, table, word, "last_word"), align.soft(state, "context")
        state = cell(net.concat([last, context], "decoder_in"), state, "decoder")
        x = deep(net.concat([state, last, context], "deep_in"), "deep")
        pieces = net.reshape(x, "deep/pieces", (net.batch, maxout, 2))
        x = net.op("ReduceMax", [pieces], "deep/maxout", axes=[2], keepdims=0)
        prob = net.softmax(scores(x, "scores"), "step_prob")
        return [state, net.op("ArgMax", [prob], "word", axis=1, keepdims=0)], [net.op("Identity", [prob], "step_row")]

    begin = net.constant("begin", np.zeros(net.batch))
    _, _, rows = net.scan("decode", [start, begin], [net.constant("steps", np.arange(steps))], step)
    return steps_first(net, rows, "rows"), "prob"
