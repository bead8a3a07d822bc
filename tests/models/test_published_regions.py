"""Networks of regions, from R-CNN to Mask R-CNN, against the figures of their papers and of torchvision."""

from __future__ import annotations

import numpy as np
import pytest

from accelc import models
from tests.models.outlines import attributes, constant, field, maps, outputs, published, rows, weight
from tests.models.probe import activations

VGG16_PARAMS = 138_357_544  # torchvision's table
VGG16_FC8 = 4097 * 1000


def test_rcnn_features() -> None:
    """Girshick et al., CVPR 2014, section 2: about 2000 proposals warped to 227x227, 4096 numbers of each."""
    assert maps("rcnn", "warp", "pool5", "fc6", "fc7") == [(3, 227, 227), (256, 6, 6), (4096,), (4096,)]
    assert rows("rcnn", "warp") == rows("rcnn", "fc7") == 2000
    assert weight("rcnn", "svm") == (21, 4096)


def test_rcnn_fc7_has_16_8_million_parameters() -> None:
    """The same paper, section 3.2: fc7 has 29%, or about 16.8 million, of the features' parameters."""
    share = {n.name: n.params for n in published("rcnn").nodes}
    assert round(share["fc7"] / 1e6, 1) == 16.8
    assert int(100 * share["fc7"] / sum(p for n, p in share.items() if n not in ("svm", "bbox_pred"))) == 29


def test_fast_rcnn_layers() -> None:
    """Girshick, ICCV 2015, sections 2.2 and 4.4: 7x7 for VGG16, fc6 of 25088 x 4096, fc7 of 4096 x 4096."""
    assert attributes("fast_rcnn", "roi_pool5")["pooled_shape"] == [7, 7]
    assert weight("fast_rcnn", "fc6") == (4096, 25088)
    assert weight("fast_rcnn", "fc7") == (4096, 4096)


def test_fast_rcnn_replaces_the_last_layer_by_two() -> None:
    """The same paper, section 2.2: K + 1 classes and a box for each, in place of the 1000 classes of VGG-16."""
    assert published("fast_rcnn").params == VGG16_PARAMS - VGG16_FC8 + 4097 * (21 + 4 * 21)


@pytest.mark.parametrize("name", ["faster_rcnn", "faster_rcnn_zf"])
def test_nine_anchors_a_position(name: str) -> None:
    """Ren et al., NIPS 2015, section 3.1: k = 9, so 2k = 18 scores and 4k = 36 coordinates, from 3x3 windows."""
    assert weight(name, "rpn_cls_score")[0] == 18
    assert weight(name, "rpn_bbox_pred")[0] == 36
    channels = 512 if name == "faster_rcnn" else 256
    assert weight(name, "rpn_conv")[::2] == (channels, 3)


@pytest.mark.parametrize("name", ["faster_rcnn", "faster_rcnn_zf"])
def test_anchors_of_three_areas_and_ratios(name: str) -> None:
    """The same paper, section 3.3: areas of 128^2, 256^2 and 512^2 pixels, ratios of 1:1, 1:2 and 2:1."""
    anchors = constant(name, "boxes/rpn/extent")[:9]
    np.testing.assert_allclose(sorted(anchors.prod(1)), np.repeat([128.0, 256, 512], 3) ** 2, rtol=1e-5)
    np.testing.assert_allclose(sorted(anchors[:, 0] / anchors[:, 1]), [0.5] * 3 + [1] * 3 + [2] * 3, rtol=1e-5)


@pytest.mark.parametrize("name", ["faster_rcnn", "faster_rcnn_zf"])
def test_about_20000_anchors(name: str) -> None:
    """The same section: roughly 20000 (60 x 40 x 9) anchors on a 1000x600 image, 300 proposals after 0.7."""
    assert len(constant(name, "boxes/rpn/center")) == pytest.approx(20_000, rel=0.1)
    assert constant(name, "rpn_nms/iou") == np.float32(0.7)
    assert rows(name, "rois") == 300


@pytest.mark.parametrize(("name", "pixels"), [("faster_rcnn_zf", 171), ("faster_rcnn", 228)])
def test_receptive_field_of_a_proposal(name: str, pixels: int) -> None:
    """The same paper, section 3.1: 171 pixels for ZF and 228 for VGG; both have a total stride of 16."""
    assert field(name, "rpn_conv") == (pixels, 16)


