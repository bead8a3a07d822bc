"""Networks that attend, describe, answer and look around, against their papers and plain NumPy."""

from __future__ import annotations

import itertools

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from accelc import models
from accelc.models.attention import attention
from accelc.models.builder import Net
from accelc.models.count import Counts, Shape, count
from accelc.models.rows import generative, sequence
from tests.models.probe import Array, activations, samples

MINE = [row.name for row in (*sequence.ROWS, *generative.ROWS)]


def published(name: str) -> Counts:
    return count(models.outline(name))


def shapes(name: str) -> dict[str, Shape]:
    return {n.name: n.shape for n in published(name).nodes}


def weights(model: onnx.ModelProto) -> dict[str, Array]:
    return {t.name: numpy_helper.to_array(t).astype(np.float64) for t in model.graph.initializer}


@pytest.mark.parametrize("name", [n for n in MINE if n != "style_gatys"])
def test_a_batch_of_two_is_two_samples(name: str) -> None:
    """Every input and output begins with the batch, or with a multiple of it where parts are stacked."""
    one, two = (models.outline(name, tiny=True, batch=b).graph for b in (1, 2))
    for a, b in zip((*one.input, *one.output), (*two.input, *two.output), strict=True):
        first, second = ([d.dim_value for d in v.type.tensor_type.shape.dim] for v in (a, b))
        assert second == (first if a.doc_string == "parameter" else [2 * first[0], *first[1:]]), a.name


@pytest.mark.parametrize("hard", [False, True])
def test_attention_is_the_papers(hard: bool) -> None:
    """e = v . tanh(W a + U h), softmax over places, and their mean or the likeliest one."""
    net = Net("attention", seed=0, batch=2)
    values = net.input("values", (5, 3))
    look = attention(net, "look", values, 4, 6)
    state = net.input("state", (4,))
    net.output(look.hard(state, "seen") if hard else look.soft(state, "seen"))
    model = net.model()
    w, given = weights(model), samples(model)
    key = given["values"] @ w["look/key/weight"] + w["look/key/bias"]
    query = given["state"] @ w["look/query/weight"]
    scores = (np.tanh(key + query[:, None]) @ w["look/score/weight"])[..., 0]
    share = np.exp(scores) / np.exp(scores).sum(1, keepdims=True)
    if hard:
        expected = given["values"][np.arange(2), share.argmax(1)]
    else:
        expected = np.einsum("bl,bld->bd", share, given["values"])
    np.testing.assert_allclose(activations(model)["seen"], expected, rtol=1e-4, atol=1e-5)


def test_translator_has_the_published_sizes() -> None:
    """Bahdanau et al. 2015, appendix A.2.3: 620, 1000 both ways, maxout 500, 30000 words; RNNsearch-50."""
    found = shapes("seq2seq_attention")
    assert found["embedded"] == (50, 1, 620)
    assert found["annotations"] == (50, 1, 2000)
    assert found["deep/maxout"] == (1, 500)
    assert found["rows"] == (1, 50, 30_000)


def test_translator_reads_its_own_words() -> None:
    """Every step of the Scan sees another word or state: no two rows of probabilities are the same."""
    rows = activations(models.build("seq2seq_attention", tiny=True))["prob"][0]
    np.testing.assert_allclose(rows.sum(1), 1, rtol=1e-4)
    assert all(np.abs(a - b).max() > 1e-4 for a, b in itertools.pairwise(rows))


def test_attention_maps_of_the_captioning_networks() -> None:
    """Xu et al. 2015: 196 places of 512 numbers. Yao et al. 2015: 26 frames of 1024."""
    for name in ("show_attend_tell", "show_attend_tell_hard"):
        assert shapes(name)["annotations"] == (1, 196, 512)
    assert shapes("video_captioning")["frame_features"] == (1, 26, 1024)


@pytest.mark.parametrize("name", ["image_captioning", "show_attend_tell", "show_attend_tell_hard", "video_captioning"])
def test_captions_are_the_likeliest_words(name: str) -> None:
    """A word of the caption is the one of largest probability at its step."""
    found = activations(models.build(name, tiny=True))
    np.testing.assert_array_equal(found["caption"], found["prob"].argmax(-1))


def test_vqa_sizes() -> None:
    """Antol et al. 2015, section 4.2: 4096 and 2048 features, 1024 joint, 1000 answers."""
    found = shapes("vqa")
    assert found["norm_image"] == (1, 4096)
    assert found["question_in"] == (1, 2048)
    assert found["fused"] == (1, 1024)
    assert found["prob"] == (1, 1000)


def test_handwriting_has_the_printed_weights() -> None:
    """Graves 2013, section 5.3: about 3.7 M weights; a row of 20 mixtures and the end of stroke has 121 numbers."""
    counts = published("handwriting")
    assert round(counts.params / 1e6, 1) == 3.7
    assert {n.name: n.shape for n in counts.nodes}["mixture"] == (1, 121)


def test_handwriting_gives_distributions() -> None:
    """Weights of the mixtures sum to one, deviations are positive, ends and correlations are bounded."""
    model = models.build("handwriting", tiny=True, batch=2)
    rows = activations(model)["outputs"]
    end, weight, _, deviation, correlation = np.split(rows, [1, 4, 10, 16], axis=-1)
    np.testing.assert_allclose(weight.sum(-1), 1, rtol=1e-5)
    assert (deviation > 0).all()
    assert ((end > 0) & (end < 1)).all()
    assert (np.abs(correlation) < 1).all()


def test_glimpses_see_the_pixels_around_their_place() -> None:
    """The first of three patches is bilinear at the place; the wider ones average 2x2 and 4x4 pixels of the same."""
    model = models.build("glimpse_rnn", tiny=True)
    image = samples(model)["image"][0, 0].astype(np.float64)
    x, y = (samples(model)["first_place"][0].astype(np.float64) + 1) / 2 * 29
    padded = np.pad(image, 40)
    found = activations(model)
    for scale in (1, 2, 4):
        extent = 6 * scale
        steps = np.arange(extent) - (extent - 1) / 2
        rows, columns = np.floor(y + steps).astype(int), np.floor(x + steps).astype(int)
        down, right = (y + steps - rows)[:, None], (x + steps - columns)[None]
        a, b, c, d = (padded[np.ix_(rows + 40 + i, columns + 40 + j)] for i in (0, 1) for j in (0, 1))
        seen = (1 - down) * ((1 - right) * a + right * b) + down * ((1 - right) * c + right * d)
        small = seen.reshape(6, scale, 6, scale).mean((1, 3))
        np.testing.assert_allclose(found[f"glimpse1/x{scale}/small"][0, 0], small, atol=1e-4)


def test_the_identity_transforms_nothing() -> None:
    """Without what the localization network adds, every pixel is looked up at its own place."""
    model = models.build("spatial_transformer", tiny=True)
    for tensor in model.graph.initializer:
        if tensor.name.startswith("loc_theta"):
            tensor.raw_data = bytes(len(tensor.raw_data))
    np.testing.assert_allclose(activations(model)["transformed"], samples(model)["image"], atol=1e-4)
