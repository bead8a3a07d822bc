"""Maxima over cells of regions of every size, inside the map, across its border and beyond it."""

from __future__ import annotations

import numpy as np
import onnxruntime as ort
import pytest

from tests.frontend.real.agree import one_node, results


@pytest.mark.parametrize("extents", [(13, 17), (1, 5), (8, 8)])
@pytest.mark.parametrize("pooled", [(1, 1), (3, 2), (7, 7)])
def test_agrees_with_onnx_runtime(extents: tuple[int, int], pooled: tuple[int, int]) -> None:
    rng = np.random.default_rng(5)
    x = rng.standard_normal((2, 3, *extents)).astype(np.float32)
    corners = np.sort(rng.uniform(-4, 40, (40, 2, 2)), axis=1).reshape(40, 4)  # x1, y1, x2, y2
    rois = np.column_stack([rng.integers(0, 2, 40), corners]).astype(np.float32)
    inputs = {"x": x, "rois": rois}
    model = one_node("MaxRoiPool", inputs, pooled_shape=list(pooled), spatial_scale=0.5)
    model.ir_version = 10  # the newest that ONNX Runtime reads
    wanted = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"]).run(None, inputs)
    np.testing.assert_array_equal(results(model, inputs)["y0"], wanted[0])
