"""The benchmark that compares our runs with ONNX Runtime works; what it measures is not judged."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
def test_every_competitor_and_process_is_measured(tmp_path: Path) -> None:
    """In a process of its own: the benchmark binds itself to one CPU."""
    out = tmp_path / "speed.json"
    command = [sys.executable, "-m", "benchmarks.speed", "mlp", "--tiny", "--rounds", "2", "--json", str(out)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT)
    assert "run / ORT int8" in done.stdout
    found = json.loads(out.read_text())
    (network,) = found["networks"]
    assert set(network["ms"]) == {"values", "timing", "energy", "ort int8", "ort float32"}
    assert all(ms > 0 for ms in network["ms"].values())
    assert min(network["sqnr_db"].values()) > 10
    stages, *commands = found["processes"]
    assert list(stages["stages"]) == ["load the compiler", "import", "passes", "quantize", "schedule", "lower"]
    assert len(commands) == 3
    assert all(p["seconds"] > 0 and p["peak_mib"] > 10 for p in found["processes"])
