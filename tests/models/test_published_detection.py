"""SSD and the three YOLO networks against the figures of their papers and of their authors' programs."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from accelc.models.count import Counts
from tests.models.outlines import constant, dilated, maps, number_of, outputs, published, weight

SSD_MAPS = ("conv4_3", "fc7", "conv8_2", "conv9_2", "conv10_2", "conv11_2")
SSD_EXTENTS = (38, 19, 10, 5, 3, 1)
SSD_BOXES = (4, 6, 6, 6, 4, 4)


def macs(counts: Counts, *prefixes: str) -> int:
    """Return the multiply-adds of the nodes whose names begin with one of the prefixes."""
    return sum(n.macs for n in counts.nodes if n.name.startswith(prefixes))


def test_ssd300_source_maps() -> None:
    """Liu et al., ECCV 2016, figure 2: 38x38x512, 19x19x1024, 10x10x512, 5x5x256, 3x3x256, 1x1x256."""
    channels = (512, 1024, 512, 256, 256, 256)
    expected = [(c, n, n) for c, n in zip(channels, SSD_EXTENTS, strict=True)]
    assert maps("ssd300", *SSD_MAPS) == expected


def test_ssd300_predicts_8732_boxes() -> None:
    """The same figure: 4 boxes a cell on the first and the last two maps, 6 on the others; 8732 a class."""
    assert sum(k * n * n for k, n in zip(SSD_BOXES, SSD_EXTENTS, strict=True)) == 8732
    for index, (k, n) in enumerate(zip(SSD_BOXES, SSD_EXTENTS, strict=True)):
        assert maps("ssd300", f"loc{index}", f"conf{index}") == [(4 * k, n, n), (21 * k, n, n)]
    found = outputs("ssd300")
    assert found["boxes"] == (1, 8732, 4)
    assert found["scores"] == (1, 20, 8732)


def ssd300_first_boxes() -> npt.NDArray[np.intp]:
    """Return the row of each map's first default box."""
    return np.cumsum([0, *(k * n * n for k, n in zip(SSD_BOXES, SSD_EXTENTS, strict=True))])[:-1]


def test_ssd300_scales_of_default_boxes() -> None:
    """Section 3.1: 0.1 on conv4_3; equation 4 from 0.2 to 0.9 on the others, as the authors' program rounds it.

    Their ssd_pascal.py takes steps of floor((90 - 20) / (6 - 2)) = 17 percent: min_sizes of 30, 60, 111, 162, 213, 264.
    """
    step = (90 - 20) // (6 - 2)
    percents = [10, *range(20, 90 + 1, step)]
    assert [3 * p for p in percents] == [30, 60, 111, 162, 213, 264]
    extents = 300 * constant("ssd300", "decoded/extent")[ssd300_first_boxes()]
    np.testing.assert_allclose(extents, np.repeat([[3 * p] for p in percents], 2, 1), rtol=1e-4)


def test_ssd300_second_square_boxes() -> None:
    """Section 2.2: ratio 1 has another box, of scale sqrt(s_k s_k+1); max_sizes of the same program."""
    extents = 300 * constant("ssd300", "decoded/extent")
    sides = np.sqrt(np.multiply([30, 60, 111, 162, 213, 264], [60, 111, 162, 213, 264, 315]))
    np.testing.assert_allclose(extents[ssd300_first_boxes() + 1], np.repeat(sides[:, None], 2, 1), rtol=1e-4)


def test_ssd300_aspect_ratios() -> None:
    """The same section: width over height of 1, 2, 3, 1/2 and 1/3 at one area; the smaller sets leave out 3 and 1/3."""
    extents = constant("ssd300", "decoded/extent")
    for start, count in ((0, 4), (38 * 38 * 4, 6)):
        cell = extents[start : start + count]
        ratios = sorted(cell[:, 0] / cell[:, 1])
        expected = [1 / 3, 1 / 2, 1, 1, 2, 3] if count == 6 else [1 / 2, 1, 1, 2]
        np.testing.assert_allclose(ratios, expected, rtol=1e-4)
        np.testing.assert_allclose(np.delete(cell, 1, 0).prod(1), cell[0].prod(), rtol=1e-4)


