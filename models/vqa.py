"""Networks that answer questions about images.

Antol et al., "VQA: Visual question answering", ICCV 2015;
Xu, Saenko, "Ask, attend and answer: Exploring question-guided spatial attention for visual question answering",
ECCV 2016;
Zhu et al., "Visual7W: Grounded question answering in images", CVPR 2016.
"""

from __future__ import annotations

from onnx import TensorProto

from accelc.models import googlenet, vgg
from accelc.models.attention import attention, weighted
from accelc.models.builder import Net
from accelc.models.recurrent import (
    State,
    embedding,
    joined_directions,
    linear,
    lookup,
    lstm_cell,
    recurrent,
    steps_first,
)


def _image(net: Net) -> str:
    size = net.size(224, 64)
    return net.input("image", (3, size, size))


def _question(net: Net, words: int, width: int, steps: int) -> str:
    """Add the words of a question as [batch, steps, width]."""
    ids = net.input("question", (steps,), TensorProto.INT64, span=(0, words))
    return lookup(net, embedding(net, "words", words, width), ids, "embedded")


def _answer(net: Net, x: str, inputs: int) -> None:
    """Add the probabilities of the 1000 commonest answers."""
    net.output(net.softmax(linear(net, "answer", inputs, net.size(1000, 10), gain=2.0)(x, "answer"), "prob"))


def vqa(net: Net) -> None:
    """Build "deeper LSTM Q + norm I" (section 4.2): VGG16's last hidden layer, normalized, times the question.

    The question passes two LSTM layers of 512, whose last states and memories are its 2048 features; both sides are
    brought to 1024, multiplied, and pass two layers of 1000. Words are embedded in 300; 26 words of 12000 are taken.
    """
    joint, hidden, answer = net.size(1024, 16), net.size(512, 16), net.size(1000, 16)
    image = net.op("LpNormalization", [vgg.fc7(net, vgg.features(net, _image(net), "D"))], "norm_image", axis=1, p=2)
    image = net.tanh(linear(net, "image", net.shape(image)[1], joint, gain=8.0)(image, "image_in"), "image_features")
    width = net.size(300, 12)
    x = steps_first(net, net.tanh(_question(net, net.size(12_000, 40), width, net.size(26, 4)), "squashed"), "steps")
    last: list[str] = []
    for layer in ("lstm1", "lstm2"):
        y = recurrent(net, x, layer, hidden)
        x, last = joined_directions(net, y, f"{layer}/out"), [*last, f"{layer}:1", f"{layer}:2"]
    question = net.reshape(net.concat(last, "states", axis=2), "question_in", (net.batch, 4 * hidden))
    question = net.tanh(linear(net, "question_out", 4 * hidden, joint, gain=2.0)(question, "question_out"))
    x, inputs = net.mul(image, question, "fused"), joint
    for name in ("fc1", "fc2"):
        x, inputs = net.dropout(net.tanh(linear(net, name, inputs, answer, gain=2.0)(x, name))), answer
    _answer(net, x, inputs)


def vqa_attention(net: Net) -> None:
    """Build "Ask, attend and answer" with two hops (sections 3.1 to 3.3) over GoogLeNet's 7x7x1024 maps.

    At the first hop a place matters by its likeness to the question's best matching word, at the second by its likeness
    to what is known so far. 14 words of 10000 in 512 dimensions are taken, which the paper leaves open.
    """
    words, width, steps = net.size(10_000, 40), net.size(512, 16), net.size(14, 4)
    maps = googlenet.features(net, _image(net))["5b"]
    _, channels, height, rows = net.shape(maps)
    flat = net.reshape(maps, "places", (net.batch, channels, height * rows))
    places = net.transpose(flat, "spatial_features", (0, 2, 1))
    # GoogLeNet's rectified maps have a mean and grow: a quarter of the usual scale makes embeddings of about one
    asked, *evidence = (
        linear(net, f"{name}_embedding", channels, width, gain=0.25)(places, name)
        for name in ("asked", "evidence1", "evidence2")
    )
    question = _question(net, words, width, steps)
    alike = net.op("MatMul", [question, net.transpose(asked, "asked_turned", (0, 2, 1))], "correlation")
    scaled = net.mul(alike, net.constant("correlation_scale", width**-0.5, "float32"), "correlation_scaled")
    hop1 = net.softmax(net.op("ReduceMax", [scaled], "best_word", axes=[1]), "hop1_weights", axis=2)
    flat_question = net.reshape(question, "question_row", (net.batch, steps * width))
    known = linear(net, "question_features", steps * width, width)(flat_question, "question_features")
    known = net.add(weighted(net, hop1, evidence[0], "hop1"), known, "hop1_known")
    hop2 = net.softmax(_likeness(net, evidence[0], known, width), "hop2_weights", axis=2)
    known = net.add(known, weighted(net, hop2, evidence[1], "hop2"), "hop2_known")
    _answer(net, net.relu(known), width)


def _likeness(net: Net, evidence: str, known: str, width: int) -> str:
    """Add the products of every place with one vector, [batch, 1, places]."""
    column = net.reshape(known, "known_column", (net.batch, width, 1))
    likeness = net.reshape(net.op("MatMul", [evidence, column], "likeness"), "likeness_row", (net.batch, 1, -1))
    return net.mul(likeness, net.constant("likeness_scale", width**-0.5, "float32"), "likeness_scaled")


def vqa_attention_visual7w(net: Net) -> None:
    """Build Visual7W's LSTM (section 4.2): the image is the first word, and at each word it is looked at again.

    VGG16's last hidden layer starts 512 LSTM units; attention is over its 14x14x512 maps. Instead of ranking four
    sentences, the state after the question chooses among 1000 answers; 15 words of 10000 are taken.
    """
    words, width, hidden, steps = net.size(10_000, 40), net.size(512, 12), net.size(512, 16), net.size(15, 4)
    maps = vgg.features(net, _image(net), "D", pool5=False)
    _, channels, height, rows = net.shape(maps)
    whole = vgg.fc7(net, net.max_pool(maps, "pool5", 2, stride=2))
    flat = net.reshape(maps, "places", (net.batch, channels, height * rows))
    look = attention(net, "look", net.transpose(flat, "places_first", (0, 2, 1)), hidden, hidden)
    cell = lstm_cell(net, "lstm", width + channels, hidden)
    first = linear(net, "image_word", net.shape(whole)[1], width + channels)(whole, "image_word")
    state: State = cell(first, None, "image_step")
    question = _question(net, words, width, steps)
    for index in range(steps):
        name = f"step{index + 1}"
        word = net.op("Gather", [question, net.constant(f"{name}/index", index)], f"{name}/word", axis=1)
        seen = look.soft(state[0], f"{name}/look")
        state = cell(net.concat([word, seen], f"{name}/in"), state, name)
    _answer(net, state[0], hidden)
