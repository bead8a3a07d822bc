"""Compiled code is kept between processes, and no state of the cache stops a run."""

from __future__ import annotations

import ast
import importlib
import os
import pkgutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import FunctionType

import pytest

import accelc.sim
from accelc.sim.jit import Entry

KEYED = ("accelc.sim", "accelc.isa")
SCRIPT = """
import numpy as np
from accelc.sim import jit
from tests.sim.compiled import twice
print(twice(np.arange(3)).tolist(), sum(twice._compiled.stats.cache_hits.values()))
"""


def start(cache: Path, **settings: str) -> subprocess.Popen[str]:
    """Call a compiled function in a new process."""
    env = os.environ | {"NUMBA_CACHE_DIR": str(cache)} | settings
    command = [sys.executable, "-c", SCRIPT]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=env, cwd=Path(__file__).parents[2])


def result(process: subprocess.Popen[str]) -> str:
    """Return what a process computed and whether the cache had it."""
    out, _ = process.communicate()
    assert process.returncode == 0
    return out.strip()


def run(cache: Path, **settings: str) -> str:
    return result(start(cache, **settings))


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


def test_processes_that_fill_the_cache_at_once_are_all_right_and_leave_it_sound(tmp_path: Path) -> None:
    """Each may remove what another has not summed yet; that costs a compilation, never a result."""
    together = [start(tmp_path) for _ in range(3)]
    assert {result(process).split("] ")[0] for process in together} == {"[0, 2, 4"}
    run(tmp_path)
    assert run(tmp_path) == "[0, 2, 4] 1"


@pytest.mark.parametrize("setting", [{"NUMBA_OPT": "1"}, {"NUMBA_CPU_NAME": "generic", "NUMBA_CPU_FEATURES": ""}])
def test_code_for_another_setting_or_processor_is_not_taken(cache: Path, setting: dict[str, str]) -> None:
    assert run(cache, **setting) == "[0, 2, 4] 0"
    assert run(cache) == "[0, 2, 4] 1"


def compiled_functions() -> Iterator[FunctionType]:
    """Yield the Python functions behind all compiled ones that the simulator's modules hold."""
    for info in pkgutil.walk_packages(accelc.sim.__path__, "accelc.sim."):
        for value in vars(importlib.import_module(info.name)).values():
            function = value.__wrapped__ if isinstance(value, Entry) else getattr(value, "py_func", None)
            if isinstance(function, FunctionType):
                yield function


def test_the_cache_is_keyed_by_every_source_that_compiled_code_reads() -> None:
    """What a compiled function takes from another module of ours is of the simulator or the instruction set."""
    functions = list(compiled_functions())
    assert len(functions) > 50
    for function in functions:
        source = Path(function.__code__.co_filename).read_text(encoding="utf-8")
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("accelc"):
                taken = {a.asname or a.name for a in node.names} & set(function.__code__.co_names)
                assert not taken or str(node.module).startswith(KEYED), f"{function.__module__}: {taken}"
