"""Networks that describe images and videos in words.

Vinyals et al., "Show and tell: A neural image caption generator", CVPR 2015;
Xu et al., "Show, attend and tell: Neural image caption generation with visual attention", ICML 2015;
Yao et al., "Describing videos by exploiting temporal structure", ICCV 2015.

Decoders take the likeliest word at every step and read it back; they begin with word 0. Steps are written out.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from accelc.models import googlenet, vgg
from accelc.models.attention import Attention, attention
from accelc.models.builder import Net
from accelc.models.recurrent import Linear, State, embedding, linear, lookup, lstm_cell

Step = Callable[[str, State | None, str], tuple[State, str]]
"""One step of a decoder: from the last word's embedding, the state and the step's name to the state and the scores."""


def image_captioning(net: Net) -> None:
    """Build a VGG16 whose last hidden layer starts an LSTM of 512, as the first word of the sentence would.

    8791 words, those seen five times in the captions of COCO; embeddings of 512 and sentences of 16 words.
    """
    words, width, hidden = net.size(8791, 40), net.size(512, 12), net.size(512, 16)
    image = vgg.fc7(net, vgg.features(net, _image(net), "D"))
    seen = linear(net, "image_word", net.shape(image)[1], width)(image, "image_word")
    cell, scores = lstm_cell(net, "lstm", width, hidden), linear(net, "scores", hidden, words, gain=8.0)

    def step(word: str, state: State | None, name: str) -> tuple[State, str]:
        state = cell(word, state, name)
        return state, scores(state[0], f"{name}/scores")

    _write(net, step, cell(seen, None, "image_step"), embedding(net, "words", words, width), net.size(16, 4))


def _image(net: Net) -> str:
    size = net.size(224, 64)
    return net.input("image", (3, size, size))


def _write(net: Net, step: Step, state: State, table: str, steps: int) -> None:
    """Add a decoder's steps; its outputs are the words and, for every step, the probabilities of all."""
    word, words, shares = net.constant("begin", np.zeros(net.batch)), [], []
    for index in range(1, steps + 1):
        name = f"step{index}"
        state, scores = step(lookup(net, table, word, f"{name}/last_word"), state, name)
        share = net.softmax(scores, f"{name}/prob")
        word = net.op("ArgMax", [share], f"{name}/word", axis=1, keepdims=0)
        words.append(net.reshape(word, f"{name}/word_column", (net.batch, 1)))
        shares.append(net.reshape(share, f"{name}/prob_row", (net.batch, 1, -1)))
    net.output(net.concat(words, "caption"))
    net.output(net.concat(shares, "prob"))


def show_attend_tell(net: Net, *, hard: bool = False) -> None:
    """Build the attention over the 14x14x512 maps of VGG19 (sections 3.1 and 4); `hard` looks at one place only.

    10000 words, embeddings of 512, 1000 LSTM units; the hard form, sampled in training, takes the likeliest place.
    A gate of the last state weighs what is seen (section 4.2.1), sentences have 16 words.
    """
    words, width, hidden = net.size(10_000, 40), net.size(512, 12), net.size(1000, 16)
    maps = vgg.features(net, _image(net), "E", pool5=False)
    _, channels, height, rows = net.shape(maps)
    flat = net.reshape(maps, "places", (net.batch, channels, height * rows))
    look = attention(net, "look", net.transpose(flat, "annotations", (0, 2, 1)), hidden, channels)
    step = _attending_step(net, look, width, hidden, words, hard=hard)
    _write(net, step, _start(net, look.values, hidden), embedding(net, "words", words, width), net.size(16, 4))


def _start(net: Net, values: str, hidden: int) -> State:
    """Add the first state: two layers with the mean of all places as input."""
    mean = net.op("ReduceMean", [values], "mean_place", axes=[1], keepdims=0)
    width = net.shape(mean)[1]
    h, c = (net.tanh(linear(net, f"start_{s}", width, hidden, gain=2.0)(mean, f"start_{s}")) for s in "hc")
    return h, c


def _attending_step(net: Net, look: Attention, width: int, hidden: int, words: int, *, hard: bool) -> Step:
    """Make a decoder that looks through its state, with the deep output of equation 7."""
    seen = net.shape(look.values)[2]
    gate, cell = linear(net, "gate", hidden, 1), lstm_cell(net, "lstm", width + seen, hidden)
    parts = [linear(net, f"out_{n}", size, width, bias=n == "h") for n, size in (("h", hidden), ("z", seen))]
    scores = linear(net, "scores", width, words, gain=2.0)

    def step(word: str, state: State | None, name: str) -> tuple[State, str]:
        if state is None:
            raise ValueError("the decoder starts from the mean of all places")
        sight = look.hard(state[0], f"{name}/look") if hard else look.soft(state[0], f"{name}/look")
        sight = net.mul(net.sigmoid(gate(state[0], f"{name}/gate")), sight, f"{name}/seen")
        state = cell(net.concat([word, sight], f"{name}/in"), state, name)
        return state, scores(_deep(net, word, (state[0], sight), parts, name), f"{name}/scores")

    return step


def _deep(net: Net, word: str, inputs: tuple[str, str], parts: list[Linear], name: str) -> str:
    """Add what the state and the sight have to say to the last word."""
    said = [part(x, f"{name}/out{i}") for i, (part, x) in enumerate(zip(parts, inputs, strict=True))]
    return net.op("Sum", [word, *said], f"{name}/deep")


def video_captioning(net: Net) -> None:
    """Build the temporal attention (section 3) over 26 frames, each seen by GoogLeNet as 1024 numbers.

    Widths and vocabulary are a choice made here: embeddings of 512, 1024 LSTM units, 12594 words (about as many as the
    YouTube2Text captions have), sentences of 16 words. The 3-D convolutions of the paper's other features are left out.
    """
    words, width, hidden = net.size(12_594, 40), net.size(512, 12), net.size(1024, 16)
    frames, size = net.size(26, 3), net.size(224, 64)
    video = net.input("video", (frames, 3, size, size))
    images = net.reshape(video, "frames", (net.batch * frames, 3, size, size))
    seen = net.global_avg_pool(googlenet.features(net, images)["5b"], "pool5")
    values = net.reshape(seen, "frame_features", (net.batch, frames, net.channels(seen)))
    look = attention(net, "look", values, hidden, net.size(512, 16), gain=30.0)
    step = _attending_step(net, look, width, hidden, words, hard=False)
    _write(net, step, _start(net, values, hidden), embedding(net, "words", words, width), net.size(16, 4))
