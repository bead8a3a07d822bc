"""Tensors kept from a run: large ones go to a file and come back as they were; the check sees no difference."""

from __future__ import annotations

import numpy as np
import pytest

from accelc.compiler import Options, compile_stages
from accelc.run import run_compiled
from accelc.sim import kept
from accelc.sim.kept import Kept


def test_large_arrays_come_back_from_the_file_as_they_were(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kept, "LARGE_BYTES", 16)
    arrays = {
        "small": np.arange(3, dtype=np.int8),
        "odd": np.arange(17, dtype=np.uint8).reshape(1, 17),
        "strided": np.arange(24, dtype=np.float32).reshape(2, 3, 4).transpose(2, 0, 1),
        "wide": np.arange(9, dtype=np.int16).reshape(3, 3),
    }
    held = Kept()
    for name, value in arrays.items():
        held.add(name, value)
    assert list(held) == list(arrays)
    assert len(held) == 4
    assert [isinstance(held[name], np.memmap) for name in arrays] == [False, True, True, True]
    for name, value in arrays.items():
        np.testing.assert_array_equal(np.asarray(held[name]), value, strict=True)


def test_a_run_whose_tensors_all_lie_in_the_file_is_checked_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    compiled = compile_stages("resnet18", "edge", Options(tiny=True))
    before = run_compiled(compiled)
    monkeypatch.setattr(kept, "LARGE_BYTES", 1)
    after = run_compiled(compiled)
    assert after.check == before.check
    assert after.check.elements > 0
    assert after.result.accuracy == before.result.accuracy