def test_ssd300_centers() -> None:
    """The same section: (i + 0.5, j + 0.5) times a step, in the same program of 8, 16, 32, 64, 100, 300 pixels."""
    centers, starts = 300 * constant("ssd300", "decoded/center"), ssd300_first_boxes()
    steps = [8, 16, 32, 64, 100, 300]
    np.testing.assert_allclose(centers[starts], np.repeat([[0.5 * s] for s in steps], 2, 1), rtol=1e-4)
    np.testing.assert_allclose(centers[4], [1.5 * 8, 0.5 * 8], rtol=1e-4)


def test_ssd300_suppression() -> None:
    """Section 3, inference time: confidence of 0.01, overlap of 0.45 a class, the best 200 of an image."""
    assert constant("ssd300", "nms/score") == np.float32(0.01)
    assert constant("ssd300", "nms/iou") == np.float32(0.45)
    assert outputs("ssd300")["selected"] == (200, 3)


def test_ssd300_fc6_is_dilated() -> None:
    """Section 3: fc6 and fc7 as convolutions, fc6 a trous, of 1024 channels; the authors' rate of 6 spans 13 places."""
    assert dilated("ssd300", "fc6") == 13
    assert weight("ssd300", "fc7") == (1024, 1024, 1, 1)


def test_ssd300_has_the_counts_of_torchvision() -> None:
    """Torchvision prints 35641826 parameters and 34.858 GFLOPS for the 91 classes of COCO, VOC having 21."""
    counts = published("ssd300")
    heads = sum(n.params for n in counts.under("conf").nodes)
    assert counts.params + heads * (91 - 21) / 21 == 35_641_826
    assert (counts.macs + macs(counts, "conf") * (91 - 21) / 21) / 1e9 == pytest.approx(34.858, abs=0.001)


def test_yolo_v1_layers() -> None:
    """Redmon et al., CVPR 2016, section 2.1 and figure 3: 24 convolutions and 2 fully connected layers."""
    assert number_of("yolo_v1", "Conv") == 24
    assert number_of("yolo_v1", "Gemm") == 2
    assert maps("yolo_v1", "conv1", "pool6", "pool16", "conv22", "conv24", "fc1") == [
        (64, 224, 224), (512, 28, 28), (1024, 14, 14), (1024, 7, 7), (1024, 7, 7), (4096,),
    ]  # fmt: skip


@pytest.mark.parametrize("name", ["yolo_v1", "fast_yolo_v1"])
def test_yolo_v1_predicts_98_boxes(name: str) -> None:
    """The same paper, sections 2 and 2.3: 7x7x30 numbers, 98 boxes of an image, 20 classes."""
    assert outputs(name)["output"] == (1, 7, 7, 30)
    assert outputs(name)["boxes"] == (1, 98, 4)
    assert maps(name, "detect/scores") == [(20, 98)]


def test_fast_yolo_has_nine_convolutions() -> None:
    """The same paper, section 2.1: 9 convolutional layers in place of 24."""
    assert number_of("fast_yolo_v1", "Conv") == 9


def test_yolo_v2_maps() -> None:
    """Redmon, Farhadi, CVPR 2017, section 2: 416 to 13x13, 5 boxes of 5 + 20 numbers, 125 filters; 845 boxes."""
    assert maps("yolo_v2", "conv13", "conv20", "conv23") == [(512, 26, 26), (1024, 13, 13), (125, 13, 13)]
    assert outputs("yolo_v2")["boxes"] == (1, 13 * 13 * 5, 4)


def test_yolo_v2_passthrough_is_the_authors_program() -> None:
    """Their yolo-voc configuration: 64 filters on the 26x26 map, reorganized by 2, in front of 1024 channels."""
    assert maps("yolo_v2", "conv21", "reorg", "passthrough") == [(64, 26, 26), (256, 13, 13), (1280, 13, 13)]
    assert number_of("yolo_v2", "Conv") == 23


