"""The wheel: it installs one top-level name, so that a user's own `sim` and `models` never clash with ours."""

from __future__ import annotations

import importlib.metadata
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SUFFIXES = (".py", ".toml", ".typed", ".jinja", ".css", ".js")
SOURCES = ("pyproject.toml", "README.md", "LICENSE", "accelc", "sim", "models")


def builder_arguments() -> list[str]:
    """Return the arguments that build with the installed setuptools, or, where it is too old, with a fresh one."""
    try:
        major = int(importlib.metadata.version("setuptools").split(".")[0])
    except importlib.metadata.PackageNotFoundError:
        major = 0
    return ["--no-isolation"] if major >= 77 else []


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Return the names in a wheel built from a copy of the sources (the build writes beside them)."""
    folder = tmp_path_factory.mktemp("wheel")
    ignore = shutil.ignore_patterns("__pycache__")
    for name in SOURCES:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, folder / name, symlinks=True, ignore=ignore)
        else:
            shutil.copy(ROOT / name, folder / name)
    command = [sys.executable, "-m", "build", "--wheel", *builder_arguments(), str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    (built,) = (folder / "dist").glob("*.whl")
    with zipfile.ZipFile(built) as archive:
        return archive.namelist()


def sources(folder: Path) -> set[str]:
    """Return the files of a tree that a user needs, without the links to the two other trees."""
    files = {path.relative_to(folder).as_posix() for path in folder.rglob("*")}
    return {f for f in files if f.endswith(SUFFIXES) and not f.startswith(("sim/", "models/"))}


@pytest.mark.slow
def test_the_only_top_level_name_is_accelc(wheel: list[str]) -> None:
    top = {name.split("/")[0] for name in wheel}
    assert {name for name in top if not name.endswith(".dist-info")} == {"accelc"}


@pytest.mark.slow
def test_every_source_file_is_in_the_wheel_once(wheel: list[str]) -> None:
    """A package missing from pyproject.toml would be found only by the first user."""
    trees = {"accelc": ROOT / "accelc", "accelc/sim": ROOT / "sim", "accelc/models": ROOT / "models"}
    expected = {f"{package}/{name}" for package, folder in trees.items() for name in sources(folder)}
    files = [name for name in wheel if name.startswith("accelc/")]
    assert len(files) == len(set(files))
    assert expected <= set(files)
