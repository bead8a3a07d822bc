"""Networks that label every pixel against the figures of their papers and of their authors' programs."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from accelc.models.count import Shape
from tests.models.outlines import (
    attributes,
    constant,
    dilated,
    field,
    maps,
    number_of,
    outline,
    outputs,
    published,
    weight,
)

FCN = ("fcn32s", "fcn16s", "fcn8s")
VGG16_CONVOLUTIONS = 14_714_688  # of torchvision's 138357544, what is not fully connected
BLOCKS = {f"conv{i}" for i in range(1, 6)}


def convolutions(name: str) -> int:
    """Return the parameters of the convolutions of VGG-16 in a network."""
    return sum(n.params for n in published(name).nodes if n.op == "Conv" and n.name[:5] in BLOCKS)


@pytest.mark.parametrize("name", FCN)
def test_fcn_labels_every_pixel(name: str) -> None:
    """Long et al., CVPR 2015: 21 scores for each pixel of the image."""
    assert list(outputs(name).values()) == [(1, 21, 500, 500)]


@pytest.mark.parametrize("name", FCN)
def test_fcn_trunk(name: str) -> None:
    """The authors' networks: padding of 100 makes 698 of 500, halved and rounded up five times, fc6 without padding."""
    assert attributes(name, "conv1_1")["pads"] == [100] * 4
    assert maps(name, "conv1_1", "pool1", "pool2", "pool3", "pool4", "pool5", "fc6", "fc7", "score_fr") == [
        (64, 698, 698), (64, 349, 349), (128, 175, 175), (256, 88, 88), (512, 44, 44), (512, 22, 22),
        (4096, 16, 16), (4096, 16, 16), (21, 16, 16),
    ]  # fmt: skip


# The authors' networks: kernel and stride of each transposed convolution, offset of each crop.
FCN_UPSAMPLING = {
    "fcn32s": (("upscore", 64, 32),),
    "fcn16s": (("upscore2", 4, 2), ("upscore16", 32, 16)),
    "fcn8s": (("upscore2", 4, 2), ("upscore_pool4", 4, 2), ("upscore8", 16, 8)),
}
FCN_CROPS = {
    "fcn32s": {"score": 19},
    "fcn16s": {"score_pool4c": 5, "score": 27},
    "fcn8s": {"score_pool4c": 5, "score_pool3c": 9, "score": 31},
}


@pytest.mark.parametrize("name", FCN)
def test_fcn_upsampling(name: str) -> None:
    """Twice the stride's kernel, as bilinear interpolation needs; no others."""
    for layer, kernel, stride in FCN_UPSAMPLING[name]:
        assert weight(name, layer) == (21, 21, kernel, kernel)
        assert attributes(name, layer)["strides"] == [stride, stride]
    assert number_of(name, "ConvTranspose") == len(FCN_UPSAMPLING[name])


@pytest.mark.parametrize("name", FCN)
def test_fcn_crops(name: str) -> None:
    """A crop off by one shifts every label."""
    for crop, offset in FCN_CROPS[name].items():
        assert constant(name, f"{crop}/starts").tolist() == [offset, offset]
    assert number_of(name, "Slice") == len(FCN_CROPS[name])


def test_fcn_vgg16_of_table_1() -> None:
    """Long et al., table 1: 134 M parameters (with no upsampling), a receptive field of 404, a stride of 32."""
    assert int(sum(n.params for n in published("fcn32s").nodes if n.op == "Conv") / 1e6) == 134
    assert field("fcn32s", "score_fr") == (404, 32)
    assert convolutions("fcn32s") == VGG16_CONVOLUTIONS


