"""The benchmark that compares our runs with ONNX Runtime works; what it measures is not judged."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest

from benchmarks import speed

ROOT = Path(__file__).parents[2]


def test_networks_of_other_sizes_are_built() -> None:
    """The image's side and the batch are the inputs' dimensions; other words are refused."""
    (given,) = speed.built("resnet18:side=96,batch=2", tiny=True).graph.input
    assert [d.dim_value for d in given.type.tensor_type.shape.dim] == [2, 3, 96, 96]
    with pytest.raises(SystemExit, match="sizes are batch=N and side=N"):
        speed.built("resnet18:depth=3", tiny=True)


def test_a_recurrent_network_has_words_for_input_and_an_int8_peer() -> None:
    """Indices lie in the vocabulary of 50; the LSTMs of the int8 model are ONNX Runtime's own quantized ones."""
    model = speed.built("word_lm", tiny=True)
    sample = speed.sample_of(model)
    assert sample["words"].dtype == np.int64
    assert 2 < sample["words"].max() < 50
    quantized = onnx.load_from_string(speed.quantized_by_ort(model, sample))
    assert [n.op_type for n in quantized.graph.node].count("DynamicQuantizeLSTM") == 2


@pytest.mark.slow
def test_every_competitor_and_process_is_measured(tmp_path: Path) -> None:
    """In a process of its own: the benchmark binds itself to one CPU."""
    out = tmp_path / "speed.json"
    command = [sys.executable, "-m", "benchmarks.speed", "mlp", "--tiny", "--rounds", "2", "--json", str(out)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT)
    assert "run / ORT int8" in done.stdout
    found = json.loads(out.read_text())
    (network,) = found["networks"]
    assert set(network["ms"]) == {"values", "timing", "energy", "tables", "ort int8", "ort float32"}
    assert all(ms > 0 for ms in network["ms"].values())
    assert min(network["sqnr_db"].values()) > 10
    stages, *commands = found["processes"]
    assert list(stages["stages"]) == ["load the compiler", "import", "passes", "quantize", "schedule", "lower"]
    assert len(commands) == 3
    assert all(p["seconds"] > 0 and p["peak_mib"] > 10 for p in found["processes"])
