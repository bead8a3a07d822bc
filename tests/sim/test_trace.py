"""The trace is JSON that shows every instruction once, in order, and the DRAM bytes that moved."""

from __future__ import annotations

import itertools
import json
import tracemalloc
from pathlib import Path

import pytest

from accelc.chip import load_chip
from accelc.errors import InputError
from accelc.sim.timing import time_program
from accelc.sim.trace import perfetto, pieces, write_trace
from tests.sim.programs import L, M, V, program, word

EDGE = load_chip("edge")
WORDS = [word("load", bytes=6400), word("conv", {L: 1}), word("requantize", {M: 1}), word("store", {V: 1})]
PROGRAM = program([*WORDS, word("halt")], layers=[0, 0, 1, 1, -1])
TIMELINE = time_program(PROGRAM, EDGE)


def test_slices_are_the_timeline() -> None:
    events = json.loads(perfetto(PROGRAM, EDGE, TIMELINE))["traceEvents"]
    slices = [e for e in events if e["ph"] == "X"]
    assert [s["name"] for s in slices[:3]] == ["layer0 · load", "layer0 · conv", "layer1 · requantize"]
    assert [round(s["ts"] * EDGE.clock_mhz) for s in slices] == TIMELINE.start.tolist()
    assert [round((s["ts"] + s["dur"]) * EDGE.clock_mhz) for s in slices] == TIMELINE.end.tolist()
    assert slices[1]["args"]["started_after"] == "0: layer0 · load"
    assert slices[0]["args"]["operands"]["bytes"] == 6400


def test_the_bandwidth_counter_integrates_to_the_bytes() -> None:
    """Rounding to three decimals bounds the error: 0.0005 bytes a cycle."""
    events = json.loads(perfetto(PROGRAM, EDGE, TIMELINE))["traceEvents"]
    points = [(e["ts"] * EDGE.clock_mhz, e["args"]["bytes per cycle"]) for e in events if e["name"] == "DRAM read"]
    moved = sum(rate * (after - at) for (at, rate), (after, _) in itertools.pairwise(points))
    assert moved == pytest.approx(TIMELINE.dram_read_bytes, abs=0.0005 * TIMELINE.cycles)


def test_the_file_appears_whole_or_not_at_all(tmp_path: Path) -> None:
    path = write_trace(tmp_path / "t.json", PROGRAM, EDGE, TIMELINE)
    assert json.loads(path.read_text(encoding="utf-8")) == json.loads(perfetto(PROGRAM, EDGE, TIMELINE))
    assert [p.name for p in tmp_path.iterdir()] == ["t.json"]
    with pytest.raises(InputError, match="cannot write"):
        write_trace(tmp_path / "missing" / "t.json", PROGRAM, EDGE, TIMELINE)


def test_a_device_is_written_to_not_replaced() -> None:
    """A full one is told; it is still a device after that."""
    if not Path("/dev/full").is_char_device():
        pytest.skip("the system has no /dev/full")
    with pytest.raises(InputError, match="cannot write '/dev/full': No space left on device"):
        write_trace("/dev/full", PROGRAM, EDGE, TIMELINE)
    assert Path("/dev/full").is_char_device()


def test_a_trace_of_many_instructions_is_never_whole_in_memory() -> None:
    """Its pieces are made one by one: at any time far less is held than the text has."""
    loads = [word("load", bytes=64) for _ in range(20_000)]
    long = program([*loads, word("halt")], layers=[0] * 20_001)
    timeline = time_program(long, EDGE)
    tracemalloc.start()
    size = sum(len(piece) for piece in pieces(long, EDGE, timeline))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert size > 7 << 20
    assert peak < size
