"""TPU v1's cycle split: the bar of eight points, and the model by hand on two tiles."""

from __future__ import annotations

import pytest

from accelc.chip import load_chip
from accelc.validate import replay
from accelc.validate.tpu_v1 import BUCKETS, PUBLISHED, TURNAROUND_CYCLES, WRITE_BACK_CYCLES, Machine, split
from accelc.validate.tpu_v1_apps import APPS, App, Matrix, Vector

MACHINE = Machine.of(load_chip("tpu_v1"))


def errors() -> dict[str, list[float]]:
    rows = replay("tpu_v1").rows
    return {app.name: [abs(r.error) for r in rows if r.row.startswith(app.name + " ")] for app in APPS}


def test_five_of_six_applications_are_within_eight_points_in_every_bucket() -> None:
    within = {name for name, found in errors().items() if max(found) <= 8.0}
    assert within == {"MLP0", "MLP1", "LSTM0", "LSTM1", "CNN0"}
    assert all(len(found) == len(BUCKETS) for found in errors().values())


@pytest.mark.parametrize("app", APPS, ids=lambda app: app.name)
def test_the_published_and_our_split_each_sum_to_the_whole(app: App) -> None:
    for values in (dict(zip(BUCKETS, PUBLISHED[app.name], strict=True)), split(app, MACHINE)):
        active = values["useful_macs"] + values["unused_macs"]
        assert active == pytest.approx(values["array_active"], abs=0.11)  # the paper rounds to a tenth
        idle = sum(values.get(name, 0.0) for name in ("weight_stall", "weight_shift", "non_matrix"))
        assert values["array_active"] + idle == pytest.approx(100, abs=0.11)


@pytest.mark.parametrize("app", APPS, ids=lambda app: app.name)
def test_the_inferred_layers_satisfy_table_1(app: App) -> None:
    assert app.weights / 1e6 == pytest.approx(app.weights_m, rel=0.05)
    assert app.intensity == pytest.approx(app.macs_per_weight, rel=0.02)


def test_the_inferred_layers_have_the_counts_of_table_1() -> None:
    kinds = ("fc", "conv", "vector", "pool")
    counts = {app.name: [sum(layer.kind == kind for layer in app.layers) for kind in kinds] for app in APPS}
    assert counts == {
        "MLP0": [5, 0, 0, 0],
        "MLP1": [4, 0, 0, 0],
        "LSTM0": [24, 0, 34, 0],
        "LSTM1": [37, 0, 19, 0],
        "CNN0": [0, 16, 0, 0],
        "CNN1": [4, 72, 0, 13],
    }


def test_two_tiles_by_hand() -> None:
    app = App("two", 100, 0, 0, 1, 0, (Matrix(256, 512), Vector(256, 256)))
    t = MACHINE.tile_cycles
    # Both tiles arrive during the turnaround, the first is in place: active at once; the second shifts beside it from
    # the moment the first starts, 256 cycles for 100 rows.
    busy = TURNAROUND_CYCLES + 100 + 156 + 100
    assert 2 * t + 256 < TURNAROUND_CYCLES
    tail = 510 + 100 + WRITE_BACK_CYCLES + 100 * 512 // 256 + WRITE_BACK_CYCLES
    found = split(app, MACHINE)
    total = busy + tail
    assert found["array_active"] == pytest.approx(100 * 200 / total)
    assert found["weight_shift"] == pytest.approx(100 * 156 / total)
    assert found["weight_stall"] == 0
    assert found["non_matrix"] == pytest.approx(100 * (TURNAROUND_CYCLES + tail) / total)