# Ronneberger et al., MICCAI 2015, figure 1: the numbers beside the boxes.
UNET = {
    "down0/a": (64, 570), "down0/b": (64, 568), "pool0": (64, 284),
    "down1/a": (128, 282), "down1/b": (128, 280), "pool1": (128, 140),
    "down2/a": (256, 138), "down2/b": (256, 136), "pool2": (256, 68),
    "down3/a": (512, 66), "down3/b": (512, 64), "pool3": (512, 32),
    "bottom/a": (1024, 30), "bottom/b": (1024, 28),
    "merge3": (1024, 56), "right3/a": (512, 54), "right3/b": (512, 52),
    "merge2": (512, 104), "right2/a": (256, 102), "right2/b": (256, 100),
    "merge1": (256, 200), "right1/a": (128, 198), "right1/b": (128, 196),
    "merge0": (128, 392), "right0/a": (64, 390), "right0/b": (64, 388), "score": (2, 388),
}  # fmt: skip


@pytest.mark.parametrize(("node", "box"), UNET.items())
def test_unet_maps(node: str, box: tuple[int, int]) -> None:
    channels, extent = box
    assert maps("unet", node) == [(channels, extent, extent)]


def test_unet_has_23_convolutions() -> None:
    """Section 2: in total the network has 23 convolutional layers."""
    assert number_of("unet", "Conv", "ConvTranspose") == 23


