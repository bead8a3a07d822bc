"""Compiled code is kept between processes, and no state of the cache stops a run."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = """
import numpy as np
from accelc.sim import jit
from tests.sim.compiled import twice
print(twice(np.arange(3)).tolist(), sum(twice._compiled.stats.cache_hits.values()))
"""


def run(cache: Path) -> str:
    """Call a compiled function in a new process and return its result and whether the cache had it."""
    env = os.environ | {"NUMBA_CACHE_DIR": str(cache)}
    root = Path(__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, env=env, cwd=root, check=True)
    return done.stdout.strip()


def files(cache: Path, ending: str) -> list[Path]:
    return sorted(cache.rglob(f"*.{ending}"))


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a cache folder that one process has filled."""
    folder = tmp_path_factory.mktemp("cache")
    assert run(folder) == "[0, 2, 4] 0"
    return folder


def test_the_second_process_loads_what_the_first_compiled(cache: Path) -> None:
    """One hit, and every file has its checksum beside it."""
    assert run(cache) == "[0, 2, 4] 1"
    assert len(files(cache, "sha256")) == len(files(cache, "nbi")) + len(files(cache, "nbc")) == 2


@pytest.mark.parametrize("ending", ["nbi", "nbc", "sha256"])
def test_a_damaged_cache_is_made_again(cache: Path, ending: str) -> None:
    """Damage to the index, to the code or to a checksum costs a compilation, not the run."""
    path = files(cache, ending)[0]
    held = path.read_bytes()
    path.write_bytes(held[: len(held) // 2] + b"\x00damage")
    assert run(cache) == "[0, 2, 4] 0"
    assert run(cache) == "[0, 2, 4] 1"


def test_a_folder_that_cannot_be_written_is_done_without(tmp_path: Path) -> None:
    """A file stands where the folder should be; the function is compiled in the process."""
    blocked = tmp_path / "file"
    blocked.write_text("")
    assert run(blocked).startswith("[0, 2, 4]")
    assert blocked.read_text() == ""
