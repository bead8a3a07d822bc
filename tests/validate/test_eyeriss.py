"""Eyeriss v1: bars on the error of each metric over 18 measured layers, and the parts of the model by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from accelc.chip import load_chip
from accelc.validate import Replay, replay, summaries
from accelc.validate.eyeriss import coded_bytes, results, traffic, work
from accelc.validate.eyeriss_layers import LAYERS, METRICS, Layer

# Mean absolute and worst error, percent. The buffer's worst is AlexNet's CONV3, with its published mapping.
BARS = {
    "processing_latency": (5.0, 10.0),
    "total_latency": (8.0, 12.0),
    "active_pes": (0.0, 0.0),
    "glb_bytes": (10.0, 40.0),
    "dram_bytes": (10.0, 15.0),
    "power": (15.0, 16.0),
}


@pytest.fixture(scope="module")
def made() -> Replay:
    return replay("eyeriss")


def test_every_metric_of_every_layer_is_replayed(made: Replay) -> None:
    assert {(r.row, r.metric) for r in made.rows} == {(f"{x.network} {x.name}", m) for x in LAYERS for m in METRICS}
    assert all(r.kind == "silicon" and math.isfinite(r.ours) and r.ours > 0 for r in made.rows)


@pytest.mark.parametrize("metric", METRICS)
def test_the_errors_are_within_the_bars(made: Replay, metric: str) -> None:
    (found,) = [s for s in summaries(made.rows) if s.metric == metric]
    mean, worst = BARS[metric]
    assert found.mean <= mean
    assert abs(found.worst) <= worst


def test_only_conv3_of_alexnet_misses_the_buffers_traffic(made: Replay) -> None:
    missed = {r.row for r in made.rows if r.metric == "glb_bytes" and abs(r.error) > 5}
    assert missed == {"AlexNet CONV3"}


def test_the_published_columns_sum_to_the_published_totals() -> None:
    """A slip in copying would show: processing and total latency, buffer and DRAM traffic of both networks."""
    totals = {"AlexNet": (103.5, 115.3, 208.5, 15.4), "VGG-16": (3755.2, 4309.5, 11035.8, 321.1)}
    for network, expected in totals.items():
        rows = [x.published for x in LAYERS if x.network == network]
        sums = [sum(row[i] for row in rows) for i in (0, 1, 3, 4)]
        assert sums == pytest.approx(expected, rel=1e-3)


@pytest.mark.parametrize("layer", LAYERS, ids=lambda x: x.name)
def test_the_work_covers_the_layer(layer: Layer) -> None:
    """No faster than its products on its active PEs, and each input, weight and sum moves at least once."""
    (result,) = [r for r in results() if r.layer is layer]
    assert result.done.cycles >= layer.macs / result.metrics(0)[2]
    assert result.done.psums >= layer.batch * layer.groups * layer.filters * layer.extent**2
    assert result.done.weights >= layer.groups * layer.filters * layer.channels * layer.taps**2
    assert result.done.acts >= layer.batch * layer.groups * layer.channels * layer.input_extent**2


@pytest.mark.parametrize("layer", LAYERS, ids=lambda x: x.name)
def test_mappings_fit_the_register_files_and_the_array(layer: Layer) -> None:
    """12 inputs, 224 weights and 24 sums a PE; 12 x 14 PEs; m filters are whole blocks of p x t."""
    m = layer.placement.mapping
    assert m.q * m.taps_x <= 12
    assert m.p * m.q * m.taps_x <= 224
    assert m.p <= 24
    slots = 12 // m.taps_y * (14 // m.e if m.e <= 14 else 1) // math.ceil(m.e / 14)
    assert m.r * m.t <= slots
    assert layer.placement.m % (m.p * m.t) == 0


@pytest.mark.parametrize("zeros", [0.0, 0.3, 0.9, 0.98])
def test_the_expected_code_length_is_that_of_random_words(zeros: float) -> None:
    """Count the pairs of a million random words with runs cut at 31 zeros."""
    words = np.random.default_rng(0).random(1_000_000) >= zeros
    ends = np.flatnonzero(words)
    runs = np.diff(ends, prepend=-1) - 1
    pairs = len(ends) + int((runs // 32).sum())
    assert coded_bytes(len(words), zeros) == pytest.approx(pairs / 3 * 8, rel=0.01)


def test_traffic_of_conv1_by_hand() -> None:
    """Eight strips of 7 rows (6 in the last) read 31 (27) input rows; not coded; filters come again for each strip."""
    moved = traffic(LAYERS[0], LAYERS[1])
    assert moved.inputs == (7 * 35 + 31) * 227 * 3 * 4 * 2
    assert moved.filters == 8 * 4 * 96 * 3 * 121 * 2


def test_buffer_traffic_of_conv2_by_hand() -> None:
    """Eight blocks of 16 filters: each of 24 pairs of channels reads 31 x 31 inputs, writes and reads 27 x 27 sums."""
    done = work(load_chip("eyeriss"), LAYERS[1])
    passes = 4 * 2 * 8 * 24
    assert done.acts == passes * 2 * 31 * 31
    assert done.psums == passes * 16 * 27 * 27
