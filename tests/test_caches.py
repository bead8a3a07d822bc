"""Folders for what may be made again do not grow without end, and are found anew by what their files depend on."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from accelc import caches
from accelc.caches import UNUSED_S, forget_oldest, writable_folder
from accelc.schedule import store


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path))
    return tmp_path / "accelc"


def aged(path: Path, seconds: float) -> None:
    then = time.time() - seconds
    os.utime(path, (then, then))


def test_folders_of_other_versions_go_when_nothing_used_them_for_long(root: Path) -> None:
    for name, seconds in (("kernels-old", UNUSED_S + 60), ("kernels-recent", 60), ("mappings-old", UNUSED_S + 60)):
        (root / name).mkdir(parents=True)
        (root / name / "file").write_text("x")
        aged(root / name, seconds)
    assert writable_folder("kernels", "new", Path("unused")) == root / "kernels-new"
    assert sorted(path.name for path in root.iterdir()) == ["kernels-new", "kernels-recent", "mappings-old"]


def test_a_folder_is_used_whenever_it_is_asked_for(root: Path) -> None:
    folder = writable_folder("kernels", "mine", Path("unused"))
    assert folder is not None
    aged(folder, UNUSED_S + 60)
    writable_folder("kernels", "mine", Path("unused"))
    assert time.time() - folder.stat().st_mtime < 60


def test_the_oldest_files_go_when_a_folder_has_grown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(caches, "MOST_BYTES", 250)
    for k in range(4):
        (tmp_path / f"{k}").write_bytes(bytes(100))
        aged(tmp_path / f"{k}", 100 - k)
    forget_oldest(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["2", "3"]


def test_what_cannot_be_kept_is_no_error(tmp_path: Path) -> None:
    store.keep(tmp_path / "missing" / "file", "text")
    assert not (tmp_path / "missing").exists()