def test_yolo_v2_anchors() -> None:
    """The five anchors of the same configuration, in cells of 32 pixels; the constant is half of each, in pixels."""
    anchors = [[1.3221, 1.73145], [3.19275, 4.00944], [5.05587, 8.09892], [9.47112, 4.84053], [11.2364, 10.0071]]
    np.testing.assert_allclose(constant("yolo_v2", "detect/prior")[:5] / 16, anchors, rtol=1e-5)


def test_darknet19_operations() -> None:
    """The same paper, section 3: 5.58 billion operations for a 224x224 image, with 1000 classes on the 7x7 map."""
    layers = {f"conv{i}" for i in range(1, 19)}
    trunk = sum(n.macs for n in published("yolo_v2").nodes if n.name in layers)
    assert 2 * (trunk * (224 / 416) ** 2 + 1024 * 1000 * 7 * 7) / 1e9 == pytest.approx(5.58, abs=0.005)


def test_yolo_v2_operations() -> None:
    """The authors' table of models: 62.94 Bn for 608x608 and the 80 classes of COCO."""
    more = 5 * (80 - 20) * 1024 * 13 * 13
    total = 2 * (published("yolo_v2").macs + more) * (608 / 416) ** 2
    assert total / 1e9 == pytest.approx(62.94, abs=0.005)


def test_yolo_v3_scales() -> None:
    """Redmon, Farhadi, 2018, section 2.3: N x N x (3 * (4 + 1 + 80)) at three scales, at 416 of 13, 26, 52."""
    found = outputs("yolo_v3")
    assert [found[f"scale{i}/output"] for i in range(3)] == [(1, 255, n, n) for n in (13, 26, 52)]
    assert found["boxes"] == (1, 10647, 4)


def test_yolo_v3_priors() -> None:
    """The same section: nine priors from (10, 13) to (373, 326), three for each scale; the constant is half of each."""
    priors = [(10, 13), (16, 30), (33, 23), (30, 61), (62, 45), (59, 119), (116, 90), (156, 198), (373, 326)]
    found = np.concatenate([2 * constant("yolo_v3", f"detect{scale}/prior")[:3] for scale in (2, 1, 0)])
    np.testing.assert_allclose(found, priors)


def test_darknet53_maps() -> None:
    """The same paper, table 1: 1, 2, 8, 8 and 4 residual blocks; at 416 each stage halves the extent, to 13x13x1024."""
    assert sum(n.op == "Conv" for n in published("yolo_v3").nodes if n.name.startswith(("conv", "stage"))) == 52
    ends = [f"stage{s}/{blocks - 1}/add" for s, blocks in enumerate((1, 2, 8, 8, 4), 1)]
    assert maps("yolo_v3", *ends) == [(64, 208, 208), (128, 104, 104), (256, 52, 52), (512, 26, 26), (1024, 13, 13)]
    assert sum(n.op == "Add" for n in published("yolo_v3").under("stage").nodes) == 1 + 2 + 8 + 8 + 4


def test_darknet53_operations() -> None:
    """The authors' table of classifiers: 18.57 Bn at 256x256, with 1000 classes."""
    trunk = macs(published("yolo_v3"), "conv", "stage")
    assert 2 * (trunk * (256 / 416) ** 2 + 1024 * 1000) / 1e9 == pytest.approx(18.57, abs=0.005)


def test_yolo_v3_operations() -> None:
    """The authors' table of models: 65.86 Bn at 416x416; the configuration has 75 convolutions."""
    assert round(2 * published("yolo_v3").macs / 1e9, 2) == 65.86
    assert number_of("yolo_v3", "Conv") == 75


def test_yolo_v3_weights_fill_the_published_file() -> None:
    """The file yolov3.weights has 248007048 bytes: 20 of a header, then float32 with means and variances."""
    counts = published("yolo_v3")
    statistics = sum(2 * n.shape[1] for n in counts.nodes if n.op == "BatchNormalization")
    assert 20 + 4 * (counts.params + statistics) == 248_007_048
