"""Output files are whole or absent, and .npz files keep any tensor name."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from accelc.errors import InputError
from accelc.files import atomic_write, check_writable, read_arrays, write_arrays


def test_a_write_replaces_the_old_file_and_leaves_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "out.json"
    atomic_write(path, "old")
    atomic_write(path, b"new")
    assert path.read_text() == "new"
    assert [p.name for p in tmp_path.iterdir()] == ["out.json"]


def test_a_failed_write_keeps_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "out.json"
    atomic_write(path, "old")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(InputError, match=r"cannot write .*No space left on device"):
        atomic_write(path, "new")
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["out.json"]


def test_an_output_has_the_permissions_of_a_new_file(tmp_path: Path) -> None:
    plain = tmp_path / "plain"
    plain.write_text("")
    assert atomic_write(tmp_path / "made", "").stat().st_mode == plain.stat().st_mode


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to(tmp_path / "target")
    atomic_write(link, "through")
    assert link.is_symlink()
    assert (tmp_path / "target").read_text() == "through"


def test_a_device_is_written_to_not_replaced() -> None:
    atomic_write(os.devnull, "gone")
    assert not Path(os.devnull).is_file()


@pytest.mark.parametrize("place", ["missing/out", "."])
def test_unwritable_places_are_refused_in_advance(tmp_path: Path, place: str) -> None:
    with pytest.raises(InputError, match="cannot write"):
        check_writable(None, tmp_path / place)
    with pytest.raises(InputError, match="cannot write"):
        atomic_write(tmp_path / place, "x")


def test_arrays_keep_every_name_and_the_bytes_do_not_depend_on_the_clock(tmp_path: Path) -> None:
    arrays = {"file": np.arange(3), "/features/0/Conv_output": np.float32([[1.5]]), "allow_pickle": np.array(7)}
    write_arrays(tmp_path / "a.npz", arrays)
    write_arrays(tmp_path / "b.npz", arrays)
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()
    read = read_arrays(tmp_path / "a.npz")
    assert list(read) == list(arrays)
    for name in arrays:
        np.testing.assert_array_equal(read[name], arrays[name], strict=True)


def test_files_that_are_not_npz_are_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "lone.npy", np.zeros(2))
    (tmp_path / "text.npz").write_text("not a zip")
    (tmp_path / "cut.npz").write_bytes(write_arrays(tmp_path / "whole.npz", {"x": np.zeros(9)}).read_bytes()[:40])
    for name in ("lone.npy", "text.npz", "cut.npz", "missing.npz"):
        with pytest.raises(InputError, match=name):
            read_arrays(tmp_path / name)