def test_proposal_layers_have_2_4_million_parameters() -> None:
    """Ren et al., TPAMI 2017, section 3.1.1: 512 x (4 + 2) x 9 = 2.8e4 weights of outputs, 2.4e6 with the 3x3."""
    outs = [int(np.prod(weight("faster_rcnn", n))) for n in ("rpn_cls_score", "rpn_bbox_pred")]
    assert round(sum(outs) / 1e4, 1) == 2.8
    total = sum(outs) + int(np.prod(weight("faster_rcnn", "rpn_conv")))
    assert round(total / 1e6, 1) == 2.4


def test_pyramid_levels() -> None:
    """Lin et al., CVPR 2017, sections 3 and 4.1: 256 channels at strides of 4, 8, 16, 32, and 64 for proposals."""
    expected = [(256, -(-800 // s), -(-1024 // s)) for s in (4, 8, 16, 32, 64)]
    assert maps("mask_rcnn", "fpn2", "fpn3", "fpn4", "fpn5", "fpn6") == expected


def test_pyramid_anchors() -> None:
    """The same paper, section 4.1: areas of 32^2 to 512^2 from P2 to P6, three ratios, 15 anchors in all."""
    for level in range(2, 7):
        anchors = constant("mask_rcnn", f"boxes/rpn{level}/extent")[:3]
        np.testing.assert_allclose(anchors.prod(1), [(8 << level) ** 2] * 3, rtol=1e-5)
        np.testing.assert_allclose(sorted(anchors[:, 0] / anchors[:, 1]), [0.5, 1, 2], rtol=1e-5)


def test_mask_rcnn_heads() -> None:
    """He et al., ICCV 2017, figure 4: 7x7x256, 1024, 1024 for boxes; 14x14x256 four times, 28x28x256 for masks."""
    assert maps("mask_rcnn", "box_pool/2", "box_fc1", "box_fc2") == [(256, 7, 7), (1024,), (1024,)]
    convs = [f"mask_conv{i}" for i in range(1, 5)]
    assert maps("mask_rcnn", *convs, "mask_deconv") == [(256, 14, 14)] * 4 + [(256, 28, 28)]
    assert maps("mask_rcnn", "mask_score") == [(80, 28, 28)]


def test_mask_rcnn_regresses_a_box_for_each_class() -> None:
    """The same figure: a box by class; the authors' program (Detectron) has 4 outputs for each of 81 classes."""
    assert weight("mask_rcnn", "bbox_pred") == (4 * 81, 1024)
    assert outputs("mask_rcnn")["boxes"] == (80, 300, 4)
    assert rows("mask_rcnn", "mask_score") == 100


def test_mask_rcnn_decodes_the_class_it_detects() -> None:
    """Girshick et al., CVPR 2014, appendix C, class by class; masks are pooled from the box of the detected class."""
    found = activations(models.build("mask_rcnn", tiny=True))
    deltas, rois, boxes = found["bbox_pred"], found["rois"], found["boxes"]
    extent = rois[:, 2:] - rois[:, :2]
    for index, own in enumerate(boxes, 1):
        shift, growth = np.split(deltas[:, 4 * index : 4 * index + 4], 2, axis=1)
        center, half = rois[:, :2] + extent / 2 + shift * extent, np.exp(growth) * extent / 2
        expected = np.concatenate([center - half, center + half], axis=1).clip(0, 64)
        np.testing.assert_allclose(own, expected, atol=1e-3)
    detected = found["selected"][: int(found["count"])]
    assert len(detected) > 0
    np.testing.assert_array_equal(found["boxes/chosen"][: len(detected)], boxes[detected[:, 0], detected[:, 2]])


def test_keypoint_head() -> None:
    """The same paper, section 5: eight 3x3 convolutions of 512, a deconvolution and a doubling to 56x56, 17 points."""
    convs = [f"keypoint_conv{i}" for i in range(1, 9)]
    assert maps("mask_rcnn_pose", *convs) == [(512, 14, 14)] * 8
    assert maps("mask_rcnn_pose", "keypoint_score", "keypoint_up") == [(17, 28, 28), (17, 56, 56)]


def without_normalization(name: str) -> int:
    """Return the parameters of a network but those of normalization, which torchvision freezes."""
    return sum(n.params for n in published(name).nodes if n.op != "BatchNormalization")


def test_mask_rcnn_has_the_parameters_of_torchvision() -> None:
    """Torchvision prints 44401393 for 91 classes with a score, a box and a mask each; here 81, and a mask for 80."""
    fewer = (91 - 81) * 5 * 1025 + (91 - 80) * 257
    assert without_normalization("mask_rcnn") == 44_401_393 - fewer


def test_mask_rcnn_pose_has_the_parameters_of_torchvision() -> None:
    """Torchvision prints 59137258, with a box for each of two classes."""
    assert without_normalization("mask_rcnn_pose") == 59_137_258


def test_cascade_of_masks() -> None:
    """Dai et al., CVPR 2016, section 3: warped to 14x14, pooled to 7x7; masks of 28x28 behind 256 features."""
    assert maps("mnc", "roi_warp", "mask_pool", "mask_fc") == [(512, 14, 14), (512, 7, 7), (256,)]
    assert outputs("mnc")["masks"] == (300, 1, 28, 28)


def test_dense_captions() -> None:
    """Johnson et al., CVPR 2016, section 3: 300 regions of 512x7x7, codes of 4096, LSTM of 512, 10497 words."""
    assert maps("dense_captioning", "roi_sample", "fc7", "image_word") == [(512, 7, 7), (4096,), (512,)]
    assert maps("dense_captioning", "step1/word") == [(10_497,)]
    assert rows("dense_captioning", "roi_sample") == 300


def test_dense_captioning_proposals() -> None:
    """The same paper, section 3.2: 3x3 convolution of 256 filters, k = 12 anchors, 5k outputs, 300 proposals."""
    assert weight("dense_captioning", "rpn_conv") == (256, 512, 3, 3)
    assert [weight("dense_captioning", n)[0] for n in ("rpn_cls_score", "rpn_bbox_pred")] == [12, 4 * 12]
    assert rows("dense_captioning", "rois") == 300


def test_dense_captioning_anchors() -> None:
    """The authors' program (LocalizationLayer.lua) lists twelve anchors, as whole pixels."""
    listed = [
        [45, 90], [90, 45], [64, 64], [90, 180], [180, 90], [128, 128],
        [181, 362], [362, 181], [256, 256], [362, 724], [724, 362], [512, 512],
    ]  # fmt: skip
    anchors = constant("dense_captioning", "boxes/rpn/extent")[:12]
    np.testing.assert_allclose(sorted(anchors.tolist()), sorted(listed), atol=1.1)


def test_pose_maps() -> None:
    """Toshev, Szegedy, CVPR 2014, section 3.1: the sizes printed for a 220x220 image, then two layers of 4096."""
    assert maps("pose", *(f"conv{i}" for i in range(1, 6)), "fc6", "fc7", "joints") == [
        (96, 55, 55), (256, 27, 27), (384, 13, 13), (384, 13, 13), (256, 13, 13), (4096,), (4096,), (28,),
    ]  # fmt: skip


def test_pose_parameters() -> None:
    """AlexNet's poolings, to which the same section refers, leave 6x6 to fc6: 41.5 M below fc7, 58.4 M in all.

    The section prints "about 40M" in all, which fc6 of 37.8 M and fc7 of 16.8 M do not allow.
    """
    counts = published("pose")
    below = sum(n.params for n in counts.nodes if n.name not in ("fc7", "joints"))
    assert maps("pose", "pool5") == [(256, 6, 6)]
    assert (round(below / 1e6, 1), round(counts.params / 1e6, 1)) == (41.5, 58.4)


def test_hypercolumns_of_50x50_places() -> None:
    """Hariharan et al., CVPR 2015, section 3: heatmaps of 50x50 from pool2, conv4 and fc7."""
    assert maps("hypercolumns", "up_pool2", "up_conv4", "up_fc7") == [(1, 50, 50)] * 3
    assert outputs("hypercolumns")["mask"] == (1, 1, 50, 50)


def test_overfeat_fast_has_145_million_parameters() -> None:
    """Sermanet et al., ICLR 2014, table 1 and the counts below: 145 million (cut), without the head for boxes."""
    counts = published("overfeat_sliding")
    assert int(sum(n.params for n in counts.nodes if "box" not in n.name) / 1e6) == 145
    widths = [weight("overfeat_sliding", f"conv{i}")[0] for i in range(1, 6)]
    widths += [weight("overfeat_sliding", f"fc{i}")[0] for i in (6, 7, 8)]
    assert widths == [96, 256, 512, 1024, 1024, 3072, 4096, 1000]


def test_overfeat_sees_2x3_windows() -> None:
    """The same table's layers on 281x317, scale 2 of the multi-scale table, which prints 2x3 windows too."""
    assert maps("overfeat_sliding", "conv5", "pool5", "fc8") == [(1024, 15, 17), (1024, 7, 8), (1000, 2, 3)]
