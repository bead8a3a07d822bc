"""Generative and style networks against what their papers print."""

from __future__ import annotations

import numpy as np
import pytest

from accelc import models
from accelc.models.count import Counts, Shape, count
from tests.models.probe import activations


def published(name: str) -> Counts:
    return count(models.outline(name))


def shapes(name: str) -> dict[str, Shape]:
    return {n.name: n.shape for n in published(name).nodes}


def test_dcgan_generator_has_the_maps_of_figure_1() -> None:
    """Radford et al. 2016, figure 1: 4x4x1024, 8x8x512, 16x16x256, 32x32x128, 64x64x3."""
    found = shapes("dcgan_generator")
    assert [found[n][1:] for n in ("map", "conv1", "conv2", "conv3", "conv4")] == [
        (1024, 4, 4), (512, 8, 8), (256, 16, 16), (128, 32, 32), (3, 64, 64),
    ]  # fmt: skip


def test_dcgan_discriminator_mirrors_the_generator() -> None:
    """The same maps in the other direction, and one probability."""
    found = shapes("dcgan_discriminator")
    assert [found[f"conv{i}"][1:] for i in range(1, 5)] == [(128, 32, 32), (256, 16, 16), (512, 8, 8), (1024, 4, 4)]
    assert found["judge"] == (1, 1)


def test_cyclegan_generator_has_the_parameters_its_authors_program_prints() -> None:
    """The PyTorch program of Zhu et al. prints 11.378 M parameters for the generator of nine blocks."""
    counts = published("cyclegan_generator")
    assert round(counts.params / 1e6, 3) == 11.378
    assert sum(n.op == "Conv" for n in counts.nodes) == 1 + 2 + 2 * 9 + 1
    assert {n.name: n.shape for n in counts.nodes}["R256_9"] == (1, 256, 64, 64)


def test_style_transform_has_the_maps_of_table_1() -> None:
    """Johnson et al. 2016, supplement, table 1: 336, 168, 84; blocks to 80, 76, 72, 68, 64; 128, 256."""
    found = shapes("style_transform")
    assert found["pad"] == (1, 3, 336, 336)
    assert [found[f"conv{i}"][1:] for i in (1, 2, 3)] == [(32, 336, 336), (64, 168, 168), (128, 84, 84)]
    assert [found[f"res{i}"][2] for i in range(1, 6)] == [80, 76, 72, 68, 64]
    assert [found[n][1:] for n in ("up1", "up2", "conv4")] == [(64, 128, 128), (32, 256, 256), (3, 256, 256)]


@pytest.mark.parametrize("size", [512, 1024])
def test_style_transform_gives_an_image_of_the_size_it_got(size: int) -> None:
    """One set of weights serves all sizes: what reflection adds is what the blocks take away."""
    counts = published(f"style_transform_{size}")
    assert counts.nodes[-1].shape == (1, 3, size, size)
    assert counts.params == published("style_transform").params


def test_style_transform_paints_between_black_and_white() -> None:
    """Johnson et al. 2016, section 3.1: a scaled tanh makes pixels of [0, 255]."""
    image = activations(models.build("style_transform", tiny=True))["output"]
    assert image.min() >= 0
    assert image.max() <= 255


def test_srgan_enlarges_by_four() -> None:
    """Ledig et al. 2017, figure 4: 16 blocks of 64 maps, two shuffles of 256 maps to 64 of twice the extent."""
    found = shapes("srgan_generator")
    assert found["res16"] == (1, 64, 64, 64)
    assert found["up1/shuffle"] == (1, 64, 128, 128)
    assert found["conv3"] == (1, 3, 256, 256)


def test_gan_mlp_layers() -> None:
    """100-1200-1200-784 and two layers of 240 maxout units of five pieces."""
    g = 100 * 1200 + 1200 * 1200 + 1200 * 784 + 1200 + 1200 + 784
    d = (784 + 1) * 1200 + (240 + 1) * 1200 + 240 + 1
    assert published("gan_mlp").params == g + d


def test_infogan_maps() -> None:
    """Chen et al. 2016, table 1: 74 numbers, 7x7x128, 14x14x64, 28x28x1 and back."""
    found = shapes("infogan")
    assert found["latent"] == (1, 74)
    assert [found[n][1:] for n in ("map", "g3", "g4")] == [(128, 7, 7), (64, 14, 14), (1, 28, 28)]
    assert [found[n][1:] for n in ("d1", "d2", "d3", "q1")] == [(64, 14, 14), (128, 7, 7), (1024,), (128,)]


def test_bigan_judges_both_kinds_of_pairs() -> None:
    """Donahue et al. 2017: images of 784 with codes of 50, one pair from the encoder and one from the generator."""
    found = shapes("bigan")
    assert found["pairs"] == (2, 834)
    assert found["judge"] == (2, 1)


def test_vae_gan_judges_original_reconstruction_and_sample() -> None:
    """Larsen et al. 2016, table 1: a code of 128, a map of 8x8x256, images of 64x64."""
    found = shapes("vae_gan")
    assert found["code"] == (1, 128)
    assert found["dec1/map"] == (2, 256, 8, 8)
    assert found["images"] == (3, 3, 64, 64)
    assert found["judge"] == (3, 1)


def test_gatys_losses_are_the_papers() -> None:
    """Equations 1 and 4, computed from the maps: half the squared difference, and that of Gram matrices."""
    found = activations(models.build("style_gatys", tiny=True))
    content = found["conv4_2/relu"]
    np.testing.assert_allclose(found["content_loss"], 0.5 * ((content[0] - content[1]) ** 2).sum(), rtol=1e-4)
    style = 0.0
    for layer in ("conv1_1", "conv2_1", "conv3_1", "conv4_1", "conv5_1"):
        maps = found[f"{layer}/relu"].astype(np.float64)
        n, m = maps.shape[1], maps.shape[2] * maps.shape[3]
        gram = np.einsum("bik,bjk->bij", *[maps.reshape(3, n, m)] * 2)
        style += 0.2 * ((gram[0] - gram[2]) ** 2).sum() / (4 * n**2 * m**2)
    np.testing.assert_allclose(found["style_loss"], style, rtol=1e-4)


def test_gatys_compares_one_image() -> None:
    """Stacking image, content and style leaves no meaning to a batch."""
    with pytest.raises(ValueError, match="batch is 2, not 1"):
        models.outline("style_gatys", batch=2)
