"""A network scheduled before is read back from disk, without a search; what is damaged is made anew."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from accelc.chip import load_chip
from accelc.compiler import Options, compile_stages
from accelc.graph import Graph
from accelc.lower import lower
from accelc.schedule import Schedule, schedule
from accelc.schedule.mapping import Mapping, Pin
from accelc.schedule.search import Search
from accelc.schedule.store import store_of

EDGE = load_chip("edge")


@pytest.fixture(autouse=True)
def folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Path]:
    """Keep what is found in a folder of the test's own."""
    for name in ("NUMBA_CACHE_DIR", "XDG_CACHE_HOME"):
        monkeypatch.setenv(name, str(tmp_path))
    store_of.cache_clear()
    yield tmp_path
    store_of.cache_clear()


@pytest.fixture(scope="module")
def graph() -> Graph:
    """Return a residual network with stripes on the chip: every kind of value that is kept."""
    made = compile_stages("resnet18", EDGE, Options(), stop_after="quantize").quantized
    assert made is not None
    return made


@pytest.fixture
def searched(monkeypatch: pytest.MonkeyPatch) -> Callable[[], int]:
    """Return how many stages were searched so far."""
    asked: list[object] = []
    best = Search.best
    monkeypatch.setattr(Search, "best", lambda self, stage: (asked.append(stage), best(self, stage))[1])
    return lambda: len(asked)


def decisions(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*.json") if "-" in path.stem]


def same(a: Schedule, b: Schedule) -> bool:
    words = [lower(each, EDGE).words for each in (a, b)]
    return str(a) == str(b) and a.expected == b.expected and np.array_equal(*words)


def test_a_network_scheduled_before_is_not_searched_again(graph: Graph, searched: Callable[[], int]) -> None:
    first = schedule(graph, EDGE)
    assert any(plan.part is not None for plan in first.plans)
    count = searched()
    assert count > 0
    assert same(first, schedule(graph, EDGE))
    assert searched() == count


@pytest.mark.parametrize("held", [b"", b"{}", b'{"plans": 3}'])
def test_a_damaged_file_is_made_anew(graph: Graph, folder: Path, held: bytes, searched: Callable[[], int]) -> None:
    first = schedule(graph, EDGE)
    (path,) = decisions(folder)
    whole = path.read_bytes()
    path.write_bytes(held)
    count = searched()
    assert same(first, schedule(graph, EDGE))
    assert searched() > count
    assert path.read_bytes() == whole


def test_what_a_schedule_depends_on_is_told_apart(graph: Graph, folder: Path) -> None:
    name = next(layer.inputs[1] for layer in graph.layers if layer.op == "conv")
    weights = graph.tensors[name]
    assert weights.data is not None
    other = replace(graph, tensors={**graph.tensors, name: replace(weights, data=-weights.data)})
    schedule(graph, EDGE)
    schedule(graph, EDGE, objective="energy")
    schedule(graph, EDGE, residency=False)
    schedule(graph, EDGE, mapping=Mapping(defaults=Pin(stripes=1)))
    schedule(graph, load_chip("gemmini"))
    schedule(other, EDGE)
    assert len(decisions(folder)) == 6