def test_unet_crops_the_middle() -> None:
    """Figure 1: 568 to 392, 280 to 200, 136 to 104 and 64 to 56, the same on both sides."""
    offsets = {0: (568 - 392) // 2, 1: (280 - 200) // 2, 2: (136 - 104) // 2, 3: (64 - 56) // 2}
    for level, offset in offsets.items():
        assert constant("unet", f"crop{level}/starts").tolist() == [offset, offset]


def test_segnet_encoder_has_14_7_million_parameters() -> None:
    """Badrinarayanan et al., TPAMI 2017, section 3: without the fully connected layers 14.7 M are left of 134 M."""
    convs = [n for n in published("segnet").nodes if n.op == "Conv"]
    encoder = [n for n in convs if not n.name.endswith("_D")]
    assert (len(encoder), len(convs) - len(encoder)) == (13, 13)
    assert round(sum(n.params for n in encoder) / 1e6, 1) == 14.7


def test_segnet_decoder_mirrors_the_encoder() -> None:
    """The same section and figure 2: each encoder has a decoder of its map's size, and 11 classes at 360x480."""
    for block in range(1, 6):
        first, last = f"conv{block}_1", f"conv{block}_2_D"
        assert maps("segnet", first) == maps("segnet", last)
    assert list(outputs("segnet").values()) == [(1, 11, 360, 480)]


@pytest.mark.parametrize("name", ["segnet", "deconvnet"])
def test_unpooling_uses_the_places_of_its_own_pooling(name: str) -> None:
    """Figure 3 of SegNet, figure 3 of DeconvNet: the maxima of pooling k go where pooling k found them."""
    found = {n.name: n.input[1] for n in outline(name).graph.node if n.op_type == "MaxUnpool"}
    assert found == {f"unpool{k}": f"pool{k}:1" for k in range(1, 6)}


# Noh et al., ICCV 2015, the table of the configuration: sizes of fc6, fc7 and the decoder's layers.
DECONVNET: Sequence[tuple[str, Shape]] = (
    ("fc6", (4096, 1, 1)), ("fc7", (4096, 1, 1)), ("fc6-deconv", (512, 7, 7)), ("deconv5_1", (512, 14, 14)),
    ("deconv5_3", (512, 14, 14)), ("deconv4_1", (512, 28, 28)), ("deconv4_3", (256, 28, 28)),
    ("deconv3_1", (256, 56, 56)), ("deconv3_3", (128, 56, 56)), ("deconv2_1", (128, 112, 112)),
    ("deconv2_2", (64, 112, 112)), ("deconv1_1", (64, 224, 224)), ("deconv1_2", (64, 224, 224)),
    ("seg-score", (21, 224, 224)),
)  # fmt: skip


@pytest.mark.parametrize(("node", "shape"), DECONVNET)
def test_deconvnet_maps(node: str, shape: Shape) -> None:
    assert maps("deconvnet", node) == [shape]


def test_deconvnet_has_252_million_parameters() -> None:
    """The same paper, implementation details: approximately 252 M parameters in total."""
    assert round(published("deconvnet").params / 1e6) == 252


def test_deeplab_largefov_has_20_5_million_parameters() -> None:
    """Chen et al., ICLR 2015, table 2: kernel 3x3, input stride 12, 20.5 M parameters."""
    assert round(published("deeplab_largefov").params / 1e6, 1) == 20.5
    assert attributes("deeplab_largefov", "fc6")["kernel_shape"] == [3, 3]
    assert attributes("deeplab_largefov", "fc6")["dilations"] == [12, 12]
    assert weight("deeplab_largefov", "fc6") == (1024, 512, 3, 3)
    assert convolutions("deeplab_largefov") == VGG16_CONVOLUTIONS


# The layer in front of the sum or the upsampling.
SCORES = {"deeplab_largefov": "fc8", "deeplab_v2_vgg16": "fc8_1", "deeplab_v2_resnet101": "fc1_c0"}


@pytest.mark.parametrize(("name", "score"), SCORES.items())
def test_deeplab_has_an_output_stride_of_8(name: str, score: str) -> None:
    """Chen et al., TPAMI 2018, section 3.1: scores at an eighth of the resolution, brought to the image's."""
    assert field(name, score)[1] == 8
    assert maps(name, score) == [(21, 41, 41)]
    assert list(outputs(name).values()) == [(1, 21, 321, 321)]


@pytest.mark.parametrize("block", ["conv5_1", "conv5_2", "conv5_3"])
@pytest.mark.parametrize("name", ["deeplab_largefov", "deeplab_v2_vgg16"])
def test_the_last_block_of_vgg_has_rate_2(name: str, block: str) -> None:
    """Chen et al., ICLR 2015, section 3.1: twice the length in the last three convolutional layers."""
    assert dilated(name, block) == 5
    assert attributes(name, "pool4")["strides"] == attributes(name, "pool5")["strides"] == [1, 1]


# TPAMI 2018, section 3.1 and figure 4: a kernel k of rate r spans k + (k - 1)(r - 1); ASPP-L has rates of 6 to 24.
SPANS = (13, 25, 37, 49)


def test_atrous_pyramid_spans() -> None:
    """Four parallel 3x3 convolutions that see 13, 25, 37 and 49 places and keep the map."""
    for branch, span in enumerate(SPANS):
        assert dilated("deeplab_v2_vgg16", f"fc6_{branch + 1}") == span
        assert dilated("deeplab_v2_resnet101", f"fc1_c{branch}") == span
    assert maps("deeplab_v2_vgg16", *(f"fc6_{i}" for i in range(1, 5))) == [(1024, 41, 41)] * 4


def test_atrous_pyramid_on_vgg_has_a_branch_of_fc6_to_fc8_for_each_rate() -> None:
    """Figure 7b: fc6, fc7 and fc8 for each rate, that is four times what LargeFOV has once."""
    once = published("deeplab_largefov").params - VGG16_CONVOLUTIONS
    assert published("deeplab_v2_vgg16").params == VGG16_CONVOLUTIONS + 4 * once


def test_deeplab_resnet101_is_the_classifier_without_its_last_layer() -> None:
    """Torchvision's ResNet-101 has 44549160 parameters, 2049000 of them in fc; atrous convolutions add none."""
    heads = 4 * (9 * 2048 * 21 + 21)
    assert published("deeplab_v2_resnet101").params == 44_549_160 - 2_049_000 + heads


@pytest.mark.parametrize(("block", "span"), [("res3_4", 3), ("res4_23", 5), ("res5_1", 9), ("res5_3", 9)])
def test_rates_of_the_last_residual_stages(block: str, span: int) -> None:
    """The authors' network: rate 2 in the fourth stage and 4 in the fifth."""
    assert dilated("deeplab_v2_resnet101", f"{block}/3x3") == span


def test_multiscale_features() -> None:
    """Farabet et al., TPAMI 2013, section 5: 256 features at each of three scales, 768 for each place."""
    assert maps("multiscale_pyramid_seg", "features")[0][0] == 768
